"""What keys ask for before they are used, and the management key: as set, attested and in use."""

from __future__ import annotations

import pytest
from cryptography import x509
from yubikit.core.smartcard import SW, ApduError
from yubikit.piv import DEFAULT_MANAGEMENT_KEY, PIN_POLICY, TOUCH_POLICY, PivSession

from hwtests.bench import ORDERS_LEFT, Bench
from hwtests.conditions import application, fips, firmware, numbered
from hwtests.judges import MAKER, fields
from tokenprov.device.pcsc import connected

pytestmark = [numbered(), application("piv")]
PROFILE = """
[piv]
[[piv.keys]]
slot = "9a"
algorithm = "eccp256"
touch-policy = "always"
[piv.keys.certificate]
usages = ["client-auth"]
[[piv.keys]]
slot = "9c"
algorithm = "eccp384"
[[piv.keys]]
slot = "9d"
algorithm = "eccp256"
pin-policy = "always"
touch-policy = "cached"
"""
AES = """
[piv]
management-key = { algorithm = "aes256" }
"""
POLICIES = f"{MAKER}.8"  # a byte for the PIN, one for the touch
ASKED = {
    "9a": (PIN_POLICY.ONCE, TOUCH_POLICY.ALWAYS),
    "9c": (PIN_POLICY.ALWAYS, TOUCH_POLICY.NEVER),
    "9d": (PIN_POLICY.ALWAYS, TOUCH_POLICY.CACHED),
}


@firmware(">=4.3")
@pytest.mark.parametrize("slot", ASKED)
def test_a_key_attests_what_it_asks_for(issued: Bench, slot: str) -> None:
    """PIN and touch policy stand in the attestation, as bytes; the slot's default is spelt out."""
    pem = issued.ykman("piv", "keys", "attest", slot, "-")
    extensions = x509.load_pem_x509_certificate(pem.encode()).extensions
    (said,) = [one.value.public_bytes() for one in extensions if one.oid.dotted_string == POLICIES]
    assert tuple(said) == ASKED[slot]


def test_a_touched_key_signs(issued: Bench) -> None:
    """With the sealed PIN and a touch, the key of the certificate in 9a signs."""
    pem = issued.ykman("piv", "certificates", "export", "9a", "-")
    tool = ("yubico-piv-tool", "--reader", issued.reader, "--stdin-input")
    pin = issued.secrets()["piv/pin"]
    (issued.folder / "9a.pem").write_text(pem)
    sign = ("-a", "verify-pin", "-a", "test-signature", "-s", "9a", "-A", "ECCP256", "-i", "9a.pem")
    said = issued.touched("sign", lambda: issued.run(*tool, *sign, input=f"{pin}\n"))
    assert "Successful ECDSA verification" in said


def test_the_management_key_is_the_sealed_one(issued: Bench) -> None:
    """The token takes it, and not the factory's; the recorded algorithm is the token's."""
    sealed = bytes.fromhex(issued.secrets()["piv/management-key"])
    with connected(issued.reader) as connection:
        session = PivSession(connection)
        recorded = issued.facts("piv/management-key")["algorithm"]
        assert session.management_key_type.name.lower() == recorded
        with pytest.raises(ApduError) as caught:
            session.authenticate(DEFAULT_MANAGEMENT_KEY)
        assert caught.value.sw == SW.SECURITY_CONDITION_NOT_SATISFIED
        session.authenticate(sealed)


@firmware(">=5.4.2")
def test_the_management_key_can_be_aes(nobodys: Bench) -> None:
    """Where a profile wants AES-256 it is that, sealed, and gone when the token is given back."""
    nobodys.issue("aes", AES)
    assert fields(nobodys.ykman("piv", "info"))["Management key algorithm"] == "AES256"
    assert len(bytes.fromhex(nobodys.secrets()["piv/management-key"])) == 32
    nobodys.clear()
    assert nobodys.used() == []


@firmware("<5.4")
@fips(False)
def test_a_management_key_cannot_be_aes(nobodys: Bench) -> None:
    """An older firmware has none: the batch says so, and nothing is written."""
    said = nobodys.tell(*nobodys.batch("aes", AES), *nobodys.leave, code=None)
    assert said.code == ORDERS_LEFT
    assert "aes256" in said.err.lower()
    assert nobodys.used() == []
