"""OATH, OpenPGP and YubiHSM Auth in the language: what is refused, when, and for which roster."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import pytest

from tokenprov.errors import ProfileError, RosterError
from tokenprov.profile import TokenKind, check_firmware, check_roster, parse_profile
from tokenprov.profile.language import Profile
from tokenprov.roster import parse_roster

TODAY = date(2026, 1, 1)
ACCOUNT = '[[oath.accounts]]\nissuer = "VPN"\n'
KEY = '[[openpgp.keys]]\nslot = "{slot}"\nalgorithm = "{algorithm}"\n'
CREDENTIAL = '[[hsmauth.credentials]]\nlabel = "hsm"\nalgorithm = "aes128"\n'


def profile(section: str) -> Profile:
    """A profile of that section alone."""
    return parse_profile(f'name = "applications"\n{section}'.encode(), "applications.toml")


def key(slot: str, algorithm: str, *lines: str) -> str:
    """A key of [openpgp]."""
    return KEY.format(slot=slot, algorithm=algorithm) + "\n".join([*lines, ""])


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A section that is refused at a key, by words and with a remedy."""

    section: str
    key: str
    says: str
    remedy: str


REFUSED = (
    Case(
        section="[oath]\n",
        key="oath",
        says="sets nothing",
        remedy="password = { }",
    ),
    Case(
        section="[oath]\npassword = { length = 6 }\n",
        key="oath.password.length",
        says="a password of 6 characters",
        remedy="length = 16",
    ),
    Case(
        section=ACCOUNT + "digits = 7\n",
        key="oath.accounts[0].digits",
        says="codes of 7 digits",
        remedy="digits = 6",
    ),
    Case(
        section=ACCOUNT + "period = 0\n",
        key="oath.accounts[0].period",
        says="0 is not a period",
        remedy="period = 30",
    ),
    Case(
        section=ACCOUNT + "counter = 4\n",
        key="oath.accounts[0].counter",
        says="goes by the time",
        remedy='kind = "hotp"',
    ),
    Case(
        section=ACCOUNT + 'kind = "hotp"\nperiod = 60\n',
        key="oath.accounts[0].period",
        says="it has no period",
        remedy='kind = "totp"',
    ),
    Case(
        section=ACCOUNT + 'kind = "hotp"\ncounter = -1\n',
        key="oath.accounts[0].counter",
        says="-1 is not a counter",
        remedy="counter = 0",
    ),
    Case(
        section='[[oath.accounts]]\nissuer = "a:b"\n',
        key="oath.accounts[0].issuer",
        says="a colon ends the issuer",
        remedy="without one",
    ),
    Case(
        section=ACCOUNT + ACCOUNT,
        key="oath.accounts[1].name",
        says="those of oath.accounts[0]",
        remedy="different names",
    ),
    Case(
        section="[openpgp]\nuser-pin = { length = 5 }\n",
        key="openpgp.user-pin.length",
        says="a user PIN of 5 digits is weak",
        remedy="length = 8",
    ),
    Case(
        section="[openpgp]\nadmin-pin = { length = 7 }\n",
        key="openpgp.admin-pin.length",
        says="at least 8 digits",
        remedy="length = 8",
    ),
    Case(
        section="[openpgp]\nreset-code = { retries = 3 }\n",
        key="openpgp.reset-code.retries",
        says="too few to tell our PIN from the factory's",
        remedy="at least 4",
    ),
    Case(
        section="[openpgp]\nuser-pin = { retries = 11 }\n",
        key="openpgp.user-pin.retries",
        says="11 tries are more than",
        remedy="at most 10",
    ),
    Case(
        section='[openpgp]\nlanguage = "english"\n',
        key="openpgp.language",
        says="one to four languages of two letters",
        remedy='"deen"',
    ),
    Case(
        section='[openpgp]\nname = "Weiß<<Jürgen"\n',
        key="openpgp.name",
        says="is not ASCII",
        remedy="another text",
    ),
    Case(
        section=f'[openpgp]\nname = "{"x" * 40}"\n',
        key="openpgp.name",
        says="has 40 characters, 39 fit",
        remedy="another text",
    ),
    Case(
        section=f'[openpgp]\nurl = "https://{"x" * 250}"\n',
        key="openpgp.url",
        says="258 bytes, 254 fit",
        remedy="another text",
    ),
    Case(
        section=key("dec", "ed25519"),
        key="openpgp.keys[0].algorithm",
        says="ed25519 signs",
        remedy='"x25519"',
    ),
    Case(
        section=key("aut", "x25519"),
        key="openpgp.keys[0].algorithm",
        says="x25519 decrypts",
        remedy='"ed25519"',
    ),
    Case(
        section=key("sig", "rsa2048") + key("sig", "rsa4096"),
        key="openpgp.keys[1].slot",
        says="that of openpgp.keys[0]",
        remedy="Delete one",
    ),
    Case(
        section="[hsmauth]\nmanagement-key = false\n",
        key="hsmauth",
        says="sets nothing",
        remedy="management-key = true",
    ),
    Case(
        section=CREDENTIAL + CREDENTIAL,
        key="hsmauth.credentials[1].label",
        says="'hsm' is that of hsmauth.credentials[0]",
        remedy="another label",
    ),
    Case(
        section=CREDENTIAL + "password = { length = 17 }\n",
        key="hsmauth.credentials[0].password.length",
        says="8 to 16 characters, not 17",
        remedy="length = 16",
    ),
    Case(
        section=CREDENTIAL.replace('"hsm"', f'"{"ü" * 33}"'),
        key="hsmauth.credentials[0].label",
        says="at most 64 bytes",
        remedy="shorter",
    ),
)


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: f"{case.key}: {case.says}")
def test_refused_at_load(case: Case) -> None:
    """What no token can take is refused with its key, the reason and what to write instead."""
    with pytest.raises(ProfileError) as caught:
        profile(case.section)
    (problem,) = caught.value.problems
    assert problem.field == case.key
    assert case.says in problem.message
    assert case.remedy in problem.remedy


MANY = "".join(f'[[oath.accounts]]\nissuer = "S{n}"\n' for n in range(40))


@dataclass(frozen=True, slots=True, kw_only=True)
class Limited:
    """A section that a firmware cannot take, and the first one that can."""

    section: str
    too_old: tuple[int, int, int]
    enough: tuple[int, int, int]
    key: str
    says: str


LIMITED = (
    Limited(section=MANY, too_old=(5, 4, 3), enough=(5, 7, 0), key="oath.accounts", says="the 32"),
    Limited(
        section=ACCOUNT + "touch = true\n",
        too_old=(4, 2, 4),
        enough=(4, 3, 5),
        key="oath.accounts[0].touch",
        says="firmware 4.2",
    ),
    Limited(
        section=ACCOUNT + 'algorithm = "sha512"\n',
        too_old=(4, 2, 7),
        enough=(4, 3, 5),
        key="oath.accounts[0].algorithm",
        says="firmware 4.3",
    ),
    Limited(
        section=ACCOUNT + 'algorithm = "sha512"\n',
        too_old=(4, 4, 5),
        enough=(5, 0, 0),
        key="oath.accounts[0].algorithm",
        says="firmware 5.0",
    ),
    Limited(
        section=ACCOUNT + 'name = "a"\n' + ACCOUNT + 'name = "ab"\n',
        too_old=(4, 3, 4),
        enough=(4, 3, 5),
        key="oath.accounts[0].name",
        says="before 4.3.5",
    ),
    Limited(
        section=key("sig", "ed25519"),
        too_old=(4, 3, 7),
        enough=(5, 2, 0),
        key="openpgp.keys[0].algorithm",
        says="firmware 5.2",
    ),
    Limited(
        section=key("sig", "rsa2048"),
        too_old=(4, 3, 4),
        enough=(4, 3, 5),
        key="openpgp.keys[0].algorithm",
        says="YSA-2017-01",
    ),
    Limited(
        section=key("sig", "rsa2048", 'touch-policy = "cached"'),
        too_old=(5, 2, 0),
        enough=(5, 2, 1),
        key="openpgp.keys[0].touch-policy",
        says="firmware 5.2",
    ),
    Limited(
        section=key("sig", "rsa2048", 'attestation = "required"'),
        too_old=(4, 3, 7),
        enough=(5, 2, 0),
        key="openpgp.keys[0].attestation",
        says="firmware 5.2",
    ),
    Limited(
        section="[hsmauth]\n", too_old=(5, 4, 2), enough=(5, 4, 3), key="hsmauth", says="5.4.3"
    ),
    Limited(
        section=CREDENTIAL.replace("aes128", "eccp256"),
        too_old=(5, 4, 3),
        enough=(5, 6, 0),
        key="hsmauth.credentials[0].algorithm",
        says="firmware 5.6",
    ),
)


@pytest.mark.parametrize("case", LIMITED, ids=lambda case: f"{case.key} {case.too_old}")
def test_refused_for_the_firmware(case: Limited) -> None:
    """What a firmware lacks is named with the firmware that has it, and that one takes it."""
    made = profile(case.section)
    with pytest.raises(ProfileError) as caught:
        check_firmware(made, case.too_old)
    assert [problem.field for problem in caught.value.problems] == [case.key]
    assert case.says in caught.value.problems[0].message
    check_firmware(made, case.enough)


def test_an_attestation_that_need_not_be_is_left_out() -> None:
    """By default an old firmware attests nothing, and that is said."""
    (left_out,) = check_firmware(profile(key("sig", "rsa2048")), (4, 3, 7))
    assert left_out.startswith("openpgp.keys[0].attestation")


@pytest.mark.parametrize("section", [ACCOUNT, key("sig", "rsa2048"), CREDENTIAL])
@pytest.mark.parametrize("kind", [TokenKind.SECURITY_KEY, TokenKind.PIV_CARD])
def test_other_tokens_have_no_such_applets(section: str, kind: TokenKind) -> None:
    """A Security Key and a PIV card of another maker are refused, with the table's name."""
    with pytest.raises(ProfileError, match="no such applet"):
        check_firmware(profile(section), (5, 7, 4), kind)


def test_the_fips_series_has_its_own_limits() -> None:
    """X25519 and a short PIN are refused on a FIPS 140-3 token, and on no other."""
    made = profile("[openpgp]\nuser-pin = { length = 6 }\n" + key("dec", "x25519"))
    check_firmware(made, (5, 7, 4))
    with pytest.raises(ProfileError) as caught:
        check_firmware(made, (5, 7, 4), fips=True)
    assert {problem.field for problem in caught.value.problems} == {
        "openpgp.user-pin.length",
        "openpgp.keys[0].algorithm",
    }


@pytest.mark.parametrize(
    ("section", "name", "says"),
    [
        (ACCOUNT.replace("VPN", "{holder.name}"), "A:B", "a colon ends the issuer"),
        (ACCOUNT + 'name = "{holder.name}"\n', "x" * 61, "65 bytes, 64 fit"),
        (ACCOUNT + 'period = 60\nname = "{holder.name}"\n', "x" * 58, "65 bytes, 64 fit"),
        ('[openpgp]\nname = "{holder.name}"\n', "Jürgen Weiß", "is not ASCII"),
        ('[openpgp]\nname = "{holder.name}"\n', "x" * 40, "39 fit"),
        ('[openpgp]\nurl = "https://x.test/{holder.name}"\n', "Jürgen", "is not ASCII"),
    ],
)
def test_a_roster_that_does_not_fit(section: str, name: str, says: str) -> None:
    """What a holder's row makes of a text must fit the token; a plain one does."""
    for who, fits in (("Ada", True), (name, False)):
        row = f"id,name,email,upn\n1,{who},a@x.test,a@x.test\n"
        roster = parse_roster(row.encode(), "roster.csv", today=TODAY)
        if fits:
            check_roster(profile(section), roster)
            continue
        with pytest.raises(RosterError, match=says):
            check_roster(profile(section), roster)
