"""SIGKILL in commands that change what is recorded, and tell no token anything.

A station that issued one token is made once, and its home copied for each trial. Right after the
kill the manifest holds but for the append that was cut off. The same command again comes to the end
that it would have come to: one entry, or two where that is harmless, and the station shows it.
"""

from __future__ import annotations

import getpass
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.crash.points import ANY, Point
from tests.crash.program import Run
from tests.crash.recovery import all_of
from tests.crash.station import Station, station
from tests.faults.power import CUT_OFF
from tests.people import somebody
from tokenprov.record.manifest import Manifest, verify_manifest

MOST = 4  # points of a command that are tried, spread over its writes
OF_A_CODE = 3  # the same of one whose trial takes six commands
WHY = ("--reason", "a test", "--operator", "olga")
RULES = """
name = "few"
description = "few rules"
[waivers]
days = 30
[two-authenticators]
"""
CODES = """
name = "known"
description = "a holder is known by a code"
[authenticated-holder]
acts = ["resume"]
proofs = ["recovery-code"]
[recovery-codes]
codes = 2
"""
ROSTER = "id,name,email,upn\ne7,Eve,e7@example.test,e7@example.test\n"
SHARES = ["share-1.txt", "share-2.txt", "share-3.txt"]
TYPED = "tests.crash.test_kill_records:typed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """A command, the kind of its entry if it has one, and what the station shows only then.

    `again`: what the same command may say when all was done. `twice`: it does it once more then,
    which is another entry of the same, and harms nobody.
    """

    command: Sequence[str]
    kind: str
    shows: tuple[Sequence[str], str]
    again: str = ""
    twice: bool = False


DEEDS: Mapping[str, Deed] = {
    "people add": Deed(
        command=("people", "add", "rita", "--key", "{folder}/rita.pem", "--role=requester", *WHY),
        kind="person-changed",
        shows=(("people", "list"), "rita"),
        twice=True,
    ),
    "policy use": Deed(
        command=("policy", "use", "{folder}/few.toml", *WHY),
        kind="policy-changed",
        shows=(("policy", "show"), '"few"'),
        twice=True,
    ),
    "stock never": Deed(
        command=("stock", "never", "3003", *WHY),
        kind="",
        shows=(("stock", "list"), "3003"),
        twice=True,
    ),
    "batch new": Deed(
        command=("batch", "new", "{folder}/eve.csv", "--profile", "standard-employee", *WHY[2:]),
        kind="",
        shows=(("batch", "status", "--json"), '"open": 1'),
    ),
    "batch close": Deed(
        command=("batch", "close", "{batch}", *WHY),
        kind="batch-closed",
        shows=(("manifest", "show"), "batch-closed"),
        again="was closed by entry",
    ),
    "escrow split": Deed(
        command=(
            *("escrow", "split", "--key", "{home}/custodians/private/help-desk.pem", *WHY),
            *("--shares", "3", "--threshold", "2", "--out", "{home}/shares"),
        ),
        kind="custodian-split",
        shows=(("manifest", "show"), "custodian-split"),
        again="is there already",
        twice=True,
    ),
    "revoke": Deed(
        command=("revoke", "{serial}", "--reason", "lost", "--operator", "olga"),
        kind="revoked",
        shows=(("holder", "tokens", "e1"), "revoked"),
        again="revoked",
    ),
    "escrow open": Deed(
        command=(
            *("escrow", "open", "{serial}", "--purpose", "help-desk", *WHY),
            *("--key", "{home}/custodians/private/help-desk.pem", "--name", "piv/puk"),
        ),
        kind="opened",
        shows=(("manifest", "history", "{serial}"), "opened"),
        twice=True,
    ),
}


class Desk:
    """A station that issued a token, in a copy of its home for each trial."""

    def __init__(self, made: Station) -> None:
        self._made, self.home, self.folder = made, made.home, made.folder
        self.serial = str(made.serial)
        (self.folder / "few.toml").write_text(RULES)
        (self.folder / "codes.toml").write_text(CODES)
        (self.folder / "eve.csv").write_text(ROSTER)
        somebody(self.folder, "rita")
        made.fresh()
        issued = made.issue()
        assert issued.status == 0, issued.said
        (batch,) = made.rows("SELECT id FROM batches")
        self._words = {
            "folder": str(self.folder),
            "home": str(self.home),
            "serial": self.serial,
            "batch": str(batch["id"]),
        }
        shutil.copytree(self.home, self.folder / "before")

    def fresh(self) -> None:
        """Everything as it was before."""
        shutil.rmtree(self.home)
        shutil.copytree(self.folder / "before", self.home)

    def run(self, command: Sequence[str], stop: Point | None = None, world: str = "") -> Run:
        """A command in that home, killed at a point."""
        words = [word.format(**self._words) for word in command]
        return self._made.run("--home", str(self.home), *words, stop=stop, world=world)

    def keep(self) -> None:
        """As it is now is how it was before, from now on."""
        shutil.rmtree(self.folder / "before")
        shutil.copytree(self.home, self.folder / "before")

    def entries(self, kind: str) -> int:
        """How many there are."""
        log = Manifest.open(self.home / "manifest")
        kinds = [str(entry["kind"]) for entry in log.entries()]
        log.close()
        return kinds.count(kind)

    def findings(self, but: set[str]) -> list[str]:
        """What is wrong with the manifest."""
        report = verify_manifest(self.home / "manifest")
        return [str(one) for one in report.findings if one.rule not in but]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Made once."""
    with station(tmp_path_factory.mktemp("records")) as made:
        yield Desk(made)


def typed() -> None:
    """A world in which the holder types what lies in a file beside the home."""
    code = Path(sys.argv[2]).with_name("code").read_text()
    getpass.getpass = lambda *_: code


def sample(run: Run, most: int = MOST) -> list[Point]:
    """Of the points at which it changes the disk, by their order."""
    turns = [turn for turn, point in enumerate(run.points, start=1) if point.writes]
    picked = {turns[number * (len(turns) - 1) // (most - 1)] for number in range(most)}
    return [Point(name=ANY, turn=turn) for turn in sorted(picked)]


@pytest.mark.parametrize("name", DEEDS)
def test_killed_it_is_done_by_the_same_command(desk: Desk, name: str) -> None:
    """Killed at writes that are spread over it: nothing is torn, and nothing is left out."""
    deed = DEEDS[name]
    look, shown = deed.shows
    desk.fresh()
    assert shown not in desk.run(look).stdout, "it is so already"
    whole = desk.run(deed.command)
    assert (whole.status, desk.findings(set())) == (0, []), whole.said
    made = desk.entries(deed.kind)
    assert made == bool(deed.kind)

    def trial(stop: Point) -> list[str]:
        desk.fresh()
        run = desk.run(deed.command, stop)
        wrong = [] if run.killed else [f"it was not killed: {run.said}"]
        wrong += desk.findings(CUT_OFF)
        done = desk.entries(deed.kind) == made != 0
        run = desk.run(deed.command)
        if run.status and not (done and deed.again and deed.again in run.stderr):
            wrong.append(f"the same command again: {run.said}")
        count = desk.entries(deed.kind)
        if count != made + (done and deed.twice and not run.status):
            wrong.append(f"{count} entries {deed.kind}, and not {made}")
        wrong += [] if shown in desk.run(look).stdout else [f"it does not show {shown}"]
        shares = sorted(path.name for path in desk.home.glob("*shares*/*"))
        wrong += [] if shares in ([], SHARES) else [f"of the shares are there: {shares}"]
        return [f"{name} killed before {stop}: {one}" for one in wrong + desk.findings(set())]

    all_of(sample(whole), trial, name)


def test_killed_while_a_recovery_code_is_used(desk: Desk) -> None:
    """It is used up once, by an entry, and its proof serves once, whether its file was there."""
    proof, serial = desk.folder / "proof", desk.serial
    desk.fresh()
    assert desk.run(("policy", "use", "{folder}/codes.toml", *WHY)).status == 0
    assert desk.run(("suspend", serial, *WHY)).status == 0
    given = desk.run(("holder", "recovery-codes", "e1", *WHY))
    (desk.folder / "code").write_text(given.stdout.split()[1])
    desk.keep()
    known = ("--for", "resume", "--recovery-code", "--out", str(proof), "--operator", "olga")
    command = ("holder", "prove", serial, *known)

    def trial(stop: Point | None) -> list[str]:
        desk.fresh()
        proof.unlink(missing_ok=True)
        run = desk.run(command, stop, world=TYPED)
        points[:] = points or sample(run, OF_A_CODE)
        wrong = [] if run.killed is (stop is not None) else [run.said]
        wrong += desk.findings(CUT_OFF)
        if not proof.exists():
            again = desk.run(command, world=TYPED)
            wrong += [f"the same command again: {again.said}"] if again.status else []
        resume = ("resume", serial, "--proof", str(proof), *WHY)
        served = desk.run(resume)
        wrong += [f"the proof does not serve: {served.said}"] if served.status else []
        assert desk.run(("suspend", serial, *WHY)).status == 0
        wrong += ["the proof serves twice"] if desk.run(resume).status == 0 else []
        used = desk.entries("recovery-code-used")
        wrong += [f"{used} codes are used up"] if used != 1 else []
        wrong += [f"{path} is left" for path in desk.folder.glob("proof*") if path != proof]
        return [f"killed before {stop}: {one}" for one in wrong + desk.findings(set())]

    points: list[Point] = []
    assert trial(None) == []
    all_of(points, trial, "a recovery code")
