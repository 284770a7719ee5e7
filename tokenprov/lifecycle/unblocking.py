"""A blocked PIN: a new one is sealed, set by the PUK out of escrow, and verified.

Behind a PKCS#11 module it is set by the SO PIN, which is token administration's, since that erases
a token too. The help desk opens the new PIN for the holder (`escrow open`, or a PIN letter). A
FIDO2 PIN has no PUK: see `fido_again`.
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
from tokenprov.steps.pkcs11.made_anew import UnblockedUserPinStep
from tokenprov.token import Token

PUK, SO_PIN = "piv/puk", "pkcs11/token"


def needs(token: Issued) -> frozenset[SecretKind]:
    """What comes out of escrow."""
    return frozenset({SecretKind.PKCS11_SO_PIN if SO_PIN in token.steps else SecretKind.PIV_PUK})


def begin(home: Home, token: Issued, order: Order) -> Work:
    """Promise it. Raises `InputError` for a token that has no PUK of ours, and as `work.begin`."""
    require(token, State.HELD)
    if not {PUK, SO_PIN} & token.steps.keys():
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
    profile = issued_by(home, token)
    piv, module = profile.piv, profile.pkcs11

    def steps(_: Token, held: Mapping[str, Secret]) -> Sequence[Step]:
        if piv is not None:
            return [UnblockedPinStep(length=piv.pin.length, puk=held[PUK])]
        if module is not None:
            return [UnblockedUserPinStep(length=module.user_pin.length, so_pin=held[SO_PIN])]
        raise _without_puk(token)

    return steps


def unblock(home: Home, begun: Work, bench: Bench, held: Mapping[str, Secret]) -> int:
    """Give the holder a new PIN; the entry's index. Raises what the token does."""
    return tell(home, begun, Kind.UNBLOCKED, bench, held, make(home, begun.token))


def _without_puk(token: Issued) -> InputError:
    return InputError(
        f"token {token.label} was issued without a PUK",
        remedy="Its profile sets no PIV PIN: replace the token, if it is blocked.",
    )
