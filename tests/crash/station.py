"""A station home and virtual tokens, made fresh for every run in a moment.

The home is made once by `tokenprov init` and copied; a token is replaced by a factory-fresh one.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.crash.on_disk import OnDisk, private_keys
from tests.crash.points import Point
from tests.crash.program import Program, Run
from tokenprov.sim.attestation import ROOTS_FOLDER
from tokenprov.sim.bench import VirtualBench
from tokenprov.sim.control import SimControl

PROFILE = "standard-employee"
NAMES = ("Ada Example", "Ben Muster")
STATION = "bench"


class Station(OnDisk):
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
        self._template = self.folder / "template"
        self._told_home, self._told_roster = folder / "station", folder / "roster.csv"
        self._kit, self._profile = kit, str(profile)
        made = program.run("init", str(folder / "template"), *self.init_options)
        if made.status != 0:
            raise RuntimeError(f"no station: {made.said}")
        rows = [
            f"e{n},{name},e{n}@example.test,e{n}@example.test\n"
            for n, name in enumerate(NAMES[:holders], start=1)
        ]
        (self.folder / "roster.csv").write_text("id,name,email,upn\n" + "".join(rows))
        super().__init__(self.folder / "station", private_keys(self._template))

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
