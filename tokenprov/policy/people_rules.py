"""Rules about who does what: several people, who is known to be whom, and what is kept apart."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import ClassVar

from pydantic import StrictBool, StrictInt

from tokenprov.model import Purpose
from tokenprov.policy.rule import Rule
from tokenprov.profile.faults import Fault
from tokenprov.profile.section import Text
from tokenprov.record import holder_proof
from tokenprov.record.request import Action


class Separation(Rule):
    """Several people for one act."""

    says: ClassVar[str] = (
        "who requests an act, who approves it and who carries it out are different people, by"
        " their keys"
    )
    source: ClassVar[str] = "SP 800-53 AC-5"
    acts: dict[Action, StrictInt]  # how many others must have agreed
    operator_signs: tuple[Action, ...] = ()
    requester_operates: StrictBool = False

    def rules(self) -> Iterator[Fault]:
        """A number of people."""
        for action, count in self.acts.items():
            if not 1 <= count <= 9:
                yield Fault(
                    at=("acts", action),
                    message=f"{count} people cannot agree",
                    remedy="Write 1 to 9, or leave the act out: then nobody is asked.",
                )


class Proof(StrEnum):
    """How a holder is known to be who they say; the word is the type of evidence in an entry."""

    IDENTITY_CHECK = "identity-check"  # somebody of the station saw them and what identifies them
    OTHER_TOKEN = holder_proof.OTHER_TOKEN  # they used another token of theirs
    RECOVERY_CODE = holder_proof.RECOVERY_CODE


class AuthenticatedHolder(Rule):
    """Nothing is bound to a caller's word."""

    says: ClassVar[str] = (
        "who is given another token, or a PIN anew, was authenticated by no less than what they"
        " get back, and the evidence is kept"
    )
    source: ClassVar[str] = "SP 800-63B 4.1.2.1; FIPS 201-3 4.3.1"
    acts: tuple[Action, ...] = (Action.REPLACE, Action.UNBLOCK)
    proofs: tuple[Proof, ...] = (Proof.IDENTITY_CHECK, Proof.OTHER_TOKEN, Proof.RECOVERY_CODE)

    def rules(self) -> Iterator[Fault]:
        """At least one way to be known."""
        if not self.proofs:
            yield Fault(
                at=("proofs",),
                message="no proof is accepted, so that nobody ever gets a token back",
                remedy=f"Write some of {', '.join(Proof)}.",
            )


class OneIdentity(Rule):
    """One person, one identity."""

    says: ClassVar[str] = "no mail address, account or token is that of two holders"
    source: ClassVar[str] = "ISO/IEC 27002 5.16"


class Apart(Rule):
    """PIN and token do not travel together."""

    says: ClassVar[str] = "who hands out or prints the PINs of tokens did not make those tokens"
    source: ClassVar[str] = "ETSI EN 319 411-1 6.5 (activation data is distributed separately)"


class Independence(Rule):
    """A programme whose parts do not stand or fall together."""

    says: ClassVar[str] = (
        "no secret is open to two roles that must be separate, no custodian operates, no spare is"
        " kept with its primary, and nobody recovers by what they lost"
    )
    source: ClassVar[str] = "SP 800-53 AC-5; SP 800-57 part 1, 6.2"
    custodians: dict[Purpose, Text] = {}  # who each is, where their key does not tell
    place: Text = "place"  # columns of the roster: where the primary is kept,
    spare_place: Text = "spare-place"  # where the spare,
    recovery: Text = "recovery"  # and the address by which a holder recovers


class Waivers(Rule):
    """Exceptions that stay exceptions."""

    says: ClassVar[str] = (
        "an exception has a reason, an approver and a last day, and there are few of one kind"
    )
    source: ClassVar[str] = "SP 800-53 CA-5; ISO/IEC 27001 6.1.3"
    days: StrictInt = 90  # the longest that one may last
    most: StrictInt = 5  # of one kind at a time

    def rules(self) -> Iterator[Fault]:
        """An exception ends."""
        if not 1 <= self.days <= 366:
            yield Fault(
                at=("days",),
                message=f"{self.days} days are no exception's time",
                remedy="Write 1 to 366.",
            )
