"""Interrupt the command, look, run it again, look again: what is wrong, in words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from tests.crash.judgement import State, after_kill, at_end
from tests.crash.live import refused
from tests.crash.points import Point
from tests.crash.station import Station

# Folders of blobs are named after their content: two may share one, and then it is not made twice.
DRAWN = "mkdir *"


def points_of(station: Station, model: str | None = None) -> tuple[Point, ...]:
    """The points of an undisturbed run on fresh tokens, which issues them all."""
    factory = begin(station, model)
    run = station.issue()
    faults = [*at_end(station, factory), *(f for t in factory for f in refused(station, t))]
    if run.status != 0 or faults:
        raise AssertionError(f"undisturbed: {faults}\n{run.said}")
    return run.points


def begin(station: Station, model: str | None = None) -> dict[int, State]:
    """Fresh home, fresh tokens; gives the tokens' states as the factory made them."""
    station.fresh(model)
    return {token: station.control.snapshot(token) for token in station.serials}


def killed(
    station: Station,
    stops: Sequence[Point],
    *,
    model: str | None = None,
    late: float = 0,
    prepare: Callable[[], None] = lambda: None,
) -> list[str]:
    """Kill the command at each of these points, one run after another, then let it finish.

    With `late` it is killed so many seconds after the point; `prepare` is called on fresh tokens.
    """
    factory = begin(station, model)
    prepare()
    faults = []
    for stop in stops:
        run = station.issue(stop=stop, late=late)
        if not run.killed and not (run.status == 0 and (stop is not stops[0] or _drawn(stop))):
            faults.append(f"it was not killed: {run.said}")
        faults += after_kill(station, factory)
    faults += finished(station, factory)
    where = ", then ".join(map(str, stops))
    return [f"killed before {where}: {fault}" for fault in faults]


def finished(station: Station, factory: dict[int, State]) -> list[str]:
    """Run the same command to its end: what is wrong then."""
    run = station.issue()
    if run.status != 0:
        return [f"the same command again: {run.said}"]
    return [*at_end(station, factory), *(f for token in factory for f in refused(station, token))]


def all_of(points: Iterable[Point], trial: Callable[[Point], list[str]], what: str) -> None:
    """Try every point; raise for all faults together, and say how many points it were."""
    tried, faults = 0, []
    for point in points:
        tried += 1
        faults += trial(point)
    print(f"{what}: {tried} points, {len(faults)} faults")
    if not tried or faults:
        raise AssertionError(f"{what}: {tried} points\n" + "\n".join(faults))


def worth_it(points: Sequence[Point], every: int = 3) -> Iterator[Point]:
    """Every write, the point after it, and a sample of those between reads.

    Reads change nothing, so that what lies between two writes is one state.
    """
    for index, point in enumerate(points):
        after_write = index > 0 and points[index - 1].writes
        if point.writes or after_write or index % every == 0:
            yield point


def _drawn(point: Point) -> bool:
    return point.name == DRAWN
