"""The policy language as a whole: a name, and a table for each rule that holds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

from pydantic import field_validator

from tokenprov.model import Json
from tokenprov.policy.parity import Parity
from tokenprov.policy.people_rules import (
    Apart,
    AuthenticatedHolder,
    Independence,
    OneIdentity,
    Separation,
    Waivers,
)
from tokenprov.policy.rule import Rule
from tokenprov.policy.token_rules import (
    Compromise,
    Leaving,
    NoDefaults,
    OldToken,
    Pin,
    RecordedBindings,
    RecoveryCodes,
    Revocation,
    TwoAuthenticators,
)
from tokenprov.profile.faults import Fault
from tokenprov.profile.section import Section, Text, plain_name
from tokenprov.record.canonical import canonical


class Policy(Section):
    """The rules of a station."""

    name: str
    description: Text
    separation: Separation | None = None
    authenticated_holder: AuthenticatedHolder | None = None
    apart: Apart | None = None
    independence: Independence | None = None
    one_identity: OneIdentity | None = None
    waivers: Waivers | None = None
    parity: Parity | None = None
    recorded_bindings: RecordedBindings | None = None
    two_authenticators: TwoAuthenticators | None = None
    recovery_codes: RecoveryCodes | None = None
    old_token: OldToken | None = None
    compromise: Compromise | None = None
    revocation: Revocation | None = None
    leaving: Leaving | None = None
    pin: Pin | None = None
    no_defaults: NoDefaults | None = None

    @field_validator("name")
    @classmethod
    def _plain_name(cls, value: str) -> str:
        return plain_name(value, of="policy", example="office")

    def rules(self) -> Iterator[Fault]:
        """A policy has rules."""
        if not self.in_force:
            yield Fault(message="the policy has no rule", remedy="Add [separation] to it.")

    @property
    def in_force(self) -> Mapping[str, Rule]:
        """The rules that hold, by the name of their table."""
        return {
            name.replace("_", "-"): rule
            for name in type(self).model_fields
            if isinstance(rule := getattr(self, name), Rule)
        }

    def to_json(self) -> dict[str, Json]:
        """The policy with its defaults written out, keys as in the file."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def to_bytes(self) -> bytes:
        """As it is kept beside the manifest: RFC 8785."""
        return canonical(self.to_json())

    @property
    def digest(self) -> str:
        """SHA-256 of that, hex: comments and order do not count."""
        return hashlib.sha256(self.to_bytes()).hexdigest()


def catalogue() -> Mapping[str, type[Rule]]:
    """Every rule that a policy may have, by the name of its table."""
    return {
        alias: kind
        for field in Policy.model_fields.values()
        if (alias := field.alias) and (kind := _kind(field.annotation))
    }


def _kind(annotation: object) -> type[Rule] | None:
    for argument in getattr(annotation, "__args__", ()):
        if isinstance(argument, type) and issubclass(argument, Rule):
            return argument
    return None
