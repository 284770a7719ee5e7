"""Rules about tokens: how they are bound, what they are like, and when they end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from pydantic import StrictInt

from tokenprov.policy.rule import Rule
from tokenprov.profile.faults import Fault
from tokenprov.profile.section import MAX_TRIES, MIN_PIN
from tokenprov.record.kinds import Grade
from tokenprov.record.recovery import BITS_OF_A_LETTER, LEAST_BITS


class RecordedBindings(Rule):
    """Every binding stands in the record."""

    says: ClassVar[str] = (
        "every token ever bound is recorded with its time, where it came from, and how it is known"
    )
    source: ClassVar[str] = "SP 800-63B 4.1"
    grade: Grade = Grade.ASSERTED  # the least


class TwoAuthenticators(Rule):
    """Nobody depends on one thing that can be lost."""

    says: ClassVar[str] = "every holder has at least this many tokens"
    source: ClassVar[str] = "SP 800-63B 4.1.2"
    least: StrictInt = 2


class RecoveryCodes(Rule):
    """Codes that a holder keeps for the day they have nothing else."""

    says: ClassVar[str] = (
        "recovery codes have at least 64 bits, are kept only as digests, serve once and expire"
    )
    source: ClassVar[str] = "SP 800-63B 4.2.1.1, 4.2.1.2"
    bits: StrictInt = 80
    codes: StrictInt = 8
    days: StrictInt = 365

    def rules(self) -> Iterator[Fault]:
        """Long enough, and not for ever."""
        if self.bits < LEAST_BITS or self.bits % BITS_OF_A_LETTER:
            yield Fault(
                at=("bits",),
                message=f"codes of {self.bits} bits: {LEAST_BITS} are the least (SP 800-63B"
                " 4.2.1.1), five to a letter",
                remedy="Write 65, 80 or 100.",
            )
        if not 1 <= self.codes <= 50:
            yield Fault(at=("codes",), message="that many codes", remedy="Write 1 to 50.")
        if not 1 <= self.days <= 1100:
            yield Fault(
                at=("days",),
                message=f"codes that hold for {self.days} days",
                remedy="Write 1 to 1100: issued codes expire (SP 800-63B 4.2.1.2).",
            )


class OldToken(Rule):
    """The old token ends when the new one begins."""

    says: ClassVar[str] = "a token that another one replaced is invalid within this time"
    source: ClassVar[str] = "SP 800-63B 4.1.4"
    hours: StrictInt = 24


class Compromise(Rule):
    """A token that somebody else may have is accepted nowhere."""

    says: ClassVar[str] = (
        "a token that was reported stolen or lost is suspended or revoked within this time"
    )
    source: ClassVar[str] = "SP 800-63B 4.3"
    hours: StrictInt = 4


class Revocation(Rule):
    """What a lost card's certificates say."""

    says: ClassVar[str] = "certificates of a lost token are revoked within this time"
    source: ClassVar[str] = "FIPS 201-3 2.9"
    hours: StrictInt = 18

    def rules(self) -> Iterator[Fault]:
        """No later than the standard says."""
        if not 1 <= self.hours <= 18:
            yield Fault(
                at=("hours",),
                message=f"{self.hours} hours: 18 are the most (FIPS 201-3 2.9)",
                remedy="Write 1 to 18.",
            )


class Leaving(Rule):
    """Whoever leaves takes no access along."""

    says: ClassVar[str] = "no token is held by somebody whose last day is past by this much"
    source: ClassVar[str] = "SP 800-63B 4.5; ISO/IEC 27002 5.18"
    hours: StrictInt = 24


class Pin(Rule):
    """A PIN that is worth its tries."""

    says: ClassVar[str] = (
        "PINs have at least this many digits, are drawn and none of the common ones, and block"
        " after this many tries"
    )
    source: ClassVar[str] = "FIPS 201-3 4.3.1"
    length: StrictInt = MIN_PIN
    tries: StrictInt = MAX_TRIES

    def rules(self) -> Iterator[Fault]:
        """No weaker than the standard says."""
        if self.length < MIN_PIN:
            yield Fault(
                at=("length",),
                message=f"{self.length} digits: {MIN_PIN} are the least (FIPS 201-3 4.3.1)",
                remedy=f"Write {MIN_PIN} or more.",
            )
        if not 1 <= self.tries <= MAX_TRIES:
            yield Fault(
                at=("tries",),
                message=f"{self.tries} tries: {MAX_TRIES} are the most (FIPS 201-3 4.3.1)",
                remedy=f"Write 1 to {MAX_TRIES}.",
            )


class NoDefaults(Rule):
    """Nothing is left as the factory made it."""

    says: ClassVar[str] = "what guards a token's keys is not the factory's"
    source: ClassVar[str] = "SP 800-53 IA-5"
