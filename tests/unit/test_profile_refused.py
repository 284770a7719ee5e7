"""Profiles that are wrong: each refusal names line and key and says how to mend it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tokenprov.errors import ProfileError
from tokenprov.profile import parse_profile

GOOD = """name = "test"
description = "for tests"

[piv]
pin = { length = 8, retries = 8 }
puk = { length = 8, retries = 5 }
management-key = { algorithm = "auto" }

[[piv.keys]]
slot = "9a"
algorithm = "eccp256"
pin-policy = "once"

[piv.keys.certificate]
days = 365
subject = "{holder.name}"
upn = true
usages = ["client-auth"]

[otp.slot1]
kind = "yubico-otp"

[otp.slot2]
kind = "hmac-sha1"
touch = false

[fido2]
pin = { length = 8, force-change = "no" }

[[fido2.credentials]]
rp-id = "login.example.test"
rp-name = "Example"
user-name = "{holder.upn}"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A change that spoils the good profile, and what the refusal must say.

    The line is that of the text `new` in the result, or `line` where it is given.
    """

    name: str
    old: str = ""
    new: str = ""
    key: str
    says: str
    remedy: str
    line: int | None = None


def value(name: str, old: str, new: str, key: str, says: str, remedy: str) -> Case:
    """A case whose line is that of the new text."""
    return Case(name=name, old=old, new=new, key=key, says=says, remedy=remedy)


PIN = "pin = { length = 8, retries = 8 }"
KEYS = (
    value(
        "misspelt key",
        "pin-policy",
        "pin-polcy",
        "piv.keys[0].pin-polcy",
        "no key 'pin-polcy'",
        "Did you mean 'pin-policy'? The keys here are algorithm, attestation, certificate",
    ),
    value(
        "snake case",
        "pin-policy",
        "pin_policy",
        "piv.keys[0].pin_policy",
        "no key 'pin_policy'",
        "Did you mean 'pin-policy'?",
    ),
    value("misspelt table", "[fido2]", "[fido]", "fido", "no key 'fido'", "'fido2'"),
    value(
        "misspelt in an inline table",
        PIN,
        "pin = { lenght = 8 }",
        "piv.pin.lenght",
        "no key 'lenght'",
        "'length'",
    ),
    value(
        "misspelt in a slot",
        "touch = false",
        "tuch = false",
        "otp.slot2.tuch",
        "no key 'tuch'",
        "Did you mean 'touch'? The keys here are access-code, kind, replace-factory, touch.",
    ),
    value(
        "a key of the other kind",
        'kind = "yubico-otp"',
        'kind = "yubico-otp"\ntouch = true',
        "otp.slot1.touch",
        "no key 'touch'",
        "The keys here are access-code, append-enter, delays, fast-trigger, kind, numeric-keypad,",
    ),
    Case(
        name="missing key",
        old='algorithm = "eccp256"\n',
        key="piv.keys[0].algorithm",
        line=9,
        says="'algorithm' is missing",
        remedy="Add algorithm =",
    ),
    Case(
        name="missing name",
        old='name = "test"\n',
        key="name",
        line=0,
        says="'name' is missing",
        remedy="Add name =",
    ),
    Case(
        name="missing kind",
        old='kind = "hmac-sha1"\n',
        key="otp.slot2",
        line=23,
        says="'kind' is missing",
        remedy='kind = "empty" or "hmac-sha1" or "hotp" or "static-password" or "yubico-otp"',
    ),
)
VALUES = (
    value(
        "number in quotes",
        "days = 365",
        'days = "365"',
        "piv.keys[0].certificate.days",
        "'365' is not a whole number",
        "without quotes",
    ),
    value(
        "true for a number",
        "days = 365",
        "days = true",
        "piv.keys[0].certificate.days",
        "True is not a whole number",
        "without quotes",
    ),
    value(
        "word for true",
        "touch = false",
        'touch = "no"',
        "otp.slot2.touch",
        "is not true or false",
        "Write true or false",
    ),
    value(
        "number for text",
        'rp-name = "Example"',
        "rp-name = 1",
        "fido2.credentials[0].rp-name",
        "1 is not text",
        "quotes",
    ),
    value(
        "text for an array",
        'usages = ["client-auth"]',
        'usages = "client-auth"',
        "piv.keys[0].certificate.usages",
        "is not an array",
        "[ … ]",
    ),
    value("text for a table", PIN, 'pin = "8"', "piv.pin", "is not a table", "{ … }"),
    value(
        "near algorithm",
        '"eccp256"',
        '"p256"',
        "piv.keys[0].algorithm",
        "'p256' is not a value",
        "Did you mean 'eccp256'?",
    ),
    value(
        "unknown kind",
        '"hmac-sha1"',
        '"hmac-sha256"',
        "otp.slot2",
        "'hmac-sha256' is not a value",
        "Did you mean 'hmac-sha1'?",
    ),
    value(
        "unknown policy",
        '"once"',
        '"sometimes"',
        "piv.keys[0].pin-policy",
        "'sometimes' is not a value",
        '"default", "never", "once", "always"',
    ),
    value(
        "unknown alphabet",
        'force-change = "no"',
        'alphabet = "letters"',
        "fido2.pin.alphabet",
        "'letters' is not a value",
        '"digits"',
    ),
    value("name", 'name = "test"', 'name = "My profile"', "name", "not a name", "lower-case"),
)
POLICY = (
    value(
        "weak PIV PIN",
        PIN,
        "pin = { length = 4, retries = 8 }",
        "piv.pin.length",
        "4 digits is weak: policy asks for 6 or more (FIPS 201-3 4.3.1)",
        "length = 8",
    ),
    value(
        "weak FIDO PIN",
        "pin = { length = 8, force",
        "pin = { length = 4, force",
        "fido2.pin.length",
        "4 digits is weak",
        "length = 8",
    ),
    value(
        "long PIV PIN",
        PIN,
        "pin = { length = 9, retries = 8 }",
        "piv.pin.length",
        "at most 8 characters (SP 800-73-4",
        "at most 8",
    ),
    value(
        "long FIDO PIN",
        "pin = { length = 8, force",
        "pin = { length = 64, force",
        "fido2.pin.length",
        "at most 63",
        "at most 63",
    ),
    value(
        "short PUK",
        "puk = { length = 8",
        "puk = { length = 5",
        "piv.puk.length",
        "PUK of 5 digits is weak",
        "length = 8",
    ),
    value(
        "many tries",
        PIN,
        "pin = { length = 8, retries = 11 }",
        "piv.pin.retries",
        "11 tries are more than the 10",
        "at most 10",
    ),
    value(
        "few tries",
        "retries = 5",
        "retries = 2",
        "piv.puk.retries",
        "the last two are never spent",
        "at least 3",
    ),
    value(
        "no tries", "retries = 5", "retries = 0", "piv.puk.retries", "a token can count", "3 to 10"
    ),
    value(
        "weak key",
        '"eccp256"',
        '"rsa1024"',
        "piv.keys[0].algorithm",
        "1024 bits is weak",
        '"rsa2048" or "eccp256"',
    ),
    value(
        "no days",
        "days = 365",
        "days = 0",
        "piv.keys[0].certificate.days",
        "0 days are not a term",
        "365",
    ),
    value(
        "no usage",
        'usages = ["client-auth"]',
        "usages = []",
        "piv.keys[0].certificate.usages",
        "good for everything",
        'usages = ["client-auth"]',
    ),
    value(
        "usage twice",
        '["client-auth"]',
        '["client-auth", "client-auth"]',
        "piv.keys[0].certificate.usages",
        "'client-auth' stands twice",
        "Delete one",
    ),
)
IMPOSSIBLE = (
    value("no such slot", '"9a"', '"9b"', "piv.keys[0].slot", "no PIV slot '9b'", "82 to 95"),
    value("upper case slot", '"9a"', '"9A"', "piv.keys[0].slot", "'9A'", 'lower case: "9a"'),
    value("attestation slot", '"9a"', '"f9"', "piv.keys[0].slot", "'f9'", "stays as it is"),
    value(
        "two keys in one slot",
        "[piv.keys.certificate]",
        '[[piv.keys]]\nslot = "9a"\nalgorithm = "rsa2048"\n[piv.keys.certificate]',
        "piv.keys[1].slot",
        "slot 9a holds the key of piv.keys[0]",
        "another slot",
    ),
    Case(
        name="x25519 that logs in",
        old='"eccp256"',
        new='"x25519"',
        key="piv.keys[0].certificate",
        line=14,
        says="cannot sign",
        remedy="Take the certificate out",
    ),
    Case(
        name="logon without UPN",
        old='upn = true\nusages = ["client-auth"]',
        new='upn = false\nusages = ["smartcard-logon"]',
        key="piv.keys[0].certificate.upn",
        line=17,
        says="by the UPN, which is left out",
        remedy="upn = true",
    ),
    value(
        "factory credential in slot 2",
        "touch = false",
        "replace-factory = true",
        "otp.slot2.replace-factory",
        "slot 2 leaves the factory empty",
        "slot 1",
    ),
    value(
        "url for a relying party",
        '"login.example.test"',
        '"https://login.example.test/"',
        "fido2.credentials[0].rp-id",
        "not a relying party id",
        "bare domain",
    ),
    Case(
        name="relying party twice",
        old='user-name = "{holder.upn}"\n',
        new='user-name = "{holder.upn}"\n[[fido2.credentials]]\nrp-id = "login.example.test"\n'
        'rp-name = "Again"\nuser-name = "x"\n',
        key="fido2.credentials[1].rp-id",
        line=35,
        says="fido2.credentials[0] already, which this one would overwrite",
        remedy="Delete one",
    ),
    value(
        "unknown field",
        '"{holder.name}"',
        '"{holder.nmae}"',
        "piv.keys[0].certificate.subject",
        "no field {holder.nmae}",
        "Did you mean {holder.name}? There are {holder.id}, {holder.name}",
    ),
    value(
        "field without holder",
        '"{holder.name}"',
        '"{upn}"',
        "piv.keys[0].certificate.subject",
        "no field {upn}",
        "Did you mean {holder.upn}?",
    ),
    value(
        "open brace",
        '"{holder.name}"',
        '"{holder.name"',
        "piv.keys[0].certificate.subject",
        "does not belong to a pair",
        "{{",
    ),
    value(
        "empty text",
        '"{holder.name}"',
        '" "',
        "piv.keys[0].certificate.subject",
        "empty",
        "Write one",
    ),
    value(
        "escape sequence",
        'rp-name = "Example"',
        'rp-name = "\\u001b[2J"',
        "fido2.credentials[0].rp-name",
        r"'\x1b[2J' holds a line break or a character that is not visible",
        "one line of visible characters",
    ),
)


@pytest.mark.parametrize("case", KEYS + VALUES + POLICY + IMPOSSIBLE, ids=lambda case: case.name)
def test_refused_with_line_key_and_remedy(case: Case) -> None:
    """The refusal has the line and key at fault, says what is wrong and how to mend it."""
    assert GOOD.count(case.old) >= 1
    text = GOOD.replace(case.old, case.new, 1)
    line = case.line
    if line is None:
        line = text.count("\n", 0, text.index(case.new) + len(case.new)) + 1
        if case.key.endswith(".slot"):
            line = text.count("\n", 0, text.rindex("slot =")) + 1
        elif case.key == "otp.slot2":
            line -= 1  # what is wrong is the table, whose kind stands on the next line
    with pytest.raises(ProfileError) as caught:
        parse_profile(text.encode(), "my.toml")
    found = [problem for problem in caught.value.problems if problem.field == case.key]
    assert found, caught.value
    assert found[0].line == line
    assert case.says in found[0].message
    assert case.remedy in found[0].remedy
    assert case.remedy in str(caught.value)
    assert "my.toml" in str(caught.value)


def test_good_one_loads() -> None:
    """The profile that the cases spoil is itself in order."""
    assert parse_profile(GOOD.encode(), "my.toml").name == "test"


@pytest.mark.parametrize(
    ("algorithm", "refused"), [("ed25519", True), ("eccp384", False), ("rsa2048", False)]
)
def test_windows_logon_needs_an_algorithm_of_windows(algorithm: str, refused: bool) -> None:
    """smartcard-logon goes with RSA and NIST curves only."""
    text = GOOD.replace("eccp256", algorithm).replace('"client-auth"', '"smartcard-logon"')
    if not refused:
        parse_profile(text.encode(), "my.toml")
        return
    with pytest.raises(ProfileError, match="Windows logs on") as caught:
        parse_profile(text.encode(), "my.toml")
    (problem,) = caught.value.problems
    assert (problem.line, problem.field) == (11, "piv.keys[0].algorithm")


def test_every_problem_at_once() -> None:
    """A profile with several mistakes is refused with all of them, by line."""
    text = GOOD.replace("length = 8", "length = 4").replace("days = 365", "day = 1")
    with pytest.raises(ProfileError) as caught:
        parse_profile(text.encode(), "my.toml")
    assert [(problem.line, problem.field) for problem in caught.value.problems] == [
        (5, "piv.pin.length"),
        (6, "piv.puk.length"),
        (15, "piv.keys[0].certificate.day"),
        (28, "fido2.pin.length"),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """Bytes that are no profile at all."""

    name: str
    data: bytes
    where: str
    says: str


TEXTS = (
    Text(name="no quotes", data=b'name = "a"\ndescription = x\n', where="line 2", says="not TOML"),
    Text(name="twice", data=b'name = "a"\nname = "b"\n', where="line 2", says="overwrite"),
    Text(name="open table", data=b'name = "a"\n[piv\n', where="line 2", says="not TOML"),
    Text(name="cut short", data=b'name = "a"\nx = [\n', where="line 3", says="not TOML"),
    Text(name="latin-1", data=b'name = "a"\n# f\xfcr\n', where="line 2", says="0xfc is not UTF-8"),
    Text(name="crlf", data=b'name = "a"\r\n\r\nx\r\n', where="line 3", says="not TOML"),
    Text(name="huge", data=b"a = " + b"9" * 5000, where="my.toml", says="thousands of digits"),
    Text(name="deep", data=b"a = " + b"[" * 5000, where="my.toml", says="nest too deep"),
    Text(name="empty", data=b"", where="name", says="'name' is missing"),
    Text(name="sets nothing", data=b'name = "a"\n', where="my.toml", says="sets nothing"),
    Text(name="no slot", data=b'name = "a"\n[otp]\n', where="line 2, otp", says="neither slot"),
)


@pytest.mark.parametrize("case", TEXTS, ids=lambda case: case.name)
def test_not_a_profile(case: Text) -> None:
    """What is not TOML, not UTF-8 or sets nothing is refused where it is wrong."""
    with pytest.raises(ProfileError) as caught:
        parse_profile(case.data, "my.toml")
    assert case.where in str(caught.value)
    assert case.says in str(caught.value)
    assert caught.value.remedy
