"""The OATH part of the profile language: a password, and accounts that give one-time codes.

Sources: the maker's "YKOATH Protocol", RFC 4226 (HOTP), RFC 6238 (TOTP). Seeds are drawn, as long
as the hash is (RFC 6238, 5.1), and sealed for the authentication server.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from pydantic import StrictBool, StrictInt
from yubikit.oath import DEFAULT_PERIOD

from tokenprov.profile.faults import Fault
from tokenprov.profile.fields import Template
from tokenprov.profile.section import Section, TemplateText

DIGITS = (6, 8)  # RFC 4226, 5.3, and what servers take
PERIODS = range(1, 3601)  # seconds
MAX_ID = 64  # bytes of "60/issuer:name"
MAX_COUNTER = 0xFFFFFFFF  # of the initial moving factor, four bytes
PASSWORD_LENGTH = range(8, 65)  # characters; SP 800-63B-4, 3.1.1.2: at least eight


class OathKind(StrEnum):
    """What a code depends on."""

    TOTP = "totp"  # the time
    HOTP = "hotp"  # a counter


class OathAlgorithm(StrEnum):
    """The hash of the HMAC."""

    SHA1 = "sha1"
    SHA256 = "sha256"
    SHA512 = "sha512"


class OathPassword(Section):
    """The password that a program gives before it may see an account; drawn."""

    length: StrictInt = 16  # letters and digits

    def rules(self) -> Iterator[Fault]:
        """A length that protects something."""
        if self.length not in PASSWORD_LENGTH:
            yield Fault(
                at=("length",),
                message=f"a password of {self.length} characters: it has {PASSWORD_LENGTH[0]} to "
                f"{PASSWORD_LENGTH[-1]}",
                remedy="Write length = 16.",
            )


class OathAccount(Section):
    """One account."""

    issuer: TemplateText
    name: TemplateText = Template.parse("{holder.upn}")
    kind: OathKind = OathKind.TOTP
    algorithm: OathAlgorithm = OathAlgorithm.SHA1
    digits: StrictInt = 6
    period: StrictInt = DEFAULT_PERIOD  # seconds; TOTP
    counter: StrictInt = 0  # where it begins to count; HOTP
    touch: StrictBool = False

    @property
    def identity(self) -> Template:
        """What the token knows it by, the period in front of it where it is another one."""
        period = f"{self.period}/" if self.kind is OathKind.TOTP else ""
        if self.period == DEFAULT_PERIOD:
            period = ""
        return Template.parse(f"{period}{self.issuer.text}:{self.name.text}")

    def rules(self) -> Iterator[Fault]:
        """Values that an authenticator and its server can agree on."""
        if self.digits not in DIGITS:
            yield Fault(
                at=("digits",),
                message=f"codes of {self.digits} digits are not what servers take: 6 or 8",
                remedy="Write digits = 6.",
            )
        if self.period not in PERIODS:
            yield Fault(
                at=("period",),
                message=f"{self.period} is not a period: {PERIODS[0]} to {PERIODS[-1]} seconds",
                remedy=f"Write period = {DEFAULT_PERIOD}.",
            )
        if not 0 <= self.counter <= MAX_COUNTER:
            yield Fault(
                at=("counter",),
                message=f"{self.counter} is not a counter: 0 to {MAX_COUNTER}",
                remedy="Write counter = 0.",
            )
        if self.kind is OathKind.HOTP and self.period != DEFAULT_PERIOD:
            yield Fault(
                at=("period",),
                message="a HOTP account counts, it has no period",
                remedy='Delete it, or write kind = "totp".',
            )
        if self.kind is OathKind.TOTP and self.counter:
            yield Fault(
                at=("counter",),
                message="a TOTP account goes by the time, it has no counter",
                remedy='Delete it, or write kind = "hotp".',
            )
        if any(":" in literal for literal, _ in self.issuer.pieces):
            yield Fault(
                at=("issuer",),
                message="a colon ends the issuer in an account's name",
                remedy="Write the issuer without one.",
            )


class OathSection(Section):
    """The OATH applet."""

    password: OathPassword | None = None
    accounts: tuple[OathAccount, ...] = ()

    def rules(self) -> Iterator[Fault]:
        """The second account of a name would overwrite the first."""
        if self.password is None and not self.accounts:
            yield Fault(
                message="[oath] sets nothing",
                remedy="Add password = { } or [[oath.accounts]], or delete the table.",
            )
        first: dict[str, int] = {}
        for index, account in enumerate(self.accounts):
            other = first.setdefault(account.identity.text, index)
            if other != index:
                yield Fault(
                    at=("accounts", index, "name"),
                    message=f"issuer and name are those of oath.accounts[{other}], which this one "
                    "would overwrite",
                    remedy="Delete one of the two, or give them different names.",
                )
