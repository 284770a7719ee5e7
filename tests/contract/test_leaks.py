"""No secret that a batch draws stands anywhere but in envelopes.

A batch of two tokens runs as a program of its own with every logger wide open, down to the
traffic levels of yubikit and fido2; one token fails half-way at its touch and is finished by a
second run. All that the runs said, wrote and showed of themselves is then searched for every
secret, in every spelling.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.leaks import Needles, spellings
from tests.stations import Said, Station, make_station
from tokenprov.sim.bench import VirtualBench

TRAFFIC = 1  # below what yubikit and fido2 call TRAFFIC (5): all that any library would tell
WIDE_OPEN = f"""
import logging, sys, yubikit.logging, fido2.utils
assert {TRAFFIC} < yubikit.logging.LOG_LEVEL.TRAFFIC == fido2.utils.LOG_LEVEL_TRAFFIC
logging.basicConfig(level={TRAFFIC}, filename=sys.argv.pop(1))
logging.captureWarnings(True)
from tokenprov.cli import main
main()
"""
KINDS = {
    *("piv/pin", "piv/puk", "piv/management-key", "fido2/pin"),
    *("otp/1/seed", "otp/1/access-code", "otp/2/seed", "otp/2/access-code"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What the runs left behind."""

    station: Station
    needles: Needles
    said: list[Said]
    seen: bytes  # of /proc, while they ran
    log: bytes
    halfway: dict[str, bytes]  # the files of the home between the two runs
    elsewhere: Path  # what they were given as HOME and TMPDIR
    tokens: bytes  # the tokens' own state


def watch(process: subprocess.Popen[str]) -> tuple[Said, bytes]:
    """Wait for a program, and read command line and environment of it and its children."""
    seen = set()
    while process.poll() is None:
        for pid in [str(process.pid), *children(process.pid)]:
            for name in ("cmdline", "environ", "comm"):
                try:
                    seen.add(Path("/proc", pid, name).read_bytes())
                except OSError:  # it ended meanwhile
                    continue
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
    out, err = process.communicate()
    return Said(code=process.returncode, out=out, err=err), b"\n".join(seen)


def children(pid: int) -> list[str]:
    """The children of a process, by id."""
    try:
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Two runs of a batch, and custody of a token after them."""
    folder = tmp_path_factory.mktemp("leaks")
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    log = folder / "all.log"
    with VirtualBench(tokens=2) as bench:
        station = make_station(folder, bench.environment)
        own = {"HOME": str(elsewhere), "TMPDIR": str(elsewhere)}

        def run(*arguments: str | Path) -> tuple[Said, bytes]:
            return watch(
                subprocess.Popen(
                    [
                        *(sys.executable, "-c", WIDE_OPEN, str(log)),
                        *("--home", str(station.home), *map(str, arguments)),
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    env={**os.environ, **bench.environment, **own},
                )
            )

        slow = bench.serials[1]
        bench.control.set_touch(slow, "never", patience=0.3)
        first = run(*station.batch(holders=2))
        halfway = files(station.home)
        bench.control.set_touch(slow, "auto")
        second = run(*station.batch(holders=2))
        last = run("token", "show", str(slow), "--json")
        assert [one[0].code for one in (first, second, last)] == [8, 0, 0], first[0].err
        needles = Needles()
        for serial in bench.serials:
            secrets = station.secrets(str(serial))
            assert secrets.keys() == KINDS
            needles.add(str(serial), secrets)
        runs = (first, second, last)
        yield Watched(
            station=station,
            needles=needles,
            said=[said for said, _ in runs],
            seen=b"\n".join(seen for _, seen in runs),
            log=log.read_bytes(),
            halfway=halfway,
            elsewhere=elsewhere,
            tokens=json.dumps(
                [bench.control.snapshot(serial) for serial in bench.serials]
            ).encode(),
        )


def test_the_search_finds_every_spelling() -> None:
    """Each spelling is found in the midst of other bytes, and digits in a run of hex are not."""
    needles = Needles()
    key = bytes.fromhex("00b7d1ff5e0942c3a86f1274e58b3d90")
    needles.add("1", {"piv/pin": "71600223", "otp/2/seed": key.hex()})
    for spelling in spellings(key):
        assert needles.in_bytes(b"ab " + spelling + b" cd") == {"1 otp/2/seed"}, spelling
    for spelling in spellings(b"71600223"):
        assert needles.in_bytes(b'{"x":"' + spelling + b'"}') == {"1 piv/pin"}, spelling
    assert needles.in_bytes(b"pin71600223,") == {"1 piv/pin"}
    assert needles.in_bytes(b"9bfbdd2f39c771600223e7fee9a8") == set()
    assert needles.in_bytes(b"71600224") == set()


def test_the_search_finds_what_the_tokens_hold(watched: Watched) -> None:
    """In the virtual tokens' own state the search finds the secrets: it is not blind to them."""
    found = {name.split()[1] for name in watched.needles.in_bytes(watched.tokens)}
    assert found >= {"piv/pin", "piv/puk", "piv/management-key", "otp/1/seed", "otp/2/seed"}


def test_nothing_in_what_the_commands_said(watched: Watched) -> None:
    """Neither in the report, nor in the events, nor in the reason of the failure."""
    for said in watched.said:
        assert watched.needles.in_bytes(said.out.encode()) == set()
        assert watched.needles.in_bytes(said.err.encode()) == set()
    assert "nobody touched the token in time" in watched.said[0].err


def test_nothing_in_the_logs_at_the_level_of_traffic(watched: Watched) -> None:
    """With every logger open, libraries tell of their work but not of any secret."""
    assert b"DEBUG:yubikit" in watched.log
    assert b"fido2" in watched.log
    assert watched.needles.in_bytes(watched.log) == set()


def test_nothing_on_command_lines_or_in_environments(watched: Watched) -> None:
    """Nor in the names of processes, while they ran."""
    assert b"--profile" in watched.seen
    assert b"PCSCLITE_CSOCK_NAME" in watched.seen
    assert watched.needles.in_bytes(watched.seen) == set()


def test_nothing_in_the_home_while_an_order_is_open(watched: Watched) -> None:
    """Half-way, the station's own copies are sealed: ledger, its write-ahead log and all else."""
    assert any(name.startswith("open/") for name in watched.halfway)
    assert "ledger.sqlite" in watched.halfway
    found = {
        name: hits
        for name, data in watched.halfway.items()
        if (hits := watched.needles.in_bytes(name.encode() + b"\n" + data))
    }
    assert found == {}


def test_nothing_in_the_home_after_it(watched: Watched) -> None:
    """In the end there is no key to the station's copies either."""
    home = watched.station.home
    assert watched.needles.in_folder(home) == {}
    assert list((home / "open").glob("*")) == []


def test_nothing_elsewhere(watched: Watched) -> None:
    """Nothing was put into HOME or the folder of temporary files."""
    assert watched.needles.in_folder(watched.elsewhere) == {}


def test_the_stations_keys_stay_in_their_files(watched: Watched) -> None:
    """Signing key, CA key and custodians' private keys are in no log and in no manifest."""
    home = watched.station.home
    keys = [*(home / "keys").glob("*.pem"), home / "ca" / "ca.key"]
    keys += (home / "custodians" / "private").glob("*.pem")
    lines = [line for key in keys for line in key.read_bytes().splitlines() if b"-" not in line]
    assert len(lines) >= len(keys)
    everything = [watched.log, watched.seen, *files(home / "manifest").values()]
    everything += [(said.out + said.err).encode() for said in watched.said]
    for line in lines:
        assert len(line) > 20
        assert not [1 for hay in everything if line in hay]

    for key in keys:
        assert key.stat().st_mode & 0o077 == 0, key


def test_custody_tells_no_log_what_it_shows(watched: Watched, tmp_path: Path) -> None:
    """`escrow open` prints the secrets on standard output, and nowhere else."""
    key = watched.station.home / "custodians" / "private" / "break-glass.pem"
    log = tmp_path / "custody.log"
    serial = watched.said[1].document["orders"][0]["serial"]
    command = ["escrow", "open", serial, "--purpose", "break-glass", "--key", str(key)]
    command += ["--reason", "a drill"]
    said, seen = watch(
        subprocess.Popen(
            [
                *(sys.executable, "-c", WIDE_OPEN, str(log)),
                *("--home", str(watched.station.home), *command),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    )
    assert said.code == 0
    assert {name.split()[1] for name in watched.needles.in_bytes(said.out.encode())} == KINDS
    assert watched.needles.in_bytes(said.err.encode()) == set()
    assert watched.needles.in_bytes(seen) == set()
    assert watched.needles.in_bytes(log.read_bytes()) == set()
    assert watched.needles.in_folder(watched.station.home) == {}
    assert watched.station.entries("opened")[-1]["reason"] == "a drill"


def test_recovery_codes_are_told_once(watched: Watched, tmp_path: Path) -> None:
    """They stand on standard output, and nowhere else in any spelling; the proof by one neither."""
    log, proof = tmp_path / "codes.log", tmp_path / "known"
    serial = watched.said[1].document["orders"][0]["serial"]
    holder = ("holder", "recovery-codes", "E1", "--reason", "a drill", "--json")
    used = ("holder", "prove", serial, "--for", "resume", "--recovery-code", "--out", str(proof))

    def run(*arguments: str, typed: str = "") -> tuple[Said, bytes]:
        process = subprocess.Popen(
            [
                *(sys.executable, "-c", WIDE_OPEN, str(log)),
                *("--home", str(watched.station.home), *arguments),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # no terminal: what is typed comes over standard input
            text=True,
        )
        assert process.stdin is not None
        process.stdin.write(f"{typed}\n")
        process.stdin.close()
        process.stdin = None
        return watch(process)

    given, seen = run(*holder)
    assert given.code == 0, given.err
    codes = given.document["codes"]
    needles = Needles()
    needles.add("E1", {f"{n}/pin": code for n, code in enumerate(codes)})
    plain = {f"{n}/pin": code.replace("-", "") for n, code in enumerate(codes)}
    needles.add("E1 plain", plain)
    known, also_seen = run(*used, typed=codes[0])
    assert known.code == 0, known.err
    everything = (given.err, known.out, known.err)
    hays = [seen, also_seen, log.read_bytes(), proof.read_bytes(), *map(str.encode, everything)]
    assert needles.in_bytes(given.out.encode()) == {f"E1 {n}/pin" for n in range(len(codes))}
    assert [needles.in_bytes(hay) for hay in hays] == [set()] * len(hays)
    assert needles.in_folder(watched.station.home) == {}


def test_an_export_tells_no_log_what_it_writes(watched: Watched, tmp_path: Path) -> None:
    """`escrow export` writes the seeds into its file, and nowhere else; nor PSKC's passphrase."""
    key = watched.station.home / "custodians" / "private" / "authentication-server.pem"
    (tmp_path / "phrase").write_text("correct horse battery staple\n", encoding="utf-8")
    (tmp_path / "tmp").mkdir()
    for form, options in (("yubico-csv", ()), ("pskc", ("--pskc-passphrase", "phrase"))):
        log, out = tmp_path / "export.log", tmp_path / f"{form}.out"
        command = ("escrow", "export", "--for", form, "--out", str(out), "--key", str(key))
        said, seen = watch(
            subprocess.Popen(
                [
                    *(sys.executable, "-c", WIDE_OPEN, str(log)),
                    *("--home", str(watched.station.home.absolute()), *command),
                    *("--reason", "a drill", *options),
                ],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=tmp_path,
                env={**os.environ, "TMPDIR": str(tmp_path / "tmp")},
            )
        )
        assert said.code == 0, said.err
        written = {name.split()[1] for name in watched.needles.in_bytes(out.read_bytes())}
        assert written == ({"otp/1/seed"} if form == "yubico-csv" else set())
        for hay in (said.out.encode(), said.err.encode(), seen, log.read_bytes()):
            assert watched.needles.in_bytes(hay) == set()
            assert b"correct horse" not in hay
    assert watched.needles.in_folder(watched.station.home) == {}
    assert list((tmp_path / "tmp").iterdir()) == []
