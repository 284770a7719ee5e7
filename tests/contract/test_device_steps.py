"""The device steps on every model that claims them, judged by the maker's library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from yubikit.core import TRANSPORT
from yubikit.core.smartcard import ApduError
from yubikit.management import CAPABILITY, DEVICE_FLAG, DeviceConfig, DeviceInfo, ManagementSession

from tests.in_process import Cut, Desk, Line
from tokenprov.audit import audit
from tokenprov.errors import AuthenticationFailed, NotSupported, TokenConflict
from tokenprov.model import Purpose
from tokenprov.plan import Plan

MODELS = ("yubikey-5.7.4", "yubikey-5.4.3", "yubikey-5.2.7", "yubikey-5.7.4-fips")
WRITE = 0x1C  # the management applet's one write
CCID_BIT = CAPABILITY(0x04)  # no application: it is on where there is a smart card
PROFILE = """[device]
usb = ["otp", "fido2", "piv"]
nfc = ["fido2"]
challenge-response-timeout = 30
remote-wakeup = true
lock-code = true
[piv]
"""
SMART_CARD = """[device]
usb = ["piv"]
touch-eject = true
auto-eject-timeout = 300
"""


@pytest.fixture(params=MODELS)
def desk(tmp_path: Path, request: pytest.FixtureRequest) -> Desk:
    """A station with a fresh token of each model."""
    return Desk(tmp_path, request.param)


@pytest.fixture
def new(tmp_path: Path) -> Desk:
    """A station with a fresh token of the newest firmware."""
    return Desk(tmp_path, "yubikey-5.7.4")


def info(desk: Desk) -> DeviceInfo:
    """What the token says of itself."""
    return ManagementSession(desk.connect()).read_device_info()


def configure(desk: Desk, config: DeviceConfig | None = None, **codes: bytes) -> None:
    """Write the configuration as somebody else would."""
    ManagementSession(desk.connect()).write_device_config(config, **codes)


def device_writes(desk: Desk) -> list[bytes]:
    """The device writes of the last run."""
    return [apdu for apdu in desk.commands if apdu[1] == WRITE]


def verdicts(plan: Plan) -> dict[str, str]:
    """What the plan would do, by step."""
    return {one.step.id: one.verdict for one in plan.steps}


def facts(entry: dict[str, Any], step: str) -> dict[str, Any]:
    """What an entry says of a step."""
    (found,) = (one["facts"] for one in entry["steps"] if one["id"] == step)
    return dict(found)


def test_all_of_it_in_one_write(desk: Desk) -> None:
    """One write for the configuration and one for the lock code; nothing else changes."""
    before = info(desk).config
    entry = desk.run(PROFILE)
    assert len(device_writes(desk)) == 2
    on = CAPABILITY.OTP | CAPABILITY.FIDO2 | CAPABILITY.PIV
    after = info(desk)
    enabled = after.config.enabled_capabilities
    assert enabled[TRANSPORT.USB] & ~CCID_BIT == on
    for transport, bits in before.enabled_capabilities.items():
        assert enabled[transport] & CCID_BIT == bits & CCID_BIT
    assert enabled[TRANSPORT.NFC] & ~CCID_BIT == CAPABILITY.FIDO2
    assert after.config.challenge_response_timeout == 30
    assert after.config.device_flags == DEVICE_FLAG.REMOTE_WAKEUP
    assert after.config.auto_eject_timeout == before.auto_eject_timeout
    assert after.is_locked
    assert facts(entry, "device/configuration") == {
        "usb": ["otp", "fido2", "piv"],
        "nfc": ["fido2"],
        "challengeResponseTimeout": 30,
        "remoteWakeup": True,
    }


def test_plan_says_it_and_writes_nothing(new: Desk) -> None:
    """The dry run of a fresh token would write both steps, and sends no write."""
    before = new.token.dump()["applets"]["management"]
    plan = new.plan(PROFILE)
    assert {verdicts(plan)[step] for step in ("device/configuration", "device/lock-code")} == {
        "write"
    }
    assert device_writes(new) == []
    assert new.token.dump()["applets"]["management"] == before


def test_what_is_as_it_should_be_is_left(desk: Desk, tmp_path: Path) -> None:
    """A token that somebody configured so already gets no write, and the entry says the same."""
    profile = PROFILE.replace("lock-code = true", "lock-code = false")
    entry = desk.run(profile)
    assert len(device_writes(desk)) == 1
    again = desk.anew(tmp_path / "again")
    assert again.token.device is not None
    assert desk.token.device is not None
    again.token.device.load(desk.token.device.dump())
    configured = facts(again.run(profile), "device/configuration")
    assert device_writes(again) == []
    assert configured == facts(entry, "device/configuration")


def test_the_lock_code_is_the_sealed_one(desk: Desk) -> None:
    """Nobody changes the configuration without it; its custodian's copy opens it."""
    desk.run(PROFILE)
    with pytest.raises(ApduError):
        configure(desk, DeviceConfig(challenge_response_timeout=20))
    code = desk.sealed(Purpose.TOKEN_ADMINISTRATION)["device/lock-code"]
    assert len(code) == 16
    configure(desk, DeviceConfig(challenge_response_timeout=20), cur_lock_code=code)
    assert info(desk).config.challenge_response_timeout == 20


def test_a_locked_token_is_somebodys(new: Desk) -> None:
    """It is refused, unchanged, and its inventory says why."""
    configure(new, new_lock_code=bytes(range(16)))
    with pytest.raises(TokenConflict, match="behind a lock code"):
        new.run(PROFILE)
    assert device_writes(new) == []
    inventory = new.plan(PROFILE).inventory
    assert inventory.facts["device"]["lockCode"] is True
    assert inventory.used == ("its device configuration is behind a lock code",)


def test_applications_that_are_off_are_listed_and_their_owner_is_asked(new: Desk) -> None:
    """What the profile sets cannot be looked at where it is off: the token is refused."""
    on = info(new).supported_capabilities[TRANSPORT.USB] & ~CAPABILITY.PIV
    configure(new, DeviceConfig(enabled_capabilities={TRANSPORT.USB: on}))
    inventory = new.plan("[device]\nlock-code = true").inventory
    assert inventory.facts["device"]["off"]["usb"] == ["piv"]
    assert inventory.used == ()
    with pytest.raises(NotSupported, match="PIV is missing or switched off"):
        new.run(PROFILE)
    assert device_writes(new) == []


def test_a_smart_card_that_ejects_itself(new: Desk) -> None:
    """Flag and timeout are set with the interfaces, and the flag comes off again."""
    entry = new.run(SMART_CARD)
    config = info(new).config
    assert config.device_flags == DEVICE_FLAG.EJECT
    assert config.auto_eject_timeout == 300
    assert facts(entry, "device/configuration") == {
        "usb": ["piv"],
        "touchEject": True,
        "autoEjectTimeout": 300,
    }


def test_flags_that_are_set_come_off(new: Desk) -> None:
    """A flag that the profile wants off is taken off, and the other one stays."""
    both = DEVICE_FLAG.EJECT | DEVICE_FLAG.REMOTE_WAKEUP
    configure(new, DeviceConfig(device_flags=both))
    new.run("[device]\ntouch-eject = false")
    assert info(new).config.device_flags == DEVICE_FLAG.REMOTE_WAKEUP


def test_nfc_is_restricted_until_power(new: Desk) -> None:
    """It is on when the token is issued, and off when the holder has plugged it in."""
    entry = new.run("[device]\nnfc-restricted = true\nlock-code = true")
    assert facts(entry, "device/nfc-restricted") == {"nfcRestricted": True}
    assert info(new).config.nfc_restricted
    assert [one["id"] for one in entry["steps"]] == ["device/nfc-restricted", "device/lock-code"]
    new.token.plug()
    assert not info(new).config.nfc_restricted


def test_what_the_hardware_has_not_is_a_conflict(tmp_path: Path) -> None:
    """A token without an application that should be on is refused before anything is written."""
    desk = Desk(tmp_path, "yubikey-5.2.7")
    with pytest.raises(TokenConflict, match="it has no hsmauth over USB"):
        desk.run('[device]\nusb = ["piv", "hsmauth"]')
    assert device_writes(desk) == []


def test_the_last_interface_of_this_token_stays_on(tmp_path: Path) -> None:
    """On hardware that has none of the listed applications the plan refuses, too."""
    desk = Desk(tmp_path, "yubikey-5.2.7")
    plan = desk.plan('[device]\nusb = ["hsmauth"]')
    assert verdicts(plan) == {"device/configuration": "refuse"}


def test_over_nfc_what_is_set_there_stays_on(new: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A station at a contactless reader does not switch off what it is about to set."""
    monkeypatch.setattr(Line, "transport", TRANSPORT.NFC)
    with pytest.raises(TokenConflict, match="the station works over NFC, where piv would be off"):
        new.run('[device]\nnfc = ["fido2"]\n[piv]\n')
    with pytest.raises(TokenConflict, match="the station works over NFC, which it would not reach"):
        new.run("[device]\nnfc-restricted = true")
    assert device_writes(new) == []


def test_a_foreign_lock_code_after_ours_was_promised(new: Desk, tmp_path: Path) -> None:
    """A token that was locked by somebody in between is not taken for ours."""
    section = "[device]\nlock-code = true"
    trial = new.anew(tmp_path / "trial")
    trial.run(section)
    (number,) = (n for n, apdu in enumerate(trial.commands) if apdu[1] == WRITE)
    with pytest.raises(Cut):
        new.run(section, cut=(number, False))
    configure(new, new_lock_code=bytes(range(16)))
    with pytest.raises(AuthenticationFailed, match="a lock code that is not ours"):
        new.run(section)


def test_an_audit_tells_drift_and_what_it_cannot_see(new: Desk) -> None:
    """Another configuration and a lock code that is gone are drift; restricted NFC is no more."""
    section = '[device]\nusb = ["piv", "otp"]\nnfc-restricted = true\nlock-code = true\n[piv]\n'
    new.run(section)
    new.token.plug()

    def standing() -> dict[str, tuple[str, str]]:
        home = new.home
        found = audit(home, new.yubikey(Line(new.token)))
        home.ledger.close()
        return {one.id: (str(one.standing), one.reason) for one in found.settings}

    before = standing()
    assert before["device/configuration"] == ("same", "")
    assert before["device/nfc-restricted"][0] == "same"
    assert before["device/lock-code"] == ("unknown", "whose lock code it is cannot be read")
    code = new.sealed(Purpose.TOKEN_ADMINISTRATION)["device/lock-code"]
    both = CAPABILITY.PIV | CAPABILITY.OTP | CAPABILITY.OATH
    wider = DeviceConfig(enabled_capabilities={TRANSPORT.USB: both})
    configure(new, wider, cur_lock_code=code)
    assert standing()["device/configuration"] == ("drift", "it is configured otherwise")
    configure(new, cur_lock_code=code, new_lock_code=bytes(16))
    assert standing()["device/lock-code"][0] == "drift"


def test_firmware_that_tells_little_is_unknown(tmp_path: Path) -> None:
    """Firmware 4 does not say what is off, and no more is claimed of it."""
    inventory = Desk(tmp_path, "yubikey-4.3.7").plan("[piv]").inventory
    assert inventory.facts["device"]["off"] == {"usb": "unknown"}
    assert "scp03Keys" not in inventory.facts["device"]
