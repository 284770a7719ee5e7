"""A copy of the manifest, verified, in the place of a restored home's; each later entry is told."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenprov.errors import EvidenceError
from tokenprov.home import Home
from tokenprov.issuance import settle
from tokenprov.later.accepted import Accepted
from tokenprov.later.promised import Promised
from tokenprov.profile import Profile
from tokenprov.record.commit import key_in_use
from tokenprov.record.entry import Kind
from tokenprov.record.files import sync_at_once
from tokenprov.record.folder import ManifestFolder
from tokenprov.record.verify import Held, verify_manifest

_LOST = {
    Kind.CUSTODIAN_CHANGED: "secrets were sealed to another key: tokenprov escrow rotate",
    Kind.RESEALED: "secrets were sealed to another key: tokenprov escrow reseal",
    Kind.RECOVERY_CODES: "the digests of recovery codes are gone: give the holder others",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    """What came in: how many entries, and what they could not give back, one sentence each."""

    entries: int
    lost: tuple[str, ...]


def bring_in(made: Path, copy: Path, profiles: Sequence[Profile] = ()) -> Later:
    """Put the copy of the manifest in the place of a restored home's, and tell the home of it.

    `made` is the home, which nobody works on. Raises EvidenceError: it does not hold, or does not
    continue; ProfileError: a profile is missing.
    """
    before = ManifestFolder(made / "manifest")
    pin, key = before.read("checkpoint"), key_in_use(before)
    report = verify_manifest(copy, held=Held(keys=(key,), pin=pin))
    if report.findings:
        finding = report.findings[0]
        raise EvidenceError(
            f"{copy} is not taken: {finding.rule}: {finding.what}",
            remedy="Bring a copy of this station's manifest that verifies and is not older.",
        )
    home = Home.open(made)
    size = home.manifest.size
    home.manifest.close()
    home.ledger.close()
    if key_in_use(ManifestFolder(copy)) != key:
        raise EvidenceError(
            "another key signs that manifest since, and the backup does not have it",
            remedy="Bring a later backup; or begin an epoch there: manifest rotate-key --lost.",
        )
    _replace(made / "manifest", copy)
    return _told(made, size, profiles)


def _replace(mine: Path, copy: Path) -> None:
    """The copy's files, and the openings that this home has beside them."""
    kept = mine.with_name("manifest.before")
    mine.rename(kept)
    shutil.copytree(copy, mine)
    (mine / "openings").mkdir(exist_ok=True)
    for opening in (kept / "openings").glob("*.json"):
        if not (mine / "openings" / opening.name).exists():
            shutil.copy2(opening, mine / "openings" / opening.name)
    shutil.rmtree(kept)
    for path in mine.parent.glob("manifest.index*"):
        path.unlink()
    made = [path for path in mine.rglob("*") if path.is_file()]
    sync_at_once(made, [mine, *(path for path in mine.rglob("*") if path.is_dir())])


def _told(made: Path, size: int, profiles: Sequence[Profile]) -> Later:
    home = Home.open(made)
    try:
        known = {one.digest: one for one in profiles}
        lost = []
        for index, entry in enumerate(home.manifest.entries(size), start=size):
            if entry["kind"] == Kind.ERASED:
                home.manifest.erase_opening(entry["holder"]["commitment"])
            promised = Promised(home=home, index=index, entry=entry, profiles=known)
            promised.tell()
            settle(home, entry, index)
            Accepted(home=home, entry=entry).tell()
            if entry["kind"] in _LOST:
                lost.append(f"entry {index}: {_LOST[Kind(entry['kind'])]}")
            lost += promised.lost
        return Later(entries=home.manifest.size - size, lost=tuple(lost))
    finally:
        home.ledger.close()
        home.manifest.close()
