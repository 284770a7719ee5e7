"""An authority of the station's own: it issues, revokes and publishes; `folder` has its files.

Rules: those of `protocol`. What is revoked or released is published before the call returns, and
`status` reads what is published. One writer at a time, whichever process it is in.
"""

from __future__ import annotations

import hashlib
import os
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tokenprov.attestation.anchors import certificates_in
from tokenprov.errors import InputError, IssuerError, StationError
from tokenprov.issuer.ca.certificate import Signer, build_certificate
from tokenprov.issuer.ca.folder import CaFolder
from tokenprov.issuer.ca.issued import Issued, IssuedFolder, Revocation
from tokenprov.issuer.ca.keys import AuthorityKey, read_key
from tokenprov.issuer.ca.lists import ListFolder, Lists
from tokenprov.issuer.ca.making import make_root
from tokenprov.issuer.ca.module_key import key_in_token
from tokenprov.issuer.possession import check_possession, on_hold
from tokenprov.issuer.protocol import (
    Abilities,
    CertificateRequest,
    CertificateStatus,
    IssuedCertificate,
    Standing,
)
from tokenprov.issuer.published import status_in_lists
from tokenprov.pkcs11.values import PublicKey
from tokenprov.secret import RandomBytes

DEFAULT_DAYS = 3650  # of a root's own validity


class LocalCa:
    """Implements `Issuer`. Safe to use from several threads and processes."""

    abilities = Abilities(
        revokes=True,
        holds=True,
        tells_status=True,
        takes_attestation=True,
        needs_csr=False,
        repeatable=True,
    )

    def __init__(
        self, folder: CaFolder, signer: Signer, above: tuple[x509.Certificate, ...], uri: str
    ) -> None:
        self.uri, self.folder, self.signer = uri, folder, signer
        self._above = above
        self.issued = IssuedFolder(folder.requests)
        self._lists = ListFolder(folder.lists, signer.certificate, signer.key, signer.settings)

    @classmethod
    def create(
        cls,
        path: Path,
        name: str,
        now: datetime,
        *,
        days: int = DEFAULT_DAYS,
        random: RandomBytes = os.urandom,
    ) -> LocalCa:
        """Make a self-signed authority with that common name in a folder, and open it.

        `now` is aware of its zone. Raises `StationError` where a whole one is there, `IssuerError`
        for a name that cannot be one, `DurabilityError` where the disk fails.
        """
        make_root(CaFolder(path=path), name, now, days=days, random=random)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path, uri: str = "local") -> LocalCa:
        """Open the authority in a folder. Raises `StationError` where it cannot be used."""
        folder = CaFolder(path=path)
        settings, certificate = folder.settings(), _read_certificate(folder)
        key = _read_key(folder, certificate)
        signer = Signer(certificate=certificate, key=key, settings=settings)
        return cls(folder, signer, _read_chain(folder), uri)

    @property
    def certificate(self) -> x509.Certificate:
        """The authority's own certificate."""
        return self.signer.certificate

    @property
    def certificate_pem(self) -> bytes:
        """The authority's own certificate, for those who are to trust it."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def chain(self) -> tuple[bytes, ...]:
        """Its certificate and those above it, DER."""
        return tuple(one.public_bytes(Encoding.DER) for one in (self.certificate, *self._above))

    def issue(
        self, request: CertificateRequest, now: datetime, random: RandomBytes = os.urandom
    ) -> IssuedCertificate:
        """The certificate for that request; asked again with the same key, the same one.

        Raises `IssuerError` without proof of possession, where holder or key do not allow a
        certificate, or where the one issued was revoked; `DurabilityError` where it could not be
        recorded, and then nothing was issued.
        """
        check_possession(request, self.signer.settings.attestation)
        digest = hashlib.sha256(request.public_key).hexdigest()
        with self.folder.writing():
            former = self.issued.of(request.request_id)
            if former and former[-1].public_key_digest == digest:
                issued = former[-1]
                _refuse_revoked(request.request_id, issued)
            else:
                certificate = build_certificate(request, self.signer, now=now, random=random)
                issued = Issued.of(certificate, now)
                self.issued.add(request.request_id, issued)
            if self._lists.lack(self.issued.of(request.request_id)[:-1], now):
                self._lists.publish(self.issued.all(), now, whole=False)
        return self._answer(issued)

    def record(self, name: str, certificate: x509.Certificate, now: datetime) -> None:
        """Record what was signed for another end than a holder's key, before it is handed out."""
        with self.folder.writing():
            self.issued.add(name, Issued.of(certificate, now))

    def find(self, request_id: str) -> IssuedCertificate | None:
        """The certificate issued under that name that is in force, or None."""
        issued = self.issued.of(request_id)
        return self._answer(issued[-1]) if issued and not issued[-1].revocation else None

    def revoke(self, serial_hex: str, reason: x509.ReasonFlags, now: datetime) -> None:
        """Revoke a certificate; what is revoked for good stays so. `IssuerError` if unknown."""
        with self.folder.writing():
            if self.issued.revoke(serial_hex, Revocation(at=now, reason=reason)) is None:
                raise _not_issued(serial_hex)
            self._lists.publish(self.issued.all(), now, whole=False)

    def release(self, serial_hex: str, now: datetime) -> None:
        """End the hold on a certificate. `IssuerError` if unknown, or revoked for good."""
        with self.folder.writing():
            left = self.issued.release(serial_hex)
            if left is None:
                raise _not_issued(serial_hex)
            if left.revocation is not None:
                raise IssuerError(
                    f"the certificate {serial_hex} was revoked for good "
                    f"({left.revocation.reason.value})",
                    remedy="Issue a new one.",
                )
            self._lists.publish(self.issued.all(), now, whole=False)

    def status(self, serial_hex: str, now: datetime) -> CertificateStatus:
        """Where the certificate stands by the lists that are published, signatures checked."""
        if self.issued.with_serial(serial_hex) is None:
            return CertificateStatus(standing=Standing.UNKNOWN)
        lists = self.lists(now)
        return status_in_lists(lists.whole, lists.delta, self.certificate, serial_hex, now)

    def revoked(self) -> list[Issued]:
        """What is revoked, by the time of its revocation."""
        found = [
            (one.revocation.at, one.serial_hex, one) for one in self.issued.all() if one.revocation
        ]
        return [one for _, _, one in sorted(found, key=lambda entry: entry[:2])]

    def lists(self, now: datetime) -> Lists:
        """The lists that are published; published again where they ended."""
        with self.folder.writing():
            return self._lists.current(self.issued.all(), now)

    def publish(self, now: datetime, *, whole: bool) -> Lists:
        """Publish a delta list, and a whole one beside it where asked for or where it ended."""
        with self.folder.writing():
            return self._lists.publish(self.issued.all(), now, whole=whole)

    def _answer(self, issued: Issued) -> IssuedCertificate:
        return IssuedCertificate(
            der=issued.certificate, chain=self.chain, serial_hex=issued.serial_hex
        )


def _refuse_revoked(request_id: str, issued: Issued) -> None:
    if issued.revocation and issued.revocation.on_hold:
        raise on_hold(request_id, issued.serial_hex)
    if issued.revocation:
        raise IssuerError(
            f"the certificate for {request_id} was revoked ({issued.revocation.reason.value})",
            remedy="Make a new key in that slot, or a new order.",
        )


def _read_key(folder: CaFolder, certificate: x509.Certificate) -> AuthorityKey:
    uri, public_key = folder.settings().key, certificate.public_key()
    if uri is not None and isinstance(public_key, PublicKey):
        return key_in_token(uri, public_key)
    key = read_key(folder.key)
    if certificate.public_key() != key.public_key():
        raise StationError(
            f"{folder.certificate} is not the certificate of the key beside it",
            remedy="Restore both files from the same backup.",
        )
    return key


def _read_certificate(folder: CaFolder) -> x509.Certificate:
    if not folder.certificate.exists() and folder.request.exists():
        raise StationError(
            f"the authority in {folder.path} is not signed yet",
            remedy=f"Have {folder.request} signed, then: tokenprov ca import CERTIFICATE",
        )
    try:
        (found,) = certificates_in(folder.certificate.read_bytes(), where=str(folder.certificate))
    except (OSError, ValueError, InputError) as exc:
        raise _unreadable(folder.certificate) from exc
    return found


def _read_chain(folder: CaFolder) -> tuple[x509.Certificate, ...]:
    try:
        return tuple(certificates_in(folder.chain.read_bytes(), where=str(folder.chain)))
    except FileNotFoundError:
        return ()
    except (OSError, InputError) as exc:
        raise _unreadable(folder.chain) from exc


def _unreadable(path: Path) -> StationError:
    return StationError(
        f"{path} cannot be read as the authority's certificate", remedy="Restore it from a backup."
    )


def _not_issued(serial_hex: str) -> IssuerError:
    return IssuerError(
        f"this authority issued no certificate {serial_hex}",
        remedy="Look the serial number up in the certificate itself.",
    )
