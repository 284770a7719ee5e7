"""A holder's identity erased: the log keeps its proofs, and nobody can be named from it any more.

Rules:
- The entries (`erased`) come first, one a commitment, all under one checkpoint, naming the
  certificates that go (`record_erasure`). Then the ledger forgets, then these certificates and at
  last the openings are destroyed (`forget_erased`). Cut off anywhere, the same two calls again
  finish it without being agreed to anew, and until then `verify` says what is still there. Whose
  a half destroyed opening was cannot be read: what is on record is finished for everybody.
- Who has tokens to come (an order that is not issued) is not erased.
- What others hold (copies of the folder, exported tables, the issuer's register) is not reached.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from tokenprov.errors import InputError, ManifestError
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


def record_erasure(
    manifest: Manifest,
    ledger: Ledger,
    holder_id: str,
    *,
    station: str,
    operator: str,
    reason: str,
    at: datetime,
    clear: Callable[[str], Callable[[Addition], Addition]],
) -> Mapping[str, Entry]:
    """Put on record that `holder_id` is forgotten; gives each commitment with its entry.

    `clear` has it agreed to, where it was not recorded yet: it takes the commitments as a request
    names them, and gives what adds to an entry who agreed.

    Raises InputError (nobody of that id is held here), StationError (an order is not issued),
    ManifestError, DurabilityError, and what `clear` does.
    """
    ledger.refuse_open_orders(holder_id)
    recorded = dict(_cut_off(manifest))
    held = as_requested(manifest, holder_id)
    orders = bool(ledger.issued_to(holder_id))
    if not (held or recorded or orders):
        raise InputError(
            f"no holder with id {holder_id!r} is held here",
            remedy="Look for the id: tokenprov manifest search NAME. It may have been erased.",
        )
    head = entry_head(Kind.ERASED, time=at, station=station, operator=operator)
    new: dict[str, Entry] = {
        one: {
            **head,
            "holder": {"commitment": one},
            "reason": reason,
            "blobs": sorted({d for entry in _entries(manifest, one) for d in _certificates(entry)}),
        }
        for one in filter(None, held.split(","))
    }
    if new or (orders and not any(_is_of(manifest, one, holder_id) for one in recorded)):
        cover = clear(held)
        if new:
            manifest.append_many([cover(Addition(entry=entry)) for entry in new.values()])
    return recorded | new


def forget_erased(
    manifest: Manifest, ledger: Ledger, holder_id: str, recorded: Mapping[str, Entry]
) -> Erasure:
    """Destroy what names those whose erasure is on record; a second time is fine."""
    orders = ledger.forget_holder(holder_id)
    certificates = 0
    for commitment, entry in recorded.items():
        for digest in entry.get("blobs", ()):
            manifest.erase_blob(digest)
            certificates += 1
        manifest.erase_opening(commitment)
    return Erasure(commitments=tuple(recorded), certificates=certificates, orders=orders)


def as_requested(manifest: Manifest, holder_id: str) -> str:
    """The commitments to a holder whose openings are held, as a request to erase names them."""
    return ",".join(sorted(commitments_of(manifest, holder_id)))


def commitments_of(manifest: Manifest, holder_id: str) -> Iterator[str]:
    """The commitments to a holder whose openings are held, and not erased on record."""
    gone = dict(_cut_off(manifest))
    for commitment in manifest.held_openings():
        opening = manifest.opening(commitment) if commitment not in gone else None
        if opening is not None and opening.holder.get("id") == holder_id:
            yield commitment


def _is_of(manifest: Manifest, commitment: str, holder_id: str) -> bool:
    """Whether an opening is there that says so; one that was half destroyed says nothing."""
    with suppress(ManifestError):
        opening = manifest.opening(commitment)
        return opening is not None and opening.holder.get("id") == holder_id
    return False


def _cut_off(manifest: Manifest) -> Iterator[tuple[str, Entry]]:
    """The commitments whose openings are there though they were erased, with their entries."""
    held = set(manifest.held_openings())
    for number in manifest.found_by(f"kind {Kind.ERASED}"):
        entry = manifest.entry(number)
        if entry["holder"]["commitment"] in held:
            yield entry["holder"]["commitment"], entry


def _entries(manifest: Manifest, commitment: str) -> list[Entry]:
    return [manifest.entry(number) for number in manifest.found_by(f"holder {commitment}")]


def _certificates(entry: Entry) -> Iterator[str]:
    for step in entry.get("steps", ()):
        for evidence in step.get("evidence", ()):
            if evidence["type"] == CERTIFICATE:
                yield evidence["sha256"]
