"""The OpenPGP part of the profile language: PINs, the cardholder's data, and keys.

Source: "Functional Specification of the OpenPGP application on ISO Smart Card Operating Systems",
3.4 (OPGP); the maker's documents for touch, tries and attestation. PINs are drawn; the derivation
of PINs (KDF) is left as it is. GnuPG writes ASCII names alone, and so does this.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum

from pydantic import StrictInt

from tokenprov.profile.faults import Fault
from tokenprov.profile.piv import Attestation
from tokenprov.profile.section import Section, TemplateText, Text, check_length, check_tries

USER_PIN_LENGTH = range(6, 65)  # OPGP 4.3.1: six at least; the card's own most is 127
ADMIN_PIN_LENGTH = range(8, 65)  # OPGP 4.3.1: eight at least, for the reset code too
LEAST_TRIES = 4  # two that may be wrong, and the last two that are never spent
MAX_NAME = 39  # characters; OPGP 4.4.1, DO 5B
MAX_DATA = 254  # bytes of a login or a URL: a short object of any card
_LANGUAGES = re.compile(r"([a-z]{2}){1,4}\Z")  # OPGP 4.4.1, DO 5F2D: ISO 639-1


class OpenPgpSlot(StrEnum):
    """A key's place."""

    SIG = "sig"
    DEC = "dec"
    AUT = "aut"


class OpenPgpAlgorithm(StrEnum):
    """What a key is."""

    RSA2048 = "rsa2048"
    RSA3072 = "rsa3072"
    RSA4096 = "rsa4096"
    ECCP256 = "eccp256"
    ECCP384 = "eccp384"
    ECCP521 = "eccp521"
    SECP256K1 = "secp256k1"
    BRAINPOOLP256R1 = "brainpoolp256r1"
    BRAINPOOLP384R1 = "brainpoolp384r1"
    BRAINPOOLP512R1 = "brainpoolp512r1"
    ED25519 = "ed25519"
    X25519 = "x25519"

    @property
    def is_rsa(self) -> bool:
        """Whether it is RSA; all others are curves."""
        return self.value.startswith("rsa")


class OpenPgpTouch(StrEnum):
    """Whether a key waits for a touch (the maker's user interaction flag)."""

    OFF = "off"
    ON = "on"
    FIXED = "fixed"  # on, until the key is gone
    CACHED = "cached"  # good for 15 seconds
    CACHED_FIXED = "cached-fixed"


class SignaturePin(StrEnum):
    """How long the user PIN is good for signatures (OPGP 4.3.1)."""

    ONCE = "once"  # until the token is taken out
    ALWAYS = "always"  # for one signature


class OpenPgpUserPin(Section):
    """The user's first PIN."""

    length: StrictInt = 8
    retries: StrictInt = 8

    def rules(self) -> Iterator[Fault]:
        """Length and tries."""
        yield from check_length(self.length, USER_PIN_LENGTH, "user PIN", "OPGP 4.3.1")
        yield from _tries(self.retries)


class OpenPgpAdminPin(Section):
    """What changes the card; and the reset code, of which the same is asked."""

    length: StrictInt = 8
    retries: StrictInt = 5

    def rules(self) -> Iterator[Fault]:
        """Length and tries."""
        if self.length < ADMIN_PIN_LENGTH[0]:
            yield Fault(
                at=("length",),
                message=f"it has at least {ADMIN_PIN_LENGTH[0]} digits (OPGP 4.3.1)",
                remedy="Write length = 8.",
            )
        else:
            yield from check_length(self.length, ADMIN_PIN_LENGTH, "PIN", "OPGP 4.3.1")
        yield from _tries(self.retries)


def _tries(value: int) -> Iterator[Fault]:
    """A card that is asked again after a cut may have to be tried with two values."""
    if value == LEAST_TRIES - 1:
        yield Fault(
            at=("retries",),
            message=f"{value} tries are too few to tell our PIN from the factory's after a power "
            "failure: the card does not say which it has",
            remedy=f"Write at least {LEAST_TRIES}.",
        )
    else:
        yield from check_tries(value)


class OpenPgpKey(Section):
    """A key that is generated on the token."""

    slot: OpenPgpSlot
    algorithm: OpenPgpAlgorithm
    touch_policy: OpenPgpTouch = OpenPgpTouch.OFF
    attestation: Attestation = Attestation.IF_SUPPORTED

    def rules(self) -> Iterator[Fault]:
        """Ed25519 signs, X25519 decrypts."""
        decrypts = self.slot is OpenPgpSlot.DEC
        if self.algorithm is OpenPgpAlgorithm.ED25519 and decrypts:
            yield Fault(
                at=("algorithm",),
                message="ed25519 signs, it does not decrypt",
                remedy='Write "x25519".',
            )
        if self.algorithm is OpenPgpAlgorithm.X25519 and not decrypts:
            yield Fault(
                at=("algorithm",),
                message="x25519 decrypts, it does not sign",
                remedy='Write "ed25519".',
            )


class OpenPgpSection(Section):
    """The OpenPGP applet."""

    user_pin: OpenPgpUserPin = OpenPgpUserPin()
    admin_pin: OpenPgpAdminPin = OpenPgpAdminPin()
    reset_code: OpenPgpAdminPin | None = None  # left out: none is set
    signature_pin: SignaturePin | None = None  # left out: as it is
    name: TemplateText | None = None
    language: Text | None = None
    login: TemplateText | None = None
    url: TemplateText | None = None
    keys: tuple[OpenPgpKey, ...] = ()

    def rules(self) -> Iterator[Fault]:
        """One key a slot, and texts that a card takes whoever the holder is."""
        first: dict[OpenPgpSlot, int] = {}
        for index, key in enumerate(self.keys):
            other = first.setdefault(key.slot, index)
            if other != index:
                yield Fault(
                    at=("keys", index, "slot"),
                    message=f"slot {key.slot} is that of openpgp.keys[{other}] already",
                    remedy="Delete one of the two.",
                )
        if self.language is not None and not _LANGUAGES.match(self.language):
            yield Fault(
                at=("language",),
                message=f"{self.language!r} is not one to four languages of two letters each",
                remedy='Write them one after another, as in "en" or "deen".',
            )
        for key_name, template, fault in (
            ("name", self.name, name_fault),
            ("login", self.login, data_fault),
            ("url", self.url, url_fault),
        ):
            if template is None or template.fields or any(f for _, f in template.pieces):
                continue
            wrong = fault(template.pieces[0][0])
            if wrong:
                yield Fault(at=(key_name,), message=wrong, remedy="Write another text.")


def name_fault(text: str) -> str:
    """Why a card cannot take that name, or ""; the form is "Surname<<Given" or free."""
    if not text.isascii():
        return f"{text!r} is not ASCII, and programs write and read no other names on a card"
    if len(text) > MAX_NAME:
        return f"{text!r} has {len(text)} characters, {MAX_NAME} fit (OPGP 4.4.1)"
    return ""


def data_fault(text: str) -> str:
    """Why a card cannot take that login, or ""."""
    size = len(text.encode())
    return f"it comes to {size} bytes, {MAX_DATA} fit" if size > MAX_DATA else ""


def url_fault(text: str) -> str:
    """Why a card cannot take that URL, or ""."""
    return data_fault(text) if text.isascii() else f"{text!r} is not ASCII (RFC 3986, 2)"
