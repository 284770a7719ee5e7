"""Every applet over a secure channel, and the keys for it, on the firmware that has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from yubikit.core.smartcard import ApduError
from yubikit.core.smartcard.scp import KeyRef, Scp03KeyParams, ScpKid
from yubikit.piv import PivSession
from yubikit.securitydomain import SecurityDomainSession

from tests.in_process import Cut, Desk
from tests.secure_channels import FACTORY_SCP11B, static_keys
from tokenprov.device.secured import static_keys as read_keys
from tokenprov.errors import AttestationError, TokenConflict
from tokenprov.model import Purpose, SecretKind
from tokenprov.sim.attestation import VirtualRoots

OWN = KeyRef(ScpKid.SCP03, 2)
KEYS = "secure-channel/scp03-keys"
PUT_KEY = 0xD8
PLAIN = {0xA4, 0x50, 0x88, 0xC0, 0xA5, 0xCA, 0x1D}  # what selects, opens, and looks before that
SECURED = 0x04
REST = """
[otp.slot2]
kind = "hmac-sha1"
[piv]
[[piv.keys]]
slot = "9a"
algorithm = "eccp256"
[fido2]
[oath]
password = { length = 16 }
[hsmauth]
"""
WRITES = {0x01, 0x24, 0x47, 0xDB, 0xFA, 0xFF}  # OTP; PIV's PINs, keys, objects, tries
SCP03 = '[secure-channel]\nprotocol = "scp03"\nset-keys = true\n'
SCP11B = '[secure-channel]\nprotocol = "scp11b"\n'
CASES = (
    ("yubikey-5.7.4", SCP03, "own"),
    ("yubikey-5.4.3", SCP03, "own"),
    ("yubikey-5.7.4-fips", SCP03, "own"),
    ("yubikey-5.7.4", SCP11B, "attested"),
)


def facts(entry: dict[str, Any], step: str) -> dict[str, Any]:
    """What an entry says of a step."""
    (found,) = (one["facts"] for one in entry["steps"] if one["id"] == step)
    return dict(found)


def session(desk: Desk) -> SecurityDomainSession:
    """The security domain, by the maker's library."""
    return SecurityDomainSession(desk.connect())


def held_keys(desk: Desk) -> Scp03KeyParams:
    """The keys in escrow, as their custodian has them."""
    value = desk.sealed(Purpose.TOKEN_ADMINISTRATION)[KEYS]
    return Scp03KeyParams(ref=OWN, keys=read_keys(value))


def writes_in_plain_text(desk: Desk) -> list[str]:
    """Commands of the last run that changed the token and were not secured."""
    return [a[:4].hex() for a in desk.commands if a[1] in WRITES and not a[0] & SECURED]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[2]}")
def test_all_applets_run_over_it(tmp_path: Path, case: tuple[str, str, str]) -> None:
    """No write to any applet goes in plain text, and the entry says what secured it."""
    model, section, whose = case
    desk = Desk(tmp_path, model)
    entry = desk.run(section + REST)
    assert {one["state"] for one in entry["steps"]} <= {"match", "skipped"}
    assert writes_in_plain_text(desk) == []
    assert sum(a[1] in WRITES for a in desk.commands) >= 10
    if whose == "own":
        assert facts(entry, "secure-channel/scp03") == {"keys": "factory"}
        assert facts(entry, KEYS) == {"version": 2, "factorySet": False}
    else:
        attestation = facts(entry, "secure-channel/scp11b")["attestation"]
        assert attestation["serial"] == str(desk.token.serial)
        assert attestation["anchorKind"] == "virtual"
        assert entry["token"]["virtual"] is True


def test_our_keys_take_the_place_of_the_factorys(tmp_path: Path) -> None:
    """The sealed set opens a channel with which PIV works; the factory's opens none any more."""
    desk = Desk(tmp_path, "yubikey-5.7.4")
    entry = desk.run(SCP03)
    (sealed,) = (one for one in entry["secrets"] if one["purpose"] == Purpose.BREAK_GLASS)
    assert (sealed["name"], sealed["kind"]) == (KEYS, SecretKind.SCP_KEY)
    assert set(session(desk).get_key_information()) == {
        *(KeyRef(kid, 2) for kid in (1, 2, 3)),
        FACTORY_SCP11B,
    }
    PivSession(desk.connect(), held_keys(desk)).verify_pin("123456")
    with pytest.raises((ValueError, ApduError)):
        session(desk).authenticate(Scp03KeyParams())
    owner = session(desk)
    owner.authenticate(held_keys(desk))
    owner.put_key(KeyRef(ScpKid.SCP03, 3), static_keys())


def test_the_secrets_go_after_the_keys(tmp_path: Path) -> None:
    """The set is put before any other write: what follows is secured by keys nobody knows."""
    desk = Desk(tmp_path, "yubikey-5.4.3")
    desk.run(SCP03 + REST)
    put = [number for number, apdu in enumerate(desk.commands) if apdu[1] == PUT_KEY]
    others = [number for number, apdu in enumerate(desk.commands) if apdu[1] in WRITES]
    assert len(put) == 1
    assert put[0] < min(others)


def test_scp11b_may_set_scp03_keys(tmp_path: Path) -> None:
    """The keys are set by a channel of their own, and the steps stay on SCP11b."""
    desk = Desk(tmp_path, "yubikey-5.7.4")
    entry = desk.run(f"{SCP11B}set-keys = true\n[piv]\n")
    assert [one["id"] for one in entry["steps"]][:2] == ["secure-channel/scp11b", KEYS]
    assert writes_in_plain_text(desk) == []
    owner = session(desk)
    owner.authenticate(held_keys(desk))


def test_without_keys_of_its_own_the_factorys_stay(tmp_path: Path) -> None:
    """The entry says that the channel was one that everybody can open."""
    desk = Desk(tmp_path, "yubikey-5.7.4")
    entry = desk.run('[secure-channel]\nprotocol = "scp03"\n[piv]\n')
    assert facts(entry, "secure-channel/scp03") == {"keys": "factory"}
    assert writes_in_plain_text(desk) == []
    session(desk).authenticate(Scp03KeyParams())


@pytest.mark.parametrize("section", [SCP03, '[secure-channel]\nprotocol = "scp03"\n'])
def test_keys_of_somebody_are_a_conflict(tmp_path: Path, section: str) -> None:
    """A token with another set is refused; no channel is tried and nothing is written."""
    desk = Desk(tmp_path, "yubikey-5.7.4")
    owner = session(desk)
    owner.authenticate(Scp03KeyParams())
    owner.put_key(OWN, static_keys())
    assert desk.plan(section).inventory.facts["device"]["scp03Keys"] == "changed"
    with pytest.raises(TokenConflict, match="neither the factory's nor ours"):
        desk.run(section + REST)
    assert PUT_KEY not in {apdu[1] for apdu in desk.commands}
    assert 0x50 not in {apdu[1] for apdu in desk.commands}


def test_a_key_that_nobody_vouches_for_opens_nothing(tmp_path: Path) -> None:
    """An SCP11b key certified by another authority is refused before a channel is opened."""
    desk = Desk(tmp_path, "yubikey-5.7.4")
    messaging = desk.token.secure_messaging
    assert messaging is not None
    messaging.keys._roots = VirtualRoots.create()
    messaging.keys.reset()
    with pytest.raises(AttestationError, match="does not hold|no trusted root|signature"):
        desk.run(SCP11B + REST)
    assert 0x88 not in {apdu[1] for apdu in desk.commands}


def test_the_key_of_another_token_opens_nothing(tmp_path: Path) -> None:
    """A key that is attested for another serial is refused before a channel is opened."""
    desk = Desk(tmp_path, "yubikey-5.7.4")
    messaging = desk.token.secure_messaging
    assert messaging is not None
    body = messaging.keys.body
    body.serial, serial = 1, body.serial
    messaging.keys.reset()
    body.serial = serial
    with pytest.raises(AttestationError, match=f"of token 1, not {serial}"):
        desk.run(SCP11B + REST)
    assert 0x88 not in {apdu[1] for apdu in desk.commands}


def test_a_key_without_certificates_opens_nothing(tmp_path: Path) -> None:
    """An SCP11b key that somebody put there is not attested."""
    desk = Desk(tmp_path, "yubikey-5.7.4")
    owner = session(desk)
    owner.authenticate(Scp03KeyParams())
    owner.store_certificate_bundle(FACTORY_SCP11B, [])
    with pytest.raises(TokenConflict, match="its key for SCP11b has no certificate"):
        desk.run(SCP11B)


def test_plan_changes_nothing(tmp_path: Path) -> None:
    """The dry run opens a channel by the factory's keys, and leaves the tries as they were."""
    desk = Desk(tmp_path, "yubikey-5.7.4")
    desk.token.applet("piv").dump()
    before = desk.token.dump()["applets"]["securitydomain"]
    plan = desk.plan(SCP03 + REST)
    assert {one.step.id: one.verdict for one in plan.steps}[KEYS] == "write"
    assert desk.token.dump()["applets"]["securitydomain"] == before
    assert PUT_KEY not in {apdu[1] for apdu in desk.commands}


def test_keys_that_came_in_between_are_not_ours(tmp_path: Path) -> None:
    """A set that somebody put after ours was promised is told by a channel that does not open."""
    desk = Desk(tmp_path / "desk", "yubikey-5.7.4")
    trial = desk.anew(tmp_path / "trial")
    trial.run(SCP11B + "set-keys = true")
    (put,) = (number for number, apdu in enumerate(trial.commands) if apdu[1] == PUT_KEY)
    with pytest.raises(Cut):
        desk.run(SCP11B + "set-keys = true", cut=(put, False))
    owner = session(desk)
    owner.authenticate(Scp03KeyParams())
    owner.put_key(OWN, static_keys())
    with pytest.raises(TokenConflict, match="neither the factory's nor ours"):
        desk.run(SCP11B + "set-keys = true")
    assert PUT_KEY not in {apdu[1] for apdu in desk.commands}
