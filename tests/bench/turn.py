"""What a turn computes, in one process: no PC/SC, no latency, and no other program in between.

Tokens of the main job's profile are made in this process, one after the other in one home. Counted
is processor time less the virtual token's, so that it says about the same on a busy machine as on
an idle one; medians.

`turn.thread_time` is that of the turn's own thread: it passes between a token's commands, and the
token waits. `turn.processor_time` is that of all threads, with what is done while the token
computes (`meanwhile`): the readers of a station share it. The parts are of the turn's own thread:
`promise` (joins what was sealed, and journals it), `certificate`, `registration` (the relying
party), `fido2` (the maker's library between CTAP's commands) and `append` (the entry). What is left
is the maker's library between the other commands, the looks at the ledger, and the steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

from tests.bench.figures import Figure
from tests.in_process import HEADER, SERIAL, Desk, Line
from tokenprov.batch import BatchWork
from tokenprov.device.fido2 import Fido2
from tokenprov.directory import RelyingParty
from tokenprov.issuer.ca.local import LocalCa
from tokenprov.ordering import new_batch
from tokenprov.profile import load_profile
from tokenprov.promise import OrderJournal
from tokenprov.record.manifest import Manifest
from tokenprov.roster import parse_roster
from tokenprov.sim.assembly import make_token
from tokenprov.sim.models import DEFAULT_MODEL
from tokenprov.sim.presence import TouchPolicy
from tokenprov.sim.token import VirtualToken

TOKENS = 24
FIRST = 4  # tokens that are not counted: much is done once
PROFILE = "standard-employee"
PARTS: dict[str, tuple[type, tuple[str, ...]]] = {
    "promise": (OrderJournal, ("promise",)),
    "certificate": (LocalCa, ("issue",)),
    "registration": (RelyingParty, ("complete_registration", "complete_assertion")),
    "fido2": (Fido2, ("make_credential", "get_assertion", "check_pin", "set_pin", "room")),
    "append": (Manifest, ("append_many",)),
}


class Meter:
    """Seconds that this thread computed, without the virtual token's."""

    def __init__(self) -> None:
        self.card = 0.0
        self.turns: list[dict[str, float]] = []

    @contextmanager
    def turn(self) -> Iterator[None]:
        """One token's."""
        self.turns.append(dict.fromkeys(PARTS, 0.0))
        card, everybody = self.card, time.process_time()
        with self.part("thread_time"):
            yield
        self.turns[-1]["processor_time"] = time.process_time() - everybody - (self.card - card)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """A part of a turn, which may come several times."""
        card, began = self.card, time.thread_time()
        yield
        spent = time.thread_time() - began - (self.card - card)
        self.turns[-1][name] = self.turns[-1].get(name, 0.0) + spent

    def timed(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """That call, as a part of the turn."""

        def made(*arguments: Any, **options: Any) -> Any:
            with self.part(name):
                return call(*arguments, **options)

        return made


class MeteredLine(Line):
    """A connection whose token's time is known."""

    def __init__(self, token: VirtualToken, meter: Meter) -> None:
        super().__init__(token)
        self._meter = meter

    def send_and_receive(self, apdu: bytes) -> tuple[bytes, int]:
        """One exchange."""
        began = time.thread_time()
        try:
            return super().send_and_receive(apdu)
        finally:
            self._meter.card += time.thread_time() - began


def measure(folder: Path) -> dict[str, Figure]:
    """All of it; `folder` is empty and ours."""
    desk, meter = Desk(folder / "first", DEFAULT_MODEL), Meter()
    home = desk.home
    rows = "".join(
        f"E{n},Ann {n},a{n}@example.test,a{n}@example.test,S-1-5-21-1-2-3-{n}\n"
        for n in range(TOKENS)
    )
    roster = parse_roster((HEADER + rows).encode(), "roster", today=home.clock().date())
    profile = load_profile(PROFILE)
    batch = new_batch(home, roster, profile, kit_size=1, operator="bench")
    work = BatchWork(home, profile, batch, operator="bench", listener=lambda event: None)
    with ExitStack() as patched, home.working():
        for name, (owner, methods) in PARTS.items():
            for method in methods:
                timed = meter.timed(name, getattr(owner, method))
                # a function, and not the partial of one: it is bound as a method
                patched.enter_context(patch.object(owner, method, timed))
        for number in range(TOKENS):
            fresh = make_token(DEFAULT_MODEL, SERIAL + number, touch=TouchPolicy(patience=0.01))
            with meter.turn():
                token = desk.connected(MeteredLine(fresh, meter))
                with work.order_for(token.id) as (order, _):
                    work.make(token, order)
    home.ledger.close()
    counted = meter.turns[FIRST:]
    return {
        f"turn.{name}": Figure(value=median(turn[name] for turn in counted) * 1e3, unit="ms/token")
        for name in ("thread_time", "processor_time", *PARTS)
    }
