"""What the commands print for programs, by docs/json.md, and how they end.

The page is read here: a member that it does not name, or one that is missing, is an error of the
page or of the command.
"""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from tests.people import added, approved
from tests.stations import STANDARD, Said, Station, tell
from tests.token_under_test import TokenUnderTest
from tokenprov.cli.main import COMMANDS
from tokenprov.events import Event
from tokenprov.sim.bench import VirtualBench

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
JUDGED_ELSEWHERE = {
    "Events of batch run",
    "issuer export-requests, issuer import-certificates",  # by test_offline_authority.py
}
ROW = re.compile(r"^\| `([^`]+)` \| ([^|]*) \|", re.MULTILINE)
TYPES: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "text or null": (str, type(None)),
    "number": (int,),
    "number or null": (int, type(None)),
    "true or false": (bool,),
    "true, false or null": (bool, type(None)),
    "object": (dict,),
    "object or null": (dict, type(None)),
    "any": (object,),
}


def section(heading: str) -> str:
    """The part of the page under a heading."""
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", PAGE, re.S | re.M)
    assert found, heading
    return found[1]


def leaves(document: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every member with its path, objects and items before what is in them."""
    if path:
        yield path, document
    if isinstance(document, dict):
        for name, value in document.items():
            yield from leaves(value, f"{path}.{name}" if path else name)
    elif isinstance(document, list):
        for item in document:
            yield from leaves(item, f"{path}[]")


def faults(document: Any, heading: str) -> list[str]:
    """Where a document is not what the page says."""
    rows = [(name, kind) for name, kind in ROW.findall(section(heading))]
    named = {name.removesuffix("?"): TYPES[kind.strip()] for name, kind in rows}
    required = {name for name, _ in rows if not name.endswith(("?", "*"))}
    found = []
    there: set[str] = set()
    for path, value in leaves(document):
        there.add(path)
        if path in named:
            if not isinstance(value, named[path]):
                found.append(f"{path} is a {type(value).__name__}")
        elif not any(
            known.startswith((f"{path}.", f"{path}[]"))  # an object or list on the way there
            or ("*" in known and fnmatchcase(path, known.replace("[]", "[[]]")))
            for known in named
        ):
            found.append(f"{path} is not documented")
    return found + [f"{name} is missing" for name in required - there]


def test_the_page_is_read(station: Station) -> None:
    """The reading of the page sees a member too many, one missing and one of another type."""
    good = {"batch": "b", "profile": "p", "kitSize": 1, "counts": {"open": 1}}
    assert faults([good], "batch status") == []
    assert faults([{**good, "more": 1}], "batch status") == ["[].more is not documented"]
    assert faults([{**good, "kitSize": "1"}], "batch status") == ["[].kitSize is a str"]
    del good["profile"]
    assert faults([good], "batch status") == ["[].profile is missing"]


def test_every_command_prints_what_is_documented(
    station: Station,
    token: TokenUnderTest,
    shared_bench: VirtualBench,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One token's way, from the dry run to the escrow: each document is as the page says."""
    roster = station.roster()
    key = station.home / "custodians" / "private" / "help-desk.pem"
    told: list[tuple[str, Said]] = []

    def ask(heading: str, *arguments: str | Path, code: int = 0) -> Said:
        said = station.tell(*arguments, "--json")
        assert said.code == code, said.err
        told.append((heading, said))
        return said

    ask("profile list", "profile", "list")
    ask("profile check", "profile", "check", STANDARD, "--model", "4.3.7-fips", code=2)
    ask("profile check", "profile", "check", STANDARD, "--model", "5.4.3", "--roster", roster)
    ask("profile show", "profile", "show", STANDARD)
    ask("profile diff", "profile", "diff", STANDARD, another_profile(station.home))
    ask("profile schema", "profile", "schema")
    never = ("stock", "never", "10000001-10000003", "--reason", "the director's own")
    ask("stock import, stock never", *never)
    ask("stock list", "stock", "list")
    ask("token list", "token", "list")
    ask("token show", "token", "show", token.serial)
    ask("plan", "plan", roster, "--profile", STANDARD)
    ran = ask("batch run, batch status BATCH", "batch", "run", roster, "--profile", STANDARD)
    ask("batch run, batch status BATCH", "batch", "status", ran.document["batch"])
    ask("batch status", "batch", "status")
    ask("batch retry, batch set-aside", "batch", "retry", ran.document["batch"])
    ask("batch new", "batch", "new", roster, "--profile", STANDARD)
    ask("batch export", "batch", "export", ran.document["batch"], station.home.with_name("out"))
    ask("batch close", "batch", "close", ran.document["batch"])
    ask("token show", "token", "show", token.serial)
    ask("token audit", "token", "audit", token.serial)
    opening = ("--key", key, "--reason", "a test")
    ask("token prove", "token", "prove", token.serial, *opening)
    ask("manifest verify", "manifest", "verify")
    shown = "manifest show, manifest history, manifest search"
    ask(shown, "manifest", "show")
    ask(shown, "manifest", "show", "1")
    ask(shown, "manifest", "history", token.serial)
    ask(shown, "manifest", "search", token.serial)
    proof = station.home.with_name("token.tlog-proof")
    assert station.tell("manifest", "prove", token.serial, "--name", "--out", proof).code == 0
    ask("manifest verify PROOF", "manifest", "verify", proof)
    exported = station.tell("manifest", "export", "--format", "json", "--names")
    told.append(("manifest export --format json", exported))
    ask("trust list", "trust", "list")
    ask("trust check", "trust", "check")
    ask("ca list", "ca", "list")
    signed = ("ca", "ssh", "sign", "--token", token.serial, "--principal", "ada")
    assert station.tell(*signed).code == 0
    ask("ca ssh list", "ca", "ssh", "list")
    ask("escrow list", "escrow", "list")
    custodian = ("--purpose", "help-desk", "--key", key, "--reason", "a test")
    ask("escrow open", "escrow", "open", token.serial, *custodian)
    desk = ("--reason", "a test", "--operator", "olga")
    ask("suspend, resume, revoke", "suspend", token.serial, *desk, "--dry-run")
    ask("suspend, resume, revoke", "suspend", token.serial, *desk)
    ask("suspend, resume, revoke", "resume", token.serial, *desk)
    for what in ("unblock", "rotate"):
        ask(what, what, token.serial, "--key", key, *desk, "--dry-run")
        ask(what, what, token.serial, "--key", key, *desk)
    ask("renew", "renew", "--within", "400")
    other = station.home / "custodians" / "private" / "token-administration.pem"
    ask("renew SERIAL", "renew", token.serial, "--within", "400", "--key", other, "--dry-run")
    ask("renew SERIAL", "renew", token.serial, "--within", "400", "--key", other)
    ask("manifest keys", "manifest", "keys")
    ask("overview", "overview", "--within", "400")
    ask("trace", "trace", token.serial)
    ask("holder show", "holder", "show", "E1")
    ask("holder tokens", "holder", "tokens", "E1")
    codes = ask("holder recovery-codes", "holder", "recovery-codes", "E1", "--reason", "a test")
    monkeypatch.setattr("getpass.getpass", lambda prompt: codes.document["codes"][0])
    known = ("--for", "replace", "--recovery-code", "--out", station.home.with_name("known"))
    ask("holder prove", "holder", "prove", token.serial, *known)
    ask("holder show", "holder", "show", "E1")
    ask("drill", "drill", "puk", "--key", key)
    ask("replace", "replace", token.serial, "--reason", "lost", code=8)
    shared_bench.control.replace(0, model="piv-card-t0")
    ask("token name", "token", "name", "--all")
    ask("holder leave", "holder", "leave", "E1", *desk)
    ask("backup, restore", "backup", station.home.with_name("backup"))
    destroyed = ("--means", "destroyed", "--witness", "walter")
    ask("return, retire", "retire", token.serial, *destroyed, *desk)
    assert station.tell("policy", "use", "office", "--reason", "a test").code == 0
    rita, pavel = added(station, "rita", "requester"), added(station, "pavel", "approver")
    ask("people list", "people", "list")
    ask("approve show", "approve", "show", approved(station, rita, pavel, "open", "token=1"))
    ask("policy list", "policy", "list")
    ask("policy show", "policy", "show", "office")
    ask("policy explain", "policy", "explain")
    ask("policy check", "policy", "check", "office", code=9)
    until = f"{datetime.now(UTC):%Y-%m-%d}"
    about = ("waive", "rule=independence", f"until={until}")
    agreed = approved(station, rita, pavel, *about, name="waiver")
    grant = ("waiver", "grant", "independence", "--until", until, "--reason", "a test")
    assert station.tell(*grant, "--approval", agreed).code == 0
    ask("waiver list", "waiver", "list")
    told.append(("doctor", station.tell("doctor", "--json")))  # it is of this machine: 0 or 3
    wrong = {
        heading: faults(said.document, heading)
        for heading, said in told
        if heading != "profile schema"  # by another document, JSON Schema
    }
    assert {heading: found for heading, found in wrong.items() if found} == {}
    headings = set(re.findall(r"^## (.*)$", PAGE, re.M)) - JUDGED_ELSEWHERE
    assert {heading for heading, _ in told} == headings
    seen = {event["event"]: set(event) - {"event"} for event in ran.events}
    assert seen.keys() >= {"BatchStarted", "StepStarted", "TouchWanted", "TokenIssued"}
    assert {name: documented_events()[name] for name in seen} == seen


def another_profile(home: Path) -> Path:
    """A profile that differs from the standard one, beside a home."""
    path = home.with_name("another.toml")
    path.write_text(f'name = "another"\nextends = "{STANDARD}"\nwithout = ["otp.slot2"]\n')
    return path


def documented_events() -> dict[str, set[str]]:
    """The members of each event by the page."""
    no_reader = {"BatchStarted", "HolderNamed", "ScanIgnored", "ServiceLost", "BatchPaused"}
    no_reader |= {"Interrupted", "KeyboardFree"}
    return {
        name: set(re.findall(r"`(\w+)`", members)) | (set() if name in no_reader else {"reader"})
        for name, members in ROW.findall(section("Events of batch run"))
    }


def test_every_event_is_documented() -> None:
    """The page lists the events that the program can tell, with their members."""
    events = {
        kind.__name__: {field.name for field in dataclasses.fields(kind)}
        for kind in typing.get_args(Event)
    }
    assert documented_events() == events


def test_people_get_the_same_without_json(station: Station, token: TokenUnderTest) -> None:
    """Without --json every command prints a table, and nothing that looks like JSON."""
    roster = station.roster()
    commands: Sequence[Sequence[str | Path]] = (
        ("token", "list"),
        ("plan", roster, "--profile", STANDARD),
        ("batch", "run", roster, "--profile", STANDARD),
        ("batch", "status"),
        ("token", "show", token.serial),
        ("manifest", "show"),
        ("manifest", "show", "1"),
    )
    for command in commands:
        said = station.tell(*command)
        assert said.code == 0, said.err
        assert "{" not in said.out
        assert token.serial in said.out or command == ("batch", "status")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """A command, the exit code that it ends with, and words that it says."""

    command: Sequence[str]
    code: int
    says: str


ENDINGS = (
    Ending(command=("--version",), code=0, says="version"),
    Ending(command=("batch", "status"), code=0, says="batch"),
    Ending(command=("nonsense",), code=2, says="No such command"),
    Ending(command=("batch", "run"), code=2, says="Missing argument"),
    Ending(command=("batch", "status", "none"), code=2, says="there is no batch none"),
    Ending(command=("manifest", "show", "99"), code=2, says="The last entry is 0"),
    Ending(command=("manifest", "verify", "gone"), code=2, says="not a manifest's folder"),
    Ending(command=("init", "{home}"), code=3, says="is there and not empty"),
    Ending(command=("init", "{home}-2", "--custodian", "x"), code=2, says="is not PURPOSE=FILE"),
    Ending(command=("init", "{home}-2", "--name", "Ü"), code=2, says="cannot name a station"),
    Ending(command=("--home", "gone", "batch", "status"), code=3, says="tokenprov init gone"),
    Ending(
        command=(
            *("escrow", "open", "1", "--purpose", "help-desk", "--key", "gone"),
            *("--reason", "a test"),
        ),
        code=7,
        says="cannot be read",
    ),
    Ending(
        command=("escrow", "open", "1", "--purpose", "x", "--key", "gone"),
        code=2,
        says="break-glass",
    ),
    Ending(
        command=("escrow", "open", "1", "--purpose", "help-desk", "--key", "gone"),
        code=2,
        says="--reason",
    ),
    Ending(
        command=(
            *("escrow", "open", "1", "--purpose", "help-desk", "--key", "gone"),
            *("--reason", " "),
        ),
        code=2,
        says="without a reason",
    ),
)


@pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: " ".join(ending.command))
def test_exit_codes(station: Station, ending: Ending) -> None:
    """Each ends with the documented code and its remedy, and never with a trace."""
    said = station.tell(*(part.format(home=station.home) for part in ending.command))
    assert said.code == ending.code, said
    assert ending.says in said.out + said.err
    assert "Traceback" not in said.err


def test_a_changed_manifest_ends_with_6(station: Station, token: TokenUnderTest) -> None:
    """One changed byte of a batch's manifest is found, named, and is exit code 6."""
    assert station.tell(*station.batch()).code == 0
    (bundle,) = (station.home / "manifest").glob("tile/entries/000.p/2")
    bundle.write_bytes(bundle.read_bytes().replace(b'"operator"', b'"operat0r"', 1))
    said = station.tell("manifest", "verify", "--json")
    assert said.code == 6
    assert said.document["holds"] is False
    assert "tile/entries/000.p/2" in {finding["file"] for finding in said.document["findings"]}
    assert faults(said.document, "manifest verify") == []
    told = station.tell("manifest", "verify")
    assert told.code == 6
    assert "Restore it from a copy" in told.out


def test_another_custodians_key_ends_with_7(station: Station, token: TokenUnderTest) -> None:
    """Envelopes to the help desk do not open with another custodian's key."""
    assert station.tell(*station.batch()).code == 0
    key = station.home / "custodians" / "private" / "authentication-server.pem"
    custodian = ("--purpose", "help-desk", "--key", key, "--reason", "a test")
    said = station.tell("escrow", "open", token.serial, *custodian)
    assert said.code == 7
    assert "Open it with the private key of help-desk" in said.err
    assert said.out == ""


def test_the_readme_has_every_exit_code() -> None:
    """The codes of the errors are those that the README lists."""
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.M)}
    assert {ending.code for ending in ENDINGS} | {4, 6, 8, 130} <= listed


def test_help_needs_no_home() -> None:
    """Every command explains itself anywhere."""
    for command in COMMANDS:
        said = tell("--home", "nowhere", command, "--help")
        assert said.code == 0
        assert "Usage:" in said.out
