"""The folder of a station's keys: whatever is cut off or refused, the key in use is found again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.stations import tell
from tests.unit.test_record_files import Cut, count_calls
from tokenprov.errors import InputError, StationBusy
from tokenprov.home import Home
from tokenprov.record.lock import StationLock
from tokenprov.record.signer import KeyInMemory, SigningKey
from tokenprov.record.verifier_key import VerifierKey
from tokenprov.rekey import begin_epoch, rotate
from tokenprov.signing import StationKeys, station
from tokenprov.signing.choose import Ask

KEY = KeyInMemory.draw()
VERIFIER = VerifierKey.of("bench", KEY.public)
FIRST, SECOND = "pkcs11:token=a;object=k", "pkcs11:token=b;object=k"


@contextmanager
def in_a_token(given: str, ask: Ask) -> Iterator[SigningKey]:
    """The one key, whatever way to it is given."""
    yield KEY


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StationKeys:
    """Keys of which one is in a token, by the first way."""
    monkeypatch.setattr(station, "opened_key", in_a_token)
    made = StationKeys(tmp_path)
    made.add("bench", FIRST)
    return made


def test_the_key_in_use_is_refused_before_anything_is_written(
    keys: StationKeys, tmp_path: Path
) -> None:
    """It is no other key: the way that the station finds it by stays."""
    (kept,) = (tmp_path / "keys").iterdir()
    before = (kept.read_text(), kept.stat().st_mtime_ns, kept.stat().st_ino)
    with pytest.raises(InputError, match="signs the manifest already"):
        keys.find("bench", SECOND, other_than=VERIFIER)
    (kept,) = (tmp_path / "keys").iterdir()
    assert (kept.read_text(), kept.stat().st_mtime_ns, kept.stat().st_ino) == before


def test_a_key_that_is_open_is_not_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within another who has it open; with the last of them it is closed."""
    times = {"opened": 0, "closed": 0}

    @contextmanager
    def counted(given: str, ask: Ask) -> Iterator[SigningKey]:
        times["opened"] += 1
        yield KEY
        times["closed"] += 1

    monkeypatch.setattr(station, "opened_key", counted)
    signer = StationKeys(tmp_path).signer(VERIFIER)
    with signer.unlocked():
        for _ in range(3):
            with signer.unlocked():
                signer.sign(b"x")
        signer.sign(b"x")
        assert times == {"opened": 1, "closed": 0}
    assert times == {"opened": 1, "closed": 1}
    with signer.unlocked():
        assert times["opened"] == 2


@pytest.mark.parametrize("limit", range(6))
def test_another_way_to_a_key_replaces_the_first_whole(
    keys: StationKeys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    """Cut off at any call, the key is found by the old way or the new one."""
    path = tmp_path / "keys" / f"{VERIFIER.key_id.hex()}.uri"
    with monkeypatch.context() as patch:
        count_calls(patch, limit)
        with pytest.raises(Cut):
            keys.add("bench", SECOND)
    assert path.read_text().strip() == (FIRST if limit < 4 else SECOND)
    keys.add("bench", SECOND)
    assert path.read_text().strip() == SECOND


@pytest.mark.parametrize("change", [rotate, begin_epoch])
def test_old_keys_are_destroyed_under_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: object
) -> None:
    """Nobody else writes in the home while the key that was taken over from is destroyed."""
    assert tell("init", tmp_path / "home", "--name", "bench").code == 0
    free: list[bool] = []
    leave = StationKeys.leave_only

    def asked(self: StationKeys, verifier: VerifierKey) -> None:
        try:
            with StationLock(tmp_path / "home"):
                free.append(True)
        except StationBusy:
            free.append(False)
        leave(self, verifier)

    monkeypatch.setattr(StationKeys, "leave_only", asked)
    home = Home.open(tmp_path / "home")
    assert callable(change)
    change(home, operator="olga", reason="a test", to=None)
    home.manifest.close()
    home.ledger.close()
    assert free
    assert not any(free)
