"""Those who judge the crash tests can see what they look for."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from tests.crash.judgement import State, after_kill, at_end
from tests.crash.live import refused
from tests.crash.recovery import begin
from tests.crash.station import Station


@pytest.fixture
def issued(single: Station) -> dict[int, State]:
    """A token that was issued; the states of the factory."""
    factory = begin(single)
    assert single.issue().status == 0
    return factory


def change(station: Station, statement: str) -> None:
    """Change the ledger behind the program's back."""
    with closing(sqlite3.connect(station.home / "ledger.sqlite")) as connection, connection:
        assert connection.execute(statement).rowcount


def test_nothing_is_wrong_with_what_was_issued(single: Station, issued: dict[int, State]) -> None:
    """The judges find no fault where there is none."""
    assert not after_kill(single, issued)
    assert not at_end(single, issued)
    assert not refused(single, single.serial)


@pytest.mark.parametrize(
    "name",
    [
        "piv/pin",
        "piv/puk",
        "piv/management-key",
        "otp/1/seed",
        "otp/1/access-code",
        "otp/2/seed",
        "otp/2/access-code",
        "fido2/pin",
    ],
)
def test_every_lost_secret_is_missed(single: Station, issued: dict[int, State], name: str) -> None:
    """Without its envelopes, each secret that the token holds counts as lost."""
    change(single, f"DELETE FROM envelopes WHERE name = '{name}'")
    lost = f"token {single.serial} holds {name} by"
    assert after_kill(single, issued) == [
        f"{lost} break-glass, which is lost",
        f"{lost} its custodian, which is lost",
    ]


def test_another_token_is_not_taken_for_the_one_that_was_issued(
    single: Station, issued: dict[int, State]
) -> None:
    """A factory-fresh token in its place is told from it, in its memory and by trying it."""
    single.control.restore(single.serial, dict(issued[single.serial]))
    faults = "\n".join(at_end(single, issued))
    assert f"token {single.serial} holds []" in faults
    assert "the token holds other credentials" in faults
    said = "\n".join(refused(single, single.serial))
    assert "piv: InvalidPinError" in said
    assert "otp: " in said
    assert "fido2: CtapError" in said


def test_a_key_that_the_station_kept_is_found(single: Station, issued: dict[int, State]) -> None:
    """An order's key that was not destroyed is a fault."""
    (single.home / "open" / "order.key").write_text("kept")
    assert "open/order.key is still there" in at_end(single, issued)


def test_a_second_entry_is_found(single: Station, issued: dict[int, State]) -> None:
    """An order that the ledger has open again is a fault, and issuing it twice another."""
    change(single, "UPDATE orders SET state = 'open'")
    assert any(" is open" in fault for fault in at_end(single, issued))
