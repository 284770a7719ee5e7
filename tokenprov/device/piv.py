"""PIV of a token that speaks the maker's dialect of SP 800-73-4, over yubikit's session.

What the firmware should have and this token lacks is met with the standard's means: no metadata
means an empty VERIFY for the tries, an attestation or a refused signature for a key, and asking for
a witness per algorithm for the management key's.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from yubikit.core import BadResponseError, NotSupportedError
from yubikit.core.smartcard import AID, ApduError, SmartCardConnection
from yubikit.piv import (
    KEY_TYPE,
    MANAGEMENT_KEY_TYPE,
    OBJECT_ID,
    PIN_POLICY,
    SLOT,
    TOUCH_POLICY,
    PinMetadata,
)

from tokenprov.device.piv_certificate import certificate_in
from tokenprov.device.piv_memory import RememberingSession
from tokenprov.device.translate import (
    counts_tries,
    generating,
    is_absent,
    is_missing,
    translated,
    tries_left,
)
from tokenprov.errors import AuthenticationFailed, NotSupported, TokenRefused
from tokenprov.token import KeyState, Tries
from tokenprov.token.piv import PrivateKey

INS_VERIFY = 0x20  # SP 800-73-4 part 2, 3.2.1
REF_PIN = 0x80  # part 1, table 4b
BIOMETRICS_SINCE = (5, 6, 0)  # firmware of the YubiKey Bio Multi-protocol edition


class Piv:
    """Implements `token.PivApplet`."""

    has_extensions = True

    def __init__(self, connection: SmartCardConnection) -> None:
        with translated("selecting PIV"):
            self._session = RememberingSession(connection)
            if not self._session.has_metadata:
                self._session.find_management_key_type()
        self._authenticated = False
        self._pin_verified = False
        self._attesting: bytes | None = None  # f9's certificate: nothing here changes it

    def left(self) -> None:
        """Another applet was selected: what PIN and key opened is closed."""
        self._authenticated = self._pin_verified = False

    @property
    def version(self) -> tuple[int, int, int]:
        """The applet's own version, which need not be the firmware's."""
        major, minor, patch = self._session.version
        return major, minor, patch

    @property
    def management_key_type(self) -> MANAGEMENT_KEY_TYPE:
        """The algorithm that the management key has now."""
        return self._session.management_key_type

    @property
    def authenticated(self) -> bool:
        """Whether the management key was authenticated in this session."""
        return self._authenticated

    @property
    def pin_verified(self) -> bool:
        """Whether the PIN was verified in this session."""
        return self._pin_verified

    def serial(self) -> str | None:
        """The serial, decimal; None where the applet gives none, or keeps it to itself."""
        try:
            with translated("reading the serial"):
                return str(self._session.get_serial() or "") or None
        except (NotSupported, TokenRefused):
            return None

    # Reference data

    def pin_tries(self) -> Tries:
        """Tries of the PIN; without metadata the session starts anew for it."""
        with translated("reading the PIN's tries"):
            try:
                return _tries(self._session.get_pin_metadata())
            except NotSupportedError:
                self._session.protocol.select(AID.PIV)
                self.left()
            try:
                self._session.protocol.send_apdu(0, INS_VERIFY, 0, REF_PIN)
            except ApduError as error:
                if not counts_tries(error.sw):
                    raise
                return Tries(remaining=tries_left(error.sw), total=None, is_default=None)
            return Tries(remaining=None, total=None, is_default=None)

    def puk_tries(self) -> Tries:
        """Tries of the PUK, which the standard has no command to ask for."""
        with translated("reading the PUK's tries"):
            try:
                return _tries(self._session.get_puk_metadata())
            except NotSupportedError:
                return Tries(remaining=None, total=None, is_default=None)

    def management_key_is_default(self) -> bool | None:
        """Whether it is the factory's; None where the token does not say."""
        with translated("reading the management key's metadata"):
            try:
                return self._session.get_management_key_metadata().default_value
            except NotSupportedError:
                return None

    def management_key_touch(self) -> bool | None:
        """Whether its use waits for a touch; None where the token does not say."""
        with translated("reading the management key's metadata"):
            try:
                metadata = self._session.get_management_key_metadata()
                return metadata.touch_policy is not TOUCH_POLICY.NEVER
            except NotSupportedError:
                return None

    def has_fingerprints(self) -> bool:
        """Whether there is a fingerprint reader; older firmware has none."""
        if self.version < BIOMETRICS_SINCE:
            return False
        with translated("asking for a fingerprint reader"):
            try:
                return self._session.get_bio_metadata() is not None
            except NotSupportedError:
                return False

    def authenticate(self, key: bytes) -> None:
        """Mutual authentication with the management key."""
        if len(key) != self.management_key_type.key_len:
            raise _wrong_management_key()
        with translated("authenticating with the management key"):
            try:
                self._session.authenticate(key)
            except (ApduError, BadResponseError) as error:
                if isinstance(error, ApduError) and is_missing(error.sw):
                    raise
                raise _wrong_management_key() from error
        self._authenticated = True

    def verify_pin(self, pin: str) -> None:
        """Spends a try when it is wrong."""
        with translated("verifying the PIN"):
            self._session.verify_pin(pin)
        self._pin_verified = True

    def change_pin(self, old: str, new: str) -> None:
        """Spends a try when the old one is wrong."""
        with translated("changing the PIN"):
            self._session.change_pin(old, new)

    def change_puk(self, old: str, new: str) -> None:
        """Spends a try when the old one is wrong."""
        with translated("changing the PUK"):
            self._session.change_puk(old, new)

    def unblock_pin(self, puk: str, new: str) -> None:
        """Spends a try of the PUK when that is wrong."""
        with translated("unblocking the PIN"):
            self._session.unblock_pin(puk, new)

    def set_tries(self, pin: int, puk: int) -> None:
        """Set both totals; PIN and PUK go back to the factory's."""
        with translated("setting the tries"):
            self._session.set_pin_attempts(pin, puk)
        self._pin_verified = False

    def set_management_key(
        self, algorithm: MANAGEMENT_KEY_TYPE, key: bytes, *, touch: bool = False
    ) -> None:
        """Replace the management key, in one command."""
        with translated("setting the management key"):
            self._session.set_management_key(algorithm, key, touch)

    # Keys

    def key(self, slot: SLOT) -> KeyState | None:
        """By metadata, or by attestation, or by whether a signature is refused for want of PIN."""
        with translated(f"reading the key in {slot:02x}"):
            try:
                data = self._session.get_slot_metadata(slot)
            except NotSupportedError:
                return self._key_without_metadata(slot)
            except ApduError as error:
                if is_absent(error.sw):
                    return None
                raise
            return KeyState(
                public_key=_spki(data.public_key),
                algorithm=data.key_type,
                pin_policy=data.pin_policy,
                touch_policy=data.touch_policy,
                generated=data.generated,
            )

    def _key_without_metadata(self, slot: SLOT) -> KeyState | None:
        try:
            public_key = self._session.attest_key(slot).public_key()
        except (NotSupportedError, ApduError):
            if self._session.holds_key(slot):
                raise NotSupportedError("a key that cannot be read") from None
            return None
        return KeyState(
            public_key=_spki(public_key),
            algorithm=KEY_TYPE.from_public_key(public_key),
            pin_policy=None,
            touch_policy=None,
            generated=True,
        )

    def generate_key(
        self, slot: SLOT, algorithm: KEY_TYPE, pin: PIN_POLICY, touch: TOUCH_POLICY
    ) -> bytes:
        """Generate, overwriting; the caller has looked."""
        with generating(slot, algorithm):
            return _spki(self._session.generate_key(slot, algorithm, pin, touch))

    def import_key(self, slot: SLOT, key: PrivateKey, pin: PIN_POLICY, touch: TOUCH_POLICY) -> None:
        """Import, overwriting; the caller has looked."""
        with translated(f"importing a key into {slot:02x}"):
            self._session.put_key(slot, key, pin, touch)

    def attest(self, slot: SLOT) -> tuple[bytes, bytes]:
        """The key's attestation and f9's certificate, which signed it."""
        with translated(f"attesting the key in {slot:02x}"):
            leaf = self._session.attest_key(slot)
            if self._attesting is None:
                issuer = self._session.get_certificate(SLOT.ATTESTATION)
                self._attesting = issuer.public_bytes(Encoding.DER)
            return leaf.public_bytes(Encoding.DER), self._attesting

    def sign(self, slot: SLOT, algorithm: KEY_TYPE, message: bytes) -> bytes:
        """A signature as X.509 has it for that algorithm."""
        hashing = hashes.SHA384() if algorithm is KEY_TYPE.ECCP384 else hashes.SHA256()
        with translated(f"signing with the key in {slot:02x}"):
            return self._session.sign(slot, algorithm, message, hashing, padding.PKCS1v15())

    def exchange(self, slot: SLOT, point: bytes) -> bytes:
        """ECDH on P-256 with an uncompressed point: its x coordinate."""
        peer = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
        with translated(f"opening with the key in {slot:02x}"):
            return self._session.calculate_secret(slot, peer)

    # Objects

    def object(self, object_id: int) -> bytes | None:
        """The object's value; an empty one counts as absent (SP 800-73-4 part 2, 3.3.2)."""
        with translated(f"reading object {object_id:06x}"):
            try:
                return self._session.get_object(object_id) or None
            except ApduError as error:
                if is_absent(error.sw):
                    return None
                raise

    def put_object(self, object_id: int, data: bytes) -> None:
        """Write an object; needs the management key."""
        with translated(f"writing object {object_id:06x}"):
            self._session.put_object(object_id, data)

    def certificate(self, slot: SLOT) -> bytes | None:
        """The certificate, DER, uncompressed; bytes that are none are given as they are."""
        value = self.object(OBJECT_ID.from_slot(slot))
        return None if value is None else certificate_in(value) or None

    def put_certificate(
        self, slot: SLOT, certificate: x509.Certificate, *, compress: bool = False
    ) -> None:
        """Write a certificate; needs the management key."""
        with translated(f"writing the certificate in {slot:02x}"):
            self._session.put_certificate(slot, certificate, compress)


def _tries(metadata: PinMetadata) -> Tries:
    return Tries(
        remaining=metadata.attempts_remaining,
        total=metadata.total_attempts,
        is_default=metadata.default_value,
    )


def _spki(public_key: object) -> bytes:
    return public_key.public_bytes(  # type: ignore[attr-defined, no-any-return]  # any key type
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )


def _wrong_management_key() -> AuthenticationFailed:
    return AuthenticationFailed(
        "authenticating with the management key: refused",
        remedy="The token holds a management key that is not ours; use another token.",
    )
