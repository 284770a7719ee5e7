"""A token that fails and is set aside: its kit is completed with another, and it stays out.

It fails while its PIV key is made, when its PIN and management key were written.
"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.contract.conftest import fresh_token
from tests.people import added, approved
from tests.stations import Said, Station
from tests.token_under_test import LOOKS, Ins, TokenUnderTest, Wire
from tokenprov import aside
from tokenprov.errors import PolicyError
from tokenprov.home import Home
from tokenprov.issuer import Standing
from tokenprov.sim.bench import VirtualBench
from tokenprov.sim.faults import FaultKind


@pytest.fixture
def failed(station: Station, token: TokenUnderTest, one_reader: VirtualBench) -> Said:
    """A kit of two, whose first token failed."""
    one_reader.control.fault(int(token.serial), FaultKind.MEMORY_FULL, ins=Ins.GENERATE)
    said = station.tell(*station.batch(kit=2))
    assert said.code == 8
    assert said.document["counts"]["failed"] == 1, said.err
    return said


def test_its_order_goes_to_the_next_token(
    station: Station, token: TokenUnderTest, failed: Said, one_reader: VirtualBench, wire: Wire
) -> None:
    """The kit is whole with two others; the bad one is recorded, and refused by its serial."""
    batch = failed.document["batch"]
    sealed = station.secrets(token.serial)
    assert "piv/pin" in sealed
    (order,) = {o["order"] for o in failed.document["orders"] if o["state"] == "failed"}
    (told,) = station.tell("batch", "retry", batch, "--json").document
    assert (told["serial"], told["order"], told["batch"]) == (token.serial, order, batch)
    (entry,) = station.entries("set-aside")
    assert (entry["token"]["serial"], entry["order"]) == (token.serial, order)
    assert entry["token"]["virtual"] is True
    assert entry["index"] == told["entry"]
    assert {one["name"] for one in entry["secrets"]} == sealed.keys()

    before = token.state()
    wire.clear()
    said = station.tell(*station.batch(kit=2))
    assert "was set aside: " in said.only("TokenPassedOver")["reason"]
    assert set(wire.instructions) <= LOOKS
    assert token.state() == before
    assert said.document["counts"] == {"open": 2, "working": 0, "issued": 0, "failed": 0}

    serials = []
    for _ in range(2):
        serials.append(fresh_token(one_reader, "yubikey-5.7.4").serial)
        said = station.tell(*station.batch(kit=2))
    assert said.code == 0, said.err
    assert [o["serial"] for o in said.document["orders"]] == serials
    assert station.entry_of(serials[0])["order"] == order
    assert station.secrets(token.serial) == sealed
    assert station.secrets(serials[0])["piv/pin"] != sealed["piv/pin"]
    assert station.tell("manifest", "verify").code == 0


def test_cut_off_behind_the_entry(
    station: Station, token: TokenUnderTest, failed: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What follows the entry is caught up with by the next command; it is set aside once."""
    with monkeypatch.context() as cut:
        cut.setattr(aside, "settle", _interrupted)
        said = station.tell("batch", "set-aside", token.serial, "--reason", "bent")
    assert said.code == 130
    assert station.tell("batch", "status", "--json").document[0]["counts"]["failed"] == 1
    again = station.tell("batch", "set-aside", token.serial, "--reason", "bent")
    assert again.code == 2
    assert "was set aside already" in again.err
    assert station.tell("batch", "status", "--json").document[0]["counts"]["open"] == 2
    assert len(station.entries("set-aside")) == 1
    assert list((station.home / "open").glob("*.key")) == []


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_setting_aside_is_asked_for(station: Station, token: TokenUnderTest, failed: Said) -> None:
    """Under a policy the token keeps its order until others agreed; then the entry names them."""
    rita, pavel = added(station, "rita", "requester"), added(station, "pavel", "approver")
    rules = station.home.with_name("rules.toml")
    rules.write_text('name = "s"\ndescription = "x"\n[separation]\nacts = { set-aside = 1 }\n')
    assert station.tell("policy", "use", rules, "--reason", "a test").code == 0
    retry = ("batch", "retry", failed.document["batch"], "--json")
    said = station.tell(*retry)
    assert said.code == PolicyError.exit_code, said.err
    assert f"tokenprov approve request set-aside 'token={token.serial}'" in said.err
    assert station.entries("set-aside") == []
    file = approved(station, rita, pavel, "set-aside", f"token={token.serial}")
    said = station.tell(*retry, "--approval", file)
    assert said.code == 0, said.err
    (entry,) = station.entries("set-aside")
    assert [one["name"] for one in entry["approvers"]] == ["pavel"]
    assert station.tell("manifest", "verify").code == 0


def test_only_an_unfinished_token_is_set_aside(station: Station, token: TokenUnderTest) -> None:
    """One that is a holder's is not, nor one that nothing was begun with, nor without a reason."""
    unknown = station.tell("batch", "set-aside", token.serial, "--reason", "bent")
    assert unknown.code == 2
    assert "no order was begun" in unknown.err
    assert station.tell(*station.batch()).code == 0
    issued = station.tell("batch", "set-aside", token.serial, "--reason", "bent")
    assert issued.code == 2
    assert "was issued to Ada Okonkwo" in issued.err
    assert station.tell("batch", "set-aside", token.serial, "--reason", " ").code == 2
    assert station.entries("set-aside") == []


def test_what_relied_on_it_is_ended(
    station: Station, token: TokenUnderTest, one_reader: VirtualBench
) -> None:
    """Its certificate is revoked at the authority, its passkey removed, and the entry says so.

    It fails at the last setting, when both were made.
    """
    one_reader.control.fault(int(token.serial), FaultKind.UNPLUG_BEFORE, at=118)
    failed = station.tell(*station.batch())
    assert failed.code == 8
    assert failed.only("OrderFailed")["label"] == token.serial
    order = failed.only("OrderStarted")["order"]
    home = Home.open(station.home)
    issuer, party = home.issuer("local"), home.relying_party("login.example.test", "")
    certificate = issuer.find(f"{order}/9a")
    assert certificate is not None
    assert party.find(order) is not None
    station.tell("batch", "set-aside", token.serial, "--reason", "its contacts are bent")
    (entry,) = station.entries("set-aside")
    assert {one["kind"]: one["outcome"] for one in entry["credentials"]} == {
        "certificate": "done",
        "passkey": "done",
    }
    status = issuer.status(certificate.serial_hex, datetime.now(UTC))
    assert (status.standing, status.reason) == (Standing.REVOKED, aside.UNUSED)
    assert party.find(order) is None
    next_one = fresh_token(one_reader, "yubikey-5.7.4")
    assert station.tell(*station.batch()).code == 0
    assert station.entry_of(next_one.serial)["order"] == order
    assert station.tell("manifest", "verify").code == 0
