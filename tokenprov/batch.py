"""The work on a batch: its orders handed out to tokens, and what one token is taken through.

Rules:
- A token that an order was begun with goes on with that order and no other.
- New tokens take the open orders in the roster's order, those of holders who were named first.
- A token that comes back while its last turn is still ending goes on in the later one.
- An order is bound to a token when that token was seen to be nobody's, before its first write.
- A used token is refused, or wiped first where an operator named its serial (`wipe`).
- A token never to be touched, or set aside, is refused by its serial alone; so is one that is not
  in stock, where a stock was imported and no order was begun with it.
"""

from __future__ import annotations

import secrets
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

from tokenprov import events
from tokenprov.errors import IssuerPending, StationError, TokenConflict, TokenprovError
from tokenprov.events import Listener
from tokenprov.home import Home
from tokenprov.inventory import take_inventory
from tokenprov.issuance import Issuance, Issuing
from tokenprov.meanwhile import Meanwhile
from tokenprov.model import Order, OrderState, TokenId
from tokenprov.plan import steps_on
from tokenprov.policy import Clearance
from tokenprov.profile import Profile
from tokenprov.promise import OrderJournal
from tokenprov.record.history import State
from tokenprov.record.rows import Batch, OrderRecord
from tokenprov.run import Outcome, conflicts, look, provision, refuse_used
from tokenprov.secret import RandomBytes
from tokenprov.step import Finding, Step
from tokenprov.steps.piv.history import RetiredKey
from tokenprov.token import Token
from tokenprov.wipe import Permission, WipeFirst, refuse_bound, refuse_forbidden, seen_virtual


class TokenIsReady(TokenConflict):
    """The token was issued before: it is to be taken out, and nothing is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepProgress:
    """Implements `run.Progress` by events."""

    reader: str
    listener: Listener

    def step_started(self, step: Step, number: int, total: int) -> None:
        self.listener(
            events.StepStarted(
                reader=self.reader, step=step.id, title=step.title, number=number, total=total
            )
        )


def _nothing_open(token: TokenId) -> TokenConflict:
    return TokenConflict(
        f"no order is open for token {token.label}",
        remedy="Take it out, or run the batch with a larger roster or kit.",
    )


class BatchWork:
    """The orders of a batch that are left, handed out to tokens; safe for threads."""

    def __init__(
        self,
        home: Home,
        profile: Profile,
        batch: Batch,
        *,
        operator: str,
        listener: Listener,
        random: RandomBytes = secrets.token_bytes,
        permission: Permission | None = None,
        history: Sequence[RetiredKey] = (),
        clearance: Clearance | None = None,
    ) -> None:
        """`permission`: which used tokens may be wiped; `history`: old keys that each gets.

        `clearance` stands in each entry.
        """
        self._home, self._profile, self._batch = home, profile, batch
        self.permission = permission or Permission()
        self._history, self._clearance = tuple(history), clearance
        self._operator, self._listener, self._random = operator, listener, random
        counts = home.ledger.count_orders(batch.id)
        self._left = sum(counts.values()) - counts[OrderState.ISSUED]
        self._open = deque(home.ledger.open_orders(batch.id))
        self._named: deque[str] = deque()  # orders that come before those that are open
        self._resumed_by: dict[str, int] = {}  # by order, the thread whose turn took it up last
        self._handing_out = threading.Lock()
        self.recording = threading.Lock()  # one append at a time
        self._issuing = Issuing(home, self.recording)

    @property
    def left(self) -> int:
        """Orders that are not issued."""
        return self._left

    def refuse_idle(self, token: TokenId) -> None:
        """Raises `TokenConflict` for a new token where no order is open."""
        with self._handing_out:
            if not self._named and not self._open:
                raise _nothing_open(token)

    def name_holder(self, holder_id: str) -> tuple[str, int] | None:
        """The next new tokens are for this holder, until their kit is whole.

        Gives their name and how many orders that is; None where none of theirs is open.
        """
        found = self._home.ledger.open_orders_of(self._batch.id, holder_id)
        with self._handing_out:
            for record in found:
                if record.id in self._open:
                    self._open.remove(record.id)
                    self._named.append(record.id)
        return (found[0].order.holder.name, len(found)) if found else None

    def begun_with(self, token: TokenId) -> OrderRecord | None:
        """The order that this token was begun with and not finished, None for a new token.

        Raises `TokenIsReady` where it is finished, `TokenConflict` where it is spoken for
        elsewhere.
        """
        self._go_on_wiping(token)
        found = self._home.ledger.order_of_token(None, token.label)
        if found is None:
            return None
        order = found.order
        if found.state is OrderState.ISSUED:
            self._refuse_issued(token, found)
            return None
        if order.batch != self._batch.id:
            raise TokenConflict(
                f"token {token.label} was begun for order {order.id} of batch {order.batch}",
                remedy="Run that batch again with this token in a reader.",
            )
        return found

    def _refuse_issued(self, token: TokenId, found: OrderRecord) -> None:
        """Raises `TokenConflict`, but for a token that was given back since, and is as new."""
        assert found.entry_index is not None, "what is issued has its entry"
        life = self._home.manifest.life(self._home.manifest.entry(found.entry_index)["token"])
        whose = f"{found.order.holder.name} (order {found.id})"
        if life is None or life.state is State.HELD:
            if self.permission.covers(token):
                refuse_bound(self._home, token)
            raise TokenIsReady(
                f"token {token.label} was issued to {whose}",
                remedy="Take it out.",
            )
        again = life.state is State.UNMARKED and self.permission.covers(token)
        if life.state is not State.STOCK and not again:
            raise TokenConflict(
                f"token {token.label}, issued to {whose}, is {life.state} by entry {life.entry}",
                remedy="Take it out, and ask whoever brought it where it was found. It is made"
                f" ready for another holder by: tokenprov return {token.label}.",
            )

    def _refuse_aside(self, token: TokenId) -> None:
        found = self._home.ledger.aside(token.label)
        if found is not None:
            raise TokenConflict(
                f"token {token.label} was set aside: {found.reason}"
                f" ({found.operator}, {found.at:%Y-%m-%d})",
                remedy="Take it out and put it where such tokens go.",
            )

    def _refuse_unstocked(self, token: TokenId) -> None:
        if token.serial is None:  # counted by the operator (`unnumbered`)
            return
        raise TokenConflict(
            f"token {token.label} is not in stock",
            remedy="Take it out; if it belongs here, import its packing list: tokenprov stock"
            " import FILE.",
        )

    def _go_on_wiping(self, token: TokenId) -> None:
        """Raises `WipeFirst` for a token whose wipe was cut off, `TokenConflict` if unnamed."""
        begun = self._home.ledger.wipes.open(token.label)
        if begun is None:
            return
        if self.permission.covers(token):
            raise WipeFirst(token, begun.found["used"])
        raise TokenConflict(
            f"the wipe of token {token.label}, begun by {begun.operator}, is not finished",
            remedy=f"Finish it: run the same command with --wipe {token.label} and the reason.",
        )

    @contextmanager
    def order_for(self, token: TokenId) -> Iterator[tuple[Order, bool]]:
        """The order for this token and whether it was begun before; given back if nothing is.

        Raises `TokenConflict` where there is none.
        """
        known = self._home.ledger.standing(token.label)
        if known.never:
            refuse_forbidden(self._home, token)
        if known.aside:
            self._refuse_aside(token)
        begun = self.begun_with(token) if known.wipe or known.order else None
        if begun is not None:
            with self._handing_out:
                self._resumed_by[begun.id] = threading.get_ident()
                self._home.ledger.claim(begun.id, token, begun.inventory, self._home.clock())
            yield begun.order, True
            return
        if known.stock and not known.stocked:
            self._refuse_unstocked(token)
        with self._handing_out:
            queue = self._named or self._open
            if not queue:
                raise _nothing_open(token)
            order_id = queue.popleft()
        try:
            yield self._record(order_id).order, False
        finally:
            if self._record(order_id).state is OrderState.OPEN:
                with self._handing_out:
                    queue.appendleft(order_id)

    def make(
        self, token: Token, order: Order, issued: Callable[[int], None] = lambda entry: None
    ) -> int:
        """Take the token through the profile's steps and record it; gives the entry's index.

        `issued` is told that index as soon as the entry is durable, by any thread. Raises what the
        token, the issuer or the records raise; the order is then open as before, or bound to this
        token with the reason.
        """
        with Meanwhile() as meanwhile:
            try:
                outcomes, virtual = self._provision(token, order, meanwhile)
                index = self._issuing(
                    Issuance(
                        order=order,
                        token=token.id,
                        outcomes=outcomes,
                        kit_size=self._batch.kit_size,
                        operator=self._operator,
                        virtual=virtual,
                        clearance=self._clearance,
                        issued=issued,
                    )
                )
                with self._handing_out:
                    self._left -= 1
                    self._resumed_by.pop(order.id, None)
                return index
            except StationError:
                raise
            except IssuerPending as error:  # the token has no fault: `batch retry` leaves it alone
                self._home.ledger.wait(order.id, error.message, self._home.clock())
                raise
            except TokenprovError as error:
                self._stop(order.id, error.message)
                raise

    def _provision(
        self, token: Token, order: Order, meanwhile: Meanwhile
    ) -> tuple[Sequence[Outcome], bool]:
        """What was read back of each step, and whether it is a virtual token."""
        journal = OrderJournal(self._home, order.id, token.id.label, random=self._random)
        is_virtual = cache(lambda: self._is_virtual(token))

        def plan() -> Sequence[Step]:
            steps = steps_on(
                token, self._profile, order, self._home, day=journal.day, history=self._history
            )
            if not journal.begun:
                journal.prepare(steps, meanwhile)
            return steps

        planned = meanwhile(plan)
        inventory = None if journal.begun else take_inventory(token)
        steps = planned.result()

        def begin() -> Mapping[str, Finding]:
            assert inventory is not None, "nothing was begun"
            self._refuse_used(token, inventory.used)  # before a step tries what may be a PIN
            findings = look(token, steps)
            self._refuse_used(token, conflicts(findings))
            # for the entry of one that is set aside
            journal.claim(token.id, {**inventory.facts, "virtual": is_virtual()})
            return findings

        outcomes = provision(
            token,
            steps,
            journal,
            progress=StepProgress(reader=token.reader, listener=self._listener),
            begin=begin,
        )
        return outcomes, is_virtual()

    def _stop(self, order_id: str, reason: str) -> None:
        """Note why an order stopped, unless its token came back and goes on in another turn."""
        with self._handing_out:
            elsewhere = self._resumed_by.get(order_id) not in (None, threading.get_ident())
            if not elsewhere and self._record(order_id).state is OrderState.WORKING:
                self._home.ledger.fail(order_id, reason, self._home.clock())

    def _is_virtual(self, token: Token) -> bool:
        """Whether it is one, at a station that knows any."""
        return self._home.anchors.know_virtual and seen_virtual(self._home, token)

    def _refuse_used(self, token: Token, reasons: Sequence[str]) -> None:
        if reasons and self.permission.covers(token.id):
            raise WipeFirst(token.id, reasons)
        refuse_used(token, reasons)

    def _record(self, order_id: str) -> OrderRecord:
        record = self._home.ledger.order(order_id)
        if record is None:
            raise StationError(
                f"order {order_id} is gone from the ledger", remedy="Restore it from a backup."
            )
        return record
