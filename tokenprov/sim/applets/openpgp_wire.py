"""What OpenPGP card commands are made of: instructions, tags, key slots and their templates.

Values from the "Functional Specification of the OpenPGP application on ISO Smart Card Operating
Systems", version 3.4 (below: OPGP), chapters 4.4 and 7.2, and, where marked so, the maker's own
(yubikit's OpenPGP session; "OpenPGP Attestation", developers.yubico.com/PGP).
"""

from __future__ import annotations

from enum import IntEnum

from tokenprov.sim.apdu import SW, Refusal
from tokenprov.sim.applets.piv_wire import read_distinct, read_tlvs

AID = bytes.fromhex("d27600012401")  # OPGP 4.2.1: RID of FSF Europe, application 1
MANUFACTURER = 0x0006  # Yubico, in the list of manufacturers that GnuPG keeps
TOUCH_CACHED_FOR = 15.0  # seconds (maker, "touch policy: cached")


class Instruction(IntEnum):
    """INS of the specification (OPGP 7.2) and, from F1, of the maker."""

    VERIFY = 0x20
    CHANGE_REFERENCE_DATA = 0x24
    PERFORM_SECURITY_OPERATION = 0x2A
    RESET_RETRY_COUNTER = 0x2C
    ACTIVATE_FILE = 0x44
    GENERATE_ASYMMETRIC_KEY_PAIR = 0x47
    GET_CHALLENGE = 0x84
    INTERNAL_AUTHENTICATE = 0x88
    SELECT_DATA = 0xA5
    GET_DATA = 0xCA
    GET_NEXT_DATA = 0xCC
    PUT_DATA = 0xDA
    IMPORT_KEY = 0xDB  # PUT DATA with the extended header list 4D
    TERMINATE_DF = 0xE6
    GET_VERSION = 0xF1
    SET_PIN_RETRIES = 0xF2
    ATTEST = 0xFB


class Status(IntEnum):
    """Status words of this application alone (OPGP 7.2, "Status bytes")."""

    TERMINATED = 0x6285
    NOT_ACKNOWLEDGED = 0x6600  # the user did not touch


class Reference(IntEnum):
    """P2 of the password commands (OPGP 7.2.2)."""

    SIGN = 0x81  # PW1 for PSO: COMPUTE DIGITAL SIGNATURE
    USER = 0x82  # PW1 for everything else
    ADMIN = 0x83  # PW3


class Slot(IntEnum):
    """Key references (OPGP 4.4.1, DO DE); the attestation key is the maker's."""

    SIG = 0x01
    DEC = 0x02
    AUT = 0x03
    ATT = 0x81


class Origin(IntEnum):
    """Key information (OPGP 4.4.1, DO DE)."""

    ABSENT = 0x00
    GENERATED = 0x01
    IMPORTED = 0x02


class Uif(IntEnum):
    """User interaction flag (OPGP 4.4.3.6); the cached ones are the maker's."""

    OFF = 0x00
    ON = 0x01
    FIXED = 0x02
    CACHED = 0x03
    CACHED_FIXED = 0x04

    @property
    def is_fixed(self) -> bool:
        """Whether it stays until the key goes."""
        return self in (Uif.FIXED, Uif.CACHED_FIXED)

    @property
    def is_cached(self) -> bool:
        """Whether one touch counts for a while."""
        return self in (Uif.CACHED, Uif.CACHED_FIXED)


class Tag(IntEnum):
    """Tags of data objects (OPGP 4.4.1 and 4.4.2), and inside of templates."""

    AID = 0x4F
    NAME = 0x5B
    LOGIN = 0x5E
    LANGUAGE = 0x5F2D
    SEX = 0x5F35
    URL = 0x5F50
    HISTORICAL_BYTES = 0x5F52
    CARDHOLDER = 0x65
    APPLICATION = 0x6E
    DISCRETIONARY = 0x73
    SECURITY_SUPPORT = 0x7A
    SIGNATURE_COUNTER = 0x93
    PRIVATE_1 = 0x0101
    PRIVATE_2 = 0x0102
    PRIVATE_3 = 0x0103
    PRIVATE_4 = 0x0104
    CERTIFICATE = 0x7F21
    EXTENDED_LENGTH = 0x7F66
    FEATURE_MANAGEMENT = 0x7F74
    EXTENDED_CAPABILITIES = 0xC0
    ATTRIBUTES_SIG = 0xC1
    ATTRIBUTES_DEC = 0xC2
    ATTRIBUTES_AUT = 0xC3
    PASSWORD_STATUS = 0xC4
    FINGERPRINTS = 0xC5
    CA_FINGERPRINTS = 0xC6
    FINGERPRINT_SIG = 0xC7
    FINGERPRINT_DEC = 0xC8
    FINGERPRINT_AUT = 0xC9
    CA_FINGERPRINT_1 = 0xCA
    CA_FINGERPRINT_2 = 0xCB
    CA_FINGERPRINT_3 = 0xCC
    TIMES = 0xCD
    TIME_SIG = 0xCE
    TIME_DEC = 0xCF
    TIME_AUT = 0xD0
    RESETTING_CODE = 0xD3
    UIF_SIG = 0xD6
    UIF_DEC = 0xD7
    UIF_AUT = 0xD8
    UIF_ATT = 0xD9  # maker, as all of the attestation key's
    ATTRIBUTES_ATT = 0xDA
    FINGERPRINT_ATT = 0xDB
    CA_FINGERPRINT_4 = 0xDC
    TIME_ATT = 0xDD
    KEY_INFORMATION = 0xDE
    KDF = 0xF9
    ALGORITHM_INFORMATION = 0xFA
    ATTESTATION_CERTIFICATE = 0xFC
    INTEGER = 0x02  # in 7F66
    FEATURES = 0x81  # in 7F74
    CRT_SIGNATURE = 0xB6  # OPGP 7.2.14: control reference templates
    CRT_CONFIDENTIALITY = 0xB8
    CRT_AUTHENTICATION = 0xA4
    KEY_REFERENCE = 0x84
    PUBLIC_KEY = 0x7F49
    MODULUS = 0x81
    EXPONENT = 0x82
    POINT = 0x86
    CIPHER = 0xA6  # OPGP 7.2.11: cipher DO of ECDH
    EXTENDED_HEADER_LIST = 0x4D  # OPGP 4.4.3.12: private key template
    PRIVATE_KEY_LENGTHS = 0x7F48
    PRIVATE_KEY_DATA = 0x5F48
    GENERAL_REFERENCE = 0x60  # OPGP 7.2.5: SELECT DATA
    TAG_LIST = 0x5C


class PrivatePart(IntEnum):
    """Tags in the cardholder private key template (OPGP 4.4.3.12)."""

    EXPONENT = 0x91
    PRIME_P = 0x92  # of an elliptic curve: the private key
    PRIME_Q = 0x93
    COEFFICIENT = 0x94
    EXPONENT_P = 0x95
    EXPONENT_Q = 0x96
    MODULUS = 0x97
    PUBLIC_POINT = 0x99


ATTRIBUTES: dict[int, Slot] = {
    Tag.ATTRIBUTES_SIG: Slot.SIG,
    Tag.ATTRIBUTES_DEC: Slot.DEC,
    Tag.ATTRIBUTES_AUT: Slot.AUT,
    Tag.ATTRIBUTES_ATT: Slot.ATT,
}
FINGERPRINTS: dict[int, Slot] = {
    Tag.FINGERPRINT_SIG: Slot.SIG,
    Tag.FINGERPRINT_DEC: Slot.DEC,
    Tag.FINGERPRINT_AUT: Slot.AUT,
    Tag.FINGERPRINT_ATT: Slot.ATT,
}
TIMES: dict[int, Slot] = {
    Tag.TIME_SIG: Slot.SIG,
    Tag.TIME_DEC: Slot.DEC,
    Tag.TIME_AUT: Slot.AUT,
    Tag.TIME_ATT: Slot.ATT,
}
UIFS: dict[int, Slot] = {
    Tag.UIF_SIG: Slot.SIG,
    Tag.UIF_DEC: Slot.DEC,
    Tag.UIF_AUT: Slot.AUT,
    Tag.UIF_ATT: Slot.ATT,
}
CA_FINGERPRINTS = (
    Tag.CA_FINGERPRINT_1,
    Tag.CA_FINGERPRINT_2,
    Tag.CA_FINGERPRINT_3,
    Tag.CA_FINGERPRINT_4,
)
_TEMPLATES: dict[int, Slot] = {
    Tag.CRT_SIGNATURE: Slot.SIG,
    Tag.CRT_CONFIDENTIALITY: Slot.DEC,
    Tag.CRT_AUTHENTICATION: Slot.AUT,
}


def read_slot(tag: int, content: bytes) -> Slot:
    """The key that a control reference template names. Raises `Refusal` 6A80 when it is none."""
    slot = _TEMPLATES.get(tag)
    if slot is None:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    fields = read_distinct(content)
    named = fields.pop(Tag.KEY_REFERENCE, bytes([slot]))
    if fields:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    if slot is Slot.SIG and named == bytes([Slot.ATT]):
        return Slot.ATT
    if named != bytes([slot]):
        raise Refusal(SW.INCORRECT_PARAMETERS)
    return slot


def read_private_parts(data: bytes) -> tuple[Slot, dict[int, bytes]]:
    """Slot and parts of an extended header list 4D. Raises `Refusal` 6A80 for any other."""
    outer = list(read_tlvs(data))
    if len(outer) != 1 or outer[0][0] != Tag.EXTENDED_HEADER_LIST:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    inner = list(read_tlvs(outer[0][1]))
    if [tag for tag, _ in inner[1:]] != [Tag.PRIVATE_KEY_LENGTHS, Tag.PRIVATE_KEY_DATA]:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    slot = read_slot(*inner[0])
    lengths, content = inner[1][1], inner[2][1]
    parts: dict[int, bytes] = {}
    place = 0
    while lengths:
        size, used = _read_length(lengths[1:])
        if lengths[0] in parts or place + size > len(content):
            raise Refusal(SW.INCORRECT_PARAMETERS)
        parts[lengths[0]] = content[place : place + size]
        place += size
        lengths = lengths[1 + used :]
    if place != len(content):
        raise Refusal(SW.INCORRECT_PARAMETERS)
    return slot, parts


def _read_length(data: bytes) -> tuple[int, int]:
    """A BER length at the start of `data`, and the bytes that it takes."""
    if not data:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    if data[0] < 0x80:
        return data[0], 1
    count = data[0] & 0x7F
    if not 1 <= count <= 2 or len(data) < 1 + count:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    return int.from_bytes(data[1 : 1 + count]), 1 + count
