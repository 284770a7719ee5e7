"""`tokenprov holder erase` on a station that issued tokens: nobody is named, all verifies."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.conftest import fresh_token
from tests.peers.test_verifier_script import run_script
from tests.people import added, approved
from tests.stations import STANDARD, Station
from tests.token_under_test import TokenUnderTest
from tokenprov.errors import PolicyError
from tokenprov.sim.bench import VirtualBench

REASON = ("--reason", "request of 3 February", "--yes")


@pytest.fixture
def issued(station: Station, token: TokenUnderTest) -> Station:
    """A station that issued a token to Ada."""
    said = station.tell("batch", "run", station.roster(), "--profile", STANDARD, "--json")
    assert said.code == 0, said.err
    return station


def holder_of(station: Station) -> dict[str, str]:
    """Who the first token is of, by the manifest."""
    entry = station.tell("manifest", "show", "1", "--json").document[0]
    found: dict[str, str] = entry["holder"]
    return found


def places(home: Path, *words: str) -> list[str]:
    """The files of the manifest and the ledger that have one of the words in them."""
    files = [*(home / "manifest").rglob("*"), *home.glob("ledger.sqlite*"), home / "manifest.index"]
    return [
        str(path.relative_to(home))
        for path in files
        if path.is_file() and any(word.encode() in path.read_bytes() for word in words)
    ]


def test_nobody_is_named_and_everything_verifies(issued: Station) -> None:
    """No file of manifest and ledger has the name or the mail address; proofs hold as before."""
    holder = holder_of(issued)
    words = holder["name"], holder["email"]
    assert places(issued.home, *words)
    said = issued.tell("holder", "erase", holder["id"], *REASON)
    assert said.code == 0, said.err
    assert places(issued.home, *words) == []
    assert issued.tell("manifest", "verify").code == 0
    key = (issued.home / "manifest/manifest.vkey").read_text().strip()
    done = run_script("--key", key, issued.home / "manifest")
    assert done.returncode == 0, done.stdout
    shown = issued.tell("manifest", "show", "--json").document
    assert shown[-1]["kind"] == "erased"
    assert shown[1]["holder"] == {"commitment": holder["commitment"]}
    assert issued.tell("holder", "erase", holder["id"], *REASON).code == 2


def test_an_erasure_that_was_cut_off(issued: Station) -> None:
    """What is still there after the entry is named, and the same command again finishes it."""
    holder = holder_of(issued)
    manifest = issued.home / "manifest"
    opening = manifest / "openings" / f"{holder['commitment']}.json"
    kept = opening.read_bytes()
    blobs = {path: path.read_bytes() for path in (manifest / "blobs").rglob("*") if path.is_file()}
    assert issued.tell("holder", "erase", holder["id"], *REASON).code == 0
    opening.write_bytes(kept)
    for path, data in blobs.items():
        path.write_bytes(data)
    said = issued.tell("manifest", "verify", "--json")
    assert said.code == 6
    assert {finding["rule"] for finding in said.document["findings"]} == {"erased"}
    assert run_script(manifest).returncode == 6
    size = said.document["size"]
    assert issued.tell("holder", "erase", holder["id"], *REASON).code == 0
    said = issued.tell("manifest", "verify", "--json")
    assert (said.code, said.document["size"]) == (0, size)


def test_one_approval_for_all_that_a_holder_was_known_as(
    issued: Station, one_reader: VirtualBench
) -> None:
    """Ada married: both her identities go by one approval, under one checkpoint, and verify."""
    fresh_token(one_reader, "yubikey-5.7.4")
    roster = issued.home.with_name("married.csv")
    roster.write_text(issued.roster().read_text("utf-8").replace("Okonkwo", "Adeyemi"), "utf-8")
    said = issued.tell("batch", "run", roster, "--profile", STANDARD, "--json")
    assert said.code == 0, said.err
    rita, pavel = added(issued, "rita", "requester"), added(issued, "pavel", "approver")
    rules = issued.home.with_name("rules.toml")
    rules.write_text('name = "e"\ndescription = "x"\n[separation]\nacts = { erase = 1 }\n')
    assert issued.tell("policy", "use", rules, "--reason", "a test").code == 0
    id, words = holder_of(issued)["id"], ("Ada Okonkwo", "Ada Adeyemi")
    command = ("holder", "erase", id, *REASON, "--operator", "olga")
    assert issued.tell(*command).code == PolicyError.exit_code
    size = len(issued.tell("manifest", "show", "--json").document)
    file = approved(issued, rita, pavel, "erase", f"holder={id}")
    said = issued.tell(*command, "--approval", file)
    assert (said.code, "2 identities" in said.out) == (0, True), said.err
    assert places(issued.home, *words) == []
    erased = issued.entries("erased")
    assert [[one["name"] for one in entry["approvers"]] for entry in erased] == [["pavel"]] * 2
    assert len(issued.tell("manifest", "show", "--json").document) == size + 2
    assert issued.tell("manifest", "verify").code == 0
    key = (issued.home / "manifest/manifest.vkey").read_text().strip()
    assert run_script("--key", key, issued.home / "manifest").returncode == 0


def test_not_while_a_token_is_to_come(issued: Station) -> None:
    """A holder whose kit is not whole is refused, and nothing is forgotten."""
    roster = issued.roster()
    said = issued.tell("batch", "new", roster, "--profile", STANDARD, "--kit", "2")
    assert said.code == 0, said.err
    holder = holder_of(issued)
    said = issued.tell("holder", "erase", holder["id"], *REASON)
    assert said.code == 3
    assert "not issued" in said.err
    assert holder_of(issued) == holder
