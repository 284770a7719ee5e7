"""Whole stories at a station with a service desk, from a joiner to a fraud; each ends verified.

The station goes by the ready policy `office`: rita requests, pavel agrees, wanda sees who the
holder is, olga made the tokens and oscar is at the desk.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.contract.conftest import fresh_token
from tests.contract.test_replace import ENCRYPTING
from tests.contract.test_standing import certificate_of, passkey, revoked
from tests.contract.test_unblock import key_of
from tests.contract.test_wipe import Hands
from tests.people import Somebody, added, approved, requested
from tests.stations import Said, Station
from tests.token_under_test import TokenUnderTest
from tokenprov.errors import ApprovalError, PolicyError
from tokenprov.model import Purpose
from tokenprov.sim.bench import VirtualBench

MADE_BY, AT_THE_DESK = ("--operator", "olga"), ("--operator", "oscar")


@dataclass(frozen=True)
class Office:
    """The station, the people of it, and the bench."""

    station: Station
    rita: Somebody
    pavel: Somebody
    wanda: Somebody
    oscar: Somebody  # who may approve, too
    bench: VirtualBench

    def agreed(self, action: str, *about: str, name: str = "asked") -> tuple[str, Path]:
        """The option with what rita requested and pavel agreed to."""
        return (
            "--approval",
            approved(self.station, self.rita, self.pavel, action, *about, name=name),
        )

    def seen(self, serial: str, name: str = "seen") -> tuple[str, Path]:
        """The option with what wanda signed, who saw the holder."""
        return (
            "--proof",
            requested(self.station, self.wanda, "identify", f"token={serial}", name=name),
        )

    def kit(self, profile: str | Path = "standard-employee") -> list[str]:
        """Ada gets a primary and a spare; gives their serials by position."""
        for reader in (0, 1):
            fresh_token(self.bench, "yubikey-5.7.4", reader)
        said = self.station.tell(*self.station.batch(kit=2, profile=profile), *MADE_BY)
        assert said.code == 0, said.out + said.err
        issued = sorted(self.station.entries(), key=lambda entry: int(entry["kit"]["position"]))
        return [entry["token"]["serial"] for entry in issued]

    def fresh(self, instead_of: str) -> TokenUnderTest:
        """A new token in the reader of another."""
        line = self.bench.control.token(int(instead_of))
        return fresh_token(self.bench, "yubikey-5.7.4", int(line["number"]))

    def desk(self, *command: str | Path) -> Said:
        """What oscar does."""
        return self.station.tell(*command, *AT_THE_DESK)

    def holds(self) -> bool:
        """Whether the manifest verifies, and the policy has nothing against the tokens."""
        assert self.station.tell("manifest", "verify").code == 0
        found = self.station.tell("policy", "check", "--json").document["findings"]
        left = [one for one in found if one["rule"] not in BEFORE_THE_STORY]
        assert left == [], left
        return True

    def last(self, kind: str) -> dict[str, Any]:
        """The last entry of a kind."""
        return self.station.entries(kind)[-1]


# What `office` has against the station itself: its custodians' keys lie in its home.
BEFORE_THE_STORY = ("independence",)


@pytest.fixture
def office(station: Station, bench: VirtualBench) -> Office:
    """Two readers, and people with keys of their own."""
    rita, pavel = added(station, "rita", "requester"), added(station, "pavel", "approver")
    wanda, oscar = added(station, "wanda", "witness"), added(station, "oscar", "approver")
    said = station.tell("policy", "use", "office", "--reason", "from the first day on")
    assert said.code == 0, said.err
    return Office(station, rita, pavel, wanda, oscar, bench)


def test_a_joiner_gets_tokens_and_later_a_letter(office: Office) -> None:
    """Who made the tokens does not print their PINs; somebody else does, by agreement."""
    primary, spare = office.kit()
    batch = office.last("issued")["batch"]
    assert office.station.tell("batch", "close", batch, *MADE_BY).code == 0
    letters = (
        *("batch", "export", batch, office.station.home.with_name("letters"), "--letters"),
        *("--key", key_of(office.station, Purpose.HELP_DESK), "--reason", "a new colleague"),
    )
    about = ("form=pin-letter", "purpose=help-desk", f"batch={batch}")
    agreed = office.agreed("export", *about)
    assert office.station.tell(*letters, *agreed, *MADE_BY).code == PolicyError.exit_code
    printed = office.desk(*letters, *agreed)
    assert printed.code == 0, printed.err
    chain = office.station.tell("trace", "E1", "--json").document
    assert not any("how its PIN came" in fault for link in chain for fault in link["faults"])
    assert {link["serial"] for link in chain if link["what"] == "issued"} == {primary, spare}
    assert office.holds()


def test_a_lost_key_and_the_spare_that_proves_whose_it_was(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has to see the holder: their spare signs, with its PIN; another's does not."""
    primary, spare = office.kit()
    inside = office.bench.control.snapshot(int(spare))["applets"]["piv"]["pin"]["value"]
    pin = bytes.fromhex(inside).rstrip(b"\xff").decode()
    monkeypatch.setattr("getpass.getpass", lambda prompt: pin)
    new = office.fresh(primary).serial
    proof = office.station.home.with_name("proof")
    known = ("holder", "prove", primary, "--for", "replace", "--with", spare, "--out", proof)
    said = office.desk(*known)
    assert said.code == 0, said.err
    replace = ("replace", primary, "--reason", "lost", "--json")
    agreed = office.agreed("replace", f"token={primary}", "cause=lost")
    done = office.desk(*replace, *agreed, "--proof", proof)
    assert done.code == 0, done.err
    assert done.document["new"]["serial"] == new
    for kind in ("revoked", "issued", "replaced"):
        evidence = office.last(kind)["clearance"]["evidence"]
        assert [one["type"] for one in evidence] == ["other-token"]
    another = office.agreed("replace", f"token={spare}", "cause=lost", name="spare")
    again = office.desk("replace", spare, "--reason", "lost", *another, "--proof", proof)
    assert again.code == ApprovalError.exit_code
    assert f"of token {primary}" in again.err or "used already" in again.err
    assert office.holds()


def test_a_key_lost_on_a_friday_evening(office: Office) -> None:
    """It is ended at once by one person; a new one waits for a holder whom somebody saw."""
    primary, spare = office.kit()
    ended = office.desk("revoke", primary, "--reason", "lost", "--note", "in the tram")
    assert ended.code == 0, ended.err
    assert revoked(office.station) == {certificate_of(office.station, primary): "keyCompromise"}
    new = office.fresh(primary).serial
    replace = ("replace", primary, "--reason", "lost", "--json")
    alone = office.desk(*replace)
    assert alone.code == PolicyError.exit_code
    assert "one other person to agree" in alone.err
    agreed = office.agreed("replace", f"token={primary}", "cause=lost")
    caller = office.desk(*replace, *agreed)
    assert caller.code == PolicyError.exit_code
    assert "needs a holder who was authenticated" in caller.err
    monday = office.desk(*replace, *agreed, *office.seen(primary))
    assert monday.code == 0, monday.err
    assert monday.document["new"]["serial"] == new
    entry = office.last("replaced")
    assert [one["name"] for one in entry["approvers"]] == ["pavel"]
    assert {one["type"] for one in entry["clearance"]["evidence"]} == {"identity-check"}
    issued = office.station.entry_of(new)
    assert issued["clearance"]["requester"] == "rita"
    assert certificate_of(office.station, spare) not in revoked(office.station)
    assert office.holds()
    trace = office.station.tell("trace", new, "--json").document
    given = next(link for link in trace if link["what"] == "issued")
    assert not any("authenticated" in fault for fault in given["faults"])


def test_the_lost_key_is_found_again(office: Office) -> None:
    """The line names it and leaves it alone; it is emptied, and only then it is a token again."""
    primary, _ = office.kit()
    assert office.desk("revoke", primary, "--reason", "lost").code == 0
    said = office.station.tell(*office.station.batch(holders=2, name="next"), *MADE_BY)
    passed = [one for one in said.events if one["event"] == "TokenPassedOver"]
    assert any("is revoked by entry" in one["reason"] for one in passed)
    key = key_of(office.station, Purpose.TOKEN_ADMINISTRATION)
    back = ("return", primary, "--key", key, "--reason", "found under a desk")
    agreed = office.agreed("return", f"token={primary}")
    done = office.station.tell(*back, *agreed, *AT_THE_DESK, "--json", listener=Hands(office.bench))
    assert done.code == 0, done.err
    assert done.document["state"] == "stock"
    assert office.station.tell("manifest", "verify").code == 0


def test_a_key_stolen_with_its_pin_letter(office: Office) -> None:
    """Nothing that the thief has opens anything: certificate and passkey end with the token."""
    primary, _ = office.kit()
    old = office.station.tell("escrow", "list", primary, "--json").document
    assert {one["state"] for one in old} == {"active"}
    assert office.desk("revoke", primary, "--reason", "stolen").code == 0
    assert passkey(office.station, primary) is None
    new = office.fresh(primary).serial
    options = (
        *office.agreed("replace", f"token={primary}", "cause=stolen"),
        *office.seen(primary),
    )
    assert office.desk("replace", primary, "--reason", "stolen", *options).code == 0
    secrets = office.station.tell("escrow", "list", new, "--purpose", "help-desk", "--json")
    assert {one["order"] for one in secrets.document}.isdisjoint({one["order"] for one in old})
    assert office.last("replaced")["cause"] == "stolen"
    assert office.holds()


def test_a_damaged_key_with_old_mail(office: Office, tmp_path: Path) -> None:
    """The old one works until the new one is there, which reads what was encrypted before."""
    profile = tmp_path / "encrypting.toml"
    profile.write_text(ENCRYPTING, encoding="utf-8")
    primary, _ = office.kit(profile)
    new = office.fresh(primary).serial
    options = (
        *office.agreed("replace", f"token={primary}", "cause=damaged"),
        *office.seen(primary),
    )
    key = key_of(office.station, Purpose.BREAK_GLASS)
    said = office.desk("replace", primary, "--reason", "damaged", "--key", key, *options)
    assert said.code == 0, said.err
    facts = {step["id"]: step["facts"] for step in office.station.entry_of(new)["steps"]}
    assert facts["piv/key-history"]["onCard"] == 1
    kinds = [entry["kind"] for entry in office.station.tell("manifest", "show", "--json").document]
    assert kinds[-4:] == ["opened", "issued", "revoked", "replaced"]
    assert office.holds()


def test_a_contractor_leaves(office: Office) -> None:
    """Both tokens end at once, and the policy finds nobody who outlives their contract."""
    primary, spare = office.kit()
    said = office.desk("holder", "leave", "E1", "--reason", "end of contract", "--json")
    assert said.code == 0, said.err
    assert set(revoked(office.station).values()) == {"affiliationChanged"}
    assert len(revoked(office.station)) == 2
    assert said.document["ended"] == [primary, spare]
    assert office.holds()


def frauds(office: Office, primary: str, spare: str) -> Iterator[tuple[Sequence[Any], int, str]]:
    """What a fraud at the desk tries, the exit code, and what is said."""
    refused = ApprovalError.exit_code
    other = office.agreed("unblock", f"token={spare}", name="other")
    yield other, refused, f"approved is token={spare}"
    yield office.agreed("revoke", f"token={primary}", "cause=lost", name="act"), refused, "revoke"
    late = requested(
        office.station, office.rita, "unblock", f"token={primary}", hours=0.0001, name="late"
    )
    office.station.tell("approve", "sign", late, "--yes", *office.pavel.signs)
    wait_until_over(late)
    yield ("--approval", late), refused, "held until"
    yield office.agreed("unblock", f"token={primary}", name="unseen"), PolicyError.exit_code, "auth"


def wait_until_over(request: Path) -> None:
    """Until what a request says of itself is past: times in it are whole seconds."""
    found = re.search(r'"expires":"([^"]+)"', request.read_text(encoding="utf-8"))
    assert found is not None
    while datetime.now(UTC) <= datetime.fromisoformat(found[1]):
        time.sleep(0.05)


def test_fraud_at_the_help_desk(office: Office) -> None:
    """A caller without evidence, approvals of other things, and one that was used: all refused."""
    primary, spare = office.kit()
    key = key_of(office.station, Purpose.HELP_DESK)
    unblock = ("unblock", primary, "--key", key, "--reason", "a call")
    for options, code, why in frauds(office, primary, spare):
        said = office.desk(*unblock, *options)
        assert said.code == code, (options, said.err)
        assert why in said.err
    own = approved(
        office.station, office.rita, office.oscar, "unblock", f"token={primary}", name="own"
    )
    said = office.desk(*unblock, "--approval", own, *office.seen(primary, "seen-by-own"))
    assert said.code == ApprovalError.exit_code
    assert "oscar approved it, and cannot carry it out too" in said.err
    assert office.station.entries("opened") == []
    good = office.agreed("unblock", f"token={primary}", name="good")
    done = office.desk(*unblock, *good, *office.seen(primary, "seen-1"))
    assert done.code == 0, done.err
    replayed = office.desk(*unblock, *good, *office.seen(primary, "seen-2"))
    assert replayed.code == ApprovalError.exit_code
    assert "used already" in replayed.err
    assert len(office.station.entries("unblocked")) == 1
    assert office.holds()
