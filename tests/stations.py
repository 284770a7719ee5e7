"""A station home for tests, and the commands that work in it, as a person gives them.

`Station.tell` runs a command in this process by the program's own entry (a second and a half
faster than a new process each time); `Station.start` runs it as a program of its own, on a bench of
the test's choice.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import forked
from tokenprov.cli import main

SECONDS = 60.0
STANDARD = "standard-employee"
HEADER = "id,name,email,upn"
NAMES = ("Ada Okonkwo", "Jürgen Weiß", "Siobhán Ní Dhomhnaill", "山田 花子", "Tomáš Dvořák")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Its data, as JSON."""
        return json.loads(self.out)

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events it told with --json, in order."""
        return [json.loads(line) for line in self.err.splitlines() if line.startswith("{")]

    def only(self, event: str) -> dict[str, Any]:
        """The one event of that name; fails where it is none or more than one."""
        (found,) = [one for one in self.events if one["event"] == event]
        return found


def tell(*arguments: str | Path, listener: io.StringIO | None = None) -> Said:
    """Run a command in this process; `listener` hears at once what it says on standard error."""
    out, err = io.StringIO(), listener or io.StringIO()
    before, sys.argv = sys.argv, ["tokenprov", *map(str, arguments)]
    code: object = 0
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as ended:
        code = ended.code or 0
    finally:
        sys.argv = before
    assert isinstance(code, int), code
    return Said(code=code, out=out.getvalue(), err=err.getvalue())


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """A station home; `environment` leads its programs to a bench."""

    home: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def tell(self, *arguments: str | Path, listener: io.StringIO | None = None) -> Said:
        """Run a command in this process, on the bench that this process knows."""
        return tell("--home", self.home, *arguments, listener=listener)

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        """Start a command as a program of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "tokenprov", "--home", str(self.home), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **self.environment},
        )

    def run(self, *arguments: str | Path) -> Said:
        """Run a command as a program of its own."""
        done = forked.run(
            ["tokenprov", "--home", str(self.home), *map(str, arguments)],
            env={**os.environ, **self.environment},
            timeout=SECONDS,
        )
        return Said(code=done.returncode, out=done.stdout, err=done.stderr)

    def roster(self, holders: int = 1, name: str = "roster") -> Path:
        """A roster of so many holders, beside the home."""
        path = self.home.with_name(f"{name}.csv")
        rows = [
            f"E{number + 1},{NAMES[number % len(NAMES)]},e{number + 1}@example.test,"
            f"e{number + 1}@corp.example.test"
            for number in range(holders)
        ]
        path.write_text("\n".join([HEADER, *rows, ""]), encoding="utf-8")
        return path

    def batch(
        self, *, holders: int = 1, profile: str | Path = STANDARD, kit: int = 1, name: str = ""
    ) -> Sequence[str | Path]:
        """The arguments of `batch run --json` for a roster of so many holders."""
        roster = self.roster(holders, name or "roster")
        return ("batch", "run", roster, "--profile", profile, "--kit", str(kit), "--json")

    def entries(self, kind: str = "issued") -> list[dict[str, Any]]:
        """The entries of the manifest of that kind, joined with the holders' names."""
        shown = self.tell("manifest", "show", "--json").document
        return [entry for entry in shown if entry["kind"] == kind]

    def entry_of(self, named: str) -> dict[str, Any]:
        """The one entry that issued the token of that serial or mark."""
        tokens = [(entry, entry["token"]) for entry in self.entries()]
        (found,) = [one for one, its in tokens if named in (its["serial"], its.get("mark"))]
        return found

    def blob(self, digest: str) -> bytes:
        """A blob of the manifest."""
        (found,) = (self.home / "manifest").rglob(digest)
        return found.read_bytes()

    def secrets(self, serial: str) -> dict[str, str]:
        """Every secret of a token by name, opened with break-glass's key."""
        key = self.home / "custodians" / "private" / "break-glass.pem"
        said = self.tell(
            *("escrow", "open", serial, "--purpose", "break-glass", "--key", key),
            *("--reason", "the test asks", "--json"),
        )
        assert said.code == 0, said.err
        return {one["name"]: one["value"] for one in said.document}


def ended(process: subprocess.Popen[str]) -> Said:
    """Wait for a program to end."""
    try:
        out, err = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise
    return Said(code=process.returncode, out=out, err=err)


def make_station(folder: Path, environment: Mapping[str, str]) -> Station:
    """Make a home in `folder` that trusts the virtual tokens of a bench, where it is on one."""
    station = Station(home=folder / "station", environment=environment)
    trust = []
    if "TOKENPROV_SIM_ROOTS" in environment:
        roots = Path(environment["TOKENPROV_SIM_ROOTS"])
        trust = [f"--trust={roots / name}" for name in ("root.pem", "chain.pem")]
    made = tell("init", station.home, "--name", "bench", *trust)
    assert made.code == 0, made.err
    return station
