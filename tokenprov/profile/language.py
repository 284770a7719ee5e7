"""The profile language as a whole: a profile has a name and a part for each applet."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

import rfc8785
from pydantic import field_validator

from tokenprov.model import Json
from tokenprov.profile.faults import Fault, Faults
from tokenprov.profile.fido2 import Fido2Section
from tokenprov.profile.otp import OtpSection
from tokenprov.profile.piv import PivSection
from tokenprov.profile.section import Section, Text

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")


class Profile(Section):
    """The desired state of a token."""

    name: str
    description: Text = ""
    piv: PivSection | None = None
    otp: OtpSection | None = None
    fido2: Fido2Section | None = None

    @field_validator("name")
    @classmethod
    def _plain_name(cls, value: str) -> str:
        if len(value) <= 64 and _NAME.match(value):
            return value
        raise Faults(
            [
                Fault(
                    message=f"{value!r} is not a name for a profile",
                    remedy='Write lower-case words joined by dashes, as in "standard-employee".',
                )
            ]
        )

    def rules(self) -> Iterator[Fault]:
        """A profile sets something."""
        if self.piv is None and self.otp is None and self.fido2 is None:
            yield Fault(
                message="the profile sets nothing", remedy="Add [piv], [otp] or [fido2] to it."
            )

    def to_json(self) -> dict[str, Json]:
        """The resolved profile, defaults written out, keys as in the file."""
        document: dict[str, Json] = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return document

    @property
    def digest(self) -> str:
        """SHA-256, in hex, of the RFC 8785 form of `to_json()`: comments and order do not count."""
        return hashlib.sha256(rfc8785.dumps(self.to_json())).hexdigest()
