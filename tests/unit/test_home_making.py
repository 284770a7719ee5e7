"""Folders that are made whole: what was cut off is told from a making that goes on."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tokenprov.errors import DurabilityError
from tokenprov.home import clear_cut_off, making
from tokenprov.record.files import make_folder


def test_what_was_cut_off_goes_whoever_has_its_number_now(tmp_path: Path) -> None:
    """After a start of the machine a process id is another's: secrets would lie there for good."""
    left = tmp_path / f".shares.{os.getppid()}.new"
    make_folder(left)
    (left / "share-1.txt").write_text("words")
    clear_cut_off(tmp_path / "shares")
    assert list(tmp_path.iterdir()) == []


def test_what_goes_on_stays(tmp_path: Path) -> None:
    """A folder that is held is somebody's; so are those of other names."""
    other = tmp_path / ".other.1.new"
    make_folder(other)
    with making(tmp_path / "shares") as made:
        clear_cut_off(tmp_path / "shares")
        assert made.is_dir()
    assert {path.name for path in tmp_path.iterdir()} == {"shares", other.name}


def test_what_is_done_while_it_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A making that ends, or a folder that another command clears away, stops nobody."""
    left = tmp_path / ".shares.1.new"
    make_folder(left)
    opened = os.open

    def gone_first(path: Path, flags: int, mode: int = 0o777) -> int:
        left.rmdir()
        return opened(path, flags, mode)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", gone_first)
        clear_cut_off(tmp_path / "shares")
    assert list(tmp_path.iterdir()) == []


def test_where_a_disk_is_mounted_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that cannot be replaced: in words, and nothing stays beside it."""
    where = tmp_path / "stick"
    make_folder(where)

    def busy(*_: object) -> None:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))  # as rmdir(2) says

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rmdir", busy)
        with pytest.raises(DurabilityError, match="A disk is mounted there"), making(where):
            pass
    assert list(tmp_path.iterdir()) == [where]
