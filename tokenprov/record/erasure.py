"""A holder's identity erased: the log keeps its proofs, and nobody can be named from it any more.

Rules:
- The entry (`erased`) comes first, one a commitment, naming the certificates that go; then the
  openings and these certificates are destroyed, then the ledger forgets. Cut off anywhere, the
  same call again finishes it, and until then `verify` says what is still there.
- Who has tokens to come (an order that is not issued) is not erased.
- What others hold (copies of the folder, exported tables, the issuer's register) is not reached.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from tokenprov.errors import InputError
from tokenprov.record.entry import Entry, Kind, entry_head
from tokenprov.record.ledger import Ledger
from tokenprov.record.manifest import Addition, Manifest

CERTIFICATE = "certificate"  # the type of evidence that has a holder's name in it


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """What was done: the commitments, how many certificates, how many rows of the ledger."""

    commitments: tuple[str, ...]
    certificates: int
    orders: int


def erase_holder(
    manifest: Manifest,
    ledger: Ledger,
    holder_id: str,
    *,
    station: str,
    operator: str,
    reason: str,
    at: datetime,
    cover: Callable[[Addition], Addition],
) -> Erasure:
    """Forget who `holder_id` is, on the record; `cover` adds who agreed to the entry.

    Raises InputError (nobody of that id is held here), StationError (an order is not issued),
    ManifestError, DurabilityError.
    """
    ledger.refuse_open_orders(holder_id)
    commitments = tuple(commitments_of(manifest, holder_id))
    certificates = 0
    for commitment in commitments:
        numbers = manifest.found_by(f"holder {commitment}")
        entries = [manifest.entry(number) for number in numbers]
        recorded = [entry for entry in entries if entry["kind"] == Kind.ERASED]
        if recorded:
            entry = recorded[0]
        else:
            entry = {
                **entry_head(Kind.ERASED, time=at, station=station, operator=operator),
                "holder": {"commitment": commitment},
                "reason": reason,
                "blobs": sorted({digest for one in entries for digest in _certificates(one)}),
            }
            manifest.append_many([cover(Addition(entry=entry))])
        for digest in entry.get("blobs", ()):
            manifest.erase_blob(digest)
            certificates += 1
        manifest.erase_opening(commitment)
    orders = ledger.forget_holder(holder_id)
    if not commitments and not orders:
        raise InputError(
            f"no holder with id {holder_id!r} is held here",
            remedy="Look for the id: tokenprov manifest search NAME. It may have been erased.",
        )
    return Erasure(commitments=commitments, certificates=certificates, orders=orders)


def commitments_of(manifest: Manifest, holder_id: str) -> Iterator[str]:
    """The commitments to a holder whose openings are held."""
    for commitment in manifest.held_openings():
        opening = manifest.opening(commitment)
        if opening is not None and opening.holder.get("id") == holder_id:
            yield commitment


def _certificates(entry: Entry) -> Iterator[str]:
    for step in entry.get("steps", ()):
        for evidence in step.get("evidence", ()):
            if evidence["type"] == CERTIFICATE:
                yield evidence["sha256"]
