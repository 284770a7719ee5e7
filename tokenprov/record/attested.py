"""The attestations that an entry names, judged again: up to the makers' roots, and against it.

Rules, of each step with a PIV, OpenPGP or FIDO2 attestation as evidence, at the time of the entry:
- The statement holds by the rules of `attestation`, and its chain ends at a trusted root. For a
  virtual token no real root vouches: its statement is read, and judged where its root is known.
- What the entry says of it (`facts.attestation`) is what it says; the serial that it names is the
  token's. A FIDO2 one that no root vouches for has the grade that the entry says.
- The certificate in a PIV slot is for the key that was attested there.
- The entry says `virtual` and `grade` as its attestations do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tokenprov.attestation import (
    Anchors,
    FidoGrade,
    NoAnchor,
    verify_fido_attestation,
    verify_piv_attestation,
)
from tokenprov.attestation.anchors import UNREADABLE
from tokenprov.attestation.openpgp import verify_openpgp_attestation
from tokenprov.errors import AttestationError, ManifestError
from tokenprov.model import Json
from tokenprov.record.entry import Entry, Grade, Kind

ReadBlob = Callable[[str], bytes]
Step = Mapping[str, Any]

KINDS = (Kind.ISSUED, Kind.ROTATED, Kind.UNBLOCKED)
PIV, PIV_DEVICE = "piv-attestation", "piv-attestation-device"
OPENPGP, OPENPGP_DEVICE = "openpgp-attestation", "openpgp-attestation-device"
FIDO, FIDO_CLIENT = "fido2-attestation", "fido2-client-data"
CERTIFICATE = "certificate"
_PAIRS = {PIV: PIV_DEVICE, OPENPGP: OPENPGP_DEVICE, FIDO: FIDO_CLIENT}


def judge_attestations(entry: Entry, blob: ReadBlob, anchors: Anchors) -> None:
    """Judge an entry's. Raises ManifestError (rule `attestation`) with the step."""
    if entry["kind"] not in KINDS:
        return
    keys = dict(_judged(entry, blob, anchors))
    for step in entry.get("steps", ()):
        slot = step["id"].removesuffix("/certificate")
        for digest in _evidence(step).get(CERTIFICATE, ()) if slot in keys else ():
            certificate = _read(blob, digest)
            if certificate is not None and _key_digest(certificate) != keys[slot]:
                raise _refused(step, "the certificate is for another key than the attested one")
    _totals(entry)


def named_by_maker(
    serial: str | None, found: Iterator[tuple[str, Mapping[str, Json], bool]]
) -> Grade:
    """How a serial is known: by the maker, for all, some or none of what can attest it.

    `found` is, for each step, its id, its facts, and whether an attestation could not be had. PIV
    keys and FIDO2 credentials can; a FIDO2 one names a serial only for enterprises.
    """
    named: dict[str, bool] = {}
    for step, facts, unread in found:
        application = step.partition("/")[0]
        attestation = facts.get("attestation")
        if attestation is not None or unread:
            said = attestation.get("serial") if isinstance(attestation, dict) else None
            by_maker = said is not None and said == serial
            named[application] = named.get(application, False) or by_maker
    if not any(named.values()):
        return Grade.ASSERTED
    return Grade.ATTESTED if all(named.values()) else Grade.PARTLY


def _judged(entry: Entry, blob: ReadBlob, anchors: Anchors) -> Iterator[tuple[str, str]]:
    """Judge each step; the digests of attested keys by what stands before `/key` in its id."""
    now = datetime.fromisoformat(entry["time"])
    virtual = entry["token"]["virtual"]
    for step in entry.get("steps", ()):
        evidence = _evidence(step)
        if "attestation" in step["facts"] and not evidence.keys() & _PAIRS.keys():
            raise _refused(step, "it tells of an attestation, and names none")
        for kind, beside in _PAIRS.items():
            if kind not in evidence:
                continue
            if len(evidence[kind]) != 1 or len(evidence.get(beside, ())) != 1:
                raise _refused(step, f"one {kind} and one {beside} belong together")
            first, second = (_read(blob, evidence[name][0]) for name in (kind, beside))
            if first is None or second is None:
                continue
            try:
                facts, key = _verified(kind, first, second, anchors, now)
            except NoAnchor as exc:
                if not virtual:
                    raise _refused(step, exc.message, exc.remedy) from exc
                continue  # it never passes for a real one
            except AttestationError as exc:
                raise _refused(step, exc.message, exc.remedy) from exc
            _compare(step, facts, virtual=virtual)
            if facts.get("serial", entry["token"]["serial"]) != entry["token"]["serial"]:
                raise _refused(step, f"the attestation is by token {facts['serial']}")
            if (facts.get("anchorKind") == "virtual") > virtual:
                raise _refused(step, "a virtual token attested, and the entry says that it is real")
            if key and key != step["facts"].get("publicKey"):
                raise _refused(step, "the attestation is for another key than the entry says")
            if key:
                yield step["id"].removesuffix("/key"), key


def _compare(step: Step, facts: Mapping[str, Json], *, virtual: bool) -> None:
    """What an attestation says against what the entry says of it."""
    said = step["facts"].get("attestation", {})
    if not isinstance(said, dict):
        raise _refused(step, "what it says of the attestation has no members")
    mine, theirs = facts.get("grade"), said.get("grade")
    if (mine, theirs) == (FidoGrade.UNANCHORED, FidoGrade.ATTESTED):
        if not virtual:
            raise _refused(step, "no root that is trusted here vouches for the attestation")
    elif theirs == FidoGrade.UNANCHORED:  # whoever verifies may know more roots
        if any(facts.get(name) != said.get(name) for name in ("format", "aaguid")):
            raise _refused(step, "the attestation says something else than the entry")
    elif facts != said:
        raise _refused(step, "the attestation says something else than the entry")


def _verified(
    kind: str, first: bytes, second: bytes, anchors: Anchors, now: datetime
) -> tuple[dict[str, Json], str]:
    """What an attestation says, and the digest of the key that it is for."""
    if kind == FIDO:
        client = hashlib.sha256(second).digest()
        return verify_fido_attestation(first, client, anchors, now=now).to_json(), ""
    if kind == PIV:
        piv = verify_piv_attestation(first, second, anchors, now=now)
        return piv.to_json(), hashlib.sha256(piv.public_key).hexdigest()
    card = verify_openpgp_attestation(first, second, anchors, now=now)
    return card.to_json(), hashlib.sha256(card.public_key).hexdigest()


def _totals(entry: Entry) -> None:
    """What the entry says of the token as a whole, from what it says of its steps."""
    said = entry["token"].get("grade")
    if entry["kind"] != Kind.ISSUED or said is None:
        return
    found = (
        (step["id"], step["facts"], "attestation" in step.get("unread", ()))
        for step in entry["steps"]
    )
    grade = named_by_maker(entry["token"]["serial"], found)
    if said != grade:
        raise ManifestError(
            f"the serial is said to be {said}, and by its attestations it is {grade}",
            remedy=_REMEDY,
            rule="attestation",
        )


def _evidence(step: Step) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in step.get("evidence", ()):
        found.setdefault(one["type"], []).append(one["sha256"])
    return found


def _read(blob: ReadBlob, digest: str) -> bytes | None:
    """A blob; None where it is not there or was changed, which is named elsewhere."""
    try:
        return blob(digest)
    except ManifestError:
        return None


def _key_digest(der: bytes) -> str:
    try:
        public = x509.load_der_x509_certificate(der).public_key()
    except UNREADABLE:
        return ""
    return hashlib.sha256(
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ).hexdigest()


_REMEDY = "Do not rely on this token as the entry has it; ask the station how it came to be."


def _refused(step: Step, what: str, remedy: str = _REMEDY) -> ManifestError:
    return ManifestError(f"{step['id']}: {what}", remedy=remedy, rule="attestation")
