"""An authority's private key in a PKCS#11 token, as cryptography's builders sign with it.

Rules:
- The token is opened for one signature and closed again: nobody stays logged in, and nothing of the
  module lives longer. Who signs holds the authority's lock, so that one process at a time asks.
- An authority signs at any hour: its PIN is in the URI's `pin-source`, a file for its owner only.
- The key signs only while it is the one of the certificate.
- What goes wrong in there is the authority's trouble, never one of the token that it issues for.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import Any, NoReturn, Self, TypeVar, assert_never

from cryptography.hazmat.primitives import _serialization, hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tokenprov.errors import InputError, IssuerUnanswered, StationError, TokenError
from tokenprov.pkcs11 import ModuleKey, Pkcs11Uri, module_key
from tokenprov.pkcs11.key import read_pin
from tokenprov.pkcs11.values import PublicKey
from tokenprov.secret import Secret

_T = TypeVar("_T")
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def key_in_token(text: str, public: PublicKey | None = None) -> KeyInToken:
    """The key that a URI names; with `public` it is that key, and the token is not asked for it.

    Raises `StationError` for a URI that is none or names no such key, `IssuerUnanswered`.
    """
    try:
        uri = Pkcs11Uri.parse(text)
    except InputError as exc:
        raise StationError(exc.message, remedy=exc.remedy) from exc
    if uri.pin_source is None:
        raise StationError(
            "the URI of the authority's key names no pin-source: it signs when nobody is there",
            remedy="Add pin-source=/path/to/file to it, a file with mode 600 that holds the PIN.",
        )
    match public or _with_key(uri, lambda key: key.public):
        case ec.EllipticCurvePublicKey() as on_curve:
            return EllipticCurveKeyInToken(uri, on_curve)
        case rsa.RSAPublicKey() as by_rsa:
            return RsaKeyInToken(uri, by_rsa)
        case ed25519.Ed25519PublicKey() as on_edwards:
            return Ed25519KeyInToken(uri, on_edwards)
        case other:
            assert_never(other)


class _KeyInToken:
    """What the kinds have in common."""

    def __init__(self, uri: Pkcs11Uri, public: Any) -> None:
        self._uri, self._public = uri, public

    def public_key(self) -> Any:
        """Its public half."""
        return self._public

    def private_bytes(
        self,
        encoding: _serialization.Encoding,
        format: _serialization.PrivateFormat,
        encryption_algorithm: _serialization.KeySerializationEncryption,
    ) -> NoReturn:
        """It never leaves the token."""
        raise TypeError("the key is in a PKCS#11 token")

    def private_bytes_raw(self) -> NoReturn:
        """It never leaves the token."""
        raise TypeError("the key is in a PKCS#11 token")

    def private_numbers(self) -> NoReturn:
        """It never leaves the token."""
        raise TypeError("the key is in a PKCS#11 token")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def _sign(self, data: bytes, wanted: hashes.HashAlgorithm | None) -> bytes:
        usual = hashes.SHA384 if _is_p384(self._public) else hashes.SHA256
        if wanted is not None and not isinstance(wanted, usual):
            raise TypeError(f"a PKCS#11 token signs with {usual.name}, not {wanted.name}")

        def sign(key: ModuleKey) -> bytes:
            if key.public != self._public:
                raise StationError(
                    "the key in the PKCS#11 token is not the one of the authority's certificate",
                    remedy="Name the right one in ca.toml.",
                )
            return key.sign(data)

        return _with_key(self._uri, sign)


class EllipticCurveKeyInToken(_KeyInToken, ec.EllipticCurvePrivateKey):
    """On P-256 or P-384."""

    @property
    def curve(self) -> ec.EllipticCurve:
        """Its curve."""
        return ec.SECP384R1() if _is_p384(self._public) else ec.SECP256R1()

    @property
    def key_size(self) -> int:
        """Bits."""
        return self.curve.key_size

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> NoReturn:
        """An authority's key signs only."""
        raise TypeError("an authority's key agrees on nothing")

    def sign(self, data: Any, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        """ECDSA, in ASN.1 DER."""
        algorithm = signature_algorithm.algorithm
        assert isinstance(algorithm, hashes.HashAlgorithm)  # what is signed is no digest
        return self._sign(bytes(data), algorithm)


class RsaKeyInToken(_KeyInToken, rsa.RSAPrivateKey):
    """RSA, PKCS#1 v1.5."""

    @property
    def key_size(self) -> int:
        """Bits."""
        return int(self._public.key_size)

    def decrypt(self, ciphertext: bytes, padding: Any) -> NoReturn:
        """An authority's key signs only."""
        raise TypeError("an authority's key opens nothing")

    def sign(self, data: Any, padding: Any, algorithm: Any) -> bytes:
        """With the padding that certificates have."""
        return self._sign(bytes(data), algorithm)


class Ed25519KeyInToken(_KeyInToken, ed25519.Ed25519PrivateKey):
    """Ed25519."""

    def sign(self, data: Any) -> bytes:
        """RFC 8032."""
        return self._sign(bytes(data), None)


KeyInToken = EllipticCurveKeyInToken | RsaKeyInToken | Ed25519KeyInToken


def _with_key(uri: Pkcs11Uri, do: Callable[[ModuleKey], _T]) -> _T:
    try:
        with module_key(uri, lambda: _pin(uri)) as key:
            return do(key)
    except InputError as exc:
        raise StationError(exc.message, remedy=exc.remedy) from exc
    except TokenError as exc:
        raise IssuerUnanswered(
            f"the token with the authority's key did not sign: {exc.message}",
            remedy="Look at that token, then run the same command again: nothing was issued.",
        ) from exc


def _pin(uri: Pkcs11Uri) -> Secret:
    assert uri.pin_source is not None  # seen to above
    try:
        mode = os.stat(uri.pin_source).st_mode
    except OSError:
        mode = 0  # what reads it says why it cannot
    if mode & _OTHERS:
        raise StationError(
            f"{uri.pin_source} can be read by others",
            remedy=f"Run: chmod 600 {uri.pin_source}, and change the PIN.",
        )
    return read_pin(uri, lambda prompt: Secret(b""))


def _is_p384(public: PublicKey) -> bool:
    return isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name == "secp384r1"
