"""The [fido2] part of a profile: what is refused at load, and what a firmware lacks."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tokenprov.errors import ProfileError
from tokenprov.profile import Profile, check_firmware, parse_profile
from tokenprov.profile.fido2 import Protection

CREDENTIAL = '[[fido2.credentials]]\nrp-id = "login.example.test"\nrp-name = "L"\nuser-name = "u"\n'
NO_CHANGE = 'pin = { force-change = "no" }\n'


def profile(text: str) -> Profile:
    """A profile with that [fido2]."""
    return parse_profile(f'name = "test"\n[fido2]\n{text}'.encode(), "test.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A [fido2] that is impossible on any token, the key and line that are named, and the words."""

    name: str
    text: str
    key: str
    line: int
    says: str
    remedy: str


REFUSED = (
    Refused(
        name="an AAGUID that is none",
        text='aaguids = ["yubikey-5"]\n',
        key="fido2.aaguids[0]",
        line=3,
        says="'yubikey-5' is not an AAGUID",
        remedy="token show",
    ),
    Refused(
        name="a minimum that refuses the first PIN",
        text="minimum-pin-length = { length = 9 }\n",
        key="fido2.minimum-pin-length.length",
        line=3,
        says="the first PIN has 8 characters, which this minimum of 9 refuses",
        remedy="length = 9",
    ),
    Refused(
        name="a weak minimum",
        text="minimum-pin-length = { length = 4 }\n",
        key="fido2.minimum-pin-length.length",
        line=3,
        says="4 digits is weak",
        remedy="length = 8",
    ),
    Refused(
        name="a reader that is no relying party",
        text='minimum-pin-length = { length = 8, rp-ids = ["https://a.test"] }\n',
        key="fido2.minimum-pin-length.rp-ids[0]",
        line=3,
        says="not a relying party id",
        remedy="bare domain",
    ),
    Refused(
        name="a serial that the token may not name",
        text=f'enterprise-attestation = "if-supported"\n{CREDENTIAL}enterprise = true\n',
        key="fido2.credentials[0].enterprise",
        line=8,
        says="only where enterprise attestation is on",
        remedy='enterprise-attestation = "required"',
    ),
    Refused(
        name="an unknown protection",
        text=f'{CREDENTIAL}protection = "requird"\n',
        key="fido2.credentials[0].protection",
        line=7,
        says="'requird' is not a value",
        remedy="Did you mean 'required'?",
    ),
    Refused(
        name="no demand",
        text='minimum-pin-length = { length = 8, support = "no" }\n',
        key="fido2.minimum-pin-length.support",
        line=3,
        says="is not a value",
        remedy='"required"',
    ),
)


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_refused_at_load(case: Refused) -> None:
    """What cannot be on any token is refused by key and line, with what to write."""
    with pytest.raises(ProfileError) as caught:
        profile(case.text)
    (problem,) = caught.value.problems
    assert (problem.field, problem.line) == (case.key, case.line)
    assert case.says in problem.message
    assert case.remedy in problem.remedy


@pytest.mark.parametrize(
    ("key", "text", "since"),
    [
        ("always-uv", 'always-uv = "DEMAND"\n' + NO_CHANGE, (5, 6, 0)),
        ("enterprise-attestation", 'enterprise-attestation = "DEMAND"\n' + NO_CHANGE, (5, 6, 0)),
        ("pin.complexity", 'pin = { force-change = "no", complexity = "DEMAND" }\n', (5, 7, 0)),
        ("pin.force-change", 'pin = { force-change = "DEMAND" }\n', (5, 6, 0)),
        (
            "minimum-pin-length.support",
            'minimum-pin-length = { length = 8, support = "DEMAND" }\n' + NO_CHANGE,
            (5, 6, 0),
        ),
    ],
)
def test_firmware_that_cannot(key: str, text: str, since: tuple[int, int, int]) -> None:
    """Below its firmware a required setting is refused, an if-supported one left out and said."""
    needed = ".".join(map(str, since[:2]))
    with pytest.raises(ProfileError, match=f"fido2.{key}: .* needs firmware {needed}"):
        check_firmware(profile(text.replace("DEMAND", "required")), (5, 4, 3))
    (left_out,) = check_firmware(profile(text.replace("DEMAND", "if-supported")), (5, 4, 3))
    assert left_out.startswith(f"fido2.{key}: ")
    assert check_firmware(profile(text.replace("DEMAND", "required")), since) == []


def test_protection_needs_firmware_5_2() -> None:
    """A level for a credential is refused before firmware 5.2; hmac-secret is as old as FIDO2."""
    text = f'{NO_CHANGE}{CREDENTIAL}hmac-secret = "required"\n'
    assert check_firmware(profile(text), (5, 1, 2)) == []
    with pytest.raises(ProfileError, match=r"credentials\[0\].protection: .* firmware 5.2"):
        check_firmware(profile(f'{text}protection = "optional"\n'), (5, 1, 2))
    assert check_firmware(profile(f'{text}protection = "optional"\n'), (5, 2, 0)) == []


def test_protection_levels_are_those_of_the_wire() -> None:
    """CTAP 2.1, 12.1: 1 optional, 2 optional with a list of ids, 3 required."""
    assert [one.level for one in Protection] == [None, 1, 2, 3]
