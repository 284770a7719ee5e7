"""Profiles that extend another: what is laid over what, and errors that name the file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tokenprov.errors import ProfileError
from tokenprov.profile import Profile, load_profile, parse_profile
from tokenprov.profile.explain import sections_in
from tokenprov.profile.language import Profile as Language
from tokenprov.profile.otp import HotpSlot
from tokenprov.profile.paths import IDENTITIES, find, settings, without
from tokenprov.profile.section import Section

DESK = """name = "desk"
description = "for desks"

[piv]
pin = { length = 8, retries = 8 }

[[piv.keys]]
slot = "9a"
algorithm = "eccp256"
touch-policy = "cached"
[piv.keys.certificate]
days = 365
usages = ["client-auth"]

[[piv.keys]]
slot = "9e"
algorithm = "eccp256"

[otp.slot1]
kind = "yubico-otp"
replace-factory = true

[otp.slot2]
kind = "hmac-sha1"

[[fido2.credentials]]
rp-id = "login.example.test"
rp-name = "Login"
user-name = "{holder.id}"
"""


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with the profile that the tests extend."""
    (tmp_path / "desk.toml").write_text(DESK, encoding="utf-8")
    return tmp_path


def extend(folder: Path, text: str, extends: str = "desk", name: str = "mine") -> Profile:
    """A profile in that folder that extends another, loaded."""
    path = folder / f"{name}.toml"
    path.write_text(f'name = "{name}"\nextends = "{extends}"\n{text}', encoding="utf-8")
    return load_profile(path, [])


def test_tables_merge_and_values_are_replaced(desk: Path) -> None:
    """Keys of a table go over the other's one by one; an array of plain values goes whole."""
    made = extend(desk, "[piv]\npin = { retries = 5 }\n[otp.slot2]\ntouch = true\n")
    assert made.piv is not None
    assert (made.piv.pin.length, made.piv.pin.retries) == (8, 5)
    assert made.to_json()["otp"]["slot2"]["touch"] is True
    assert [key.slot for key in made.piv.keys] == ["9a", "9e"]
    assert made.name == "mine"
    assert made.description == ""


def test_items_merge_by_what_names_them(desk: Path) -> None:
    """A key in the same slot is changed in place, another is added after the others."""
    made = extend(
        desk,
        '[[piv.keys]]\nslot = "9c"\nalgorithm = "eccp384"\n'
        '[[piv.keys]]\nslot = "9a"\ntouch-policy = "always"\n[piv.keys.certificate]\ndays = 90\n'
        '[[fido2.credentials]]\nrp-id = "login.example.test"\nprotection = "required"\n',
    )
    assert made.piv is not None
    assert [key.slot for key in made.piv.keys] == ["9a", "9e", "9c"]
    first = made.piv.keys[0]
    assert (first.algorithm, first.touch_policy) == ("eccp256", "always")
    assert first.certificate is not None
    assert (first.certificate.days, first.certificate.usages) == (90, ("client-auth",))
    assert made.fido2 is not None
    assert [one.protection for one in made.fido2.credentials] == ["required"]


def test_another_kind_is_another_table(desk: Path) -> None:
    """A slot of another kind keeps nothing of the one before; nor does one that is emptied."""
    made = extend(desk, '[otp.slot1]\nkind = "hotp"\n[otp.slot2]\ndelete = true\n')
    assert made.otp is not None
    assert isinstance(made.otp.slot1, HotpSlot)
    assert not made.otp.slot1.replace_factory
    assert made.to_json()["otp"]["slot2"] == {"kind": "empty", "delete": True}


def test_without_leaves_out_first(desk: Path) -> None:
    """What is named is gone before the own values are laid over, so a list can be begun anew."""
    made = extend(
        desk,
        'without = ["otp", "piv.keys[9e]", "fido2.credentials"]\n'
        '[[fido2.credentials]]\nrp-id = "vpn.example.test"\nrp-name = "V"\nuser-name = "x"\n',
    )
    assert made.otp is None
    assert made.piv is not None
    assert [key.slot for key in made.piv.keys] == ["9a"]
    assert made.fido2 is not None
    assert [one.rp_id for one in made.fido2.credentials] == ["vpn.example.test"]


def test_the_digest_is_of_the_resolved_profile(desk: Path) -> None:
    """What extends another is the same profile as one that says all itself."""
    made = extend(desk, "[piv]\npin = { retries = 5 }\n")
    whole = DESK.replace("retries = 8", "retries = 5").replace('"desk"', '"mine"')
    whole = whole.replace('description = "for desks"\n', "")
    assert made.digest == parse_profile(whole.encode(), "whole.toml").digest
    before = made.digest
    (desk / "desk.toml").write_text(DESK.replace("days = 365", "days = 30"), encoding="utf-8")
    assert load_profile(desk / "mine.toml", []).digest != before


def test_chains_and_paths(desk: Path) -> None:
    """A profile that extends one that extends another has all three; a path counts from it."""
    (desk / "sub").mkdir()
    extend(desk, "[piv]\npin = { retries = 5 }\n", name="middle")
    made = extend(desk / "sub", "[piv]\npuk = { retries = 4 }\n", "../middle.toml", "last")
    assert made.piv is not None
    assert (made.piv.pin.retries, made.piv.puk.retries) == (5, 4)


def test_a_ready_profile_can_be_extended_from_anywhere(tmp_path: Path) -> None:
    """A name that is not beside it is a ready profile's, in a file and in bytes."""
    text = 'name = "mine"\nextends = "standard-employee"\nwithout = ["otp"]\n'
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
    made = load_profile(tmp_path / "mine.toml")
    assert made == parse_profile(text.encode(), "mine.toml")
    assert made.otp is None
    assert made.piv == load_profile("standard-employee").piv


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A profile that extends `desk` and is refused: where, and what is said."""

    name: str
    text: str
    where: str
    says: str
    extends: str = "desk"


CASES = (
    Case(
        name="own value",
        text="[piv]\npin = { retries = 11 }\n",
        where="mine.toml, line 4, piv.pin.retries",
        says="11 tries",
    ),
    Case(
        name="value of the other file",
        text='[[piv.keys]]\nslot = "9a"\n[piv.keys.certificate]\nupn = false\n'
        'usages = ["smartcard-logon"]\n',
        where="mine.toml, line 6, piv.keys[0].certificate.upn",
        says="by the UPN",
    ),
    Case(
        name="a rule that the other file's value breaks",
        text="[otp]\nswap = true\n",
        where="desk.toml, line 23, otp.slot2",
        says="swap moves",
    ),
    Case(
        name="new item that lacks a key",
        text='[[piv.keys]]\nslot = "9c"\n',
        where="mine.toml, line 3, piv.keys[2].algorithm",
        says="'algorithm' is missing",
    ),
    Case(
        name="nothing to leave out",
        text='without = ["otp.slot3", "piv.pin..length"]\n',
        where="mine.toml",
        says="line 3, without[0]: 'otp.slot3' is not set there",
    ),
    Case(
        name="no path",
        text='without = ["piv.pin..length"]\n',
        where="mine.toml, line 3, without[0]",
        says="is not a path",
    ),
    Case(
        name="not a list of paths",
        text='without = "otp"\n',
        where="mine.toml, line 3, without",
        says="is not an array of paths",
    ),
    Case(
        name="unknown name",
        text="",
        extends="dsk",
        where="mine.toml, line 2, extends",
        says="Did you mean 'desk'?",
    ),
    Case(
        name="unknown path",
        text="",
        extends="../desk.toml",
        where="mine.toml, line 2, extends",
        says="there is no file",
    ),
    Case(name="empty", text="", extends="", where="line 2, extends", says="names no profile"),
    Case(
        name="itself",
        text="",
        extends="mine",
        where="mine.toml, line 2, extends",
        says="it comes back to itself: mine extends mine",
    ),
    Case(
        name="misspelt key",
        text='extend = "desk"\n',
        where="mine.toml, line 3, extend",
        says="Did you mean 'extends'?",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_refused_where_it_stands(desk: Path, case: Case) -> None:
    """The refusal names the file in which the value stands, and its line and key."""
    with pytest.raises(ProfileError) as caught:
        extend(desk, case.text, case.extends)
    assert case.where in str(caught.value)
    assert case.says in str(caught.value)
    assert caught.value.remedy


def test_a_longer_circle_is_refused(desk: Path) -> None:
    """Three profiles that extend each other in a circle are told in their order."""
    for name, extends in (("a", "b"), ("b", "c"), ("c", "a")):
        (desk / f"{name}.toml").write_text(f'name = "{name}"\nextends = "{extends}"\n')
    with pytest.raises(ProfileError, match="a extends b extends c extends a"):
        load_profile(desk / "a.toml", [])


def test_leaving_out_of_nothing(desk: Path) -> None:
    """`without` belongs to `extends`."""
    with pytest.raises(ProfileError, match="line 2, without: it leaves out of nothing"):
        parse_profile(b'name = "a"\nwithout = ["otp"]\n[fido2]\n', "a.toml")


def test_a_fault_of_the_other_file_alone_is_its_own(desk: Path) -> None:
    """A profile that is no TOML is refused under its own name, whoever extends it."""
    (desk / "desk.toml").write_text("name = \n")
    with pytest.raises(ProfileError, match=r"desk\.toml, line 1, .*not TOML"):
        extend(desk, "")


def arrays(section: type[Section]) -> list[type[Section]]:
    """Every table of the language that stands in an array."""
    found: list[type[Section]] = []
    for field in section.model_fields.values():
        for inner in sections_in(field.annotation):
            found += ([inner] if "tuple" in str(field.annotation) else []) + arrays(inner)
    return found


def test_every_array_of_tables_has_what_names_its_items() -> None:
    """No table of an array lacks one of the keys by which two profiles' items are matched."""
    tables = arrays(Language)
    assert tables
    for table in tables:
        keys = {field.alias or name for name, field in table.model_fields.items()}
        assert keys & set(IDENTITIES), table


def test_every_setting_is_found_by_its_path() -> None:
    """Each path that is printed leads to its value, and is gone once it is left out."""
    document = load_profile("standard-employee").to_json()
    listed = dict(settings(document))
    assert listed["piv.keys[9a].touch-policy"] == "cached"
    assert listed["fido2.credentials[login.example.test].rp-name"] == "Example Login"
    for text in listed:
        place = find(document, text)
        assert place is not None, text
        assert text not in dict(settings(without(document, place)))
