"""SIGKILL in what ends or holds a token, codes and backups: the same command finishes each.

A token is issued once, and the home copied for each trial. After the kill the manifest holds; after
the same command again the token stands where it was to stand, by one entry, and what relies on it
reads back as such.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.crash.points import Point
from tests.crash.recovery import all_of
from tests.crash.station import Station, station
from tokenprov.backup import restore
from tokenprov.directory import RelyingParty
from tokenprov.home import Home
from tokenprov.lifecycle.subject import find_token
from tokenprov.model import Purpose
from tokenprov.record.escrow import KeyInMemory, load_private
from tokenprov.record.history import State
from tokenprov.record.manifest import verify_manifest
from tokenprov.record.recovery import CodeFolder

WHY = ("--reason", "a test", "--operator", "tester")
GOOD, ON_HOLD, REVOKED = "good", "on hold", "revoked"
PIV_ALONE = """
name = "piv-alone"
extends = "standard-employee"
without = ["otp", "fido2"]
"""
OLDER = "yubikey-4.3.7"  # without FIDO2, which is reset only where a token is put in again


@dataclass(kw_only=True)
class Desk:
    """A station whose one token is Ada's, and copies of its home and token from before."""

    made: Station
    serial: int
    before: Path
    token: dict[str, Any]

    def again(self) -> None:
        """As it was before."""
        shutil.rmtree(self.made.home)
        shutil.copytree(self.before, self.made.home)
        self.made.control.restore(self.serial, self.token)

    def keep(self, name: str) -> Desk:
        """As it is now is how it was before; `name` is of the copy."""
        before = self.before.with_name(name)
        shutil.copytree(self.made.home, before)
        token = self.made.control.snapshot(self.serial)
        return Desk(made=self.made, serial=self.serial, before=before, token=token)

    def run(self, *command: str, stop: Point | None = None) -> Any:
        """A command, killed at a point."""
        return self.made.run("--home", str(self.made.home), *command, stop=stop)


def desk_of(made: Station) -> Desk:
    """Issue the token."""
    made.fresh()
    run = made.issue()
    assert run.status == 0, run.said
    before = made.folder / "before"
    shutil.copytree(made.home, before)
    return Desk(
        made=made, serial=made.serial, before=before, token=made.control.snapshot(made.serial)
    )


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """By the standard profile: a certificate and a passkey rely on the token."""
    with station(tmp_path_factory.mktemp("standing")) as made:
        yield desk_of(made)


@pytest.fixture(scope="module")
def piv(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """With PIV alone, on a token that can be emptied in its reader."""
    folder = tmp_path_factory.mktemp("piv")
    (folder / "piv.toml").write_text(PIV_ALONE)
    with station(folder, model=OLDER, profile=folder / "piv.toml") as made:
        yield desk_of(made)


def standing(home: Home, serial: int) -> tuple[State, str, str]:
    """Where the token stands, and what relies on it as it is read where it is accepted."""
    token = find_token(home, str(serial))
    facts = {id: step["facts"] for id, step in token.steps.items()}
    issued = facts["piv/9a/certificate"]["serialNumber"]
    status = home.issuer("local").status(issued, home.clock())
    certificate = ON_HOLD if status.on_hold else str(status.standing)
    passkey = ""
    for id in facts:
        if id.startswith("fido2/credential/"):
            found = _party(home, id).find(token.order.id)
            held = found is not None and found.suspended is not None
            passkey = REVOKED if found is None else ON_HOLD if held else GOOD
    return token.state, certificate, passkey


def _party(home: Home, id: str) -> RelyingParty:
    rp_id = id.removeprefix("fido2/credential/")
    return home.relying_party(rp_id, rp_id)


def judged(desk: Desk, look: Callable[[Home], list[str]]) -> list[str]:
    """What is wrong with the record, and what a look at the home finds."""
    faults = [str(one) for one in verify_manifest(desk.made.home / "manifest").findings]
    home = Home.open(desk.made.home)
    try:
        return faults + look(home)
    finally:
        home.ledger.close()
        home.manifest.close()


def entries(desk: Desk, kind: str) -> int:
    """How many there are."""
    home = Home.open(desk.made.home)
    try:
        return sum(entry["kind"] == kind for entry in home.manifest.entries())
    finally:
        home.ledger.close()
        home.manifest.close()


def killed_everywhere(
    desk: Desk,
    command: Sequence[str],
    kind: str,
    look: Callable[[Home], list[str]],
    *,
    every: int = 1,
    token_every: int = 1,
    twice: bool = False,
) -> None:
    """Kill it at writes, look at the record, run it again, and look at everything.

    One in `every` writes of the disk and in `token_every` of the token is taken. `twice`: killed
    when its entry was as good as there, it is done once more by the same command.
    """
    desk.again()
    run = desk.run(*command)
    assert run.status == 0, run.said
    assert judged(desk, look) == []
    made = entries(desk, kind)

    def trial(stop: Point) -> list[str]:
        desk.again()
        run = desk.run(*command, stop=stop)
        faults = [] if run.killed else [f"it was not killed: {run.said}"]
        torn = verify_manifest(desk.made.home / "manifest").findings
        faults += [str(one) for one in torn if one.rule != "pending"]
        done = entries(desk, kind) == made  # its entry was durable: it is not to be done again
        run = desk.run(*command)
        faults += [run.said] if run.status and not done else []
        if done and run.status:  # what follows an entry, the next command does
            desk.run("suspend", "1", *WHY)
        faults += judged(desk, look)
        if not made <= entries(desk, kind) <= made + twice:
            faults.append(f"{entries(desk, kind)} entries {kind}, and not {made}")
        return [f"{' '.join(command[:2])} killed before {stop}: {fault}" for fault in faults]

    stops = [point for point in run.points if point.writes]
    token = [point for point in stops if point.is_apdu]
    disk = [point for point in stops if not point.is_apdu]
    all_of([*token[::token_every], *disk[::every]], trial, command[0])


def at(desk: Desk, *wanted: object) -> Callable[[Home], list[str]]:
    """A look that finds where the token and what relies on it stand, and nothing unfinished."""

    def look(home: Home) -> list[str]:
        found = standing(home, desk.serial)
        faults = [] if found == wanted else [f"it is {found}, and not {wanted}"]
        return faults + [f"{one.kind} is not finished" for one in home.ledger.works.unfinished()]

    return look


def test_killed_while_a_token_is_suspended_and_resumed(desk: Desk) -> None:
    """At every write of suspending, and a third of those of resuming."""
    serial = str(desk.serial)
    held = at(desk, State.SUSPENDED, ON_HOLD, ON_HOLD)
    killed_everywhere(desk, ("suspend", serial, *WHY), "suspended", held)
    desk.again()
    assert desk.run("suspend", serial, *WHY).status == 0
    free = at(desk, State.HELD, GOOD, GOOD)
    killed_everywhere(desk.keep("suspended"), ("resume", serial, *WHY), "resumed", free, every=3)


def test_killed_while_a_holder_leaves(desk: Desk) -> None:
    """At a third of the writes."""
    ended = at(desk, State.REVOKED, REVOKED, REVOKED)
    killed_everywhere(desk, ("holder", "leave", "e1", *WHY), "revoked", ended, every=3)


def test_killed_while_a_token_is_destroyed(desk: Desk) -> None:
    """At a fourth of the writes of its retiring."""
    ended = at(desk, State.RETIRED, REVOKED, REVOKED)
    options = ("--means", "destroyed", "--witness", "walter")
    killed_everywhere(desk, ("retire", str(desk.serial), *options, *WHY), "retired", ended, every=4)


@pytest.mark.parametrize(
    ("command", "kind", "state", "every"),
    [
        (("return",), "wiped", State.STOCK, (1, 5)),
        (("retire", "--witness", "walter"), "retired", State.RETIRED, (5, 10)),
    ],
)
def test_killed_while_a_token_is_emptied(
    piv: Desk, command: tuple[str, ...], kind: str, state: State, every: tuple[int, int]
) -> None:
    """At every write of the token and a fifth of the disk's; at the end it is the factory's.

    Retiring does the same before its own entry, so that fewer are taken of it.
    """
    factory = piv.token["applets"]["piv"]["puk"]["tries"]

    def look(home: Home) -> list[str]:
        faults = at(piv, state, REVOKED, "")(home)
        puk = piv.made.control.snapshot(piv.serial)["applets"]["piv"]["puk"]
        if bytes.fromhex(puk["value"]) != b"12345678" or puk["tries"] == factory == 5:
            faults.append("it is not emptied")
        return faults

    name, *options = command
    arguments = (name, str(piv.serial), *options, *WHY)
    killed_everywhere(piv, arguments, kind, look, every=every[1], token_every=every[0])


def test_killed_while_codes_are_given(desk: Desk, tmp_path: Path) -> None:
    """At every third write: the last list that was given is the only one that is kept."""
    rules = tmp_path / "rules.toml"
    rules.write_text('name = "few"\ndescription = "few codes"\n[recovery-codes]\ncodes = 1\n')

    def look(home: Home) -> list[str]:
        lists = [e["list"] for e in home.manifest.entries() if e["kind"] == "recovery-codes"]
        kept = CodeFolder(home.path).names()
        return [] if kept == lists[-1:] else [f"{kept} are kept of {lists}"]

    desk.again()
    assert desk.run("policy", "use", str(rules), *WHY).status == 0
    desk = desk.keep("few-codes")
    command = ("holder", "recovery-codes", "e1", *WHY)
    run = desk.run(*command)
    assert run.status == 0, run.said

    def trial(stop: Point) -> list[str]:
        desk.again()
        run = desk.run(*command, stop=stop)
        faults = [] if run.killed else [f"it was not killed: {run.said}"]
        run = desk.run(*command)
        faults += [run.said] if run.status else []
        faults += [] if len(run.stdout.split()) == 2 else ["it told no code with its number"]
        return [f"killed before {stop}: {fault}" for fault in faults + judged(desk, look)]

    all_of([point for point in run.points if point.writes][::3], trial, "recovery-codes")


def test_killed_while_a_home_is_backed_up(desk: Desk, tmp_path: Path) -> None:
    """At every write: no half of a backup has its name, and the home is as it was."""
    private = desk.before / "custodians" / "private" / f"{Purpose.BREAK_GLASS}.pem"
    key = KeyInMemory(private=load_private(private))
    folder = tmp_path / "backups"

    def names() -> set[str]:
        return {str(path.relative_to(desk.made.home)) for path in desk.made.home.rglob("*")}

    def trial(stop: Point | None) -> list[str]:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        desk.again()
        out = folder / "backup"
        run = desk.run("backup", str(out), stop=stop)
        if stop is None:
            points[:] = [point for point in run.points if point.writes]
        faults = [] if run.killed or stop is None else [f"it was not killed: {run.said}"]
        if not out.exists():
            run = desk.run("backup", str(out))
            faults += [run.said] if run.status else []
        left = [path.name for path in folder.iterdir() if path != out]
        faults += [f"{name} is left beside it" for name in left if not name.startswith(".")]
        with out.open("rb") as source:
            copy = restore(source, folder / "home", key)
        faults += [] if copy.size == 2 else [f"{copy.size} entries are in it"]
        desk.run("backup", str(folder / "another"))
        faults += [f"{name} is left" for name in names() if "snapshot" in name]
        return [f"backup killed before {stop}: {fault}" for fault in faults]

    points: list[Point] = []
    assert trial(None) == []
    all_of(points[::4] + points[-12:], trial, "backup")


def test_killed_while_later_entries_come_in(desk: Desk, tmp_path: Path) -> None:
    """At a sample of the writes of a restore: the home is there whole or not at all."""
    key = desk.before / "custodians" / "private" / f"{Purpose.BREAK_GLASS}.pem"
    file, copy, into = tmp_path / "backup", tmp_path / "copy", tmp_path / "new"
    desk.again()
    assert desk.run("backup", str(file)).status == 0
    assert desk.run("suspend", str(desk.serial), *WHY).status == 0
    shutil.copytree(desk.made.home / "manifest", copy)
    command = ("restore", str(file), str(into), "--key", str(key), "--manifest", str(copy))

    def look() -> list[str]:
        home = Home.open(into)
        try:
            found = standing(home, desk.serial)
            faults = [] if found == (State.SUSPENDED, ON_HOLD, ON_HOLD) else [f"it is {found}"]
            faults += [f"{one.kind} is open" for one in home.ledger.works.unfinished()]
        finally:
            home.ledger.close()
            home.manifest.close()
        return faults + [str(one) for one in verify_manifest(into / "manifest").findings]

    def trial(stop: Point) -> list[str]:
        shutil.rmtree(into)
        run = desk.run(*command, stop=stop)
        faults = [] if run.killed else [f"it was not killed: {run.said}"]
        if not into.exists():
            run = desk.run(*command)
            faults += [run.said] if run.status else []
        faults += look()
        left = [path.name for path in tmp_path.iterdir() if path.name.endswith(".new")]
        faults += [f"{name} is left" for name in left if run.status == 0 and not run.killed]
        return [f"restore killed before {stop}: {fault}" for fault in faults]

    run = desk.run(*command)
    assert run.status == 0, run.said
    assert look() == []
    writes = [point for point in run.points if point.writes]
    all_of(writes[:: len(writes) // 20 or 1], trial, "restore")
