"""A station home and virtual tokens, made fresh for every run in a moment.

The home is made once by `tokenprov init` and copied; a token is replaced by a factory-fresh one.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from tests.crash.points import Point
from tests.crash.program import Program, Run
from tokenprov.model import Purpose
from tokenprov.record.escrow import SealContext, load_private, open_envelope
from tokenprov.sim.attestation import ROOTS_FOLDER
from tokenprov.sim.bench import VirtualBench
from tokenprov.sim.control import SimControl

PROFILE = "standard-employee"
NAMES = ("Ada Example", "Ben Muster")
STATION = "bench"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """An envelope in the ledger, opened by its custodian."""

    context: SealContext
    state: str
    value: bytes


class Station:
    """A bench, a station home for it, and the command that issues its tokens.

    `holders` rows are in the roster, with `kit` tokens each. `fresh` makes all as it was.
    """

    def __init__(
        self,
        folder: Path,
        bench: VirtualBench,
        program: Program,
        *,
        holders: int,
        kit: int,
        profile: str | Path = PROFILE,
    ) -> None:
        self.bench, self._program = bench, program
        self.folder = program.seen(folder)
        self.home = self.folder / "station"
        self._template = self.folder / "template"
        self._told_home, self._told_roster = folder / "station", folder / "roster.csv"
        self._kit, self._profile = kit, str(profile)
        self._secrets: dict[bytes, tuple[SealContext, bytes]] = {}  # by envelope, once opened
        made = program.run("init", str(folder / "template"), *self.init_options)
        if made.status != 0:
            raise RuntimeError(f"no station: {made.said}")
        rows = [
            f"e{n},{name},e{n}@example.test,e{n}@example.test\n"
            for n, name in enumerate(NAMES[:holders], start=1)
        ]
        (self.folder / "roster.csv").write_text("id,name,email,upn\n" + "".join(rows))
        self._private = {
            purpose: load_private(self._template / "custodians" / "private" / f"{purpose}.pem")
            for purpose in Purpose
        }

    @property
    def init_options(self) -> tuple[str, ...]:
        """What `init` is told beside the folder."""
        roots = Path(self.bench.environment[ROOTS_FOLDER])
        trust = [f"--trust={roots / name}" for name in ("root.pem", "chain.pem")]
        return ("--name", STATION, "--operator", "tester", *trust)

    @property
    def control(self) -> SimControl:
        """What a person at the bench can do."""
        return self.bench.control

    @property
    def serials(self) -> list[int]:
        """The tokens."""
        return self.bench.serials

    @property
    def serial(self) -> int:
        """The only token."""
        (serial,) = self.serials
        return serial

    def fresh(self, model: str | None = None) -> None:
        """The station as it was made, and a factory-fresh token in every reader."""
        shutil.rmtree(self.home, ignore_errors=True)
        shutil.copytree(self._template, self.home)
        for number in range(len(self.control.tokens())):
            self.control.replace(number, model=model)

    def issue(
        self,
        *options: str,
        stop: Point | None = None,
        late: float = 0,
        world: str = "",
    ) -> Run:
        """The command that this is all about; killed at a point, or some seconds after it."""
        command = (*self._command(wait=0), *options)
        return self._program.run(*command, stop=stop, late=late, world=world)

    def begin_issue(self, *, wait: float) -> None:
        """Begin it, to wait for tokens so many seconds; `end_issue` waits for it."""
        self._program.begin(*self._command(wait=wait))

    def end_issue(self) -> Run:
        """Wait for what was begun."""
        return self._program.end()

    def trial(self, what: str) -> Run:
        """Try secrets on a token (live.py)."""
        return self._program.trial(what)

    def run(self, *arguments: str, stop: Point | None = None, world: str = "") -> Run:
        """Another command."""
        return self._program.run(*arguments, stop=stop, world=world)

    def _command(self, *, wait: float) -> tuple[str, ...]:
        options = ["--profile", self._profile, "--kit", str(self._kit), "--wait", str(wait)]
        batch = ("batch", "run", str(self._told_roster), *options, "--operator", "tester")
        return ("--home", str(self._told_home), *batch)

    # --- what lies on the disk -------------------------------------------------------------

    @contextlib.contextmanager
    def ledger(self) -> Iterator[sqlite3.Connection]:
        """A copy of the ledger with what a killed process left in its log, by SQLite alone."""
        with tempfile.TemporaryDirectory() as folder:
            for path in self.home.glob("ledger.sqlite*"):
                if not path.name.endswith("-shm"):
                    shutil.copy(path, folder)
            with contextlib.closing(sqlite3.connect(Path(folder) / "ledger.sqlite")) as connection:
                connection.row_factory = sqlite3.Row
                connection.execute("PRAGMA synchronous = OFF")  # of a copy nothing need last
                yield connection

    def rows(self, query: str, *values: object) -> list[Mapping[str, Any]]:
        """Rows of the ledger; none where it was not made yet."""
        with self.ledger() as connection:
            return [dict(row) for row in connection.execute(query, values)]

    def sealed(self, token: int | str) -> list[Sealed]:
        """Every envelope for a token that custodians have, opened with the custodian's key."""
        return [
            self._opened(row["blob"], row["purpose"], row["state"])
            for row in self.rows(
                "SELECT blob, purpose, state FROM envelopes"
                " WHERE token_label = ? AND purpose != 'station' ORDER BY id",
                str(token),
            )
        ]

    def open_blob(self, blob: bytes, purpose: str) -> Sealed:
        """An envelope from the manifest, opened with its custodian's key."""
        return self._opened(blob, purpose, "")

    def key_of(self, purpose: str) -> ec.EllipticCurvePrivateKey:
        """A custodian's private key."""
        return self._private[Purpose(purpose)]

    def _opened(self, blob: bytes, purpose: str, state: str) -> Sealed:
        if blob not in self._secrets:
            context, secret = open_envelope(blob, self.key_of(purpose))
            self._secrets[blob] = context, secret.reveal()
        context, value = self._secrets[blob]
        return Sealed(context=context, state=state, value=value)


@contextlib.contextmanager
def station(
    folder: Path,
    *,
    tokens: int = 1,
    holders: int = 1,
    kit: int = 1,
    model: str = "yubikey-5.7.4",
    profile: str | Path = PROFILE,
    within: Sequence[str] = (),
) -> Iterator[Station]:
    """A bench and a station for it, with a private pcscd of their own.

    `within` is the command that the program's server is started by (`program.Program`).
    """
    with (
        VirtualBench(tokens=tokens, model=model) as bench,
        Program(bench.environment, within) as program,
    ):
        yield Station(folder, bench, program, holders=holders, kit=kit, profile=profile)
