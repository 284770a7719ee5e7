"""The production line: all readers at once, each taking the next token as it is put in.

Rules:
- One token in a reader is worked on once (`lanes`); taking it out and putting it in again is a new
  turn. One that restarts by itself stays in its turn (`in_hand`).
- A fault of one token stops that token; the others go on. A fault of the station stops the line.
- A used token that may be wiped is emptied in a turn of its own reader, and taken up again in the
  reader that it comes back in.
- A token that takes too long, with one command or in all, is given up: nothing more is sent to it,
  and its reader takes the next one.
- What a touched key types goes nowhere meanwhile (`device.keyboard`).
- Tokens without a serial are worked on one at a time, as many as were announced (`unnumbered`).
- The first interrupt ends the line when the tokens in hand are done, the second one at once.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from contextlib import closing

from tokenprov import events
from tokenprov.batch import BatchWork, TokenIsReady
from tokenprov.device.keyboard import Keyboards
from tokenprov.device.pcsc import Context
from tokenprov.device.token import AnyToken
from tokenprov.device.watch import Limits, Watch
from tokenprov.errors import (
    IssuerPending,
    NotVerified,
    ReaderBusy,
    StationError,
    TokenMoved,
    TokenprovError,
    TokenReset,
)
from tokenprov.events import Listener
from tokenprov.home import Home
from tokenprov.in_hand import InHand
from tokenprov.lanes import POLL, Lanes
from tokenprov.model import Order, TokenId
from tokenprov.plan import check_token
from tokenprov.profile import Profile
from tokenprov.prompts import StationOperator
from tokenprov.source import source_for
from tokenprov.turns import Turns
from tokenprov.unnumbered import Unnumbered
from tokenprov.unseen import awaited, emptied_before, finish_unseen
from tokenprov.wipe import WipeFirst, clear, erasing, wipe

RESETS = 3  # times that a token may be reset by another program, or move, and is taken up again
BUSY_PATIENCE = 10.0  # seconds that another program may hold a reader


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
        self._in_hand = InHand()
        self._lanes = Lanes(self._source, self._in_hand, self._listener)
        self._unnumbered = Unnumbered(home, without_serial)
        self._keyboards = Keyboards()
        self._moves: Counter[str] = Counter()  # by label: restarts that led to another place
        self._operator = StationOperator(
            self._listener, holder=lambda: getattr(self._mine, "holder", "")
        )

    def run(self, *, patience: float | None) -> None:
        """Work until every order is issued, or no token was put in for `patience` seconds.

        None waits for ever. Raises `StationError` and what else stops the whole line.
        """
        idle_since = time.monotonic()
        with (
            closing(self._source),
            closing(self._lanes),
            closing(self._keyboards),
            Turns(self._limits) as turns,
        ):
            interrupted = False
            while True:
                try:
                    self._hold_keyboards()
                    if not interrupted:
                        self._start_turns(turns)
                    if self._lanes.running:
                        self._lanes.wait()
                        idle_since = time.monotonic()
                    elif interrupted or self._work.left == 0:
                        break
                    elif patience is not None and time.monotonic() - idle_since >= patience:
                        self._listener(events.BatchPaused(left=self._work.left))
                        break
                    else:
                        self._lanes.wait()
                    self._end_turns()
                except KeyboardInterrupt:
                    if interrupted:
                        raise
                    interrupted = True
                    in_hand = len(self._lanes.running)
                    self._listener(events.Interrupted(in_hand=in_hand, left=self._work.left))

    def _hold_keyboards(self) -> None:
        for free in self._keyboards.hold():
            where = f"{free.node} ({free.place})"
            self._listener(events.KeyboardFree(keyboard=where, reason=free.reason))

    def _start_turns(self, turns: Turns) -> None:
        for lane in self._lanes.waiting():
            assert lane.served is not None, "an insertion waits in it"
            lane.turn = turns.submit(lane.watch, self._turn, lane.reader, lane.served)
            lane.turn.add_done_callback(lambda _: self._lanes.wake())

    def _end_turns(self) -> None:
        for lane, turn in self._lanes.running:
            if turn.done():
                lane.turn = None
                turn.result()
            elif reason := lane.watch.overdue(self._limits):
                lane.turn = None
                self._give_up(lane.reader, lane.watch, reason)

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

        It had been through its last command then, and its entry is durable, whichever turn's thread
        it is that wrote it.
        """
        watch = getattr(self._mine, "watch", None)
        if watch is None or not watch.given_up or isinstance(event, events.TokenIssued):
            self._hears(event)

    def _turn(self, reader: str, insertion: int, watch: Watch) -> None:
        """One token from insertion to its end; only what stops the whole line is raised."""
        self._mine.watch, self._mine.holder = watch, ""
        resets, told, busy_since = 0, False, time.monotonic()
        while not self._in_hand.came_back(reader, insertion):
            try:
                with (
                    self._source.opened(reader, self._operator, watch=watch) as token,
                    self._in_hand.taken_up(token) as ours,
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
            except TokenMoved:  # it goes on with its order where it comes back
                return None
            except TokenReset as error:
                resets += 1
                if resets == RESETS:
                    return self._pass_over(reader, "", error)
            except ReaderBusy as error:
                if self._in_hand.came_back(reader, insertion):
                    return None
                if self._in_hand.restarting:
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
                self._unnumbered.named(
                    token, lambda: self._welcome(token), lambda: self._emptied_by(token)
                ),
                self._work.order_for(token.id) as (order, begun),
            ):
                if not begun:
                    check_token(self._profile, token)
                self._make(token, order, begun, started)
        except (TokenMoved, TokenReset, ReaderBusy, StationError, WipeFirst):
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

    def _emptied_by(self, token: AnyToken) -> str | None:
        """The wipe that left it as it is, where it was named; recorded, where that was cut off."""
        permission, recording = self._work.permission, self._work.recording
        record = awaited(self._home, token, permission.covers)
        if record is not None:
            clearance = clear(self._home, record.token, permission)
            index = finish_unseen(self._home, token, record, clearance, recording)
            label = record.token.label
            self._listener(events.TokenWiped(reader=token.reader, label=label, entry=index))
        found = emptied_before(self._home, token, permission.covers)
        return found.id if found is not None else None

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
                source=self._source,
                erase=erasing(self._profile),
                watch=watch,
            )
            if self._profile.pkcs11 is None:  # a module has its tokens where they were
                with Context() as context:
                    self._in_hand.served([one for one in context.states() if one.name == back])
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

        def tell_issued(entry: int) -> None:
            self._unnumbered.done(token)
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

        try:
            self._refuse_restless(token.id)
            self._work.make(token, order, tell_issued)
        except TokenMoved:
            self._moves[token.id.label] += 1
            raise
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

    def _refuse_restless(self, token: TokenId) -> None:
        if self._moves[token.label] == RESETS:
            raise NotVerified(
                f"it restarted {RESETS} times, and its interfaces are not those that were written",
                remedy="Set it aside: it does not keep its configuration.",
            )

    def _pass_over(self, reader: str, label: str, error: TokenprovError) -> None:
        self._listener(
            events.TokenPassedOver(
                reader=reader, label=label or reader, reason=error.message, remedy=error.remedy
            )
        )
