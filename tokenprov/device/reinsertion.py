"""One token taken out and put in again, and a FIDO2 reset in the seconds after that.

CTAP 2.1, 6.6: a token takes a reset only within ten seconds of getting its power, and with a touch.

Rules:
- The token is known by its serial, read on a new connection, or by what it proves there; the reader
  it comes back in may be another one, and may have another name. One that has no serial and proves
  nothing must come back to its own place on the bus, as what it was; in a reader it could be any.
- What is done with it next is done on the connection of its reset, while it cannot be another one.
- Tokens that are there already, or come and go meanwhile, are none of it: each is asked for its
  serial at most once an insertion, one that another program or lane holds is left alone.
- A token that comes too late, or is not touched, is asked for again, a bounded number of times.
- pcscd may be restarted meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from fido2.ctap import CtapError

from tokenprov.device.hid import plugged_in
from tokenprov.device.pcsc import Context, ReaderState
from tokenprov.device.token import AnyToken, opened
from tokenprov.device.watch import Watch
from tokenprov.errors import (
    NotSupported,
    PcscUnavailable,
    ReaderBusy,
    TokenError,
    TokenGone,
    TokenRefused,
    TouchTimeout,
)
from tokenprov.model import TokenId
from tokenprov.step import Operator

RESET_WINDOW = 10.0  # seconds after power-up; CTAP 2.1, 6.6
PATIENCE = 60.0  # seconds that the person has to put the token in again
POLL = 0.1  # seconds between looks at the readers
TRIES = 3  # re-insertions for one reset
SERVICE_TRIES = 10  # new contexts, a second apart, when pcscd is gone

_TOO_LATE = {CtapError.ERR.NOT_ALLOWED, CtapError.ERR.OTHER}  # OTHER: folded over CCID


@dataclass(frozen=True, slots=True, kw_only=True)
class Time:
    """How time passes: seconds that only grow, and how to wait."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True, kw_only=True)
class Reinserted:
    """A token that is in again, on a new connection, and when that was seen."""

    token: AnyToken
    at: float  # by the clock


@contextmanager
def fido2_reset(
    token: TokenId,
    reader: str,
    operator: Operator,
    *,
    expect: Callable[[AnyToken], None] | None = None,
    sent: Callable[[bool], None] = lambda maybe: None,
    passing: Time | None = None,
    patience: float = PATIENCE,
    watch: Watch | None = None,
) -> Iterator[AnyToken]:
    """Reset the FIDO2 applet of that token, which is in that reader and on no connection now.

    Gives the token on the connection of its reset. `expect` refuses another one by what it says or
    proves, `sent` is told True before each reset, and False where the token did not do it, `watch`
    hears of each command. Raises
    `NotSupported` for a token in a reader that could be any, `TouchTimeout` when it was not put in
    again or not touched, and every other `TokenError`.
    """
    passing = passing or Time()
    failed: TokenError | None = None
    for _ in range(TRIES):
        reason = "reset FIDO2" if failed is None else f"reset FIDO2, again: {failed.message}"
        with reinserted(
            token,
            reader,
            operator,
            reason=reason,
            expect=expect,
            passing=passing,
            patience=patience,
            watch=watch,
        ) as here:
            reader = here.token.reader
            fido = here.token.fido2()
            sent(True)
            left = max(0.0, RESET_WINDOW - (passing.clock() - here.at))
            hold = ", ten seconds long," if fido.info.long_touch_for_reset else ""
            try:
                fido.reset(f"touch it{hold} within {left:.0f} s to reset FIDO2")
            except TouchTimeout as error:
                sent(False)
                failed = error
            except TokenRefused as error:
                sent(False)
                if error.code not in _TOO_LATE:
                    raise
                failed = error
            else:
                yield here.token
                return
    assert failed is not None
    raise failed


@contextmanager
def reinserted(
    token: TokenId,
    reader: str,
    operator: Operator,
    *,
    reason: str,
    passing: Time,
    expect: Callable[[AnyToken], None] | None = None,
    patience: float = PATIENCE,
    watch: Watch | None = None,
) -> Iterator[Reinserted]:
    """Have that token taken out and put in again; gives it on a new connection."""
    known = token.serial is not None or expect is not None
    if not known and all(place.reader != reader for place in plugged_in()):
        raise NotSupported(
            "a token without a serial cannot be told from another one when it comes back",
            remedy="Reset it by hand, alone in its reader: ykman fido reset.",
        )
    with _Readers(passing, watch) as readers, ExitStack() as waiting:
        waiting.enter_context(operator.reinsert(reader, token.label, reason, patience))
        for state in readers.insertions(patience, token.label):
            at = passing.clock()
            with ExitStack() as connection:
                try:
                    here = connection.enter_context(opened(state.name, operator, expect, watch))
                except (TokenGone, ReaderBusy, PcscUnavailable):  # perhaps at the next look
                    continue
                except TokenError:  # whatever it is, it is not ours
                    readers.settle(state)
                    continue
                if expect is None and not _same(token, reader, here):
                    readers.settle(state)
                    continue
                waiting.close()
                yield Reinserted(token=here, at=at)
                return


def _same(token: TokenId, reader: str, here: AnyToken) -> bool:
    """Whether it is that token: by its serial, or where it has none by its place and its kind."""
    if token.serial is not None:
        return here.id.serial == token.serial
    return here.reader == reader and replace(here.id, mark=token.mark) == token


class _Readers:
    """The readers, and which insertions in them are known not to be the awaited one."""

    def __init__(self, passing: Time, watch: Watch | None = None) -> None:
        self._passing, self._watch = passing, watch
        self._context: Context | None = None
        self._settled = {state.name: state.events for state in self._states()}

    def __enter__(self) -> _Readers:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def settle(self, state: ReaderState) -> None:
        """This insertion is looked at no more."""
        self._settled[state.name] = state.events

    def insertions(self, patience: float, label: str) -> Iterator[ReaderState]:
        """Insertions that are not settled, again and again. Raises `TouchTimeout` in the end."""
        began = self._passing.clock()
        while self._passing.clock() - began < patience:
            if self._watch is not None:
                self._watch.check()
            present = [state for state in self._states() if state.present]
            names = {state.name for state in present}
            self._settled = {name: at for name, at in self._settled.items() if name in names}
            for state in present:
                if self._settled.get(state.name) != state.events:
                    yield state
            self._passing.sleep(POLL)
        raise TouchTimeout(
            f"token {label} was not put in again within {patience:.0f} s",
            remedy="Run it again, take out that token, and put it in again.",
        )

    def _close(self) -> None:
        if self._context is not None:
            self._context.close()
            self._context = None

    def _states(self) -> tuple[ReaderState, ...]:
        for attempt in range(1, SERVICE_TRIES + 1):
            try:
                if self._context is None:
                    self._context = Context()
                return self._context.states()
            except PcscUnavailable:
                self._close()
                if attempt == SERVICE_TRIES:
                    raise
                self._passing.sleep(1.0)
        raise AssertionError("the last attempt returns or raises")
