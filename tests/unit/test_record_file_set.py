"""Files that go together: cut off anywhere, the same again makes what is missing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.unit.test_record_files import Cut, count_calls
from tokenprov.errors import InputError
from tokenprov.record.file_set import create_files

FILES = {"a.csr": b"one", "list.csv": b"of one"}
CALLS = 18  # of the operating system, for both in a new folder


def test_so_many_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cut before each of them is tried below."""
    with monkeypatch.context() as patch:
        seen = count_calls(patch, 99)
        create_files(tmp_path / "out", FILES)
    assert len(seen) == CALLS


@pytest.mark.parametrize("limit", range(CALLS))
def test_a_cut_and_the_same_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    """The last one is there only where the others are; both are after the second time."""
    folder = tmp_path / "out"
    with monkeypatch.context() as patch:
        count_calls(patch, limit)
        with pytest.raises(Cut):
            create_files(folder, FILES)
    if (folder / "list.csv").exists():
        assert (folder / "a.csr").read_bytes() == b"one"
        with pytest.raises(InputError, match="is there already"):
            create_files(folder, FILES)
    else:
        create_files(folder, FILES)
    assert {name: (folder / name).read_bytes() for name in FILES} == FILES


def test_it_is_written_into_a_folder_that_is_there(tmp_path: Path) -> None:
    """Which may be where a disk is mounted, and cannot be replaced; what is in it stays."""
    number = os.stat(tmp_path).st_ino
    (tmp_path / "mine").write_bytes(b"")
    create_files(tmp_path, FILES)
    assert os.stat(tmp_path).st_ino == number
    assert sorted(os.listdir(tmp_path)) == ["a.csr", "list.csv", "mine"]


def test_other_content_is_not_written_over(tmp_path: Path) -> None:
    """Nothing is made beside it."""
    (tmp_path / "a.csr").write_bytes(b"another")
    with pytest.raises(InputError, match=r"a\.csr is there already"):
        create_files(tmp_path, FILES)
    assert os.listdir(tmp_path) == ["a.csr"]
