"""`python -m tests.guest COMMAND`: one command in a machine with virtual tokens on its USB bus.

With `--each FILE …` it is run in several machines side by side, each with a bench of its own and
its share of the files as last arguments. What the first says is told as it comes, that of the
others after it.

Exits with the command's code, the worst of several; 124, as timeout(1), when it takes too long; 125
where a machine ends by itself, which is told after what it had said.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click

from tests.guest import snapshot
from tests.guest.machine import BUILD, ROOT, run, variables
from tests.guest.monitor import MachineError
from tokenprov.sim.bench import VirtualBench

TOOK_TOO_LONG, BROKE = 124, 125
SECONDS = BUILD / "seconds.json"  # by file (tests/guest/tests/conftest.py, tests/guest/hwtests.py)
AT_FIRST = Path(__file__).with_name("seconds.json")  # by which a new checkout deals them out
MODELS = ("yubikey-5.7.4", "security-key-5.7-hid", "yubikey-5.4.3")


def guest(number: int, command: Sequence[str], models: Sequence[str], seconds: float) -> int:
    """Run a command in the guest of that number; its exit code. The first one's output is ours."""
    out = BUILD / "out" / str(number)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    try:
        with (
            (out / "output.txt").open("wb") as kept,
            VirtualBench(tokens=len(models), model=models, usb=True) as bench,
            contextlib.closing(snapshot.start(out)) as machine,
        ):
            machine.plug(bench)
            to = sys.stdout.buffer if number == 0 else kept
            code = run(machine.folder, list(command), variables(), seconds, to)
    except MachineError as error:
        with (out / "output.txt").open("a", encoding="utf-8") as kept:
            kept.write(f"guest: machine {number}: {error}\n")
        return BROKE
    return TOOK_TOO_LONG if code is None else code


def deal(files: Sequence[str], among: int, seconds: Mapping[str, float]) -> list[list[str]]:
    """A share for each guest: the longest file first, to the one that has the least to do yet.

    A file takes what it took the last time; where that is not known, as much as the others do.
    """
    known = [seconds[file] for file in files if file in seconds]
    takes = dict.fromkeys(files, sum(known) / len(known) if known else 1.0) | seconds
    shares: list[list[str]] = [[] for _ in range(among)]
    for file in sorted(files, key=lambda one: (-takes[one], one)):
        min(shares, key=lambda share: sum(takes[one] for one in share)).append(file)
    return shares


def took(path: Path) -> dict[str, float]:
    """What is written there about files; nothing where nothing is."""
    found: dict[str, float] = {}
    with contextlib.suppress(FileNotFoundError):
        found = json.loads(path.read_text(encoding="utf-8"))
    return found


@click.command(context_settings={"ignore_unknown_options": True})
@click.option(
    "--model", "models", multiple=True, default=MODELS, help="The tokens, in their order."
)
@click.option("--seconds", default=900.0, show_default=True, help="How long it may take.")
@click.option("--guests", default=2, show_default=True, help="How many run what --each names.")
@click.option("--each", "files", multiple=True, type=Path, help="Dealt out to the guests.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def main(
    models: tuple[str, ...],
    seconds: float,
    guests: int,
    files: tuple[Path, ...],
    command: tuple[str, ...],
) -> None:
    """Run COMMAND in the guest, which is built first if need be."""
    for script in ("build.sh", "code.sh"):
        subprocess.run(["bash", f"tests/guest/{script}"], cwd=ROOT, check=True)
    snapshot.keep()
    among = max(1, min(guests, len(files)))
    known = took(AT_FIRST) | took(SECONDS)
    shares = [[*command, *share] for share in deal([*map(str, files)], among, known)]
    with ThreadPoolExecutor(among) as pool:
        running = [
            pool.submit(guest, number, share, models, seconds)
            for number, share in enumerate(shares)
        ]
        codes = []
        for number, one in enumerate(running):
            codes.append(one.result())
            sys.stdout.buffer.write((BUILD / "out" / str(number) / "output.txt").read_bytes())
            sys.stdout.buffer.flush()
    for number in range(among):
        known |= took(BUILD / "out" / str(number) / SECONDS.name)
    SECONDS.write_text(json.dumps(known, indent=1, sort_keys=True), encoding="utf-8")
    sys.exit(max(codes))


if __name__ == "__main__":
    main()
