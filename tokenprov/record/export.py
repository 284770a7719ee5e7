"""Entries for those who have other tools: a table, JSON, and in-toto statements in DSSE.

Rules:
- The table (RFC 4180, UTF-8) has a row an entry, and the names of holders only where they are held
  and asked for. A field that a spreadsheet would take for a formula gets an apostrophe before it.
- A statement (in-toto Statement v1) is of one entry: its subject is the token's serial with the
  digest of the entry, its predicate the entry and where it stands. DSSE v1 signs it with the
  manifest's key; `keyid` is the verifier key's id in hex.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
from collections.abc import Iterable

from tokenprov.model import Json
from tokenprov.record.canonical import canonical
from tokenprov.record.entry import Entry
from tokenprov.record.opening import Opening
from tokenprov.record.signer import NoteSigner

COLUMNS = (
    *("entry", "time", "kind", "serial", "model", "firmware", "virtual"),
    *("holder", "name", "email", "batch", "order", "profile", "operator", "approvers", "reason"),
)
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:uuid:5f0c7c1e-3d0b-4f0e-9a53-6f1d2c0b8e47"  # manifest entry, version 1
PAYLOAD = "application/vnd.in-toto+json"

Numbered = tuple[int, Entry, Opening | None]


def to_csv(entries: Iterable[Numbered]) -> str:
    """The table, its first row the names of the columns."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for index, entry, opening in entries:
        token, holder = entry.get("token", {}), opening.holder if opening else {}
        row = (
            *(index, entry["time"], entry["kind"], token.get("serial"), token.get("model")),
            *(token.get("firmware"), token.get("virtual")),
            *(entry.get("holder", {}).get("commitment"), holder.get("name"), holder.get("email")),
            *(entry.get("batch"), entry.get("order"), entry.get("profile", {}).get("name")),
            entry["operator"],
            "; ".join(approver["name"] for approver in entry["approvers"]),
            entry.get("reason"),
        )
        writer.writerow([_cell(value) for value in row])
    return out.getvalue()


def to_json(entries: Iterable[Numbered]) -> list[Json]:
    """Each entry as it is recorded, with its number, and the identity where it is held."""
    return [
        {"index": index, "entry": entry, **({"holder": opening.holder} if opening else {})}
        for index, entry, opening in entries
    ]


def to_dsse(index: int, entry: Entry, signer: NoteSigner) -> Json:
    """One entry as a DSSE envelope around an in-toto statement."""
    serial = entry.get("token", {}).get("serial")
    statement = {
        "_type": STATEMENT,
        "subject": [
            {
                "name": f"token:{serial}" if serial else f"entry:{index}",
                "digest": {"sha256": hashlib.sha256(canonical(entry)).hexdigest()},
            }
        ],
        "predicateType": PREDICATE,
        "predicate": {"origin": signer.verifier.name, "index": index, "entry": entry},
    }
    payload = canonical(statement)
    return {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": PAYLOAD,
        "signatures": [
            {
                "keyid": signer.verifier.key_id.hex(),
                "sig": base64.b64encode(signer.sign(pre_authenticated(PAYLOAD, payload))).decode(),
            }
        ],
    }


def pre_authenticated(kind: str, payload: bytes) -> bytes:
    """What is signed (DSSE v1, protocol.md, PAE)."""
    name = kind.encode()
    return b"DSSEv1 %d %b %d %b" % (len(name), name, len(payload), payload)


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
