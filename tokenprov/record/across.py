"""Several manifests judged together: what no one of them can show alone.

    fork            two folders of one log, and the smaller is not the beginning of the larger
    claimed-twice   two stations say that a token is a holder's now

Each folder is verified on its own as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tokenprov.errors import ManifestError
from tokenprov.record.checkpoint import Checkpoint
from tokenprov.record.folder import CHECKPOINT, ManifestFolder
from tokenprov.record.history import TokenName
from tokenprov.record.note import parse_note
from tokenprov.record.pin import continues
from tokenprov.record.verdict import VerifyFinding, VerifyReport
from tokenprov.record.verifier_key import VerifierKey
from tokenprov.record.verify import verify_with_holdings


def verify_together(
    folders: Sequence[Path], keys: Mapping[str, VerifierKey]
) -> dict[Path, VerifyReport]:
    """Judge each folder by the key of its origin among `keys`, or by its own; then all together.

    A finding about two folders stands with the later one.
    """
    reports: dict[Path, VerifyReport] = {}
    holdings: dict[Path, Mapping[TokenName, int]] = {}
    for folder in folders:
        reports[folder], holdings[folder] = verify_with_holdings(folder, keys.get(_origin(folder)))
    found: dict[Path, list[VerifyFinding]] = {folder: [] for folder in folders}
    for number, folder in enumerate(folders):
        for other in folders[:number]:
            if reports[folder].origin == reports[other].origin:
                found[folder] += _forks(folder, other)
            else:
                found[folder] += _claims(other, reports[other], holdings[folder], holdings[other])
    return {
        folder: replace(report, findings=(*report.findings, *found[folder]))
        for folder, report in reports.items()
    }


def _forks(folder: Path, other: Path) -> list[VerifyFinding]:
    try:
        sides = [(_head(path), ManifestFolder(path)) for path in (folder, other)]
        (before, _), (head, tiles) = sorted(sides, key=lambda side: side[0].size)
        if continues(before, tiles, head):
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
    other: Path,
    report: VerifyReport,
    mine: Mapping[TokenName, int],
    theirs: Mapping[TokenName, int],
) -> list[VerifyFinding]:
    return [
        VerifyFinding(
            rule="claimed-twice",
            what=f"token {token[1]} is also a holder's by entry {theirs[token]} of {other}"
            f" (station {report.station})",
            remedy="Find out who has it; the station that has not sets it aside.",
            index=index,
        )
        for token, index in mine.items()
        if token in theirs
    ]


def _origin(folder: Path) -> str:
    try:
        return _head(folder).origin
    except ManifestError:
        return ""


def _head(folder: Path) -> Checkpoint:
    return Checkpoint.parse(parse_note(ManifestFolder(folder).read(CHECKPOINT)).text)
