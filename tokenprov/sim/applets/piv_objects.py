"""Data objects of the PIV application: which there are, who may read them, how much fits.

Rules
- Everybody may read all but fingerprints, facial image, printed information and iris images,
  which want the PIN (SP 800-73-4 part 1, table 2).
- Objects are held in a 53 container; the discovery object and the biometric group template are
  their own container (SP 800-73-4 part 2, 3.1.2 and 3.3.1). An object written empty is gone.
- The discovery object is there from the factory and names the PIV PIN (part 1, 3.3.2).
- A standard card has the objects of the standard; a YubiKey keeps any of 5F0000 to 5FFFFF
  (Yubico SDK manual, "PIV data objects").
- An object holds about 3 KB, all together about 50 KB (`piv_features`); more is 6A84. The
  certificate of f9 has room of its own.
- A card of another maker comes with a CHUID: FASC-N, GUID and expiry (part 1, 3.1.2).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from functools import reduce

from tokenprov.sim.apdu import SW, Refusal
from tokenprov.sim.applets.piv_features import OBJECT_ENTRY, OBJECT_MAXIMUM, Features
from tokenprov.sim.applets.piv_wire import Tag, tlv


class ObjectId(IntEnum):
    """Object identifiers with a rule of their own (SP 800-73-4 part 1, table 3)."""

    DISCOVERY = 0x7E
    BIOMETRIC_GROUP = 0x7F61
    CARD_AUTHENTICATION_CERTIFICATE = 0x5FC101
    CHUID = 0x5FC102
    FINGERPRINTS = 0x5FC103
    FACIAL_IMAGE = 0x5FC108
    PRINTED_INFORMATION = 0x5FC109
    IRIS_IMAGES = 0x5FC121
    PAIRING_CODE = 0x5FC123
    ATTESTATION_CERTIFICATE = 0x5FFF01  # maker


PIN_PROTECTED = frozenset(
    {
        ObjectId.FINGERPRINTS,
        ObjectId.FACIAL_IMAGE,
        ObjectId.PRINTED_INFORMATION,
        ObjectId.IRIS_IMAGES,
    }
)
SELF_CONTAINED = frozenset({ObjectId.DISCOVERY, ObjectId.BIOMETRIC_GROUP})
_VENDOR_RANGE = range(0x5F0000, 0x600000)
_STANDARD_RANGE = range(ObjectId.CARD_AUTHENTICATION_CERTIFICATE, ObjectId.PAIRING_CODE + 1)

AID = bytes.fromhex("a000000308000010000100")  # SP 800-73-4 part 1, 2.2
# Tag 4F: AID; 5F2F: PIN usage policy, the PIV PIN alone (part 1, 3.3.2).
DISCOVERY_CONTENT = tlv(0x4F, AID) + tlv(0x5F2F, bytes.fromhex("4000"))

# CHUID (part 1, table 9): FASC-N, GUID, expiration date, issuer's signature, error detection.
_CHUID_FASC_N, _CHUID_GUID, _CHUID_EXPIRY, _CHUID_SIGNATURE = 0x30, 0x34, 0x35, 0x3E
_EXPIRY = b"20491231"


class Objects:
    """The data objects of one card, by identifier."""

    def __init__(self, features: Features) -> None:
        self._features = features
        self._content: dict[int, bytes] = {}

    def known(self, object_id: int) -> bool:
        """Whether this card has a place for such an object."""
        if object_id in SELF_CONTAINED:
            return True
        return object_id in (_VENDOR_RANGE if self._features.vendor else _STANDARD_RANGE)

    def get(self, object_id: int) -> bytes | None:
        """The content (without container), or None when it is absent."""
        if object_id == ObjectId.DISCOVERY:
            return self._content.get(object_id, DISCOVERY_CONTENT)
        return self._content.get(object_id)

    def put(self, object_id: int, content: bytes) -> None:
        """Write, or with nothing remove. Raises `Refusal` 6A84 when there is no room."""
        if not content:
            self._content.pop(object_id, None)
            return
        if len(content) > OBJECT_MAXIMUM:
            raise Refusal(SW.NO_SPACE)
        if object_id != ObjectId.ATTESTATION_CERTIFICATE:
            others = self._content.keys() - {object_id, ObjectId.ATTESTATION_CERTIFICATE}
            needed = len(content) + sum(len(self._content[other]) for other in others)
            if needed + (len(others) + 1) * OBJECT_ENTRY > self._features.object_space:
                raise Refusal(SW.NO_SPACE)
        self._content[object_id] = content

    def clear(self, keep: frozenset[int] = frozenset()) -> None:
        """Remove all objects but those to keep."""
        self._content = {key: value for key, value in self._content.items() if key in keep}

    def dump(self) -> dict[str, str]:
        """The lasting state."""
        return {f"{key:06x}": value.hex() for key, value in sorted(self._content.items())}

    def load(self, state: dict[str, str]) -> None:
        """Take the lasting state that `dump` gave."""
        self._content = {int(key, 16): bytes.fromhex(value) for key, value in state.items()}


def container(object_id: int, content: bytes) -> bytes:
    """The object as GET DATA gives it."""
    return tlv(object_id if object_id in SELF_CONTAINED else Tag.OBJECT_DATA, content)


def new_chuid(random: Callable[[int], bytes]) -> bytes:
    """The CHUID that a card of another maker is personalised with, unsigned."""
    credential = int.from_bytes(random(4)) % 1_000_000
    person = int.from_bytes(random(8)) % 10_000_000_000
    return (
        tlv(_CHUID_FASC_N, fasc_n(credential, person))
        + tlv(_CHUID_GUID, random(16))
        + tlv(_CHUID_EXPIRY, _EXPIRY)
        + tlv(_CHUID_SIGNATURE)
        + tlv(Tag.ERROR_DETECTION)
    )


def fasc_n(credential: int, person: int) -> bytes:
    """A FASC-N of a non-federal issuer: 25 bytes ("TIG SCEPACS" 2.2, 6.1 to 6.3).

    Forty characters of five bits: a decimal digit with the lowest bit first and odd parity.
    Agency and system code are those that SP 800-73-4 part 1, 3.1.2 gives to non-federal issuers.
    """
    start, separator, end = 0b11010, 0b10110, 0b11111
    symbols = [start]
    for digits in ("9999", "9999", f"{credential:06d}", "0", "1"):
        symbols += [_symbol(digit) for digit in digits] + [separator]
    # person identifier, organizational category, organization, association
    symbols += [_symbol(digit) for digit in f"{person:010d}1" + "9999" + "1"] + [end]
    symbols.append(reduce(lambda a, b: a ^ b, symbols))  # longitudinal redundancy check
    return int("".join(f"{symbol:05b}" for symbol in symbols), 2).to_bytes(25)


def _symbol(digit: str) -> int:
    bits = f"{int(digit):04b}"[::-1]
    return int(bits + ("0" if bits.count("1") % 2 else "1"), 2)
