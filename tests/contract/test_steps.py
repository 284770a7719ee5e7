"""The contract of the steps of the standard profile, on every model that claims them.

Each test is on a token of its own in the one reader and looks at it through the maker's library,
so that a real token can stand in the virtual one's place.
"""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

import pytest
from yubikit.piv import MANAGEMENT_KEY_TYPE, PivSession
from yubikit.yubiotp import SLOT as OTP_SLOT
from yubikit.yubiotp import YubiOtpSession

from tests.contract.conftest import MODELS
from tests.stations import STANDARD, Station
from tests.token_under_test import Ins, TokenUnderTest, Wire

PIV_AND_OTP = """name = "piv-and-otp"
description = "What a token without FIDO2 can be issued with"

[piv]
pin = { length = 8, retries = 8 }
puk = { length = 8, retries = 5 }
management-key = { algorithm = "auto" }
chuid = true
ccc = true

[[piv.keys]]
slot = "9a"
algorithm = "eccp256"
pin-policy = "once"
touch-policy = "cached"
attestation = "required"

[piv.keys.certificate]
issuer = "local"
days = 365
subject = "{holder.name}"
usages = ["client-auth"]

[otp.slot1]
kind = "yubico-otp"
replace-factory = true
access-code = true

[otp.slot2]
kind = "hmac-sha1"
access-code = true
"""

PIV_STEPS = (
    *("piv/tries", "piv/pin", "piv/puk", "piv/management-key", "piv/chuid", "piv/ccc"),
    *("piv/9a/key", "piv/9a/certificate"),
)
OTP_STEPS = ("otp/1", "otp/2")
FIDO2_STEPS = ("fido2/pin", "fido2/credential/login.example.test", "fido2/force-pin-change")
EVERY_MODEL = pytest.mark.parametrize("token", [*MODELS, "yubikey-4.3.7"], indirect=True)


@pytest.fixture
def profile(token: TokenUnderTest, tmp_path: Path) -> str | Path:
    """The standard profile, or as much of it as a token without FIDO2 can take."""
    if token.firmware >= (5, 0, 0):
        return STANDARD
    path = tmp_path / "piv-and-otp.toml"
    path.write_text(PIV_AND_OTP, encoding="utf-8")
    return path


def steps_of(token: TokenUnderTest) -> list[str]:
    """The steps of the profile that this token gets."""
    return [*OTP_STEPS, *PIV_STEPS, *(FIDO2_STEPS if token.firmware >= (5, 0, 0) else ())]


@EVERY_MODEL
def test_plan_says_all_and_changes_nothing(
    station: Station, token: TokenUnderTest, profile: str, wire: Wire
) -> None:
    """The dry run of a fresh token lists what would be written, and writes nothing at all."""
    before = token.state()
    wire.clear()
    said = station.tell("plan", station.roster(), "--profile", profile, "--json")
    assert said.code == 0, said.err
    assert wire.commands
    assert wire.writes == []
    assert token.state() == before
    verdicts = {step["step"]: step["verdict"] for step in said.document["steps"]}
    assert list(verdicts) == steps_of(token)
    can_force = token.firmware >= (5, 7, 0)
    assert [step for step, verdict in verdicts.items() if verdict != "write"] == (
        [] if can_force or token.firmware < (5, 0, 0) else ["fido2/force-pin-change"]
    )


@EVERY_MODEL
def test_the_token_holds_what_was_sealed_and_recorded(
    station: Station, token: TokenUnderTest, profile: str
) -> None:
    """After the run each sealed secret works on the token, and each step was read back."""
    said = station.tell(*station.batch(profile=profile))
    assert said.code == 0, said.out + said.err
    entry = station.entry_of(token.serial)
    states = {step["id"]: step["state"] for step in entry["steps"]}
    assert list(states) == steps_of(token)
    assert set(states.values()) - {"match"} <= {"skipped"}
    assert entry["token"]["firmware"] == ".".join(map(str, token.firmware))
    assert station.tell("manifest", "verify").code == 0

    secrets = station.secrets(token.serial)
    with token.connection() as connection:
        piv = PivSession(connection)
        piv.authenticate(bytes.fromhex(secrets["piv/management-key"]))
        tdes_only = token.firmware < (5, 4, 2)
        wanted = MANAGEMENT_KEY_TYPE.TDES if tdes_only else MANAGEMENT_KEY_TYPE.AES192
        assert piv.management_key_type is wanted
        piv.verify_pin(secrets["piv/pin"])
        piv.change_puk(secrets["piv/puk"], secrets["piv/puk"])
        challenge = bytes(range(32))
        response = YubiOtpSession(connection).calculate_hmac_sha1(OTP_SLOT.TWO, challenge)
        seed = bytes.fromhex(secrets["otp/2/seed"])
        assert response == hmac.digest(seed, challenge, hashlib.sha1)


@EVERY_MODEL
def test_an_issued_token_is_only_recognised(
    station: Station, token: TokenUnderTest, profile: str, wire: Wire
) -> None:
    """The same command again identifies the token, sends it nothing else, and adds no entry."""
    assert station.tell(*station.batch(profile=profile)).code == 0
    before, entries = token.state(), station.entries()
    wire.clear()
    said = station.tell(*station.batch(profile=profile))
    assert said.code == 0, said.err
    assert "was issued to Ada Okonkwo" in said.only("TokenReady")["reason"]
    assert set(wire.instructions) == {Ins.SELECT, Ins.READ_DEVICE_CONFIG}
    assert token.state() == before
    assert station.entries() == entries


@EVERY_MODEL
def test_a_plan_for_an_issued_token_is_refused(
    station: Station, token: TokenUnderTest, profile: str, wire: Wire
) -> None:
    """A dry run says whose the token is, and touches nothing in it."""
    assert station.tell(*station.batch(profile=profile)).code == 0
    before = token.state()
    wire.clear()
    said = station.tell("plan", station.roster(), "--profile", profile, "--json")
    assert said.code == 4
    assert "Ada Okonkwo" in said.err
    assert wire.writes == []
    assert token.state() == before
