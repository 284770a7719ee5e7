"""authenticatorClientPIN (CTAP 2.1, 6.5.5).

Rules. A try is paid for before the PIN is looked at. After three wrong PINs in a row nothing helps
but power-up (PIN_AUTH_BLOCKED), after eight in all nothing but a reset (PIN_BLOCKED). A token with
permissions is refused while the PIN must be changed, with PIN_POLICY_VIOLATION; the older
subcommand says PIN_INVALID then, because its callers know no other.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from enum import IntEnum
from typing import Any

from tokenprov.sim.ctap import pin_policy
from tokenprov.sim.ctap.arguments import Arguments
from tokenprov.sim.ctap.core import Core
from tokenprov.sim.ctap.pin_protocol import PinUvAuthProtocol
from tokenprov.sim.ctap.state import MAX_PIN_RETRIES
from tokenprov.sim.ctap.wire import ClientPinSubcommand, CtapError, Permission, Status

MAX_WRONG_PINS = 3  # in a row, until power-up; CTAP 2.1, 6.5.5.6
PIN_HASH_LENGTH = 16  # bytes

Answer = dict[int, Any]


class Parameter(IntEnum):
    """Parameters of the command (CTAP 2.1, 6.5.5)."""

    PROTOCOL = 0x01
    SUBCOMMAND = 0x02
    KEY_AGREEMENT = 0x03
    PIN_UV_AUTH_PARAM = 0x04
    NEW_PIN_ENC = 0x05
    PIN_HASH_ENC = 0x06
    PERMISSIONS = 0x09
    RP_ID = 0x0A


class Response(IntEnum):
    """Members of the answer (CTAP 2.1, 6.5.5)."""

    KEY_AGREEMENT = 0x01
    PIN_UV_AUTH_TOKEN = 0x02
    PIN_RETRIES = 0x03
    POWER_CYCLE_STATE = 0x04


RP_PERMISSIONS = Permission.MAKE_CREDENTIAL | Permission.GET_ASSERTION
KNOWN_PERMISSIONS = (
    RP_PERMISSIONS
    | Permission.CREDENTIAL_MANAGEMENT
    | Permission.LARGE_BLOB_WRITE
    | Permission.AUTHENTICATOR_CONFIGURATION
)


class ClientPin:
    """The command and its subcommands."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._subcommands: dict[int, Callable[[Arguments], Answer]] = {
            ClientPinSubcommand.GET_PIN_RETRIES: self._get_retries,
            ClientPinSubcommand.GET_KEY_AGREEMENT: self._get_key_agreement,
            ClientPinSubcommand.SET_PIN: self._set_pin,
            ClientPinSubcommand.CHANGE_PIN: self._change_pin,
            ClientPinSubcommand.GET_PIN_TOKEN: self._get_pin_token,
        }
        if core.features.ctap21:
            self._subcommands[ClientPinSubcommand.GET_TOKEN_USING_PIN] = self._get_token_using_pin

    def run(self, arguments: Arguments) -> Answer:
        """Execute one subcommand. Raises `CtapError`."""
        subcommand = self._subcommands.get(arguments.required(Parameter.SUBCOMMAND, int))
        if subcommand is None:
            new = self._core.features.ctap21
            raise CtapError(Status.INVALID_SUBCOMMAND if new else Status.INVALID_PARAMETER)
        return subcommand(arguments)

    def _get_retries(self, _: Arguments) -> Answer:
        answer: Answer = {Response.PIN_RETRIES: self._core.state.pin_retries}
        if self._core.features.ctap21:
            answer[Response.POWER_CYCLE_STATE] = self._core.wrong_pins >= MAX_WRONG_PINS
        return answer

    def _get_key_agreement(self, arguments: Arguments) -> Answer:
        number = self._core.protocol(arguments, Parameter.PROTOCOL)
        return {Response.KEY_AGREEMENT: self._core.protocols[number].public_key()}

    def _set_pin(self, arguments: Arguments) -> Answer:
        protocol = self._protocol(arguments)
        agreement = Arguments(arguments.required(Parameter.KEY_AGREEMENT, dict))
        new_pin_enc = arguments.required(Parameter.NEW_PIN_ENC, bytes)
        param = arguments.required(Parameter.PIN_UV_AUTH_PARAM, bytes)
        if self._core.protected:
            raise CtapError(Status.PIN_AUTH_INVALID)
        secret = protocol.decapsulate(agreement)
        if not protocol.verify(secret, new_pin_enc, param):
            raise CtapError(Status.PIN_AUTH_INVALID)
        self._store(protocol.decrypt(secret, new_pin_enc))
        return {}

    def _change_pin(self, arguments: Arguments) -> Answer:
        protocol = self._protocol(arguments)
        agreement = Arguments(arguments.required(Parameter.KEY_AGREEMENT, dict))
        pin_hash_enc = arguments.required(Parameter.PIN_HASH_ENC, bytes)
        new_pin_enc = arguments.required(Parameter.NEW_PIN_ENC, bytes)
        param = arguments.required(Parameter.PIN_UV_AUTH_PARAM, bytes)
        self._refuse_without_pin()
        secret = protocol.decapsulate(agreement)
        if not protocol.verify(secret, new_pin_enc + pin_hash_enc, param):
            raise CtapError(Status.PIN_AUTH_INVALID)
        self._check_pin(protocol, secret, pin_hash_enc)
        self._store(protocol.decrypt(secret, new_pin_enc))
        return {}

    def _get_pin_token(self, arguments: Arguments) -> Answer:
        number = self._core.protocol(arguments, Parameter.PROTOCOL)
        agreement = Arguments(arguments.required(Parameter.KEY_AGREEMENT, dict))
        pin_hash_enc = arguments.required(Parameter.PIN_HASH_ENC, bytes)
        if Parameter.PERMISSIONS in arguments or Parameter.RP_ID in arguments:
            raise CtapError(Status.INVALID_PARAMETER)
        forced = Status.PIN_INVALID
        return self._token(number, agreement, pin_hash_enc, forced, RP_PERMISSIONS, None)

    def _get_token_using_pin(self, arguments: Arguments) -> Answer:
        number = self._core.protocol(arguments, Parameter.PROTOCOL)
        agreement = Arguments(arguments.required(Parameter.KEY_AGREEMENT, dict))
        pin_hash_enc = arguments.required(Parameter.PIN_HASH_ENC, bytes)
        wanted = arguments.required(Parameter.PERMISSIONS, int)
        rp_id = arguments.optional(Parameter.RP_ID, str)
        if wanted == 0:
            raise CtapError(Status.INVALID_PARAMETER)
        if wanted & Permission.BIO_ENROLLMENT:  # there is nothing to enrol with
            raise CtapError(Status.UNAUTHORIZED_PERMISSION)
        permissions = Permission(wanted & KNOWN_PERMISSIONS)  # unknown bits are ignored
        if permissions & RP_PERMISSIONS and rp_id is None:
            raise CtapError(Status.MISSING_PARAMETER)
        forced = Status.PIN_POLICY_VIOLATION
        return self._token(number, agreement, pin_hash_enc, forced, permissions, rp_id)

    def _token(
        self,
        number: int,
        agreement: Arguments,
        pin_hash_enc: bytes,
        forced: Status,
        permissions: Permission,
        rp_id: str | None,
    ) -> Answer:
        protocol = self._core.protocols[number]
        self._refuse_without_pin()
        secret = protocol.decapsulate(agreement)
        self._check_pin(protocol, secret, pin_hash_enc)
        if self._core.state.force_pin_change:
            raise CtapError(forced)
        token = self._core.token.begin(number, permissions, rp_id)
        return {Response.PIN_UV_AUTH_TOKEN: protocol.encrypt(secret, token)}

    def _protocol(self, arguments: Arguments) -> PinUvAuthProtocol:
        return self._core.protocols[self._core.protocol(arguments, Parameter.PROTOCOL)]

    def _refuse_without_pin(self) -> None:
        if not self._core.protected:
            raise CtapError(Status.PIN_NOT_SET)
        if self._core.state.pin_retries == 0:
            raise CtapError(Status.PIN_BLOCKED)

    def _check_pin(self, protocol: PinUvAuthProtocol, secret: bytes, pin_hash_enc: bytes) -> None:
        """Spend a try, compare, and give the tries back (CTAP 2.1, 6.5.5.6 and 6.5.5.7)."""
        core, state = self._core, self._core.state
        if core.wrong_pins >= MAX_WRONG_PINS:
            raise CtapError(Status.PIN_AUTH_BLOCKED)
        core.body.spend("pin")
        pin_hash = protocol.decrypt(secret, pin_hash_enc)
        if len(pin_hash) != PIN_HASH_LENGTH:
            raise CtapError(Status.INVALID_PARAMETER)
        state.pin_retries -= 1
        core.body.save()
        if not hmac.compare_digest(pin_hash, state.pin_hash or b""):
            protocol.regenerate()
            core.wrong_pins += 1
            if state.pin_retries == 0:
                raise CtapError(Status.PIN_BLOCKED)
            if core.wrong_pins >= MAX_WRONG_PINS:
                raise CtapError(Status.PIN_AUTH_BLOCKED)
            raise CtapError(Status.PIN_INVALID)
        state.pin_retries = MAX_PIN_RETRIES
        core.wrong_pins = 0
        core.body.save()

    def _store(self, padded: bytes) -> None:
        """Take a new PIN, and make every token worthless (CTAP 2.1, 6.5.5.5 and 6.5.5.6)."""
        state, features = self._core.state, self._core.features
        pin = pin_policy.unpad(padded)
        length = pin_policy.check(pin, state.min_pin_length, features.pin_complexity)
        pin_hash = hashlib.sha256(pin).digest()[:PIN_HASH_LENGTH]
        if state.force_pin_change and pin_hash == state.pin_hash:
            raise CtapError(Status.PIN_POLICY_VIOLATION)
        state.pin_hash, state.pin_length = pin_hash, length
        state.pin_retries = MAX_PIN_RETRIES
        state.force_pin_change = False
        self._core.body.save()
        self._core.wrong_pins = 0
        self._core.token.reset()
