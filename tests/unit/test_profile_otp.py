"""The OTP part of the language: what it refuses, with its key, and what it needs of a roster."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ykman.scancodes import KEYBOARD_LAYOUT
from yubikit.core.otp import modhex_decode, modhex_encode
from yubikit.yubiotp import NDEF_DATA_SIZE

from tokenprov.errors import ProfileError, RosterError
from tokenprov.profile import check_firmware, check_roster, parse_profile
from tokenprov.profile.keyboard import Layout, scan_codes, untypable
from tokenprov.profile.language import Profile
from tokenprov.profile.modhex import modhex, read_public_id, read_token_id
from tokenprov.profile.otp import EmptySlot
from tokenprov.roster import parse_roster

TODAY = date(2026, 1, 1)


def profile(section: str) -> Profile:
    """A profile of that section alone."""
    return parse_profile(f'name = "otp"\n{section}'.encode(), "otp.toml")


def slot(kind: str, *lines: str, number: int = 2) -> str:
    """A slot of that kind with further lines."""
    return "\n".join([f"[otp.slot{number}]", f'kind = "{kind}"', *lines, ""])


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A section that is refused at a key, by words and with a remedy."""

    name: str
    section: str
    key: str
    says: str
    remedy: str


CASES = (
    Case(
        name="a layout without the character",
        section=slot("static-password", 'layout = "de"', 'characters = "abcdefgh@~z"'),
        key="otp.slot2.characters",
        says="the keyboard layout de has no key for '@', '~'",
        remedy="choose the layout of the computers",
    ),
    Case(
        name="capitals that modhex has, letters that it has not",
        section=slot("static-password", 'characters = "cbdefghiA"'),
        key="otp.slot2.characters",
        says="the keyboard layout modhex has no key for 'A'",
        remedy="Take the character out",
    ),
    Case(
        name="a character twice",
        section=slot("static-password", 'layout = "us"', 'characters = "abcdefghijka"'),
        key="otp.slot2.characters",
        says="'a' stands twice",
        remedy="each character once",
    ),
    Case(
        name="a password too long for a slot",
        section=slot("static-password", "length = 39"),
        key="otp.slot2.length",
        says="from 1 to 38 characters, not 39",
        remedy="length = 20",
    ),
    Case(
        name="a password that can be guessed",
        section=slot("static-password", "length = 15"),
        key="otp.slot2.length",
        says="15 of these characters have 60 bits: policy asks for 64",
        remedy="length = 16 or more",
    ),
    Case(
        name="one character only",
        section=slot("static-password", 'characters = "c"'),
        key="otp.slot2.length",
        says="have 0 bits",
        remedy="or more characters",
    ),
    Case(
        name="a layout that nobody knows",
        section=slot("static-password", 'layout = "uss"'),
        key="otp.slot2.layout",
        says="'uss' is not a value",
        remedy="Did you mean 'us'?",
    ),
    Case(
        name="seven digits",
        section=slot("hotp", "digits = 7"),
        key="otp.slot2.digits",
        says="6 or 8 digits, not of 7",
        remedy="digits = 6",
    ),
    Case(
        name="a counter between steps",
        section=slot("hotp", "counter = 17"),
        key="otp.slot2.counter",
        says="a multiple of 16",
        remedy="counter = 0",
    ),
    Case(
        name="a counter beyond what is kept",
        section=slot("hotp", "counter = 1048576"),
        key="otp.slot2.counter",
        says="up to 1048560",
        remedy="counter = 0",
    ),
    Case(
        name="a negative counter",
        section=slot("hotp", "counter = -16"),
        key="otp.slot2.counter",
        says="not from -16",
        remedy="counter = 0",
    ),
    Case(
        name="a short token id",
        section=slot("hotp", 'token-id = "ubhe1234"'),
        key="otp.slot2.token-id",
        says="has 12 characters",
        remedy='token-id = "serial"',
    ),
    Case(
        name="letters after digits in a token id",
        section=slot("hotp", 'token-id = "01he12345678"'),
        key="otp.slot2.token-id",
        says="no modhex may come after digits",
        remedy='token-id = "serial"',
    ),
    Case(
        name="a token id of other letters",
        section=slot("hotp", 'token-id = "zz0112345678"'),
        key="otp.slot2.token-id",
        says="each part is modhex or digits",
        remedy='token-id = "serial"',
    ),
    Case(
        name="the serial as digits in a token id",
        section=slot("hotp", 'token-id = "ubhe{token.serial}"'),
        key="otp.slot2.token-id",
        says="neither the serial nor the day",
        remedy='token-id = "serial"',
    ),
    Case(
        name="a public id that is hexadecimal",
        section=slot("yubico-otp", 'public-id = "ff00"'),
        key="otp.slot2.public-id",
        says="'ff00' is not modhex",
        remedy='public-id = "serial"',
    ),
    Case(
        name="half a byte of public id",
        section=slot("yubico-otp", 'public-id = "vvc"'),
        key="otp.slot2.public-id",
        says="an even number",
        remedy='public-id = "serial"',
    ),
    Case(
        name="a public id beyond the field",
        section=slot("yubico-otp", f'public-id = "{"c" * 34}"'),
        key="otp.slot2.public-id",
        says="2 to 32 characters",
        remedy='public-id = "serial"',
    ),
    Case(
        name="a pacing that has no flag",
        section=slot("yubico-otp", "pacing = 10"),
        key="otp.slot2.pacing",
        says="10 is not a pacing",
        remedy="pacing = 20",
    ),
    Case(
        name="pacing for what types nothing",
        section=slot("hmac-sha1", "pacing = 20"),
        key="otp.slot2.pacing",
        says="no key 'pacing'",
        remedy="access-code, kind, replace-factory, touch",
    ),
    Case(
        name="a tab in no place",
        section=slot("yubico-otp", 'tabs = ["between"]'),
        key="otp.slot2.tabs[0]",
        says="'between' is not a value",
        remedy='"before", "after-id", "after-code"',
    ),
    Case(
        name="delete with a kind",
        section=slot("hotp", "delete = true"),
        key="otp.slot2.delete",
        says="no key 'delete'",
        remedy="access-code",
    ),
    Case(
        name="delete that is false",
        section="[otp.slot2]\ndelete = false\n",
        key="otp.slot2.delete",
        says="says nothing about the slot",
        remedy="Delete the table",
    ),
    Case(
        name="swap into a slot that is set",
        section="[otp]\nswap = true\n" + slot("hotp"),
        key="otp.slot2",
        says="swap moves the factory's credential to slot 2",
        remedy="delete swap",
    ),
    Case(
        name="swap and replace",
        section="[otp]\nswap = true\n" + slot("hotp", "replace-factory = true", number=1),
        key="otp.slot1.replace-factory",
        says="swap keeps the factory's credential",
        remedy="Delete replace-factory",
    ),
    Case(
        name="swap and delete",
        section="[otp]\nswap = true\n[otp.slot1]\ndelete = true\n",
        key="otp.slot1",
        says="swap leaves slot 1 empty",
        remedy="Delete [otp.slot1]",
    ),
    Case(
        name="NDEF of an empty slot",
        section='[otp.ndef]\nslot = 2\nuri = "https://example.test/"\n',
        key="otp.ndef.slot",
        says="slot 2 is empty",
        remedy="Write slot = 1",
    ),
    Case(
        name="NDEF of a slot that swap empties",
        section='[otp]\nswap = true\n[otp.ndef]\nuri = "https://example.test/"\n',
        key="otp.ndef.slot",
        says="slot 1 is empty",
        remedy="Write slot = 2",
    ),
    Case(
        name="NDEF of challenge-response",
        section=slot("hmac-sha1") + '[otp.ndef]\nslot = 2\ntext = "code "\n',
        key="otp.ndef.slot",
        says="slot 2 types nothing",
        remedy="Write slot = 1",
    ),
    Case(
        name="NDEF of a third slot",
        section='[otp.ndef]\nslot = 3\ntext = "code "\n',
        key="otp.ndef.slot",
        says="no OTP slot 3",
        remedy="1 or 2",
    ),
    Case(
        name="NDEF of both",
        section='[otp.ndef]\nuri = "tel:1"\ntext = "code "\n',
        key="otp.ndef",
        says="one of the two",
        remedy="uri =",
    ),
    Case(
        name="NDEF beyond the record",
        section=f'[otp.ndef]\nuri = "https://{"x" * 54}"\n',
        key="otp.ndef.uri",
        says="55 bytes, 54 fit",
        remedy="Shorten it",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_refused_at_its_key(case: Case) -> None:
    """The refusal names the key, says what is wrong and how to mend it, before any token."""
    with pytest.raises(ProfileError) as refused:
        profile(case.section)
    found = [problem for problem in refused.value.problems if problem.field == case.key]
    assert found, refused.value
    assert case.says in found[0].message
    assert case.remedy in found[0].remedy
    assert found[0].line > 0


@pytest.mark.parametrize(
    "section",
    [
        slot("static-password", "length = 38", 'layout = "de"', 'characters = "äöüß§+"'),
        slot("static-password", "length = 16"),
        slot("hotp", "counter = 1048560", "digits = 8", 'token-id = "none"'),
        slot("yubico-otp", 'public-id = "vvcccccccccc"', "pacing = 40"),
        f'[otp.ndef]\nuri = "https://{"x" * 53}"\n',
        f'[otp.ndef]\ntext = "{"x" * (NDEF_DATA_SIZE - 3)}"\n',
        "[otp]\nswap = true\n",
    ],
)
def test_taken_and_the_same_again(section: str) -> None:
    """What is right loads, and its resolved form is the same profile."""
    found = profile('description = "test"\n' + section)
    assert Profile.model_validate(found.to_json()) == found


def test_delete_stands_for_a_kind() -> None:
    """`delete = true` alone says that the slot is to be empty."""
    found = profile("[otp.slot1]\ndelete = true\n")
    assert found.otp is not None
    assert isinstance(found.otp.slot1, EmptySlot)


@pytest.mark.parametrize("layout", list(Layout))
def test_the_usual_characters_can_be_typed(layout: Layout) -> None:
    """What a password is drawn from by default has a key, each once, on every layout."""
    usual = layout.usual_characters
    assert untypable(usual, layout) == ""
    assert len(set(usual)) == len(usual) >= 16


@given(st.text(max_size=38), st.sampled_from(Layout))
def test_each_character_has_a_key_or_is_named(text: str, layout: Layout) -> None:
    """Any text is told apart by the maker's own table: all of it can be typed, or what cannot."""
    keys = KEYBOARD_LAYOUT[layout.name].value
    missing = untypable(text, layout)
    assert set(missing) == {one for one in text if one not in keys}
    if not missing:
        assert scan_codes(text, layout) == bytes(keys[one] for one in text)


@given(st.binary(min_size=1, max_size=16))
def test_modhex_is_the_makers(data: bytes) -> None:
    """Written as the maker's library does it, and read back to the same bytes."""
    assert modhex(data) == modhex_encode(data)
    assert read_public_id(modhex(data)) == data == modhex_decode(modhex(data))


@pytest.mark.parametrize(
    ("text", "data", "letters"),
    [
        ("010212345678", "010212345678", 0),
        ("ub0212345678", "e10212345678", 1),
        ("ubhe12345678", "e16312345678", 2),
        ("ubhecbdefghi", "e16301234567", 6),
    ],
)
def test_a_token_id_is_six_bytes(text: str, data: str, letters: int) -> None:
    """Letters are modhex, digits are themselves; how many bytes are letters is a flag."""
    found = read_token_id(text)
    assert (found.data.hex(), found.modhex_bytes) == (data, letters)


def test_an_identity_from_the_roster_is_checked_row_by_row() -> None:
    """A cell that is no public id, and one that is empty, are told with line and key."""
    section = slot("yubico-otp", 'public-id = "{holder.extra.otp_id}"')
    rows = ["id,name,email,otp id", "1,Ada,a@example.test,vvcc", "2,Bo,b@example.test,xyz"]
    text = "\n".join([*rows, "3,Cy,c@example.test,", ""])
    roster = parse_roster(text.encode(), "r.csv", today=TODAY)
    with pytest.raises(RosterError) as refused:
        check_roster(profile(section), roster)
    problems = {problem.line: problem.message for problem in refused.value.problems}
    assert set(problems) == {3, 4}
    assert "otp.slot2.public-id: 'xyz' is not modhex" in problems[3]
    assert "the cell is empty" in problems[4]


@pytest.mark.parametrize("given", ["{holder.extra.otp_id}", "vvccccccccdt"])
def test_two_holders_have_no_identity_in_common(given: str) -> None:
    """A server could not tell their tokens apart: the second one's line is named, and the first."""
    rows = ["id,name,email,otp id", *(f"{n},N{n},n{n}@example.test,vvcc" for n in (1, 2)), ""]
    section = slot("yubico-otp", f'public-id = "{given}"')
    two = parse_roster("\n".join(rows).encode(), "r.csv", today=TODAY)
    with pytest.raises(RosterError, match="is that of line 2 already") as refused:
        check_roster(profile(section), two)
    assert [problem.line for problem in refused.value.problems] == [3]
    one = parse_roster("\n".join(rows[:2]).encode(), "r.csv", today=TODAY)
    check_roster(profile(section), one)


def test_ndef_is_for_firmware_5() -> None:
    """A YubiKey 4 has no NFC; all else of [otp] it can do."""
    everything = slot("static-password") + slot("hotp", "replace-factory = true", number=1)
    assert check_firmware(profile(everything), (4, 3, 2)) == []
    ndef = profile(everything + '[otp.ndef]\nuri = "https://example.test/"\n')
    assert check_firmware(ndef, (5, 0, 0)) == []
    with pytest.raises(ProfileError, match=r"otp\.ndef: NDEF over NFC needs firmware 5\.0"):
        check_firmware(ndef, (4, 3, 7))
