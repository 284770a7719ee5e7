"""Entries, signers and a small manifest that the tests of the record share."""

import hashlib
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ed25519

from tokenprov.model import Holder
from tokenprov.record.entry import Entry
from tokenprov.record.manifest import Manifest, Opening, commit_holder
from tokenprov.record.signer import KeyInMemory, Signer

ORIGIN = "tokenprov.example/station-a"
SIGNER = Signer(
    ORIGIN, KeyInMemory(private=ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
)
CUSTODIAN = "0011223344556677"


def station() -> Entry:
    """The first entry."""
    return {
        "v": 1,
        "kind": "station",
        "time": "2026-02-03T04:05:06Z",
        "station": "station-a",
        "operator": "olga",
        "approvers": [],
        "custodians": [{"purpose": "help-desk", "kid": CUSTODIAN}],
    }


def opening(number: int) -> Opening:
    """A holder's."""
    holder = Holder(id=f"p{number}", name=f"Zoë {number}", email=f"p{number}@example.org")
    return commit_holder(holder, hashlib.sha256(f"salt {number}".encode()).digest())


def blobs(number: int) -> list[bytes]:
    """An attestation and an envelope."""
    return [f"attestation {number}".encode(), f"envelope {number}".encode()]


def issued(number: int, **changes: Any) -> Entry:
    """A token for the holder of that number."""
    attestation, envelope = (hashlib.sha256(blob).hexdigest() for blob in blobs(number))
    return {
        "v": 1,
        "kind": "issued",
        "time": "2026-02-03T04:06:00Z",
        "station": "station-a",
        "batch": "b1",
        "order": f"b1-{number:04}",
        "holder": {"commitment": opening(number).commitment},
        "kit": {"position": 0, "size": 2},
        "profile": {"name": "employee", "digest": "5a" * 32},
        "token": {
            "maker": "yubico",
            "model": "YubiKey 5 NFC",
            "firmware": "5.7.4",
            "serial": str(10_000_000 + number),
            "virtual": number % 2 == 0,
        },
        "steps": [
            {
                "id": "piv/9a/key",
                "state": "match",
                "facts": {"algorithm": "ECCP256", "tries": 5},
                "unread": ["piv/puk"],
                "evidence": [{"type": "statement", "sha256": attestation}],
            }
        ],
        "secrets": [
            {
                "name": "piv/puk",
                "kind": "piv-puk",
                "purpose": "help-desk",
                "generation": 1,
                "sha256": envelope,
                "kid": CUSTODIAN,
            }
        ],
        "operator": "olga",
        "approvers": [],
        **changes,
    }


def set_aside(number: int) -> Entry:
    """That token, out of use."""
    return {
        "v": 1,
        "kind": "set-aside",
        "time": "2026-02-03T04:07:00Z",
        "station": "station-a",
        "operator": "olga",
        "approvers": [],
        "token": issued(number)["token"],
        "reason": "returned, and wiped",
    }


def about(kind: str, number: int = 0, **changes: Any) -> Entry:
    """An entry of any further kind, about the token or the holder of that number."""
    token, holder = issued(number)["token"], issued(number)["holder"]
    theirs = {"token": token, "holder": holder, "reason": "told at the desk"}
    steps, secrets = issued(number)["steps"], issued(number)["secrets"]
    members: dict[str, dict[str, Any]] = {
        "received": {"token": token, "source": "delivery 4711"},
        "replaced": {**theirs, "by": issued(number + 1)["token"]},
        "unblocked": theirs,
        "rotated": {**theirs, "steps": steps, "secrets": secrets},
        "suspended": theirs,
        "resumed": theirs,
        "revoked": theirs,
        "retired": {"token": token, "reason": "broken"},
        "opened": {"token": token, "reason": "locked out", "form": "shown", "secrets": secrets},
        "resealed": {
            "token": token,
            "reason": "another custodian",
            "from": CUSTODIAN,
            "secrets": secrets,
        },
        "custodian-changed": {
            "purpose": "help-desk",
            "from": CUSTODIAN,
            "to": "ff" * 8,
            "reason": "moved on",
        },
        "wiped": {
            "wipe": f"w{number}",
            "began": "2026-02-03T04:07:30Z",
            "token": token,
            "reason": "left in a drawer",
            "found": {"used": ["it has a PIN"], "inventory": {}},
            "reset": ["piv"],
            "left": {},
        },
        "erased": {"holder": holder, "reason": "request of 3 February"},
        "person-changed": {
            "person": SIGNER.verifier.name,
            "roles": ["approver"],
            "key": str(SIGNER.verifier),
            "reason": "new at the desk",
        },
        "policy-changed": {
            "policy": {"name": "standard", "digest": "5a" * 32},
            "evidence": [],
            "reason": "a new year",
        },
        "custodian-split": {"kid": CUSTODIAN, "threshold": 3, "shares": 5, "reason": "break-glass"},
        "recovery-codes": {
            "holder": holder,
            "list": f"{number:064x}",
            "codes": 8,
            "bits": 80,
            "until": "2026-03-31",
            "reason": "asked",
        },
        "recovery-code-used": {
            "holder": holder,
            "code": f"{number:064x}/3",
            "evidence": [],
            "reason": "to unblock token 7",
        },
        "waiver": {
            "waiver": f"w-{number}",
            "policy": "touch",
            "reason": "a hand in plaster",
            "until": "2026-03-31",
        },
        "clock-corrected": {"ahead": "2026-02-03T04:07:00Z", "reason": "set to another year"},
        "drill": {"drill": "restore", "outcome": "passed", "facts": {"minutes": 12}},
        "batch-closed": {"batch": "b1", "issued": number, "left": 0},
        "key-rotated": {
            "old": str(SIGNER.verifier),
            "new": str(SIGNER.verifier),
            "handover": "signed by both\n",
            "reason": "yearly",
        },
        "key-lost": {
            "old": str(SIGNER.verifier),
            "new": str(SIGNER.verifier),
            "last": "signed by the old one\n",
            "reason": "the disk is gone",
        },
    }
    head = {name: set_aside(0)[name] for name in ("v", "time", "station", "operator", "approvers")}
    return {**head, "kind": str(kind), **members[kind], **changes}


def append(manifest: Manifest, number: int, **changes: Any) -> int:
    """Issue to the holder of that number."""
    return manifest.append(issued(number, **changes), blobs(number), opening(number))


def small_manifest(folder: Path, tokens: int = 3) -> Manifest:
    """A station's entry and some tokens, appended one by one."""
    manifest = Manifest.create(folder, ORIGIN, SIGNER)
    manifest.append(station())
    for number in range(tokens):
        append(manifest, number)
    return manifest
