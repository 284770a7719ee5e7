"""SIGKILL at every write of a change of keys, of cosignatures and of the append after them.

Whatever the instant, the manifest has its old head and key or its new ones, never neither, and the
station goes on by itself.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.crash.points import ANY, Point
from tests.crash.program import Program, Run
from tests.peers.test_verifier_script import faults
from tests.stations import tell
from tokenprov.errors import TokenprovError
from tokenprov.home import Home
from tokenprov.record.commit import key_in_use
from tokenprov.record.entry import Entry, entry_head
from tokenprov.record.folder import ManifestFolder
from tokenprov.record.head import Held
from tokenprov.record.kinds import Kind
from tokenprov.record.manifest import Manifest, verify_manifest
from tokenprov.record.verifier_key import VerifierKey

WHY = ("--reason", "a test", "--operator", "olga")


@pytest.fixture(scope="module")
def program() -> Iterator[Program]:
    """The command line, killed where the test says; no token is asked."""
    with Program({}) as made:
        yield made


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A station with two keys behind it, and a witness that cosigned its head."""
    folder = tmp_path_factory.mktemp("template")
    home = folder / "home"
    assert tell("init", home, "--name", "bench", "--operator", "olga").code == 0
    key = (home / "manifest" / "manifest.vkey").read_text().strip()
    lines_of(folder, "first")
    assert tell("--home", home, "manifest", "rotate-key", *WHY).code == 0
    lines_of(folder, "last")
    assert tell("witness", "init", folder / "w", "--name", "w.example").code == 0
    cosign = ("witness", "cosign", folder / "w", home / "manifest", "--key", key)
    assert tell(*cosign).code == 0
    (folder / "first").write_text(key)
    return folder


def lines_of(folder: Path, name: str) -> None:
    """Have a witness elsewhere cosign what the manifest is now, and keep its answer in a file."""
    made = tell("witness", "init", folder / f"{name}-state", "--name", name)
    (folder / f"{name}.vkey").write_text(made.out)
    (folder / "shown").write_text(tell("--home", folder / "home", "manifest", "submit").out)
    key = ("--key", folder / "home" / "manifest" / "manifest.vkey")
    said = tell("witness", "cosign", folder / f"{name}-state", folder / "shown", *key)
    assert said.code == 0, said.err
    (folder / f"{name}.lines").write_text(said.out)


class Desk:
    """A copy of the template, in which a command is killed."""

    def __init__(self, program: Program, template: Path, folder: Path) -> None:
        self._program, self._template, self._folder = program, template, folder
        self.home, self.witness = folder / "home", folder / "w"
        self.first = VerifierKey.parse((template / "first").read_text())

    def fresh(self) -> None:
        """Everything as it was."""
        shutil.rmtree(self._folder, ignore_errors=True)
        shutil.copytree(self._template, self._folder)

    def run(self, command: Sequence[str], stop: Point | None = None) -> Run:
        """Run it, killed at a point."""
        names = {"home": self.home, "witness": self.witness, "folder": self._folder}
        words = [word.format(**names) for word in command]
        return self._program.run("--home", str(self.home), *words, stop=stop)

    def faults(self, *, epoch: bool) -> list[str]:
        """What is wrong right after the kill: it must read, and its last checkpoint hold."""
        try:
            log = Manifest.open(self.home / "manifest")
            entries = list(log.entries())
        except TokenprovError as error:
            return [f"it cannot be read: {error}"]
        wrong = [] if len(entries) == log.size else ["its entries are not all there"]
        return wrong + self._unheld(epoch, {"pending", "verifier-key", "stray"})

    def goes_on(self, *, epoch: bool) -> list[str]:
        """Append, as any command does: then everything must hold, and one key be left or two."""
        try:
            home = Home.open(self.home)
            with home.working():
                entry: Entry = {
                    **entry_head(Kind.DRILL, time=home.clock(), station="bench", operator="olga"),
                    **{"drill": "restore", "outcome": "passed", "facts": {}},
                }
                home.manifest.append(entry)
            home.manifest.close()
            home.ledger.close()
        except TokenprovError as error:
            return [f"it does not go on: {error}"]
        retired = {str(e["old"]).split("+")[1] for _, e in home.manifest.key_changes()}
        left = {path.stem for path in (self.home / "keys").iterdir()} & retired
        wrong = [f"keys that were taken over from are left: {left}"] if left else []
        return wrong + self._unheld(epoch, set())

    def _unheld(self, epoch: bool, but: set[str]) -> list[str]:
        keys = [self.first]
        if epoch:
            keys = [key_in_use(ManifestFolder(self.home / "manifest"))]
        report = verify_manifest(self.home / "manifest", held=Held(keys=keys))
        found = [str(one) for one in report.findings if one.rule not in but]
        if not but:
            found += faults(self.home / "manifest", list(map(str, keys)))
        return found


def writes(run: Run) -> list[Point]:
    """Where it changed the disk, by their order: names of keys are drawn."""
    return [
        Point(name=ANY, turn=turn)
        for turn, point in enumerate(run.points, start=1)
        if point.name not in ("commit", "end")
    ]


COMMANDS: dict[str, tuple[str, ...]] = {
    "rotate-key": ("manifest", "rotate-key", *WHY),
    "an epoch": ("manifest", "rotate-key", "--lost", *WHY),
    "witness cosign": ("witness", "cosign", "{witness}", "{home}/manifest"),
}


@pytest.mark.parametrize(("name", "place"), [("last", "checkpoint"), ("first", "cosigned/1")])
def test_lines_from_elsewhere_are_kept_or_not_yet(
    program: Program, template: Path, tmp_path: Path, name: str, place: str
) -> None:
    """Of the head, or of one before it and another key: there at once or not yet, and once."""
    desk = Desk(program, template, tmp_path / "desk")
    witness = ("--witness", f"{{folder}}/{name}.vkey")
    command = ("manifest", "add-cosignatures", f"{{folder}}/{name}.lines", *witness)

    def lines() -> int:
        path = desk.home / "manifest" / place
        return path.read_text().count(f"— {name} ") if path.exists() else 0

    desk.fresh()
    whole = desk.run(command)
    assert (whole.status, lines()) == (0, 1), whole.said
    points, found = writes(whole), list[str]()
    for point in points:
        desk.fresh()
        assert lines() == 0
        run = desk.run(command, point)
        after = [] if run.killed else [f"it was not killed: {run.said}"]
        after += desk.faults(epoch=False)
        again = desk.run(command)
        after += [] if (again.status, lines()) == (0, 1) else [f"again: {again.said}"]
        after += desk.goes_on(epoch=False)
        found += [f"killed before {point}: {fault}" for fault in after]
    assert len(points) > 3
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", COMMANDS)
def test_killed_at_any_write(program: Program, template: Path, tmp_path: Path, name: str) -> None:
    """The old head or the new one, the old key or the new one, and the station goes on."""
    desk, epoch = Desk(program, template, tmp_path / "desk"), name == "an epoch"
    desk.fresh()
    whole = desk.run(COMMANDS[name])
    assert (whole.status, desk.goes_on(epoch=epoch)) == (0, []), whole.said
    points = writes(whole)
    found: list[str] = []
    for point in points:
        desk.fresh()
        run = desk.run(COMMANDS[name], point)
        after = [] if run.killed else [f"it was not killed: {run.said}"]
        after += desk.faults(epoch=epoch)
        after += desk.goes_on(epoch=epoch)
        again = desk.run(COMMANDS[name])
        after += [] if again.status == 0 else [f"the same command again: {again.said}"]
        after += desk.goes_on(epoch=epoch)
        found += [f"killed before {point}: {fault}" for fault in after]
    assert len(points) > 8
    assert not found, "\n".join(found)


def test_what_others_signed_survives_a_kill(
    program: Program, template: Path, tmp_path: Path
) -> None:
    """An append that is cut off has the witness' line in the head or in the file that is kept."""
    desk = Desk(program, template, tmp_path / "desk")
    append = ("manifest", "rotate-key", *WHY)
    desk.fresh()
    points = writes(desk.run(append))

    def check() -> bool:
        folder = desk.home / "manifest"
        kept = [*folder.glob("cosigned/2"), folder / "checkpoint"]
        return any(b"w.example" in path.read_bytes() for path in kept)

    lost: list[str] = []
    for point in points:
        desk.fresh()
        desk.run(append, point)
        lost += [] if check() else [str(point)]
        desk.goes_on(epoch=False)
        lost += [] if check() else [f"{point}, and gone on"]
    assert not lost
