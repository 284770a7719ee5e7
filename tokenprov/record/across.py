"""Several manifests judged together: what no one of them can show alone.

    fork            two folders of one log, and the smaller is not the beginning of the larger
    claimed-twice   two stations say that a token is a holder's now

Each folder is verified on its own as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tokenprov.errors import ManifestError
from tokenprov.record.checkpoint import Checkpoint
from tokenprov.record.entry import decode_entry
from tokenprov.record.folder import CHECKPOINT, ManifestFolder
from tokenprov.record.head import Held
from tokenprov.record.history import TokenName, token_name
from tokenprov.record.memory import MemoryOfLog
from tokenprov.record.note import parse_note
from tokenprov.record.pin import continues, proofs_in
from tokenprov.record.verdict import VerifyFinding, VerifyReport
from tokenprov.record.verify import verify_with_memory


def verify_together(folders: Sequence[Path], held: Held) -> dict[Path, VerifyReport]:
    """Judge each folder by the keys held of its origin, or by its own; then all together.

    A finding about two folders stands with the later one.
    """
    reports: dict[Path, VerifyReport] = {}
    memories: dict[Path, MemoryOfLog] = {}
    for folder in folders:
        reports[folder], memories[folder] = verify_with_memory(
            folder, replace(held, keys=[key for key in held.keys if key.name == _origin(folder)])
        )
    found: dict[Path, list[VerifyFinding]] = {folder: [] for folder in folders}
    for number, folder in enumerate(folders):
        for other in folders[:number]:
            if reports[folder].origin == reports[other].origin:
                found[folder] += _forks(folder, other)
            else:
                sides = (folder, memories[folder]), (other, memories[other])
                found[folder] += _claims(*sides, station=reports[other].station)
    return {
        folder: replace(report, findings=(*report.findings, *found[folder]))
        for folder, report in reports.items()
    }


def _forks(folder: Path, other: Path) -> list[VerifyFinding]:
    try:
        sides = [(_head(path), ManifestFolder(path)) for path in (folder, other)]
        (before, _), (head, tiles) = sorted(sides, key=lambda side: side[0].size)
        if continues(before, proofs_in(tiles, head.size), head):
            return []
    except ManifestError:
        return []  # what cannot be read is named with its folder
    return [
        VerifyFinding(
            rule="fork",
            what=f"{other} is of the same log, and neither is the beginning of the other",
            remedy="Keep both: they prove that the station signed two histories.",
        )
    ]


def _claims(
    mine: tuple[Path, MemoryOfLog], theirs: tuple[Path, MemoryOfLog], *, station: str
) -> list[VerifyFinding]:
    found = []
    for key, index in mine[1].holdings():
        other = theirs[1].held_since(key)
        if other is None:
            continue
        token = _token(mine[0], index)
        if token is not None and token == _token(theirs[0], other):
            found.append(
                VerifyFinding(
                    rule="claimed-twice",
                    what=f"token {token[1]} is also a holder's by entry {other} of {theirs[0]}"
                    f" (station {station})",
                    remedy="Find out who has it; the station that has not sets it aside.",
                    index=index,
                )
            )
    return sorted(found, key=lambda finding: finding.index or 0)


def _token(folder: Path, index: int) -> TokenName | None:
    """The token that an entry is about; None where it cannot be read, which is named elsewhere."""
    try:
        data = next(ManifestFolder(folder).entries(index, _head(folder).size))
        return token_name(decode_entry(data)["token"])
    except ManifestError:
        return None


def _origin(folder: Path) -> str:
    try:
        return _head(folder).origin
    except ManifestError:
        return ""


def _head(folder: Path) -> Checkpoint:
    return Checkpoint.parse(parse_note(ManifestFolder(folder).read(CHECKPOINT)).text)
