"""The program as a shell calls it: what is typed wrong, and output that has no room."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_PROGRAM = Path(sys.executable).parent / "tokenprov"


def _called(*arguments: str, out: int | None = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    held_back = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(
        [_PROGRAM, *arguments],
        stdout=out,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        env=held_back,  # what is shown, until the end, as it is for people
    )


def test_a_misspelt_command_is_answered_with_the_nearest() -> None:
    """Also where it is in a module that is not loaded."""
    called = _called("tokens", "list")
    assert called.returncode == 2
    assert "Did you mean 'token'?" in called.stderr


def test_a_home_behind_the_command_is_told_where_it_stands() -> None:
    """As the command has to be written."""
    called = _called("batch", "status", "--home", "station")
    assert called.returncode == 2
    assert "tokenprov --home FOLDER batch status" in called.stderr
    assert "Did you mean" not in called.stderr


@pytest.mark.parametrize(
    "arguments", [("profile", "list"), ("profile", "list", "--json"), ("--help",)], ids=" ".join
)
def test_output_that_has_no_room_is_an_error_in_words(arguments: tuple[str, ...]) -> None:
    """A full disk behind `>` ends the command with a message, not with a trace or with 0."""
    with Path("/dev/full").open("w") as full:
        called = _called(*arguments, out=full.fileno())
    assert called.returncode == 3
    assert called.stderr.startswith("Error: what is shown cannot be written: No space left")
    assert "Traceback" not in called.stderr


@pytest.mark.parametrize("arguments", [("profile", "list"), ("profile", "list", "--json")])
def test_a_reader_that_has_enough_ends_it_without_a_word(arguments: tuple[str, ...]) -> None:
    """As with `| head -1`: neither a trace nor a success."""
    reading, writing = os.pipe()
    os.close(reading)
    called = _called(*arguments, out=writing)
    os.close(writing)
    assert (called.returncode, called.stderr) == (1, "")


def test_a_question_that_nobody_can_answer_is_an_error_in_words(tmp_path: Path) -> None:
    """Standard input has ended: nothing was interrupted, and nothing is made."""
    arguments = ("escrow", "new-key", str(tmp_path / "key"), "--public", str(tmp_path / "public"))
    called = subprocess.run(
        [_PROGRAM, *arguments, "--passphrase"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,  # without a terminal to ask at
    )
    assert called.returncode == 2
    assert "an answer is asked for, and standard input has ended" in called.stderr
    assert "GetPassWarning" not in called.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_day_in_another_order_is_told_the_one_that_is_taken() -> None:
    """31.12. and 12/31 can be misread; a day that is none is refused, too."""
    for wrong in ("31.12.2031", "12/31/2031", "2031-02-30"):
        called = _called("waiver", "grant", "pin", "--until", wrong, "--reason", "x")
        assert called.returncode == 2
        assert f"{wrong!r} is no day: write it as year-month-day, 2031-12-31" in called.stderr
