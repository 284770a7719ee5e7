"""`python -m tests.guest COMMAND`: one command in a machine with virtual tokens on its USB bus.

Exits with the command's code; 124, as timeout(1), when it takes too long.
"""

from __future__ import annotations

import shutil
import subprocess
import sys

import click

from tests.guest.machine import BUILD, ROOT, machine, run, variables
from tokenprov.sim.attestation import ROOTS_FOLDER
from tokenprov.sim.bench import VirtualBench

TOOK_TOO_LONG = 124
MODELS = ("yubikey-5.7.4", "security-key-5.7-hid", "yubikey-5.4.3")


@click.command(context_settings={"ignore_unknown_options": True})
@click.option(
    "--model", "models", multiple=True, default=MODELS, help="The tokens, in their order."
)
@click.option("--seconds", default=900.0, show_default=True, help="How long it may take.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def main(models: tuple[str, ...], seconds: float, command: tuple[str, ...]) -> None:
    """Run COMMAND in the guest, which is built first if need be."""
    for script in ("build.sh", "disks.sh"):
        subprocess.run(["bash", f"tests/guest/{script}"], cwd=ROOT, check=True)
    out = BUILD / "out"
    out.mkdir(exist_ok=True)
    bench = VirtualBench(tokens=len(models), model=models, usb=True)
    with bench, machine(bench, out) as folder:
        roots = shutil.copytree(bench.environment[ROOTS_FOLDER], out / "roots", dirs_exist_ok=True)
        environment = {**variables(), ROOTS_FOLDER: f"/tmp/out/{roots.name}"}
        code = run(folder, list(command), environment, seconds)
    sys.exit(TOOK_TOO_LONG if code is None else code)


if __name__ == "__main__":
    main()
