"""A holder is known by another token of theirs, or by a recovery code: for one act, once.

Ada has a primary and a spare, Jürgen a token that is not in a reader any more. The station resumes
a token only for a holder who was known.
"""

from __future__ import annotations

import getpass
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.contract.conftest import fresh_token
from tests.people import added, approved
from tests.stations import Said, Station, make_station
from tokenprov.errors import ApprovalError, InputError, PolicyError, TokenConflict
from tokenprov.record.canonical import canonical
from tokenprov.record.recovery import CodeFolder
from tokenprov.sim.bench import VirtualBench

PROFILE = """
name = "two-ways"
extends = "standard-employee"
without = ["otp"]
[fido2.pin]
force-change = "no"
"""
RULES = """
name = "known"
description = "a holder is known by what they have"
[authenticated-holder]
acts = ["resume"]
proofs = ["other-token", "recovery-code"]
[recovery-codes]
bits = 80
codes = 3
days = 30
"""
WHY = ("--reason", "it came by mail", "--operator", "olga")


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The station, and whose tokens are there."""

    station: Station
    primary: str  # Ada's, suspended
    spare: str
    other: str  # Jürgen's
    pins: dict[str, dict[str, str]]  # by serial

    def prove(self, *options: str | Path, out: str = "proof") -> tuple[Said, Path]:
        """Ask for a proof for Ada's primary to be resumed."""
        file = self.station.home.with_name(out)
        command = ("holder", "prove", self.primary, "--for", "resume", "--out", file)
        return self.station.tell(*command, *options, "--json"), file

    def resume(self, proof: Path | None, serial: str = "") -> Said:
        """Resume a token for a holder who showed that."""
        shown = ("--proof", proof) if proof is not None else ()
        return self.station.tell("resume", serial or self.primary, *shown, *WHY)

    def suspend(self, serial: str = "") -> None:
        """Suspend a token."""
        said = self.station.tell("suspend", serial or self.primary, *WHY)
        assert said.code == 0, said.err


@pytest.fixture(scope="module")
def made(shared_bench: VirtualBench, tmp_path_factory: pytest.TempPathFactory) -> Held:
    """Made once; each test has a copy of the home."""
    folder = tmp_path_factory.mktemp("known")
    station = make_station(folder, shared_bench.environment)
    profile, rules = folder / "profile.toml", folder / "rules.toml"
    profile.write_text(PROFILE)
    rules.write_text(RULES)
    shared_bench.control.unplug_reader(1)
    roster = folder / "both.csv"
    station.roster(2).rename(roster)
    lines = roster.read_text().splitlines()
    serials = []
    for name, who, places in (("other", lines[2], (0,)), ("ada", lines[1], (0, 1))):
        file = folder / f"{name}.csv"
        file.write_text("\n".join([lines[0], who, ""]))
        for reader in places:
            if reader:
                shared_bench.control.plug_reader(reader)
            serials.append(fresh_token(shared_bench, "yubikey-5.7.4", reader).serial)
        kit = ("--kit", str(len(places)), "--json")
        said = station.tell("batch", "run", file, "--profile", profile, *kit)
        assert said.code == 0, said.out + said.err
    issued = sorted(station.entries(), key=lambda entry: int(entry["kit"]["position"]))
    by_place = [one["token"]["serial"] for one in issued if one["token"]["serial"] != serials[0]]
    used = station.tell("policy", "use", rules, "--reason", "from today on")
    assert used.code == 0, used.err
    pins = {serial: station.secrets(serial) for serial in serials}
    held = Held(
        station=station, primary=by_place[0], spare=by_place[1], other=serials[0], pins=pins
    )
    held.suspend()
    return held


@pytest.fixture
def held(made: Held, tmp_path: Path) -> Held:
    """The same, in a home of the test's own."""
    shutil.copytree(made.station.home, tmp_path / "station")
    return replace(made, station=replace(made.station, home=tmp_path / "station"))


@pytest.fixture
def types(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What the holder types, one thing after another."""
    waiting: list[str] = []
    monkeypatch.setattr(getpass, "getpass", lambda prompt: waiting.pop(0))
    yield waiting
    assert waiting == []


def given(held: Held, *options: str | Path) -> Said:
    """Codes for Ada."""
    why = ("--reason", "first day", "--operator", "olga")
    said = held.station.tell("holder", "recovery-codes", "E1", *why, "--json", *options)
    assert said.code == 0, said.err
    return said


def verified(held: Held) -> bool:
    """Whether the manifest holds, by the program and by the script beside the formats."""
    script = Path(__file__).resolve().parents[2] / "docs" / "verify_manifest.py"
    said = subprocess.run(
        ["python3", script, held.station.home / "manifest"], capture_output=True, text=True
    )
    return held.station.tell("manifest", "verify").code == 0 and said.returncode == 0


@pytest.mark.parametrize(("way", "pin"), [((), "piv/pin"), (("--passkey",), "fido2/pin")])
def test_known_by_another_token(
    held: Held, types: list[str], way: tuple[str, ...], pin: str
) -> None:
    """The spare signs, with its PIN; the primary is resumed by it once, and the proof is kept."""
    refused = held.resume(None)
    assert refused.code == PolicyError.exit_code
    assert "holder prove SERIAL --for ACTION --with OTHER" in refused.err
    types.append(held.pins[held.spare][pin])
    said, proof = held.prove("--with", held.spare, *way)
    assert said.code == 0, said.err
    assert said.document["type"] == "other-token"
    done = held.resume(proof)
    assert done.code == 0, done.err
    (entry,) = held.station.entries("resumed")
    (shown,) = entry["clearance"]["evidence"]
    assert shown["type"] == "other-token"
    assert held.station.blob(shown["sha256"]) == proof.read_bytes()
    assert verified(held)
    held.suspend()
    again = held.resume(proof)
    assert again.code == ApprovalError.exit_code
    assert "used already" in again.err


def test_tokens_that_prove_nothing(held: Held, types: list[str]) -> None:
    """Another holder's, the one that the act is about, one that is suspended or gone."""
    for other, code, why in (
        (held.other, InputError.exit_code, "is Jürgen Weiß's"),
        (held.primary, InputError.exit_code, "cannot prove whose it is itself"),
        ("1234", InputError.exit_code, "no token 1234 was issued"),
    ):
        said, file = held.prove("--with", other)
        assert (said.code, file.exists()) == (code, False)
        assert why in said.err
    types.append(held.pins[held.spare]["piv/pin"])
    _, proof = held.prove("--with", held.spare)
    held.suspend(held.spare)
    said, _ = held.prove("--with", held.spare, out="second")
    assert said.code == TokenConflict.exit_code
    late = held.resume(proof)
    assert late.code == ApprovalError.exit_code
    assert f"token {held.spare} is suspended" in late.err


def test_a_wrong_pin_proves_nothing(held: Held, types: list[str]) -> None:
    """The token is asked once, and no file is made."""
    types.append("00000000")
    said, proof = held.prove("--with", held.spare)
    assert said.code == 4
    assert not proof.exists()
    types.append(held.pins[held.spare]["piv/pin"])
    assert held.prove("--with", held.spare)[0].code == 0


CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "another act": ({"action": "replace"}, "was known for replace"),
    "another token": ({"about": {"token": "1"}}, "of token 1"),
    "another station": ({"station": "elsewhere"}, "was known at elsewhere"),
    "a longer time": ({"expires": "2099-01-01T00:00:00Z"}, "not signed by the key"),
    "another nonce": ({"nonce": "00" * 16}, "not signed by the key"),
    "a key of the caller's": ({"about": {"evidence": "00" * 32}}, "is another one on the record"),
    "another's token": ({"about": {"by": "OTHER"}}, "another holder's"),
    "itself": ({"about": {"by": "PRIMARY"}}, "cannot prove whose it is itself"),
    "a member more": ({"about": {"more": "1"}}, "not say by what the holder is known"),
}


def test_a_proof_that_was_changed(held: Held, types: list[str]) -> None:
    """Each part of it is under the signature, or against the record."""
    types.append(held.pins[held.spare]["piv/pin"])
    _, proof = held.prove("--with", held.spare)
    first, text, *rest = proof.read_bytes().split(b"\n")
    names = {"OTHER": held.other, "PRIMARY": held.primary}
    for what, (changes, why) in CHANGES.items():
        document = json.loads(text)
        for name, value in changes.items():
            if isinstance(value, dict):
                value = document[name] | {k: names.get(v, v) for k, v in value.items()}
            document[name] = value
        changed = proof.with_name("changed")
        changed.write_bytes(b"\n".join([first, canonical(document), *rest]))
        said = held.resume(changed)
        assert said.code == ApprovalError.exit_code, what
        assert why in said.err, (what, said.err)
    assert held.resume(proof).code == 0


def test_a_recovery_code_serves_once(held: Held, types: list[str]) -> None:
    """However it is typed; for what it was given for; and what is left is shown."""
    codes = given(held).document["codes"]
    assert len({*codes}) == 3
    assert all(len(code.replace("-", "")) * 5 >= 80 for code in codes)
    types += [codes[1].upper().replace("-", " "), codes[1], codes[1]]
    said, proof = held.prove("--recovery-code")
    assert said.code == 0, said.err
    # cut off before its file was there: the same code for the same act gives the same proof
    again, second = held.prove("--recovery-code", out="second")
    assert again.code == 0, again.err
    assert second.read_bytes() == proof.read_bytes()
    command = ("holder", "prove", held.primary, "--for", "replace", "--recovery-code")
    other = held.station.tell(*command, "--out", proof.with_name("third"))
    assert other.code == ApprovalError.exit_code
    assert "was used already" in other.err
    assert held.resume(proof).code == 0
    shown = held.station.tell("holder", "show", "E1", "--json").document
    assert shown["recoveryCodes"]["left"] == 2
    held.suspend()
    assert held.resume(proof).code == ApprovalError.exit_code
    assert len(held.station.entries("recovery-code-used")) == 1
    assert verified(held)


def test_codes_that_do_not_serve(held: Held, types: list[str]) -> None:
    """A guess, another holder's, one of a list that ended; and a proof without its entry."""
    first = given(held).document["codes"]
    types.append("0000-0000-0000-0000")
    assert held.prove("--recovery-code")[0].code == ApprovalError.exit_code
    other = ("holder", "prove", held.other, "--for", "resume", "--recovery-code")
    types.append(first[0])
    said = held.station.tell(*other, "--out", held.station.home.with_name("other"))
    assert said.code == ApprovalError.exit_code
    assert "Jürgen Weiß has no recovery codes" in said.err
    types.append(first[0])
    _, proof = held.prove("--recovery-code")
    forged = proof.with_name("forged")
    forged.write_bytes(proof.read_bytes().replace(b"/1", b"/2"))
    assert "no recovery code was used for this proof" in held.resume(forged).err
    second = given(held).document["codes"]
    assert "a list that is not in force" in held.resume(proof).err
    types += [first[2], second[2]]
    assert held.prove("--recovery-code", out="old")[0].code == ApprovalError.exit_code
    assert held.prove("--recovery-code", out="new")[0].code == 0
    assert len(CodeFolder(held.station.home).names()) == 1
    assert verified(held)


def test_who_leaves_or_is_erased_has_no_codes(held: Held, types: list[str]) -> None:
    """Nobody comes back by a code, and nothing of it is kept."""
    codes = given(held).document["codes"]
    left = held.station.tell("holder", "leave", "E1", "--reason", "end of contract")
    assert left.code == 0, left.err
    types.append(codes[0])
    said, _ = held.prove("--recovery-code")
    assert said.code == ApprovalError.exit_code
    assert held.station.tell("holder", "show", "E1", "--json").document["recoveryCodes"] is None
    assert len(CodeFolder(held.station.home).names()) == 1
    erased = held.station.tell("holder", "erase", "E1", "--reason", "asked for", "--yes")
    assert erased.code == 0, erased.err
    assert CodeFolder(held.station.home).names() == []


def test_codes_on_paper(held: Held, types: list[str]) -> None:
    """On the page they are, for its maker alone, and nowhere else."""
    page = held.station.home.with_name("codes.pdf")
    said = given(held, "--pdf", page)
    assert said.document["codes"] == []
    assert page.stat().st_mode & 0o777 == 0o600
    text = subprocess.run(
        ["pdftotext", page, "-"], check=True, capture_output=True, text=True
    ).stdout
    assert "Ada Okonkwo" in text
    codes = [word for word in text.split() if word.count("-") == 3 and len(word) == 19]
    assert len(codes) == 3
    types.append(codes[2])
    assert held.prove("--recovery-code")[0].code == 0
    spelled = {code.replace("-", "").encode() for code in codes} | {c.encode() for c in codes}
    for path in held.station.home.rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        assert not any(code in data for code in spelled), path
    again = held.station.tell(*("holder", "recovery-codes", "E1", "--reason", "x", "--pdf", page))
    assert again.code == InputError.exit_code


def test_codes_are_given_by_agreement_where_the_policy_says(held: Held) -> None:
    """Nobody gives codes alone; by approval they do, once, and the entry says who agreed."""
    rules = held.station.home.with_name("agreed.toml")
    rules.write_text(f"{RULES}[separation]\nacts = {{ recovery-codes = 1 }}\n")
    rita, pavel = added(held.station, "rita", "requester"), added(held.station, "pavel", "approver")
    assert held.station.tell("policy", "use", rules, "--reason", "from today on").code == 0
    give = ("holder", "recovery-codes", "E1", "--reason", "asked for", "--operator", "olga")
    alone = held.station.tell(*give)
    assert (alone.code, alone.out) == (PolicyError.exit_code, "")
    assert "approve request recovery-codes" in alone.err
    file = approved(held.station, rita, pavel, "recovery-codes", "holder=E1")
    said = held.station.tell(*give, "--approval", file)
    assert said.code == 0, said.err
    (entry,) = held.station.entries("recovery-codes")
    assert [one["name"] for one in entry["approvers"]] == ["pavel"]
    assert held.station.tell(*give, "--approval", file).code == ApprovalError.exit_code
    assert verified(held)
