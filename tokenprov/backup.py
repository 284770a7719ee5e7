"""A station home in one sealed file, and a home made of it again, on any machine.

Rules:
- The copy is of one moment: nobody else works in the home meanwhile, whoever records waits until
  all is packed, and the ledger is copied by the database itself.
- It is sealed as it is written; it opens with the private key of who it was sealed to, and that
  custodian could then act as the station. Private keys of custodians are never in it.
- A home is restored beside its place, judged (the manifest holds, and the ledger opens), and
  renamed into it: it is there whole or not at all.
- The manifest must not fork: whoever restores either shows the last checkpoint that is known, which
  the restored log must contain, or says that nothing was recorded after the backup.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from tokenprov.errors import EscrowError, EvidenceError, StationError
from tokenprov.home import Home, clear_cut_off, making
from tokenprov.record.canonical import timestamp
from tokenprov.record.escrow import CustodianKey, PrivateKey
from tokenprov.record.files import created_whole, sync_at_once
from tokenprov.record.sealed_file import SealedReader, SealedWriter
from tokenprov.record.shape import ShapeError, moment, number, one_of, pattern, record, text
from tokenprov.record.verify import Held, verify_manifest

LEDGER = "ledger.sqlite"
_SNAPSHOT = ".ledger.snapshot"  # a name that no other file of a home has
_LEFT_OUT = ("lock", "manifest.index", LEDGER)  # by their beginnings: made again, or copied apart
_PRIVATE = PurePosixPath("custodians/private")
_WHAT = "station home"
_ABOUT = record(
    {
        "what": one_of(_WHAT),
        "station": text,
        "made": moment,
        "size": number(0),
        "root": pattern("[0-9a-f]{64}", "64 hex digits"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """What a backup is of."""

    station: str
    made: datetime
    size: int  # of the manifest then
    root: str  # of its tree, hex
    files: int


def backup(home: Home, out: Path, recipient: CustodianKey) -> Copy:
    """Write the home, sealed, to a file that must not be there yet; durable on return.

    Raises StationBusy, StationError, DurabilityError, FileExistsError.
    """
    with home.working(), home.manifest.alone():
        head, made = home.manifest.checkpoint, home.clock()
        about = {
            "what": _WHAT,
            "station": home.name,
            "made": timestamp(made),
            "size": head.size,
            "root": head.root.hex(),
        }
        with created_whole(out, 0o600) as file, SealedWriter(file, recipient, about) as sealed:
            count = _pack(home.path, sealed)
    return Copy(station=home.name, made=made, size=head.size, root=head.root.hex(), files=count)


def restore(
    source: BinaryIO,
    into: Path,
    key: PrivateKey,
    *,
    last: bytes | None = None,
    bring_in: Callable[[Path], None] = lambda made: None,
) -> Copy:
    """Make a home of a backup. `last` is the last checkpoint that is known; None: none is later.

    `bring_in` is called with the home before it is judged, for what was recorded after the backup.

    Raises EscrowError: it does not open; StationError: something is there already; EvidenceError:
    what it holds does not hold, or is older than `last` (nothing is then restored).
    """
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise StationError(
            f"{into} is there and not empty", remedy="Name a folder that is not there yet."
        )
    into = into.absolute()
    clear_cut_off(into)
    with making(into) as made:
        with SealedReader(source, key) as sealed:
            about = _about(sealed)
            count = _unpack(sealed, made)
        bring_in(made)
        _judge(made, last)
    return Copy(
        station=about["station"],
        made=datetime.fromisoformat(about["made"]),
        size=about["size"],
        root=about["root"],
        files=count,
    )


def _about(sealed: SealedReader) -> dict[str, Any]:
    try:
        _ABOUT(sealed.about, "")
    except ShapeError as exc:
        raise EscrowError(
            f"it is no backup of a station: {exc}", remedy="Name another file."
        ) from exc
    return sealed.about


def _pack(home: Path, sealed: SealedWriter) -> int:
    snapshot = home / _SNAPSHOT
    count = 0
    try:
        _copy_ledger(home / LEDGER, snapshot)
        with tarfile.open(fileobj=sealed, mode="w|", format=tarfile.PAX_FORMAT) as archive:
            for path in _files(home):
                archive.add(path, str(path.relative_to(home)), recursive=False)
                count += path.is_file()
            archive.add(snapshot, LEDGER)
    finally:
        snapshot.unlink(missing_ok=True)
    return count + 1


def _copy_ledger(ledger: Path, snapshot: Path) -> None:
    if not ledger.exists():
        raise StationError(
            f"{ledger} is not there: the ledger of this station is kept elsewhere",
            remedy="Back the database up by its own means, and the home beside it.",
        )
    snapshot.unlink(missing_ok=True)
    os.close(os.open(snapshot, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    with closing(sqlite3.connect(ledger)) as source, closing(sqlite3.connect(snapshot)) as target:
        source.backup(target)


def _files(home: Path) -> Iterator[Path]:
    """Folders before what is in them; nothing that begins with a dot was finished."""
    for path in sorted(home.rglob("*")):
        name = PurePosixPath(path.relative_to(home))
        if any(part.startswith(".") for part in name.parts) or name.parts[0].startswith(_LEFT_OUT):
            continue
        if name == _PRIVATE or _PRIVATE in name.parents or not (path.is_file() or path.is_dir()):
            continue
        yield path


def _unpack(sealed: SealedReader, into: Path) -> int:
    made: list[Path] = []
    try:
        with tarfile.open(fileobj=sealed, mode="r|") as archive:
            for member in archive:
                target = into / _inside(member)
                if member.isdir():
                    target.mkdir(member.mode & 0o777)
                    continue
                content = archive.extractfile(member)
                assert content is not None, "it is a file"
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                with open(os.open(target, flags, member.mode & 0o777), "wb") as file:
                    shutil.copyfileobj(content, file)
                made.append(target)
        while sealed.read(1 << 20):  # to its end, which says that nothing was cut off
            pass
    except tarfile.TarError as exc:
        raise EscrowError(
            "what was sealed is no station home", remedy="Take it from another copy."
        ) from exc
    sync_at_once(made, [into, *(path for path in into.rglob("*") if path.is_dir())])
    return len(made)


def _inside(member: tarfile.TarInfo) -> PurePosixPath:
    """Its place in the home. Raises EscrowError for one outside, or what is no plain file."""
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts or not (member.isfile() or member.isdir()):
        raise EscrowError(f"{member.name!r} is no file of a station", remedy="Use another backup.")
    return name


def _judge(made: Path, last: bytes | None) -> None:
    """Whether the manifest holds, contains the last known checkpoint, and the ledger opens."""
    report = verify_manifest(made / "manifest", held=Held(pin=last) if last else Held())
    if report.findings:
        finding = report.findings[0]
        raise EvidenceError(
            f"the backup is not taken: {finding.rule}: {finding.what}",
            remedy="Use a later backup. A log that goes on from here would fork; where there is no"
            " later one, begin an epoch on the record: tokenprov manifest rotate-key --help.",
        )
    home = Home.open(made)
    with suppress(StopIteration):
        next(iter(home.ledger.batches()))
    home.ledger.close()
    home.manifest.close()
    for path in made.glob("manifest.index*"):
        path.unlink()
