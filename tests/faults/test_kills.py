"""Four tokens of two holders at once, and the program killed anywhere: at changes of the disk.

A killed process leaves all that the system got from it. So one run is recorded as for a power cut
(`power`), and a moment of it is a kill: the home with all that was written by then, beside the
tokens with all that they were told. `test_batches` has kills from which the command goes on.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.crash.recovery import begin
from tests.crash.station import station
from tests.faults.power import CHANGES, MARKED, Everything, Log, Moment, Recorded, moments
from tests.faults.survival import written
from tests.faults.test_machine import breaches

TOKENS = 4
JUDGED = 3  # of the moments, every third
BOUND = "SELECT token_label FROM orders"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    """Two kits of two, issued in one run."""
    log = Log(tmp_path_factory.mktemp("kills"))
    with station(log.there, tokens=TOKENS, holders=2, kit=2, within=log.within) as made:
        factory = begin(made)
        yield log.record(made, factory, lambda: made.issue(world=MARKED))


def unnamed(recorded: Recorded, moment: Moment) -> Iterator[str]:
    """Tokens that were written to, and that no order is bound to."""
    told = [one for one, state in moment.tokens.items() if written(state, recorded.factory[one])]
    if not told:  # and perhaps no ledger yet
        return
    bound = {row["token_label"] for row in recorded.station.rows(BOUND)}
    for one in told:
        if str(one) not in bound:
            yield f"token {one} was written to, and no order names it"


def test_nothing_is_lost_wherever_it_is_killed(
    recorded: Recorded, record_property: pytest.RecordProperty
) -> None:
    """Custodians can open what the tokens hold, each is an order's, and the manifest verifies."""
    judged, found = 0, list[str]()
    for turn, (number, machine, moment) in enumerate(moments(recorded, before=CHANGES)):
        if turn % JUDGED:
            continue
        machine.left(recorded.station.home, Everything())
        judged += 1
        wrong = [*breaches(recorded, moment), *unnamed(recorded, moment)]
        found += [f"killed before record {number}: {one}" for one in wrong]
    record_property(
        "faults", [f"killed: {judged} of {turn + 1} moments judged", f"breaches: {len(found)}"]
    )
    assert judged > 250
    assert not found, "\n".join(found)


def test_a_promise_that_comes_late_is_seen(recorded: Recorded) -> None:
    """What judges can fail: tokens as they are at the end, and the home as it was in the middle."""
    every = list(recorded.records)
    *_, (_, _, last) = moments(recorded)
    for number, machine, _ in moments(recorded, before=CHANGES):
        if number > len(every) // 4:
            machine.left(recorded.station.home, Everything())
            break
    assert list(breaches(recorded, last))
