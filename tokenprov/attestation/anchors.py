"""Trust anchors of attestation: whose word on a token is taken, and for how much.

Rules:
- The makers' public roots ship with the program (`tokenprov/trust`, its README says where from).
  Each is pinned by its SHA-256 in `_PINS`: a file that was changed, added or removed is refused.
- A station adds its own as PEM files. A self-signed one becomes an anchor, another one is only
  material for building chains and must itself end at an anchor.
- An added anchor is never the maker's, whatever name it has. If its organisation or common name
  says "virtual" it marks virtual tokens; if not, it is the station's own (an organisation that
  replaced f9 by its own attestation authority).
- Virtual roots are never trusted beside real ones that a station added: a home is for the one or
  the other.
- PIV, FIDO and OpenPGP have roots of their own; a root counts only for what it is for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.resources import files
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from tokenprov.errors import AttestationError, InputError

VIRTUAL_MARK = "virtual"  # in the subject's O or CN, in any case


UNREADABLE = (  # what the library says about malformed certificates
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


class AnchorKind(StrEnum):
    """Whose root a chain ends at; the value stands in the manifest."""

    VENDOR = "vendor"  # pinned in this program
    STATION = "station"  # added by the station
    VIRTUAL = "virtual"  # added, and marked: its tokens are not real


class Use(StrEnum):
    """What a root attests."""

    PIV = "piv"
    FIDO = "fido"
    OPENPGP = "openpgp"
    CHANNEL = "channel"  # keys for secure channels


_ALL = frozenset(Use)
_PIV = frozenset({Use.PIV})
_FIDO = frozenset({Use.FIDO})

# File in tokenprov/trust -> SHA-256 of its certificate, and what it is for.
_PINS: dict[str, tuple[str, frozenset[Use]]] = {
    "yubico-attestation-root-1.pem": (
        "62760c6a6ef91679f454c8902b80fd009825b3f25da90f1fbace2ec6586cd5a8",
        _ALL,
    ),
    "yubico-attestation-intermediate-a-1.pem": (
        "4698a1d3389c3ec60016c216250f1d0439922832d65142327436376dc2942b55",
        _ALL,
    ),
    "yubico-attestation-intermediate-b-1.pem": (
        "d4cc3f456fdaf4e7812a21aab1dfe9d8e27d24e2fd2d6f21c9940109f0daa754",
        _ALL,
    ),
    "yubico-piv-attestation-a-1.pem": (
        "6de693f05376f5d8ca29069261e1c8626c75d503bd2edbfd75354cad1f722870",
        _PIV,
    ),
    "yubico-piv-attestation-b-1.pem": (
        "2d55b7998f4e42569d6d8fa382b6dc77d1dacf07358b19701163892922b17052",
        _PIV,
    ),
    "yubico-piv-root-263751.pem": (
        "63ece914e54dd87915f34033c85af4c0696ba1512f8add66ced738331207b546",
        _PIV,
    ),
    "yubico-fido-attestation-a-1.pem": (
        "4ebabc9cbc964f722c985f3784d057e9ef5dcf454dcb4f767fccca58cf16a4e8",
        _FIDO,
    ),
    "yubico-fido-attestation-b-1.pem": (
        "4eadda86ff62cff987e111a07910d8554de42f71d5d6da7744610e09012dd319",
        _FIDO,
    ),
    "yubico-fido-attestation-b2-1.pem": (
        "3c6fe819adbd80afe75dc90af7bba34c95b2b7ac64384816e033f63b7c93848b",
        _FIDO,
    ),
    "yubico-fido-root-450203556.pem": (
        "35f1a54b353bfb711e6d42adbeb76c0e9dead095018e6a94783ba2192fd6faad",
        _FIDO,
    ),
    "yubico-u2f-root-457200631.pem": (
        "0fa1386f80eb8713263ae5c1d84deb455bdf08aea50ab05503cefee82b092d42",
        _FIDO,
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """A root certificate, whose it is, and what it counts for."""

    certificate: x509.Certificate
    kind: AnchorKind
    uses: frozenset[Use]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, hex."""
        return fingerprint(self.certificate)


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchors:
    """The roots that are trusted, and certificates that may stand between them and a token."""

    anchors: tuple[Anchor, ...] = ()
    intermediates: tuple[x509.Certificate, ...] = field(default=(), repr=False)

    @classmethod
    def vendor(cls) -> Anchors:
        """The makers' roots that ship with the program. Raises `AttestationError` if not so."""
        folder = files("tokenprov") / "trust"
        found = {entry.name for entry in folder.iterdir() if entry.name.endswith(".pem")}
        if found != _PINS.keys():
            raise _changed(", ".join(sorted(found ^ _PINS.keys())))
        anchors, intermediates = [], []
        for name, (pin, uses) in _PINS.items():
            certificate = x509.load_pem_x509_certificate((folder / name).read_bytes())
            if fingerprint(certificate) != pin:
                raise _changed(name)
            if is_self_signed(certificate):
                anchors.append(Anchor(certificate=certificate, kind=AnchorKind.VENDOR, uses=uses))
            else:
                intermediates.append(certificate)
        return cls(anchors=tuple(anchors), intermediates=tuple(intermediates))

    @classmethod
    def load(cls, folder: Path | None) -> Anchors:
        """The makers' roots, and those in `folder`/*.pem where the folder is there.

        Raises `InputError` naming the file that is not certificates in PEM; where there are virtual
        roots and real ones beside them.
        """
        anchors = cls.read(folder)
        if anchors.beside_virtual:
            named = ", ".join(anchor.fingerprint for anchor in anchors.beside_virtual)
            raise InputError(
                f"real roots are not trusted beside virtual ones: {named}",
                remedy="Look at both: tokenprov trust check; and take one kind out of the folder"
                " trust/. Virtual tokens are tried out in a home of their own.",
                where=str(folder),
            )
        return anchors

    @classmethod
    def read(cls, folder: Path | None) -> Anchors:
        """The same, whatever stands beside what: to look at, not to go by."""
        anchors = cls.vendor()
        if folder is not None and folder.is_dir():
            for path in sorted(folder.glob("*.pem")):
                anchors = anchors.with_pem(path.read_bytes(), where=str(path))
        return anchors

    def with_pem(self, pem: bytes, *, where: str) -> Anchors:
        """These and the certificates in `pem`; `where` names them in the `InputError`."""
        certificates = certificates_in(pem, where=where)
        known = {anchor.fingerprint for anchor in self.anchors}
        added, between = list(self.anchors), list(self.intermediates)
        for certificate in certificates:
            if fingerprint(certificate) in known:
                continue  # a pinned root stays what it is
            if is_self_signed(certificate):
                kind = AnchorKind.VIRTUAL if is_virtual(certificate) else AnchorKind.STATION
                added.append(Anchor(certificate=certificate, kind=kind, uses=_ALL))
            else:
                between.append(certificate)
        return Anchors(anchors=tuple(added), intermediates=tuple(between))

    @property
    def know_virtual(self) -> bool:
        """Whether a virtual token can be told here; without, none can be issued."""
        return any(anchor.kind is AnchorKind.VIRTUAL for anchor in self.anchors)

    @property
    def beside_virtual(self) -> tuple[Anchor, ...]:
        """The real ones that a station added, where there are virtual ones too."""
        if not self.know_virtual:
            return ()
        return tuple(anchor for anchor in self.anchors if anchor.kind is AnchorKind.STATION)

    def named(self, name: x509.Name, use: Use) -> Iterator[Anchor]:
        """The anchors with that subject that count for `use`."""
        return (a for a in self.anchors if a.certificate.subject == name and use in a.uses)

    def between(
        self, name: x509.Name, extra: Iterable[x509.Certificate]
    ) -> Iterator[x509.Certificate]:
        """The certificates with that subject, those of the token (`extra`) first."""
        return (c for c in (*extra, *self.intermediates) if c.subject == name)


def certificates_in(pem: bytes, *, where: str) -> list[x509.Certificate]:
    """The certificates in a PEM file. Raises `InputError` where there is none, or one is bad."""
    try:
        found = x509.load_pem_x509_certificates(pem)
        for one in found:  # parsed when asked
            _ = one.extensions, one.subject, one.issuer, one.public_key()
        return found
    except UNREADABLE as exc:
        raise InputError(
            "does not hold certificates in PEM",
            remedy="Convert it with: openssl x509 -inform der -in FILE -out FILE.pem",
            where=where,
        ) from exc


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the certificate's DER, hex."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def is_virtual(certificate: x509.Certificate) -> bool:
    """Whether its subject says that it belongs to virtual tokens."""
    texts = [
        attribute.value
        for oid in (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME)
        for attribute in certificate.subject.get_attributes_for_oid(oid)
    ]
    return any(VIRTUAL_MARK in text.lower() for text in texts if isinstance(text, str))


def is_self_signed(certificate: x509.Certificate) -> bool:
    """Whether it is signed with its own key."""
    try:
        certificate.verify_directly_issued_by(certificate)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True


def _changed(name: str) -> AttestationError:
    return AttestationError(
        f"the trust anchors of this installation are not the pinned ones ({name})",
        remedy="Install tokenprov again; put roots of your own into the station's trust folder.",
    )
