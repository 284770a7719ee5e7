"""The FIDO2 part of the profile language.

Standards: CTAP 2.1 (PIN length 6.5.1, forced change 6.11.4), WebAuthn 5.1.2 (relying party ids).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Literal

from pydantic import StrictInt, field_validator

from tokenprov.profile.faults import Fault, Faults
from tokenprov.profile.fields import Template
from tokenprov.profile.section import Section, TemplateText, Text, check_length
from tokenprov.secret import FIDO_PIN_LENGTH

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"  # RFC 1035 2.3.1, in lower case
_DOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*\Z")


class ForceChange(StrEnum):
    """Whether the holder must change the PIN at first use (CTAP 2.1, 6.11.4)."""

    REQUIRED = "required"
    IF_SUPPORTED = "if-supported"
    NO = "no"


class FidoPin(Section):
    """The FIDO2 PIN."""

    length: StrictInt = 8
    alphabet: Literal["digits"] = "digits"
    force_change: ForceChange = ForceChange.IF_SUPPORTED

    def rules(self) -> Iterator[Fault]:
        """Length by CTAP 2.1, 6.5.1 and policy."""
        yield from check_length(self.length, FIDO_PIN_LENGTH, "FIDO2 PIN", "CTAP 2.1, 6.5.1")


class FidoCredential(Section):
    """A discoverable credential, registered at a relying party."""

    rp_id: str
    rp_name: Text
    user_name: TemplateText
    display_name: TemplateText = Template.parse("{holder.name}")

    @field_validator("rp_id")
    @classmethod
    def _domain(cls, value: str) -> str:
        if len(value) <= 253 and _DOMAIN.match(value):
            return value
        raise Faults(
            [
                Fault(
                    message=f"{value!r} is not a relying party id: a domain in lower case "
                    "(WebAuthn 5.1.2)",
                    remedy='Write the bare domain, as in "login.example.test".',
                )
            ]
        )


class Fido2Section(Section):
    """The FIDO2 applet."""

    pin: FidoPin = FidoPin()
    credentials: tuple[FidoCredential, ...] = ()

    def rules(self) -> Iterator[Fault]:
        """One credential a relying party: the second would overwrite the first."""
        first: dict[str, int] = {}
        for index, credential in enumerate(self.credentials):
            other = first.setdefault(credential.rp_id, index)
            if other != index:
                yield Fault(
                    at=("credentials", index, "rp-id"),
                    message=f"{credential.rp_id} is that of fido2.credentials[{other}] already, "
                    "which this one would overwrite",
                    remedy="Delete one of the two.",
                )
