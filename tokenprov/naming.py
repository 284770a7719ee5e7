"""A blank card gets a name: a CHUID with a GUID of its own, by which it is known from then on.

Rules:
- Only a card that holds nothing, and has no name: what is on others is somebody's.
- It is written before an order is begun with it, so that one that was cut off is found again. A
  CHUID is no secret, and a card that has one is bound to nobody yet.
"""

from __future__ import annotations

import os

from tokenprov.errors import NotSupported, NotVerified, TokenConflict
from tokenprov.home import Home
from tokenprov.inventory import take_inventory
from tokenprov.model import SecretKind, TokenKind
from tokenprov.run import refuse_used
from tokenprov.steps.piv.access import authenticate
from tokenprov.steps.piv.objects import ChuidStep
from tokenprov.token import Token


def unnamed(token: Token) -> TokenConflict:
    """Why a token without a serial is not taken, and what to do with it."""
    if token.kind is TokenKind.PIV_CARD:
        return TokenConflict(
            "the card is blank: it has no CHUID that names it",
            remedy=f"Give it one: tokenprov token name --reader {token.reader!r}",
        )
    if token.kind is TokenKind.PKCS11 and token.pkcs11().info().initialised:
        return TokenConflict(
            "its module gives the token no serial that it could be told from others by",
            remedy="Use its maker's module, or a token whose serial number can be read.",
        )
    if token.kind is TokenKind.PKCS11:
        return TokenConflict(
            "the token is blank, and its module gives it no serial before it is initialised",
            remedy="Initialise it once with the SO PIN that the profile has as published:"
            " pkcs11-tool --module MODULE --init-token --label NAME",
        )
    return TokenConflict(
        "a token without a serial, and without FIDO2 to be known again by",
        remedy="Use a token whose serial number can be read.",
    )


def name_card(home: Home, token: Token, key: str | None = None) -> str:
    """Write a CHUID to a blank card and give the GUID that was read back.

    `key` names the management key that the card came with, where it is not the published one.
    Raises `NotSupported` for what is no card, `TokenConflict` for one that has a name or is used.
    """
    if token.kind is not TokenKind.PIV_CARD:
        raise NotSupported(
            f"token {token.id.label} is no card: its serial is its maker's",
            remedy="Only PIV cards of other makers are given a name.",
        )
    if token.id.serial is not None:
        raise TokenConflict(
            f"card {token.id.label} has its name already", remedy="Nothing is to be done with it."
        )
    refuse_used(token, take_inventory(token).used)
    step = ChuidStep(today=lambda: home.clock().date())
    if token.piv().object(step.object_id) is not None:
        raise TokenConflict(
            "the card has a CHUID, and it names no card",
            remedy="Have its issuer put it right, or use another card.",
        )
    if key is not None:
        token.keyring.put(SecretKind.PIV_MANAGEMENT_KEY, key, home.card_key(key))
    authenticate(token)
    drawn = step.draw(os.urandom)
    token.piv().put_object(step.object_id, step.value(drawn.public))
    name: str = drawn.public["guid"]
    if token.piv().serial() != name:
        raise NotVerified(
            "the card took a CHUID and does not give it back",
            remedy="Insert the card again; if it stays so, set it aside.",
        )
    return name
