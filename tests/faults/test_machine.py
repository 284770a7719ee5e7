"""The machine is switched off anywhere: ledger, manifest and escrow from what reached the disk.

One run with two tokens is recorded, every call to the disk and every command to a token; then the
home is put together as it may be found after a power cut at any of them.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest

from tests.crash.held import held, not_openable
from tests.crash.recovery import begin, finished
from tests.crash.station import station
from tests.faults.power import (
    CUT_OFF,
    MARKED,
    WAYS,
    Everything,
    Log,
    Moment,
    Nothing,
    Recorded,
    contents,
    moments,
)
from tokenprov.record.manifest import verify_manifest

TOKENS = 2
FINISHED = 2  # of the moments, the command goes on from every second


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    """One holder's primary and spare, issued in one run."""
    log = Log(tmp_path_factory.mktemp("machine"))
    with station(log.there, tokens=TOKENS, kit=TOKENS, within=log.within) as made:
        factory = begin(made)
        yield log.record(made, factory, lambda: made.issue(world=MARKED))


def breaches(recorded: Recorded, moment: Moment) -> Iterator[str]:
    """What is wrong with the home as it lies there, beside the tokens of that moment."""
    made = recorded.station
    kept = {token: held(now, recorded.factory[token]) for token, now in moment.tokens.items()}
    sealed = made.all_sealed() if any(kept.values()) else {}  # there may be no ledger yet
    for token, values in kept.items():
        for what in not_openable(values, sealed.get(str(token), [])):
            yield f"token {token} holds {what}, which is lost"
    report = verify_manifest(made.home / "manifest")
    yield from (f"manifest: {one}" for one in report.findings if one.rule not in CUT_OFF)
    if report.size < moment.told:
        yield f"{moment.told} entries were told, and {report.size} are there"


def test_what_tokens_hold_is_never_lost(
    recorded: Recorded, record_property: pytest.RecordProperty
) -> None:
    """Custodians can open it, and what was told as issued is in a manifest that verifies."""
    judged, found = 0, []
    for number, machine, moment in moments(recorded):
        for way in WAYS:
            machine.left(recorded.station.home, WAYS[way](number))
            judged += 1
            found += [f"{number}, {way}: {one}" for one in breaches(recorded, moment)]
    record_property("faults", [f"power cut: {judged} states judged", f"breaches: {len(found)}"])
    assert judged > 300  # fewer where both tokens are ready under one checkpoint
    assert not found, "\n".join(found)


def test_from_there_the_same_command_finishes(
    recorded: Recorded, record_property: pytest.RecordProperty
) -> None:
    """With the home that is left, and the tokens as they are then, both are issued once."""
    made, found, tried = recorded.station, [], 0
    for turn, (number, machine, moment) in enumerate(moments(recorded)):
        if turn % FINISHED:
            continue
        way = list(WAYS)[tried % len(WAYS)]
        machine.left(made.home, WAYS[way](number))
        for place, (token, state) in enumerate(moment.tokens.items()):
            made.control.replace(place, serial=token)
            made.control.restore(token, state)
        tried += 1
        found += [f"{number}, {way}: {one}" for one in finished(made, recorded.factory)]
    record_property("faults", [f"power cut: {tried} times gone on", f"breaches: {len(found)}"])
    assert tried > 25
    assert not found, "\n".join(found)


def test_a_disk_that_never_syncs_loses_secrets(recorded: Recorded) -> None:
    """What judges them can fail: with no sync done, what tokens hold at the end is lost."""
    machine = copy.deepcopy(recorded.machine)
    for record in recorded.records:
        if record.kind not in "sa":
            machine.did(record)
    *_, (_, _, moment) = moments(recorded)
    machine.left(recorded.station.home, Nothing())
    assert list(breaches(recorded, moment))


def test_the_disk_is_as_the_records_say(recorded: Recorded) -> None:
    """All of it done again is the home as the run left it, byte for byte, but for scratch files."""
    *_, (_, machine, _) = moments(recorded)
    again = recorded.station.folder / "again"
    machine.left(again, Everything())
    assert contents(again) == recorded.left
