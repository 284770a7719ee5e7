"""What is asked of an authority, and what it gives.

Rules for every issuer:
- It asks for proof of possession (`possession`) before it signs anything.
- A request has a name that is its own and stays the same when it is asked again. The same name
  with the same key gets the same certificate, whatever happened in between; the same name with
  another key gets a new one, and the former is revoked as superseded.
- What is issued is on the disk before it is handed out.
- A revocation counts once it is read back: `revoke` tells the authority, `status` asks what it
  publishes (CRL or OCSP). A certificate on hold (RFC 5280, 5.3.1: certificateHold) is revoked until
  it is released; any other revocation is for good.
- Errors tell three things apart: refused (`IssuerError`), not answered (`IssuerUnanswered`: it may
  have been carried out; the same call again is safe) and not decided yet (`IssuerPending`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from cryptography import x509

from tokenprov.attestation import PivAttestation
from tokenprov.model import Holder


class Usage(StrEnum):
    """What a certificate is for; the values are those of profiles."""

    CLIENT_AUTH = "client-auth"  # 1.3.6.1.5.5.7.3.2, RFC 5280, 4.2.1.12
    SMARTCARD_LOGON = "smartcard-logon"  # 1.3.6.1.4.1.311.20.2.2, Windows logon
    EMAIL_PROTECTION = "email-protection"  # 1.3.6.1.5.5.7.3.4, RFC 5280, 4.2.1.12
    CARD_AUTH = "card-auth"  # 2.16.840.1.101.3.6.8, FIPS 201: the key in 9e, which wants no PIN


@dataclass(frozen=True, slots=True, kw_only=True)
class CardIdentifiers:
    """What identifies a PIV card (SP 800-73-4 part 1, 3.1.2), as its CHUID has it."""

    fasc_n: bytes | None  # 25 bytes; None: it is left out
    uuid: UUID  # the CHUID's GUID


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
    policies: tuple[str, ...] = ()  # object identifiers of certificate policies
    card: CardIdentifiers | None = None  # as alternative names (FIPS 201: PIV authentication)


Sign = Callable[[bytes], bytes]  # a message -> its signature


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
    attestation_chain: tuple[bytes, ...] = ()  # DER: the attestation, f9's, up to below the root
    sign: Sign | None = None  # with the key that is to be certified, on its token


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedCertificate:
    """A certificate, and those above it up to the root.

    `doubts` says what else may be in force for the same request, and nobody here could end: a
    sending that was never answered, a former certificate that the authority took no revocation of.
    """

    der: bytes
    chain: tuple[bytes, ...]  # DER, nearest first
    serial_hex: str
    doubts: tuple[str, ...] = ()


class Standing(StrEnum):
    """What an authority publishes of a certificate (RFC 6960, 2.2)."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"  # not of this authority, or it publishes nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateStatus:
    """Where a certificate stands, as read back; `reason` and `at` where it is revoked."""

    standing: Standing
    reason: x509.ReasonFlags | None = None
    at: datetime | None = None

    @property
    def on_hold(self) -> bool:
        """Whether it is revoked for the time being only."""
        return self.reason is x509.ReasonFlags.certificate_hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What an authority can be asked for."""

    revokes: bool  # `revoke`; else it is done at the authority, by hand
    holds: bool  # `revoke` with certificateHold, and `release`
    tells_status: bool  # `status`
    takes_attestation: bool  # the token's attestation goes with the request
    needs_csr: bool  # wants a PKCS#10 request signed by the key, attested or not
    repeatable: bool  # the same request sent twice gets the same certificate
    names_token: bool = False  # the token's serial stands in the PKCS#10 request (RFC 4043)


class Issuer(Protocol):
    """An authority."""

    @property
    def uri(self) -> str:
        """What profiles name it by."""
        ...

    @property
    def abilities(self) -> Abilities:
        """What it can be asked for."""
        ...

    def issue(self, request: CertificateRequest, now: datetime) -> IssuedCertificate:
        """The certificate for that request; asked again, the same one.

        `now` is aware of its zone. Raises `IssuerError` where it is refused, `IssuerUnanswered`,
        `IssuerPending`, `DurabilityError` where it could not be recorded.
        """
        ...

    def find(self, request_id: str) -> IssuedCertificate | None:
        """The certificate issued under that name that is in force, or None."""
        ...

    def revoke(self, serial_hex: str, reason: x509.ReasonFlags, now: datetime) -> None:
        """Revoke a certificate; what is revoked for good stays as it is.

        Raises `IssuerError` if it is unknown or the authority takes no revocations,
        `IssuerUnanswered`.
        """
        ...

    def release(self, serial_hex: str, now: datetime) -> None:
        """End the hold on a certificate; one that is in force stays so.

        Raises `IssuerError` if it is unknown or revoked for good, `IssuerUnanswered`.
        """
        ...

    def status(self, serial_hex: str, now: datetime) -> CertificateStatus:
        """Where the certificate stands by what the authority publishes, signature checked.

        Raises `IssuerUnanswered` where that could not be had, `IssuerError` where it is not the
        authority's.
        """
        ...
