"""The PKCS#11 part of the profile language: a token that is reached through its maker's module.

Source: PKCS #11 3.1: a label has 32 bytes, an object a label and an id. How long PINs may be is the
token's own; eight digits are what most take.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum

from pydantic import StrictInt, field_validator

from tokenprov.profile.faults import Fault, Faults
from tokenprov.profile.fields import Template
from tokenprov.profile.piv_certificate import CardNames, Certificate, Usage
from tokenprov.profile.section import Section, TemplateText, Text, check_length

PIN_LENGTH = range(6, 33)
MAX_LABEL = 32  # bytes of a token's label; CK_TOKEN_INFO
_ID = re.compile(r"([0-9a-f]{2}){1,20}\Z")


class Pkcs11Algorithm(StrEnum):
    """What a key is."""

    RSA2048 = "rsa2048"
    RSA3072 = "rsa3072"
    RSA4096 = "rsa4096"
    ECCP256 = "eccp256"
    ECCP384 = "eccp384"
    ED25519 = "ed25519"


class Pkcs11UserPin(Section):
    """The holder's first PIN."""

    length: StrictInt = 8

    def rules(self) -> Iterator[Fault]:
        """Its length."""
        yield from check_length(self.length, PIN_LENGTH, "user PIN", "by most modules")


class Pkcs11SoPin(Section):
    """The security officer's PIN, which sets a forgotten user PIN anew."""

    length: StrictInt = 8
    published: Text | None = None  # the one that tokens are delivered with, as their maker says

    def rules(self) -> Iterator[Fault]:
        """Its length."""
        yield from check_length(self.length, PIN_LENGTH, "SO PIN", "by most modules")


class Pkcs11Key(Section):
    """A key pair that is made on the token, signs, and never leaves it."""

    id: str
    label: Text
    algorithm: Pkcs11Algorithm
    certificate: Certificate | None = None

    @field_validator("id")
    @classmethod
    def _hex(cls, value: str) -> str:
        if _ID.match(value):
            return value
        raise Faults(
            [
                Fault(
                    message=f"{value!r} is not the id of a PKCS#11 object",
                    remedy='Write its bytes in small hex digits, as in "01".',
                )
            ]
        )

    def rules(self) -> Iterator[Fault]:
        """What a certificate in a module cannot be."""
        if self.certificate is None:
            return
        if self.certificate.compress:
            yield Fault(
                at=("certificate", "compress"),
                message="no reader of PKCS#11 expands a compressed certificate",
                remedy="Write compress = false.",
            )
        if self.certificate.card_names is not CardNames.NO:
            yield Fault(
                at=("certificate", "card-names"),
                message="a token behind a module has no CHUID whose names a certificate could have",
                remedy='Write card-names = "no".',
            )
        ed25519 = self.algorithm is Pkcs11Algorithm.ED25519
        if ed25519 and Usage.SMARTCARD_LOGON in self.certificate.usages:
            yield Fault(
                at=("algorithm",),
                message="Windows logs on with RSA and NIST curves, not with ed25519",
                remedy='Write "eccp256" or "rsa2048", or take smartcard-logon out of usages.',
            )


class Pkcs11Section(Section):
    """A token behind a module."""

    module: Text  # the path of its .so file, or its name in p11-kit's configuration
    label: TemplateText = Template.parse("{holder.name}")  # of the token
    user_pin: Pkcs11UserPin = Pkcs11UserPin()
    so_pin: Pkcs11SoPin = Pkcs11SoPin()
    keys: tuple[Pkcs11Key, ...] = ()

    def rules(self) -> Iterator[Fault]:
        """An id and a label name one key."""
        for name in ("id", "label"):
            first: dict[str, int] = {}
            for index, value in enumerate(getattr(key, name) for key in self.keys):
                if value in first:
                    yield Fault(
                        at=("keys", index, name),
                        message=f"{value!r} names pkcs11.keys[{first[value]}] already",
                        remedy=f"Choose another {name}, or delete one of the two.",
                    )
                first.setdefault(value, index)
