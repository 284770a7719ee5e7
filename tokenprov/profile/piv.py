"""The PIV part of the profile language.

Standards: SP 800-73-4 (slots, PIN and PUK lengths), SP 800-78-5 (algorithms), FIPS 201-3 4.3.1.
The YubiKey's own extensions (policies, attestation, Ed25519) are named as Yubico names them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Any

from pydantic import StrictBool, StrictInt, field_validator, model_validator

from tokenprov.profile.faults import Fault, Faults
from tokenprov.profile.piv_certificate import (
    CARD_AUTHENTICATION,
    CardNames,
    Certificate,
    Usage,
)
from tokenprov.profile.piv_objects import DataObject, PrintedInformation
from tokenprov.profile.section import Section, Text, check_length, check_tries
from tokenprov.secret import PIV_PIN_LENGTH

# The four slots of a card, then its retired key management slots (SP 800-73-4 part 1, table 4b)
RETIRED_SLOTS = tuple(f"{reference:02x}" for reference in range(0x82, 0x96))
SLOTS = ("9a", "9c", "9d", "9e", *RETIRED_SLOTS)
MAX_URL = 118  # bytes; part 1, table 17
DECRYPTING = ("9d", *RETIRED_SLOTS)  # slots whose keys decrypt


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
    MATCH_ONCE = "match-once"  # a fingerprint or the PIN; a token with a fingerprint reader
    MATCH_ALWAYS = "match-always"


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


class Origin(StrEnum):
    """Where a private key comes from."""

    GENERATED = "generated"  # made on the token, which it never leaves
    ESCROWED = "escrowed"  # drawn at the station, sealed to break-glass, imported


class PivPin(Section):
    """The PIV PIN: digits, and tries until it is blocked."""

    length: StrictInt = 8
    retries: StrictInt = 8
    published: Text | None = None  # the one that cards of another maker came with

    def rules(self) -> Iterator[Fault]:
        """Length by SP 800-73-4 part 2, 2.4.3; tries by FIPS 201-3."""
        yield from _check_published(self.published, PIV_PIN_LENGTH)
        yield from check_length(self.length, PIV_PIN_LENGTH, "PIV PIN", "SP 800-73-4 part 2, 2.4.3")
        yield from check_tries(self.retries)


class PivPuk(Section):
    """The PUK, which unblocks the PIN: digits, and tries until it is blocked."""

    length: StrictInt = 8
    retries: StrictInt = 5
    published: Text | None = None  # the one that cards of another maker came with

    def rules(self) -> Iterator[Fault]:
        """As the PIN; a standard card takes eight characters exactly."""
        yield from _check_published(self.published, PIV_PIN_LENGTH[-1:])
        yield from check_length(self.length, PIV_PIN_LENGTH, "PUK", "SP 800-73-4 part 2, 2.4.3")
        yield from check_tries(self.retries)


def _check_published(value: str | None, lengths: range) -> Iterator[Fault]:
    if value is not None and not (value.isascii() and len(value) in lengths):
        wanted = f"{lengths[0]} to {lengths[-1]}" if len(lengths) > 1 else f"{lengths[0]}"
        yield Fault(
            at=("published",),
            message=f"a card came with no value of {len(value)} characters (SP 800-73-4 part 2,"
            " 2.4.3)",
            remedy=f"Write the {wanted} characters that the maker published.",
        )


class ManagementKey(Section):
    """The PIV management key, drawn for each token."""

    algorithm: ManagementKeyAlgorithm = ManagementKeyAlgorithm.AUTO
    touch: StrictBool = False  # its use waits for a touch
    pin_protected: StrictBool = False  # a copy on the token, for who knows the PIN
    given: Text | None = None  # the name of the key that cards came with, in the station's home


class PivKey(Section):
    """A key in a PIV slot."""

    slot: str
    algorithm: Algorithm
    origin: Origin = Origin.GENERATED
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

    @model_validator(mode="before")
    @classmethod
    def _unattested(cls, value: Any) -> Any:
        """No token attests an imported key: written out, its default says so."""
        if isinstance(value, dict) and value.get("origin") == Origin.ESCROWED:
            return {"attestation": Attestation.IF_SUPPORTED.value, **value}
        return value

    @property
    def encrypts(self) -> bool:
        """Whether others encrypt to this key."""
        return (
            self.slot in DECRYPTING
            and self.certificate is not None
            and Usage.EMAIL_PROTECTION in self.certificate.usages
        )

    def rules(self) -> Iterator[Fault]:
        """What algorithm, origin and slot cannot be used for."""
        if self.origin is Origin.ESCROWED:
            yield from self._escrowed()
        if self.certificate is not None:
            yield from self._certified(self.certificate)

    def _escrowed(self) -> Iterator[Fault]:
        if self.slot not in DECRYPTING:
            yield Fault(
                at=("origin",),
                message=f"the key in {self.slot} signs, and a key that signs is nobody else's",
                remedy='Write origin = "generated"; 9d and 82 to 95 decrypt and can be escrowed.',
            )
        if self.algorithm is Algorithm.ED25519:
            yield Fault(
                at=("algorithm",),
                message="an ed25519 key signs and cannot decrypt",
                remedy='Write "eccp256", "eccp384" or "rsa2048".',
            )
        if self.attestation is Attestation.REQUIRED:
            yield Fault(
                at=("attestation",),
                message="a token attests no key that was imported",
                remedy='Take it out, or write origin = "generated".',
            )
        if self.certificate is not None and self.certificate.usages != (Usage.EMAIL_PROTECTION,):
            yield Fault(
                at=("certificate", "usages"),
                message="a key in escrow is for decrypting mail alone: it must not log in",
                remedy='Write usages = ["email-protection"].',
            )

    def _certified(self, certificate: Certificate) -> Iterator[Fault]:
        usages = certificate.usages
        if Usage.CARD_AUTH in usages and self.slot != CARD_AUTHENTICATION:
            yield Fault(
                at=("certificate", "usages"),
                message=f"card-auth is for the key in 9e, not in {self.slot} (FIPS 201-3, 4.2.2.2)",
                remedy='Write slot = "9e".',
            )
        if self.algorithm is Algorithm.X25519:
            yield Fault(
                at=("certificate",),
                message="an x25519 key agrees on keys and cannot sign, so it cannot log in",
                remedy='Take the certificate out, or write algorithm = "ed25519" or "eccp256".',
            )
        elif self.algorithm is Algorithm.ED25519 and Usage.SMARTCARD_LOGON in usages:
            yield Fault(
                at=("algorithm",),
                message="Windows logs on with RSA and NIST curves, not with ed25519",
                remedy='Write "eccp256" or "rsa2048", or take smartcard-logon out of usages.',
            )
        elif self.algorithm is Algorithm.ED25519 and self.encrypts:
            yield Fault(
                at=("algorithm",),
                message="an ed25519 key signs and cannot decrypt",
                remedy='Write "eccp256", "eccp384" or "rsa2048".',
            )
        if self.encrypts and len(usages) > 1 and self.origin is Origin.GENERATED:
            yield Fault(
                at=("certificate", "usages"),
                message=f"mail is encrypted to the key in {self.slot}: it must not log in, too",
                remedy='Write usages = ["email-protection"], and log in with a key in 9a.',
            )


class PivSection(Section):
    """The PIV applet."""

    pin: PivPin = PivPin()
    puk: PivPuk = PivPuk()
    management_key: ManagementKey = ManagementKey()
    chuid: StrictBool = True  # card holder unique identifier: Windows and macOS need it
    ccc: StrictBool = True  # card capability container: macOS needs it
    printed_information: PrintedInformation | None = None
    keys: tuple[PivKey, ...] = ()
    key_history_url: Text | None = None  # where certificates of retired keys are that lack one
    objects: tuple[DataObject, ...] = ()

    def rules(self) -> Iterator[Fault]:
        """A slot holds one key, an object one content, and Windows finds what it needs."""
        yield from _unique("keys", "slot", [key.slot for key in self.keys])
        yield from _unique("objects", "id", [one.id for one in self.objects])
        yield from self._retired()
        if self.management_key.pin_protected and self.printed_information is not None:
            yield Fault(
                at=("printed-information",),
                message="a PIN-protected management key is kept in the same object (5fc109)",
                remedy="Take [piv.printed-information] out, or write pin-protected = false.",
            )
        logs_on = any(
            key.certificate is not None and Usage.SMARTCARD_LOGON in key.certificate.usages
            for key in self.keys
        )
        for index, key in enumerate(self.keys):
            certificate = key.certificate
            if certificate and certificate.card_names is not CardNames.NO and not self.chuid:
                yield Fault(
                    at=("keys", index, "certificate", "card-names"),
                    message="a certificate names the card by its CHUID, which is left out",
                    remedy="Write chuid = true.",
                )
        for name, there in (("chuid", self.chuid), ("ccc", self.ccc)):
            if logs_on and not there:
                yield Fault(
                    at=(name,),
                    message=f"Windows logs on with no card that lacks a {name.upper()}",
                    remedy=f"Write {name} = true, or take smartcard-logon out of usages.",
                )

    def _retired(self) -> Iterator[Fault]:
        """Part 1, 3.3.3: readers count certificates from 82 on, and know no gap."""
        certified = [key.slot for key in self.keys if key.slot in RETIRED_SLOTS and key.certificate]
        wanted = RETIRED_SLOTS[: len(certified)]
        for index, key in enumerate(self.keys):
            if key.slot in certified and key.slot not in wanted:
                yield Fault(
                    at=("keys", index, "slot"),
                    message=f"readers look for {len(certified)} certificates of retired keys in"
                    f" {wanted[0]} to {wanted[-1]}, not in {key.slot}"
                    " (SP 800-73-4 part 1, 3.3.3)",
                    remedy="Use the retired slots from 82 on, without a gap.",
                )
        url = self.key_history_url
        if url is not None and not (
            url.startswith("http://") and url.isascii() and len(url) <= MAX_URL
        ):
            yield Fault(
                at=("key-history-url",),
                message=f"{url!r} is no URL for a key history (SP 800-73-4 part 1, 3.3.3)",
                remedy=f'Write one that begins with "http://", of at most {MAX_URL} characters.',
            )


def _unique(table: str, key: str, values: Sequence[str]) -> Iterator[Fault]:
    what, holds = ("slot", "the key") if key == "slot" else ("object", "the text")
    first: dict[str, int] = {}
    for index, value in enumerate(values):
        if value in first:
            yield Fault(
                at=(table, index, key),
                message=f"{what} {value} holds {holds} of piv.{table}[{first[value]}] already",
                remedy=f"Choose another {what}, or delete one of the two.",
            )
        first.setdefault(value, index)
