"""A token known by a mark, cut off when its reset was sent: nothing tells which it is any more.

Rules:
- What still proves the mark was not reset, and is wiped as before; this is about what does not.
- It is taken for the token of such a wipe where it is what that token would be: blank, of the same
  maker, model and firmware, and known by nothing. Nothing is written to it.
- The wipe is recorded with the reset as `unseen`: that it was sent, what was there afterwards, and
  nothing more. The mark is asked for as before: if it is proved once more, the reset was not done,
  and the token may be wiped again.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace

from tokenprov.device.token import AnyToken
from tokenprov.home import Home
from tokenprov.inventory import take_inventory
from tokenprov.model import TokenId
from tokenprov.policy import Clearance
from tokenprov.record.wipes import WipeRecord
from tokenprov.unnumbered import recognise
from tokenprov.wipe import FIDO2, emptied, finish


def is_blank(token: AnyToken) -> bool:
    """Whether nothing is on it."""
    return not take_inventory(token).used


def is_left(
    home: Home,
    wanted: TokenId,
    token: AnyToken,
    is_so: Callable[[AnyToken], bool] = is_blank,
) -> bool:
    """Whether a token is what that one would be once its mark is gone: like it, and `is_so`."""
    recognise(home, token)
    return not token.id.named and replace(token.id, mark=wanted.mark) == wanted and is_so(token)


def awaited(home: Home, token: AnyToken, covers: Callable[[TokenId], bool]) -> WipeRecord | None:
    """The wipe that a token is taken to be of, the oldest that `covers` names; None for another."""
    for record in home.ledger.wipes.unseen() if token.id.serial is None else ():
        if covers(record.token) and is_left(home, record.token, token):
            return record
    return None


def emptied_before(
    home: Home, token: AnyToken, covers: Callable[[TokenId], bool]
) -> WipeRecord | None:
    """The wipe that left a token so, whose token `covers` names and that got no mark since.

    One that was to get a mark has it where that mark is kept: it is kept before all else.
    """
    for record in home.ledger.wipes.ending_marks() if token.id.serial is None else ():
        if not covers(record.token) or (
            record.next_mark and home.marks().find(record.next_mark) is not None
        ):
            continue
        if is_left(home, record.token, token):
            return record
    return None


def finish_unseen(
    home: Home,
    token: AnyToken,
    record: WipeRecord,
    clearance: Clearance,
    recording: AbstractContextManager[object],
) -> int:
    """Record it; gives the entry's index. `recording` is held while it is written."""
    token.id = replace(token.id, mark=record.token.mark)
    try:
        done = [one for one in token.applications if one != FIDO2]
        entry = emptied(home, token, record, done, unseen=[FIDO2])
    finally:
        token.id = replace(token.id, mark="")
    return finish(home, entry, clearance, recording)
