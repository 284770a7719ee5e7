"""A person's key in slot 9c of a PIV token: the token signs, after its PIN.

SP 800-73-4 part 1, table 4b: 9c is the digital signature key, and takes the PIN before each
signature. The PIN is asked for when it first signs, and kept while the connection is open; a wrong
one costs one try and is not sent again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from yubikit.piv import KEY_TYPE, SLOT

from tokenprov.device.person_slot import PersonSlot, key_in_slot
from tokenprov.errors import InputError, NotVerified
from tokenprov.record.verifier_key import VerifierKey
from tokenprov.secret import Secret

PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


class KeyOnToken:
    """Implements `record.signer.SigningKey` on an open connection."""

    def __init__(self, slot: PersonSlot, public: PublicKey, ask_pin: Callable[[], Secret]) -> None:
        self.public = public
        self._slot, self._ask_pin = slot, ask_pin
        self._pin: Secret | None = None

    def sign(self, message: bytes) -> bytes:
        """Ed25519, or ECDSA with SHA-256 in ASN.1 DER. Raises TokenError."""
        self._pin = self._pin or self._ask_pin()
        self._slot.verify_pin(self._pin)
        signature = self._slot.sign(KEY_TYPE.from_public_key(self.public), message)
        if not VerifierKey.of("9c", self.public).verify(message, signature):
            raise NotVerified(
                "what the key in 9c signed does not verify by the certificate in the slot",
                remedy="Put the certificate of the key into 9c, or make both anew.",
            )
        return signature


@contextmanager
def key_on_token(reader: str, ask_pin: Callable[[], Secret]) -> Iterator[KeyOnToken]:
    """The key in 9c of the token in a reader. Raises TokenError, InputError."""
    with key_in_slot(reader, SLOT.SIGNATURE) as slot:
        public = slot.public
        is_p256 = isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name == "secp256r1"
        if not isinstance(public, PublicKey) or not (
            is_p256 or isinstance(public, ed25519.Ed25519PublicKey)
        ):
            raise InputError(
                "slot 9c of the token holds no key on P-256, nor Ed25519, or none that it shows",
                remedy="Make one: ykman piv keys generate --algorithm ECCP256 9c PUBLIC.pem; a card"
                " that is no YubiKey shows its key by a certificate in the slot.",
            )
        yield KeyOnToken(slot, public, ask_pin)
