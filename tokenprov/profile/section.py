"""What the tables of a profile share: strictness, rules, PIN policy.

Standards: FIPS 201-3 4.3.1 (a PIN has at least six digits, at most ten tries).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)

from tokenprov.profile.faults import Fault, Faults
from tokenprov.profile.fields import Template, plain_text

MIN_PIN = 6  # digits; FIPS 201-3 4.3.1
MAX_TRIES = 10  # FIPS 201-3 4.3.1
MIN_TRIES = 3  # a run never spends the last two, so with fewer it could check nothing

Text = Annotated[str, PlainValidator(plain_text), WithJsonSchema({"type": "string"})]
TemplateText = Annotated[
    Template,
    PlainValidator(Template.validate),
    PlainSerializer(str),
    WithJsonSchema({"type": "string"}),
]


class Section(BaseModel):
    """A table of a profile: frozen, no unknown keys, its rules checked together."""

    model_config = ConfigDict(
        defer_build=True,  # a command reads one file, and starts with all of the words
        frozen=True,
        extra="forbid",
        alias_generator=lambda name: name.replace("_", "-"),
        validate_by_name=True,
        validate_by_alias=True,
    )

    def rules(self) -> Iterator[Fault]:
        """What is wrong among the keys of this table."""
        return iter(())

    @model_validator(mode="after")
    def _check(self) -> Self:
        faults = list(self.rules())
        if faults:
            raise Faults(faults)
        return self


_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")


def plain_name(value: str, *, of: str, example: str) -> str:
    """The name of a file's whole content. Raises `Faults` for what cannot be one."""
    if len(value) <= 64 and _NAME.match(value):
        return value
    raise Faults(
        [
            Fault(
                message=f"{value!r} is not a name for a {of}",
                remedy=f'Write lower-case words joined by dashes, as in "{example}".',
            )
        ]
    )


def check_tries(value: int) -> Iterator[Fault]:
    """What is wrong with a number of tries, at the key `retries`."""
    if not 1 <= value <= 255:
        yield Fault(
            at=("retries",),
            message=f"{value} tries are not a number that a token can count",
            remedy=f"Write one from {MIN_TRIES} to {MAX_TRIES}.",
        )
    elif value < MIN_TRIES:
        yield Fault(
            at=("retries",),
            message=f"{value} tries leave none to check the PIN with: the last two are never spent",
            remedy=f"Write at least {MIN_TRIES}.",
        )
    elif value > MAX_TRIES:
        yield Fault(
            at=("retries",),
            message=f"{value} tries are more than the {MAX_TRIES} that FIPS 201-3 4.3.1 permits",
            remedy=f"Write at most {MAX_TRIES}; 8 is a common choice.",
        )


def check_length(value: int, allowed: range, called: str, source: str) -> Iterator[Fault]:
    """What is wrong with a PIN's length, at the key `length`; `source` allows what is allowed."""
    if value < MIN_PIN:
        yield Fault(
            at=("length",),
            message=f"a {called} of {value} digits is weak: policy asks for {MIN_PIN} or more "
            "(FIPS 201-3 4.3.1)",
            remedy=f"Write length = {min(8, allowed[-1])}.",
        )
    elif value not in allowed:
        yield Fault(
            at=("length",),
            message=f"a {called} has at most {allowed[-1]} characters ({source})",
            remedy=f"Write at most {allowed[-1]}.",
        )
