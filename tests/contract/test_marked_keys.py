"""A YubiKey that tells no serial: every command of a token's life finds it by its mark."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from yubikit.piv import PivSession

from tests.conftest import restore_bench
from tests.contract.test_marked_life import Keys
from tests.contract.test_marked_wipe import cut, is_blank, tell, verified
from tests.stations import Said, Station, make_station
from tokenprov import wipe
from tokenprov.device.pcsc import Context, connected
from tokenprov.errors import TokenGone
from tokenprov.lifecycle import fido_again
from tokenprov.sim.bench import VirtualBench
from tokenprov.steps.piv.access import FACTORY_PIN

MODEL = "yubikey-5.7.4-no-serial"
PROFILE = """name = "many"
extends = "standard-employee"
without = ["otp"]
[fido2.pin]
force-change = "no"
[openpgp]
[hsmauth]
"""
WHY = ("--reason", "a test", "--operator", "olga")


@pytest.fixture(scope="module")
def made(shared_bench: VirtualBench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keys]:
    """Issued once; each test has a copy of the home."""
    restore_bench(shared_bench)
    shared_bench.control.unplug_reader(1)
    shared_bench.control.replace(0, model=MODEL)
    station = make_station(tmp_path_factory.mktemp("many"), shared_bench.environment)
    profile = station.home.with_name("many.toml")
    profile.write_text(PROFILE, encoding="utf-8")
    said = station.tell(*station.batch(profile=profile), "--without-serial", "1")
    assert said.code == 0, said.err
    mark = str(said.only("TokenIssued")["label"])
    inside = {mark: shared_bench.control.snapshot(0)}
    yield Keys(station, shared_bench, mark, "", inside, MODEL)
    shared_bench.control.replace(0, model="yubikey-5.7.4", serial=30_000_001)
    restore_bench(shared_bench)


@pytest.fixture
def key(made: Keys, tmp_path: Path) -> Keys:
    """In the reader, as it was issued."""
    shutil.copytree(made.station.home, tmp_path / "station")
    station = Station(home=tmp_path / "station", environment=made.station.environment)
    mine = replace(made, station=station, inside=dict(made.inside))
    mine.put_in(mine.primary)
    return mine


def opened(key: Keys, custodian: str) -> Sequence[str]:
    """The option that has a custodian's key open what the token holds."""
    return ("--key", str(key.station.home / "custodians" / "private" / f"{custodian}.pem"))


def again(key: Keys) -> Said:
    """A new FIDO2 PIN."""
    return tell(key, "unblock", key.primary, "--fido2", *WHY)


def takes(key: Keys, pin: str) -> None:
    """The token in the reader takes a PIV PIN. Raises what the library does."""
    with Context() as context:
        (reader,) = [one.name for one in context.reader_states() if one.present]
    with connected(reader) as to:
        PivSession(to).verify_pin(pin)


def test_it_is_told_again(key: Keys) -> None:
    """PIN, PUK, keys and certificates are made anew, are what escrow has, and it is audited."""
    before = key.station.secrets(key.primary)
    for command in (
        ("unblock", key.primary, *opened(key, "help-desk"), *WHY),
        ("rotate", "--all", *opened(key, "break-glass"), *WHY),
        ("rotate", key.primary, *opened(key, "help-desk"), *WHY),
        ("renew", key.primary, "--within", "4000", *opened(key, "token-administration")),
    ):
        said = tell(key, *command)
        assert said.code == 0, (command, said.err)
    assert again(key).code == 0
    now = key.station.secrets(key.primary)
    assert {name for name in before if now[name] == before[name]} == {"openpgp/user-pin"}
    takes(key, now["piv/pin"])
    assert key.station.tell("token", "audit", key.primary).code == 0
    shown = key.station.tell("token", "show", key.primary, "--json")
    assert shown.document["recorded"]["holder"] == "Ada Okonkwo"
    assert verified(key)


def test_all_of_it_is_emptied(key: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut off behind the last reset, a blank one is taken for it: that one was not seen."""
    cut(monkeypatch, wipe, "emptied", lambda: tell(key, "return", key.primary, *WHY))
    assert is_blank(key)
    said = tell(key, "return", key.primary, *WHY)
    assert said.code == 0, said.err
    (entry,) = key.station.entries("wiped")
    assert set(entry["reset"]) == {"otp", "piv", "oath", "openpgp", "hsmauth"}
    assert entry["unseen"] == ["fido2"]
    takes(key, FACTORY_PIN)
    assert verified(key)


def test_what_is_on_it_says_which_one_it_was(key: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut off before its new mark, it is what holds all else as recorded, and no blank one."""
    cut(monkeypatch, fido_again, "mark", lambda: again(key))
    key.take_out(key.primary)
    key.blank()
    before = key.bench.control.snapshot(0)
    assert again(key).code == TokenGone.exit_code
    assert key.bench.control.snapshot(0)["applets"]["piv"] == before["applets"]["piv"]
    key.put_in(key.primary)
    said = again(key)
    assert said.code == 0, said.err
    (entry,) = key.station.entries("unblocked")
    assert entry["unseen"] == ["fido2"]
    assert key.station.tell("token", "audit", key.primary).code == 0
    assert verified(key)
