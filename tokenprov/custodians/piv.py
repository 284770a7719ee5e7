"""A custodian's key in slot 9d of a PIV token: the token does the ECDH, after its PIN.

SP 800-73-4 part 2, 3.2.4 (GENERAL AUTHENTICATE, key establishment). 9d is the key-management slot
(part 1, table 4b), made for decryption: its PIN counts for the whole session. The PIN is tried
once: a wrong one costs one try.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec
from yubikit.piv import SLOT

from tokenprov.device.person_slot import PersonSlot, key_in_slot
from tokenprov.errors import EscrowError
from tokenprov.record.escrow import CustodianKey
from tokenprov.record.hpke import open_by_exchange
from tokenprov.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyOnToken:
    """Implements `escrow.PrivateKey` on an open connection."""

    slot: PersonSlot = field(repr=False)
    public: ec.EllipticCurvePublicKey

    @property
    def recipient(self) -> CustodianKey:
        """Its public half."""
        return CustodianKey(public=self.public)

    def decrypt(self, sealed: bytes, info: bytes) -> bytes:
        """ECDH on the token, the rest here. Raises InvalidTag, TokenError."""
        return open_by_exchange(sealed, info, self.public, self.slot.exchange)


@contextmanager
def key_on_token(reader: str, ask_pin: Callable[[], Secret]) -> Iterator[KeyOnToken]:
    """The key in 9d of the token in a reader. Raises TokenError, InputError, EscrowError."""
    with key_in_slot(reader, SLOT.KEY_MANAGEMENT) as slot:
        public = slot.public
        if not isinstance(public, ec.EllipticCurvePublicKey) or public.curve.name != "secp256r1":
            raise EscrowError(
                "slot 9d of the token holds no key on P-256, or none that it shows",
                remedy="Make one: ykman piv keys generate --algorithm ECCP256 9d PUBLIC.pem; a card"
                " that is no YubiKey shows its key by a certificate in the slot.",
            )
        slot.verify_pin(ask_pin())
        yield KeyOnToken(slot=slot, public=public)
