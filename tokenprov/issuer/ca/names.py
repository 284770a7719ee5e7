"""Alternative names of a holder's certificate (RFC 5280, 4.2.1.6).

Rules:
- Mail: rfc822Name, in ASCII. User principal name: otherName 1.3.6.1.4.1.311.20.2.3, a UTF8String.
- A PIV card's identifiers: the FASC-N as otherName 2.16.840.1.101.3.6.6, an OCTET STRING of 25
  bytes, and the card's UUID as the URI urn:uuid:… (FIPS 201-3, 4.2.2.1 and 4.2.2.2; RFC 4122).
"""

from __future__ import annotations

from collections.abc import Iterator

from cryptography import x509

from tokenprov.errors import IssuerError
from tokenprov.issuer.protocol import CardIdentifiers, CertificateRequest

OID_UPN = x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3")  # szOID_NT_PRINCIPAL_NAME
OID_FASC_N = x509.ObjectIdentifier("2.16.840.1.101.3.6.6")  # pivFASC-N
FASC_N_SIZE = 25  # bytes, SP 800-73-4 part 1, table 9

_OCTET_STRING = 0x04
_UTF8_STRING = 0x0C


def alternative_names(request: CertificateRequest) -> Iterator[x509.GeneralName]:
    """Those that the settings ask for. Raises `IssuerError` where the holder lacks one."""
    holder, settings = request.holder, request.settings
    if settings.email:
        try:
            yield x509.RFC822Name(holder.email)
        except ValueError as exc:
            raise IssuerError(
                f"the mail address {holder.email!r} of {holder.id} has no form for a certificate",
                remedy="Use an address in ASCII (a domain as xn--…), or set email = false.",
            ) from exc
    if settings.upn:
        if not holder.upn:
            raise IssuerError(
                f"{holder.id} has no user principal name",
                remedy="Add a upn column to the roster, or set upn = false in the profile.",
            )
        yield x509.OtherName(OID_UPN, _tagged(_UTF8_STRING, holder.upn.encode()))
    if settings.card is not None:
        yield from _card_names(settings.card)


def _card_names(card: CardIdentifiers) -> Iterator[x509.GeneralName]:
    if card.fasc_n is not None:
        if len(card.fasc_n) != FASC_N_SIZE:
            raise IssuerError(
                f"a FASC-N of {len(card.fasc_n)} bytes identifies no card",
                remedy="Have the run write the CHUID: chuid = true in the profile.",
            )
        yield x509.OtherName(OID_FASC_N, _tagged(_OCTET_STRING, card.fasc_n))
    yield x509.UniformResourceIdentifier(card.uuid.urn)


def _tagged(tag: int, content: bytes) -> bytes:
    size = len(content).to_bytes((len(content).bit_length() + 7) // 8 or 1)
    length = size if len(content) < 0x80 else bytes([0x80 | len(size)]) + size  # X.690, 8.1.3
    return bytes([tag]) + length + content
