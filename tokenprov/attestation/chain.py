"""From a token's certificate to a trust anchor: one path, checked link by link.

Rules (RFC 5280, 6.1, for the few kinds of certificate that attest):
- each certificate names its issuer, and the issuer's key made its signature, with SHA-256 or
  longer;
- each issuer is a CA by its basic constraints, may sign certificates by its key usage where it has
  one, and has no more CAs below it than its path length says; the path has six certificates at
  the most;
- no certificate has a critical extension that nobody here understands;
- issuers are valid at the time of checking. The leaf's own dates are the caller's business: a
  token has no clock, and what it signs carries the dates it was made with;
- a chain with a certificate that says "virtual" in its name is virtual, wherever it ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes

from tokenprov.attestation.anchors import UNREADABLE, Anchor, AnchorKind, Anchors, Use, is_virtual
from tokenprov.errors import AttestationError

MAX_PATH = 6  # certificates; the longest that a maker uses is leaf, f9, PIV, intermediate, root

T = TypeVar("T", bound=x509.ExtensionType)

_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_UNDERSTOOD = (x509.BasicConstraints, x509.KeyUsage)  # as critical extensions
_REMEDY = "Set the token aside: do not issue it. Compare its firmware with the maker's list."


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """A checked path: certificates from the leaf to the anchor."""

    certificates: tuple[x509.Certificate, ...]
    anchor: Anchor

    @property
    def subjects(self) -> tuple[str, ...]:
        """Their names (RFC 4514), leaf first."""
        return tuple(c.subject.rfc4514_string() for c in self.certificates)

    @property
    def kind(self) -> AnchorKind:
        """Whose root it is; virtual if any certificate on the way says so."""
        if self.anchor.kind is AnchorKind.VENDOR:
            return AnchorKind.VENDOR
        if any(is_virtual(c) for c in self.certificates):
            return AnchorKind.VIRTUAL
        return self.anchor.kind


class NoAnchor(AttestationError):
    """The signatures lead to no root that is trusted here; `issuer` is the name looked for."""

    def __init__(self, issuer: str) -> None:
        super().__init__(
            f"no trusted root: nobody here is known as {issuer}",
            remedy="If you trust that authority, put its certificate (PEM) into the station's "
            "trust folder; if not, set the token aside.",
        )
        self.issuer = issuer


def load_certificate(der: bytes, what: str) -> x509.Certificate:
    """One certificate from DER, nothing behind it. Raises `AttestationError` naming `what`."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        _ = certificate.extensions, certificate.subject, certificate.issuer  # parsed when asked
        certificate.public_key()
    except UNREADABLE as exc:
        raise refused(f"{what} is not a certificate") from exc
    if der[-len(certificate.signature) - 1]:  # RFC 5280, 4.1.1.3: a BIT STRING of whole octets
        raise refused(f"the signature of {what} is not whole octets")
    if certificate.version is not x509.Version.v3:
        raise refused(f"{what} is not an X.509 version 3 certificate")
    return certificate


def build_chain(
    leaf: x509.Certificate,
    supplied: Sequence[x509.Certificate],
    anchors: Anchors,
    *,
    use: Use,
    now: datetime,
) -> Chain:
    """The path from `leaf` through `supplied` and known certificates to an anchor for `use`.

    `now` is aware of its zone. Raises `NoAnchor` where the signatures end at an unknown issuer,
    and `AttestationError` where a link does not hold.
    """
    failures: list[AttestationError] = []
    chain = _extend([leaf], supplied, anchors, use, now, failures)
    if chain is not None:
        return chain
    # what broke tells more than who is unknown
    broken = [failure for failure in failures if not isinstance(failure, NoAnchor)]
    raise (broken or failures)[0]


def _extend(
    path: list[x509.Certificate],
    supplied: Sequence[x509.Certificate],
    anchors: Anchors,
    use: Use,
    now: datetime,
    failures: list[AttestationError],
) -> Chain | None:
    child = path[-1]
    _refuse_unknown_critical(child)
    tried = False
    for anchor in anchors.named(child.issuer, use):
        tried = True
        try:
            _check_link(path, anchor.certificate, now)
        except AttestationError as failure:
            failures.append(failure)
            continue
        return Chain(certificates=(*path, anchor.certificate), anchor=anchor)
    for issuer in anchors.between(child.issuer, supplied):
        if issuer in path or len(path) + 2 > MAX_PATH:
            continue
        tried = True
        try:
            _check_link(path, issuer, now)
            chain = _extend([*path, issuer], supplied, anchors, use, now, failures)
        except AttestationError as failure:
            failures.append(failure)
            continue
        if chain is not None:
            return chain
    if not tried:
        failures.append(NoAnchor(child.issuer.rfc4514_string()))
    return None


def _check_link(path: list[x509.Certificate], issuer: x509.Certificate, now: datetime) -> None:
    child, name = path[-1], issuer.subject.rfc4514_string()
    try:
        _verify_issued(child, issuer)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError) as exc:
        raise refused(
            f"the signature on {child.subject.rfc4514_string()} is not by {name}"
        ) from exc
    if not isinstance(child.signature_hash_algorithm, _HASHES):
        raise refused(f"the signature on {child.subject.rfc4514_string()} uses a weak digest")
    constraints = extension(issuer, x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        raise refused(f"{name} may not issue certificates (basic constraints)")
    below = len(path) - 1  # CAs between this issuer and the leaf
    if constraints.path_length is not None and below > constraints.path_length:
        raise refused(f"{name} has more authorities below it than it allows (path length)")
    usage = extension(issuer, x509.KeyUsage)
    if usage is not None and not usage.key_cert_sign:
        raise refused(f"{name} may not sign certificates (key usage)")
    _refuse_unknown_critical(issuer)
    if not issuer.not_valid_before_utc <= now <= issuer.not_valid_after_utc:
        raise AttestationError(
            f"{name} is valid from {issuer.not_valid_before_utc:%Y-%m-%d} to "
            f"{issuer.not_valid_after_utc:%Y-%m-%d}, and it is {now:%Y-%m-%d} here",
            remedy="Check the station's clock, then the token's maker.",
        )


@lru_cache(maxsize=256)
def _verify_issued(child: x509.Certificate, issuer: x509.Certificate) -> None:
    """Once for each two: a token shows its own several times, and its maker's are everybody's.

    What does not hold raises, and is not kept.
    """
    child.verify_directly_issued_by(issuer)


def _refuse_unknown_critical(certificate: x509.Certificate) -> None:
    for entry in certificate.extensions:
        if entry.critical and not isinstance(entry.value, _UNDERSTOOD):
            raise refused(
                f"{certificate.subject.rfc4514_string()} has a critical extension that is not "
                f"understood ({entry.oid.dotted_string})"
            )


def extension(certificate: x509.Certificate, kind: type[T]) -> T | None:
    """The extension of that kind, or None."""
    for entry in certificate.extensions:
        if isinstance(entry.value, kind):
            return entry.value
    return None


def raw_extension(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> bytes | None:
    """The bytes of an extension that the library does not know, or None."""
    for entry in certificate.extensions:
        if entry.oid == oid and isinstance(entry.value, x509.UnrecognizedExtension):
            return entry.value.value
    return None


def refused(message: str) -> AttestationError:
    """The error for an attestation that does not hold."""
    return AttestationError(message, remedy=_REMEDY)
