"""An authority of the station's own, for rehearsals, tests and small sites.

    ca.key         its private key, P-256, PKCS#8 PEM, mode 0600
    ca.pem         its certificate
    requests/      what it issued (`issued`)

Rules: those of `protocol`. The key file is refused where others may read it, or where it is not
the certificate's. An authority whose making was cut off is finished by making it again, with the
key that is there.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from tokenprov.errors import IssuerError, StationError
from tokenprov.issuer.certificate import build_authority, build_certificate
from tokenprov.issuer.issued import Issued, IssuedFolder, Revocation
from tokenprov.issuer.possession import check_possession
from tokenprov.issuer.protocol import (
    Abilities,
    CertificateRequest,
    CertificateStatus,
    IssuedCertificate,
    Standing,
)
from tokenprov.issuer.published import status_in_crl
from tokenprov.record.files import create_durable, make_folder
from tokenprov.secret import RandomBytes

DEFAULT_DAYS = 3650  # of the authority's own validity
CRL_VALIDITY = timedelta(days=7)
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class LocalCa:
    """Implements `Issuer` with a key in a file. Safe to use from several threads."""

    uri = "local"
    abilities = Abilities(
        revokes=True,
        holds=True,
        tells_status=True,
        takes_attestation=True,
        needs_csr=False,
        repeatable=True,
    )

    def __init__(
        self, folder: Path, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate
    ) -> None:
        self._key, self.certificate = key, certificate
        self._issued = IssuedFolder(folder / "requests")
        self._writing = threading.Lock()

    @classmethod
    def create(
        cls,
        folder: Path,
        name: str,
        now: datetime,
        *,
        days: int = DEFAULT_DAYS,
        random: RandomBytes = os.urandom,
    ) -> LocalCa:
        """Make an authority with that common name in `folder`, and open it.

        `now` is aware of its zone. Raises `StationError` where a whole one is there, `IssuerError`
        for a name that cannot be one, `DurabilityError` where the disk fails.
        """
        make_folder(folder)
        if (folder / "ca.pem").exists():
            raise StationError(
                f"{folder} holds an authority already",
                remedy="Use it, or name another folder: its key is never replaced.",
            )
        key_file = folder / "ca.key"
        if key_file.exists():  # left by a making that was cut off
            key = _read_key(key_file)
        else:
            key = ec.generate_private_key(ec.SECP256R1())
            pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            create_durable(key_file, pem, mode=0o600)
        certificate = build_authority(name, key, days=days, now=now, random=random)
        create_durable(folder / "ca.pem", certificate.public_bytes(Encoding.PEM))
        return cls(folder, key, certificate)

    @classmethod
    def open(cls, folder: Path) -> LocalCa:
        """Open the authority in `folder`. Raises `StationError` where it cannot be used."""
        key = _read_key(folder / "ca.key")
        try:
            certificate = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
        except (OSError, ValueError) as exc:
            raise StationError(
                f"{folder / 'ca.pem'} cannot be read as the authority's certificate",
                remedy="Restore it from a backup.",
            ) from exc
        if certificate.public_key() != key.public_key():
            raise StationError(
                f"{folder / 'ca.pem'} is not the certificate of the key beside it",
                remedy="Restore both files from the same backup.",
            )
        return cls(folder, key, certificate)

    @property
    def certificate_pem(self) -> bytes:
        """The authority's own certificate, for those who are to trust it."""
        return self.certificate.public_bytes(Encoding.PEM)

    def issue(
        self, request: CertificateRequest, now: datetime, random: RandomBytes = os.urandom
    ) -> IssuedCertificate:
        """The certificate for that request; asked again with the same key, the same one.

        Raises `IssuerError` without proof of possession, where holder or key do not allow a
        certificate, or where the one issued was revoked; `DurabilityError` where it could not be
        recorded, and then nothing was issued.
        """
        check_possession(request)
        digest = hashlib.sha256(request.public_key).hexdigest()
        with self._writing:
            former = self._issued.of(request.request_id)
            if former and former[-1].public_key_digest == digest:
                return self._answer_again(request.request_id, former[-1])
            certificate = build_certificate(
                request, self.certificate, self._key, now=now, random=random
            )
            issued = Issued(
                certificate=certificate.public_bytes(Encoding.DER),
                serial_hex=f"{certificate.serial_number:x}",
                public_key_digest=digest,
                issued=now,
            )
            self._issued.add(request.request_id, issued)
        return self._answer(issued)

    def find(self, request_id: str) -> IssuedCertificate | None:
        """The certificate issued under that name that is in force, or None."""
        issued = self._issued.of(request_id)
        return self._answer(issued[-1]) if issued and not issued[-1].revocation else None

    def revoke(self, serial_hex: str, reason: x509.ReasonFlags, now: datetime) -> None:
        """Revoke a certificate; what is revoked for good stays so. `IssuerError` if unknown."""
        with self._writing:
            if self._issued.revoke(serial_hex, Revocation(at=now, reason=reason)) is None:
                raise _not_issued(serial_hex)

    def release(self, serial_hex: str, now: datetime) -> None:
        """End the hold on a certificate. `IssuerError` if unknown, or revoked for good."""
        with self._writing:
            left = self._issued.release(serial_hex)
        if left is None:
            raise _not_issued(serial_hex)
        if left.revocation is not None:
            raise IssuerError(
                f"the certificate {serial_hex} was revoked for good "
                f"({left.revocation.reason.value})",
                remedy="Issue a new one.",
            )

    def status(self, serial_hex: str, now: datetime) -> CertificateStatus:
        """Where the certificate stands by the list that is published, its signature checked."""
        if self._issued.with_serial(serial_hex) is None:
            return CertificateStatus(standing=Standing.UNKNOWN)
        return status_in_crl(self.crl(now), self.certificate, serial_hex)

    def revoked(self) -> list[Issued]:
        """What is revoked, by the time of its revocation."""
        found = [
            (one.revocation.at, one.serial_hex, one) for one in self._issued.all() if one.revocation
        ]
        return [one for _, _, one in sorted(found, key=lambda entry: entry[:2])]

    def crl(self, now: datetime) -> bytes:
        """The list of what is revoked (RFC 5280, 5), DER, good for a week."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(now)
            .next_update(now + CRL_VALIDITY)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
            # 5.2.3: grows from list to list, as the clock does
            .add_extension(x509.CRLNumber(int(now.timestamp() * 1_000_000)), critical=False)
        )
        for one in self._issued.all():
            if one.revocation:
                builder = builder.add_revoked_certificate(
                    x509.RevokedCertificateBuilder()
                    .serial_number(int(one.serial_hex, 16))
                    .revocation_date(one.revocation.at)
                    .add_extension(x509.CRLReason(one.revocation.reason), critical=False)
                    .build()
                )
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.DER)

    def _answer_again(self, request_id: str, issued: Issued) -> IssuedCertificate:
        if issued.revocation:
            raise IssuerError(
                f"the certificate for {request_id} was revoked ({issued.revocation.reason.value})",
                remedy="Make a new key in that slot, or a new order.",
            )
        return self._answer(issued)

    def _answer(self, issued: Issued) -> IssuedCertificate:
        return IssuedCertificate(
            der=issued.certificate,
            chain=(self.certificate.public_bytes(Encoding.DER),),
            serial_hex=issued.serial_hex,
        )


def _not_issued(serial_hex: str) -> IssuerError:
    return IssuerError(
        f"this authority issued no certificate {serial_hex}",
        remedy="Look the serial number up in the certificate itself.",
    )


def _read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        if os.name == "posix" and path.stat().st_mode & _OTHERS:
            raise StationError(
                f"{path} can be read by others",
                remedy=f"Run: chmod 600 {path}, and find out who read it.",
            )
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as exc:
        raise StationError(
            f"{path} cannot be read as the authority's key",
            remedy="Restore it from a backup, with mode 0600.",
        ) from exc
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise StationError(
            f"{path} is not a P-256 key", remedy="Restore the authority's key from a backup."
        )
    return key
