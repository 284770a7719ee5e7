"""`python -m tokenprov.sim run -- COMMAND`: any PC/SC program against virtual tokens.

`run` exits with the command's code, 127 when it cannot be started and 3 when virtual tokens
cannot be had; signals are passed on to the command. `serve` holds a bench for another process: it
prints the environment as one line of JSON and ends when its standard input closes.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import click

from tokenprov.sim.attestation import ROOTS_FOLDER, bench_roots
from tokenprov.sim.bus import MAX_READERS
from tokenprov.sim.contact import Contact
from tokenprov.sim.control import CONTROL_VARIABLE, ControlServer
from tokenprov.sim.ifd.build import SimulatorUnavailable, build_driver, cache_folder
from tokenprov.sim.models import DEFAULT_MODEL, MODELS
from tokenprov.sim.pcsc_wiring import PcscWiring
from tokenprov.sim.pcscd import make_folder
from tokenprov.sim.simulation import Simulation
from tokenprov.sim.specs import BenchError, TokenSpec, make_specs
from tokenprov.sim.usb.wiring import UsbWiring
from tokenprov.sim.wiring import Wiring

DEFAULT_SERIAL_BASE = 30_000_001
NOT_STARTED = 127  # as a shell says it
UNAVAILABLE = 3
PASSED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
GIL_SECONDS = 0.0005  # readers answer from threads: hand over sooner than Python's 5 ms


@contextlib.contextmanager
def drawer(folder: Path) -> Iterator[None]:
    """The folder of the tokens' files, made if need be, for this process alone.

    Raises `BenchError` when another process has it.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise BenchError(f"the tokens in {folder} are in use by another bench") from exc
        yield


@contextlib.contextmanager
def running(
    make: Callable[[], list[TokenSpec]], state: Path | None, *, usb: bool = False
) -> Iterator[dict[str, str]]:
    """A bench that runs, behind a private pcscd or on a USB bus; gives its clients' variables.

    Its authorities are those of the environment, where that names some, but for tokens in files.
    Raises `SimulatorUnavailable` or `BenchError` with the reason where it cannot be had.
    """
    sys.setswitchinterval(GIL_SECONDS)
    folder = make_folder()
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        if state is not None:
            stack.enter_context(drawer(state))
        named = os.environ.get(ROOTS_FOLDER) if state is None else None
        roots = Path(named) if named else (state or folder) / "roots"
        os.environ[ROOTS_FOLDER] = str(roots.absolute())
        bench_roots()  # now: clients read the folder before a token attests
        simulation = Simulation(wiring(folder, usb=usb), make())
        stack.callback(simulation.close)
        control = ControlServer(folder / "control", simulation)
        stack.callback(control.close)
        simulation.start()
        control.start()
        yield {
            **simulation.environment,
            CONTROL_VARIABLE: str(control.path),
            ROOTS_FOLDER: os.environ[ROOTS_FOLDER],
        }


def wiring(folder: Path, *, usb: bool) -> Callable[[Mapping[int, Contact]], Wiring]:
    """What the readers hang on. Raises `SimulatorUnavailable` where it cannot be had."""
    if usb:
        return partial(UsbWiring, folder)
    return partial(PcscWiring, folder, build_driver(cache_folder()))


def bench_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say what to plug in."""
    options = (
        click.option(
            "--tokens",
            type=click.IntRange(1, MAX_READERS),
            default=1,
            show_default=True,
            help="How many tokens, each in a reader of its own.",
        ),
        click.option(
            "--model",
            "models",
            type=click.Choice(list(MODELS)),
            multiple=True,
            help=f"Which model; more than one go round.  [default: {DEFAULT_MODEL}]",
        ),
        click.option(
            "--serial-base",
            type=click.IntRange(1, 0xFFFFFFFF - MAX_READERS),
            default=DEFAULT_SERIAL_BASE,
            show_default=True,
            help="The first token's serial; the others follow.",
        ),
        click.option(
            "--touch",
            default="auto",
            show_default=True,
            help="When touches come: auto, never, or 'after SECONDS'.",
        ),
        click.option("--latency", is_flag=True, help="Take as long as real keys do."),
        click.option(
            "--state",
            type=click.Path(file_okay=False, path_type=Path),
            help="Keep the tokens in files of this folder.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group()
def main() -> None:
    """Virtual tokens behind a private pcscd."""


@main.command(context_settings={"ignore_unknown_options": True})
@bench_options
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(
    command: tuple[str, ...],
    tokens: int,
    models: tuple[str, ...],
    serial_base: int,
    touch: str,
    latency: bool,
    state: Path | None,
) -> None:
    """Run COMMAND against virtual tokens; exit with its code."""
    with (
        reasons_told(),
        running(
            lambda: make_specs(tokens, models, serial_base, touch, latency, state), state
        ) as environment,
    ):
        code = run_command(list(command), environment)
    sys.exit(code)


@main.command()
@bench_options
@click.option("--usb", is_flag=True, help="On the USB bus of a virtual machine, by usbredir.")
def serve(
    usb: bool,
    tokens: int,
    models: tuple[str, ...],
    serial_base: int,
    touch: str,
    latency: bool,
    state: Path | None,
) -> None:
    """Hold a bench for the process that started this one."""
    for ignored in (signal.SIGINT, signal.SIGHUP):  # a terminal's signal is for the other process
        signal.signal(ignored, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    with (
        reasons_told(),
        running(
            lambda: make_specs(tokens, models, serial_base, touch, latency, state), state, usb=usb
        ) as environment,
    ):
        print(json.dumps(environment), flush=True)
        while sys.stdin.readline():
            pass


@contextlib.contextmanager
def reasons_told() -> Iterator[None]:
    """Say why there are no virtual tokens, and exit with code 3."""
    try:
        yield
    except (SimulatorUnavailable, BenchError) as exc:
        click.echo(f"No virtual tokens: {exc}", err=True)
        sys.exit(UNAVAILABLE)
    except ValueError as exc:
        raise click.UsageError(str(exc)) from exc


def run_command(command: list[str], environment: dict[str, str]) -> int:
    """Run it with these variables added; pass signals on; give its exit code as a shell would."""
    try:
        process = subprocess.Popen(command, env={**os.environ, **environment})
    except OSError as exc:
        click.echo(f"{command[0]}: {exc.strerror}", err=True)
        return NOT_STARTED

    def pass_on(number: int, frame: FrameType | None) -> None:
        process.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in PASSED_ON}
    try:
        code = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 128 - code if code < 0 else code


if __name__ == "__main__":
    main()
