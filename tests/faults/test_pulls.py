"""Four tokens at once, each pulled at a command of its own, until all commands had their turn."""

from __future__ import annotations

import pytest

from tests.faults.catalogue import COMMANDS, FAULTS, TOKENS, Bench
from tests.faults.survival import Tally, survive, written


def test_pulled_at_every_command(bench: Bench, record_property: pytest.RecordProperty) -> None:
    """Put in again, each token finishes its own order, and no secret was lost in between."""
    fault, tally = FAULTS["unplug-during"], Tally()
    for place in fault.places:
        survive(bench, [(fault, place)], tally)
    record_property("faults", tally.lines())
    assert not tally.breaches, "\n".join(tally.breaches)


def test_the_places_are_all_commands(bench: Bench) -> None:
    """An undisturbed run has as many commands a token as the catalogue says."""
    bench.station.fresh()
    before = {line["serial"]: line["apdus"] for line in bench.station.control.tokens()}
    assert bench.station.issue().status == 0
    sent = {one["serial"]: one["apdus"] for one in bench.station.control.tokens()}
    assert {sent[serial] - before[serial] for serial in sent} == {COMMANDS}
    assert len(FAULTS["unplug-during"].places) * TOKENS >= COMMANDS


def test_a_token_that_was_written_to_is_seen(bench: Bench) -> None:
    """What judges them can fail: an issued token is not taken for one from the factory."""
    bench.station.fresh()
    (serial, *_) = bench.station.serials
    factory = bench.station.control.snapshot(serial)
    assert not written(factory, factory)
    assert bench.station.issue().status == 0
    assert written(bench.station.control.snapshot(serial), factory)
