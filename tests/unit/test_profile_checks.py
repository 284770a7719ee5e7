"""Profiles against tokens and rosters: what cannot be is found before a token is touched."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pytest

from tokenprov.errors import ProfileError, RosterError
from tokenprov.profile import (
    Profile,
    TokenKind,
    check_firmware,
    check_roster,
    load_profile,
    parse_profile,
)
from tokenprov.roster import Roster, load_roster, parse_roster

TODAY = date(2026, 3, 2)
EXAMPLE = Path(__file__).parents[2] / "profiles" / "example-roster.csv"


def piv(key: str = "", **tables: str) -> str:
    """A profile of one key with no attestation asked, and what `key` and the tables change."""
    lines = "".join(f"{name.replace('_', '-')} = {text}\n" for name, text in tables.items())
    key = key or 'algorithm = "eccp256"'
    return f'[piv]\n{lines}[[piv.keys]]\nslot = "9a"\nattestation = "if-supported"\n{key}\n'


def profile(text: str) -> Profile:
    """A profile of these tables."""
    return parse_profile(f'name = "test"\n{text}'.encode(), "test.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A profile, the last firmware that cannot and the first that can, and what is said."""

    name: str
    text: str
    key: str
    says: str
    below: tuple[int, int, int]
    since: tuple[int, int, int]
    remedy: str
    kind: TokenKind = TokenKind.YUBIKEY


CASES = (
    *(
        Case(
            name=algorithm,
            text=piv(f'algorithm = "{algorithm}"'),
            key="piv.keys[0].algorithm",
            says=f"a key for {algorithm} needs firmware 5.7, this token has 5.4.3",
            below=(5, 4, 3),
            since=(5, 7, 0),
            remedy="insert a token with firmware 5.7 or later",
        )
        for algorithm in ("ed25519", "x25519", "rsa3072", "rsa4096")
    ),
    *(
        Case(
            name=f"{algorithm} management key",
            text=piv(management_key=f'{{ algorithm = "{algorithm}" }}'),
            key="piv.management-key.algorithm",
            says=f"a management key for {algorithm} needs firmware 5.4",
            below=(5, 2, 7),
            since=(5, 4, 0),
            remedy='Write "auto"',
        )
        for algorithm in ("aes128", "aes192", "aes256")
    ),
    Case(
        name="cached touch",
        text=piv('algorithm = "eccp256"\ntouch-policy = "cached"'),
        key="piv.keys[0].touch-policy",
        says="needs firmware 4.3",
        below=(4, 2, 8),
        since=(4, 3, 0),
        remedy='"always" or "never"',
    ),
    Case(
        name="PIN policy",
        text=piv('algorithm = "eccp256"\npin-policy = "always"'),
        key="piv.keys[0].pin-policy",
        says="needs firmware 4.0",
        below=(3, 5, 0),
        since=(4, 0, 0),
        remedy='Write "default"',
    ),
    Case(
        name="touch policy",
        text=piv('algorithm = "eccp256"\ntouch-policy = "always"'),
        key="piv.keys[0].touch-policy",
        says="needs firmware 4.0",
        below=(3, 5, 0),
        since=(4, 0, 0),
        remedy='Write "default"',
    ),
    Case(
        name="attestation",
        text=piv('algorithm = "eccp256"').replace("if-supported", "required"),
        key="piv.keys[0].attestation",
        says="needs firmware 4.3",
        below=(4, 2, 8),
        since=(4, 3, 0),
        remedy='Write "if-supported"',
    ),
    Case(
        name="ROCA",
        text=piv('algorithm = "rsa2048"'),
        key="piv.keys[0].algorithm",
        says="YSA-2017-01",
        below=(4, 3, 4),
        since=(4, 3, 5),
        remedy='Write "eccp256"',
    ),
    Case(
        name="FIDO2",
        text="[fido2]\n",
        key="fido2",
        says="FIDO2 needs firmware 5.0, this token has 4.3.7",
        below=(4, 3, 7),
        since=(5, 0, 0),
        remedy="without [fido2]",
    ),
    Case(
        name="forced change",
        text='[fido2]\npin = { force-change = "required" }\n',
        key="fido2.pin.force-change",
        says="needs firmware 5.6",
        below=(5, 4, 3),
        since=(5, 7, 4),
        remedy='Write "if-supported"',
    ),
    Case(
        name="forced change on a Security Key",
        text='[fido2]\npin = { force-change = "required" }\n',
        key="fido2.pin.force-change",
        says="needs firmware 5.6",
        below=(5, 4, 3),
        since=(5, 7, 4),
        remedy='Write "if-supported"',
        kind=TokenKind.SECURITY_KEY,
    ),
    Case(
        name="many credentials",
        text="".join(
            f'[[fido2.credentials]]\nrp-id = "l{n}.test"\nrp-name = "L"\nuser-name = "x"\n'
            for n in range(26)
        ),
        key="fido2.credentials",
        says="26 credentials are more than the 25",
        below=(5, 4, 3),
        since=(5, 7, 0),
        remedy="at most 25",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_firmware_that_cannot(case: Case) -> None:
    """Below its firmware a setting is refused by key and version; from it on it passes."""
    checked = profile(case.text)
    with pytest.raises(ProfileError) as caught:
        check_firmware(checked, case.below, case.kind)
    (problem,) = caught.value.problems
    assert problem.field == case.key
    assert case.says in problem.message
    assert case.remedy in problem.remedy
    assert case.key in str(caught.value)
    left_out = check_firmware(checked, case.since, case.kind)
    assert not any(text.startswith(f"{case.key}: ") for text in left_out)
    assert check_firmware(checked, None, case.kind) == []


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A profile, a token of some kind, and the keys that are refused on it."""

    name: str
    text: str
    kind: TokenKind = TokenKind.YUBIKEY
    fips: bool = False
    version: tuple[int, int, int] | None = (5, 7, 4)
    refused: list[str] = field(default_factory=list)


SLOT = '[otp.slot2]\nkind = "hmac-sha1"\n'
KINDS = (
    Kind(
        name="Security Key",
        text=piv() + SLOT + "[fido2]\n",
        kind=TokenKind.SECURITY_KEY,
        refused=["piv", "otp"],
    ),
    Kind(
        name="card",
        text=piv('algorithm = "ed25519"\ntouch-policy = "always"') + SLOT + "[fido2]\n",
        kind=TokenKind.PIV_CARD,
        version=None,
        refused=["otp", "fido2", "piv.keys[0].algorithm", "piv.keys[0].touch-policy"],
    ),
    Kind(
        name="card that must attest",
        text=piv(puk="{ length = 6 }").replace("if-supported", "required"),
        kind=TokenKind.PIV_CARD,
        refused=["piv.puk.length", "piv.keys[0].attestation"],
    ),
    Kind(
        name="FIPS 140-3",
        text=piv(
            'algorithm = "x25519"\npin-policy = "never"',
            pin="{ length = 6 }",
            puk="{ length = 7 }",
            management_key='{ algorithm = "3des" }',
        )
        + "[fido2]\npin = { length = 6 }\n",
        fips=True,
        refused=[
            "piv.keys[0].algorithm",
            "piv.keys[0].pin-policy",
            "piv.management-key.algorithm",
            "piv.pin.length",
            "piv.puk.length",
            "fido2.pin.length",
        ],
    ),
    Kind(
        name="FIPS 140-2",
        text=piv('algorithm = "eccp256"\npin-policy = "never"', pin="{ length = 6 }"),
        fips=True,
        version=(5, 4, 3),
        refused=["piv.keys[0].pin-policy"],
    ),
    Kind(
        name="YubiKey 4 FIPS by its firmware",
        text=piv('algorithm = "eccp256"\npin-policy = "never"'),
        version=(4, 4, 5),
        refused=["piv.keys[0].pin-policy"],
    ),
    Kind(
        name="no FIPS",
        text=piv('algorithm = "x25519"\npin-policy = "never"', pin="{ length = 6 }"),
    ),
)


@pytest.mark.parametrize("case", KINDS, ids=lambda case: case.name)
def test_kinds_of_token(case: Kind) -> None:
    """A token of another kind refuses exactly what it has not."""
    checked = profile(case.text)
    if not case.refused:
        assert check_firmware(checked, case.version, case.kind, fips=case.fips) == []
        return
    with pytest.raises(ProfileError) as caught:
        check_firmware(checked, case.version, case.kind, fips=case.fips)
    assert [problem.field for problem in caught.value.problems] == case.refused
    assert all(problem.remedy for problem in caught.value.problems)


def test_if_supported_is_left_out_and_said() -> None:
    """What the profile wants only if supported is no error: it is returned, to be recorded."""
    standard = load_profile("standard-employee")
    assert check_firmware(standard, (5, 7, 4)) == []
    assert check_firmware(standard, (5, 7, 4), fips=True) == []
    (left_out,) = check_firmware(standard, (5, 4, 3))
    assert left_out.startswith("fido2.pin.force-change: ")
    (left_out,) = check_firmware(profile(piv()), (4, 2, 8))
    assert left_out.startswith("piv.keys[0].attestation: ")
    no_change = profile('[fido2]\npin = { force-change = "no" }\n')
    assert check_firmware(no_change, (5, 2, 7)) == []


def test_card_of_another_maker_says_what_it_keeps() -> None:
    """On a standard card, tries and management key stay as they are, and that is returned."""
    left_out = check_firmware(profile(piv()), None, TokenKind.PIV_CARD)
    assert [text.split(":")[0] for text in left_out] == [
        "piv.pin.retries",
        "piv.puk.retries",
        "piv.management-key",
        "piv.keys[0].attestation",
    ]


def roster(text: str) -> Roster:
    """A roster of these rows."""
    return parse_roster(text.encode(), "staff.csv", today=TODAY)


def test_example_roster_fits_the_standard_profile() -> None:
    """The demo's roster has what the demo's profile uses."""
    check_roster(load_profile("standard-employee"), load_roster(EXAMPLE, today=TODAY))


def test_rows_without_a_used_field_are_named() -> None:
    """Rows that lack the UPN are named by line, once each, with the key that uses it."""
    rows = roster(
        "id,name,email,upn\n"
        "1,A,a@example.test,a@corp.test\n"
        "2,B,b@example.test,\n"
        "3,C,c@example.test,\n"
    )
    with pytest.raises(RosterError) as caught:
        check_roster(load_profile("standard-employee"), rows)
    found = [(problem.line, problem.field) for problem in caught.value.problems]
    assert found == [(3, "upn"), (4, "upn")]
    assert "piv.keys[0].certificate.upn uses it" in str(caught.value)


def test_column_that_is_not_there_is_named_once() -> None:
    """A field that no row has is one problem, not one a row."""
    used = profile(
        '[[fido2.credentials]]\nrp-id = "l.test"\nrp-name = "L"\n'
        'user-name = "{holder.extra.account}"\n'
    )
    rows = roster("id,name,email,Office\n1,A,a@example.test,x\n2,B,b@example.test,y\n")
    with pytest.raises(RosterError) as caught:
        check_roster(used, rows)
    (problem,) = caught.value.problems
    assert (problem.line, problem.field) == (0, "account")
    assert "fido2.credentials[0].user-name" in problem.message
    check_roster(used, roster("id,name,email,Account\n1,A,a@example.test,x\n"))


@pytest.mark.parametrize(("surname", "fits"), [("x" * 56, True), ("x" * 57, False)])
def test_common_name_must_fit(surname: str, fits: bool) -> None:
    """A subject made of several cells is measured as a whole."""
    used = profile(
        piv(
            'algorithm = "eccp256"\n[piv.keys.certificate]\n'
            'subject = "{holder.name} ({holder.id})"\nusages = ["client-auth"]\n'
        )
    )
    rows = roster(f"id,name,email\nE12,A {surname},a@example.test\n")
    if fits:
        check_roster(used, rows)
        return
    with pytest.raises(RosterError, match="line 2: .*certificate.subject comes to 65 characters"):
        check_roster(used, rows)


def test_user_name_must_fit_in_bytes() -> None:
    """What an authenticator would cut off is refused: the limit counts bytes, not characters."""
    used = profile('[[fido2.credentials]]\nrp-id = "l.test"\nrp-name = "L"\nuser-name = "x"\n')
    check_roster(used, roster(f"id,name,email\n1,{'ü' * 32},a@example.test\n"))
    with pytest.raises(RosterError, match="display-name comes to 66 bytes, 64 fit"):
        check_roster(used, roster(f"id,name,email\n1,{'ü' * 33},a@example.test\n"))
