"""SIGKILL while FIDO2 is reset and set up anew on a token that is somebody's: `unblock --fido2`.

Somebody takes the token out and puts it in again when it is asked for. After a kill the custodians
can open what the token holds; the same command finishes it, by one entry, and the only passkey on
the token is the one that its relying party has.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from tests.crash.judgement import credential_faults
from tests.crash.points import Point
from tests.crash.recovery import all_of
from tests.crash.station import Station, station
from tests.crash.test_kill_lifecycle import settled, trial
from tokenprov.prompts import StationOperator
from tokenprov.record.manifest import Manifest
from tokenprov.sim.control import CONTROL_VARIABLE, SimControl

HAND = "tests.crash.test_kill_fido2:hand"
EVERY = 12  # of the writes to the disk


def hand() -> None:
    """A world in which somebody does what they are asked to at the reader."""
    asking = StationOperator.reinsert

    def again(label: str) -> None:
        with closing(SimControl(os.environ[CONTROL_VARIABLE])) as control:
            control.remove(int(label))
            control.insert(int(label))

    @contextmanager
    def asked(
        self: StationOperator, reader: str, label: str, reason: str, seconds: float
    ) -> Iterator[None]:
        with asking(self, reader, label, reason, seconds):
            threading.Thread(target=again, args=(label,), daemon=True).start()
            yield

    StationOperator.reinsert = asked  # type: ignore[method-assign]  # that is the aim


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    """A station whose one token is somebody's."""
    with station(tmp_path_factory.mktemp("fido2")) as made:
        made.fresh()
        run = made.issue()
        assert run.status == 0, run.said
        yield made


def test_killed_while_fido2_is_set_up_anew(issued: Station) -> None:
    """At each write of the token and a sample of the disk's: it finishes, and nothing is lost."""
    options = ("--fido2", "--reason", "too many guesses", "--operator", "tester")
    arguments = ("--home", str(issued.home), "unblock", str(issued.serial), *options)

    def once(stop: Point) -> list[str]:
        faults = trial(issued, arguments, "unblocked", stop, HAND)
        passkeys = credential_faults(issued, entry, issued.control.snapshot(issued.serial))
        return faults + [f"unblock --fido2 killed before {stop}: {one}" for one in passkeys]

    (entry,) = [
        e for e in Manifest.open(issued.home / "manifest").entries() if e["kind"] == "issued"
    ]
    whole = issued.run(*arguments, world=HAND)
    assert whole.status == 0, whole.said
    assert list(settled(issued, issued.serial)) == []
    writes = [point for point in whole.points if point.writes]
    token = [point for point in writes if point.is_apdu]
    assert any(point.name.endswith("ctap-7") for point in token), "FIDO2 was not reset"
    all_of([*token, *[one for one in writes if not one.is_apdu][::EVERY]], once, "unblock --fido2")
