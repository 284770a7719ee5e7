"""CHUID and CCC: the objects that Windows and macOS want before they see a card.

SP 800-73-4 part 1, 3.1.1 (CCC), 3.1.2 (CHUID), tables 8 and 9. The values are drawn once an order
and journalled, so that a second write is the same write. A card of another maker keeps the CHUID
and the CCC that it came with.
"""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from datetime import date
from functools import partial

from yubikit.core import Tlv
from yubikit.piv import OBJECT_ID, Chuid, FascN

from tokenprov.errors import NotVerified, TokenReset
from tokenprov.issuer import CardIdentifiers
from tokenprov.model import Json
from tokenprov.profile.piv_objects import PIN_TO_READ
from tokenprov.secret import RandomBytes
from tokenprov.step import Drawn, Finding, Intent, State
from tokenprov.steps.piv.access import authenticate, read_object, verify_pin
from tokenprov.token import Token

# SP 800-73-4 part 1, 3.1.2: agency code 9999 says that the issuer is not a federal one
NON_FEDERAL = FascN(9999, 9999, 999999, 0, 1, 0, 3, 0, 1)
CHUID_YEARS = 10  # the object has no meaning to us after the token's own life

CARD_IDENTIFIER_PREFIX = bytes.fromhex("a000000116ff02")  # GSC-RID, manufacturer, card type
CCC_VERSION = 0x21  # version 2.1 of container and grammar
PKCS15_NONE = 0x00
DATA_MODEL = 0x10  # SP 800-73

_CAME_WITH_IT = "a PIV card keeps the one that it came with"


class ObjectStep(ABC):
    """An object whose whole value stands in the intent."""

    id: str
    title: str
    object_id: int

    @abstractmethod
    def value(self, public: Mapping[str, Json]) -> bytes:
        """The object's bytes from what was drawn."""

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """The object as it is, byte for byte."""
        wants_pin = self.object_id in PIN_TO_READ
        read = partial(read_object, token) if wants_pin else token.piv().object
        try:
            there = read(self.object_id)
        except TokenReset:
            if intent is not None or not wants_pin:
                raise
            return Finding(state=State.ABSENT, unread=(self.title,))  # FIPS, in its factory state
        if there is None:
            return Finding(state=State.ABSENT)
        promised = intent is not None and bool(intent.public)  # an audit knows of no promise
        if not promised and not token.piv().has_extensions:
            kept = self.kept(there)
            if kept is not None:
                return kept
        if intent is None:
            return Finding(state=State.CONFLICT, reason=f"it holds a {self.title}")
        if there != self.value(intent.public):
            return Finding(state=State.CONFLICT, reason=f"its {self.title} is not ours")
        return Finding(state=State.MATCH, facts=self.facts(intent))

    def kept(self, there: bytes) -> Finding | None:
        """What is found where a card of another maker came with this object; None: it is not."""
        return None

    def facts(self, intent: Intent) -> dict[str, Json]:
        """What an entry says of it."""
        return dict(intent.public)

    def apply(self, token: Token, intent: Intent) -> None:
        """One write. Needs the management key."""
        if self.object_id in PIN_TO_READ:
            verify_pin(token)  # before, because it may start the session anew
        authenticate(token)
        token.piv().put_object(self.object_id, self.value(intent.public))


class ChuidStep(ObjectStep):
    """Card Holder Unique Identifier, with a drawn GUID."""

    id = "piv/chuid"
    title = "CHUID"
    object_id = OBJECT_ID.CHUID

    def __init__(self, *, today: Callable[[], date]) -> None:
        self._today = today

    def draw(self, random: RandomBytes) -> Drawn:
        """A random UUID (RFC 4122, version 4) and the last day."""
        guid = uuid.UUID(bytes=random(16), version=4)
        expires = self._today().replace(month=1, day=1)
        expires = expires.replace(year=expires.year + CHUID_YEARS)
        return Drawn(public={"guid": guid.hex, "expires": expires.isoformat()})

    def kept(self, there: bytes) -> Finding:
        """A card is known by the CHUID that it came with, until the day in it."""
        try:
            chuid = Chuid.from_bytes(there)
        except (ValueError, KeyError, IndexError):
            return Finding(state=State.CONFLICT, reason="its CHUID cannot be read")
        expires = chuid.expiration_date
        if expires < self._today():
            return Finding(
                state=State.CONFLICT,
                reason=f"the card expired on {expires}, its CHUID says: it is to be replaced",
            )
        facts = {"guid": chuid.guid.hex(), "expires": expires.isoformat()}
        return Finding(state=State.SKIPPED, reason=_CAME_WITH_IT, facts=facts)

    def value(self, public: Mapping[str, Json]) -> bytes:
        chuid = Chuid(
            fasc_n=NON_FEDERAL,
            guid=bytes.fromhex(public["guid"]),
            expiration_date=date.fromisoformat(public["expires"]),
            asymmetric_signature=b"",
        )
        return bytes(chuid)


def read_identifiers(token: Token) -> CardIdentifiers:
    """What the token's CHUID names it by. Raises `NotVerified` where it has none to be read."""
    there = token.piv().object(OBJECT_ID.CHUID)
    try:
        chuid = Chuid.from_bytes(there or b"")
        return CardIdentifiers(fasc_n=bytes(chuid.fasc_n), uuid=uuid.UUID(bytes=chuid.guid))
    except (ValueError, KeyError, IndexError) as exc:
        raise NotVerified(
            f"token {token.id.label} has no CHUID that can be read",
            remedy="Run it again: the CHUID is written before the certificate that names it.",
        ) from exc


class CccStep(ObjectStep):
    """Card Capability Container, with a drawn card identifier."""

    id = "piv/ccc"
    title = "CCC"
    object_id = OBJECT_ID.CAPABILITY

    def kept(self, there: bytes) -> Finding:
        """It says how the card is made, so it is its own."""
        return Finding(state=State.SKIPPED, reason=_CAME_WITH_IT)

    def draw(self, random: RandomBytes) -> Drawn:
        """The rest of the card identifier."""
        return Drawn(public={"cardIdentifier": (CARD_IDENTIFIER_PREFIX + random(14)).hex()})

    def value(self, public: Mapping[str, Json]) -> bytes:
        fields = {
            0xF0: bytes.fromhex(public["cardIdentifier"]),
            0xF1: bytes([CCC_VERSION]),
            0xF2: bytes([CCC_VERSION]),
            0xF3: b"",  # no applications
            0xF4: bytes([PKCS15_NONE]),
            0xF5: bytes([DATA_MODEL]),
            0xF6: b"",
            0xF7: b"",
            0xFA: b"",
            0xFB: b"",
            0xFC: b"",
            0xFD: b"",
            0xFE: b"",
        }
        return b"".join(Tlv(tag, value) for tag, value in fields.items())
