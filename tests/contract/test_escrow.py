"""Custody of what a batch sealed: listed without a key, opened on the record and not otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.conftest import fresh_token
from tests.stations import Station, ended
from tests.token_under_test import TokenUnderTest
from tokenprov.errors import DurabilityError
from tokenprov.record import manifest
from tokenprov.record.escrow import generate_custodian, load_public
from tokenprov.sim.bench import VirtualBench

REASON = "PUK for Ada, ticket 4711"


@pytest.fixture
def issued(station: Station, token: TokenUnderTest) -> Station:
    """A station that has issued one token."""
    assert station.tell(*station.batch()).code == 0
    return station


def custodian(station: Station, purpose: str) -> tuple[str | Path, ...]:
    """The options of a custodian who opens with the right key."""
    key = station.home / "custodians" / "private" / f"{purpose}.pem"
    return ("--purpose", purpose, "--key", key, "--reason", REASON, "--operator", "hana")


def test_list_tells_what_is_sealed_to_whom(issued: Station, token: TokenUnderTest) -> None:
    """Every secret stands there for its custodian and for break-glass, and no value does."""
    said = issued.tell("escrow", "list", "--json")
    assert said.code == 0
    assert {(one["name"], one["purpose"]) for one in said.document} >= {
        ("piv/puk", "help-desk"),
        ("piv/puk", "break-glass"),
        ("otp/1/seed", "authentication-server"),
        ("piv/management-key", "token-administration"),
    }
    assert {one["state"] for one in said.document} == {"active"}
    assert {one["token"] for one in said.document} == {token.serial}
    in_entry = {secret["sha256"] for secret in issued.entry_of(token.serial)["secrets"]}
    assert {one["sha256"] for one in said.document} == in_entry
    shown = issued.tell("escrow", "list", "--purpose", "help-desk")
    for secret in issued.secrets(token.serial).values():
        assert secret not in said.out + shown.out
    assert "piv/puk" in shown.out
    assert "break-glass" not in shown.out
    assert issued.tell("escrow", "list", "99999999", "--json").document == []


def test_an_opening_is_an_entry(issued: Station, token: TokenUnderTest) -> None:
    """Who, why and which secrets: the envelopes it names are those of the issued entry."""
    said = issued.tell(
        "escrow", "open", token.serial, *custodian(issued, "help-desk"), "--name", "piv/puk"
    )
    assert said.code == 0, said.err
    (entry,) = issued.entries("opened")
    issue = issued.entry_of(token.serial)
    assert (entry["operator"], entry["reason"], entry["form"]) == ("hana", REASON, "shown")
    assert entry["token"] == issue["token"]
    assert entry["secrets"] == [
        secret
        for secret in issue["secrets"]
        if (secret["name"], secret["purpose"]) == ("piv/puk", "help-desk")
    ]
    assert issued.tell("manifest", "verify").code == 0


def test_what_does_not_open_is_not_recorded(issued: Station, token: TokenUnderTest) -> None:
    """With another custodian's key, or for another token, nothing is shown nor recorded."""
    wrong = issued.home / "custodians" / "private" / "token-administration.pem"
    for serial, key in ((token.serial, wrong), ("99999999", None)):
        options = list(custodian(issued, "help-desk"))
        options[3] = key or options[3]
        said = issued.tell("escrow", "open", serial, *options)
        assert (said.code, said.out) == (7, "")
    assert issued.entries("opened") == []


def test_no_secret_without_the_record(
    issued: Station, token: TokenUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the entry cannot be written, nothing is shown."""

    def full(*_: object) -> None:
        raise DurabilityError("no space left on the disk", remedy="Free some.")

    monkeypatch.setattr(manifest, "commit", full)
    said = issued.tell("escrow", "open", token.serial, *custodian(issued, "help-desk"))
    assert (said.code, said.out) == (DurabilityError.exit_code, "")
    assert "no space left" in said.err
    monkeypatch.undo()
    assert issued.entries("opened") == []


def test_custodians_work_while_a_batch_runs(
    issued: Station, token: TokenUnderTest, one_reader: VirtualBench, tmp_path: Path
) -> None:
    """Opened and resealed beside a running batch: all of it is recorded, in one log that holds.

    What the batch is just telling a token is left for later, and what comes is sealed to the new
    key from the moment on that the record says so.
    """
    other = fresh_token(one_reader, "yubikey-5.7.4")
    one_reader.control.set_touch(int(other.serial), "never")
    batch = issued.batch(holders=2, name="two")
    running = issued.start(*batch)
    assert running.stderr is not None
    for line in running.stderr:
        if "TouchWanted" in line:
            break
    said = issued.tell("escrow", "open", token.serial, *custodian(issued, "help-desk"))
    assert said.code == 0, said.err
    private, public = generate_custodian()
    (tmp_path / "new.key").write_bytes(private)
    (tmp_path / "new.pem").write_bytes(public)
    to = f"help-desk={tmp_path / 'new.pem'}"
    old = issued.home / "custodians" / "private" / "help-desk.pem"
    said = issued.tell("escrow", "rotate", to, "--reason", REASON)
    assert said.code == 0, said.err
    move = ("escrow", "reseal", "--from-key", old, "--to", to, "--reason", REASON)
    said = issued.tell(*move)
    assert said.code == 0, said.err
    assert "of 1 tokens moved" in said.err
    one_reader.control.set_touch(int(other.serial), "auto")
    one_reader.control.press(int(other.serial))
    done = ended(running)
    assert done.code == 8, done.err  # the other holder's token is to come
    assert issued.tell(*move).code == 0
    listed = issued.tell("escrow", "list", "--purpose", "help-desk", "--json").document
    new = load_public(tmp_path / "new.pem").kid
    assert {one["token"] for one in listed} == {token.serial, other.serial}
    assert {one["kid"] for one in listed} == {new}
    kinds = [one["kind"] for one in issued.tell("manifest", "show", "--json").document]
    assert kinds[-4:] == ["custodian-changed", "resealed", "issued", "resealed"]
    assert issued.tell("manifest", "verify").code == 0


def test_secrets_of_an_unfinished_order_are_opened_too(
    station: Station, token: TokenUnderTest, one_reader: VirtualBench
) -> None:
    """What was sealed before the token was pulled half-way opens, and the entry keeps it."""
    one_reader.control.set_touch(int(token.serial), "never", patience=0.2)
    assert station.tell(*station.batch()).code == 8
    said = station.tell("escrow", "open", token.serial, *custodian(station, "help-desk"), "--json")
    assert said.code == 0, said.err
    assert {one["state"] for one in said.document} == {"prepared"}
    (entry,) = station.entries("opened")
    assert entry["token"]["serial"] == token.serial
    assert "virtual" not in entry["token"]
    assert station.tell("manifest", "verify").code == 0
