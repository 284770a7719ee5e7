"""SIGKILL at every write of acts that a policy has others agree to: the same command, with the same
approval, finishes each of them, and nothing is recorded twice.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.crash.points import ANY, Point
from tests.crash.program import Run
from tests.crash.station import Station, station
from tests.people import added, approved
from tests.softhsm import SOFTHSM, SoftHsm
from tests.stations import Station as Desk
from tokenprov.record.commit import key_in_use
from tokenprov.record.escrow import generate_custodian
from tokenprov.record.folder import ManifestFolder
from tokenprov.record.manifest import Manifest, verify_manifest

RULES = """
name = "agreed"
description = "nothing is done alone"
[separation]
acts = { rotate-key = 1, begin-epoch = 1, rotate-custodian = 1, erase = 1 }
"""
WHY = ("--reason", "a test", "--operator", "olga")
PIN = "914736"
EVERY = 16  # of the points before the commit that are in the sample
HEAD = "replace .checkpoint"  # which is the commit


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """A command that is agreed to, and the kind of entry that it ends with."""

    command: Sequence[str]
    kind: str
    done: str = ""  # what the same command says once it is all done, where it is refused then


ACTS: Mapping[str, Act] = {
    "rotate-key": Act(command=("manifest", "rotate-key", *WHY), kind="key-rotated"),
    "rotate-key to a token": Act(
        command=("manifest", "rotate-key", "--to", "{uri}", *WHY), kind="key-rotated"
    ),
    "begin-epoch": Act(command=("manifest", "rotate-key", "--lost", *WHY), kind="key-lost"),
    "rotate-custodian": Act(
        command=("escrow", "rotate", "help-desk={new}", *WHY),
        kind="custodian-changed",
        done="has the key",
    ),
    "erase": Act(
        command=("holder", "erase", "e1", "--yes", *WHY), kind="erased", done="no holder with id"
    ),
}


class Agreed:
    """A station under a policy, as it was before each act, and the acts with their approvals."""

    def __init__(self, made: Station, hsm: SoftHsm) -> None:
        self._made, self._before = made, made.folder / "before"
        self.home, desk = made.home, Desk(home=made.home)
        (made.folder / "new.pem").write_bytes(generate_custodian()[1])
        self._words = {
            "new": str(made.folder / "new.pem"),
            "uri": f"pkcs11:token=station;object=key?module-path={SOFTHSM}"
            f"&pin-source=file:{hsm.folder / 'pin'}",
        }
        (made.folder / "rules.toml").write_text(RULES)
        rita, pavel = added(desk, "rita", "requester"), added(desk, "pavel", "approver")
        assert desk.tell("policy", "use", made.folder / "rules.toml", *WHY).code == 0
        self._approvals = {}
        for number, (name, act) in enumerate(ACTS.items()):
            refused = self._run(act).stderr
            asked = refused.split("approve request ")[1].split(";")[0].replace("'", "").split()
            self._approvals[act.command] = approved(desk, rita, pavel, *asked, name=f"a{number}")
            assert asked[0] in name
        shutil.copytree(self.home, self._before)

    def run(self, act: Act, stop: Point | None = None) -> Run:
        """Do what was agreed to, killed at a point."""
        return self._run(act, "--approval", str(self._approvals[act.command]), stop=stop)

    def fresh(self) -> None:
        """Everything as it was before."""
        shutil.rmtree(self.home)
        shutil.copytree(self._before, self.home)

    def faults(self, name: str) -> list[str]:
        """What is wrong at the end."""
        act, folder = ACTS[name], self.home / "manifest"
        wrong = [str(one) for one in verify_manifest(folder).findings]
        entries = [one for one in Manifest.open(folder).entries() if one["kind"] == act.kind]
        wrong += [] if len(entries) == 1 else [f"{len(entries)} entries {act.kind}"]
        wrong += [] if all(one["approvers"] for one in entries) else ["nobody agreed to it"]
        keys = [path.stem for path in (self.home / "keys").iterdir()]
        if keys != [key_in_use(ManifestFolder(folder)).key_id.hex()]:
            wrong.append(f"keys {keys} are left")
        if "custodian" in name:
            there = (self.home / "custodians" / "help-desk.pem").read_bytes()
            wrong += [] if there == Path(self._words["new"]).read_bytes() else ["the old custodian"]
        if name == "erase" and (rows := self._made.rows("SELECT * FROM orders WHERE id LIKE '%'")):
            wrong += ["the ledger knows the holder"] if "Ada" in str(rows) else []
            wrong += ["an opening is left"] if list(folder.glob("openings/*")) else []
        return wrong

    def _run(self, act: Act, *options: str, stop: Point | None = None) -> Run:
        words = [word.format(**self._words) for word in act.command]
        return self._made.run("--home", str(self.home), *words, *options, stop=stop)


@pytest.fixture(scope="module")
def agreed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agreed]:
    """A station that has issued one token, and whose next key may be in a PKCS#11 token."""
    folder = tmp_path_factory.mktemp("agreed")
    hsm = SoftHsm.create(folder / "hsm")
    hsm.deliver("station", "271828", PIN)
    (hsm.folder / "pin").write_text(f"{PIN}\n")
    tool = ("pkcs11-tool", "--module", str(SOFTHSM), "--token-label", "station", "--pin", PIN)
    hsm.run(*tool, "--keypairgen", "--key-type", "EC:prime256v1", "--label", "key", "--id", "01")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", hsm.environment["SOFTHSM2_CONF"])
        with station(folder / "station") as made:
            made.fresh()
            issued = made.issue()
            assert issued.status == 0, issued.said
            yield Agreed(made, hsm)


def sample(run: Run) -> list[Point]:
    """All from the first checkpoint on, by their order, and one in so many before it."""
    names = [point.name for point in run.points]
    first = next(turn for turn, name in enumerate(names) if name.startswith(HEAD))
    return [
        Point(name=ANY, turn=turn)
        for turn, name in enumerate(names, start=1)
        if name != "end" and (turn > first or turn % EVERY == 0)
    ]


@pytest.mark.parametrize("name", ACTS)
def test_the_same_approval_finishes_what_was_cut_off(agreed: Agreed, name: str) -> None:
    """Killed before any write, the same command again comes to the same end: one entry, agreed."""
    act = ACTS[name]
    agreed.fresh()
    whole = agreed.run(act)
    assert (whole.status, agreed.faults(name)) == (0, []), whole.said
    points = sample(whole)
    found: list[str] = []
    for point in points:
        agreed.fresh()
        run = agreed.run(act, point)
        wrong = [] if run.killed else [f"it was not killed: {run.said}"]
        again = agreed.run(act)
        if again.status != 0 and not (act.done and act.done in again.stderr):
            wrong.append(f"the same command again: {again.said}")
        wrong += agreed.faults(name)
        found += [f"killed before {point}: {one}" for one in wrong]
    assert len(points) > 5
    assert not found, "\n".join(found)
