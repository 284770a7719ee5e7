"""Data objects of the PIV applet that a profile can write, and who may read them.

Standards: SP 800-73-4 part 1, table 2 (who may read what) and table 14 (printed information).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum

from pydantic import StrictInt, field_validator

from tokenprov.profile.faults import Fault, Faults
from tokenprov.profile.fields import Template
from tokenprov.profile.section import Section, TemplateText, Text

MAX_OBJECT = 3052  # bytes that an object of a YubiKey holds
MAX_NAME, MAX_AFFILIATION, MAX_ISSUER = 125, 20, 15  # bytes; part 1, table 14

PRINTED_INFORMATION = 0x5FC109
_BIOMETRIC = {0x5FC103: "fingerprints", 0x5FC108: "a facial image", 0x5FC121: "iris images"}
# Objects that are read after the PIN only (part 1, table 2); all others are read by everybody.
PIN_TO_READ = frozenset({PRINTED_INFORMATION, *_BIOMETRIC})

_OWN = {  # what another key of the profile writes
    0x5FC102: "Write chuid = true in [piv] for it.",
    0x5FC107: "Write ccc = true in [piv] for it.",
    PRINTED_INFORMATION: "Use the table [piv.printed-information] for it.",
    0x5FC10C: "It is written by itself where a retired slot holds a certificate.",
    **dict.fromkeys(
        (0x5FC101, 0x5FC105, 0x5FC10A, 0x5FC10B, *range(0x5FC10D, 0x5FC121)),
        "It is a certificate: use the table [piv.keys.certificate] for it.",
    ),
}
_ANY = range(0x5F0000, 0x5FFF00)  # what a YubiKey keeps; from 5fff00 on its maker's own
_ID = re.compile(r"[0-9a-f]{6}")


class Reading(StrEnum):
    """Who may read an object."""

    ALWAYS = "always"  # everybody
    PIN = "pin"  # who knows the PIN


class PrintedInformation(Section):
    """What would be printed on a card; read with the PIN."""

    name: TemplateText = Template.parse("{holder.name}")
    affiliation: TemplateText | None = None  # "employee", "contractor"
    organization: TemplateText | None = None
    issuer: Text | None = None  # who issued it: a short code
    days: StrictInt = 1095  # until it expires; less if the holder leaves before

    def rules(self) -> Iterator[Fault]:
        """Lengths that do not depend on the holder."""
        if not 1 <= self.days <= 3650:
            yield Fault(
                at=("days",),
                message=f"{self.days} days are not a term for a token",
                remedy="Write from 1 to 3650; 1095 is three years.",
            )
        if self.issuer is not None and len(self.issuer.encode()) > MAX_ISSUER:
            yield Fault(
                at=("issuer",),
                message=f"{self.issuer!r} is too long (SP 800-73-4 part 1, table 14)",
                remedy=f"Write a code of at most {MAX_ISSUER} bytes.",
            )

    @property
    def templates(self) -> dict[str, tuple[Template, int]]:
        """What is rendered for the holder, by key, and the bytes that it may have."""
        limits = {"name": MAX_NAME, "affiliation": MAX_AFFILIATION, "organization": MAX_AFFILIATION}
        found = {key: (getattr(self, key), limit) for key, limit in limits.items()}
        return {key: one for key, one in found.items() if one[0] is not None}


class DataObject(Section):
    """Another data object, of text."""

    id: str  # six hexadecimal digits
    text: TemplateText
    read: Reading = Reading.ALWAYS

    @property
    def number(self) -> int:
        """The identifier as the token has it."""
        return int(self.id, 16)

    @field_validator("id")
    @classmethod
    def _possible(cls, value: str) -> str:
        if not _ID.fullmatch(value):
            remedy = 'Write six digits or letters from a to f, as in "5fc122".'
        elif int(value, 16) in _BIOMETRIC:
            remedy = f"{_BIOMETRIC[int(value, 16)].capitalize()} are never put on a token here."
        elif int(value, 16) in _OWN:
            remedy = _OWN[int(value, 16)]
        elif int(value, 16) not in _ANY:
            remedy = 'Write one from "5f0000" to "5ffeff"; those above are the maker\'s.'
        else:
            return value
        raise Faults([Fault(message=f"{value!r} is no object for text", remedy=remedy)])

    def rules(self) -> Iterator[Fault]:
        """Who reads an object is settled by its identifier, not by who writes it."""
        if self.read is Reading.PIN:
            yield Fault(
                at=("read",),
                message=f"everybody who holds the token can read {self.id}: only biometrics and"
                " printed information want the PIN (SP 800-73-4 part 1, table 2)",
                remedy='Write read = "always", or put it into [piv.printed-information].',
            )
