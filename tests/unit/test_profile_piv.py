"""The PIV part of the profile language: its refusals, the firmware it needs, and the roster."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import pytest

from tokenprov.errors import ProfileError, RosterError
from tokenprov.profile import Profile, check_firmware, check_roster, parse_profile
from tokenprov.roster import parse_roster

TODAY = date(2026, 11, 24)
KEY = '[[piv.keys]]\nslot = "{slot}"\nalgorithm = "{algorithm}"\n{more}\n'
CERTIFICATE = '[piv.keys.certificate]\nusages = ["{usages}"]\n{more}\n'


def key(slot: str = "9d", algorithm: str = "eccp256", more: str = "") -> str:
    """A table for a key."""
    return KEY.format(slot=slot, algorithm=algorithm, more=more)


def certificate(usages: str = "email-protection", more: str = "") -> str:
    """A table for its certificate."""
    return CERTIFICATE.format(usages=usages, more=more)


def profile(text: str) -> Profile:
    """A profile of these lines."""
    return parse_profile(f'name = "test"\n{text}'.encode(), "test.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A profile that is refused at one key."""

    name: str
    text: str
    at: str
    says: str
    remedy: str


ESCROWED = 'origin = "escrowed"'
LOGON = 'client-auth", "smartcard-logon'
CASES = (
    Case(
        name="published PIN of no card",
        text='[piv.pin]\npublished = "12345"\n',
        at="piv.pin.published",
        says="no value of 5 characters",
        remedy="6 to 8 characters",
    ),
    Case(
        name="published PUK of no card",
        text='[piv.puk]\npublished = "123456"\n',
        at="piv.puk.published",
        says="no value of 6 characters",
        remedy="8 characters",
    ),
    Case(
        name="signing key in escrow",
        text=key("9c", more=ESCROWED),
        at="piv.keys[0].origin",
        says="the key in 9c signs",
        remedy='origin = "generated"',
    ),
    Case(
        name="escrowed key that only signs",
        text=key(algorithm="ed25519", more=ESCROWED),
        at="piv.keys[0].algorithm",
        says="cannot decrypt",
        remedy='"eccp256"',
    ),
    Case(
        name="attested import",
        text=key(more=f'{ESCROWED}\nattestation = "required"'),
        at="piv.keys[0].attestation",
        says="attests no key that was imported",
        remedy="Take it out",
    ),
    Case(
        name="escrowed key that logs in",
        text=key(more=ESCROWED) + certificate("client-auth"),
        at="piv.keys[0].certificate.usages",
        says="must not log in",
        remedy='["email-protection"]',
    ),
    Case(
        name="encryption key that logs in",
        text=key() + certificate('email-protection", "client-auth'),
        at="piv.keys[0].certificate.usages",
        says="mail is encrypted to the key in 9d",
        remedy="a key in 9a",
    ),
    Case(
        name="encryption by ed25519",
        text=key("82", "ed25519") + certificate(),
        at="piv.keys[0].algorithm",
        says="cannot decrypt",
        remedy='"eccp256"',
    ),
    Case(
        name="mail without an address",
        text=key() + certificate(more="email = false"),
        at="piv.keys[0].certificate.email",
        says="is for a mail address",
        remedy="email = true",
    ),
    Case(
        name="policy in words",
        text=key("9a") + certificate("client-auth", 'policies = ["1.02.3"]'),
        at="piv.keys[0].certificate.policies",
        says="no object identifier",
        remedy="numbers and dots",
    ),
    Case(
        name="a key for doors that logs in",
        text=key("9e") + certificate('card-auth", "client-auth'),
        at="piv.keys[0].certificate.usages",
        says="stands alone",
        remedy="another slot",
    ),
    Case(
        name="a key for doors that wants a PIN",
        text=key("9a") + certificate("card-auth"),
        at="piv.keys[0].certificate.usages",
        says="card-auth is for the key in 9e",
        remedy='slot = "9e"',
    ),
    Case(
        name="a card's names without its CHUID",
        text="[piv]\nchuid = false\n"
        + key("9a")
        + certificate("client-auth", 'card-names = "uuid"'),
        at="piv.keys[0].certificate.card-names",
        says="by its CHUID, which is left out",
        remedy="chuid = true",
    ),
    Case(
        name="an issuer that none is",
        text=key("9a") + certificate("client-auth", 'issuer = "pigeon:x"'),
        at="piv.keys[0].certificate.issuer",
        says="no authority is reached by",
        remedy="local:…",
    ),
    Case(
        name="gap among retired keys",
        text=key("82") + certificate() + key("84") + certificate(),
        at="piv.keys[1].slot",
        says="in 82 to 83, not in 84",
        remedy="without a gap",
    ),
    Case(
        name="key history elsewhere",
        text='[piv]\nkey-history-url = "ftp://x.test/y"\n',
        at="piv.key-history-url",
        says="is no URL",
        remedy="http://",
    ),
    Case(
        name="two contents of one object",
        text="[piv]\nmanagement-key = { pin-protected = true }\n[piv.printed-information]\n",
        at="piv.printed-information",
        says="same object (5fc109)",
        remedy="pin-protected = false",
    ),
    Case(
        name="Windows logon without CHUID",
        text="[piv]\nchuid = false\n" + key("9a") + certificate(LOGON, "upn = true"),
        at="piv.chuid",
        says="lacks a CHUID",
        remedy="chuid = true",
    ),
    Case(
        name="Windows logon without CCC",
        text="[piv]\nccc = false\n" + key("9a") + certificate(LOGON, "upn = true"),
        at="piv.ccc",
        says="lacks a CCC",
        remedy="ccc = true",
    ),
    Case(
        name="long issuer",
        text='[piv.printed-information]\nissuer = "Example Corporation"\n',
        at="piv.printed-information.issuer",
        says="too long",
        remedy="at most 15 bytes",
    ),
    Case(
        name="no days",
        text="[piv.printed-information]\ndays = 0\n",
        at="piv.printed-information.days",
        says="not a term",
        remedy="1095",
    ),
    *(
        Case(
            name=f"object {value}",
            text=f'[[piv.objects]]\nid = "{value}"\ntext = "x"\n',
            at="piv.objects[0].id",
            says="is no object for text",
            remedy=remedy,
        )
        for value, remedy in (
            ("5FC122", "six digits or letters from a to f"),
            ("5fc103", "Fingerprints are never put on a token here"),
            ("5fc108", "A facial image"),
            ("5fc102", "chuid = true"),
            ("5fc109", "[piv.printed-information]"),
            ("5fc10c", "written by itself"),
            ("5fc10d", "[piv.keys.certificate]"),
            ("5fff00", "the maker's"),
            ("00007e", '"5f0000"'),
        )
    ),
    Case(
        name="object read with the PIN",
        text='[[piv.objects]]\nid = "5fc122"\ntext = "x"\nread = "pin"\n',
        at="piv.objects[0].read",
        says="everybody who holds the token can read 5fc122",
        remedy="[piv.printed-information]",
    ),
    Case(
        name="object twice",
        text='[[piv.objects]]\nid = "5fc122"\ntext = "x"\n' * 2,
        at="piv.objects[1].id",
        says="object 5fc122 holds the text of piv.objects[0]",
        remedy="another object",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_refused_at_its_key_with_a_remedy(case: Case) -> None:
    """The refusal names the key, says what is wrong and how to mend it."""
    with pytest.raises(ProfileError) as caught:
        profile(case.text)
    (problem,) = caught.value.problems
    assert problem.field == case.at
    assert problem.line
    assert case.says in problem.message
    assert case.remedy in problem.remedy


def test_what_is_good_is_taken() -> None:
    """An encryption key with its past, a key for Windows, and objects, in one profile."""
    taken = profile(
        '[piv]\nkey-history-url = "http://keys.example.test/0"\n'
        "management-key = { touch = true, pin-protected = true }\n"
        + key("9a")
        + certificate(LOGON, 'upn = true\nsid = "required"')
        + key(more=ESCROWED)
        + certificate(more="compress = true")
        + key("83")
        + certificate()
        + key("82", more=ESCROWED)
        + certificate()
        + key("95", "x25519")
        + '[[piv.objects]]\nid = "5fc122"\ntext = "{holder.id}"\nread = "always"\n'
    )
    assert taken.piv is not None
    assert [one.encrypts for one in taken.piv.keys] == [False, True, True, True, False]
    assert check_firmware(taken, (5, 7, 4)) == []


@pytest.mark.parametrize(
    ("text", "field", "below", "since"),
    [
        (
            "[piv]\nmanagement-key = { touch = true }\n",
            "piv.management-key.touch",
            (3, 5, 0),
            (4, 0, 0),
        ),
        (
            key("9a", more='pin-policy = "match-once"'),
            "piv.keys[0].pin-policy",
            (5, 4, 3),
            (5, 6, 0),
        ),
    ],
)
def test_firmware_that_cannot(
    text: str, field: str, below: tuple[int, int, int], since: tuple[int, int, int]
) -> None:
    """Below its firmware a setting is refused by key and version; from it on it passes."""
    checked = profile(text.replace("[[piv.keys]]", '[[piv.keys]]\nattestation = "if-supported"'))
    with pytest.raises(ProfileError) as caught:
        check_firmware(checked, below)
    (problem,) = caught.value.problems
    assert problem.field == field
    assert "needs firmware" in problem.message
    check_firmware(checked, since)


def test_a_fips_token_has_no_key_without_a_pin_by_default() -> None:
    """9e, whose default policy is never, is refused unless the profile says another."""
    with pytest.raises(ProfileError) as caught:
        check_firmware(profile(key("9e")), (5, 7, 4), fips=True)
    (problem,) = caught.value.problems
    assert problem.field == "piv.keys[0].pin-policy"
    assert "9e" in problem.message
    assert (
        check_firmware(profile(key("9e", more='pin-policy = "once"')), (5, 7, 4), fips=True) == []
    )
    assert check_firmware(profile(key("9d")), (5, 7, 4), fips=True) == []


SID = "S-1-5-21-1-2-3-1105"


@pytest.mark.parametrize(
    ("setting", "cell", "found"),
    [
        ("if-present", SID, []),
        ("if-present", "", []),
        ("if-present", "1105", [(2, "")]),
        ("required", SID, []),
        ("required", "", [(2, "sid")]),
        ("required", "S-1-5-21-x", [(2, "")]),
        ("no", "1105", []),
    ],
)
def test_accounts_of_the_roster(setting: str, cell: str, found: list[tuple[int, str]]) -> None:
    """A wrong identifier is refused by its line, a missing one where the profile wants it."""
    rows = parse_roster(
        f"id,name,email,SID\n1,A,a@example.test,{cell}\n2,B,b@example.test,{SID}9\n".encode(),
        "staff.csv",
        today=TODAY,
    )
    checked = profile(key("9a") + certificate("client-auth", f'sid = "{setting}"'))
    if not found:
        check_roster(checked, rows)
        return
    with pytest.raises(RosterError) as caught:
        check_roster(checked, rows)
    assert [(problem.line, problem.field) for problem in caught.value.problems] == found


def test_texts_that_do_not_fit_are_found_in_the_roster() -> None:
    """Printed information and objects are measured for every holder before a token is touched."""
    checked = profile(
        '[piv.printed-information]\naffiliation = "{holder.extra.affiliation}"\n'
        '[[piv.objects]]\nid = "5fc122"\ntext = "{holder.extra.note}"\n'
    )
    header = "id,name,email,affiliation,note\n"
    check_roster(
        checked,
        parse_roster(f"{header}1,A,a@example.test,staff,n\n".encode(), "s.csv", today=TODAY),
    )
    rows = parse_roster(
        f"{header}1,A,a@example.test,{'ä' * 11},{'n' * 3053}\n".encode(), "s.csv", today=TODAY
    )
    with pytest.raises(RosterError) as caught:
        check_roster(checked, rows)
    text = str(caught.value)
    assert "piv.printed-information.affiliation comes to 22 bytes, 20 fit" in text
    assert "piv.objects[0].text comes to 3053 bytes, 3052 fit" in text
