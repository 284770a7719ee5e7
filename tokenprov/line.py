"""The production line: all readers at once, each taking the next token as it is put in.

Rules:
- One token in a reader is worked on once; taking it out and putting it in again is a new turn. One
  that restarts by itself, and may come back in another reader, stays in its turn.
- A fault of one token stops that token; the others go on. A fault of the station stops the line.
- pcscd may be restarted under us: a new context is made, a bounded number of times.
- A used token that may be wiped is emptied in a turn of its own reader, and taken up again in the
  reader that it comes back in.
- A token that takes too long, with one command or in all, is given up: nothing more is sent to it,
  and its reader takes the next one.
- Tokens without a serial are worked on one at a time, as many as were announced (`unnumbered`).
- The first interrupt ends the line when the tokens in hand are done, the second one at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

from tokenprov import events
from tokenprov.batch import BatchWork, TokenIsReady
from tokenprov.device.pcsc import Context, ReaderState
from tokenprov.device.sources import Readers
from tokenprov.device.token import AnyToken
from tokenprov.device.watch import Limits, Watch
from tokenprov.errors import (
    IssuerPending,
    PcscUnavailable,
    ReaderBusy,
    StationError,
    TokenprovError,
    TokenReset,
)
from tokenprov.events import Listener
from tokenprov.home import Home
from tokenprov.model import Order
from tokenprov.plan import check_token
from tokenprov.profile import Profile
from tokenprov.prompts import StationOperator
from tokenprov.source import source_for
from tokenprov.turns import Turns
from tokenprov.unnumbered import Unnumbered
from tokenprov.wipe import WipeFirst, wipe

POLL = 0.1  # seconds between looks at the readers, at most
RESETS = 3  # times that another program may reset a token before it is left alone
BUSY_PATIENCE = 10.0  # seconds that another program may hold a reader
SERVICE_TRIES = 10  # new contexts, a second apart, when pcscd is gone


@dataclass(slots=True)
class _Lane:
    """One reader: the turn that is running, and the insertion that was served last."""

    turn: Future[None] | None = None
    watch: Watch = field(default_factory=Watch)  # on the turn
    served: int | None = None  # ReaderState.events of the token that had its turn


class Line:
    """Serves the tokens in all readers from one batch."""

    def __init__(
        self,
        home: Home,
        work: BatchWork,
        profile: Profile,
        listener: Listener,
        limits: Limits | None = None,
        *,
        without_serial: int = 0,
    ) -> None:
        """`without_serial`: how many new tokens that have none the operator will put in."""
        self._source = source_for(profile)
        self._home, self._limits = home, limits or Limits()
        self._work, self._profile, self._hears = work, profile, listener
        self._mine = threading.local()  # the watch on a thread's turn
        self._wiping: set[str] = set()  # serials that may come up in any reader meanwhile
        self._moved: list[ReaderState] = []  # where tokens came back in the same turn
        self._in_hand: list[AnyToken] = []  # those that have their turn
        self._returned: set[tuple[str, int]] = set()  # reader and insertion of restarted ones
        self._taking_up = threading.Lock()
        self._unnumbered = Unnumbered(home, without_serial)
        self._operator = StationOperator(
            self._listener, holder=lambda: getattr(self._mine, "holder", "")
        )
        self._lanes: dict[str, _Lane] = {}
        self._context: Readers | None = None

    def run(self, *, patience: float | None) -> None:
        """Work until every order is issued, or no token was put in for `patience` seconds.

        None waits for ever. Raises `StationError` and what else stops the whole line.
        """
        idle_since = time.monotonic()
        with closing(self._source), Turns() as turns:
            interrupted = False
            while True:
                try:
                    if not interrupted:
                        self._start_turns(turns)
                    running = self._running()
                    if running:
                        self._wait()
                        idle_since = time.monotonic()
                    elif interrupted or self._work.left == 0:
                        break
                    elif patience is not None and time.monotonic() - idle_since >= patience:
                        self._listener(events.BatchPaused(left=self._work.left))
                        break
                    else:
                        self._wait()
                    self._end_turns()
                except KeyboardInterrupt:
                    if interrupted:
                        raise
                    interrupted = True
                    in_hand = len(self._running())
                    self._listener(events.Interrupted(in_hand=in_hand, left=self._work.left))

    def _wait(self) -> None:
        """Until a token comes or goes, or a turn ends."""
        if self._context is None:
            time.sleep(POLL)
        else:
            self._context.wait(POLL)

    def _turn_ended(self, _: Future[None]) -> None:
        context = self._context
        if context is not None:
            context.stop_waiting()

    def _running(self) -> list[Future[None]]:
        return [lane.turn for lane in self._lanes.values() if lane.turn is not None]

    def _start_turns(self, turns: Turns) -> None:
        states = self._states()
        for gone in self._lanes.keys() - {state.name for state in states}:
            if self._lanes[gone].turn is None:
                del self._lanes[gone]
                self._listener(events.ReaderGone(reader=gone))
        self._returned &= {(state.name, state.events) for state in states if state.present}
        while self._moved:
            back = self._moved.pop()
            self._lanes.setdefault(back.name, _Lane()).served = back.events
        for state in states:
            if state.name not in self._lanes:
                self._lanes[state.name] = _Lane()
                self._listener(events.ReaderSeen(reader=state.name))
            lane = self._lanes[state.name]
            if lane.turn is not None:
                continue
            if not state.present:
                if lane.served is not None:
                    lane.served = None
                    self._listener(events.ReaderSeen(reader=state.name))
            elif lane.served != state.events:
                lane.served = state.events
                lane.watch = Watch()
                lane.turn = turns.submit(lane.watch, self._turn, state.name, state.events)
                lane.turn.add_done_callback(self._turn_ended)

    def _end_turns(self) -> None:
        for reader, lane in self._lanes.items():
            if lane.turn is not None and lane.turn.done():
                turn, lane.turn = lane.turn, None
                turn.result()
            elif lane.turn is not None and (reason := lane.watch.overdue(self._limits)):
                lane.turn = None
                self._give_up(reader, lane.watch, reason)

    def _give_up(self, reader: str, watch: Watch, reason: str) -> None:
        watch.given_up = reason
        self._hears(
            events.TokenGivenUp(
                reader=reader,
                label=watch.label or reader,
                reason=reason,
                remedy="Take it out. Put in again, it goes on where it was; if it stays so, set it"
                " aside.",
            )
        )

    def _listener(self, event: events.Event) -> None:
        """Tell what happens; of a turn that was given up only that its token was issued after all.

        It had been through its last command then, and its entry is durable.
        """
        watch = getattr(self._mine, "watch", None)
        if watch is None or not watch.given_up or isinstance(event, events.TokenIssued):
            self._hears(event)

    def _states(self) -> tuple[ReaderState, ...]:
        """The readers; a dead service is waited for. Raises `PcscUnavailable` when it stays so."""
        for attempt in range(1, SERVICE_TRIES + 1):
            try:
                if self._context is None:
                    self._context = self._source.readers()
                return self._context.states()
            except PcscUnavailable as error:
                if self._context is not None:
                    self._context.close()
                    self._context = None
                if attempt == SERVICE_TRIES:
                    raise
                for lane in self._lanes.values():
                    lane.served = None  # whatever was in hand is looked at again
                self._listener(events.ServiceLost(reason=error.message, attempt=attempt))
                time.sleep(1.0)
        raise AssertionError("the last attempt returns or raises")

    def _turn(self, reader: str, insertion: int, watch: Watch) -> None:
        """One token from insertion to its end; only what stops the whole line is raised."""
        self._mine.watch, self._mine.holder = watch, ""
        resets, told, busy_since = 0, False, time.monotonic()
        while not self._came_back(reader, insertion):
            try:
                with (
                    self._source.opened(reader, self._operator, watch=watch) as token,
                    self._taken_up(token) as ours,
                ):
                    if ours:
                        self._serve(token)
                return
            except WipeFirst as wanted:
                if wanted.token.label in self._wiping:  # by the turn of the reader it came from
                    return
                moved = self._wipe(reader, wanted, watch)
                if moved is None:
                    return
                reader = moved
            except TokenReset as error:
                resets += 1
                if resets == RESETS:
                    return self._pass_over(reader, "", error)
            except ReaderBusy as error:
                if self._came_back(reader, insertion):
                    return None
                if any(token.restarting for token in self._held()):
                    time.sleep(POLL)  # perhaps it is just found here
                    continue
                if time.monotonic() - busy_since > BUSY_PATIENCE:
                    return self._pass_over(reader, "", error)
                if not told:
                    told = True
                    self._listener(events.ReaderHeld(reader=reader, holders=error.holders))
                time.sleep(1.0)
            except StationError:
                raise
            except TokenprovError as error:
                return self._pass_over(reader, "", error)
        return None

    @contextmanager
    def _taken_up(self, token: AnyToken) -> Iterator[bool]:
        """Whether it gets this turn: not so while another turn waits for it to come back."""
        with self._taking_up:
            awaited = any(
                one.restarting and one.id.serial == token.id.serial for one in self._in_hand
            )
            if not awaited:
                self._in_hand.append(token)
        try:
            yield not awaited
        finally:
            if not awaited:
                if token.moved is not None:
                    self._returned.add((token.moved.name, token.moved.events))
                    self._moved.append(token.moved)
                with self._taking_up:
                    self._in_hand.remove(token)

    def _held(self) -> list[AnyToken]:
        with self._taking_up:
            return list(self._in_hand)

    def _came_back(self, reader: str, insertion: int) -> bool:
        """Whether that insertion was a token's return from a restart, within its turn."""
        if (reader, insertion) in self._returned:
            return True
        moved = [token.moved for token in self._held()]
        return any(one and (one.name, one.events) == (reader, insertion) for one in moved)

    def _serve(self, token: AnyToken) -> None:
        started = time.monotonic()
        self._mine.watch.label = label = token.id.label
        self._listener(
            events.TokenSeen(
                reader=token.reader,
                label=label,
                model=token.id.model,
                firmware=token.id.firmware,
            )
        )
        try:
            with (
                self._unnumbered.named(token, lambda: self._welcome(token)),
                self._work.order_for(token.id) as (order, begun),
            ):
                if not begun:
                    check_token(self._profile, token)
                self._make(token, order, begun, started)
        except (TokenReset, ReaderBusy, StationError, WipeFirst):
            raise
        except TokenIsReady as error:
            self._listener(
                events.TokenReady(reader=token.reader, label=token.id.label, reason=error.message)
            )
        except TokenprovError as error:
            self._pass_over(token.reader, token.id.label, error)

    def _welcome(self, token: AnyToken) -> None:
        """Raises `TokenConflict`, `ProfileError` for a new token that nothing can be made of."""
        self._work.refuse_idle(token.id)
        check_token(self._profile, token)

    def _wipe(self, reader: str, wanted: WipeFirst, watch: Watch) -> str | None:
        """The reader in which the emptied token is; None where it was not, which was said."""
        label = wanted.token.label
        self._listener(events.WipeStarted(reader=reader, label=label, used=wanted.reasons))
        self._wiping.add(label)
        try:
            index, back = wipe(
                self._home,
                wanted,
                reader,
                self._operator,
                self._work.permission,
                recording=self._work.recording,
                watch=watch,
            )
            with Context() as context:
                self._moved += [state for state in context.states() if state.name == back]
        except StationError:
            raise
        except TokenprovError as error:
            self._pass_over(reader, label, error)
            return None
        finally:
            self._wiping.discard(label)
        self._listener(events.TokenWiped(reader=back, label=label, entry=index))
        return back

    def _make(self, token: AnyToken, order: Order, begun: bool, started: float) -> None:
        self._mine.holder = order.holder.name
        self._listener(
            events.OrderStarted(
                reader=token.reader,
                label=token.id.label,
                order=order.id,
                holder=order.holder.name,
                position=order.position,
                resumed=begun,
            )
        )
        try:
            entry = self._work.make(token, order)
        except (TokenReset, StationError, WipeFirst):
            raise
        except TokenprovError as error:
            tell = events.OrderWaits if isinstance(error, IssuerPending) else events.OrderFailed
            self._listener(
                tell(
                    reader=token.reader,
                    label=token.id.label,
                    order=order.id,
                    holder=order.holder.name,
                    reason=error.message,
                    remedy=error.remedy,
                )
            )
            return
        self._listener(
            events.TokenIssued(
                reader=token.reader,
                label=token.id.label,
                order=order.id,
                holder=order.holder.name,
                position=order.position,
                entry=entry,
                seconds=time.monotonic() - started,
            )
        )

    def _pass_over(self, reader: str, label: str, error: TokenprovError) -> None:
        self._listener(
            events.TokenPassedOver(
                reader=reader, label=label or reader, reason=error.message, remedy=error.remedy
            )
        )
