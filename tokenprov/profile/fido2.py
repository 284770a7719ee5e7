"""The FIDO2 part of the profile language.

Standards: CTAP 2.1 (PIN length 6.5.1, authenticatorConfig 6.11, credProtect 12.1, hmac-secret
12.5, enterprise attestation 7.1), WebAuthn 5.1.2 (relying party ids).
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, StrictInt

from tokenprov.profile.faults import Fault, Faults
from tokenprov.profile.fields import Template
from tokenprov.profile.section import Section, TemplateText, Text, check_length
from tokenprov.secret import DIGITS, FIDO_PIN_LENGTH, LETTERS_AND_DIGITS

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"  # RFC 1035 2.3.1, in lower case
_DOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*\Z")


def _domain(value: str) -> str:
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


def _aaguid(value: str) -> str:
    try:
        return str(uuid.UUID(value))
    except ValueError as exc:
        raise Faults(
            [
                Fault(
                    message=f"{value!r} is not an AAGUID: 32 hexadecimal digits",
                    remedy='Write it as in "2fc0579f-8113-47ea-b116-bb5a8db9202a"; token show'
                    " says a token's.",
                )
            ]
        ) from exc


RpId = Annotated[str, AfterValidator(_domain)]
AaguidText = Annotated[str, AfterValidator(_aaguid)]


class Demand(StrEnum):
    """Whether a setting that not every token has must be made."""

    REQUIRED = "required"
    IF_SUPPORTED = "if-supported"
    NO = "no"  # it is left as it is


ForceChange = Demand  # whether the holder must change the PIN at first use (CTAP 2.1, 6.11.4)


class Alphabet(StrEnum):
    """What a PIN is drawn from."""

    DIGITS = "digits"
    LETTERS_AND_DIGITS = "letters-and-digits"

    @property
    def characters(self) -> str:
        """The characters themselves."""
        return DIGITS if self is Alphabet.DIGITS else LETTERS_AND_DIGITS


class Protection(StrEnum):
    """When a credential may be used without the PIN (credProtect; CTAP 2.1, 12.1)."""

    DEFAULT = "default"  # as the token does it by itself
    OPTIONAL = "optional"
    OPTIONAL_WITH_LIST = "optional-with-id-list"
    REQUIRED = "required"

    @property
    def level(self) -> int | None:
        """The value on the wire; None where nothing is said."""
        return None if self is Protection.DEFAULT else _LEVELS.index(self) + 1


_LEVELS = (Protection.OPTIONAL, Protection.OPTIONAL_WITH_LIST, Protection.REQUIRED)


class FidoPin(Section):
    """The FIDO2 PIN."""

    length: StrictInt = 8  # code points
    alphabet: Alphabet = Alphabet.DIGITS
    force_change: Demand = Demand.IF_SUPPORTED
    complexity: Demand = Demand.NO

    def rules(self) -> Iterator[Fault]:
        """Length by CTAP 2.1, 6.5.1 and policy."""
        yield from check_length(self.length, FIDO_PIN_LENGTH, "FIDO2 PIN", "CTAP 2.1, 6.5.1")


class MinimumPinLength(Section):
    """How short a PIN may be, and which relying parties may learn it (CTAP 2.1, 6.11.4)."""

    length: StrictInt
    rp_ids: tuple[RpId, ...] = ()
    support: Literal[Demand.REQUIRED, Demand.IF_SUPPORTED] = Demand.REQUIRED

    def rules(self) -> Iterator[Fault]:
        """A length that the token can take."""
        yield from check_length(
            self.length, FIDO_PIN_LENGTH, "minimum FIDO2 PIN", "CTAP 2.1, 6.5.1"
        )


class FidoCredential(Section):
    """A discoverable credential, registered at a relying party."""

    rp_id: RpId
    rp_name: Text
    user_name: TemplateText
    display_name: TemplateText = Template.parse("{holder.name}")
    protection: Protection = Protection.DEFAULT
    hmac_secret: Demand = Demand.NO
    enterprise: bool = False  # whether it must attest with the token's serial


class Fido2Section(Section):
    """The FIDO2 applet."""

    aaguids: tuple[AaguidText, ...] = ()
    pin: FidoPin = FidoPin()
    minimum_pin_length: MinimumPinLength | None = None
    always_uv: Demand = Demand.NO
    enterprise_attestation: Demand = Demand.NO
    credentials: tuple[FidoCredential, ...] = ()

    def rules(self) -> Iterator[Fault]:
        """What its keys ask of each other."""
        yield from self._one_a_relying_party()
        minimum = self.minimum_pin_length
        if minimum is not None and minimum.length > self.pin.length:
            yield Fault(
                at=("minimum-pin-length", "length"),
                message=f"the first PIN has {self.pin.length} characters, which this minimum of "
                f"{minimum.length} refuses",
                remedy=f"Write pin = {{ length = {minimum.length}, … }}, or a smaller minimum.",
            )
        for index, credential in enumerate(self.credentials):
            if credential.enterprise and self.enterprise_attestation is not Demand.REQUIRED:
                yield Fault(
                    at=("credentials", index, "enterprise"),
                    message="the token names its serial only where enterprise attestation is on "
                    "(CTAP 2.1, 7.1)",
                    remedy='Write enterprise-attestation = "required" in [fido2].',
                )

    def _one_a_relying_party(self) -> Iterator[Fault]:
        """The second credential of a relying party would overwrite the first."""
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
