"""OpenPGP over CCID, through yubikit's session.

It has a tag of its own for the language preferences and so reads none: the cardholder's data are
read and written here, by OPGP 4.4.1.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from yubikit.core import NotSupportedError, Tlv
from yubikit.core.smartcard import ApduError, SmartCardConnection
from yubikit.openpgp import (
    DO,
    INS,
    KEY_REF,
    OID,
    PIN_POLICY,
    RSA_SIZE,
    UIF,
    DiscretionaryDataObjects,
    PublicKey,
)

from tokenprov.device.openpgp_memory import RememberingSession
from tokenprov.device.translate import is_absent, translated
from tokenprov.errors import NotSupported
from tokenprov.token.openpgp import Cardholder

CLA_YUBICO = 0x80  # of the attestation command
OF_CARDHOLDER = (Cardholder.NAME, Cardholder.LANGUAGE)  # read within DO 65 (OPGP 4.4.1)


class OpenPgp:
    """Implements `token.OpenPgpApplet`."""

    def __init__(self, connection: SmartCardConnection) -> None:
        with translated("selecting OpenPGP"):
            self._session = RememberingSession(connection)
        self._admin_verified = False
        self._user_verified = False

    def left(self) -> None:
        """Another applet was selected: what the PINs opened is closed."""
        self._admin_verified = self._user_verified = False

    @property
    def version(self) -> tuple[int, int, int]:
        """The firmware's version."""
        major, minor, patch = self._session.version
        return major, minor, patch

    def state(self) -> DiscretionaryDataObjects:
        """From the application related data."""
        with translated("reading the state of OpenPGP"):
            return self._session.get_application_related_data().discretionary

    # Passwords

    @property
    def admin_verified(self) -> bool:
        """Whether the admin PIN was given in this session."""
        return self._admin_verified

    @property
    def user_verified(self) -> bool:
        """Whether the user PIN was given in this session."""
        return self._user_verified

    def verify_admin(self, pin: str) -> None:
        """Spends a try when it is wrong."""
        with translated("verifying the OpenPGP admin PIN"):
            self._session.verify_admin(pin)  # type: ignore[no-untyped-call]  # no types in yubikit
        self._admin_verified = True

    def verify_user(self, pin: str) -> None:
        """Spends a try when it is wrong."""
        with translated("verifying the OpenPGP user PIN"):
            self._session.verify_pin(pin)
        self._user_verified = True

    def change_admin(self, old: str, new: str) -> None:
        """In one command."""
        with translated("changing the OpenPGP admin PIN"):
            self._session.change_admin(old, new)
        self._admin_verified = False

    def change_user(self, old: str, new: str) -> None:
        """In one command."""
        with translated("changing the OpenPGP user PIN"):
            self._session.change_pin(old, new)
        self._user_verified = False

    def set_tries(self, user: int, reset: int, admin: int) -> None:
        """All three in one command; all tries are there again."""
        with translated("setting the OpenPGP tries"):
            self._session.set_pin_attempts(user, reset, admin)

    def set_reset_code(self, code: str) -> None:
        """Needs the admin PIN."""
        with translated("setting the OpenPGP reset code"):
            self._session.set_reset_code(code)

    def reset_user_pin(self, code: str, new: str) -> None:
        """Spends a try of the reset code when it is wrong."""
        with translated("using the OpenPGP reset code"):
            self._session.reset_pin(new, code)
        self._user_verified = False

    def set_signature_pin(self, policy: PIN_POLICY) -> None:
        """Needs the admin PIN."""
        with translated("setting the OpenPGP signature PIN policy"):
            self._session.set_signature_pin_policy(policy)

    # Data objects

    def cardholder(self, what: Cardholder) -> bytes:
        """Name and language stand in one object, the others by themselves."""
        with translated("reading the OpenPGP cardholder"):
            if what not in OF_CARDHOLDER:
                return self._session.get_data(DO(what.value))
            related = self._session.get_data(DO.CARDHOLDER_RELATED_DATA)
            found = Tlv.parse_dict(Tlv.unpack(DO.CARDHOLDER_RELATED_DATA, related))
            return bytes(found.get(what.value, b""))

    def put_cardholder(self, what: Cardholder, data: bytes) -> None:
        """Needs the admin PIN."""
        with translated("writing the OpenPGP cardholder"):
            tag = what.value
            self._session.protocol.send_apdu(0, INS.PUT_DATA, tag >> 8, tag & 0xFF, data)

    # Keys

    def public_key(self, slot: KEY_REF) -> PublicKey | None:
        """None where there is no key."""
        with translated("reading an OpenPGP key"):
            try:
                return self._session.get_public_key(slot)
            except ApduError as error:
                if is_absent(error.sw):
                    return None
                raise

    def generate(self, slot: KEY_REF, algorithm: RSA_SIZE | OID) -> PublicKey:
        """Sets the algorithm, which removes another key, and generates."""
        with translated(f"generating the OpenPGP key {slot.name}"):
            if isinstance(algorithm, RSA_SIZE):
                return self._session.generate_rsa_key(slot, algorithm)
            return self._session.generate_ec_key(slot, algorithm)

    def set_time(self, slot: KEY_REF, seconds: int) -> None:
        """Needs the admin PIN."""
        with translated("writing an OpenPGP key's time"):
            self._session.set_generation_time(slot, seconds)

    def set_fingerprint(self, slot: KEY_REF, fingerprint: bytes) -> None:
        """Needs the admin PIN."""
        with translated("writing an OpenPGP key's fingerprint"):
            self._session.put_data(slot.fingerprint_do, fingerprint)

    def set_touch(self, slot: KEY_REF, touch: UIF) -> None:
        """Needs the admin PIN; refused where one is fixed."""
        with translated("setting an OpenPGP key's touch policy"):
            self._session.put_data(slot.uif_do, touch)

    def attest(self, slot: KEY_REF) -> None:
        """Needs the user PIN."""
        with translated(f"attesting the OpenPGP key {slot.name}"):
            self._session.protocol.send_apdu(CLA_YUBICO, INS.GET_ATTESTATION, slot, 0)

    def attestation(self, slot: KEY_REF) -> tuple[bytes, bytes] | None:
        """From the certificate objects of the key and of the attestation key."""
        with translated(f"reading the attestation of the OpenPGP key {slot.name}"):
            device, leaf = self._certificate(KEY_REF.ATT), self._certificate(slot)
        if device is None:
            raise NotSupported(
                f"attesting the OpenPGP key {slot.name}: the token has no attestation certificate",
                remedy='Use another token, or write attestation = "if-supported".',
            )
        if leaf is None:
            return None
        return leaf.public_bytes(Encoding.DER), device.public_bytes(Encoding.DER)

    def _certificate(self, slot: KEY_REF) -> x509.Certificate | None:
        """None where nothing is there, or nothing that is a certificate."""
        try:
            return self._session.get_certificate(slot)
        except NotSupportedError:  # which is a ValueError there
            raise
        except ValueError:
            return None
