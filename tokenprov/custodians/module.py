"""A custodian's key in a PKCS#11 token: the token does the ECDH, the key stays in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec

from tokenprov.errors import EscrowError, InputError, TokenError
from tokenprov.pkcs11 import ModuleKey, Pkcs11Uri, module_key
from tokenprov.record.escrow import CustodianKey
from tokenprov.record.hpke import open_by_exchange
from tokenprov.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyInModule:
    """Implements `escrow.PrivateKey` while its module is open."""

    key: ModuleKey = field(repr=False)
    public: ec.EllipticCurvePublicKey

    @property
    def recipient(self) -> CustodianKey:
        """Its public half."""
        return CustodianKey(public=self.public)

    def decrypt(self, sealed: bytes, info: bytes) -> bytes:
        """ECDH on the token, the rest here. Raises InvalidTag, EscrowError."""
        return open_by_exchange(sealed, info, self.public, self._exchange)

    def _exchange(self, point: bytes) -> bytes:
        try:
            return self.key.exchange(point)
        except TokenError as error:
            raise EscrowError(error.message, remedy=error.remedy) from error


@contextmanager
def key_in_module(uri: Pkcs11Uri, ask_pin: Callable[[], Secret]) -> Iterator[KeyInModule]:
    """The key that a URI names. Raises EscrowError."""
    with ExitStack() as opening:
        try:
            key = opening.enter_context(module_key(uri, ask_pin))
        except (InputError, TokenError) as error:
            raise EscrowError(error.message, remedy=error.remedy) from error
        public = key.public
        if not isinstance(public, ec.EllipticCurvePublicKey) or public.curve.name != "secp256r1":
            raise EscrowError(
                "the key in the PKCS#11 token is not on P-256",
                remedy="Use the custodian's key that belongs to the envelope.",
            )
        yield KeyInModule(key=key, public=public)
