"""Wipes in the records: one promise a token at a time, and an entry that ends it."""

from __future__ import annotations

import dataclasses
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.record_samples import append, issued, set_aside, small_manifest, station
from tests.unit.test_record_ledger import create, envelope, intent, states
from tests.unit.test_record_verify import write_entries
from tokenprov.errors import ManifestError, StationError, WrongToken
from tokenprov.model import Purpose, TokenId
from tokenprov.record.database import sqlite_url
from tokenprov.record.entry import Entry, validate_entry
from tokenprov.record.ledger import Ledger
from tokenprov.record.manifest import verify_manifest
from tokenprov.record.tables import SCHEMA
from tokenprov.record.wipes import WipeRecord

NOW = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
TOKEN = TokenId(maker="yubico", model="YubiKey 5 NFC", firmware="5.7.4", serial="10000001")
WIPE = WipeRecord(
    id="w1",
    token=TOKEN,
    reason="left in a drawer",
    operator="olga",
    found={"used": ["it has a FIDO2 PIN"], "inventory": {"fido2": {"pin": True}}},
    began=NOW,
)


def wiped(number: int, **changes: Any) -> Entry:
    """That token, emptied."""
    return {
        "v": 1,
        "kind": "wiped",
        "time": "2026-02-03T04:08:00Z",
        "station": "station-a",
        "operator": "olga",
        "approvers": [],
        "wipe": f"w{number}",
        "began": "2026-02-03T04:07:30Z",
        "token": issued(number)["token"],
        "reason": WIPE.reason,
        "found": WIPE.found,
        "reset": ["otp", "piv", "fido2"],
        "left": {"fido2": {"pin": False}},
        **changes,
    }


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """A new one."""
    return Ledger(sqlite_url(tmp_path / "ledger.sqlite"), station="station-a")


def test_a_wiped_token_holds_no_secret(ledger: Ledger) -> None:
    """What was active ends with the wipe's entry, and a second call ends nothing made since."""
    create(ledger)
    for index, (order, wipe) in enumerate([("b1-0000", WIPE), ("b1-0001", None)]):
        ledger.claim(order, TOKEN, None, NOW)
        ledger.journal(intent(order), [envelope(order, TOKEN, Purpose.HELP_DESK)])
        ledger.complete(order, index, NOW)
        if wipe is not None:
            ledger.wipes.begin(wipe)
            assert states(ledger) == [("help-desk", "active")]
            ledger.wipes.finish(wipe.id, 3)
            assert states(ledger) == [("help-desk", "superseded")]
    ledger.wipes.finish(WIPE.id, 3)
    assert states(ledger) == [("help-desk", "superseded"), ("help-desk", "active")]


def test_a_promise_is_found_again_with_what_was_on_the_token(ledger: Ledger) -> None:
    """A second promise for the token is the first one, until that is finished by its entry."""
    assert ledger.wipes.open(TOKEN.label) is None
    assert ledger.wipes.begin(WIPE) == WIPE
    again = dataclasses.replace(WIPE, id="w2", found={"used": [], "inventory": {}})
    assert ledger.wipes.begin(again) == WIPE
    assert ledger.wipes.open(TOKEN.label) == WIPE
    ledger.wipes.finish("w1", 3)
    ledger.wipes.finish("w1", 3)
    assert ledger.wipes.open(TOKEN.label) is None
    assert ledger.manifest_size() == 4
    with pytest.raises(StationError, match="does not have so"):
        ledger.wipes.finish("w1", 4)
    assert ledger.wipes.begin(again) == again


def test_no_order_is_begun_with_a_token_half_wiped(ledger: Ledger) -> None:
    """Claiming says whose wipe it is and what finishes it; afterwards the token is taken."""
    create(ledger)
    ledger.wipes.begin(WIPE)
    with pytest.raises(WrongToken, match="begun 2026-02-03T04:05:06Z by olga, is not finished"):
        ledger.claim("b1-0000", TOKEN, {}, NOW)
    ledger.wipes.finish("w1", 1)
    assert ledger.claim("b1-0000", TOKEN, {}, NOW).token == TOKEN


def test_a_token_that_an_order_was_begun_with_is_not_wiped(ledger: Ledger) -> None:
    """Its sealed secrets are on it: the order is finished with it."""
    create(ledger)
    ledger.claim("b1-0000", TOKEN, {}, NOW)
    with pytest.raises(WrongToken, match="bound to order b1-0000"):
        ledger.wipes.begin(WIPE)
    assert ledger.wipes.open(TOKEN.label) is None


def test_a_ledger_of_the_first_schema_is_taken_along(tmp_path: Path) -> None:
    """It gets the table that it lacks, and keeps its batches."""
    path = tmp_path / "ledger.sqlite"
    old = Ledger(sqlite_url(path))
    create(old)
    old.close()
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE resets")
        connection.execute("DROP TABLE wipes")
        connection.execute("UPDATE meta SET value = '1'")
    connection.close()
    ledger = Ledger(sqlite_url(path))
    assert [batch.id for batch in ledger.batches()] == ["b1"]
    assert ledger.wipes.begin(WIPE) == WIPE
    ledger.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT value FROM meta").fetchall() == [(str(SCHEMA),)]
    connection.close()


def test_a_wiped_token_may_be_issued_and_the_log_verifies(tmp_path: Path) -> None:
    """The entry has its place in the log; it ends no binding and makes none."""
    manifest = small_manifest(tmp_path / "manifest")
    manifest.append(wiped(7))
    append(manifest, 7)
    report = verify_manifest(tmp_path / "manifest")
    assert report.findings == ()
    assert report.issued == 4


@pytest.mark.parametrize(
    ("entries", "rule"),
    [
        pytest.param([wiped(1)], "binding", id="a holder's token"),
        pytest.param([set_aside(1), wiped(1)], None, id="after its binding ended"),
        pytest.param([wiped(7), wiped(8, wipe="w7")], "wipe", id="one wipe finished twice"),
    ],
)
def test_what_a_wipe_may_follow(tmp_path: Path, entries: list[Entry], rule: str | None) -> None:
    """A token is wiped while it is nobody's, and a wipe is finished once."""
    manifest = small_manifest(tmp_path / "manifest")
    for entry in entries[:-1]:
        manifest.append(entry)
    if rule is None:
        manifest.append(entries[-1])
        return
    with pytest.raises(ManifestError) as caught:
        manifest.append(entries[-1])
    assert caught.value.rule == rule
    assert verify_manifest(tmp_path / "manifest").holds
    write_entries(tmp_path / "other", [station(), issued(1), *entries])
    found = [(f.rule, f.index) for f in verify_manifest(tmp_path / "other").findings]
    assert found == [(rule, 1 + len(entries))]


@pytest.mark.parametrize(
    "changes",
    [
        {"reason": ""},
        {"found": {"used": []}},
        {"found": {"used": [""], "inventory": {}}},
        {"left": None},
        {"reset": "piv"},
        {"wipe": 7},
    ],
)
def test_a_wipe_with_something_missing_is_no_entry(changes: dict[str, Any]) -> None:
    """Reason, what was found, what was reset and what was left are all there."""
    with pytest.raises(ManifestError, match="wiped"):
        validate_entry(wiped(1, **changes))
