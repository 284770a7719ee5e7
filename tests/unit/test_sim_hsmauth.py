"""YubiHSM Auth on virtual tokens, by yubikit's session, against an HSM of the test's own."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from cryptography.hazmat.primitives import cmac, hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from yubikit.core import InvalidPinError
from yubikit.core.smartcard import ApduError
from yubikit.hsmauth import (
    ALGORITHM,
    DEFAULT_MANAGEMENT_KEY,
    INITIAL_RETRY_COUNTER,
    HsmAuthSession,
)

from tests.secure_channels import SERIAL, Wire, wire
from tokenprov.sim.assembly import make_token
from tokenprov.sim.models import MODELS

KEY = DEFAULT_MANAGEMENT_KEY
OTHER_KEY = bytes.fromhex("000102030405060708090a0b0c0d0e0f")
PASSWORD, OTHER = "a password", "another one"
SELECT = "00a4040008a000000527210701"
CONTEXT = bytes.fromhex("67fcf1feb5f1d883ed763dbf493090bb")


@pytest.fixture
def on() -> Wire:
    """A fresh YubiKey of firmware 5.7.4."""
    return wire()


def of_version(version: tuple[int, int, int]) -> HsmAuthSession:
    """A session with a YubiKey of that firmware."""
    model = dataclasses.replace(MODELS["yubikey-5.7.4"], version=version)
    return HsmAuthSession(Wire(make_token(model, SERIAL)))


def refused(call: Callable[..., object], *args: object, **given: object) -> int:
    """The status word with which a call of the library is refused."""
    with pytest.raises(ApduError) as error:
        call(*args, **given)
    return error.value.sw


def tries_left(call: Callable[..., object], *args: object, **given: object) -> int:
    """How many tries are left after a call that gave a wrong key or password."""
    with pytest.raises(InvalidPinError) as error:
        call(*args, **given)
    return error.value.attempts_remaining


def calculate(session: HsmAuthSession, label: str, password: str = PASSWORD) -> bytes:
    """Session keys of a symmetric credential, joined."""
    return b"".join(session.calculate_session_keys_symmetric(label, CONTEXT, password))


# --- symmetric -----------------------------------------------------------------------------


def test_session_keys_of_a_vector(on: Wire) -> None:
    """The keys are those of yubikey-manager, tests/device/test_hsmauth.py, TestSessionKeys."""
    session = HsmAuthSession(on)
    session.put_credential_derived(KEY, "derived", "pwd", PASSWORD)
    keys = session.calculate_session_keys_symmetric("derived", CONTEXT, PASSWORD)
    assert keys.key_senc.hex() == "b06f1ac987912ebedc1bf0e02a6b5d85"
    assert keys.key_smac.hex() == "ead6c3a596ea8675bf31d349abb52c74"
    assert keys.key_srmac.hex() == "c2c61e96ab2c58e9837ad0e7d06ee90c"


def test_the_cryptogram_of_the_hsm_is_checked(on: Wire) -> None:
    """With a card cryptogram the keys are given only when it is right (Amendment D 6.2.2.2)."""
    session = HsmAuthSession(on)
    session.put_credential_symmetric(KEY, "label", os.urandom(16), os.urandom(16), PASSWORD)
    keys = session.calculate_session_keys_symmetric("label", CONTEXT, PASSWORD)
    computation = cmac.CMAC(AES(keys.key_smac))
    computation.update(bytes(11) + bytes.fromhex("0000004001") + CONTEXT)
    right = computation.finalize()[:8]
    given = session.calculate_session_keys_symmetric("label", CONTEXT, PASSWORD, right)
    assert given == keys
    wrong = bytes(8)
    call = session.calculate_session_keys_symmetric
    assert refused(call, "label", CONTEXT, PASSWORD, wrong) == 0x6984
    assert refused(call, "label", CONTEXT[:-1], PASSWORD) == 0x6A80


def test_challenges_are_random(on: Wire) -> None:
    """Eight bytes, other ones each time."""
    session = HsmAuthSession(on)
    session.put_credential_derived(KEY, "label", "derived", PASSWORD)
    challenges = {session.get_challenge("label") for _ in range(4)}
    assert {len(each) for each in challenges} == {8}
    assert len(challenges) == 4


# --- asymmetric ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Hsm:
    """The other side of an asymmetric session (YubiHSM 2 User Guide, "Create Session")."""

    static: ec.EllipticCurvePrivateKey
    ephemeral: ec.EllipticCurvePrivateKey

    @classmethod
    def new(cls) -> Hsm:
        """One with new keys."""
        return cls(
            static=ec.generate_private_key(ec.SECP256R1()),
            ephemeral=ec.generate_private_key(ec.SECP256R1()),
        )

    def agree(self, challenge: bytes, host: ec.EllipticCurvePublicKey) -> tuple[bytes, bytes]:
        """Its receipt and the three session keys, joined."""
        theirs = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), challenge)
        secret = self.ephemeral.exchange(ec.ECDH(), theirs)
        secret += self.static.exchange(ec.ECDH(), host)
        keys = X963KDF(hashes.SHA256(), 64, bytes.fromhex("3c8810")).derive(secret)
        receipt = cmac.CMAC(AES(keys[:16]))
        receipt.update(self.point + challenge)
        return receipt.finalize(), keys[16:]

    @property
    def point(self) -> bytes:
        """Its ephemeral public key."""
        public = self.ephemeral.public_key()
        return public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def opened(session: HsmAuthSession, label: str, hsm: Hsm) -> tuple[bytes, bytes]:
    """The session keys on both sides."""
    challenge = session.get_challenge(label, PASSWORD)
    receipt, theirs = hsm.agree(challenge, session.get_public_key(label))
    ours = session.calculate_session_keys_asymmetric(
        label, challenge + hsm.point, hsm.static.public_key(), PASSWORD, receipt
    )
    return b"".join(ours), theirs


def test_an_asymmetric_session(on: Wire) -> None:
    """A generated and an imported credential agree on keys with an HSM."""
    session, hsm = HsmAuthSession(on), Hsm.new()
    private = ec.generate_private_key(ec.SECP256R1())
    session.put_credential_asymmetric(KEY, "imported", private, PASSWORD)
    session.generate_credential_asymmetric(KEY, "generated", PASSWORD)
    assert session.get_public_key("imported") == private.public_key()
    for label in ("imported", "generated"):
        ours, theirs = opened(session, label, hsm)
        assert ours == theirs
    listed = {each.label: each.algorithm for each in session.list_credentials()}
    assert set(listed.values()) == {ALGORITHM.EC_P256_YUBICO_AUTHENTICATION}


def test_an_asymmetric_session_is_refused(on: Wire) -> None:
    """A wrong receipt, a foreign challenge, one used twice or none: no keys."""
    session, hsm = HsmAuthSession(on), Hsm.new()
    session.generate_credential_asymmetric(KEY, "label", PASSWORD)
    call, public = session.calculate_session_keys_asymmetric, hsm.static.public_key()
    challenge = session.get_challenge("label", PASSWORD)
    receipt, _ = hsm.agree(challenge, session.get_public_key("label"))
    assert refused(call, "label", hsm.point * 2, public, PASSWORD, receipt) == 0x6A80
    context = challenge + hsm.point
    assert refused(call, "label", context, public, PASSWORD, receipt) == 0x6985  # it is used up
    challenge = session.get_challenge("label", PASSWORD)
    context = challenge + hsm.point
    assert refused(call, "label", context, public, PASSWORD, bytes(16)) == 0x6984
    assert refused(session.get_challenge, "label", OTHER) == 0x63C7
    assert refused(session.get_challenge, "label") == 0x6A80  # the password is asked for


def test_a_challenge_does_not_outlive_its_selection(on: Wire) -> None:
    """Another applet selected in between, and the ephemeral key is gone."""
    session, hsm = HsmAuthSession(on), Hsm.new()
    session.generate_credential_asymmetric(KEY, "label", PASSWORD)
    challenge = session.get_challenge("label", PASSWORD)
    receipt, _ = hsm.agree(challenge, session.get_public_key("label"))
    on.send("00a4040005a000000308")
    session = HsmAuthSession(on)
    call = session.calculate_session_keys_asymmetric
    public, context = hsm.static.public_key(), challenge + hsm.point
    assert refused(call, "label", context, public, PASSWORD, receipt) == 0x6985


# --- management ----------------------------------------------------------------------------


def test_credentials_come_and_go(on: Wire) -> None:
    """A label names one credential; what is listed is what was put, touch and tries with it."""
    session = HsmAuthSession(on)
    session.put_credential_derived(KEY, "ä" * 32, "derived", PASSWORD, touch_required=True)
    assert refused(session.put_credential_derived, KEY, "ä" * 32, "again", PASSWORD) == 0x6983
    session.put_credential_derived(KEY, "b", "derived", PASSWORD)
    listed = {each.label: each for each in session.list_credentials()}
    assert listed.keys() == {"ä" * 32, "b"}
    assert [listed[each].touch_required for each in ("ä" * 32, "b")] == [True, False]
    assert listed["b"].counter == INITIAL_RETRY_COUNTER
    assert refused(session.get_public_key, "b") == 0x6983
    session.delete_credential(KEY, "b")
    assert refused(session.delete_credential, KEY, "b") == 0x6A82
    assert refused(session.get_challenge, "b") == 0x6A82
    assert refused(calculate, session, "b") == 0x6A82


def test_room_for_credentials_ends(on: Wire) -> None:
    """There is room for 32 of them."""
    session = HsmAuthSession(on)
    for number in range(32):
        session.put_credential_derived(KEY, f"{number}", "derived", PASSWORD)
    assert refused(session.put_credential_derived, KEY, "one more", "derived", PASSWORD) == 0x6A84
    assert len(session.list_credentials()) == 32


def test_the_management_key_is_counted(on: Wire) -> None:
    """Each wrong one costs a try, the right one gives them back, and none is left at the end."""
    session = HsmAuthSession(on)
    session.put_management_key(KEY, OTHER_KEY)
    assert tries_left(session.put_credential_derived, KEY, "a", "derived", PASSWORD) == 7
    assert tries_left(session.delete_credential, KEY, "a") == 6
    assert tries_left(session.put_management_key, KEY, KEY) == 5
    session.put_management_key(OTHER_KEY, OTHER_KEY)
    assert session.get_management_key_retries() == 8
    left = [tries_left(session.delete_credential, KEY, "a") for _ in range(9)]
    assert left == [7, 6, 5, 4, 3, 2, 1, 0, 0]
    assert tries_left(session.put_management_key, OTHER_KEY, KEY) == 0
    session.reset()
    session.put_management_key(KEY, OTHER_KEY)


def test_a_credential_is_gone_after_eight_wrong_passwords(on: Wire) -> None:
    """The right password gives the tries back; after eight wrong ones nothing is left to use."""
    session = HsmAuthSession(on)
    session.put_credential_derived(KEY, "label", "derived", PASSWORD)
    assert [tries_left(calculate, session, "label", OTHER) for _ in range(7)][-1] == 1
    assert session.list_credentials()[0].counter == 1
    calculate(session, "label")
    assert [tries_left(calculate, session, "label", OTHER) for _ in range(8)][-1] == 0
    assert session.list_credentials() == []


def test_touch(on: Wire) -> None:
    """A credential that wants a touch gives nothing without, and no try is lost by it."""
    answers = [False, True]
    on.token.body.touch = lambda: answers.pop(0)
    session = HsmAuthSession(on)
    session.put_credential_derived(KEY, "label", "derived", PASSWORD, touch_required=True)
    assert refused(calculate, session, "label") == 0x6982
    assert session.list_credentials()[0].counter == INITIAL_RETRY_COUNTER
    assert len(calculate(session, "label")) == 48


@pytest.mark.parametrize(
    ("apdu", "sw"),
    [
        ("0007000000", 0x9000),
        ("0009000000", 0x9000),
        ("0005000000", 0x9000),
        ("0006000000", 0x6A86),  # reset wants to be meant
        ("0005010000", 0x6A86),
        ("000b000000", 0x6D00),  # from 5.8 on
        ("000c000000", 0x6D00),
        ("8005000000", 0x6E00),
        ("0004000000", 0x6A80),
        ("0001000005 7b10000000", 0x6A80),  # a length that lies
        ("0002000012 7b10" + "00" * 16, 0x6A80),  # no label
        ("0002000014 7b10" + "00" * 16 + "7100", 0x6A80),  # an empty one
        ("0002000015 7b10" + "00" * 16 + "7101ff", 0x6A80),  # no UTF-8
        ("0002000014 7b0f" + "00" * 15 + "710161", 0x6A80),  # a short key
    ],
)
def test_commands(on: Wire, apdu: str, sw: int) -> None:
    """What is malformed or unknown is refused, and costs no try."""
    on.send(SELECT)
    assert on.send(apdu.replace(" ", "")) == sw
    assert HsmAuthSession(on).get_management_key_retries() == 8


# --- firmware ------------------------------------------------------------------------------


def test_firmware_5_4_has_symmetric_credentials_alone() -> None:
    """Before 5.6 there are neither curves nor challenges."""
    on = wire("yubikey-5.4.3")
    session = HsmAuthSession(on)
    session.put_credential_derived(KEY, "label", "derived", PASSWORD)
    assert len(calculate(session, "label")) == 48
    assert on.send("0004000007" + "71056c6162656c") == 0x6D00
    curve = f"7b10{'00' * 16}710161" + "740127" + f"7d20{'01' * 32}7310{'02' * 16}7a0100"
    data = bytes.fromhex(curve)
    assert on.send(bytes([0, 1, 0, 0, len(data)]) + data) == 0x6A80


def test_firmware_without_it() -> None:
    """Firmware 5.2.7 has no such application."""
    assert wire("yubikey-5.2.7").send(SELECT) == 0x6A82


def test_passwords_are_changed_from_5_8() -> None:
    """With the old password or the management key, each counted; the credential stays."""
    session = of_version((5, 8, 0))
    session.put_credential_derived(KEY, "label", "derived", PASSWORD)
    before = calculate(session, "label")
    session.change_credential_password("label", PASSWORD, OTHER)
    assert tries_left(session.change_credential_password, "label", PASSWORD, OTHER) == 7
    assert calculate(session, "label", OTHER) == before
    session.change_credential_password_admin("label", KEY, PASSWORD)
    assert tries_left(session.change_credential_password_admin, "label", OTHER_KEY, OTHER) == 7
    assert calculate(session, "label") == before


def test_challenges_before_5_7_1_want_no_password() -> None:
    """Firmware 5.6 gives an ephemeral key to everybody."""
    session = of_version((5, 6, 0))
    session.generate_credential_asymmetric(KEY, "label", PASSWORD)
    assert len(session.get_challenge("label")) == 65


def test_complexity_and_approved_mode() -> None:
    """A FIPS key refuses simple passwords, and is approved once the management key is changed."""
    on = wire("yubikey-5.7.4-fips")
    session = HsmAuthSession(on)
    applet = on.token.applet("hsmauth")
    assert not applet.fips_approved  # type: ignore[attr-defined] # of this applet
    assert refused(session.put_management_key, KEY, b"\x11" * 16) == 0x6985
    session.put_management_key(KEY, OTHER_KEY)
    assert applet.fips_approved  # type: ignore[attr-defined] # of this applet
    for simple in ("12345678", "aaaaaaaa"):
        assert refused(session.put_credential_derived, OTHER_KEY, "a", "b", simple) == 0x6985
    session.put_credential_derived(OTHER_KEY, "a", "b", "12345679")


def test_state_lasts(on: Wire) -> None:
    """Credentials, tries and management key come back from a token's state."""
    session = HsmAuthSession(on)
    session.put_management_key(KEY, OTHER_KEY)
    session.put_credential_derived(OTHER_KEY, "symmetric", "derived", PASSWORD)
    session.generate_credential_asymmetric(OTHER_KEY, "curve", PASSWORD)
    tries_left(calculate, session, "symmetric", OTHER)
    tries_left(session.delete_credential, KEY, "curve")
    state = json.loads(json.dumps(on.token.dump()))
    again = make_token("yubikey-5.7.4", SERIAL)
    again.load(state)
    other = HsmAuthSession(Wire(again))
    assert [each.counter for each in other.list_credentials()] == [7, 8]
    assert other.get_management_key_retries() == 7
    assert other.get_public_key("curve") == session.get_public_key("curve")
    assert calculate(other, "symmetric") == calculate(session, "symmetric")
