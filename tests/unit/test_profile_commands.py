"""`tokenprov profile`: what is listed, checked, shown, compared, and the schema for editors."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as quietly
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tests.stations import STANDARD, tell
from tokenprov.profile import load_profile, parse_profile, ready_folders
from tokenprov.profile.schema import schema
from tokenprov.profile.toml_text import toml_text

EXAMPLE = Path(__file__).parents[2] / "profiles" / "example-roster.csv"
READY = sorted(path for folder in ready_folders() for path in folder.glob("*.toml"))


def test_list_names_every_ready_profile() -> None:
    """Each file of the folder is listed by its name, with what it is for."""
    said = tell("profile", "list", "--json")
    assert said.code == 0
    listed = {row["name"]: row for row in said.document}
    assert set(listed) == {path.stem for path in READY}
    assert all(row["description"] and "trouble" not in row for row in listed.values())
    assert listed[STANDARD]["digest"] == load_profile(STANDARD).digest
    assert STANDARD in tell("profile", "list").out


def test_the_page_names_every_ready_profile() -> None:
    """The table of ready profiles has a line for each file, and no other."""
    page = (EXAMPLE.parent / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([a-z-]+)\.toml` \|", page, re.M)) == {one.stem for one in READY}


def test_check_says_what_a_model_gets() -> None:
    """Left out, refused with its firmware, or whole: by model, and in the exit code."""
    said = tell("profile", "check", STANDARD, "--model", "5.7.4", "--model", "5.4", "--json")
    assert said.code == 0
    new, old = said.document["models"]
    assert (new["leftOut"], new["refused"], old["refused"]) == ([], [], [])
    assert old["leftOut"][0].startswith("fido2.pin.force-change: ")
    for model, setting in (("4.3.7", "fido2"), ("security-key-5.7", "piv")):
        said = tell("profile", "check", STANDARD, "--model", model)
        assert said.code == 2
        assert f"{model} cannot have it" in said.out
        assert f"  {setting}: " in said.out
    assert "needs firmware 5.0" in tell("profile", "check", STANDARD, "--model", "4.3.7").out


def test_check_reads_the_roster(tmp_path: Path) -> None:
    """A roster that fits is counted, one that does not is refused with its line."""
    said = tell("profile", "check", STANDARD, "--roster", EXAMPLE)
    assert said.code == 0
    assert "5 holders have what it needs" in said.out
    roster = tmp_path / "roster.csv"
    roster.write_text("id,name,email,upn\n1,Ada,a@example.test,\n2,Bo,b@example.test,b@corp\n")
    said = tell("profile", "check", STANDARD, "--roster", roster)
    assert said.code == 2
    assert "line 2, upn" in said.err


@pytest.mark.parametrize("model", ["5", "neo", "5.7.4.1", "yubikey-5.x", "security-key"])
def test_check_knows_no_such_model(model: str) -> None:
    """A model that is none is refused with examples."""
    said = tell("profile", "check", STANDARD, "--model", model)
    assert said.code == 2
    assert "is not a model" in said.err


def test_check_refuses_a_bad_profile_with_its_line(tmp_path: Path) -> None:
    """What does not load is refused as everywhere."""
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\n[fido2]\npin = { length = 4 }\n')
    said = tell("profile", "check", path)
    assert said.code == 2
    assert "line 3, fido2.pin.length" in said.err


@pytest.mark.parametrize("path", READY, ids=lambda path: path.stem)
def test_show_prints_a_profile_that_loads_again(path: Path) -> None:
    """The TOML that is shown is the same profile, with nothing left unsaid."""
    said = tell("profile", "show", path)
    assert said.code == 0
    again = parse_profile(said.out.encode(), "shown.toml")
    assert again.digest == load_profile(path).digest
    assert tomllib.loads(said.out) == load_profile(path).to_json()
    assert tell("profile", "show", path, "--json").document == load_profile(path).to_json()


VALUES = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.from_regex(r"\A[a-z0-9-]{1,8}\Z"), inner, max_size=5)
    ),
    max_leaves=20,
)


@quietly(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.from_regex(r"\A[a-z0-9-]{1,8}\Z"), VALUES, max_size=5))
def test_toml_is_read_back(document: dict[str, Any]) -> None:
    """Whatever a profile could hold is the same after Python's own reader."""
    assert tomllib.loads(toml_text(document)) == document


def test_diff_is_a_setting_a_line(tmp_path: Path) -> None:
    """What one has and the other has not, and what differs, by path; alike is silent."""
    path = tmp_path / "mine.toml"
    path.write_text(
        f'name = "mine"\nextends = "{STANDARD}"\nwithout = ["otp.slot2"]\n'
        '[[piv.keys]]\nslot = "9a"\ntouch-policy = "always"\n'
        '[[piv.keys]]\nslot = "9c"\nalgorithm = "eccp384"\n'
    )
    said = tell("profile", "diff", STANDARD, path)
    assert said.code == 0
    lines = said.out.splitlines()
    assert '- name = "standard-employee"' in lines
    assert '- piv.keys[9a].touch-policy = "cached"' in lines
    assert '+ piv.keys[9a].touch-policy = "always"' in lines
    assert '- otp.slot2.kind = "hmac-sha1"' in lines
    assert '+ piv.keys[9c].algorithm = "eccp384"' in lines
    assert not any("piv.pin" in line for line in lines)
    rows = {
        row["setting"]: row for row in tell("profile", "diff", STANDARD, path, "--json").document
    }
    assert rows["piv.keys[9a].touch-policy"] == {
        "setting": "piv.keys[9a].touch-policy",
        "old": "cached",
        "new": "always",
    }
    assert "new" not in rows["otp.slot2.kind"]
    assert tell("profile", "diff", STANDARD, STANDARD).out == ""


VALIDATOR = Draft202012Validator(schema())


def test_the_schema_is_one() -> None:
    """It is a JSON Schema of its dialect, and the command prints it."""
    Draft202012Validator.check_schema(schema())
    assert json.loads(tell("profile", "schema").out) == schema()


@pytest.mark.parametrize("path", READY, ids=lambda path: path.stem)
def test_ready_profiles_fit_the_schema(path: Path) -> None:
    """Every ready profile, as it stands in its file and resolved, is valid by another program."""
    for document in (tomllib.loads(path.read_text(encoding="utf-8")), load_profile(path).to_json()):
        assert [error.message for error in VALIDATOR.iter_errors(document)] == []


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ('name = "a"\n[fido2]\n', True),
        ("[fido2]\n", False),
        ('name = "a"\n[fido]\n', False),
        ('name = "a"\n[fido2]\npin = { length = "8" }\n', False),
        ('name = "a"\n[fido2]\nalways-uv = "maybe"\n', False),
        ('name = "a"\n[[piv.keys]]\nslot = "9a"\n', False),
        ('name = "a"\nextends = "b"\n[[piv.keys]]\nslot = "9a"\ntouch-policy = "always"\n', True),
        ('name = "a"\nextends = "b"\n[[piv.keys]]\nslot = "9a"\ntouch-policy = "often"\n', False),
        ('name = "a"\nextends = "b"\nwithout = ["otp"]\n', True),
        ('name = "a"\nextends = "b"\n[otp.slot2]\naccess-code = false\n', True),
        ('name = "a"\nif-supported = ["otp"]\n[otp.slot2]\nkind = "hmac-sha1"\n', True),
        ('name = "a"\n[otp.slot2]\nkind = "hmac-sha2"\n', False),
        ('name = "a"\n[otp.slot2]\nkind = "hotp"\ntouch = true\n', False),
    ],
)
def test_the_schema_tells_good_from_bad(text: str, fits: bool) -> None:
    """A validator that knows nothing of tokenprov finds slips, and passes what extends another."""
    assert VALIDATOR.is_valid(tomllib.loads(text)) is fits
