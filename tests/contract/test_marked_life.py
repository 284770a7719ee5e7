"""A token without a serial after its issue: known by its mark, it has the life that others have."""

from __future__ import annotations

import getpass
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import restore_bench
from tests.contract.test_standing import passkey
from tests.stations import Said, Station, make_station
from tokenprov.sim.bench import VirtualBench

MODEL = "security-key-5.7"
PROFILE = """name = "passkeys"
description = "a passkey that answers to who has it"
[fido2]
pin = { length = 8, force-change = "no" }
[[fido2.credentials]]
rp-id = "login.example.test"
rp-name = "Example Login"
user-name = "{holder.email}"
"""
RULES = """name = "known"
description = "a holder is known by what they have"
[authenticated-holder]
acts = ["replace"]
proofs = ["other-token"]
"""


@dataclass
class Keys:
    """Ada's two Security Keys, their station, and the one reader that either may be put into."""

    station: Station
    bench: VirtualBench
    primary: str  # its mark
    spare: str
    inside: dict[str, Any]  # by mark, what is on the key
    model: str = MODEL

    def put_in(self, mark: str) -> None:
        """That key, as it was when it was taken out."""
        self.blank()
        self.bench.control.restore(0, self.inside[mark])

    def take_out(self, mark: str) -> None:
        """Keep what is on the key that is in."""
        self.inside[mark] = self.bench.control.snapshot(0)

    def blank(self) -> None:
        """Another key, fresh from its maker."""
        self.bench.control.replace(0, model=self.model)

    def replace(self, subject: str, cause: str, *options: str | Path) -> Said:
        """The command, for programs."""
        return self.station.tell("replace", subject, "--reason", cause, *options, "--json")

    def holds(self) -> bool:
        """Whether the manifest verifies."""
        return self.station.tell("manifest", "verify").code == 0


@pytest.fixture(scope="module")
def made(shared_bench: VirtualBench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keys]:
    """Issued once; each test has a copy of the home."""
    restore_bench(shared_bench)
    shared_bench.control.unplug_reader(1)
    station = make_station(tmp_path_factory.mktemp("marked"), shared_bench.environment)
    profile = station.home.with_name("passkeys.toml")
    profile.write_text(PROFILE, encoding="utf-8")
    marks, inside = [], {}
    for code in (8, 0):
        shared_bench.control.replace(0, model=MODEL)
        said = station.tell(*station.batch(profile=profile, kit=2), "--without-serial", "1")
        assert said.code == code, said.err
        marks.append(str(said.only("TokenIssued")["label"]))
        inside[marks[-1]] = shared_bench.control.snapshot(0)
    yield Keys(station, shared_bench, *marks, inside)
    shared_bench.control.replace(0, model="yubikey-5.7.4", serial=30_000_001)
    restore_bench(shared_bench)


@pytest.fixture
def keys(made: Keys, tmp_path: Path) -> Keys:
    """Both issued, a blank key in the reader."""
    shutil.copytree(made.station.home, tmp_path / "station")
    station = Station(home=tmp_path / "station", environment=made.station.environment)
    made.blank()
    return Keys(station, made.bench, made.primary, made.spare, dict(made.inside))


def test_a_lost_one_is_replaced(keys: Keys) -> None:
    """It need not be there: it ends at once, and a new key takes its place when it is announced."""
    station = keys.station
    refused = keys.replace(keys.primary, "lost")
    assert refused.code == 8
    assert "--without-serial" in refused.only("TokenPassedOver")["remedy"]
    assert passkey(station, keys.primary) is None
    keys.put_in(keys.spare)
    still = keys.replace(keys.primary, "lost", "--without-serial")
    assert still.code == 8
    assert still.only("TokenReady")["label"] == keys.spare
    keys.blank()
    said = keys.replace(keys.primary, "lost", "--without-serial")
    assert said.code == 0, said.err
    new = said.document["new"]["serial"]
    assert new not in {keys.primary, keys.spare}
    (linked,) = station.entries("replaced")
    assert (linked["token"]["mark"], linked["by"]["mark"]) == (keys.primary, new)
    assert station.entry_of(new)["kit"] == {"position": 0, "size": 2}
    assert passkey(station, new) is not None
    assert station.tell("trace", "E1").code == 0
    assert keys.holds()


def test_one_in_hand_is_replaced(keys: Keys) -> None:
    """In the reader it is known and left alone; the next key takes its place, and then it ends."""
    keys.put_in(keys.spare)
    waits = keys.replace(keys.spare, "damaged", "--without-serial")
    assert waits.code == 8
    assert waits.only("TokenReady")["label"] == keys.spare
    assert passkey(keys.station, keys.spare) is not None
    keys.blank()
    said = keys.replace(keys.spare, "damaged", "--without-serial")
    assert said.code == 0, said.err
    assert said.document["old"]["state"] == "revoked"
    keys.put_in(keys.spare)
    found = keys.replace(keys.primary, "upgrade", "--without-serial")
    assert "is revoked by entry" in found.only("TokenPassedOver")["reason"]
    assert keys.holds()


def test_its_holder_is_known_by_it(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    """The spare proves its mark, then its passkey says who is there; another key is not asked."""
    rules = keys.station.home.with_name("known.toml")
    rules.write_text(RULES)
    assert keys.station.tell("policy", "use", rules, "--reason", "from today on").code == 0
    pin = keys.station.secrets(keys.spare)["fido2/pin"]
    monkeypatch.setattr(getpass, "getpass", lambda prompt: pin)
    proof = keys.station.home.with_name("proof")
    command = ("holder", "prove", keys.primary, "--for", "replace", "--with", keys.spare)
    gone = keys.station.tell(*command, "--out", proof)
    assert gone.code == 4
    assert "no such token" in gone.err
    keys.put_in(keys.spare)
    said = keys.station.tell(*command, "--out", proof)
    assert said.code == 0, said.err
    keys.blank()
    done = keys.replace(keys.primary, "lost", "--without-serial", "--proof", proof)
    assert done.code == 0, done.err
    assert keys.holds()


def test_it_is_listed_and_rehearsed(keys: Keys) -> None:
    """`token list` names it, and a drill with the spare asks for that key."""
    (blank,) = keys.station.tell("token", "list", "--json").document
    assert (blank["serial"], blank["mark"], blank["trouble"]) == (None, None, "")
    plan = ("plan", keys.station.roster(), "--profile", "security-key", "--json")
    assert keys.station.tell(*plan).code == 0
    keys.put_in(keys.spare)
    (here,) = keys.station.tell("token", "list", "--json").document
    assert (here["serial"], here["mark"]) == (None, keys.spare)
    shown = keys.station.tell("token", "show", keys.spare, "--json")
    assert shown.document["recorded"]["holder"] == "Ada Okonkwo"
    bound = keys.station.tell(*plan)
    assert bound.code == 4
    assert f"token {keys.spare} is bound to order" in bound.err
    said = keys.station.tell("drill", "spare", "--seed", "1", "--json")
    assert said.code == 0, said.err
    assert said.document["passed"] is True
