"""What is asked of an authority, and what it gives.

Rules for every issuer:
- It asks for proof of possession (`possession`) before it signs anything.
- A request has a name that is its own and stays the same when it is asked again. The same name
  with the same key gets the same certificate, whatever happened in between; the same name with
  another key gets a new one, and the former is revoked as superseded.
- What is issued is on the disk before it is handed out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from tokenprov.attestation import PivAttestation
from tokenprov.model import Holder


class Usage(StrEnum):
    """What a certificate is for; the values are those of profiles."""

    CLIENT_AUTH = "client-auth"  # 1.3.6.1.5.5.7.3.2, RFC 5280, 4.2.1.12
    SMARTCARD_LOGON = "smartcard-logon"  # 1.3.6.1.4.1.311.20.2.2, Windows logon
    EMAIL_PROTECTION = "email-protection"  # 1.3.6.1.5.5.7.3.4, RFC 5280, 4.2.1.12


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateSettings:
    """What a profile wants of a certificate."""

    days: int  # of validity, at the most
    subject: str  # the common name, rendered for the holder
    upn: bool = False  # the holder's user principal name as an alternative name
    email: bool = False  # the holder's mail address as an alternative name
    usages: tuple[Usage, ...] = (Usage.CLIENT_AUTH,)
    encryption: bool = False  # for a key that decrypts: it signs nothing
    sid: str = ""  # security identifier of the holder's Windows account; "": left out


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRequest:
    """A certificate for one key of one holder, with proof of who holds the key."""

    request_id: str  # order and slot, "ab12cd34-0007/9a": its own, and repeatable
    holder: Holder  # nothing issued outlives their last day
    public_key: bytes  # SubjectPublicKeyInfo, DER
    csr: bytes | None  # PKCS#10, DER, signed with the key
    attestation: PivAttestation | None  # verified, of the key
    token_serial: str | None
    settings: CertificateSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedCertificate:
    """A certificate, and those above it up to the root."""

    der: bytes
    chain: tuple[bytes, ...]  # DER, nearest first
    serial_hex: str


class Issuer(Protocol):
    """An authority."""

    def issue(self, request: CertificateRequest, now: datetime) -> IssuedCertificate:
        """The certificate for that request; asked again, the same one.

        `now` is aware of its zone. Raises `IssuerError` where it is refused, `DurabilityError`
        where it could not be recorded.
        """
        ...

    def find(self, request_id: str) -> IssuedCertificate | None:
        """The certificate issued under that name that is in force, or None."""
        ...
