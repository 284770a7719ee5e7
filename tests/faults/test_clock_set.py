"""The machine's clock is set while a batch is under way, for the program and all its libraries.

`clock.c` is preloaded, so that Python, SQLite and OpenSSL read the same wrong clock. Nothing is
recorded behind what is on the record already; no token and no secret is lost by it; once the clock
is right, or the correction is on the record, the same command finishes the batch.
"""

from __future__ import annotations

import struct
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from tests.crash.held import certificate_on, lost_secrets
from tests.crash.judgement import State, at_end
from tests.crash.live import refused
from tests.crash.points import Point
from tests.crash.recovery import begin
from tests.crash.station import Station, station
from tests.faults.machine import FLAGS
from tests.peers.test_verifier_script import faults
from tokenprov.record.commit import key_in_use
from tokenprov.record.folder import ManifestFolder
from tokenprov.record.manifest import Manifest, verify_manifest

SOURCE = Path(__file__).with_name("clock.c")
DAY = 86_400  # seconds
YEAR = 365 * DAY
GENERATE = Point(name="apdu 0047009a", turn=1)  # the first token has its PIN by then, and no key
SECONDS = 30.0  # for the program to come to where it waits
WHY = ("--reason", "the battery of its clock was empty", "--operator", "tester")


class Clock:
    """How far off the clock is in a program that is started `within`."""

    def __init__(self, folder: Path) -> None:
        self._file, library = folder / "off", folder / "clock.so"
        subprocess.run(["cc", *FLAGS, "-o", str(library), str(SOURCE)], check=True)
        self.set(0)
        self.within = ("env", f"LD_PRELOAD={library}", f"CLOCK_OFF={self._file}")

    def set(self, seconds: int) -> None:
        """From now on, also in a program that runs."""
        with self._file.open("r+b" if self._file.exists() else "wb") as file:
            file.write(struct.pack("=q", seconds))


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Clock:
    """It is right."""
    return Clock(tmp_path_factory.mktemp("clock"))


@pytest.fixture(scope="module")
def made(clock: Clock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    """A station for two holders, with two tokens."""
    folder = tmp_path_factory.mktemp("set")
    with station(folder, tokens=2, holders=2, within=clock.within) as found:
        yield found


@pytest.fixture
def factory(made: Station, clock: Clock) -> Iterator[dict[int, State]]:
    """The station anew and its tokens, as the factory made them; at the end the clock is right."""
    yield begin(made)
    clock.set(0)
    for token in made.serials:
        made.control.set_touch(token, "auto")


def entries(made: Station) -> list[dict[str, object]]:
    """Those of the manifest."""
    log = Manifest.open(made.home / "manifest")
    found = list(log.entries())
    log.close()
    return found


def told(made: Station, *command: str) -> str:
    """What a command says that ends well."""
    run = made.run("--home", str(made.home), *command)
    assert run.status == 0, run.said
    return run.stdout


def waiting(made: Station, token: int) -> None:
    """Until that token waits for a touch."""
    until = time.monotonic() + SECONDS
    while not made.control.token(token)["waiting"]:
        assert time.monotonic() < until, "it never asked for a touch"
        time.sleep(0.02)


def wrong(made: Station, factory: dict[int, State]) -> list[str]:
    """At the end, by all judges: tokens, escrow, authority, manifest, and the script beside it."""
    folder = made.home / "manifest"
    return [
        *at_end(made, factory),
        *(fault for token in factory for fault in refused(made, token)),
        *faults(folder, [str(key_in_use(ManifestFolder(folder)))]),
    ]


def begins(made: Station, token: int) -> datetime:
    """From when on the certificate on that token is good."""
    held = certificate_on(made.control.snapshot(token))
    der = held[held.index(b"\x30\x82") :]
    return x509.load_der_x509_certificate(der[: int.from_bytes(der[2:4]) + 4]).not_valid_before_utc


def test_set_back_between_two_runs(made: Station, clock: Clock, factory: dict[int, State]) -> None:
    """Killed with the tokens begun, and a year back: refused, nothing changes; then it ends."""
    assert made.issue(stop=GENERATE).killed
    before = entries(made), {token: made.control.snapshot(token) for token in factory}
    clock.set(-YEAR)
    run = made.issue()
    assert (run.status, "the station's clock says" in run.stderr) == (3, True), run.said
    assert (entries(made), {token: made.control.snapshot(token) for token in factory}) == before
    assert not [fault for token in factory for fault in lost_secrets(made, token, factory[token])]
    clock.set(0)
    assert made.issue().status == 0
    assert wrong(made, factory) == []


def test_set_back_within_a_run(made: Station, clock: Clock, factory: dict[int, State]) -> None:
    """A token is issued, the clock goes back, the other one is not recorded until it is right."""
    first, second = made.serials
    made.control.set_touch(second, "never")
    made.begin_issue(wait=0)
    waiting(made, second)
    until = time.monotonic() + SECONDS
    while len(entries(made)) == 1:
        assert time.monotonic() < until, "the first token is not issued"
        time.sleep(0.02)
    clock.set(-YEAR)
    made.control.set_touch(second, "auto")
    made.control.press(second)
    run = made.end_issue()
    assert run.status != 0, run.said
    assert "the station's clock says" in run.stderr, run.said
    issued = [entry["token"]["serial"] for entry in entries(made) if entry["kind"] == "issued"]  # type: ignore[index]  # an entry of that kind has one
    assert issued == [str(first)]
    assert verify_manifest(made.home / "manifest").findings == ()
    assert lost_secrets(made, second, factory[second]) == []
    clock.set(0)
    assert made.issue().status == 0
    assert wrong(made, factory) == []


def test_ahead_and_set_right(made: Station, clock: Clock, factory: dict[int, State]) -> None:
    """What was recorded ahead stays, the correction is on the record, and the rest is of today."""
    first, second = made.serials
    made.control.remove(second)
    clock.set(YEAR)
    assert made.issue().status == 8
    clock.set(0)
    made.control.insert(second)
    state = made.control.snapshot(second)
    run = made.issue()
    assert (run.status, "tokenprov manifest clock" in run.stderr) == (3, True), run.said
    assert made.control.snapshot(second) == state
    told(made, "manifest", "clock", *WHY)
    assert made.issue().status == 0
    kinds = [entry["kind"] for entry in entries(made)]
    assert kinds == ["station", "issued", "clock-corrected", "issued"]
    assert wrong(made, factory) == [f"the manifest holds {kinds}"]  # more than the judges know
    now = datetime.now(UTC)
    (corrected,) = [entry for entry in entries(made) if entry["kind"] == "clock-corrected"]
    for kind, ahead in (("issued", timedelta(days=364)), ("clock-corrected", -timedelta(hours=1))):
        entry = next(entry for entry in entries(made) if entry["kind"] == kind)
        assert datetime.fromisoformat(str(entry["time"])) > now + ahead
    assert begins(made, first) > now + timedelta(days=363)
    assert now - timedelta(days=2) < begins(made, second) <= now
    told(made, "manifest", "verify")
