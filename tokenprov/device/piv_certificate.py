"""A certificate in its PIV object, as any card may hold it (SP 800-73-4 part 1, table 10).

What stands there may be anybody's: bytes that are no such object, or cannot be decompressed, are
given as they are, so that nobody takes the place for empty.
"""

from __future__ import annotations

import gzip
import zlib

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from yubikit.core import BadResponseError, Tlv
from yubikit.piv import decompress_certificate

TAG_CERTIFICATE, TAG_CERT_INFO, TAG_ERROR_DETECTION = 0x70, 0x71, 0xFE
CERT_INFO_COMPRESSED = 0x01


def certificate_in(value: bytes) -> bytes:
    """The certificate, DER, uncompressed; the object's value itself where it holds none."""
    fields = fields_of(value)
    found = fields.get(TAG_CERTIFICATE)
    if found is None:
        return value
    if fields.get(TAG_CERT_INFO, b"\0")[:1] != bytes([CERT_INFO_COMPRESSED]):
        return found
    try:
        return decompress_certificate(found)
    except (BadResponseError, OSError, EOFError, zlib.error, ValueError):
        return value


def certificate_object(certificate: x509.Certificate, compress: bool) -> bytes:
    """A certificate in its object."""
    der = certificate.public_bytes(Encoding.DER)
    if compress:
        der = gzip.compress(der, mtime=0)
    info = bytes([CERT_INFO_COMPRESSED if compress else 0])
    fields = ((TAG_CERTIFICATE, der), (TAG_CERT_INFO, info), (TAG_ERROR_DETECTION, b""))
    return b"".join(Tlv(tag, value) for tag, value in fields)


def fields_of(content: bytes) -> dict[int, bytes]:
    """TLVs by tag; what is none has no fields."""
    try:
        return {int(tag): bytes(value) for tag, value in Tlv.parse_dict(content).items()}
    except (ValueError, IndexError):
        return {}
