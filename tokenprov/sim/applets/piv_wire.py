"""What PIV commands are made of: instructions, key references, algorithms, tags and BER-TLV.

Values from SP 800-73-4 part 1, tables 4b and 5 to 7, and part 2, chapter 3; SP 800-78-4, table
6-2; and the maker's "PIV extensions" for what is marked so.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

from tokenprov.sim.apdu import SW, Refusal


class Instruction(IntEnum):
    """INS of the standard (SP 800-73-4 part 2, table 2) and, from F6, of the maker."""

    VERIFY = 0x20
    CHANGE_REFERENCE_DATA = 0x24
    RESET_RETRY_COUNTER = 0x2C
    GENERATE_ASYMMETRIC_KEY_PAIR = 0x47
    GENERAL_AUTHENTICATE = 0x87
    GET_DATA = 0xCB
    PUT_DATA = 0xDB
    MOVE_KEY = 0xF6
    GET_METADATA = 0xF7
    GET_SERIAL = 0xF8
    ATTEST = 0xF9
    SET_PIN_RETRIES = 0xFA
    RESET = 0xFB
    GET_VERSION = 0xFD
    IMPORT_KEY = 0xFE
    SET_MANAGEMENT_KEY = 0xFF


class Reference(IntEnum):
    """Key references that are not asymmetric keys (SP 800-73-4 part 1, table 4b)."""

    GLOBAL_PIN = 0x00
    PIN = 0x80
    PUK = 0x81
    BIOMETRIC = 0x96  # primary finger, on-card comparison
    MANAGEMENT_KEY = 0x9B


class Slot(IntEnum):
    """Key references of asymmetric keys; retired ones are 82 to 95, f9 is the maker's."""

    AUTHENTICATION = 0x9A
    SIGNATURE = 0x9C
    KEY_MANAGEMENT = 0x9D
    CARD_AUTHENTICATION = 0x9E
    ATTESTATION = 0xF9


STANDARD_SLOTS = frozenset(
    {Slot.AUTHENTICATION, Slot.SIGNATURE, Slot.KEY_MANAGEMENT, Slot.CARD_AUTHENTICATION}
)
RETIRED_SLOTS = frozenset(range(0x82, 0x96))
USER_SLOTS: frozenset[int] = STANDARD_SLOTS | RETIRED_SLOTS
NO_SLOT = 0xFF  # the destination of MOVE KEY that deletes


class Algorithm(IntEnum):
    """Asymmetric algorithms (SP 800-78-4, table 6-2; 3072 and above, Ed25519, X25519: maker)."""

    RSA3072 = 0x05
    RSA1024 = 0x06
    RSA2048 = 0x07
    P256 = 0x11
    P384 = 0x14
    RSA4096 = 0x16
    ED25519 = 0xE0
    X25519 = 0xE1


RSA_BITS = {
    Algorithm.RSA1024: 1024,
    Algorithm.RSA2048: 2048,
    Algorithm.RSA3072: 3072,
    Algorithm.RSA4096: 4096,
}


class Cipher(IntEnum):
    """Algorithms of the management key (SP 800-78-4, table 6-2)."""

    TDES = 0x03
    AES128 = 0x08
    AES192 = 0x0A
    AES256 = 0x0C


CIPHER_TDES_ALIAS = 0x00  # "3 Key Triple DES - ECB" too
CIPHER_KEY_SIZE = {Cipher.TDES: 24, Cipher.AES128: 16, Cipher.AES192: 24, Cipher.AES256: 32}


class PinPolicy(IntEnum):
    """When a key wants the PIN (maker, tag AA). MATCH: a fingerprint will do instead."""

    DEFAULT = 0x00
    NEVER = 0x01
    ONCE = 0x02
    ALWAYS = 0x03
    MATCH_ONCE = 0x04
    MATCH_ALWAYS = 0x05


class TouchPolicy(IntEnum):
    """When a key wants a touch (maker, tag AB)."""

    DEFAULT = 0x00
    NEVER = 0x01
    ALWAYS = 0x02
    CACHED = 0x03


TOUCH_CACHED_FOR = 15.0  # seconds


class Origin(IntEnum):
    """Where a key comes from (maker, metadata tag 03)."""

    GENERATED = 0x01
    IMPORTED = 0x02


class Tag(IntEnum):
    """Tags of command and response data."""

    WITNESS = 0x80  # SP 800-73-4 part 2, table 7: dynamic authentication template
    CHALLENGE = 0x81
    RESPONSE = 0x82
    EXPONENTIATION = 0x85
    DYNAMIC_AUTHENTICATION = 0x7C
    OBJECT_ID = 0x5C
    OBJECT_DATA = 0x53
    DISCOVERY = 0x7E
    BIOMETRIC_GROUP = 0x7F61
    GENERATE_TEMPLATE = 0xAC  # SP 800-73-4 part 2, 3.3.2
    GENERATE_ALGORITHM = 0x80
    PUBLIC_KEY = 0x7F49  # table 11
    MODULUS = 0x81
    EXPONENT = 0x82
    POINT = 0x86
    PIN_POLICY = 0xAA
    TOUCH_POLICY = 0xAB
    CERTIFICATE = 0x70  # SP 800-73-4 part 1, table 10
    CERTIFICATE_INFO = 0x71
    ERROR_DETECTION = 0xFE


def tlv(tag: int, value: bytes = b"") -> bytes:
    """One BER-TLV with the shortest length (ISO/IEC 7816-4, 5.2.2). Values up to 65,535 bytes."""
    head = tag.to_bytes((tag.bit_length() + 7) // 8 or 1)
    size = len(value)
    if size < 0x80:
        return head + bytes([size]) + value
    if size < 0x100:
        return head + bytes([0x81, size]) + value
    return head + b"\x82" + size.to_bytes(2) + value


def read_tlvs(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The BER-TLVs that `data` is made of, as tag and value. Raises `Refusal` 6A80 for any rest."""
    place = 0
    while place < len(data):
        start = place
        place += 1
        if data[start] & 0x1F == 0x1F:  # the tag goes on while bit 8 is set
            while place < len(data) and data[place] & 0x80:
                place += 1
            place += 1
        tag = int.from_bytes(data[start:place])
        if place >= len(data):
            raise Refusal(SW.INCORRECT_PARAMETERS)
        size = data[place]
        place += 1
        if size >= 0x80:
            count = size & 0x7F
            if not 1 <= count <= 3 or place + count > len(data):
                raise Refusal(SW.INCORRECT_PARAMETERS)
            size = int.from_bytes(data[place : place + count])
            place += count
        if place + size > len(data):
            raise Refusal(SW.INCORRECT_PARAMETERS)
        yield tag, data[place : place + size]
        place += size


def read_template(tag: int, data: bytes) -> dict[int, bytes]:
    """The content of the one template `tag` that `data` is. Raises `Refusal` 6A80."""
    outer = list(read_tlvs(data))
    if len(outer) != 1 or outer[0][0] != tag:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    return read_distinct(outer[0][1])


def read_distinct(data: bytes) -> dict[int, bytes]:
    """TLVs by tag. Raises `Refusal` 6A80 for a tag that comes twice."""
    values: dict[int, bytes] = {}
    for tag, value in read_tlvs(data):
        if tag in values:
            raise Refusal(SW.INCORRECT_PARAMETERS)
        values[tag] = value
    return values
