"""What GlobalPlatform commands are made of: instructions, key references, tags and status words.

Values from the GlobalPlatform Card Specification 2.3.1 (GPC), its Amendment D 1.2 (SCP03) and
Amendment F 1.4 (SCP11); what the maker's key does otherwise is marked so.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from tokenprov.sim.apdu import SW, Refusal

GLOBALPLATFORM_CLASS = 0x80  # GPC 11.1.4, table 11-11
SECURE_MESSAGING = 0x04  # "GlobalPlatform proprietary secure messaging", GPC table 11-11


class Ins(IntEnum):
    """Instructions (GPC table 11-1; Amendment D 7.1; Amendment F 7)."""

    PERFORM_SECURITY_OPERATION = 0x2A
    INITIALIZE_UPDATE = 0x50
    EXTERNAL_AUTHENTICATE = 0x82  # in SCP11 it is called MUTUAL AUTHENTICATE
    INTERNAL_AUTHENTICATE = 0x88
    GET_DATA = 0xCA
    PUT_KEY = 0xD8
    STORE_DATA = 0xE2
    DELETE_KEY = 0xE4
    GENERATE_KEY = 0xF1  # maker


class Status(IntEnum):
    """Status words beside those of ISO/IEC 7816-4."""

    CRYPTOGRAM_WRONG = 0x6300  # Amendment D 7.1.2.4
    CERTIFICATE_WRONG = 0x6600  # Amendment F, PERFORM SECURITY OPERATION
    CERTIFICATE_NOT_ALLOWED = 0x6640  # the same
    ALGORITHM_NOT_SUPPORTED = 0x9484  # GPC 11.8.3.2
    CHECK_VALUE_WRONG = 0x9485  # the same


class KeyId(IntEnum):
    """Key identifiers (Amendment D 4.1.1; Amendment F 5.2)."""

    SCP03_ENC = 0x01
    SCP03_MAC = 0x02
    SCP03_DEK = 0x03
    CA_KLOC = 0x10
    SCP11A = 0x11
    SCP11B = 0x13
    SCP11C = 0x15
    FIRST_MORE_CA_KLOC = 0x20
    LAST_MORE_CA_KLOC = 0x2F


SCP03_KEY_IDS = (KeyId.SCP03_ENC, KeyId.SCP03_MAC, KeyId.SCP03_DEK)
SCP11_KEY_IDS = frozenset({KeyId.SCP11A, KeyId.SCP11B, KeyId.SCP11C})
CA_KEY_IDS = frozenset(
    {KeyId.CA_KLOC, *range(KeyId.FIRST_MORE_CA_KLOC, KeyId.LAST_MORE_CA_KLOC + 1)}
)
ANY = 0x00  # a key identifier or version that was not given
DEFAULT_VERSION = 0xFF  # of the key set that every key leaves the factory with (maker)
LAST_VERSION = 0x7F  # GPC 11.8.2.3


class KeyType(IntEnum):
    """Key types (GPC table 11-16; Amendment F for elliptic curves)."""

    AES = 0x88
    EC_PUBLIC = 0xB0
    EC_PRIVATE = 0xB1
    EC_PARAMETERS = 0xF0


P256_PARAMETERS = 0x00  # Amendment E, table 4-3: the only curve that the maker has


class Tag(IntEnum):
    """Tags of objects and command data."""

    CARD_DATA = 0x0066  # GPC 7.4.1.3
    KEY_INFORMATION = 0x00E0  # GPC 11.3.3.1
    CERTIFICATE_STORE = 0xBF21  # Amendment F 7.1
    KLOC_IDENTIFIERS = 0xFF33  # the same: authorities of host keys
    KLCC_IDENTIFIERS = 0xFF34  # the same: authorities of card keys
    CONTROL_REFERENCE = 0xA6  # the next three are in it, to name a key
    ISSUER_IS_OF_CARD = 0x80
    ISSUER = 0x42
    KEY_REFERENCE = 0x83
    ALLOWLIST = 0x70
    SERIAL_NUMBER = 0x93
    KEY_ENTRY = 0xC0  # GPC table 11-29
    DELETE_KEY_ID = 0xD0  # GPC 11.2.2.3.2
    DELETE_KEY_VERSION = 0xD2
    SCP_IDENTIFIER = 0x90  # Amendment F 7.6.2.3: what a host proposes
    KEY_USAGE = 0x95
    KEY_TYPE = 0x80
    KEY_LENGTH = 0x81
    EPHEMERAL_KEY = 0x5F49
    RECEIPT = 0x86


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRef:
    """Which key: its identifier and its version number."""

    kid: int
    kvn: int

    @classmethod
    def parse(cls, data: bytes) -> KeyRef:
        """Identifier and version, a byte each. Raises `Refusal` 6A80 for another length."""
        if len(data) != 2:
            raise Refusal(SW.INCORRECT_PARAMETERS)
        return cls(kid=data[0], kvn=data[1])

    def __bytes__(self) -> bytes:
        return bytes([self.kid, self.kvn])
