"""A token behind a PKCS#11 module. Its serial is what the module says; it attests nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from cryptography import x509

from tokenprov.device.alone import Alone
from tokenprov.device.watch import Watch
from tokenprov.errors import TokenGone
from tokenprov.model import TokenId, TokenKind
from tokenprov.pkcs11 import Found, KeyPair, Module, TokenInfo
from tokenprov.pkcs11.values import Algorithm, PublicKey
from tokenprov.secret import Secret
from tokenprov.step import Operator

UNNAMED = "unknown"

_T = TypeVar("_T")


class Pkcs11Applet:
    """Implements `token.Pkcs11Applet`, for the token with a serial, or without one in a slot."""

    def __init__(self, module: Module, info: TokenInfo, watch: Watch | None) -> None:
        self._module, self._known, self._watch = module, info, watch

    def _watched(self, ask: Callable[[], _T]) -> _T:
        if self._watch is None:
            return ask()
        self._watch.sending()
        answer = ask()
        self._watch.answered()
        return answer

    def info(self) -> TokenInfo:
        """What its module says of it now."""
        serial, slot = self._known.serial, self._known.slot
        for one in self._watched(self._module.tokens):
            if one.serial == serial and (serial or one.slot == slot):
                return one
        raise TokenGone(
            f"token {serial or 'without serial'} is not there any more",
            remedy="Insert the same token again; the work goes on where it was.",
        )

    def pin_lengths(self) -> tuple[int, int]:
        """C_GetTokenInfo."""
        return self._watched(lambda: self._module.pin_lengths(self._known))

    def initialise(self, label: str, so_pin: Secret) -> None:
        """C_InitToken."""
        self._watched(lambda: self._module.initialise(self._known, label, so_pin))

    def change_so_pin(self, old: Secret, new: Secret) -> None:
        """C_SetPIN, as the security officer."""
        self._watched(lambda: self._module.change_so_pin(self._known.serial, old, new))

    def set_user_pin(self, so_pin: Secret, pin: Secret) -> None:
        """C_InitPIN."""
        self._watched(lambda: self._module.set_user_pin(self._known.serial, so_pin, pin))

    def log_in(self, pin: Secret) -> None:
        """C_Login, as the user."""
        self._watched(lambda: self._module.log_in(self._known.serial, pin))

    def log_in_officer(self, so_pin: Secret) -> None:
        """C_Login, as the security officer."""
        self._watched(lambda: self._module.log_in_officer(self._known.serial, so_pin))

    def objects(self, pin: Secret | None = None) -> Found:
        """C_FindObjects."""
        return self._watched(lambda: self._module.objects(self._known, pin))

    def generate(self, pin: Secret, algorithm: Algorithm, id: bytes, label: str) -> KeyPair:
        """C_GenerateKeyPair."""
        serial = self._known.serial
        return self._watched(
            lambda: self._module.generate(serial, pin, algorithm, id=id, label=label)
        )

    def sign(self, pin: Secret, public: PublicKey, id: bytes, message: bytes) -> bytes:
        """C_Sign."""
        serial = self._known.serial
        return self._watched(lambda: self._module.sign(serial, pin, public, message, id=id))

    def put_certificate(self, pin: Secret, der: bytes, id: bytes, label: str) -> None:
        """C_CreateObject."""
        serial, subject = self._known.serial, x509.load_der_x509_certificate(der).subject
        self._watched(
            lambda: self._module.put_certificate(
                serial, pin, der, subject.public_bytes(), id=id, label=label
            )
        )

    def remove_certificate(self, pin: Secret, der: bytes, id: bytes) -> None:
        """C_DestroyObject."""
        serial = self._known.serial
        self._watched(lambda: self._module.remove_certificate(serial, pin, der, id))


class Pkcs11Token(Alone):
    """Implements `token.Token` for a token behind a module."""

    kind = TokenKind.PKCS11
    called = "a token behind a PKCS#11 module"
    section = "pkcs11"

    def __init__(
        self,
        module: Module,
        info: TokenInfo,
        reader: str,
        operator: Operator,
        watch: Watch | None = None,
    ) -> None:
        self._applet = Pkcs11Applet(module, info, watch)
        token = TokenId(
            maker=info.maker or UNNAMED,
            model=info.model or "PKCS#11 token",
            firmware=info.firmware,
            serial=info.serial if info.serial.strip("0") else None,  # OpenSC: of zeros for some
        )
        super().__init__(token, reader, operator)

    def pkcs11(self) -> Pkcs11Applet:
        """The token by its module."""
        return self._applet
