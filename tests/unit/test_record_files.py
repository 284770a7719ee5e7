"""Durable files and canonical JSON: what is left when the process ends between two calls."""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from tokenprov.errors import DurabilityError, StationBusy
from tokenprov.record import files
from tokenprov.record.canonical import CanonicalError, canonical, parse_canonical, timestamp
from tokenprov.record.files import (
    NewFile,
    create_durable,
    created_whole,
    destroy,
    discard,
    make_folder,
    sync_each,
    write_durable,
    write_together,
)
from tokenprov.record.lock import StationLock

CALLS = ("open", "write", "fsync", "replace", "link", "unlink")


class Cut(BaseException):
    """The power failed here."""


def count_calls(monkeypatch: pytest.MonkeyPatch, limit: int) -> list[str]:
    """Let `limit` calls of the operating system through, then cut."""
    seen: list[str] = []

    def wrapped(name: str, real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            if len(seen) == limit:
                raise Cut
            seen.append(name)
            return real(*args, **kwargs)

        return call

    for name in CALLS:
        monkeypatch.setattr(os, name, wrapped(name, getattr(os, name)))
    return seen


def test_write_durable_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Content is synced before the rename, the folder after it."""
    with monkeypatch.context() as patch:
        seen = count_calls(patch, 99)
        write_durable(tmp_path / "a", b"new", 0o600)
    assert seen == ["open", "write", "fsync", "replace", "open", "fsync"]
    assert os.stat(tmp_path / "a").st_mode & 0o777 == 0o600


@pytest.mark.parametrize("limit", range(6))
def test_write_durable_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    """Cut at any call, the file is old or new; the next write clears up."""
    path = tmp_path / "a"
    path.write_bytes(b"old content")
    with monkeypatch.context() as patch:
        count_calls(patch, limit)
        with pytest.raises(Cut):
            write_durable(path, b"new")
    assert path.read_bytes() == (b"old content" if limit < 4 else b"new")
    write_durable(path, b"newer")
    assert path.read_bytes() == b"newer"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("limit", range(7))
def test_create_durable_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    """Cut at any call, the file is whole or not there; destroying it leaves nothing of it."""
    path = tmp_path / "key"
    with monkeypatch.context() as patch:
        count_calls(patch, limit)
        with pytest.raises(Cut):
            create_durable(path, b"secret key", 0o600)
    assert not path.exists() or path.read_bytes() == b"secret key"
    destroy(path)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("limit", range(8))  # as what is there is opened and unlinked first
def test_a_second_name_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    """What a making left between its link and its unlink is the file: it is not written into."""
    path = tmp_path / "a"
    create_durable(path, b"old content")
    os.link(path, files.temporary_of(path))
    with monkeypatch.context() as patch:
        count_calls(patch, limit)
        with pytest.raises(Cut):
            write_durable(path, b"new")
    assert path.read_bytes() in (b"old content", b"new")
    write_durable(path, b"newer")
    assert path.read_bytes() == b"newer"
    assert os.listdir(tmp_path) == ["a"]


def test_a_disk_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is made on FAT, too, and is exclusive there."""

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))  # as link(2) says

    monkeypatch.setattr(os, "link", refuse)
    create_durable(tmp_path / "a", b"first")
    with created_whole(tmp_path / "b") as file:
        file.write(b"first")
    for name in "ab":
        with pytest.raises(FileExistsError):
            create_durable(tmp_path / name, b"second")
        assert (tmp_path / name).read_bytes() == b"first"
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_create_durable_is_exclusive(tmp_path: Path) -> None:
    """What is there is not replaced."""
    create_durable(tmp_path / "key", b"first")
    with pytest.raises(FileExistsError):
        create_durable(tmp_path / "key", b"second")
    assert (tmp_path / "key").read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["key"]


def test_destroy_overwrites(tmp_path: Path) -> None:
    """The content is overwritten on its own blocks before the name goes; missing is fine."""
    path = tmp_path / "key"
    path.write_bytes(b"secret")
    os.link(path, tmp_path / "same blocks")
    destroy(path)
    destroy(path)
    assert (tmp_path / "same blocks").read_bytes() == bytes(6)
    assert not path.exists()


def test_discard(tmp_path: Path) -> None:
    """Discarding says whether there was anything."""
    (tmp_path / "a").write_bytes(b"")
    assert discard(tmp_path / "a")
    assert not discard(tmp_path / "a")


@pytest.mark.parametrize("sync", [sync_each, files.sync_at_once])
def test_write_together(tmp_path: Path, sync: files.Sync) -> None:
    """Several files in new folders, with their modes, whichever way they are synced."""
    made = [
        NewFile(path=tmp_path / "x" / "y" / "1", data=b"one", mode=0o600),
        NewFile(path=tmp_path / "x" / "2", data=b"two"),
    ]
    write_together(made, sync=sync)
    write_together(made, sync=sync)
    for file in made:
        assert file.path.read_bytes() == file.data
        assert os.stat(file.path).st_mode & 0o777 == file.mode
    write_together([], sync=sync)


def test_sync_each_covers_new_folders(tmp_path: Path) -> None:
    """The folder that holds a new folder is synced too, or the name of it could be lost."""
    seen: list[Path] = []
    write_together(
        [NewFile(path=tmp_path / "x" / "y" / "1", data=b"")],
        sync=lambda paths, folders: seen.extend((*paths, *folders)),
    )
    assert set(seen) == {tmp_path, tmp_path / "x", tmp_path / "x/y", tmp_path / "x/y/1"}


@pytest.mark.parametrize(
    ("code", "word"),
    [(errno.ENOSPC, "space"), (errno.EROFS, "read-only"), (errno.EIO, "dmesg")],
)
def test_disk_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, word: str) -> None:
    """A full, read-only or failing disk says what to do, and the old content stays."""
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def failing(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "write", failing)
    with pytest.raises(DurabilityError, match=word):
        write_durable(path, b"new")
    assert path.read_bytes() == b"old"


def test_links_are_not_followed(tmp_path: Path) -> None:
    """A link in the place of a file does not lead a write elsewhere."""
    (tmp_path / "elsewhere").write_bytes(b"untouched")
    (tmp_path / "a").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DurabilityError):
        write_together([NewFile(path=tmp_path / "a", data=b"x")])
    assert (tmp_path / "elsewhere").read_bytes() == b"untouched"


def test_make_folder(tmp_path: Path) -> None:
    """Folders are made with their mode, and left as they are when there."""
    make_folder(tmp_path / "a" / "b", 0o700)
    make_folder(tmp_path / "a" / "b", 0o755)
    assert os.stat(tmp_path / "a" / "b").st_mode & 0o777 == 0o700


def test_station_lock_names_the_holder(tmp_path: Path) -> None:
    """A second process is told who holds the home; a killed one holds nothing."""
    script = (
        "import sys, pathlib, time\n"
        "from tokenprov.record.lock import StationLock\n"
        "with StationLock(pathlib.Path(sys.argv[1])):\n"
        "    print('held', flush=True); time.sleep(60)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", script, tmp_path], stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        with pytest.raises(StationBusy, match=str(child.pid)) as caught, StationLock(tmp_path):
            pass
        assert caught.value.pid == child.pid
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate()
    with StationLock(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
    with StationLock(tmp_path):
        pass


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_canonical_round_trip(document: object) -> None:
    """What rfc8785 writes is what is read, on the fast way and the slow."""
    data = canonical(document)
    assert data == rfc8785.dumps(document)  # type: ignore[arg-type]  # any JSON value
    assert parse_canonical(data) == document


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b'{"b":1,"a":2}', "canonical"),
        (b'{"a":1,"a":1}', "canonical"),
        (b'{"a": 1}', "canonical"),
        (b'{"a":1}\n', "canonical"),
        (b'"\\u0041"', "canonical"),
        (b'"\\/"', "canonical"),
        ('{"\\ud83d\\ude00":1,"\ufb33":2}'.encode(), "canonical"),
        ('{"\ufb33":2,"\U0001f600":1}'.encode(), "canonical"),  # sorts by UTF-16 unit
        (b"1.5", "no integer"),
        (b"1.0", "no integer"),
        (b"1e3", "no integer"),
        (b"-0", "canonical"),
        (b"NaN", "no integer"),
        (b"9007199254740992", "2\\^53"),
        (b"123456789012345678901234567890", "2\\^53"),
        (b'"\\ud800"', "surrogate"),
        (b'{"a":1', "not JSON"),
        (b"", "not JSON"),
        (b"\xff", "UTF-8"),
        (json.dumps({"a": 1}).encode("utf-16"), "UTF-8"),
        (b"[" * 100_000, "not JSON"),
    ],
)
def test_canonical_refusals(data: bytes, why: str) -> None:
    """A second spelling of a document, or what is none, is refused by its reason."""
    with pytest.raises(CanonicalError, match=why):
        parse_canonical(data)


@pytest.mark.parametrize(
    "document",
    [1.5, {"a": [0.0]}, 2**53, -(2**53), "\ud800", {1: "one"}, {"a": b"bytes"}, float("nan")],
)
def test_no_canonical_form(document: object) -> None:
    """Fractions, large integers, half characters and what JSON has no word for are not written."""
    with pytest.raises(CanonicalError):
        canonical(document)


def test_a_file_that_cannot_be_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where not even its temporary file could be made, that error is told and no other one."""

    def full(*arguments: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", full)
        with pytest.raises(DurabilityError, match="No space left"), created_whole(tmp_path / "a"):
            pass
    assert os.listdir(tmp_path) == []


def test_timestamp() -> None:
    """Times are UTC to the second, and need a zone."""
    moment = datetime.fromisoformat("2026-02-03T05:05:06.789+01:00")
    assert timestamp(moment) == "2026-02-03T04:05:06Z"
    assert timestamp(datetime(2026, 1, 1, tzinfo=UTC)) == "2026-01-01T00:00:00Z"
    with pytest.raises(ValueError, match="time zone"):
        timestamp(datetime(2026, 1, 1))  # the case
