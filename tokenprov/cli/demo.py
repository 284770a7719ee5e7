"""`tokenprov demo`: the main job on ten virtual YubiKeys, by the commands that a station uses.

Every command is printed and then run as a program of its own, in the environment of a private
pcscd; the tokens are kept in files, so that one can go on with them afterwards.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import click

from tokenprov.errors import StationError
from tokenprov.profile import ready_folders
from tokenprov.sim.attestation import ROOTS_FOLDER
from tokenprov.sim.bench import VirtualBench
from tokenprov.sim.ifd.build import SimulatorUnavailable

TOKENS = 10
SERIAL = 30_000_001
MARK = ".tokenprov-demo"  # in a folder that a demo made, and may make again


@click.command()
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("build/demo"),
    show_default=True,
    help="Where the station home and the virtual tokens go; an earlier demo there is replaced.",
)
def demo(folder: Path) -> None:
    """Do the main job on ten virtual YubiKeys: five holders, a primary and a spare for each."""
    _empty(folder)
    station, tokens = folder / "station", folder / "tokens"
    roster = _example_roster()
    started = time.monotonic()
    try:
        with VirtualBench(tokens=TOKENS, serial_base=SERIAL, state=tokens) as bench:
            click.secho(f"{TOKENS} virtual YubiKeys are in a private pcscd.", bold=True)
            roots = Path(os.path.relpath(bench.environment[ROOTS_FOLDER]))
            trust = [f"--trust={roots / name}" for name in ("root.pem", "chain.pem")]
            home = ["--home", str(station)]
            batch = ["batch", "run", str(roster), "--profile", "standard-employee", "--kit", "2"]
            _tokenprov(bench.environment, "init", str(station), "--name", "demo", *trust)
            _tokenprov(bench.environment, *home, *batch, "--wait", "0")
            _tokenprov(bench.environment, *home, "manifest", "verify")
    except SimulatorUnavailable as error:
        raise StationError(
            f"there is no private pcscd: {error}", remedy="Run `make setup`, then `make demo`."
        ) from error
    click.secho(f"\nDone in {time.monotonic() - started:.0f} s. Try next:", bold=True)
    for command in (
        f"tokenprov --home {station} manifest show 1",
        f"tokenprov --home {station} escrow open {SERIAL} --purpose help-desk"
        f" --key {station}/custodians/private/help-desk.pem --reason 'to see how it is done'",
        f"tokenprov --home {station} sim run --tokens {TOKENS} --state {tokens} --"
        f" tokenprov --home {station} token show {SERIAL}",
        f"tokenprov sim run --tokens {TOKENS} --state {tokens} -- ykman --device {SERIAL} piv info",
    ):
        click.echo(f"  {_prefix()}{command}")


def _empty(folder: Path) -> None:
    """Make the folder, or clear one that a demo made. Raises `StationError` for another one."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARK).exists():
            raise StationError(
                f"{folder} is there and no demo made it", remedy="Name another --folder."
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).touch()


def _example_roster() -> Path:
    for folder in ready_folders():
        if (folder / "example-roster.csv").exists():
            return Path(os.path.relpath(folder / "example-roster.csv"))
    raise StationError(
        "the example roster is not installed", remedy="Install tokenprov with its profiles."
    )


def _prefix() -> str:
    """Where the programs are, when that is not on the PATH."""
    found = shutil.which("tokenprov")
    own = Path(sys.executable).parent
    if found and Path(found).parent == own:
        return ""
    return f"PATH={os.path.relpath(own)}:$PATH "


def _tokenprov(environment: Mapping[str, str], *arguments: str) -> None:
    click.secho(f"\n$ tokenprov {shlex.join(arguments)}", fg="cyan")
    sys.stdout.flush()
    done = subprocess.run(
        [sys.executable, "-m", "tokenprov", *arguments],
        env={**os.environ, **environment},
        check=False,
    )
    if done.returncode:
        sys.exit(done.returncode)
