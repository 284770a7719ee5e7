"""The FIDO2 PIN and what it opens: tokens with permissions (CTAP 2.1, 6.5).

A token that the PIN gave (pinUvAuthToken) is kept while it may serve again, and another one is
asked for when it no longer does (6.5.2.1: it expires, and a touch takes its rights). One that is
bound to a relying party is asked for with all the rights that the next commands for it may need.
The tries that were read are known until the next one.

Over CCID some authenticators fold every CTAP error into one code: whether a PIN was refused is then
told by the retry counter, read before and after.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar, cast

from fido2 import cbor
from fido2.ctap import CtapDevice, CtapError
from fido2.ctap2.base import Ctap2, Info
from fido2.ctap2.config import Config
from fido2.ctap2.pin import ClientPin, PinProtocol
from fido2.hid import CAPABILITY

from tokenprov.device.translate import refused, translated
from tokenprov.errors import NotSupported

T = TypeVar("T")
Permission = ClientPin.PERMISSION

_FOR_RELYING_PARTIES = Permission.MAKE_CREDENTIAL | Permission.GET_ASSERTION
_EXPIRED = {CtapError.ERR.PIN_AUTH_INVALID, CtapError.ERR.PIN_TOKEN_EXPIRED}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Granted:
    """A pinUvAuthToken, and what it is good for."""

    permissions: int
    rp_id: str | None
    value: bytes


@lru_cache(maxsize=64)
def _info_in(answer: bytes) -> Info:
    """What an answer to getInfo says: parsed once, as tokens of one model say the same."""
    return Info.from_dict(cast(Mapping[int, Any], cbor.decode(answer)))


class _Authenticator(Ctap2):
    """fido2's, with the parsing of getInfo kept: it takes longer than all that is asked besides."""

    def get_info(self) -> Info:
        """Ask the token, always."""
        return _info_in(cbor.encode(self.send_cbor(Ctap2.CMD.GET_INFO)))


class PinAccess:
    """An authenticator, what it said of itself, and the token that its PIN gave last."""

    def __init__(self, device: CtapDevice) -> None:
        self._device = device
        self._granted: _Granted | None = None
        self._tries: tuple[int, bool] | None = None
        self.refresh()

    def refresh(self) -> None:
        """Read getInfo, now and after each write that changes it."""
        if not self._device.capabilities & CAPABILITY.CBOR:
            raise NotSupported(
                "this token has no FIDO2, only U2F", remedy="Use a token with FIDO2."
            )
        with translated("reading the FIDO2 authenticator"):
            self.ctap = _Authenticator(self._device, strict_cbor=False)

    @property
    def info(self) -> Info:
        """What getInfo said last."""
        return self.ctap.info

    @property
    def _client(self) -> ClientPin:
        try:
            return ClientPin(self.ctap)
        except ValueError as error:
            raise NotSupported(
                "the FIDO2 authenticator takes no PIN", remedy="Use another token."
            ) from error

    def forget(self) -> None:
        """The token at hand is worth nothing any more."""
        self._granted = None

    def touched(self) -> None:
        """A touch took the token's rights; before CTAP 2.1 it keeps them (6.5.2.1)."""
        if self._has_permissions:
            self._granted = None

    @property
    def _has_permissions(self) -> bool:
        """Whether tokens have permissions, and not one token all of them (CTAP 2.1, 6.4)."""
        return self.info.options.get("pinUvAuthToken") is True

    def retries(self) -> tuple[int, bool]:
        """Tries left and whether the token must be re-inserted before the next."""
        if self._tries is not None:
            return self._tries
        with translated("reading the FIDO2 PIN's tries"):
            retries, power_cycle = self._client.get_pin_retries()
        if not power_cycle:  # what ends that state does not show here
            self._tries = retries, False
        return retries, bool(power_cycle)

    def set(self, pin: str) -> None:
        """Set the first PIN."""
        self._granted = self._tries = None
        with translated("setting the FIDO2 PIN"):
            self._client.set_pin(pin)
        self.refresh()

    def check(self, pin: str) -> None:
        """Ask for a token by PIN; being told to change the PIN means that it was right.

        CTAP 2.1, 6.5.5.7: PIN_POLICY_VIOLATION comes after the PIN was found right.
        """
        doing = "checking the FIDO2 PIN"
        before, power_cycle = self.retries()
        if power_cycle:
            with translated(doing):
                raise CtapError(CtapError.ERR.PIN_AUTH_BLOCKED)
        self._granted = None
        with translated(doing):
            try:
                if Config.is_supported(self.info):  # what the next steps need
                    self._token(pin, Permission.AUTHENTICATOR_CFG)
                else:
                    self._token(pin, Permission.GET_ASSERTION, "tokenprov.invalid")
            except CtapError as error:
                after, _ = self.retries()
                told_to_change = error.code == CtapError.ERR.PIN_POLICY_VIOLATION or (
                    error.code == CtapError.ERR.PIN_INVALID and self.info.force_pin_change
                )
                if told_to_change and after >= before:
                    return
                if error.code == CtapError.ERR.PIN_INVALID or after < before:
                    raise refused(doing, after) from error
                raise

    def _token(self, pin: str, permissions: Permission, rp_id: str | None = None) -> bytes:
        """A token with these permissions: the one at hand, or a new one."""
        held = self._granted
        if held is not None and (
            not self._has_permissions
            or (
                held.permissions & permissions == permissions
                and (held.rp_id == rp_id or permissions == Permission.AUTHENTICATOR_CFG)
            )
        ):
            return held.value
        if rp_id is not None and permissions & _FOR_RELYING_PARTIES:
            permissions |= _FOR_RELYING_PARTIES
            if Config.is_supported(self.info):
                permissions |= Permission.AUTHENTICATOR_CFG
        self._tries = None
        value = self._client.get_pin_token(pin, permissions, rp_id)
        self._granted = _Granted(permissions=permissions, rp_id=rp_id, value=value)
        return value

    def authorized(
        self,
        pin: str,
        permissions: Permission,
        rp_id: str | None,
        command: Callable[[PinProtocol, bytes], T],
    ) -> T:
        """Run a command with a token; once more with a new one if the one at hand has expired."""
        held = self._granted
        token = self._token(pin, permissions, rp_id)
        try:
            return command(self._client.protocol, token)
        except CtapError as error:
            if error.code not in _EXPIRED or held is None or held.value != token:
                raise
        self._granted = None
        return command(self._client.protocol, self._token(pin, permissions, rp_id))
