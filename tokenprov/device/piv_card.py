"""PIV of a card that knows SP 800-73-4 and nothing else: not one command of any maker.

Rules:
- What the standard has no command for (tries, the management key, attestation, metadata) is
  `NotSupported`, and nothing is sent for it.
- Whether a slot holds a key is asked by a signature: a key answers, or says that security is
  missing. An accident at that says nothing, so it is asked again; one that stays is the card's way
  to say no. What its public half is, the card never tells again: a certificate beside it may.
- An empty slot and an object are asked for once, until they are written: nobody else writes on an
  exclusive connection.
- PIN and management key are 9B's and 80's of this application; a Global PIN is never tried.
"""

from __future__ import annotations

from cryptography import x509
from yubikit.core import BadResponseError, Tlv
from yubikit.core.smartcard import ApduError
from yubikit.piv import (
    KEY_TYPE,
    MANAGEMENT_KEY_TYPE,
    OBJECT_ID,
    PIN_POLICY,
    SLOT,
    TOUCH_POLICY,
)

from tokenprov.device.iso7816 import Exchange
from tokenprov.device.piv_card_identity import serial_of
from tokenprov.device.piv_card_keys import PROBES, public_key, signature_input
from tokenprov.device.piv_card_management import ManagementKey
from tokenprov.device.piv_certificate import certificate_in, certificate_object, fields_of
from tokenprov.device.translate import (
    KEY_IS_THERE,
    counts_tries,
    generating,
    is_absent,
    is_accident,
    is_missing,
    translated,
    tries_left,
)
from tokenprov.errors import NotSupported, TokenRefused, TokenReset
from tokenprov.token import KeyState, Tries
from tokenprov.token.piv import PrivateKey

INS_SELECT, INS_VERIFY, INS_CHANGE = 0xA4, 0x20, 0x24  # part 2, 3.1.1, 3.2.1, 3.2.2
INS_RESET_RETRY_COUNTER = 0x2C  # part 2, 3.2.3
INS_AUTHENTICATE, INS_GENERATE = 0x87, 0x47  # part 2, 3.2.4, 3.3.2
INS_GET_DATA, INS_PUT_DATA = 0xCB, 0xDB  # part 2, 3.1.2, 3.3.1
BY_NAME, CURRENT_APPLICATION = 0x04, (0x3F, 0xFF)
FORGET = 0xFF  # P1 of VERIFY: the PIN counts as not verified (3.2.1)
REF_PIN, REF_PUK = 0x80, 0x81  # part 1, table 4b

AID = bytes.fromhex("a000000308000010000100")  # part 1, 2.2
AIDS = (AID[:9], AID)  # without its version, as 2.2 allows, then whole
PIN_SIZE, PADDING = 8, b"\xff"  # part 2, 2.4.3

TAG_DYNAMIC, TAG_CHALLENGE, TAG_RESPONSE = 0x7C, 0x81, 0x82  # part 2, table 7
TAG_EXPONENTIATION = 0x85
TAG_OBJECT_ID, TAG_OBJECT = 0x5C, 0x53
TAG_TEMPLATE, TAG_ALGORITHM = 0xAC, 0x80  # part 2, 3.3.2
DISCOVERY, TAG_PIN_USAGE, PIV_PIN_COUNTS = 0x7E, 0x5F2F, 0x40  # part 1, 3.3.2


class PivCardApplet:
    """Implements `token.PivApplet`."""

    version = (0, 0, 0)  # the standard has no command that tells one
    has_extensions = False

    def __init__(self, exchange: Exchange) -> None:
        """Raises `NotSupported` where there is no PIV, or none that a PIN of its own opens."""
        self._exchange = exchange
        self._select()
        self._management = ManagementKey(exchange)
        self._pin_verified = False
        self._tries: int | None = None  # of the PIN, as the card said last
        self._empty: set[SLOT] = set()  # slots that were seen without a key
        self._objects: dict[int, bytes | None] = {}  # as they were read
        self._check_pin_usage()

    def _select(self) -> None:
        for aid in AIDS:
            try:
                self._exchange.send(INS_SELECT, BY_NAME, 0, aid, answers=True)
            except ApduError:  # whatever the reason: cards differ
                continue
            return
        raise NotSupported(
            "this card is neither a YubiKey nor a PIV card, nor has it FIDO2",
            remedy="If its maker gives a PKCS#11 module for it, use a profile with [pkcs11].",
        )

    def _check_pin_usage(self) -> None:
        """By the discovery object, which a card need not have, nor show here."""
        try:
            content = self.object(DISCOVERY)
        except (TokenRefused, TokenReset):
            return
        if content is None:
            return
        usage = fields_of(content).get(TAG_PIN_USAGE, b"")
        if usage and not usage[0] & PIV_PIN_COUNTS:
            raise NotSupported(
                "the card's discovery object says that its PIV PIN opens nothing",
                remedy="Have its maker set the PIN usage policy (SP 800-73-4 part 1, 3.3.2), or"
                " use another card.",
            )

    @property
    def authenticated(self) -> bool:
        """Whether the management key was authenticated in this session."""
        return self._management.authenticated

    @property
    def pin_verified(self) -> bool:
        """Whether the PIN was verified in this session."""
        return self._pin_verified

    @property
    def management_key_type(self) -> MANAGEMENT_KEY_TYPE:
        """The algorithm that the card answers to. `NotSupported` where it answers to none."""
        return self._management.algorithm

    def serial(self) -> str | None:
        """By the CHUID; None where that names no card."""
        chuid = self.object(OBJECT_ID.CHUID)
        return None if chuid is None else serial_of(chuid)

    # Reference data

    def pin_tries(self) -> Tries:
        """By an empty VERIFY, which tells nothing while the PIN is verified: then as last told."""
        with translated("reading the PIN's tries"):
            try:
                self._exchange.send(INS_VERIFY, 0, REF_PIN)
            except ApduError as error:
                if counts_tries(error.sw):
                    self._tries = tries_left(error.sw)
            return Tries(remaining=self._tries, total=None, is_default=None)

    def puk_tries(self) -> Tries:
        """The standard has no command to ask for them."""
        return Tries(remaining=None, total=None, is_default=None)

    def management_key_is_default(self) -> bool | None:
        """No card tells."""
        return None

    def management_key_touch(self) -> bool | None:
        """No card waits for a touch, and none tells."""
        return None

    def has_fingerprints(self) -> bool:
        """Not for what this program sets."""
        return False

    def authenticate(self, key: bytes) -> None:
        """By whatever of the card's algorithms has keys of that length."""
        self._management.authenticate(key)

    def verify_pin(self, pin: str) -> None:
        """Spends a try when it is wrong."""
        self._pin_verified = False
        with translated("verifying the PIN"):
            self._exchange.send(INS_VERIFY, 0, REF_PIN, _padded(pin))
        self._pin_verified = True

    def change_pin(self, old: str, new: str) -> None:
        """Spends a try when the old one is wrong."""
        with translated("changing the PIN"):
            self._exchange.send(INS_CHANGE, 0, REF_PIN, _padded(old) + _padded(new))

    def change_puk(self, old: str, new: str) -> None:
        """Spends a try when the old one is wrong."""
        with translated("changing the PUK"):
            self._exchange.send(INS_CHANGE, 0, REF_PUK, _padded(old) + _padded(new))

    def unblock_pin(self, puk: str, new: str) -> None:
        """Spends a try of the PUK when that is wrong."""
        with translated("unblocking the PIN"):
            data = _padded(puk) + _padded(new)
            self._exchange.send(INS_RESET_RETRY_COUNTER, 0, REF_PIN, data)

    def set_tries(self, pin: int, puk: int) -> None:
        """The standard has no command for it."""
        raise _beyond("setting the tries of PIN and PUK")

    def set_management_key(
        self, algorithm: MANAGEMENT_KEY_TYPE, key: bytes, *, touch: bool = False
    ) -> None:
        """The standard has no command for it."""
        raise _beyond("changing the management key")

    # Keys

    def key(self, slot: SLOT) -> KeyState | None:
        """None for an empty slot; `NotSupported` for a key, as the card does not show it."""
        if slot not in self._empty and self._holds_key(slot):
            raise _beyond(f"reading the key in {slot:02x}")
        self._empty.add(slot)
        return None

    def _holds_key(self, slot: SLOT) -> bool:
        return any(self._answers_as(slot, algorithm) for algorithm in PROBES)

    def _answers_as(self, slot: SLOT, algorithm: KEY_TYPE, *, again: bool = True) -> bool:
        try:
            self._use_key(slot, algorithm, b"\0" * (PROBES[algorithm] - 1) + b"\1")
        except ApduError as error:
            if again and is_accident(error.sw):
                return self._answers_as(slot, algorithm, again=False)
            return error.sw in KEY_IS_THERE
        except BadResponseError:  # it did something, and says nothing that makes sense
            return True
        return True

    def generate_key(
        self, slot: SLOT, algorithm: KEY_TYPE, pin: PIN_POLICY, touch: TOUCH_POLICY
    ) -> bytes:
        """Generate, overwriting; the caller has looked. Only slots' own policies."""
        if pin is not PIN_POLICY.DEFAULT or touch is not TOUCH_POLICY.DEFAULT:
            raise _beyond(f"a policy for the key in {slot:02x}")
        self._empty.discard(slot)
        with generating(slot, algorithm):
            template = Tlv(TAG_TEMPLATE, Tlv(TAG_ALGORITHM, bytes([algorithm])))
            answer = self._exchange.send(INS_GENERATE, 0, slot, template, answers=True)
            return public_key(algorithm, answer)

    def import_key(self, slot: SLOT, key: PrivateKey, pin: PIN_POLICY, touch: TOUCH_POLICY) -> None:
        """The standard has no command for it."""
        raise _beyond(f"importing a key into {slot:02x}")

    def attest(self, slot: SLOT) -> tuple[bytes, bytes]:
        """The standard has no command for it."""
        raise _beyond(f"attesting the key in {slot:02x}")

    def sign(self, slot: SLOT, algorithm: KEY_TYPE, message: bytes) -> bytes:
        """A signature as X.509 has it for that algorithm."""
        if algorithm not in PROBES:
            raise _beyond(f"signing with a key of {algorithm.name} in {slot:02x}")
        with translated(f"signing with the key in {slot:02x}"):
            return self._use_key(slot, algorithm, signature_input(algorithm, message))

    def exchange(self, slot: SLOT, point: bytes) -> bytes:
        """ECDH on P-256 with an uncompressed point: its x coordinate."""
        with translated(f"opening with the key in {slot:02x}"):
            return self._use_key(slot, KEY_TYPE.ECCP256, point, TAG_EXPONENTIATION)

    def _use_key(
        self, slot: SLOT, algorithm: KEY_TYPE, challenge: bytes, tag: int = TAG_CHALLENGE
    ) -> bytes:
        body = Tlv(TAG_RESPONSE) + Tlv(tag, challenge)
        answer = self._exchange.send(
            INS_AUTHENTICATE, algorithm, slot, Tlv(TAG_DYNAMIC, body), answers=True
        )
        try:
            return Tlv.parse_dict(Tlv.unpack(TAG_DYNAMIC, answer))[TAG_RESPONSE]
        except (ValueError, KeyError, BadResponseError) as error:
            raise BadResponseError("no signature in the answer") from error

    # Objects

    def object(self, object_id: int) -> bytes | None:
        """The object's value; one that the card has no place for, or an empty one, is absent."""
        if object_id not in self._objects:
            self._objects[object_id] = self._read(object_id)
        return self._objects[object_id]

    def _read(self, object_id: int) -> bytes | None:
        identifier = object_id.to_bytes(1 if object_id == DISCOVERY else 3)
        with translated(f"reading object {object_id:06x}"):
            try:
                answer = self._exchange.send(
                    INS_GET_DATA, *CURRENT_APPLICATION, Tlv(TAG_OBJECT_ID, identifier), answers=True
                )
            except ApduError as error:
                if is_absent(error.sw) or is_missing(error.sw):
                    return None
                raise
            fields = fields_of(answer)
            return fields.get(DISCOVERY if object_id == DISCOVERY else TAG_OBJECT) or None

    def put_object(self, object_id: int, data: bytes) -> None:
        """Write an object; needs the management key."""
        self._objects.pop(object_id, None)
        with translated(f"writing object {object_id:06x}"):
            body = Tlv(TAG_OBJECT_ID, object_id.to_bytes(3)) + Tlv(TAG_OBJECT, data)
            self._exchange.send(INS_PUT_DATA, *CURRENT_APPLICATION, body)

    def certificate(self, slot: SLOT) -> bytes | None:
        """The certificate, DER, uncompressed; bytes that are none are given as they are.

        An object that is there with nothing in it is how cards are emptied, and holds none.
        """
        if slot is SLOT.ATTESTATION:  # a slot of one maker
            return None
        value = self.object(OBJECT_ID.from_slot(slot))
        return None if value is None else certificate_in(value) or None

    def put_certificate(
        self, slot: SLOT, certificate: x509.Certificate, *, compress: bool = False
    ) -> None:
        """Write a certificate; needs the management key."""
        self.put_object(OBJECT_ID.from_slot(slot), certificate_object(certificate, compress))


def _padded(value: str) -> bytes:
    return value.encode("ascii").ljust(PIN_SIZE, PADDING)


def _beyond(doing: str) -> NotSupported:
    return NotSupported(
        f"{doing}: SP 800-73-4 has no command for it",
        remedy="Use a YubiKey for it, or another profile.",
    )
