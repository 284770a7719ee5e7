"""CHUID and CCC: the objects that Windows and macOS want before they see a card.

SP 800-73-4 part 1, 3.1.1 (CCC), 3.1.2 (CHUID), tables 8 and 9. The values are drawn once an order
and journalled, so that a second write is the same write.
"""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from datetime import date

from yubikit.core import Tlv
from yubikit.piv import OBJECT_ID, Chuid, FascN

from tokenprov.model import Json
from tokenprov.secret import RandomBytes
from tokenprov.step import Drawn, Finding, Intent, State
from tokenprov.steps.piv.access import authenticate
from tokenprov.token import Token

# SP 800-73-4 part 1, 3.1.2: agency code 9999 says that the issuer is not a federal one
NON_FEDERAL = FascN(9999, 9999, 999999, 0, 1, 0, 3, 0, 1)
CHUID_YEARS = 10  # the object has no meaning to us after the token's own life

CARD_IDENTIFIER_PREFIX = bytes.fromhex("a000000116ff02")  # GSC-RID, manufacturer, card type
CCC_VERSION = 0x21  # version 2.1 of container and grammar
PKCS15_NONE = 0x00
DATA_MODEL = 0x10  # SP 800-73


class _ObjectStep(ABC):
    """An object whose whole value stands in the intent."""

    id: str
    title: str
    _object: OBJECT_ID

    @abstractmethod
    def _value(self, public: Mapping[str, Json]) -> bytes:
        """The object's bytes from what was drawn."""

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """The object as it is, byte for byte."""
        there = token.piv().object(self._object)
        if there is None:
            return Finding(state=State.ABSENT)
        if intent is None:
            return Finding(state=State.CONFLICT, reason=f"it holds a {self.title}")
        if there != self._value(intent.public):
            return Finding(state=State.CONFLICT, reason=f"its {self.title} is not ours")
        return Finding(state=State.MATCH, facts=dict(intent.public))

    def apply(self, token: Token, intent: Intent) -> None:
        """One write. Needs the management key."""
        authenticate(token)
        token.piv().put_object(self._object, self._value(intent.public))


class ChuidStep(_ObjectStep):
    """Card Holder Unique Identifier, with a drawn GUID."""

    id = "piv/chuid"
    title = "CHUID"
    _object = OBJECT_ID.CHUID

    def __init__(self, *, today: Callable[[], date]) -> None:
        self._today = today

    def draw(self, random: RandomBytes) -> Drawn:
        """A random UUID (RFC 4122, version 4) and the last day."""
        guid = uuid.UUID(bytes=random(16), version=4)
        expires = self._today().replace(month=1, day=1)
        expires = expires.replace(year=expires.year + CHUID_YEARS)
        return Drawn(public={"guid": guid.hex, "expires": expires.isoformat()})

    def _value(self, public: Mapping[str, Json]) -> bytes:
        chuid = Chuid(
            fasc_n=NON_FEDERAL,
            guid=bytes.fromhex(public["guid"]),
            expiration_date=date.fromisoformat(public["expires"]),
            asymmetric_signature=b"",
        )
        return bytes(chuid)


class CccStep(_ObjectStep):
    """Card Capability Container, with a drawn card identifier."""

    id = "piv/ccc"
    title = "CCC"
    _object = OBJECT_ID.CAPABILITY

    def draw(self, random: RandomBytes) -> Drawn:
        """The rest of the card identifier."""
        return Drawn(public={"cardIdentifier": (CARD_IDENTIFIER_PREFIX + random(14)).hex()})

    def _value(self, public: Mapping[str, Json]) -> bytes:
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
