"""Four tokens of two holders at once, and what goes wrong around them; then the same command again.

Every kind of fault at places spread over the batch; `make faults` goes on at random ones.
"""

from __future__ import annotations

import pytest

from tests.faults.catalogue import FAULTS, Bench
from tests.faults.survival import Tally, survive

# How many places of each kind are tried here; test_pulls.py has one kind at all of its places, and
# test_kills.py judges kills at many more.
TRIED = {
    "unplug-before": 4,
    "unplug-after": 4,
    "answer-lost": 8,
    "reset-before": 5,
    "truncated": 4,
    "garbage": 4,
    "killed": 10,
    "disk full": 10,
    "clock backwards": 1,
    "clock set back": 3,
    "issuer down": 1,
    "issuer down for some": 1,
    "issuer's answer lost": 1,
    "issuer answers twice": 1,
    "pcscd restarted": 3,
    "reader grabbed": 1,
    "token swapped": 3,
    "hot-plug": 3,
    "token without an end": 3,
}


def test_every_kind_is_tried() -> None:
    """Whoever adds a kind of fault says how often it is tried."""
    assert {*TRIED, "unplug-during"} == FAULTS.keys()


@pytest.mark.parametrize("name", TRIED)
def test_after_a_fault_the_same_command_finishes(
    bench: Bench, name: str, record_property: pytest.RecordProperty
) -> None:
    """Every order is issued once, no secret is lost or readable, and the manifest goes on."""
    fault, tally = FAULTS[name], Tally()
    places = list(fault.places)[:: -(-len(fault.places) // TRIED[name])]
    for place in places:
        survive(bench, [(fault, place)], tally, search=place is places[-1])
    record_property("faults", tally.lines())
    assert not tally.breaches, "\n".join(tally.breaches)
