"""Several processes append to one manifest: each sees the others, one that died hurts nobody."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest

from tests.record_samples import ORIGIN, SIGNER, append, set_aside, small_manifest
from tokenprov.errors import ManifestError
from tokenprov.record import commit as committing
from tokenprov.record.manifest import Manifest
from tokenprov.record.verify import verify_manifest

PROCESSES, EACH = 4, 25


def add(folder: Path, first: int) -> None:
    """Append so many entries, from a process of its own."""
    manifest = Manifest.open(folder, SIGNER, alone=False)
    for number in range(first, first + EACH):
        append(manifest, number, order=f"b1-{number}")


def test_processes_append_side_by_side(tmp_path: Path) -> None:
    """Nothing is lost, nothing is doubled, and what is beside the log agrees with it."""
    folder = tmp_path / "m"
    small_manifest(folder, tokens=0).close()
    fork = multiprocessing.get_context("spawn")
    started = [fork.Process(target=add, args=(folder, 100 * n)) for n in range(1, PROCESSES + 1)]
    for process in started:
        process.start()
    for process in started:
        process.join(120)
    assert [process.exitcode for process in started] == [0] * PROCESSES
    manifest = Manifest.open(folder, SIGNER)
    assert manifest.size == 1 + PROCESSES * EACH
    assert verify_manifest(folder).findings == ()
    for n in range(1, PROCESSES + 1):
        assert len(manifest.found_by(f"serial {10_000_000 + 100 * n}")) == 1


def test_two_see_each_other(tmp_path: Path) -> None:
    """What one appended the other finds, is refused for, and follows, without opening it again."""
    folder = tmp_path / "m"
    first = small_manifest(folder, tokens=1)
    second = Manifest.open(folder, SIGNER, alone=False)
    assert append(second, 1) == 2
    assert first.found_by("serial 10000001") == [2]
    with pytest.raises(ManifestError, match="is that of entry 2"):
        append(first, 1)
    assert first.append(set_aside(0)) == 3
    assert second.found_by("serial 10000000") == [1, 3]
    assert verify_manifest(folder).findings == ()


def die_before_the_checkpoint(folder: Path) -> None:
    """An append that is cut off when its files are there and its head is not."""
    manifest = Manifest.open(folder, SIGNER, alone=False)
    committing.write_durable = lambda *_: os._exit(9)
    append(manifest, 7)


def test_one_that_died_is_cleared_away_by_the_next(tmp_path: Path) -> None:
    """Another process that is open already takes no notice but to tidy up."""
    folder = tmp_path / "m"
    manifest = small_manifest(folder, tokens=1)
    dying = multiprocessing.get_context("spawn").Process(
        target=die_before_the_checkpoint, args=(folder,)
    )
    dying.start()
    dying.join(60)
    assert dying.exitcode == 9
    assert [f.rule for f in verify_manifest(folder).findings] != []
    assert append(manifest, 1) == 2
    assert verify_manifest(folder).findings == ()
    assert Manifest.open(folder).origin == ORIGIN
