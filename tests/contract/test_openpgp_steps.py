"""The OpenPGP steps on every model that claims them, judged by the maker's library.

In this process, over the shipped run; `tests/peers/test_application_settings.py` has GnuPG and
ykman look at such tokens.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from yubikit.core import InvalidPinError
from yubikit.openpgp import KEY_REF, OID, PIN_POLICY, RSA_SIZE, UIF, OpenPgpSession

from tests.applet_commands import OPENPGP, sent_to
from tests.in_process import Cut, Desk
from tokenprov.errors import NotSupported, TokenConflict
from tokenprov.model import Purpose

CURVES = ("yubikey-5.7.4", "yubikey-5.4.3", "yubikey-5.2.7")
ALL = (*CURVES, "yubikey-5.7.4-fips", "yubikey-5.4.3-fips", "yubikey-4.3.7")
SLOTS = (KEY_REF.SIG, KEY_REF.DEC, KEY_REF.AUT)

SETTINGS = """
[openpgp]
user-pin = { length = 8, retries = 6 }
admin-pin = { length = 10, retries = 4 }
reset-code = { length = 9, retries = 5 }
signature-pin = "always"
name = "{holder.name}"
language = "deen"
login = "{holder.upn}"
url = "https://keys.example.test/ada"
"""
KEYS = """
[[openpgp.keys]]
slot = "sig"
algorithm = "ed25519"
touch-policy = "cached"
attestation = "required"
[[openpgp.keys]]
slot = "dec"
algorithm = "x25519"
attestation = "required"
[[openpgp.keys]]
slot = "aut"
algorithm = "eccp384"
touch-policy = "cached-fixed"
attestation = "required"
"""
RSA = """
[openpgp]
[[openpgp.keys]]
slot = "sig"
algorithm = "rsa2048"
touch-policy = "on"
"""


def secret(desk: Desk, name: str) -> str:
    """A sealed PIN or code."""
    return desk.sealed()[f"openpgp/{name}"].decode()


@pytest.mark.parametrize("model", ALL)
def test_pins_are_those_in_escrow(model: str, tmp_path: Path) -> None:
    """User PIN, admin PIN and reset code are the sealed ones, with the tries of the profile."""
    desk = Desk(tmp_path, model)
    entry = desk.run(SETTINGS)
    assert {step["state"] for step in entry["steps"]} == {"match"}
    session = OpenPgpSession(desk.connect())
    status = session.get_pin_status()
    assert (status.attempts_user, status.attempts_reset, status.attempts_admin) == (6, 5, 4)
    assert status.pin_policy_user is PIN_POLICY.ALWAYS
    user, admin, code = (secret(desk, name) for name in ("user-pin", "admin-pin", "reset-code"))
    assert [len(one) for one in (user, admin, code)] == [8, 10, 9]
    session.verify_admin(admin)
    session.verify_pin(user)
    session.reset_pin("87654321", code)
    session.verify_pin("87654321", extended=True)
    for factory, verify in (("123456", session.verify_pin), ("12345678", session.verify_admin)):
        with pytest.raises(InvalidPinError):
            verify(factory)


def test_each_pin_goes_to_its_custodian(tmp_path: Path) -> None:
    """The help desk has user PIN and reset code, the administrators have the admin PIN."""
    desk = Desk(tmp_path, "yubikey-5.7.4")
    desk.run(SETTINGS)
    assert set(desk.sealed(Purpose.HELP_DESK)) == {"openpgp/user-pin", "openpgp/reset-code"}
    assert set(desk.sealed(Purpose.TOKEN_ADMINISTRATION)) == {"openpgp/admin-pin"}


def test_the_cardholder_is_written_and_not_in_the_entry(tmp_path: Path) -> None:
    """What names the holder stands on the card; the entry says that it does."""
    desk = Desk(tmp_path, "yubikey-5.7.4")
    steps = {step["id"]: step["facts"] for step in desk.run(SETTINGS)["steps"]}
    objects = desk.token.dump()["applets"]["openpgp"]["objects"]
    assert bytes.fromhex(objects["005b"]) == b"Ada Example"
    assert bytes.fromhex(objects["005e"]) == b"ada@corp.example.test"
    assert bytes.fromhex(objects["5f2d"]) == b"deen"
    assert bytes.fromhex(objects["5f50"]) == b"https://keys.example.test/ada"
    assert steps["openpgp/name"] == steps["openpgp/login"] == {"set": True}
    assert steps["openpgp/language"] == {"text": "deen"}
    assert steps["openpgp/url"] == {"text": "https://keys.example.test/ada"}


@pytest.mark.parametrize("model", CURVES)
def test_keys_are_generated_named_and_attested(model: str, tmp_path: Path) -> None:
    """Each key is of its algorithm and touch policy, and its attestation is kept as evidence."""
    desk = Desk(tmp_path, model)
    steps = {step["id"]: step for step in desk.run(SETTINGS + KEYS)["steps"]}
    session = OpenPgpSession(desk.connect())
    state = session.get_application_related_data().discretionary
    assert [state.get_uif(slot) for slot in SLOTS] == [UIF.CACHED, UIF.OFF, UIF.CACHED_FIXED]
    curves = [getattr(state.get_algorithm_attributes(slot), "oid", None) for slot in SLOTS]
    assert curves == [OID.Ed25519, OID.X25519, OID.SECP384R1]
    for slot in SLOTS:
        step = steps[f"openpgp/{slot.name.lower()}/key"]
        public = session.get_public_key(slot).public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )
        assert step["facts"]["publicKey"] == hashlib.sha256(public).hexdigest()
        assert step["facts"]["fingerprint"] == state.fingerprints[slot].hex()
        assert step["facts"]["time"] == state.generation_times[slot]
        assert step["facts"]["attestation"]["serial"] == str(desk.token.body.serial)
        assert step["facts"]["attestation"]["anchorKind"] == "virtual"
        leaf, device = (desk.blob(one["sha256"]) for one in step["evidence"])
        certificate = x509.load_der_x509_certificate(leaf)
        certificate.verify_directly_issued_by(x509.load_der_x509_certificate(device))
        form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        assert certificate.public_key().public_bytes(*form) == public
    session.verify_pin(secret(desk, "user-pin"))
    key = session.get_public_key(KEY_REF.SIG)
    assert isinstance(key, ed25519.Ed25519PublicKey)
    key.verify(session.sign(b"a message", hashes.SHA256()), b"a message")


@pytest.mark.parametrize("model", ["yubikey-4.3.7", "yubikey-5.7.4"])
def test_rsa_keys(model: str, tmp_path: Path) -> None:
    """An RSA key signs; where the firmware attests nothing, the entry says so."""
    desk = Desk(tmp_path, model)
    step = desk.run(RSA)["steps"][-1]
    assert step.get("unread") == (["attestation"] if model == "yubikey-4.3.7" else None)
    session = OpenPgpSession(desk.connect())
    session.verify_pin(secret(desk, "user-pin"))
    key = session.get_public_key(KEY_REF.SIG)
    assert isinstance(key, rsa.RSAPublicKey)
    signature = session.sign(b"a message", hashes.SHA256())
    key.verify(signature, b"a message", padding.PKCS1v15(), hashes.SHA256())
    assert session.get_uif(KEY_REF.SIG) is UIF.ON


def test_a_token_without_its_attestation_certificate(tmp_path: Path) -> None:
    """Where it was deleted nothing is attested: refused if required, and else said to be unread."""
    desk = Desk(tmp_path, "yubikey-5.7.4")
    session = OpenPgpSession(desk.connect())
    session.verify_admin("12345678")
    session.delete_certificate(KEY_REF.ATT)
    with pytest.raises(NotSupported, match="no attestation certificate"):
        desk.run(SETTINGS + KEYS)
    OpenPgpSession(desk.connect()).verify_pin("123456")  # nothing was written
    other = Desk(tmp_path / "other", "yubikey-5.7.4", serial=28557047)
    session = OpenPgpSession(other.connect())
    session.verify_admin("12345678")
    session.delete_certificate(KEY_REF.ATT)
    assert other.run(RSA)["steps"][-1]["unread"] == ["attestation"]


def test_a_plan_writes_nothing(tmp_path: Path) -> None:
    """Looking at a fresh token changes nothing in it, tries included."""
    desk = Desk(tmp_path, "yubikey-5.7.4")
    desk.plan(SETTINGS + KEYS)  # the attestation key is made when first asked for
    before = desk.token.dump()
    plan = desk.plan(SETTINGS + KEYS)
    assert not plan.refused
    assert {step.verdict for step in plan.steps} == {"write"}
    assert desk.token.dump() == before


@pytest.mark.parametrize(
    "what", ["key", "imported", "certificate", "name", "admin pin", "user pin", "reset code"]
)
def test_somebody_elses_is_refused(what: str, tmp_path: Path) -> None:
    """A key, a name, a PIN or a reset code of somebody's: nothing is written."""
    desk = Desk(tmp_path, "yubikey-5.7.4")
    session = OpenPgpSession(desk.connect())
    session.verify_admin("12345678")
    match what:
        case "key":
            session.generate_rsa_key(KEY_REF.AUT, RSA_SIZE.RSA2048)
        case "imported":
            session.put_key(KEY_REF.DEC, ec.generate_private_key(ec.SECP256R1()))
        case "certificate":
            session.put_certificate(KEY_REF.SIG, session.get_certificate(KEY_REF.ATT))
        case "name":
            session.protocol.send_apdu(0, 0xDA, 0, 0x5B, b"Somebody")
        case "admin pin":
            session.change_admin("12345678", "87654321")
        case "user pin":
            session.change_pin("123456", "654321")
        case "reset code":
            session.set_reset_code("12345678")
    for _ in range(2):
        assert desk.plan(SETTINGS + KEYS).refused
    before = desk.token.dump()
    with pytest.raises(TokenConflict, match="OpenPGP"):
        desk.run(SETTINGS + KEYS)
    assert desk.token.dump() == before
    status = OpenPgpSession(desk.connect()).get_pin_status()
    assert status.attempts_user >= 2
    assert status.attempts_admin >= 2


def test_cut_after_any_command_the_same_run_finishes(tmp_path: Path) -> None:
    """After any command that writes or tries a PIN; run again, and what is sealed works."""
    profile = SETTINGS + KEYS.partition('[[openpgp.keys]]\nslot = "dec"')[0]
    whole = Desk(tmp_path / "whole", "yubikey-5.7.4")
    whole.run(profile)
    at, seen = [], set()
    for number, command in sent_to(OPENPGP, whole.commands):
        if command[1] not in (0xCA, 0xC0, 0xF1, 0xA5) and command[:3] != b"\0\x47\x81":
            if command[1] != 0x20 or command[:4] not in seen:  # one try of each PIN will do
                at.append(number)
            seen.add(command[:4])
    assert len(at) > 15
    for number in at:
        desk = Desk(tmp_path / str(number), "yubikey-5.7.4")
        with pytest.raises(Cut):
            desk.run(profile, cut=(number, True))
        steps = desk.run(profile)["steps"]
        assert {step["state"] for step in steps} == {"match"}
        session = OpenPgpSession(desk.connect())
        session.verify_admin(secret(desk, "admin-pin"))
        session.verify_pin(secret(desk, "user-pin"))
        session.reset_pin("87654321", secret(desk, "reset-code"))


def test_a_key_that_was_replaced_is_found_out(tmp_path: Path) -> None:
    """Between two runs somebody put another key there and named it: a conflict."""
    whole = Desk(tmp_path / "whole", "yubikey-5.7.4")
    whole.run(SETTINGS + KEYS)
    attested = next(n for n, one in enumerate(whole.commands) if one[:2] == b"\x80\xfb")
    desk = Desk(tmp_path / "desk", "yubikey-5.7.4")
    with pytest.raises(Cut):
        desk.run(SETTINGS + KEYS, cut=(attested, False))
    session = OpenPgpSession(desk.connect())
    session.verify_admin(secret(desk, "admin-pin"))
    session.generate_rsa_key(KEY_REF.SIG, RSA_SIZE.RSA2048)
    session.set_fingerprint(KEY_REF.SIG, bytes(range(20)))
    with pytest.raises(TokenConflict, match="fingerprint that is not ours"):
        desk.run(SETTINGS + KEYS)
