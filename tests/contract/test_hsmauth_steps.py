"""The YubiHSM Auth steps on every model that claims them, judged by the maker's library.

In this process, over the shipped run; `tests/peers/test_application_settings.py` has other programs
look at such tokens.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)
from yubikit.core import InvalidPinError
from yubikit.hsmauth import ALGORITHM, DEFAULT_MANAGEMENT_KEY, HsmAuthSession

from tests.applet_commands import HSMAUTH, sent_to
from tests.in_process import Cut, Desk
from tokenprov.errors import TokenConflict, TouchTimeout
from tokenprov.model import Purpose
from tokenprov.sim.presence import TouchMode, TouchPolicy
from tokenprov.steps.hsmauth.hsm import session_keys

MODELS = ("yubikey-5.7.4", "yubikey-5.7.4-fips", "yubikey-5.4.3", "yubikey-5.4.3-fips")
WRITES = {0x01, 0x06, 0x08, 0x0B}  # put, reset, put management key, change password
PUT = "00010000"
CONTEXT = bytes(range(16))

SYMMETRIC = """
[hsmauth]
[[hsmauth.credentials]]
label = "backup operator"
algorithm = "aes128"
touch = true
"""
BOTH = f"""{SYMMETRIC}
[[hsmauth.credentials]]
label = "signer"
algorithm = "eccp256"
password = {{ length = 12 }}
"""


def text_of(secrets: dict[str, bytes], name: str) -> str:
    """A secret that is a text."""
    return secrets[name].decode()


@pytest.mark.parametrize("model", MODELS)
def test_a_symmetric_credential_opens_sessions_with_the_sealed_keys(
    model: str, tmp_path: Path
) -> None:
    """Under the sealed password the token makes the session keys that the sealed keys make."""
    desk = Desk(tmp_path, model)
    entry = desk.run(SYMMETRIC)
    assert [(step["id"], step["state"]) for step in entry["steps"]] == [
        ("hsmauth/management-key", "match"),
        ("hsmauth/credential/backup operator", "match"),
    ]
    assert desk.finger.asked == ["prove YubiHSM Auth credential 'backup operator'"]
    sealed = dict(desk.sealed())
    session = HsmAuthSession(desk.connect())
    (credential,) = session.list_credentials()
    assert credential.algorithm is ALGORITHM.AES128_YUBICO_AUTHENTICATION
    assert credential.touch_required
    assert credential.counter == 8
    password = text_of(sealed, "hsmauth/credential/backup operator/password")
    keys = session.calculate_session_keys_symmetric("backup operator", CONTEXT, password)
    static = sealed["hsmauth/credential/backup operator/keys"]
    computation = CMAC(AES(static[16:]))
    computation.update(bytes(11) + bytes.fromhex("0600008001") + CONTEXT)
    assert keys.key_smac == computation.finalize()
    key = sealed["hsmauth/management-key"]
    session.delete_credential(key, "backup operator")
    with pytest.raises(InvalidPinError):
        session.put_management_key(DEFAULT_MANAGEMENT_KEY, key)


def test_a_key_made_on_the_token_stands_in_the_entry(tmp_path: Path) -> None:
    """What the HSM is told is the public key that the entry's evidence has."""
    desk = Desk(tmp_path, "yubikey-5.7.4")
    step = desk.run(BOTH)["steps"][-1]
    (evidence,) = step["evidence"]
    assert evidence["type"] == "hsmauth-public-key"
    assert step["facts"]["publicKey"] == evidence["sha256"]
    public = load_der_public_key(desk.blob(evidence["sha256"]))
    assert isinstance(public, ec.EllipticCurvePublicKey)
    session = HsmAuthSession(desk.connect())
    there = session.get_public_key("signer")
    form = (Encoding.X962, PublicFormat.UncompressedPoint)
    assert there.public_bytes(*form) == public.public_bytes(*form)
    password = text_of(dict(desk.sealed()), "hsmauth/credential/signer/password")
    assert len(password) == 12
    assert len(session.get_challenge("signer", password)) == 65


def test_each_secret_goes_to_its_custodian(tmp_path: Path) -> None:
    """Passwords to the help desk, keys to the administrators; a key made on the token to nobody."""
    desk = Desk(tmp_path, "yubikey-5.7.4")
    desk.run(BOTH)
    at = "hsmauth/credential"
    assert set(desk.sealed(Purpose.HELP_DESK)) == {
        f"{at}/backup operator/password",
        f"{at}/signer/password",
    }
    assert set(desk.sealed(Purpose.TOKEN_ADMINISTRATION)) == {
        "hsmauth/management-key",
        f"{at}/backup operator/keys",
    }


def test_a_plan_writes_nothing_and_costs_no_try(tmp_path: Path) -> None:
    """Looking at a fresh token leaves it as it was."""
    desk = Desk(tmp_path, "yubikey-5.7.4")
    desk.plan(BOTH)  # some keys of the token are made when they are first asked for
    before = desk.token.dump()
    plan = desk.plan(BOTH)
    assert not plan.refused
    assert {step.verdict for step in plan.steps} == {"write"}
    assert desk.token.dump() == before


def test_another_management_key_is_refused(tmp_path: Path) -> None:
    """A key that is not the factory's costs a try at most, and never one of the last two."""
    desk = Desk(tmp_path, "yubikey-5.7.4")
    HsmAuthSession(desk.connect()).put_management_key(DEFAULT_MANAGEMENT_KEY, bytes(range(16)))
    for _ in range(8):
        assert desk.plan(BOTH).refused
    assert HsmAuthSession(desk.connect()).get_management_key_retries() == 2
    with pytest.raises(TokenConflict):
        desk.run(BOTH)
    assert HsmAuthSession(desk.connect()).list_credentials() == []


def test_a_credential_of_somebodys_is_refused(tmp_path: Path) -> None:
    """A token with a credential is used, whatever its label."""
    desk = Desk(tmp_path, "yubikey-5.7.4")
    session = HsmAuthSession(desk.connect())
    session.put_credential_derived(DEFAULT_MANAGEMENT_KEY, "theirs", "x", "a password")
    assert desk.plan(BOTH).refused
    before = desk.token.dump()
    with pytest.raises(TokenConflict, match="1 YubiHSM Auth credential"):
        desk.run(BOTH)
    assert desk.token.dump() == before


def test_without_its_touch_a_credential_is_not_proved(tmp_path: Path) -> None:
    """Nobody touches: no entry. Touched, the same run finishes, and no try was lost."""
    desk = Desk(tmp_path, "yubikey-5.7.4")
    desk.token.finger.policy = TouchPolicy(mode=TouchMode.NEVER, patience=0.01)
    with pytest.raises(TouchTimeout):
        desk.run(BOTH)
    desk.token.finger.policy = TouchPolicy(patience=0.01)
    assert len(desk.run(BOTH)["steps"]) == 3
    listed = HsmAuthSession(desk.connect()).list_credentials()
    assert [one.counter for one in listed] == [8, 8]


def test_cut_after_any_command_the_same_run_finishes(tmp_path: Path) -> None:
    """After any write or proof the power fails; run again, what is sealed works."""
    whole = Desk(tmp_path / "whole", "yubikey-5.7.4")
    whole.run(BOTH)
    changing = WRITES | {0x02, 0x03}  # delete probes, calculate counts wrong passwords
    at = [n for n, one in sent_to(HSMAUTH, whole.commands) if one[1] in changing]
    assert len(at) > 6
    for number in at:
        desk = Desk(tmp_path / str(number), "yubikey-5.7.4")
        with pytest.raises(Cut):
            desk.run(BOTH, cut=(number, True))
        desk.run(BOTH)
        session, sealed = HsmAuthSession(desk.connect()), dict(desk.sealed())
        assert [one.counter for one in session.list_credentials()] == [8, 8]
        assert session.get_management_key_retries() == 8
        password = text_of(sealed, "hsmauth/credential/backup operator/password")
        keys = session.calculate_session_keys_symmetric("backup operator", CONTEXT, password)
        assert b"".join(keys) == session_keys(
            sealed["hsmauth/credential/backup operator/keys"], CONTEXT
        )
        session.put_management_key(sealed["hsmauth/management-key"], DEFAULT_MANAGEMENT_KEY)


def test_a_credential_that_was_replaced_is_found_out(tmp_path: Path) -> None:
    """Between two runs somebody put another one under the label: a conflict."""
    whole = Desk(tmp_path / "whole", "yubikey-5.7.4")
    whole.run(SYMMETRIC)
    put = next(n for n, one in sent_to(HSMAUTH, whole.commands) if one[:4].hex() == PUT)
    desk = Desk(tmp_path / "desk", "yubikey-5.7.4")
    with pytest.raises(Cut):
        desk.run(SYMMETRIC, cut=(put, True))
    session, sealed = HsmAuthSession(desk.connect()), dict(desk.sealed())
    key = sealed["hsmauth/management-key"]
    password = text_of(sealed, "hsmauth/credential/backup operator/password")
    session.delete_credential(key, "backup operator")
    session.put_credential_symmetric(
        key, "backup operator", bytes(16), bytes(16), password, touch_required=True
    )
    with pytest.raises(TokenConflict, match="does not hold our keys"):
        desk.run(SYMMETRIC)
