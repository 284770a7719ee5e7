"""SIGKILL around a certificate over ACME: one order gives one certificate, whatever happened.

The order's address is kept before anything else is sent for it, so the same command takes it up.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.acme_server import AcmeServer, acme_server
from tests.crash.points import Point
from tests.crash.recovery import all_of
from tests.crash.station import Station, station
from tokenprov.sim.attestation import ROOTS_FOLDER

WHILE_IT_TALKS = (0.02, 0.05, 0.1, 0.2)  # seconds after the order's address was kept
PROFILE = """
name = "acme"

[[piv.keys]]
slot = "9a"
algorithm = "eccp256"

[piv.keys.certificate]
issuer = "acme+{directory}"
usages = ["client-auth"]
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Station, AcmeServer]]:
    """A station with one token, and the server that it is told of."""
    folder = tmp_path_factory.mktemp("acme")
    profile = folder / "acme.toml"
    with station(tmp_path_factory.mktemp("station"), profile=profile) as made:
        roots = Path(made.bench.environment[ROOTS_FOLDER]) / "root.pem"
        with acme_server(folder, roots) as server:
            profile.write_text(PROFILE.format(directory=server.directory))
            issuers = made.folder / "template" / "issuers"
            issuers.mkdir(exist_ok=True)
            (issuers / "acme.toml").write_text(
                f'uri = "acme+{server.directory}"\ntrust = "{folder}/tls.pem"\n'
                'account-key = "acme.key"\n'
            )
            yield made, server


@pytest.fixture(scope="module")
def around(site: tuple[Station, AcmeServer]) -> Sequence[Point]:
    """The points at which the record of the request is replaced."""
    single, _ = site
    single.fresh()
    run = single.issue()
    assert run.status == 0, run.said
    found = [one for one in run.points if one.name.startswith("replace ") and "%2F" in one.name]
    assert len(found) == 3  # the sending, the order's address, the answer
    return found


def trial(site: tuple[Station, AcmeServer], stop: Point, late: float = 0) -> list[str]:
    """Kill there, finish, and count on the other side."""
    single, server = site
    single.fresh()
    server.made = 0
    killed = single.issue(stop=stop, late=late)
    run = single.issue()
    if not killed.killed and not late:
        return [f"it was not killed: {killed.said}"]
    if run.status != 0:
        return [f"killed before {stop}, again: {run.said}"]
    shown = single.run("--home", str(single.home), "manifest", "show", "--json")
    (entry,) = [one for one in json.loads(shown.stdout) if one["kind"] == "issued"]
    (step,) = [one for one in entry["steps"] if one["id"] == "piv/9a/certificate"]
    if server.made != 1 or "doubts" in step["facts"]:
        return [f"killed before {stop}: {server.made} certificates, {step['facts']}"]
    return []


def test_killed_at_its_record_there_is_one_certificate(
    site: tuple[Station, AcmeServer], around: Sequence[Point]
) -> None:
    """Before the sending, the order's address and the answer are on the disk."""
    all_of(around, lambda point: trial(site, point), "acme")


def test_killed_while_they_talk_there_is_one_certificate(
    site: tuple[Station, AcmeServer], around: Sequence[Point]
) -> None:
    """Between order, challenge, request and certificate, wherever the time falls."""
    kept = around[1]
    for late in WHILE_IT_TALKS:
        assert trial(site, kept, late) == []
