"""The list of revoked certificates that sshd reads (RevokedKeys): OpenSSH, PROTOCOL.krl.

    "SSHKRL\\n\\0", uint32 1, uint64 number, uint64 date, uint64 flags, string "", string comment
    byte 1 (certificates), string: string authority, string "",
        byte 0x20 (serial numbers), string: uint64 …

Strings have their length before them in four bytes; all numbers are big endian. sshd wants serial
numbers in order.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable
from datetime import datetime
from enum import IntEnum

from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

MAGIC = b"SSHKRL\n\0"
FORMAT_VERSION = 1


class Section(IntEnum):
    """Kinds of section that are written."""

    CERTIFICATES = 1
    SERIAL_LIST = 0x20  # within the former


def revoked_list(
    serials: Iterable[int], authority: ed25519.Ed25519PublicKey, *, number: int, now: datetime
) -> bytes:
    """The list of these serial numbers of one authority."""
    header = MAGIC + struct.pack(">IQQQ", FORMAT_VERSION, number, int(now.timestamp()), 0)
    document = header + _string(b"") + _string(b"tokenprov")
    listed = b"".join(struct.pack(">Q", serial) for serial in sorted(set(serials)))
    if not listed:
        return document
    line = authority.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    body = _string(base64.b64decode(line.split()[1])) + _string(b"")
    body += bytes([Section.SERIAL_LIST]) + _string(listed)
    return document + bytes([Section.CERTIFICATES]) + _string(body)


def _string(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content
