"""A token for the holder whom the operator named, or whose badge was scanned."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.stations import SECONDS, Said, Station
from tests.token_under_test import TokenUnderTest
from tokenprov.sim.bench import VirtualBench
from tokenprov.station.badges import badge_of

OTP = "ccccccbcgujhingjrdejhgfnuetrgigvejhhgbkugded"  # 44 characters of modhex, as a key types


def test_the_operator_names_the_holder(station: Station, token: TokenUnderTest) -> None:
    """The next token is theirs, not the first one's of the roster; nobody else's id is taken."""
    wrong = station.tell(*station.batch(holders=3), "--holder", "E9")
    assert wrong.code == 2
    assert "holder E9 has no open order" in wrong.err
    assert station.entries() == []
    said = station.tell(*station.batch(holders=3), "--holder", "E2")
    assert said.only("HolderNamed") == {
        "event": "HolderNamed",
        "holder": "Jürgen Weiß",
        "orders": 1,
    }
    assert station.entry_of(token.serial)["holder"]["id"] == "E2"


def scanned(station: Station, typed: str) -> Said:
    """A batch of three that gets these lines; the token in the reader is taken meanwhile."""
    command = [sys.executable, "-m", "tokenprov", "--home", str(station.home)]
    process = subprocess.run(
        [*command, *map(str, station.batch(holders=3)), "--scan", "--wait", "1"],
        input=typed,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env={**os.environ, **station.environment},
        check=False,
    )
    return Said(code=process.returncode, out=process.stdout, err=process.stderr)


def test_a_badge_is_scanned_and_a_key_types(station: Station, token: TokenUnderTest) -> None:
    """The badge's holder is named; what keys type is passed over, and repeated nowhere."""
    said = scanned(station, f"{OTP}\n123456\nsecret of a key\nE3\n")
    assert said.code == 8, said.err
    assert said.only("HolderNamed")["holder"] == "Siobhán Ní Dhomhnaill"
    ignored = [event for event in said.events if event["event"] == "ScanIgnored"]
    assert len(ignored) == 3
    for typed in (OTP, "123456", "secret of a key"):
        assert typed not in said.err + said.out
    assert said.document["counts"]["issued"] == 1


@pytest.mark.parametrize(
    ("line", "prefix", "badge"),
    [
        ("E7\r", "", "E7"),
        (OTP, "", None),
        (OTP.upper(), "", None),
        ("123456", "", None),
        ("12345678", "", None),
        ("1234567", "", "1234567"),
        ("B:123456", "B:", "123456"),
        ("123456", "B:", None),
        ("B:", "B:", None),
    ],
)
def test_what_is_a_badge(line: str, prefix: str, badge: str | None) -> None:
    """Six and eight digits are HOTP's unless a prefix says that a badge was read."""
    assert badge_of(line, prefix) == badge


def test_a_badge_decides_whose_token_it_is(
    station: Station, token: TokenUnderTest, one_reader: VirtualBench
) -> None:
    """Scanned before the token is put in, it is the badge's holder who gets it."""
    one_reader.control.remove(int(token.serial))
    command = (*station.batch(holders=3), "--scan", "--wait", str(SECONDS))
    with subprocess.Popen(
        [sys.executable, "-m", "tokenprov", "--home", str(station.home), *map(str, command)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **station.environment},
    ) as running:
        assert running.stdin is not None
        assert running.stderr is not None
        running.stdin.write("E3\n")
        running.stdin.flush()
        while '"HolderNamed"' not in (line := running.stderr.readline()):
            assert line, "it ended before the badge was taken"
        one_reader.control.insert(int(token.serial))
        while '"TokenIssued"' not in (line := running.stderr.readline()):
            assert line, "it ended before the token was issued"
        running.kill()
    assert station.entry_of(token.serial)["holder"]["id"] == "E3"
