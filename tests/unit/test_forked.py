"""What runs the stock ykman without starting it each time, beside starting it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import forked

SECONDS = 60.0
STOCK = Path(sys.executable).with_name("ykman")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("--version",), 0), (("config", "--no-such-option"), 2), (("script", "said.py"), 0)],
    ids=["says", "refuses", "runs"],
)
def test_it_is_as_if_it_was_started(tmp_path: Path, arguments: tuple[str, ...], code: int) -> None:
    """Exit code and what is said are the same, with the folder and environment that were given."""
    (tmp_path / "said.py").write_text(
        "import os, sys\nprint(os.getcwd(), os.environ['SAID'], sys.stdin.read())\n"
        "print('on the other channel', file=sys.stderr)\n"
    )
    env = {**os.environ, "SAID": "by the environment", "XDG_DATA_HOME": str(tmp_path)}
    given = "y\nby its input"
    done = forked.run(["ykman", *arguments], env=env, input=given, cwd=tmp_path, timeout=SECONDS)
    started = subprocess.run(
        [STOCK, *arguments],
        env=env,
        input=given,
        cwd=tmp_path,
        timeout=SECONDS,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, started.stdout, started.stderr)
    assert started.returncode == code


def test_who_takes_too_long_is_ended(tmp_path: Path) -> None:
    """As `subprocess.run` does it: nothing of it goes on beside the next test."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    end = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    (tmp_path / "waits.py").write_text(
        "import os, time\nos.open('pipe', os.O_WRONLY)\ntime.sleep(3600)\n"
    )
    command = ["ykman", "script", "-f", "waits.py"]
    with pytest.raises(subprocess.TimeoutExpired):
        forked.run(command, env=os.environ, cwd=tmp_path, timeout=2.0)
    assert os.read(end, 1) == b""  # an error, as long as it holds the other end
    os.close(end)
