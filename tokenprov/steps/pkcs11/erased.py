"""A token behind a module, erased: as its maker delivers it, so that it can be issued again.

C_InitToken (PKCS #11 3.1, 5.5.8) takes the SO PIN that is in force, and leaves that: the one in
escrow opens the token until the one that the maker published takes its place. Where a maker has
published none, as blank tokens have none, it is one that stands here: there is nothing to guard on
an empty token, and a PIN that only a custodian has would keep it from its next holder. Its label
tells that one.

Cut off in between it holds one of two SO PINs that are both known; it is erased again then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tokenprov.errors import NotSupported, NotVerified, TokenConflict, TokenRefused
from tokenprov.pkcs11.values import LABEL_SIZE
from tokenprov.secret import Secret
from tokenprov.steps.pkcs11 import access
from tokenprov.token import Token

_LABEL, _BARE = "given back", "given back, SO PIN "  # the second one with it behind
_BARE_SO_PIN = "12345678"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """What an empty token is known by, and its SO PIN, which is no secret."""

    label: str
    so_pin: Secret


def as_delivered(token: Token, published: str | None) -> Delivered:
    """What a token is to be like afterwards; `published` is the SO PIN of its maker."""
    if published is not None:
        return Delivered(label=_LABEL, so_pin=Secret(published))
    least, most = token.pkcs11().pin_lengths()
    size = max(len(_BARE_SO_PIN), least)
    fitting = (_BARE_SO_PIN * size)[: min(size, most or size)]
    label = f"{_BARE}{fitting}"[:LABEL_SIZE]
    return Delivered(label=label, so_pin=Secret(fitting))


def known_so_pin(token: Token, published: str | None) -> Secret | None:
    """The SO PIN of an initialised token that is nobody's; None where nobody published one."""
    bare = as_delivered(token, None)
    if token.pkcs11().info().label == bare.label:
        return bare.so_pin
    return None if published is None else Secret(published)


def erase(token: Token, *, in_force: Sequence[Secret] = (), published: str | None) -> None:
    """Erase it by one of the SO PINs that may be in force.

    Raises `TokenConflict` where none of them is, or none may be tried; `NotSupported` for a module
    that initialises no token that is in use; `NotVerified`.
    """
    afterwards = as_delivered(token, published)
    so_pin = _in_force(token, (*in_force, afterwards.so_pin))
    applet = token.pkcs11()
    try:
        applet.initialise(afterwards.label, so_pin)
    except (NotSupported, TokenRefused) as error:
        raise NotSupported(
            f"{error.message}: its module does not erase token {token.id.label}",
            remedy="Its SO PIN is as it was, in escrow: erase it with its maker's program, or"
            " destroy it: tokenprov retire --means destroyed.",
        ) from error
    if so_pin.reveal() != afterwards.so_pin.reveal():
        applet.change_so_pin(so_pin, afterwards.so_pin)
    if not access.is_officer(token, afterwards.so_pin):
        raise NotVerified(
            f"token {token.id.label} was erased, and does not take the SO PIN that it was given",
            remedy="Run the same command again; if it stays so, destroy the token.",
        )


def _in_force(token: Token, candidates: Sequence[Secret]) -> Secret:
    """The one that is. No try is spent where the token says that it is the last one."""
    tried: list[bytes] = []
    for one in candidates:
        if one.reveal() in tried:
            continue
        flags = token.pkcs11().info().flags
        if access.LOCKED in flags:
            raise _unknown(token, "its SO PIN is locked")
        if access.LAST in flags:
            raise _unknown(token, "its SO PIN has one try left, which is not spent")
        try:
            right = access.is_officer(token, one)
        except TokenRefused as error:  # as OpenSC does for a card that has none
            raise _unknown(token, f"its module takes no SO PIN ({error.message})") from error
        if right:
            return one
        tried.append(one.reveal())
    raise _unknown(token, "its SO PIN is none that is known here")


def _unknown(token: Token, reason: str) -> TokenConflict:
    return TokenConflict(
        f"token {token.id.label} cannot be erased: {reason}",
        remedy="Nothing was changed. One that was issued here is taken back with the key that opens"
        " its SO PIN: tokenprov return; otherwise ask whoever has it, or destroy the token.",
    )
