"""The commands of the README and of the pages after it, run as they stand there, in their order.

Three things are put in for the reader: the roots of virtual tokens, the serial of a key that is
plugged in for the README's 12345678, and that nobody is at the terminal.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import pytest

from tokenprov.sim.bench import VirtualBench

ROOT = Path(__file__).parents[2]
SERIAL = "12345678"
COMMAND_SECONDS = 120.0
ORDERS_LEFT = 8
PAGES = ("line.md", "desk.md", "records.md")  # which go on where the README ends


def blocks(heading: str) -> list[str]:
    """The indented blocks below a heading of the README, up to the next one."""
    text = (ROOT / "README.md").read_text()
    return indented(re.split(r"^## ", text.split(f"\n## {heading}\n")[1], flags=re.MULTILINE)[0])


def indented(text: str) -> list[str]:
    """The indented blocks of a text."""
    found = re.findall(r"(?:^    .*\n)+", text, flags=re.MULTILINE)
    return [re.sub(r"^    ", "", block, flags=re.MULTILINE) for block in found]


def shell(
    script: str, folder: Path, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a block in a shell, as a reader with `.venv/bin` on the PATH does."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env={**os.environ, **environment, "PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )


def trust_virtual_tokens(station: Path, bench: VirtualBench) -> None:
    """What a reader with virtual tokens adds with `init --trust`."""
    roots = Path(bench.environment["TOKENPROV_SIM_ROOTS"])
    for name in ("root.pem", "chain.pem"):
        (station / "trust" / name).write_bytes((roots / name).read_bytes())


def test_the_way_with_real_keys(new_bench: Callable[..., VirtualBench], tmp_path: Path) -> None:
    """Every command of the section and its pages works, and secrets come out where it says."""
    bench = new_bench(tokens=2)
    first, second = bench.serials
    outputs: dict[str, str] = {}
    pages = [indented((ROOT / "docs" / page).read_text()) for page in PAGES]
    assert all(pages)
    for block in [*blocks("With real keys"), *chain.from_iterable(pages)]:
        done = shell(block.replace(SERIAL, str(first)), tmp_path, bench.environment)
        serial_needed = "token list" in block and done.returncode == 0
        if "tokenprov init" in block:
            trust_virtual_tokens(tmp_path / "station", bench)
        assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr
        if serial_needed:
            assert {str(first), str(second)} <= set(done.stdout.split())
        outputs[block] = done.stdout
    afterwards = next(text for block, text in outputs.items() if "escrow open" in block)
    assert "holds: 3 entries" in afterwards
    assert re.search(r"piv/puk +active +\d{8}", afterwards)
    assert "management-key" not in afterwards.split("holds:")[1]


def test_rehearsing(tmp_path: Path) -> None:
    """Programs from elsewhere run against virtual tokens as the README shows it."""
    for block in blocks("Rehearse"):
        done = shell(block, tmp_path, {})
        assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"
        assert "YubiKey 5" in done.stdout
        assert "Serial Number:" in done.stdout


def test_a_second_token_is_missing(new_bench: Callable[..., VirtualBench], tmp_path: Path) -> None:
    """One key for a kit of two: the batch ends with the documented code for what is left."""
    bench = new_bench(tokens=1)
    for block in blocks("With real keys")[:3]:
        assert shell(block, tmp_path, bench.environment).returncode == 0
    trust_virtual_tokens(tmp_path / "station", bench)
    run = "tokenprov batch run roster.csv --profile standard-employee --kit 2"
    done = shell(run, tmp_path, bench.environment)
    assert done.returncode == ORDERS_LEFT, done.stderr
    assert "1 of 2 issued" in done.stdout
    assert f"| {ORDERS_LEFT} | orders of the batch are left |" in (ROOT / "README.md").read_text()


def test_the_demo(tmp_path: Path) -> None:
    """`tokenprov demo`, which `make demo` calls, ends well, and so does each command it offers."""
    environment = {"COLUMNS": "300"}
    done = shell("tokenprov demo --folder demo", tmp_path, environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "10 of 10 issued" in done.stdout
    assert "10 tokens issued (0 real, 10 virtual) to 5 holders" in done.stdout
    offered = done.stdout.split("Try next:")[1].strip().splitlines()
    assert len(offered) == 4
    for command in offered:
        tried = shell(command, tmp_path, environment)
        assert tried.returncode == 0, f"{command}\n{tried.stdout}{tried.stderr}"
        assert "30000001" in tried.stdout or "piv/puk" in tried.stdout or "9A" in tried.stdout


@pytest.mark.parametrize("target", ["demo", "test"])
def test_the_two_commands(target: str) -> None:
    """`make demo` and `make test` of the README are targets that do what it says first: set up."""
    assert f"    make {target} " in (ROOT / "README.md").read_text()
    done = subprocess.run(
        ["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ".ci/setup" in done.stdout
    assert {"demo": "tokenprov demo", "test": "-m pytest"}[target] in done.stdout
