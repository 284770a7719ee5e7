"""Parity: people of a group have what the group must have, all of them.

A programme is as strong as its weakest member: the administrator without a spare, the contractor
whose profile has a shorter PIN, the application that still lets in a code.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from pydantic import StrictBool, StrictInt

from tokenprov.policy.people_rules import Proof
from tokenprov.policy.rule import Rule
from tokenprov.profile.faults import Fault
from tokenprov.profile.section import Section, Text


class Group(Section):
    """What every holder of a group must have."""

    profiles: tuple[Text, ...] = ()  # one of these on each token; empty: any
    tokens: StrictInt = 1  # at least; 2 is a primary and a spare
    phishing_resistant: StrictBool = False  # a passkey or a certified key on each token
    last_day: StrictBool = False  # each has one
    proofs: tuple[Proof, ...] = ()  # what may bring them back; empty: what the policy allows

    def rules(self) -> Iterator[Fault]:
        """Somebody in a group has a token."""
        if not 1 <= self.tokens <= 9:
            yield Fault(
                at=("tokens",), message=f"{self.tokens} tokens a holder", remedy="Write 1 to 9."
            )


class Parity(Rule):
    """Groups of the roster, and what each must have."""

    says: ClassVar[str] = (
        "who is in a group has its profile, its spares, and no recovery weaker than the token"
    )
    source: ClassVar[str] = "SP 800-63B 4.1.2.1, 4.2; SP 800-53 IA-2"
    groups: dict[str, Group]
