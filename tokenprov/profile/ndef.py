"""What a token gives a telephone by NFC, in the profile language.

Source: NFC Forum RTD URI 1.0 (a usual beginning of a URI is one byte) and RTD Text 1.0; "YubiKey
Manual" 3.4 for the room that a record has.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import StrictInt
from yubikit.yubiotp import NDEF_DATA_SIZE, NDEF_URL_PREFIXES

from tokenprov.profile.faults import Fault
from tokenprov.profile.section import Section, Text

TEXT_HEAD = 3  # bytes of a text record before the text: its language (NFC Forum RTD Text 3.2)


class Ndef(Section):
    """What the token gives a telephone by NFC: a URI or text, with the code of a slot after it."""

    slot: StrictInt = 1
    uri: Text | None = None
    text: Text | None = None

    @property
    def value(self) -> str:
        """The URI or the text."""
        return self.uri or self.text or ""

    def rules(self) -> Iterator[Fault]:
        """A slot that there is, one of the two, and it fits."""
        if self.slot not in (1, 2):
            yield Fault(
                at=("slot",), message=f"there is no OTP slot {self.slot}", remedy="Write 1 or 2."
            )
        if (self.uri is None) == (self.text is None):
            yield Fault(
                message="NDEF gives a URI or a text: one of the two",
                remedy='Write uri = "https://…" or text = "…".',
            )
            return
        if self.uri is not None:
            known = (prefix for prefix in NDEF_URL_PREFIXES if self.uri.startswith(prefix))
            size = 1 + len(self.uri.removeprefix(next(known, "")).encode())
        else:
            size = TEXT_HEAD + len(self.value.encode())
        if size > NDEF_DATA_SIZE:
            yield Fault(
                at=("uri" if self.uri else "text",),
                message=f"it has {size} bytes, {NDEF_DATA_SIZE} fit",
                remedy="Shorten it.",
            )
