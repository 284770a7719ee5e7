"""The OTP steps cut off at every command, before it arrives and after it was carried out.

In this process, with a journal that survives: what the disk does is test_kill_disk.py's.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.otp_contact import Contact, Work
from tokenprov.errors import TokenGone
from tokenprov.sim.applets.otp_frame import SlotConfig
from tokenprov.step import State

NO_CODE = bytes(6)
PROFILES = {
    "both slots and NDEF": """[otp.slot1]
kind = "yubico-otp"
replace-factory = true
[otp.slot2]
kind = "static-password"
layout = "us"
[otp.ndef]
slot = 1
uri = "https://otp.example.test/#"
""",
    "HOTP and challenge-response": """[otp.slot1]
kind = "hotp"
replace-factory = true
[otp.slot2]
kind = "hmac-sha1"
touch = true
""",
    "swap, then slot 1": """[otp]
swap = true
[otp.slot1]
kind = "hmac-sha1"
[otp.ndef]
slot = 2
text = "code: "
""",
    "delete, and slot 2 without a code": """[otp.slot1]
delete = true
[otp.slot2]
kind = "hotp"
access-code = false
""",
}
MODELS = ("yubikey-5.7.4", "yubikey-5.2.7", "yubikey-4.3.7")


def section_for(name: str, model: str) -> str:
    """The profile, without NDEF where there is no NFC."""
    section = PROFILES[name]
    return section.split("[otp.ndef]")[0] if model == "yubikey-4.3.7" else section


def lost(work: Work, factory: SlotConfig) -> list[str]:
    """What a slot holds that is neither the factory's nor in the journal."""
    faults = []
    known = work.journal.secrets
    for number in (1, 2):
        slot = work.contact.slot(number)
        if slot is None or slot == factory:
            continue
        if slot.access not in (NO_CODE, known.get(f"otp/{number}/access-code")):
            faults.append(f"slot {number} has an access code that nobody has")
        seed = known.get(f"otp/{number}/seed")
        if seed is not None and seed not in (slot.secret20, slot.uid + slot.key):
            faults.append(f"slot {number} has a seed that nobody has")
        if seed is None and f"otp/{number}/password" not in known:
            faults.append(f"slot {number} was written without a promise")
    return faults


def shape(contact: Contact, factory: SlotConfig) -> list[Any]:
    """What the slots are, without what was drawn."""
    return [
        "factory" if slot == factory else slot and (slot.extended, slot.ticket, slot.config)
        for slot in (contact.slot(1), contact.slot(2))
    ] + [contact.applet.dump()["ndef"]]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("arrives", [True, False], ids=["carried out", "not sent"])
def test_cut_at_any_command_it_finishes(model: str, name: str, arrives: bool) -> None:
    """Run again it comes to the same end; in between the custodians can open what a slot holds."""
    section = section_for(name, model)
    undisturbed = Contact(model)
    factory = undisturbed.slot(1)
    assert factory is not None
    outcomes = Work(contact=undisturbed, section=section).run()
    wanted = shape(undisturbed, factory)
    for number in range(1, undisturbed.commands + 1):
        work = Work(contact=Contact(model), section=section)
        factory = work.contact.slot(1)
        assert factory is not None
        work.contact.cut_at = (number, arrives)
        with pytest.raises(TokenGone):
            work.run()
        assert not lost(work, factory), number
        work.contact.replug()
        again = work.run()
        assert {key: one.finding.state for key, one in again.items()} == {
            key: one.finding.state for key, one in outcomes.items()
        }, number
        assert {one.finding.state for one in again.values()} == {State.MATCH}
        assert shape(work.contact, factory) == wanted, number
        assert not lost(work, factory), number
        for key, outcome in again.items():
            proved = outcome.finding.facts.get("accessCode")
            assert proved == outcomes[key].finding.facts.get("accessCode"), number
