"""SIGKILL in what is done to a token behind a PKCS#11 module after its issue.

Unblocking, rotation, renewal and return, and the wipe of a used one on the line: killed before each
request that writes to the token and at a sample of the writes of the disk, the same command
finishes. After the kill the token's PINs are with the custodians, or are the published one; at the
end those in force are the active ones.
"""

from __future__ import annotations

import getpass
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile
from pathlib import Path

import pytest

from tests.crash.on_disk import OnDisk, private_keys
from tests.crash.points import Point
from tests.crash.program import Program, Run
from tests.module_station import PUBLISHED, ModuleStation, issued_behind_a_module
from tests.softhsm import SOFTHSM
from tests.stations import HEADER
from tokenprov.errors import AuthenticationFailed
from tokenprov.model import Purpose
from tokenprov.pkcs11 import Module, TokenInfo
from tokenprov.record.manifest import Manifest, verify_manifest
from tokenprov.secret import Secret

EVERY = 40  # of the writes of the disk that are in a sample
PIN_FILE = "HOLDERS_PIN"  # environment: where the holder's PIN stands
SO_PIN, USER_PIN = "pkcs11/token", "pkcs11/user-pin"
USED, SOMEBODYS = "somebody's", "55555555"  # another token's label, and its user PIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """A command, the custodian whose key it takes, and the kind of entry that it ends with."""

    words: Sequence[str]
    kind: str
    by: Purpose | None = Purpose.TOKEN_ADMINISTRATION


ACTS: Mapping[str, Act] = {
    "unblock": Act(words=("unblock",), kind="unblocked"),
    "rotate": Act(words=("rotate",), kind="rotated"),
    "renew": Act(words=("renew", "--within", "5000", "--pin"), kind="rotated", by=None),
    "return": Act(words=("return",), kind="wiped"),
}


def holder_types() -> None:
    """In the program: a holder types the PIN (for `Program.run`)."""
    getpass.getpass = lambda *_, **__: Path(os.environ[PIN_FILE]).read_text()  # type: ignore[assignment]  # nobody is there


class Desk:
    """A station and its token, as they were when the token was issued."""

    def __init__(self, made: ModuleStation, program: Program, folder: Path) -> None:
        self.made, self._program, self._before = made, program, folder / "before"
        self.disk = OnDisk(made.station.home, private_keys(made.station.home))
        shutil.copytree(made.station.home, self._before / "station")
        shutil.copytree(self._tokens, self._before / "tokens")
        os.environ[PIN_FILE] = str(folder / "pin")

    @property
    def _tokens(self) -> Path:
        return self.made.hsm.folder / "tokens"

    def fresh(self) -> None:
        """As it was."""
        for there, name in ((self.disk.home, "station"), (self._tokens, "tokens")):
            shutil.rmtree(there)
            shutil.copytree(self._before / name, there)
        Path(os.environ[PIN_FILE]).write_text(self.known(USER_PIN)[-1].reveal_text())

    def run(self, act: Act, stop: Point | None = None) -> Run:
        """Do it, killed at a point."""
        key = () if act.by is None else ("--key", str(self.made.key(act.by)))
        words = (act.words[0], self.made.serial, *act.words[1:], *key, "--operator", "tester")
        home = ("--home", str(self.disk.home))
        world = f"{__name__}:{holder_types.__name__}"
        return self._program.run(*home, *words, "--reason", "a test", stop=stop, world=world)

    def wipe(self, serial: str, stop: Point | None = None) -> Run:
        """A batch that may wipe that token, killed at a point."""
        roster = self.disk.home.with_name("another.csv")
        roster.write_text(f"{HEADER}\nE9,Nia Example,nia@example.test,nia@corp.example.test\n")
        batch = ("batch", "run", str(roster), "--profile", str(self.made.profile), "--wait", "0")
        options = ("--wipe", serial, "--reason", "a test", "--operator", "tester")
        return self._program.run("--home", str(self.disk.home), *batch, *options, stop=stop)

    def known(self, name: str, *states: str, serial: str = "") -> list[Secret]:
        """What custodians can open of that name; the last one was sealed last."""
        return [
            Secret(one.value)
            for one in self.disk.sealed(serial or self.made.serial)
            if one.context.name == name and (not states or one.state in states)
        ]

    def lost(self, module: Module, token: TokenInfo, *states: str) -> Iterator[str]:
        """PINs of the token that nobody can open."""
        published = [Secret(PUBLISHED)] if not token.has_pin else []
        officers = [*self.known(SO_PIN, *states), *published]
        if not any(_takes(module.log_in_officer, token, one) for one in officers):
            yield "its SO PIN is lost"
        users = self.known(USER_PIN, *states)
        if token.has_pin and not any(_takes(module.log_in, token, one) for one in users):
            yield "its user PIN is lost"

    def faults(self, *states: str) -> list[str]:
        """What is lost of the token, as it is now."""
        with Module(SOFTHSM) as module:
            (token,) = [one for one in module.tokens() if one.serial == self.made.serial]
            return list(self.lost(module, token, *states))

    def settled(self, act: Act) -> Iterator[str]:
        """What is wrong once the command says that it is done."""
        yield from self.faults("active")
        if self._entries(act) != 1:
            yield f"{self._entries(act)} entries {act.kind}"
        with Module(SOFTHSM) as module:
            (token,) = [one for one in module.tokens() if one.serial == self.made.serial]
            shown = module.objects(token)
        if len(shown.of("CERTIFICATE", b"\1")) != (0 if act.kind == "wiped" else 1):
            yield "it has not the certificates that it should have"
        if self.disk.rows("SELECT id FROM envelopes WHERE purpose = 'station'"):
            yield "the station still holds envelopes of its own"
        if self._unfinished():
            yield "a work is not finished"
        yield from map(str, verify_manifest(self.disk.home / "manifest").findings)

    def _entries(self, act: Act) -> int:
        entries = Manifest.open(self.disk.home / "manifest").entries()
        return sum(one["kind"] == act.kind for one in entries)

    def _unfinished(self) -> bool:
        found = self.disk.rows("SELECT id FROM works WHERE entry_index IS NULL AND ended IS NULL")
        return bool(found)

    def _batch(self) -> str:
        return str(self.disk.rows("SELECT id FROM batches")[0]["id"])

    def trial(self, act: Act, stop: Point) -> list[str]:
        """Kill it at a point, look, let it finish, and look again."""
        self.fresh()
        run = self.run(act, stop)
        found = [] if run.killed else [f"it was not killed: {run.said}"]
        found += self.faults()
        if self._entries(act):  # its entry was durable: the next command catches up
            self._program.run("--home", str(self.disk.home), "batch", "retry", self._batch())
        if not self._entries(act) or self._unfinished():
            again = self.run(act)
            found += [again.said] if again.status else []
        found += self.settled(act)
        return [f"killed before {stop}: {one}" for one in found]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A station whose one token behind a module is somebody's."""
    folder = tmp_path_factory.mktemp("module")
    made = issued_behind_a_module(folder)
    made.hsm.deliver(USED, PUBLISHED, SOMEBODYS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", made.environment["SOFTHSM2_CONF"])
        patch.setenv(PIN_FILE, str(folder / "pin"))
        with Program(made.environment) as program:
            yield Desk(made, program, folder)


def token_writes(points: Sequence[Point]) -> list[Point]:
    """Each request that writes to the token, and what comes after it: it was carried out then."""
    pairs = pairwise(points)
    found = [two for one, two in pairs if one.is_module and one.writes and two.name != "end"]
    before = [point for point in points if point.is_module and point.writes]
    return list(dict.fromkeys([*before, *found]))


def sample(points: Sequence[Point]) -> list[Point]:
    """The writes of the token, and some of the disk's."""
    disk = [point for point in points if point.writes and not point.is_module]
    return list(dict.fromkeys([*token_writes(points), *disk[::EVERY]]))


def _takes(log_in: object, token: TokenInfo, pin: Secret) -> bool:
    assert callable(log_in)
    try:
        log_in(token.serial, pin)
    except AuthenticationFailed:
        return False
    return True


@pytest.mark.parametrize("name", ACTS)
def test_the_same_command_finishes_what_was_cut_off(desk: Desk, name: str) -> None:
    """Killed before a write of the token or the disk: it finishes, and no PIN is lost."""
    act = ACTS[name]
    desk.fresh()
    whole = desk.run(act)
    assert (whole.status, list(desk.settled(act))) == (0, []), whole.said
    points = sample(whole.points)
    assert any(point.is_module for point in points)
    found = [one for point in points for one in desk.trial(act, point)]
    assert not found, "\n".join(found)


def test_a_wipe_on_the_line_is_finished(desk: Desk) -> None:
    """A used token is erased once more, or is found erased; then it is made, and no PIN is lost."""
    desk.fresh()
    with Module(SOFTHSM) as module:
        (serial,) = {one.serial for one in module.tokens() if one.label == USED}
    whole = desk.wipe(serial)
    assert (whole.status, wiped_and_made(desk, serial)) == (0, []), whole.said
    until = takewhile(lambda point: point.name != "module init_pin", whole.points)
    erasing = token_writes(list(until))
    found: list[str] = []
    for point in erasing:
        desk.fresh()
        run = desk.wipe(serial, point)
        again = desk.wipe(serial)
        wrong = [] if run.killed else [f"it was not killed: {run.said}"]
        wrong += [again.said] if again.status else []
        wrong += wiped_and_made(desk, serial)
        found += [f"killed before {point}: {one}" for one in wrong]
    assert any("initialise" in point.name for point in erasing)
    assert not found, "\n".join(found)


def wiped_and_made(desk: Desk, serial: str) -> list[str]:
    """What is wrong with a used token that was to be wiped and issued."""
    log = Manifest.open(desk.disk.home / "manifest")
    mine = [
        str(one["kind"]) for one in log.entries() if one.get("token", {}).get("serial") == serial
    ]
    wrong = [] if mine == ["wiped", "issued"] else [f"its entries are {mine}"]
    with Module(SOFTHSM) as module:
        (token,) = [one for one in module.tokens() if one.serial == serial]
        for name, log_in in ((SO_PIN, module.log_in_officer), (USER_PIN, module.log_in)):
            active = desk.known(name, "active", serial=serial)
            opens = any(_takes(log_in, token, one) for one in active)
            wrong += [] if opens else [f"{name} is lost"]
    return wrong + [str(one) for one in verify_manifest(desk.disk.home / "manifest").findings]
