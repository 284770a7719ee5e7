"""The PIV part of the profile language.

Standards: SP 800-73-4 (slots, PIN and PUK lengths), SP 800-78-5 (algorithms), FIPS 201-3 4.3.1.
The YubiKey's own extensions (policies, attestation, Ed25519) are named as Yubico names them.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Any

from pydantic import StrictBool, StrictInt, field_validator

from tokenprov.profile.faults import Fault, Faults
from tokenprov.profile.fields import Template
from tokenprov.profile.section import Section, TemplateText, check_length, check_tries
from tokenprov.secret import PIV_PIN_LENGTH

MAX_DAYS = 3650  # ten years; a certificate's term is a policy, this stops a slip of the finger

# The four slots of a card, then its retired key management slots (SP 800-73-4 part 1, table 4b)
SLOTS = ("9a", "9c", "9d", "9e", *(f"{reference:02x}" for reference in range(0x82, 0x96)))


class Algorithm(StrEnum):
    """Key algorithms of a PIV slot (SP 800-78-5 table 3-1; the last two are Yubico's)."""

    RSA2048 = "rsa2048"
    RSA3072 = "rsa3072"
    RSA4096 = "rsa4096"
    ECCP256 = "eccp256"
    ECCP384 = "eccp384"
    ED25519 = "ed25519"
    X25519 = "x25519"


class PinPolicy(StrEnum):
    """When a key asks for the PIN."""

    DEFAULT = "default"  # the slot's: never for 9e, always for 9c, once for the others
    NEVER = "never"
    ONCE = "once"
    ALWAYS = "always"


class TouchPolicy(StrEnum):
    """When a key asks for a touch."""

    DEFAULT = "default"  # never
    NEVER = "never"
    ALWAYS = "always"
    CACHED = "cached"  # a touch holds for 15 seconds


class Attestation(StrEnum):
    """Whether a key must prove that it was generated on the token."""

    REQUIRED = "required"
    IF_SUPPORTED = "if-supported"


class ManagementKeyAlgorithm(StrEnum):
    """Algorithm of the PIV management key; `auto` is the token's own default."""

    AUTO = "auto"
    TDES = "3des"
    AES128 = "aes128"
    AES192 = "aes192"
    AES256 = "aes256"


class Usage(StrEnum):
    """What a certificate is for (extended key usage)."""

    CLIENT_AUTH = "client-auth"  # RFC 5280 4.2.1.12
    SMARTCARD_LOGON = "smartcard-logon"  # 1.3.6.1.4.1.311.20.2.2


class IssuerKind(StrEnum):
    """Who issues a certificate."""

    LOCAL = "local"  # the station's own test authority


class PivPin(Section):
    """The PIV PIN: digits, and tries until it is blocked."""

    length: StrictInt = 8
    retries: StrictInt = 8

    def rules(self) -> Iterator[Fault]:
        """Length by SP 800-73-4 part 2, 2.4.3; tries by FIPS 201-3."""
        yield from check_length(self.length, PIV_PIN_LENGTH, "PIV PIN", "SP 800-73-4 part 2, 2.4.3")
        yield from check_tries(self.retries)


class PivPuk(Section):
    """The PUK, which unblocks the PIN: digits, and tries until it is blocked."""

    length: StrictInt = 8
    retries: StrictInt = 5

    def rules(self) -> Iterator[Fault]:
        """As the PIN; a standard card takes eight characters exactly."""
        yield from check_length(self.length, PIV_PIN_LENGTH, "PUK", "SP 800-73-4 part 2, 2.4.3")
        yield from check_tries(self.retries)


class ManagementKey(Section):
    """The PIV management key, drawn for each token."""

    algorithm: ManagementKeyAlgorithm = ManagementKeyAlgorithm.AUTO


class Certificate(Section):
    """The certificate of a key."""

    issuer: IssuerKind = IssuerKind.LOCAL
    days: StrictInt = 365  # validity; less if the holder leaves before
    subject: TemplateText = Template.parse("{holder.name}")  # the common name
    upn: StrictBool = False  # user principal name, as Windows and Kerberos map it
    email: StrictBool = True
    usages: tuple[Usage, ...]

    def rules(self) -> Iterator[Fault]:
        """Days within reason, usages named once, Windows logon with what it needs."""
        if not 1 <= self.days <= MAX_DAYS:
            yield Fault(
                at=("days",),
                message=f"{self.days} days are not a term for a certificate",
                remedy=f"Write from 1 to {MAX_DAYS}; 365 is a common choice.",
            )
        if not self.usages:
            yield Fault(
                at=("usages",),
                message="a certificate without a usage is good for everything",
                remedy='Name them, as in usages = ["client-auth"].',
            )
        for usage in sorted({one for one in self.usages if self.usages.count(one) > 1}):
            yield Fault(
                at=("usages",), message=f"{str(usage)!r} stands twice", remedy="Delete one."
            )
        if Usage.SMARTCARD_LOGON in self.usages and not self.upn:
            yield Fault(
                at=("upn",),
                message="smartcard-logon finds the account by the UPN, which is left out",
                remedy="Write upn = true, or take smartcard-logon out of usages.",
            )


class PivKey(Section):
    """A key generated in a PIV slot."""

    slot: str
    algorithm: Algorithm
    pin_policy: PinPolicy = PinPolicy.DEFAULT
    touch_policy: TouchPolicy = TouchPolicy.DEFAULT
    attestation: Attestation = Attestation.REQUIRED
    certificate: Certificate | None = None

    @field_validator("slot")
    @classmethod
    def _known_slot(cls, value: str) -> str:
        if value in SLOTS:
            return value
        if value.lower() in SLOTS:
            remedy = f'Write it in lower case: "{value.lower()}".'
        elif value.lower() == "f9":
            remedy = "f9 is the attestation key of the maker and stays as it is."
        else:
            remedy = "Write 9a, 9c, 9d, 9e, or a retired slot from 82 to 95."
        raise Faults([Fault(message=f"there is no PIV slot {value!r}", remedy=remedy)])

    @field_validator("algorithm", mode="before")
    @classmethod
    def _strong(cls, value: Any) -> Any:
        if isinstance(value, str) and value.lower() in ("rsa1024", "rsa-1024"):
            raise Faults(
                [
                    Fault(
                        message="RSA with 1024 bits is weak and no longer allowed (SP 800-131A)",
                        remedy='Write "rsa2048" or "eccp256".',
                    )
                ]
            )
        return value

    def rules(self) -> Iterator[Fault]:
        """What the algorithm cannot be used for."""
        if self.certificate is None:
            return
        if self.algorithm is Algorithm.X25519:
            yield Fault(
                at=("certificate",),
                message="an x25519 key agrees on keys and cannot sign, so it cannot log in",
                remedy='Take the certificate out, or write algorithm = "ed25519" or "eccp256".',
            )
        elif (
            self.algorithm is Algorithm.ED25519 and Usage.SMARTCARD_LOGON in self.certificate.usages
        ):
            yield Fault(
                at=("algorithm",),
                message="Windows logs on with RSA and NIST curves, not with ed25519",
                remedy='Write "eccp256" or "rsa2048", or take smartcard-logon out of usages.',
            )


class PivSection(Section):
    """The PIV applet."""

    pin: PivPin = PivPin()
    puk: PivPuk = PivPuk()
    management_key: ManagementKey = ManagementKey()
    chuid: StrictBool = True  # card holder unique identifier: Windows and macOS need it
    ccc: StrictBool = True  # card capability container: macOS needs it
    keys: tuple[PivKey, ...] = ()

    def rules(self) -> Iterator[Fault]:
        """A slot holds one key."""
        first: dict[str, int] = {}
        for index, key in enumerate(self.keys):
            if key.slot in first:
                yield Fault(
                    at=("keys", index, "slot"),
                    message=f"slot {key.slot} holds the key of piv.keys[{first[key.slot]}] already",
                    remedy="Choose another slot, or delete one of the two.",
                )
            first.setdefault(key.slot, index)
