"""What may follow what: refused when it is written, reported when it is verified, by two programs.

Each case is a life of tokens as a list of entries; the last one is what cannot follow, or can.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.peers.test_verifier_script import PARTS, faults
from tests.record_samples import (
    SIGNER,
    about,
    blobs,
    issued,
    opening,
    set_aside,
    small_manifest,
    station,
)
from tests.unit.test_record_verify import write_entries
from tokenprov.errors import ManifestError
from tokenprov.record.entry import Entry, Kind, blobs_of, validate_entry
from tokenprov.record.history import _MOVES
from tokenprov.record.index import index_path
from tokenprov.record.kinds import json_schema
from tokenprov.record.manifest import Manifest, verify_manifest

SCHEMA = Path(__file__).resolve().parents[2] / "docs" / "entry.schema.json"
A, B = issued(0), issued(1)
REST = ("unblocked", "rotated", "suspended", "resumed", "revoked", "retired", "received", "wiped")
# A's token, for B's holder
STOLEN = issued(1, order="b1-0009", token=A["token"])
MARKED = {**A["token"], "serial": None, "mark": "e77e3c64-0a0b0c0d"}


def marked(*kinds: str, **changes: Any) -> list[Entry]:
    """A's token, had it no serial: issued, and what followed."""
    further = (about(kind, token=MARKED, **changes) for kind in kinds)
    return [issued(0, token=MARKED), *further]


CASES: dict[str, tuple[list[Entry], str]] = {
    "a whole life": (
        [about("received"), A, *map(about, REST[:5]), about("retired")],
        "",
    ),
    "nothing follows the end": ([about("retired"), A], "state"),
    "put into stock when revoked": ([A, about("revoked"), about("received"), STOLEN], ""),
    "wiped when revoked": ([A, about("revoked"), about("wiped"), STOLEN], ""),
    "issued while revoked": ([A, about("revoked"), issued(0, order="b1-0009")], "state"),
    "a mark wiped and retired": (marked("revoked", "wiped", "retired"), ""),
    "a mark that was not reset after all": (
        [*marked("revoked", "wiped"), about("wiped", token=MARKED, wipe="w2", unseen=["fido2"])],
        "",
    ),
    "a mark wiped while held": (marked("wiped"), "binding"),
    "a mark wiped and issued": (
        [*marked("revoked", "wiped"), issued(1, order="b1-0009", token=MARKED)],
        "state",
    ),
    "a mark wiped and received": (marked("revoked", "wiped", "received"), "state"),
    "set aside and issued": ([A, set_aside(0), STOLEN], ""),
    "issued again to the same": ([A, issued(0, order="b1-0009")], ""),
    "issued to another": ([A, STOLEN], "binding"),
    "suspended, issued to another": ([A, about("suspended"), STOLEN], "binding"),
    "suspended twice": ([A, about("suspended"), about("suspended")], "state"),
    "resumed, not suspended": ([A, about("resumed")], "state"),
    "unblocked in stock": ([about("received"), about("unblocked")], "state"),
    "rotated, never issued": ([about("rotated")], "state"),
    "revoked, never issued": ([about("revoked")], "state"),
    "revoked for another": ([A, B, about("revoked", holder=B["holder"])], "binding"),
    "retired while held": ([A, about("retired")], "state"),
    "received while held": ([A, about("received")], "state"),
    "received twice": ([about("received"), about("received")], "state"),
    "wiped while held": ([A, about("wiped")], "binding"),
    "replaced": ([A, issued(1, holder=A["holder"]), about("replaced")], ""),
    "replaced by another's": ([A, B, about("replaced")], "binding"),
    "replaced by none": ([A, about("replaced")], "binding"),
    "a code used": ([about("recovery-codes"), about("recovery-code-used")], ""),
    "a code used twice": (
        [about("recovery-codes"), about("recovery-code-used"), about("recovery-code-used")],
        "code",
    ),
    "a code of no list": ([about("recovery-codes"), about("recovery-code-used", 1)], "code"),
    "a code beyond its list": (
        [about("recovery-codes"), about("recovery-code-used", code=f"{0:064x}/9")],
        "code",
    ),
    "codes given twice": ([about("recovery-codes"), about("recovery-codes")], "list"),
    "a waiver twice": ([about("waiver"), about("waiver")], "waiver"),
    "a batch closed": ([A, B, about("batch-closed", 2)], ""),
    "a batch miscounted": ([A, about("batch-closed", 2)], "batch"),
    "a batch closed twice": ([about("batch-closed"), about("batch-closed")], "batch"),
    "issued of a closed batch": ([about("batch-closed"), A], "batch"),
    "erased": ([A, about("revoked"), about("erased")], ""),
    "erased twice": ([A, about("erased"), about("erased")], "erased"),
    "a stranger erased": ([A, about("erased", 1)], "erased"),
    "issued to one who was erased": ([A, about("erased"), issued(0, order="b1-0009")], "erased"),
    "revoked after it": ([A, about("erased"), about("revoked")], ""),
    "the clock was set back": ([A, about("drill", time="2026-02-03T03:59:00Z")], "time"),
    "slowly, each time": (
        [about("drill"), *(about("drill", time=f"2026-02-03T04:0{n}:00Z") for n in (4, 1))],
        "time",
    ),
    "out of turn by a little": ([about("drill"), about("opened", time="2026-02-03T04:02:00Z")], ""),
    "the clock was ahead": (
        [
            about("drill", time="2031-02-03T04:07:00Z"),
            about("clock-corrected", ahead="2031-02-03T04:07:00Z"),
            A,
        ],
        "",
    ),
    "corrected by another time": ([A, about("clock-corrected")], "time"),
    "opened, a drill": ([A, about("opened"), about("drill")], ""),
}
COUNTED_BY_THE_PROGRAM_ALONE = {  # the script says so
    *("a batch miscounted", "a code of no list", "a code beyond its list")
}


def add(manifest: Manifest, entry: Entry) -> None:
    """Append it, with the blobs that it names."""
    named = set(blobs_of(entry))
    have = {PARTS["sha256"](blob).hex(): blob for number in range(3) for blob in blobs(number)}
    manifest.append(entry, [have[digest] for digest in named])


@pytest.mark.parametrize("name", CASES)
def test_lives(tmp_path: Path, name: str) -> None:
    """What cannot follow is refused, leaves no trace, and is found in a log that has it."""
    entries, rule = CASES[name]
    manifest = small_manifest(tmp_path / "m", tokens=0)
    for entry in entries[:-1]:
        add(manifest, entry)
    if rule:
        with pytest.raises(ManifestError) as caught:
            add(manifest, entries[-1])
        assert (caught.value.rule, caught.value.index) == (rule, len(entries))
        add(manifest, about("drill"))  # the log goes on
    else:
        add(manifest, entries[-1])
    assert verify_manifest(tmp_path / "m").holds
    write_entries(tmp_path / "dishonest", [station(), *entries])
    found = [(f.rule, f.index) for f in verify_manifest(tmp_path / "dishonest").findings]
    assert found == ([(rule, len(entries))] if rule else [])
    if name not in COUNTED_BY_THE_PROGRAM_ALONE:
        assert len(faults(tmp_path / "dishonest")) == len(found)


def test_the_script_has_the_same_table() -> None:
    """docs/verify_manifest.py knows every kind, and the same states before and after each."""
    moves = {str(kind): (set(map(str, b)), str(a)) for kind, (b, a) in _MOVES.items()}
    assert {kind: (set(b), a) for kind, (b, a) in PARTS["MOVES"].items()} == moves
    assert {*PARTS["MOVES"], *PARTS["OTHERS"].split()} == set(map(str, Kind))


def test_the_index_is_made_again(tmp_path: Path) -> None:
    """Deleted, behind, or of another log: what may follow is known all the same."""
    manifest = small_manifest(tmp_path / "m", tokens=2)
    path = index_path(tmp_path / "m")
    early = path.read_bytes()
    manifest.close()
    path.unlink()
    with pytest.raises(ManifestError, match="another holder"):
        add(Manifest.open(tmp_path / "m", SIGNER), issued(2, token=issued(1)["token"]))
    add(manifest, set_aside(1))
    manifest.close()
    assert early
    path.unlink()
    other = small_manifest(tmp_path / "other", tokens=3)
    other.close()
    index_path(tmp_path / "other").rename(path)
    again = Manifest.open(tmp_path / "m", SIGNER)
    add(again, issued(2, token=issued(1)["token"]))
    assert again.found_by("serial 10000001") == [2, 3, 4]
    assert again.found_by("serial 10000002") == []
    assert again.found_by(f"holder {opening(0).commitment}") == [1]


def test_found_without_an_index(tmp_path: Path) -> None:
    """A copy of the folder alone gives the same answers."""
    manifest = small_manifest(tmp_path / "m", tokens=3)
    manifest.close()
    index_path(tmp_path / "m").unlink()
    copy_of_it = Manifest.open(tmp_path / "m")
    assert copy_of_it.found_by("serial 10000001") == [2]
    assert not index_path(tmp_path / "m").exists()


def sample(kind: Kind) -> Entry:
    """One entry of each kind."""
    special = {Kind.STATION: station, Kind.ISSUED: lambda: issued(0)}
    if kind in special:
        return special[kind]()
    return set_aside(0) if kind is Kind.SET_ASIDE else about(kind)


def test_the_published_schema() -> None:
    """docs/entry.schema.json is what the program checks, and a schema."""
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == json_schema()
    jsonschema.Draft202012Validator.check_schema(json_schema())


def mutations(entry: Any) -> list[Any]:
    """The entry with each member left out, made null, and joined by one more, at every depth."""
    found: list[Any] = []

    def visit(path: list[Any], value: Any) -> None:
        changes: list[tuple[list[Any], Any]] = []
        if isinstance(value, dict) and path[-1:] not in (["facts"], ["found"], ["left"]):
            changes += [([*path, "more"], 1)]
        for name in value if isinstance(value, dict) else range(len(value)):
            changes += [([*path, name], ...), ([*path, name], None), ([*path, name], [1])]
            if isinstance(value[name], dict | list) and name != "inventory":
                visit([*path, name], value[name])
        for way, new in changes:
            changed = copy.deepcopy(entry)
            inner = changed
            for step in way[:-1]:
                inner = inner[step]
            if new is ...:
                del inner[way[-1]]
            else:
                inner[way[-1]] = new
            found.append(changed)

    visit([], entry)
    return found


@pytest.mark.parametrize("kind", Kind)
def test_schema_and_program_agree(kind: Kind) -> None:
    """Each kind's sample is taken by both; changed anywhere, both take it or neither does."""
    judge = jsonschema.Draft202012Validator(json_schema())
    entry = sample(kind)
    assert validate_entry(entry) == entry
    assert judge.is_valid(entry)
    refused = 0
    for changed in mutations(entry):
        try:
            validate_entry(changed)
            takes = True
        except ManifestError:
            takes = False
            refused += 1
        assert judge.is_valid(changed) is takes, changed
    assert refused
