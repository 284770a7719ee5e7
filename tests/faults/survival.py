"""What must hold after a fault, and after the same command again: each breach in words.

Beside what the crash tests judge (`crash.judgement`): a token that was written to is named by the
ledger, nothing that custodians can open is readable anywhere else, and the manifest at the end
continues the one that lay there after the fault.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.crash.held import certificate_on, credentials_on, held
from tests.crash.judgement import State, after_kill
from tests.crash.program import Run
from tests.crash.recovery import begin, finished
from tests.crash.station import Station
from tests.faults.catalogue import Bench, Fault, Place
from tests.leaks import Needles
from tokenprov.model import Purpose
from tokenprov.record.head import Held
from tokenprov.record.manifest import verify_manifest
from tokenprov.sim.control import SimControl

TEXTUAL = ("/pin", "/puk")  # secrets that are digits


@dataclass(slots=True)
class Tally:
    """How often each kind of fault was met, at how many of its places there are, how those runs
    ended, and what was wrong.
    """

    ends: dict[str, Counter[str]] = field(default_factory=dict)
    places: dict[str, set[Place]] = field(default_factory=dict)
    possible: dict[str, int] = field(default_factory=dict)
    breaches: list[str] = field(default_factory=list)

    def add(self, fault: Fault, place: Place, run: Run) -> None:
        """One more meeting."""
        self.places.setdefault(fault.name, set()).add(place)
        self.possible[fault.name] = len(fault.places)
        end = "killed" if run.killed else f"exit {run.status}"
        self.ends.setdefault(fault.name, Counter())[end] += 1

    def lines(self) -> list[str]:
        """A line a kind, for people."""
        return [
            f"{name}: {ends.total()} times, at {len(self.places[name])} of"
            f" {self.possible[name]} places"
            f" ({', '.join(f'{number} {end}' for end, number in sorted(ends.items()))})"
            for name, ends in self.ends.items()
        ] + [f"breaches: {len(self.breaches)}"]


def survive(
    bench: Bench, meetings: Sequence[tuple[Fault, Place]], tally: Tally, *, search: bool = False
) -> None:
    """Have a fresh batch meet these faults one after another, and the command then finish.

    With `search` its secrets are looked for in every file and in all that was said.
    """
    station = bench.station
    factory = begin(station)
    said = ""
    where = ", then ".join(f"{fault.name} at {place}" for fault, place in meetings)
    for fault, place in meetings:
        run = fault.meet(bench, place)
        said += run.said
        tally.add(fault, place, run)
        then = [*_ended(fault, run), *after_kill(station, factory), *_unnamed(station, factory)]
        tally.breaches += [f"{where}: {one}" for one in then]
        _mend(station.control, station.serials)
    before = (station.home / "manifest" / "checkpoint").read_bytes()
    again = max((fault.certificates for fault, _ in meetings), default=1)
    at_last = [one for one in finished(station, factory) if not _expected(one, again)]
    report = verify_manifest(station.home / "manifest", held=Held(pin=before))
    at_last += [f"manifest: {finding}" for finding in report.findings]
    if search:
        at_last += _readable(bench, said)
    tally.breaches += [f"{where}, then again: {one}" for one in at_last]


def _ended(fault: Fault, run: Run) -> Iterator[str]:
    if run.status not in fault.codes:
        yield f"it ended with {run.said}"
    if "Traceback" in run.stderr:
        yield f"it failed: {run.said}"


def _unnamed(station: Station, factory: Mapping[int, State]) -> Iterator[str]:
    """Tokens that were written to, and that no order is bound to."""
    bound = {row["token_label"] for row in station.rows("SELECT token_label FROM orders")}
    for token, before in factory.items():
        if str(token) not in bound and written(station.control.snapshot(token), before):
            yield f"token {token} was written to, and no order names it"


def written(state: State, factory: State) -> bool:
    """Whether a token holds anything that it did not leave the factory with."""
    return bool(held(state, factory) or credentials_on(state) or certificate_on(state))


def _mend(control: SimControl, serials: Sequence[int]) -> None:
    """Every token is in again, and nothing more happens to it."""
    for serial in serials:
        control.clear_faults(serial)
        if not control.token(serial)["present"]:
            control.insert(serial)


def _expected(breach: str, certificates: int) -> bool:
    """Whether it is what an authority that answers twice brings about, and nobody else."""
    return certificates > 1 and breach == (
        f"the authority issued {certificates} certificates for one order"
    )


def _readable(bench: Bench, said: str) -> Iterator[str]:
    """Secrets that stand somewhere but in envelopes."""
    needles = Needles()
    for token in bench.station.serials:
        needles.add(
            str(token),
            {
                one.context.name: one.value.decode()
                if one.context.name.endswith(TEXTUAL)
                else one.value.hex()
                for one in bench.station.sealed(token)
                if one.context.purpose == Purpose.BREAK_GLASS
            },
        )
    for name, hits in needles.in_folder(bench.station.home).items():
        yield f"{name} tells {sorted(hits)}"
    for hit in needles.in_bytes(said.encode()):
        yield f"a run told {hit}"
