"""Tokens issued by the real command, for programs from elsewhere to look at.

Three virtual tokens stand in a private pcscd and a roster has two holders: two tokens are issued
by `python -m tokenprov batch run`, as a program of its own, and the third stays as the factory made
it, for comparison.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import forked
from tests.conftest import PROGRAMS
from tests.stations import STANDARD, Said, Station, make_station
from tokenprov.sim.bench import VirtualBench

SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """The bench, the station, and what the command said."""

    bench: VirtualBench
    station: Station
    said: Said
    entries: list[dict[str, Any]]  # of the manifest, in its order

    @property
    def serials(self) -> list[str]:
        """The tokens that were issued."""
        return sorted(entry["token"]["serial"] for entry in self.entries)

    @property
    def spare(self) -> str:
        """The token that nothing was done to."""
        (left,) = {str(serial) for serial in self.bench.serials} - set(self.serials)
        return left

    def entry(self, serial: str) -> dict[str, Any]:
        """The entry of a token."""
        (found,) = [entry for entry in self.entries if entry["token"]["serial"] == serial]
        return found

    def facts(self, serial: str, step: str) -> dict[str, Any]:
        """What the manifest says was read back for a step."""
        (found,) = [one for one in self.entry(serial)["steps"] if one["id"] == step]
        assert found["state"] == "match", found
        facts: dict[str, Any] = found["facts"]
        return facts

    def evidence(self, serial: str, kind: str) -> bytes:
        """The document of that kind which the manifest keeps for a token."""
        (digest,) = [
            one["sha256"]
            for step in self.entry(serial)["steps"]
            for one in step.get("evidence", ())
            if one["type"] == kind
        ]
        return self.station.blob(digest)

    def reader(self, serial: str) -> str:
        """The reader that a token is in."""
        return str(self.bench.control.token(int(serial))["reader"])

    def run(
        self,
        *command: str,
        code: int | None = 0,
        input: str = "",
        secrets: dict[str, str] | None = None,
    ) -> str:
        """Run a program at the bench; gives its standard output. `code` None: any failure.

        `secrets` are put in its environment, for programs that take a PIN that way.
        """
        path = os.pathsep.join([str(PROGRAMS), os.environ["PATH"]])
        own = {**self.bench.environment, **(secrets or {}), "PATH": path, "COLUMNS": "200"}
        done = forked.run(
            command,
            errors="replace",
            input=input,
            timeout=SECONDS,
            env={**os.environ, **own},
            cwd=self.station.home.parent,
        )
        as_expected = done.returncode != 0 if code is None else done.returncode == code
        assert as_expected, f"{command}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def write(self, name: str, data: bytes) -> str:
        """A file in the folder that programs run in; gives its name."""
        (self.station.home.parent / name).write_bytes(data)
        return name


@contextmanager
def issued_tokens(folder: Path, profile: str | Path = STANDARD) -> Iterator[Issued]:
    """Issue two tokens of three by a profile, in `folder`."""
    with VirtualBench(tokens=3) as bench:
        station = make_station(folder, bench.environment)
        said = station.run(*station.batch(holders=2, profile=profile))
        assert said.code == 0, said.out + said.err
        yield Issued(bench=bench, station=station, said=said, entries=station.entries())


def openssl(*arguments: str, folder: Path) -> str:
    """What OpenSSL says; fails where it says no."""
    done = subprocess.run(
        ["openssl", *arguments], capture_output=True, text=True, cwd=folder, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
