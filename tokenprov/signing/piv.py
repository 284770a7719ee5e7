"""A person's key in slot 9c of a PIV token: the token signs, after its PIN.

SP 800-73-4 part 1, table 4b: 9c is the digital signature key, and takes the PIN before each
signature. The PIN is asked for when it first signs, and kept while the connection is open; a wrong
one costs one try and is not sent again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from yubikit.piv import KEY_TYPE, SLOT, PivSession

from tokenprov.device.person_slot import key_in_slot
from tokenprov.device.translate import translated
from tokenprov.errors import InputError
from tokenprov.secret import Secret

PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


class KeyOnToken:
    """Implements `record.signer.SigningKey` on an open connection."""

    def __init__(
        self, session: PivSession, public: PublicKey, ask_pin: Callable[[], Secret]
    ) -> None:
        self.public = public
        self._session, self._ask_pin = session, ask_pin
        self._pin: Secret | None = None

    def sign(self, message: bytes) -> bytes:
        """Ed25519, or ECDSA with SHA-256 in ASN.1 DER. Raises TokenError."""
        kind = KEY_TYPE.from_public_key(self.public)
        self._pin = self._pin or self._ask_pin()
        with translated("verifying the PIN of the token"):
            self._session.verify_pin(self._pin.reveal_text())
        with translated("signing with the key in 9c"):
            return bytes(self._session.sign(SLOT.SIGNATURE, kind, message, SHA256()))


@contextmanager
def key_on_token(reader: str, ask_pin: Callable[[], Secret]) -> Iterator[KeyOnToken]:
    """The key in 9c of the token in a reader. Raises TokenError, InputError."""
    with key_in_slot(reader, SLOT.SIGNATURE) as (session, public):
        is_p256 = isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name == "secp256r1"
        if not isinstance(public, PublicKey) or not (
            is_p256 or isinstance(public, ed25519.Ed25519PublicKey)
        ):
            raise InputError(
                "slot 9c of the token holds no key on P-256, nor Ed25519",
                remedy="Make one: ykman piv keys generate --algorithm ECCP256 9c PUBLIC.pem",
            )
        yield KeyOnToken(session, public, ask_pin)
