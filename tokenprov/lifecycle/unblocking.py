"""A blocked PIN: a new one is sealed, set by the PUK out of escrow, and verified.

The help desk opens the new PIN for the holder (`escrow open`, or a PIN letter). A FIDO2 PIN has no
PUK: see `fido_again`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tokenprov.errors import InputError
from tokenprov.home import Home
from tokenprov.lifecycle import fido_again, work
from tokenprov.lifecycle.standing import issued_by
from tokenprov.lifecycle.subject import Issued, require
from tokenprov.lifecycle.telling import Bench, MakeSteps, tell
from tokenprov.lifecycle.work import Order, Work
from tokenprov.model import SecretKind
from tokenprov.record.entry import Kind
from tokenprov.record.history import State
from tokenprov.record.works import WorkKind
from tokenprov.secret import Secret
from tokenprov.step import Step
from tokenprov.steps.piv.made_anew import UnblockedPinStep
from tokenprov.token import Token

NEEDS = frozenset({SecretKind.PIV_PUK})  # out of escrow
PUK = "piv/puk"


def begin(home: Home, token: Issued, order: Order) -> Work:
    """Promise it. Raises `InputError` for a token that has no PUK of ours, and as `work.begin`."""
    require(token, State.HELD)
    if PUK not in token.steps:
        raise _without_puk(token)
    begun = work.begin(home, WorkKind.UNBLOCK, token, order)
    if begun.record.parameters.get(fido_again.PARAMETER):
        raise InputError(
            f"unblock of the FIDO2 PIN of token {token.label} is not finished",
            remedy=f"Finish it first: tokenprov unblock {token.label} --fido2.",
        )
    return begun


def make(home: Home, token: Issued) -> MakeSteps:
    """The one step."""
    piv = issued_by(home, token).piv
    if piv is None:
        raise _without_puk(token)
    length = piv.pin.length

    def steps(_: Token, held: Mapping[str, Secret]) -> Sequence[Step]:
        return [UnblockedPinStep(length=length, puk=held[PUK])]

    return steps


def unblock(home: Home, begun: Work, bench: Bench, held: Mapping[str, Secret]) -> int:
    """Give the holder a new PIN; the entry's index. Raises what the token does."""
    return tell(home, begun, Kind.UNBLOCKED, bench, held, make(home, begun.token))


def _without_puk(token: Issued) -> InputError:
    return InputError(
        f"token {token.label} was issued without a PUK",
        remedy="Its profile sets no PIV PIN: replace the token, if it is blocked.",
    )
