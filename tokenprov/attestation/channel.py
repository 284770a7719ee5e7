"""Attestation of secure channels: a token's word that it holds the key it offers for SCP11.

A YubiKey (5.7.2 and later) comes with a key for SCP11b and certificates that lead from it to the
maker's attestation root. Rules, beside those of `chain`:

- the leaf is no CA and its key agrees on keys (key usage), on the curve P-256;
- it names the token's serial where it has that extension (1.3.6.1.4.1.41482.3.7, as in PIV);
- the leaf's dates are not compared with the clock: a token has none.

Source: GlobalPlatform Amendment F, 6.1 and the maker's "Security Domain certificate operations".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tokenprov.attestation.anchors import AnchorKind, Anchors, Use
from tokenprov.attestation.chain import build_chain, extension, load_certificate, refused
from tokenprov.attestation.piv import serial_of
from tokenprov.model import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelAttestation:
    """The key that a token offers for SCP11, and whose root vouches for the token."""

    public_key: bytes  # SubjectPublicKeyInfo, DER
    serial: int | None  # None: the certificate names none
    chain: tuple[str, ...]  # names from the leaf to the anchor, RFC 4514
    anchor_fingerprint: str  # SHA-256, hex
    anchor_kind: AnchorKind

    @property
    def virtual(self) -> bool:
        """Whether a virtual token attested: never evidence about a real one."""
        return self.anchor_kind is AnchorKind.VIRTUAL

    def require(self, *, serial: str | None) -> None:
        """Compare with the token's serial, where both have one. Raises `AttestationError`."""
        if serial and self.serial is not None and serial != str(self.serial):
            raise refused(f"the key for secure channels is of token {self.serial}, not {serial}")

    def to_json(self) -> dict[str, Json]:
        """Public facts for the manifest."""
        facts: dict[str, Json] = {
            "anchor": self.anchor_fingerprint,
            "anchorKind": self.anchor_kind.value,
        }
        if self.serial is not None:
            facts["serial"] = str(self.serial)
        return facts


def verify_channel_attestation(
    certificates: Sequence[bytes], anchors: Anchors, *, now: datetime
) -> ChannelAttestation:
    """Check the certificates of a key for SCP11 (DER, the key's own one last).

    Raises `NoAnchor` where they end at an unknown issuer, `AttestationError` for wrong ones.
    """
    *above, leaf = (load_certificate(one, "a certificate of the channel") for one in certificates)
    public_key = leaf.public_key()
    if not isinstance(public_key, ec.EllipticCurvePublicKey) or not isinstance(
        public_key.curve, ec.SECP256R1
    ):
        raise refused("the key for secure channels is not on the curve P-256")
    constraints = extension(leaf, x509.BasicConstraints)
    if constraints is not None and constraints.ca:
        raise refused("the certificate of the key for secure channels is that of a CA")
    usage = extension(leaf, x509.KeyUsage)
    if usage is None or not usage.key_agreement:
        raise refused("the key for secure channels may not agree on keys (key usage)")
    chain = build_chain(leaf, above, anchors, use=Use.CHANNEL, now=now)
    return ChannelAttestation(
        public_key=public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        serial=serial_of(leaf),
        chain=chain.subjects,
        anchor_fingerprint=chain.anchor.fingerprint,
        anchor_kind=chain.kind,
    )
