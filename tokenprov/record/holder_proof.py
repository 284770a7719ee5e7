"""How a holder is known by what they have: another token of theirs, or a recovery code.

    tokenprov/holder-proof/v1
    {"about":{…},"action":…,…}          the members of a request (`request`)

    {"signature":…}                     by the token: the line after an empty one

Rules:
- It is for one act about one token, at one station, until it expires; `requester` is the
  commitment to the holder. The nonce makes it one of a kind, so that it serves once.
- By another token: `about` has `by`, its serial, `key`, the step that made the key that signs, and
  `evidence`, the digest of the certificate or registration by which the manifest has that key. A
  PIV key signs the two lines; a passkey a challenge that is their SHA-256, its holder verified.
- By a recovery code: `about` has `code`, list and number; that it was given is what the entry
  `recovery-code-used` says which names this document. No token signs it.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tokenprov.attestation.signature import SignedAssertion, verify_assertion, verify_signature
from tokenprov.errors import ApprovalError
from tokenprov.model import Json
from tokenprov.record import shape
from tokenprov.record.canonical import CanonicalError, canonical, parse_canonical
from tokenprov.record.request import Request

HOLDER_PROOF = "tokenprov/holder-proof/v1"
OTHER_TOKEN, RECOVERY_CODE = "other-token", "recovery-code"  # the types of evidence in an entry
PASSKEY = "fido2/credential/"  # the step that made one, before its relying party

_BASE64 = shape.pattern(r"[A-Za-z0-9+/]+={0,2}", "base64")
_SIGNED = shape.record({"signature": _BASE64}, {"authData": _BASE64, "clientData": _BASE64})
_BY = {  # members of `about`, by the type
    OTHER_TOKEN: {"token", "by", "key", "evidence"},
    RECOVERY_CODE: {"token", "code"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderProof:
    """One, as it was read or made; `signed` is what the token answered."""

    request: Request
    signed: Mapping[str, str] | None = None

    @property
    def type(self) -> str:
        """How the holder is known by it."""
        return OTHER_TOKEN if "by" in self.request.about else RECOVERY_CODE

    @property
    def challenge(self) -> bytes:
        """What a passkey signs, 32 bytes."""
        return hashlib.sha256(self.request.text().encode()).digest()

    def to_bytes(self) -> bytes:
        """The document."""
        text = self.request.text().encode()
        return text if self.signed is None else text + b"\n" + canonical(dict(self.signed)) + b"\n"

    @classmethod
    def parse(cls, data: bytes) -> HolderProof:
        """The inverse. Raises ApprovalError."""
        text, _, line = data.decode(errors="replace").partition("\n\n")
        request = Request.parse(text if text.endswith("\n") else f"{text}\n", HOLDER_PROOF)
        signed: Json = None
        if line:
            try:
                signed = parse_canonical(line.removesuffix("\n").encode())
                _SIGNED(signed, "")
            except (CanonicalError, shape.ShapeError) as exc:
                raise _refused(str(exc)) from exc
        made = cls(request=request, signed=signed)
        if made.to_bytes() != data:
            raise _refused("it is not in its only spelling")
        if request.about.keys() != _BY[made.type]:
            raise _refused("it does not say by what the holder is known")
        if (made.type == OTHER_TOKEN) is (signed is None):
            raise _refused("a token signs it, and nobody else")
        return made

    def require_signed(self, blob: Callable[[str], bytes]) -> None:
        """That the key which the manifest has by `evidence` signed it. Raises ApprovalError.

        `blob` reads one by its digest, and raises where it is missing.
        """
        if self.type == RECOVERY_CODE:
            return
        about, signed = self.request.about, self.signed or {}
        evidence, signature = blob(about["evidence"]), b64decode(signed["signature"])
        if about["key"].startswith(PASSKEY):
            answer = SignedAssertion(
                client_data=b64decode(signed.get("clientData", "")),
                auth_data=b64decode(signed.get("authData", "")),
                signature=signature,
            )
            rp_id = about["key"].removeprefix(PASSKEY)
            holds = verify_assertion(evidence, rp_id, self.challenge, answer)
        else:
            holds = verify_signature(_certified(evidence), signature, self.request.text().encode())
        if not holds:
            raise ApprovalError(
                f"the proof is not signed by the key of token {about['by']}",
                remedy="Have the holder use that token again: tokenprov holder prove",
                rule="signature",
            )


def with_signature(
    request: Request, signature: bytes, assertion: SignedAssertion | None = None
) -> HolderProof:
    """A proof that a token signed; `assertion` where it is one."""
    signed = {"signature": _text(signature)}
    if assertion is not None:
        signed |= {
            "authData": _text(assertion.auth_data),
            "clientData": _text(assertion.client_data),
        }
    return HolderProof(request=request, signed=signed)


def is_holder_proof(data: bytes) -> bool:
    """Whether a document means to be one."""
    return data.startswith(HOLDER_PROOF.encode())


def _text(value: bytes) -> str:
    return b64encode(value).decode()


def _certified(certificate: bytes) -> bytes:
    try:
        key: Any = x509.load_der_x509_certificate(certificate).public_key()
    except ValueError as exc:
        raise _refused("what it names is no certificate") from exc
    spki: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return spki


def _refused(what: str) -> ApprovalError:
    return ApprovalError(
        f"not a proof of who a holder is: {what}",
        remedy="Make one with: tokenprov holder prove",
        rule="proof",
    )
