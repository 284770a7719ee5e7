"""The profile language as a whole: a profile has a name and a part for each applet."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any

import rfc8785
from pydantic import PlainValidator, WithJsonSchema, field_validator

from tokenprov.model import Json
from tokenprov.profile.device import Application, DeviceSection, check_applications
from tokenprov.profile.faults import Fault
from tokenprov.profile.fido2 import Fido2Section
from tokenprov.profile.fields import plain_text
from tokenprov.profile.fips import FipsSection, check_approved
from tokenprov.profile.hsmauth import HsmAuthSection
from tokenprov.profile.lifecycle import LifecycleSection
from tokenprov.profile.oath import OathSection
from tokenprov.profile.openpgp import OpenPgpSection
from tokenprov.profile.optional import KEY, check_optional
from tokenprov.profile.otp import OtpSection
from tokenprov.profile.piv import PivSection
from tokenprov.profile.pkcs11 import Pkcs11Section
from tokenprov.profile.section import Section, plain_name
from tokenprov.profile.secure_channel import SecureChannelSection
from tokenprov.profile.windows import check_windows_logon


def _described(value: Any) -> str:
    return "" if value == "" else plain_text(value)  # as a resolved profile has it without one


Description = Annotated[str, PlainValidator(_described), WithJsonSchema({"type": "string"})]


class LastDay(StrEnum):
    """Whether each holder must have a last day, which nothing that is issued outlives."""

    IF_PRESENT = "if-present"
    REQUIRED = "required"


class Profile(Section):
    """The desired state of a token."""

    name: str
    description: Description = ""
    if_supported: tuple[str, ...] = ()  # paths of settings that are left out where they must be
    last_day: LastDay = LastDay.IF_PRESENT
    device: DeviceSection | None = None
    secure_channel: SecureChannelSection | None = None
    piv: PivSection | None = None
    otp: OtpSection | None = None
    fido2: Fido2Section | None = None
    oath: OathSection | None = None
    openpgp: OpenPgpSection | None = None
    hsmauth: HsmAuthSection | None = None
    fips: FipsSection | None = None
    pkcs11: Pkcs11Section | None = None
    lifecycle: LifecycleSection | None = None

    @field_validator("name")
    @classmethod
    def _plain_name(cls, value: str) -> str:
        return plain_name(value, of="profile", example="standard-employee")

    def rules(self) -> Iterator[Fault]:
        """A profile sets something, and names what it may leave out."""
        sections = set(type(self).model_fields) - {"lifecycle"}
        if not any(isinstance(getattr(self, name), Section) for name in sections):
            yield Fault(
                message="the profile sets nothing", remedy="Add [piv], [otp] or [fido2] to it."
            )
        if self.pkcs11 is not None:
            yield from self._through_a_module()
        yield from check_applications(self.device, self.applets)
        yield from check_approved(
            self.fips,
            piv=self.piv,
            fido2=self.fido2,
            oath=self.oath,
            openpgp=self.openpgp,
            hsmauth=self.hsmauth,
        )
        yield from check_windows_logon(self.piv)
        if self.if_supported:
            yield from check_optional(
                self.if_supported,
                self.to_json(),
                lambda document: type(self).model_validate(document, by_alias=True, by_name=False),
            )

    def _through_a_module(self) -> Iterator[Fault]:
        for name in type(self).model_fields:
            if name not in ("pkcs11", "lifecycle") and isinstance(getattr(self, name), Section):
                section = name.replace("_", "-")
                yield Fault(
                    at=(section,),
                    message=f"[pkcs11] reaches a token through its module, [{section}] does not",
                    remedy=f"Take [{section}] or [pkcs11] out: each wants a profile of its own.",
                )

    @property
    def applets(self) -> tuple[Application, ...]:
        """The applications that it sets up."""
        return tuple(one for one in Application if getattr(self, one, None) is not None)

    @property
    def certified(self) -> dict[str, str]:
        """Who certifies which key: URIs by the certificate's step, as in "piv/9a/certificate"."""
        piv = ((f"piv/{key.slot}", key.certificate) for key in (self.piv.keys if self.piv else ()))
        pkcs11 = (
            (f"pkcs11/{key.id}", key.certificate)
            for key in (self.pkcs11.keys if self.pkcs11 else ())
        )
        return {
            f"{key}/certificate": certificate.issuer
            for key, certificate in (*piv, *pkcs11)
            if certificate is not None
        }

    def to_json(self) -> dict[str, Json]:
        """The resolved profile, defaults written out, keys as in the file."""
        document: dict[str, Json] = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        if not self.if_supported:
            del document[KEY]
        if self.last_day is LastDay.IF_PRESENT:
            del document["last-day"]
        return document

    @property
    def digest(self) -> str:
        """SHA-256, in hex, of the RFC 8785 form of `to_json()`: comments and order do not count."""
        return hashlib.sha256(rfc8785.dumps(self.to_json())).hexdigest()
