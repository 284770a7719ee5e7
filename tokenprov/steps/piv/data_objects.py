"""Objects whose content a profile writes: printed information, and others as text.

What stands in them is about a person: an entry tells how large they are and who may read them, and
never what they say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta

from yubikit.core import Tlv
from yubikit.piv import OBJECT_ID

from tokenprov.model import Json
from tokenprov.profile.piv_objects import PIN_TO_READ
from tokenprov.secret import RandomBytes
from tokenprov.step import Drawn, Intent
from tokenprov.steps.piv.objects import ObjectStep

# SP 800-73-4 part 1, table 14
TAG_NAME, TAG_AFFILIATION, TAG_EXPIRES = 0x01, 0x02, 0x04
TAG_ISSUER, TAG_ORGANIZATION, TAG_ERROR_DETECTION = 0x06, 0x07, 0xFE
ISSUER_SIZE = 15  # bytes, fixed
_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]


class _WrittenStep(ObjectStep):
    """An object with somebody's text in it."""

    def facts(self, intent: Intent) -> dict[str, Json]:
        """Its size in bytes, and whether it is read with the PIN or by everybody."""
        reading = "pin" if self.object_id in PIN_TO_READ else "always"
        return {"bytes": len(self.value(intent.public)), "read": reading}


class TextObjectStep(_WrittenStep):
    """An object whose content is a text, in UTF-8."""

    def __init__(self, *, object_id: int, text: str) -> None:
        self.object_id, self._text = object_id, text
        self.id = f"piv/object/{object_id:06x}"
        self.title = f"PIV object {object_id:06x}"

    def draw(self, random: RandomBytes) -> Drawn:
        """Nothing: the text is the profile's and the holder's."""
        return Drawn()

    def value(self, public: Mapping[str, Json]) -> bytes:
        """The text alone."""
        return self._text.encode()


class PrintedInformationStep(_WrittenStep):
    """What would be printed on a card: name, affiliation, expiration date, issuer."""

    id = "piv/printed-information"
    title = "printed information"
    object_id = OBJECT_ID.PRINTED

    def __init__(
        self,
        *,
        name: str,
        affiliation: str,
        organization: str,
        issuer: str,
        days: int,
        last_day: date | None,
        today: Callable[[], date],
    ) -> None:
        """It expires so many days from now, or on the holder's last day; "" is left out."""
        self._texts = {
            TAG_NAME: name,
            TAG_AFFILIATION: affiliation,
            TAG_ISSUER: issuer and issuer.ljust(ISSUER_SIZE),
            TAG_ORGANIZATION: organization,
        }
        self._days, self._last_day, self._today = days, last_day, today

    def draw(self, random: RandomBytes) -> Drawn:
        """The expiration date, so that a second write is the same write."""
        expires = self._today() + timedelta(days=self._days)
        if self._last_day is not None:
            expires = min(expires, self._last_day)
        return Drawn(public={"expires": expires.isoformat()})

    def value(self, public: Mapping[str, Json]) -> bytes:
        """Table 14, in the order of its tags."""
        expires = date.fromisoformat(public["expires"])
        written = f"{expires.year:04}{_MONTHS[expires.month - 1]}{expires.day:02}"  # YYYYMMMDD
        fields = {tag: text for tag, text in self._texts.items() if text}
        fields[TAG_EXPIRES] = written
        return b"".join(
            [*(Tlv(tag, fields[tag].encode()) for tag in sorted(fields)), Tlv(TAG_ERROR_DETECTION)]
        )
