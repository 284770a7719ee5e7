"""The FIDO2 settings of a profile, on every model that claims them and where a model has none.

What the token then holds is read by the maker's library, as a real token's would be.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fido2.ctap import CtapError
from fido2.ctap2.base import Ctap2
from fido2.ctap2.credman import CredentialManagement
from fido2.ctap2.pin import ClientPin
from fido2.utils import sha256
from yubikit.core.fido import SmartCardCtapDevice

from tests.in_process import Cut, Desk
from tokenprov.errors import TokenConflict
from tokenprov.secret import LETTERS_AND_DIGITS, weakness

NEW = ("yubikey-5.7.4", "yubikey-5.7.4-fips")
OLD = ("yubikey-5.4.3", "yubikey-5.2.7", "yubikey-5.4.3-fips")
EVERYTHING = """
[fido2]
pin = { length = 10, alphabet = "letters-and-digits", force-change = "required" }
minimum-pin-length = { length = 8, rp-ids = ["login.example.test"] }
always-uv = "required"
enterprise-attestation = "required"

[[fido2.credentials]]
rp-id = "login.example.test"
rp-name = "Example Login"
user-name = "{holder.upn}"
protection = "required"
hmac-secret = "required"
enterprise = true

[[fido2.credentials]]
rp-id = "mail.example.test"
rp-name = "Example Mail"
user-name = "{holder.email}"
protection = "optional-with-id-list"
"""
IF_SUPPORTED = """
[fido2]
pin = { length = 8, force-change = "if-supported", complexity = "if-supported" }
minimum-pin-length = { length = 8, support = "if-supported" }
always-uv = "if-supported"
enterprise-attestation = "if-supported"

[[fido2.credentials]]
rp-id = "login.example.test"
rp-name = "Example Login"
user-name = "{holder.upn}"
hmac-secret = "if-supported"
"""
STEPS = (
    *("fido2/pin", "fido2/minimum-pin-length", "fido2/enterprise-attestation", "fido2/always-uv"),
    *("fido2/credential/login.example.test", "fido2/credential/mail.example.test"),
    "fido2/force-pin-change",
)
SETTINGS = ("minimum-pin-length", "enterprise-attestation", "always-uv", "force-pin-change")
TIMES_OF_CONFIG = 4  # one write each: length and readers, enterprise, alwaysUv, forced change


def steps_of(entry: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The steps of an entry by their names."""
    return {step["id"]: step for step in entry["steps"]}


def authenticator(desk: Desk) -> Ctap2:
    """The token in the hands of the maker's library."""
    return Ctap2(SmartCardCtapDevice(desk.connect()))


CHAINED = 0x10  # of the class byte: the message goes on (ISO/IEC 7816-4, 5.4.1)
WRITES = {Ctap2.CMD.MAKE_CREDENTIAL, Ctap2.CMD.CONFIG}


def messages(desk: Desk) -> list[tuple[int, bytes]]:
    """The CTAP messages of the last run: the number of the command that ends each, and its bytes.

    A message that is chained is here by its first part.
    """
    found: list[tuple[int, bytes]] = []
    part = b""
    for number, apdu in enumerate(desk.commands):
        if apdu[0] & 0x80 and apdu[1] == 0x10:
            part = part or apdu[7 if apdu[4] == 0 else 5 :]
            if not apdu[0] & CHAINED:
                found.append((number, part))
                part = b""
    return found


def is_write(message: bytes) -> bool:
    """Whether a message changes the token; of clientPIN, by the subcommand (CTAP 2.1, 6.5.5)."""
    if message[0] == Ctap2.CMD.CLIENT_PIN:  # {1: protocol, 2: subcommand, …}
        return message[5] == ClientPin.CMD.SET_PIN
    return message[0] in WRITES


def ctap_writes(desk: Desk, command: int) -> int:
    """How often the last run sent a CTAP command."""
    return sum(message[0] == command for _, message in messages(desk))


def with_credentials(desk: Desk, taken: int) -> None:
    """Leave that many discoverable credentials of others on the token, without a PIN."""
    fido = desk.token.applet("fido2")
    state = fido.dump()
    one = {
        **{"rp_id_hash": "00" * 32, "algorithm": -7, "protection": 1, "blob": "", "created": 1},
        **{"hmac_secret": False, "large_blob_key": False, "rp_id": "x.test", "user_name": None},
        "user_display_name": None,
    }
    state["credentials"] = [
        {**one, "id": f"{number:064x}", "user_id": f"{number:04x}"} for number in range(taken)
    ]
    fido.load(state)


@pytest.mark.parametrize("model", NEW)
def test_every_setting_is_on_the_token_and_in_the_record(tmp_path: Path, model: str) -> None:
    """The maker's library finds on the token what the manifest says, and the sealed PIN works."""
    desk = Desk(tmp_path, model)
    entry = desk.run(EVERYTHING)
    steps = steps_of(entry)
    assert tuple(steps) == STEPS
    assert {step["state"] for step in steps.values()} == {"match"}
    info = authenticator(desk).info
    assert info.options["alwaysUv"] is True
    assert info.options["ep"] is True
    assert info.min_pin_length == steps["fido2/minimum-pin-length"]["facts"]["length"] == 8
    assert info.force_pin_change
    assert "U2F_V2" not in info.versions
    assert steps["fido2/always-uv"]["facts"] == {"alwaysUv": True, "u2f": False}
    assert steps["fido2/minimum-pin-length"]["unread"] == ["relying parties that may read it"]

    login = steps["fido2/credential/login.example.test"]["facts"]
    assert login["attestation"]["serial"] == entry["token"]["serial"]
    assert login["attestation"]["aaguid"] == str(info.aaguid)
    assert (login["protection"], login["hmacSecret"], login["minimumPinLength"]) == (3, True, 8)
    mail = steps["fido2/credential/mail.example.test"]["facts"]
    assert mail["protection"] == 2
    assert "serial" not in mail["attestation"]
    assert "minimumPinLength" not in mail

    pin = desk.sealed()["fido2/pin"].decode()
    assert len(pin) == 10
    assert set(pin) <= set(LETTERS_AND_DIGITS)
    assert weakness(pin) is None
    client = ClientPin(authenticator(desk))
    with pytest.raises(CtapError) as forced:
        client.get_pin_token(pin, ClientPin.PERMISSION.CREDENTIAL_MGMT)
    assert forced.value.code == CtapError.ERR.PIN_POLICY_VIOLATION
    client.change_pin(pin, "the holder's own")
    ctap = authenticator(desk)
    client = ClientPin(ctap)
    token = client.get_pin_token("the holder's own", ClientPin.PERMISSION.CREDENTIAL_MGMT)
    manager = CredentialManagement(ctap, client.protocol, token)
    (found,) = manager.enumerate_creds(sha256(b"login.example.test"))
    assert found[CredentialManagement.RESULT.CRED_PROTECT] == 3


def test_each_setting_is_one_write(tmp_path: Path) -> None:
    """Settings share one PIN token, and each is written once; alwaysUv that is on is left so."""
    desk = Desk(tmp_path, "yubikey-5.7.4")
    desk.run(EVERYTHING)
    assert ctap_writes(desk, Ctap2.CMD.CONFIG) == TIMES_OF_CONFIG
    assert ctap_writes(desk, Ctap2.CMD.MAKE_CREDENTIAL) == 2
    fips = Desk(tmp_path / "fips", "yubikey-5.7.4-fips")
    assert authenticator(fips).info.options["alwaysUv"] is True
    fips.run(EVERYTHING)
    assert ctap_writes(fips, Ctap2.CMD.CONFIG) == TIMES_OF_CONFIG - 1


@pytest.mark.parametrize("model", [*NEW, *OLD])
def test_what_a_model_lacks_is_left_out_and_said(tmp_path: Path, model: str) -> None:
    """With if-supported every model is issued; what was left out is recorded with its reason."""
    desk = Desk(tmp_path, model)
    steps = steps_of(desk.run(IF_SUPPORTED))
    info = authenticator(desk).info
    assert info.options["clientPin"] is True
    assert steps["fido2/credential/login.example.test"]["facts"]["hmacSecret"] is True
    for name in SETTINGS:
        step = steps[f"fido2/{name}"]
        assert step["state"] == ("match" if model in NEW else "skipped"), name
        assert bool(step.get("reason")) == (model not in NEW)
    complexity = steps["fido2/pin-complexity"]
    assert complexity["state"] == ("match" if model == "yubikey-5.7.4-fips" else "skipped")


@pytest.mark.parametrize("model", OLD)
def test_what_must_be_and_cannot_is_refused_before_a_write(tmp_path: Path, model: str) -> None:
    """A required setting that the token lacks refuses the whole token; it stays as it was."""
    desk = Desk(tmp_path, model)
    before = desk.token.applet("fido2").dump()
    with pytest.raises(TokenConflict, match="cannot demand the PIN for every use"):
        desk.run('[fido2]\nalways-uv = "required"\npin = { force-change = "no" }\n')
    assert desk.token.applet("fido2").dump() == before
    assert desk.finger.asked == []


@pytest.mark.parametrize(
    ("model", "profile", "reason"),
    [
        ("yubikey-5.7.4", 'aaguids = ["2fc0579f-8113-47ea-b116-bb5a8db9202a"]', "not on the"),
        ("yubikey-5.7.4-fips", "pin = { length = 6 }", "PINs of 8 to 63 characters"),
        (
            "yubikey-5.7.4",
            'minimum-pin-length = { length = 6, rp-ids = ["a.test", "b.test"] }',
            "keeps 1 relying parties",
        ),
    ],
)
def test_policy_is_checked_before_anything_is_drawn(
    tmp_path: Path, model: str, profile: str, reason: str
) -> None:
    """AAGUID, least length and readers are compared with getInfo; nothing is sealed or touched."""
    desk = Desk(tmp_path, model)
    with pytest.raises(TokenConflict, match=reason):
        desk.run(f"[fido2]\n{profile}\n")
    assert desk.sealed() == {}
    assert desk.finger.asked == []


def test_a_listed_authenticator_passes(tmp_path: Path) -> None:
    """The AAGUID is compared as a number, however the profile writes it."""
    desk = Desk(tmp_path, "yubikey-5.7.4")
    desk.run('[fido2]\naaguids = ["A25342C03CDC44148E46F4807FCA511C"]\n')
    assert authenticator(desk).info.options["clientPin"] is True


@pytest.mark.parametrize(
    ("model", "capacity", "sealed"), [("yubikey-5.7.4", 100, 0), ("yubikey-5.4.3", 25, 1)]
)
def test_room_is_checked_before_the_first_touch(
    tmp_path: Path, model: str, capacity: int, sealed: int
) -> None:
    """Where two are to be made and one fits, none is made, and the error says how many fit.

    A token that tells its room only by PIN has one by then; no touch was asked for either way.
    """
    desk = Desk(tmp_path, model)
    with_credentials(desk, capacity - 1)
    profile = EVERYTHING[EVERYTHING.index("[[") :].replace("enterprise = true", "")
    with pytest.raises(TokenConflict, match="room for 1 more discoverable credential on it, and 2"):
        desk.run(f'[fido2]\npin = {{ force-change = "no" }}\n{profile}')
    assert desk.finger.asked == []
    assert len(desk.sealed()) == sealed


def test_the_last_room_is_used(tmp_path: Path) -> None:
    """Credentials that just fit are made, also when the run is cut after making the last one."""
    desk = Desk(tmp_path, "yubikey-5.7.4")
    with_credentials(desk, 98)
    trial = Desk(tmp_path / "trial", "yubikey-5.7.4")
    trial.run(EVERYTHING)
    numbers = [n for n, sent in messages(trial) if sent[0] == Ctap2.CMD.MAKE_CREDENTIAL]
    with pytest.raises(Cut):
        desk.run(EVERYTHING, cut=(numbers[-1], True))
    assert authenticator(desk).info.remaining_disc_creds == 0
    assert {step["state"] for step in steps_of(desk.run(EVERYTHING)).values()} == {"match"}


@pytest.mark.parametrize("model", [NEW[0], OLD[0]])
def test_cut_before_or_after_any_command_it_finishes(tmp_path: Path, model: str) -> None:
    """Power fails at any command; run again, the token is issued once with what was sealed."""
    profile = EVERYTHING if model in NEW else IF_SUPPORTED
    whole = Desk(tmp_path / "whole", model)
    whole.run(profile)
    sent = messages(whole)
    writes = {number for number, message in sent if is_write(message)}
    assert len(writes) == (7 if model in NEW else 2)
    sample = {number for number, _ in sent[::12]}
    for number in sorted(writes | sample):
        for carried_out in (False, True) if number in writes else (False,):
            folder = tmp_path / f"{number}-{carried_out}"
            _cut_and_finished(folder, model, profile, number, carried_out)


def _cut_and_finished(
    folder: Path, model: str, profile: str, number: int, carried_out: bool
) -> None:
    desk = Desk(folder, model)
    with pytest.raises(Cut):
        desk.run(profile, cut=(number, carried_out))
    held = desk.token.applet("fido2").dump()["pin_hash"]
    if held is not None:
        assert held == sha256(desk.sealed()["fido2/pin"])[:16].hex()
    steps = steps_of(desk.run(profile))
    assert {step["state"] for step in steps.values()} <= {"match", "skipped"}
    state = desk.token.applet("fido2").dump()
    assert state["pin_hash"] == sha256(desk.sealed()["fido2/pin"])[:16].hex()
    assert state["always_uv"] is (model in NEW)
    assert len(state["credentials"]) == (2 if model in NEW else 1)
