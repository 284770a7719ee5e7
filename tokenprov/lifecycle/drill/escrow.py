"""What is in escrow opens, and does what it is for: PUK and SO PIN are tried."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from tokenprov.custody import AnyKey, Form, Reason, open_sealed, sealed
from tokenprov.errors import (
    AuthenticationBlocked,
    AuthenticationFailed,
    EscrowError,
    NotVerified,
)
from tokenprov.home import Home
from tokenprov.lifecycle.drill.copy import Twin
from tokenprov.lifecycle.subject import Issued
from tokenprov.lifecycle.telling import Bench, in_force
from tokenprov.model import Json, Purpose, SecretKind
from tokenprov.policy import Clearance
from tokenprov.record.rows import EnvelopeState
from tokenprov.secret import Secret, draw_digits
from tokenprov.steps.piv.access import FACTORY_PUK, affordable
from tokenprov.steps.pkcs11.access import officer_refused
from tokenprov.unnumbered import only

_WRONG_PIN, _MOST_TRIES = "00000000", 20


def open_each(
    home: Home, tokens: Sequence[Issued], kind: SecretKind, key: AnyKey, clearance: Clearance
) -> dict[str, Secret]:
    """The PUKs or SO PINs of these tokens, by serial. Raises `EscrowError` for one that is shut."""
    found: dict[str, Secret] = {}
    for token in tokens:
        envelopes = in_force(home, token, {kind}, key)
        if not envelopes:
            what = "PUK" if kind is SecretKind.PIV_PUK else "SO PIN"
            raise EscrowError(
                f"no {what} of token {token.label} is sealed to that key",
                remedy=f"See: tokenprov escrow list {token.label}",
            )
        found[token.label] = open_sealed(
            home,
            envelopes,
            key,
            Reason(operator=clearance.act.operator, text="a drill"),
            form=Form.DRILL,
            about=clearance,
            prepare=lambda opened: opened[-1].value,
        )
    return found


def unblock_twin(twin: Twin, puk: Secret) -> None:
    """A token that is given this PUK, and whose PIN is then blocked, gets a new PIN by it."""
    new = draw_digits(8, secrets.token_bytes)
    with twin() as token:
        piv = token.piv()
        piv.change_puk(FACTORY_PUK, puk.reveal_text())
        for _ in range(_MOST_TRIES):
            try:
                piv.verify_pin(_WRONG_PIN)
            except AuthenticationBlocked:
                break
            except AuthenticationFailed:
                continue
        piv.unblock_pin(puk.reveal_text(), new.reveal_text())
        piv.verify_pin(new.reveal_text())


def try_puk(home: Home, token: Issued, bench: Bench, puk: Secret) -> None:
    """The real token takes the PUK: changing it to itself says so, and changes nothing.

    Raises `NotVerified` where it is not the token's, or cannot be tried.
    """
    with bench.opened(only(home, token.token)) as there:
        piv = there.piv()
        if not affordable(piv.puk_tries().remaining):
            raise NotVerified(
                f"the PUK of token {token.label} has too few tries left to be tried",
                remedy="Replace the token.",
            )
        try:
            piv.change_puk(puk.reveal_text(), puk.reveal_text())
        except AuthenticationFailed as error:
            raise NotVerified(
                f"the PUK of token {token.label} is not the one in escrow",
                remedy="Replace the token: it cannot be unblocked.",
            ) from error


def try_so_pin(home: Home, token: Issued, bench: Bench, so_pin: Secret) -> None:
    """The real token takes the SO PIN: logging in says so, and changes nothing.

    Where its module says that few tries are left, none is spent. Raises `NotVerified` as `try_puk`.
    """
    with bench.opened(only(home, token.token)) as there:
        refused = officer_refused(there, so_pin)
    if refused is not None:
        raise NotVerified(
            f"token {token.label}: {refused.reason}",
            remedy="Replace the token: it can neither be unblocked nor given back.",
        )


def open_all(
    home: Home, tokens: Sequence[Issued], key: AnyKey, clearance: Clearance
) -> dict[str, Json]:
    """Everything that break-glass has of these tokens opens; how much it was, by serial."""
    counts: dict[str, Json] = {}
    for token in tokens:
        envelopes = [
            one
            for one in sealed(home, token=token.label, purpose=Purpose.BREAK_GLASS)
            if one.state is EnvelopeState.ACTIVE
        ]
        counts[token.label] = open_sealed(
            home,
            envelopes,
            key,
            Reason(operator=clearance.act.operator, text="a drill"),
            form=Form.DRILL,
            about=clearance,
            prepare=len,
        )
    return {"opened": counts}
