"""The profile language: the ready profile, defaults, digests, names, lines and templates."""

from __future__ import annotations

import hashlib
import re
import tomllib
from pathlib import Path

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tokenprov.errors import ProfileError
from tokenprov.model import Holder
from tokenprov.profile import (
    HmacSha1Slot,
    Profile,
    Template,
    YubicoOtpSlot,
    find_profile,
    load_profile,
    parse_profile,
    ready_folders,
)
from tokenprov.profile.explain import sections_in
from tokenprov.profile.faults import Faults
from tokenprov.profile.lines import KeyLines
from tokenprov.profile.piv import PivPin
from tokenprov.profile.section import Section

PROFILES = Path(__file__).parents[2] / "profiles"
HOLDER = Holder(
    id="E1",
    name="Zoë {M}",
    email="zoe@example.test",
    upn="zoe@corp.test",
    extra={"department": "IT"},
)


def test_standard_employee_is_what_the_demo_makes() -> None:
    """The ready profile has the settings that the README promises."""
    profile = load_profile("standard-employee")
    assert profile.piv is not None
    assert (profile.piv.pin.length, profile.piv.pin.retries) == (8, 8)
    assert (profile.piv.puk.length, profile.piv.puk.retries) == (8, 5)
    assert profile.piv.management_key.algorithm == "auto"
    assert profile.piv.chuid
    assert profile.piv.ccc
    (key,) = profile.piv.keys
    assert (key.slot, key.algorithm, key.pin_policy, key.touch_policy, key.attestation) == (
        "9a",
        "eccp256",
        "once",
        "cached",
        "required",
    )
    assert key.certificate is not None
    assert key.certificate.usages == ("client-auth", "smartcard-logon")
    assert key.certificate.upn
    assert key.certificate.email
    assert key.certificate.subject.render(HOLDER) == HOLDER.name
    assert profile.otp is not None
    assert isinstance(profile.otp.slot1, YubicoOtpSlot)
    assert profile.otp.slot1.replace_factory
    assert profile.otp.slot1.append_enter
    assert isinstance(profile.otp.slot2, HmacSha1Slot)
    assert not profile.otp.slot2.touch
    assert profile.fido2 is not None
    assert profile.fido2.pin.force_change == "if-supported"
    (credential,) = profile.fido2.credentials
    assert credential.user_name.render(HOLDER) == HOLDER.upn


@pytest.mark.parametrize("path", sorted(PROFILES.glob("*.toml")), ids=lambda path: path.stem)
def test_ready_profiles_load_under_their_names(path: Path) -> None:
    """Every ready profile loads, is named as its file, and says who it is for."""
    profile = load_profile(path)
    assert profile.name == path.stem
    assert profile.description
    assert path.read_text(encoding="utf-8").startswith("# For ")


def test_digest_is_of_what_is_set() -> None:
    """Comments, order and written-out defaults do not change the digest; a setting does."""
    one = parse_profile(b'name = "a"\n[otp.slot2]\nkind = "hmac-sha1"\n', "a")
    two = parse_profile(
        b'# why\nname = "a"\notp.slot2 = { touch = false, kind = "hmac-sha1" } # \n', "b"
    )
    three = parse_profile(b'name = "a"\n[otp.slot2]\nkind = "hmac-sha1"\ntouch = true\n', "a")
    assert one.digest == two.digest != three.digest
    assert one.digest == hashlib.sha256(rfc8785.dumps(one.to_json())).hexdigest()
    assert one.to_json() == {
        "name": "a",
        "description": "",
        "otp": {
            "swap": False,
            "slot2": {
                "kind": "hmac-sha1",
                "access-code": True,
                "replace-factory": False,
                "touch": False,
            },
        },
    }


def test_resolved_profile_reads_back() -> None:
    """What `to_json` writes is a profile again, with the same digest."""
    profile = load_profile("standard-employee")
    again = type(profile).model_validate(profile.to_json(), by_alias=True, by_name=False)
    assert again == profile
    assert again.digest == profile.digest


def test_profile_is_frozen_and_checked_in_python_too() -> None:
    """A profile cannot be changed, and its rules hold for what is built without a file."""
    profile = load_profile("standard-employee")
    with pytest.raises(ValidationError, match="frozen"):
        profile.name = "other"
    with pytest.raises(ValidationError, match="weak"):
        PivPin(length=4)


def test_bom_and_crlf() -> None:
    """A profile saved by an editor for Windows is the same profile."""
    path = PROFILES / "standard-employee.toml"
    text = path.read_text(encoding="utf-8")
    saved = b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()
    assert parse_profile(saved, "saved") == load_profile(path)


def test_found_by_name_or_path(tmp_path: Path) -> None:
    """A bare name is looked up in the folders in their order, a path is opened as it is."""
    first, second = tmp_path / "1", tmp_path / "2"
    for folder in (first, second):
        folder.mkdir()
        (folder / "desk.toml").write_text('name = "desk"\n[fido2]\n')
    assert find_profile("desk", [first, second]) == first / "desk.toml"
    assert load_profile("desk", [second]) == load_profile(second / "desk.toml")
    assert load_profile(str(first / "desk.toml"), []).name == "desk"
    assert PROFILES in ready_folders()


def test_unknown_name_lists_those_there_are(tmp_path: Path) -> None:
    """A misspelt name is answered with the near one and the list."""
    with pytest.raises(ProfileError, match="Did you mean 'standard-employee'\\?"):
        load_profile("standard-employe")
    with pytest.raises(ProfileError, match="No ready profiles"):
        load_profile("desk", [tmp_path])
    with pytest.raises(ProfileError, match=r"gone\.toml.*No such file"):
        load_profile(tmp_path / "gone.toml")


def test_lines_of_every_shape_of_key() -> None:
    """Tables, arrays of tables, dotted and quoted keys, inline tables and arrays are followed."""
    text = '''# first
a = 1 # [b]
"q" = """x
[not.a.table]
y = 1"""
d.e.f = 'x = 1'
list = [
  { one = 1 },
  # comment ] }
  { one = 2, two = { deep = "}" } },
]
when = 1979-05-27 07:32:00
[t.u]
k = 1
[[t.v]]
k = 1
[t.v.w]
k = "#"
[[t.v]]
m = 1
'''
    tomllib.loads(text)
    lines = KeyLines(text)
    expected: dict[tuple[str | int, ...], int] = {
        ("a",): 2,
        ("q",): 3,
        ("d", "e", "f"): 6,
        ("list", 0, "one"): 8,
        ("list", 1, "two", "deep"): 10,
        ("when",): 12,
        ("t", "u", "k"): 14,
        ("t", "v", 0): 15,
        ("t", "v", 0, "w", "k"): 18,
        ("t", "v", 1): 19,
        ("t", "v", 1, "m"): 20,
        ("t", "v", 1, "absent"): 19,
        ("absent",): 0,
    }
    assert {path: lines.line(path) for path in expected} == expected
    assert lines.line(("y",)) == 0
    assert lines.line(("not", "a", "table")) == 0


def test_template_renders() -> None:
    """Fields stand for the holder's values, doubled braces for braces, values are not read."""
    template = Template.parse("{{{holder.name}}} of {holder.extra.department}")
    assert template.render(HOLDER) == "{Zoë {M}} of IT"
    assert template.fields == {"name", "extra.department"}
    assert str(template) == "{{{holder.name}}} of {holder.extra.department}"
    assert Template.parse("plain").render(HOLDER) == "plain"


def test_template_needs_its_fields() -> None:
    """Rendering for a holder who lacks a field is an error that names both."""
    holder = Holder(id="E9", name="Bo", email="bo@example.test")
    with pytest.raises(ProfileError, match="'extra.department', which holder 'E9'"):
        Template.parse("{holder.extra.department}").render(holder)


@settings(deadline=None)  # a loaded machine is no failure
@given(st.text())
def test_any_text_is_a_template_when_its_braces_are_doubled(text: str) -> None:
    """Text with its braces doubled renders to itself."""
    doubled = text.replace("{", "{{").replace("}", "}}")
    assert Template.parse(doubled).render(HOLDER) == text


@pytest.mark.parametrize("text", ["{", "}", "{{{", "{}", "{holder.}", "{holder.extra.}", "{a{b}"])
def test_other_braces_are_refused(text: str) -> None:
    """A brace that is neither doubled nor around a known field is refused with a remedy."""
    with pytest.raises(Faults) as caught:
        Template.parse(text)
    assert all(fault.message and fault.remedy for fault in caught.value.faults)


def test_reference_names_every_key() -> None:
    """The page on the language has every key of it, and none in brackets that is not."""
    text = (PROFILES / "README.md").read_text(encoding="utf-8")
    keys = {alias for section in sections(Profile) for alias in aliases(section)}
    named = set(re.findall(r"[a-z0-9]+(?:-[a-z0-9]+)*", " ".join(re.findall(r"`[^`]*`", text))))
    assert keys - named == set()
    tables = {
        part for table in re.findall(r"`\[+([a-z0-9.]+)\]+`", text) for part in table.split(".")
    }
    assert tables <= keys


def test_reference_names_every_text_with_fields() -> None:
    """The page says of each text that may name the holder that it may."""
    page = (PROFILES / "README.md").read_text(encoding="utf-8")
    (told,) = re.findall(r"^These texts may name the holder: (.*?)\. They", page, re.S | re.M)
    texts = {
        field.alias
        for section in sections(Profile)
        for field in section.model_fields.values()
        if "Template" in repr(field.annotation)
    }
    assert set(re.findall(r"`([a-z-]+)`", told)) == texts


def aliases(section: type[Section]) -> list[str]:
    """The keys of a table as they stand in a file."""
    return [field.alias or name for name, field in section.model_fields.items()]


def sections(section: type[Section]) -> list[type[Section]]:
    """A table and all tables within it."""
    found = [section]
    for field in section.model_fields.values():
        for inner in sections_in(field.annotation):
            found += sections(inner)
    return found
