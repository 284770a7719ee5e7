"""A key in a PKCS#11 token, named by its URI (RFC 7512): it signs and agrees, and stays there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric import ec

from tokenprov.errors import InputError, NotVerified
from tokenprov.pkcs11.module import Module
from tokenprov.pkcs11.uri import Pkcs11Uri
from tokenprov.pkcs11.values import PublicKey, Stored, TokenInfo
from tokenprov.secret import Secret

_T = TypeVar("_T")

MODULE = "TOKENPROV_PKCS11_MODULE"  # where the URI has no module-path


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleKey:
    """A private key, for as long as its module is open."""

    module: Module = field(repr=False)
    serial: str
    pin: Secret = field(repr=False)
    id: bytes
    label: str
    public: PublicKey

    def sign(self, message: bytes) -> bytes:
        """A signature as X.509 has it: SHA-384 on P-384, SHA-256 else, or Ed25519.

        It is by the public key that the token shows. Raises `TokenError`.
        """
        return self.module.sign(
            self.serial, self.pin, self.public, message, id=self.id, label=self.label
        )

    def exchange(self, point: bytes) -> bytes:
        """ECDH with a point on the key's curve. Raises `TokenError`."""
        if not isinstance(self.public, ec.EllipticCurvePublicKey):
            raise InputError(
                "the key in the PKCS#11 token is on no curve that agrees on secrets",
                remedy="Use a key on P-256 or P-384.",
            )
        size = (self.public.curve.key_size + 7) // 8
        shared = self.module.derive(
            self.serial, self.pin, point, size, id=self.id, label=self.label
        )
        if len(shared) != size:
            raise NotVerified(
                f"the PKCS#11 token derived {len(shared)} bytes, not {size}",
                remedy="Use another token: what it derives opens nothing.",
            )
        return shared


@contextmanager
def module_key(uri: Pkcs11Uri, ask_pin: Callable[[], Secret]) -> Iterator[ModuleKey]:
    """The one key that a URI names. `ask_pin` is called once, when its token is there.

    Raises `InputError` where the URI names no module, token or key, or more than one; `TokenError`.
    """
    with Module(_module_of(uri)) as module:
        token = _one([one for one in module.tokens() if _is_meant(one, uri)], "token")
        pin = ask_pin()
        found = module.objects(token, pin)
        private = _one([o for o in found.of("PRIVATE_KEY") if _names(o, uri)], "private key")
        public = _one([o for o in found.of("PUBLIC_KEY") if _beside(o, private)], "public key")
        if public.public is None:
            raise InputError(
                "the key that the URI names is of an algorithm that is not used here",
                remedy="Use RSA, P-256, P-384 or Ed25519.",
            )
        yield ModuleKey(
            module=module,
            serial=token.serial,
            pin=pin,
            id=private.id,
            label=private.label,
            public=public.public,
        )


def find_token(uri: Pkcs11Uri) -> TokenInfo:
    """The one token that a URI names; no PIN is needed. Raises as `module_key` does."""
    with Module(_module_of(uri)) as module:
        return _one([one for one in module.tokens() if _is_meant(one, uri)], "token")


def _module_of(uri: Pkcs11Uri) -> Path:
    path = uri.module_path or Path(os.environ.get(MODULE, ""))
    if not path.is_file():
        raise InputError(
            "the URI names no PKCS#11 module that is there",
            remedy=f"Add ?module-path=/path/to/module.so to it, or set {MODULE}.",
        )
    return path


def read_pin(uri: Pkcs11Uri, ask: Callable[[str], Secret]) -> Secret:
    """The PIN of the token that a URI names: out of its pin-source, or asked for.

    Raises `InputError` where the file cannot be read.
    """
    if uri.pin_source is None:
        return ask(f"PIN of {uri.token or uri.serial}: ")
    try:
        return Secret(uri.pin_source.read_bytes().rstrip(b"\r\n"))
    except OSError as error:
        raise InputError(
            f"{uri.pin_source} cannot be read: {error.strerror}",
            remedy="Check pin-source, or leave it out to be asked.",
        ) from error


def _is_meant(token: TokenInfo, uri: Pkcs11Uri) -> bool:
    return all(
        wanted in (None, found)
        for wanted, found in (
            (uri.token, token.label),
            (uri.serial, token.serial),
            (uri.manufacturer, token.maker),
            (uri.model, token.model),
        )
    )


def _names(one: Stored, uri: Pkcs11Uri) -> bool:
    return uri.object in (None, one.label) and uri.id in (None, one.id)


def _beside(public: Stored, private: Stored) -> bool:
    """By the id, which both halves have alike (PKCS #11 3.1, 4.7); by the label."""
    return public.id == private.id if private.id else public.label == private.label


def _one(found: list[_T], what: str) -> _T:
    if len(found) != 1:
        raise InputError(
            f"the URI names {len(found) or 'no'} {what}{'s' if len(found) > 1 else ''}",
            remedy="List what is there: pkcs11-tool --module MODULE --list-slots --list-objects",
        )
    return found[0]
