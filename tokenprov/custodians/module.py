"""A custodian's key in a PKCS#11 token: the token does the ECDH, the key stays in it.

Rules:
- CKM_ECDH1_DERIVE with CKD_NULL (PKCS #11 3.1, 6.3.17) gives the x coordinate, as HPKE wants it.
- The module and the session are closed when the command is done with the key.
- One thread uses it: python-pkcs11 initialises modules without locks.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pkcs11
from asn1crypto.core import OctetString
from cryptography.hazmat.primitives.asymmetric import ec
from pkcs11 import KDF, Attribute, KeyType, ObjectClass
from pkcs11.exceptions import PKCS11Error

from tokenprov.custodians.uri import Pkcs11Uri
from tokenprov.errors import EscrowError
from tokenprov.record.escrow import CustodianKey
from tokenprov.record.hpke import open_by_exchange
from tokenprov.secret import Secret

MODULE = "TOKENPROV_PKCS11_MODULE"  # where the URI has no module-path
SECRET_BITS = 256  # of the shared secret on P-256
SECP256R1 = bytes.fromhex("06082a8648ce3d030107")  # the DER of its object identifier


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyInModule:
    """Implements `escrow.PrivateKey` on an open session."""

    private: Any = field(repr=False)  # pkcs11.PrivateKey, which has no types
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
            shared = self.private.derive_key(
                KeyType.GENERIC_SECRET,
                SECRET_BITS,
                mechanism_param=(KDF.NULL, None, point),
                template={Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True},
            )
            return bytes(shared[Attribute.VALUE])
        except PKCS11Error as error:
            raise _failed("the token does not derive with the key", error) from error


@contextmanager
def key_in_module(uri: Pkcs11Uri, ask_pin: Callable[[], Secret]) -> Iterator[KeyInModule]:
    """The key that a URI names, while its session is open. Raises EscrowError."""
    path = uri.module_path or Path(os.environ.get(MODULE, ""))
    if not path.is_file():
        raise EscrowError(
            "the URI names no PKCS#11 module that is there",
            remedy=f"Add ?module-path=/path/to/module.so to it, or set {MODULE}.",
        )
    try:
        library = pkcs11.lib(str(path))
        token = _one([t for t in library.get_tokens() if _is_meant(t, uri)], "token")
        with token.open(user_pin=ask_pin().reveal_text()) as session:
            yield _key(session, uri)
    except PKCS11Error as error:
        raise _failed("the key in the PKCS#11 token cannot be used", error) from error


def _is_meant(token: Any, uri: Pkcs11Uri) -> bool:
    return all(
        wanted is None or _text(found) == wanted
        for wanted, found in (
            (uri.token, token.label),
            (uri.serial, token.serial),
            (uri.manufacturer, token.manufacturer_id),
            (uri.model, token.model),
        )
    )


def _text(value: str | bytes) -> str:
    text = value.decode() if isinstance(value, bytes) else value
    return text.rstrip(" \0")


def _key(session: Any, uri: Pkcs11Uri) -> KeyInModule:
    wanted: dict[Attribute, object] = {Attribute.KEY_TYPE: KeyType.EC}
    if uri.object is not None:
        wanted[Attribute.LABEL] = uri.object
    if uri.id is not None:
        wanted[Attribute.ID] = uri.id

    def objects(kind: ObjectClass) -> list[Any]:
        return list(session.get_objects({**wanted, Attribute.CLASS: kind}))

    private = _one(objects(ObjectClass.PRIVATE_KEY), "private key on an elliptic curve")
    public = _one(objects(ObjectClass.PUBLIC_KEY), "public key beside the private one")
    if bytes(public[Attribute.EC_PARAMS]) != SECP256R1:
        raise EscrowError(
            "the key in the PKCS#11 token is not on P-256",
            remedy="Use the custodian's key that belongs to the envelope.",
        )
    point = OctetString.load(public[Attribute.EC_POINT]).native
    return KeyInModule(
        private=private,
        public=ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point),
    )


def _one(found: list[Any], what: str) -> Any:
    if len(found) != 1:
        raise EscrowError(
            f"the URI names {len(found) or 'no'} {what}{'s' if len(found) > 1 else ''}",
            remedy="List what is there: pkcs11-tool --module MODULE --list-slots --list-objects",
        )
    return found[0]


def _failed(what: str, error: PKCS11Error) -> EscrowError:
    return EscrowError(  # the error's own text is often empty
        f"{what}: {type(error).__name__}{f', {error}' if str(error) else ''}",
        remedy="Check the PIN and the URI: pkcs11-tool --module MODULE --login --list-objects",
    )
