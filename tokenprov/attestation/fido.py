"""FIDO attestation: what vouches for the authenticator that made a credential.

Graded, because tokens differ in what they give (WebAuthn Level 2, 6.5.3):

    attested     signed by a key whose certificate leads to a trusted root
    unanchored   signed by a key with a certificate, whose root is not known here
    self         signed by the new credential itself: the AAGUID is only a claim
    none         not signed

Rules. The statement's signature covers the authenticator data and the hash of the client data;
the formats are "packed" (8.2), "fido-u2f" (8.6) and "none" (8.7); the certificate satisfies 8.2.1
and its AAGUID, if it names one, is that of the authenticator data. Then the rules of `chain`, with
the leaf's dates checked as well. A statement that is there and does not hold is an error, never a
lower grade. The serial number (1.3.6.1.4.1.45724.1.1.2, an OCTET STRING, big-endian) stands only
in certificates of enterprise attestation.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from fido2 import cbor
from fido2.attestation.base import Attestation, InvalidAttestation, NoneAttestation
from fido2.attestation.packed import PackedAttestation
from fido2.attestation.u2f import FidoU2FAttestation
from fido2.cose import CoseKey
from fido2.webauthn import AttestationObject

from tokenprov.attestation.anchors import AnchorKind, Anchors, Use
from tokenprov.attestation.chain import (
    Chain,
    NoAnchor,
    build_chain,
    load_certificate,
    raw_extension,
    refused,
)
from tokenprov.errors import AttestationError
from tokenprov.model import Json

OID_SERIAL = x509.ObjectIdentifier("1.3.6.1.4.1.45724.1.1.2")  # id-fido-gen-ce-sernum

MAX_X5C = 4  # certificates in a statement
_DER_OCTET_STRING = 0x04
_VERIFIERS: dict[str, type[Attestation]] = {
    "packed": PackedAttestation,
    "fido-u2f": FidoU2FAttestation,
    "none": NoneAttestation,
}


class FidoGrade(StrEnum):
    """How far an attestation reaches; the value stands in the manifest."""

    ATTESTED = "attested"
    UNANCHORED = "unanchored"
    SELF = "self"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class FidoAttestation:
    """What is known of the authenticator that made a credential."""

    grade: FidoGrade
    format: str
    aaguid: str  # "2fc0579f-8113-47ea-b116-bb5a8db9202a"; zeros where it has none
    serial: int | None  # from an enterprise attestation that is anchored
    chain: tuple[str, ...]  # names from the leaf to the anchor, RFC 4514; empty unless attested
    anchor_fingerprint: str | None  # SHA-256, hex
    anchor_kind: AnchorKind | None

    @property
    def virtual(self) -> bool:
        """Whether a virtual token attested."""
        return self.anchor_kind is AnchorKind.VIRTUAL

    def to_json(self) -> dict[str, Json]:
        """Public facts for the manifest; what is not known is left out."""
        facts: dict[str, Json] = {
            "grade": self.grade.value,
            "format": self.format,
            "aaguid": self.aaguid,
        }
        if self.serial is not None:
            facts["serial"] = str(self.serial)
        if self.anchor_fingerprint is not None and self.anchor_kind is not None:
            facts["chain"] = list(self.chain)
            facts["anchor"] = self.anchor_fingerprint
            facts["anchorKind"] = self.anchor_kind.value
        return facts

    @classmethod
    def from_json(cls, facts: Mapping[str, Json]) -> FidoAttestation:
        """The inverse of `to_json`. Raises KeyError or ValueError for what it did not write."""
        kind = facts.get("anchorKind")
        return cls(
            grade=FidoGrade(facts["grade"]),
            format=facts["format"],
            aaguid=facts["aaguid"],
            serial=int(facts["serial"]) if "serial" in facts else None,
            chain=tuple(facts.get("chain", ())),
            anchor_fingerprint=facts.get("anchor"),
            anchor_kind=AnchorKind(kind) if kind else None,
        )


def verify_fido_attestation(
    attestation_object: bytes, client_data_hash: bytes, anchors: Anchors, *, now: datetime
) -> FidoAttestation:
    """Check and grade an attestation object (CBOR: fmt, authData, attStmt).

    `client_data_hash` is SHA-256, 32 bytes; `now` is aware of its zone. Raises `AttestationError`
    where the statement does not hold.
    """
    attestation = parse_attestation_object(attestation_object)
    credential = attestation.auth_data.credential_data
    if credential is None:
        raise refused("the attestation names no credential")
    certificates = _check_statement(attestation, client_data_hash)
    chain = None
    if certificates:
        grade = FidoGrade.UNANCHORED
        chain = _anchored(certificates, anchors, now)
        if chain:
            grade = FidoGrade.ATTESTED
    else:
        grade = FidoGrade.NONE if attestation.fmt == NoneAttestation.FORMAT else FidoGrade.SELF
    return FidoAttestation(
        grade=grade,
        format=attestation.fmt,
        aaguid=str(credential.aaguid),
        serial=_serial(chain.certificates[0]) if chain else None,
        chain=chain.subjects if chain else (),
        anchor_fingerprint=chain.anchor.fingerprint if chain else None,
        anchor_kind=chain.kind if chain else None,
    )


# What the library raises at bytes that are no attestation object, or are cut off.
_UNREADABLE = (ValueError, KeyError, IndexError, TypeError, AttributeError, struct.error)


def parse_attestation_object(data: bytes) -> AttestationObject:
    """Read an attestation object. Raises `AttestationError` where it is none.

    Only its canonical form is read (CTAP 2.1, section 8): one content, one sequence of bytes.
    """
    try:
        attestation = AttestationObject(bytes(data))
        if cbor.encode(cbor.decode(bytes(data))) != bytes(data):
            raise ValueError("not canonical CBOR")
        return attestation
    except _UNREADABLE as exc:
        raise refused("the attestation object cannot be read") from exc


def _check_statement(
    attestation: AttestationObject, client_data_hash: bytes
) -> list[x509.Certificate]:
    verifier = _VERIFIERS.get(attestation.fmt)
    if verifier is None:
        raise AttestationError(
            f"the attestation format {attestation.fmt!r} is not one of a security key",
            remedy="Use a token that attests as packed or fido-u2f, or not at all.",
        )
    statement = attestation.att_stmt
    certificates = _certificates_of(statement)
    if "sig" in statement and not isinstance(statement["sig"], bytes):
        raise refused("the attestation's signature is not bytes")
    if attestation.fmt == PackedAttestation.FORMAT and certificates:
        _check_algorithm(statement, certificates[0])
    try:
        verifier().verify(statement, attestation.auth_data, client_data_hash)
    except InvalidAttestation as exc:
        raise refused(f"the attestation statement does not hold ({type(exc).__name__})") from exc
    except (TypeError, AssertionError, NotImplementedError) as exc:  # from the library's key types
        raise refused("the attestation statement is malformed") from exc
    return certificates


def _certificates_of(statement: Any) -> list[x509.Certificate]:
    if not isinstance(statement, Mapping):
        raise refused("the attestation statement is not a map")
    x5c = statement.get("x5c", [])
    if not isinstance(x5c, list | tuple) or not all(isinstance(der, bytes) for der in x5c):
        raise refused("the attestation's certificates are not a list of DER")
    if len(x5c) > MAX_X5C or ("x5c" in statement and not x5c):
        raise refused(f"the attestation has {len(x5c)} certificates")
    return [load_certificate(der, "the attestation certificate") for der in x5c]


def _check_algorithm(statement: Mapping[str, Any], leaf: x509.Certificate) -> None:
    key = leaf.public_key()
    expected = {"secp256r1": -7, "secp384r1": -35, "secp521r1": -36}  # IANA COSE algorithms
    curve = key.curve.name if isinstance(key, ec.EllipticCurvePublicKey) else None
    if curve is not None and statement.get("alg") != expected.get(curve):
        raise refused("the attestation's algorithm is not that of its certificate's key")
    if CoseKey.for_alg(statement.get("alg", 0)).ALGORITHM is None:
        raise refused("the attestation's algorithm is not known")


def _anchored(
    certificates: list[x509.Certificate], anchors: Anchors, now: datetime
) -> Chain | None:
    leaf = certificates[0]
    try:
        chain = build_chain(leaf, certificates[1:], anchors, use=Use.FIDO, now=now)
    except NoAnchor:
        return None
    if not leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc:
        raise AttestationError(
            f"the attestation certificate is not valid at {now:%Y-%m-%d}",
            remedy="Check the station's clock, then the token's maker.",
        )
    return chain


def _serial(leaf: x509.Certificate) -> int | None:
    value = raw_extension(leaf, OID_SERIAL)
    if value is None:
        return None
    content = value[2:]
    if not 1 <= len(content) <= 8 or value[:2] != bytes([_DER_OCTET_STRING, len(content)]):
        raise refused("the attestation's serial number is not a short OCTET STRING")
    return int.from_bytes(content)
