"""authenticatorConfig (CTAP 2.1, 6.11): enterprise attestation, alwaysUv, minimum PIN length."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any

from tokenprov.sim.ctap import cbor
from tokenprov.sim.ctap.arguments import Arguments
from tokenprov.sim.ctap.core import Core, PinUvParameters
from tokenprov.sim.ctap.features import MAX_PIN_LENGTH
from tokenprov.sim.ctap.wire import Command, ConfigSubcommand, CtapError, Permission, Status

PREFIX = b"\xff" * 32 + bytes([Command.CONFIG])  # CTAP 2.1, 6.11: what is authenticated


class Parameter(IntEnum):
    """Parameters of the command (CTAP 2.1, 6.11)."""

    SUBCOMMAND = 0x01
    SUBCOMMAND_PARAMS = 0x02
    PIN_UV_AUTH_PROTOCOL = 0x03
    PIN_UV_AUTH_PARAM = 0x04


class SetMinPinLengthParameter(IntEnum):
    """Parameters of setMinPINLength (CTAP 2.1, 6.11.4)."""

    NEW_MIN_PIN_LENGTH = 0x01
    RP_IDS = 0x02
    FORCE_CHANGE_PIN = 0x03


KEYS = PinUvParameters(Parameter.PIN_UV_AUTH_PARAM, Parameter.PIN_UV_AUTH_PROTOCOL)


class Config:
    """The command and its subcommands."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._subcommands: dict[int, Callable[[Arguments], None]] = {
            ConfigSubcommand.TOGGLE_ALWAYS_UV: self._toggle_always_uv,
            ConfigSubcommand.SET_MIN_PIN_LENGTH: self._set_min_pin_length,
        }
        if core.features.enterprise_attestation:
            enable = ConfigSubcommand.ENABLE_ENTERPRISE_ATTESTATION
            self._subcommands[enable] = self._enable_enterprise_attestation

    def run(self, arguments: Arguments) -> dict[int, Any]:
        """Execute one subcommand. Raises `CtapError`."""
        core = self._core
        number = arguments.required(Parameter.SUBCOMMAND, int)
        subcommand = self._subcommands.get(number)
        if subcommand is None:
            raise CtapError(Status.INVALID_PARAMETER)
        parameters = arguments.optional(Parameter.SUBCOMMAND_PARAMS, dict)
        # Without a PIN, alwaysUv may still be switched off: nothing could authorize it then.
        opening = number == ConfigSubcommand.TOGGLE_ALWAYS_UV and not core.protected
        if core.protected or (core.state.always_uv and not opening):
            encoded = b"" if parameters is None else cbor.encode(parameters)
            message = PREFIX + bytes([number]) + encoded
            core.authorize(arguments, KEYS, message, Permission.AUTHENTICATOR_CONFIGURATION)
        subcommand(Arguments(parameters or {}))
        core.body.save()
        return {}

    def _enable_enterprise_attestation(self, _: Arguments) -> None:
        self._core.state.enterprise_attestation = True

    def _toggle_always_uv(self, _: Arguments) -> None:
        state = self._core.state
        if state.always_uv and self._core.features.always_uv_fixed:
            raise CtapError(Status.OPERATION_DENIED)
        state.always_uv = not state.always_uv

    def _set_min_pin_length(self, parameters: Arguments) -> None:
        """CTAP 2.1, 6.11.4: the length only grows; a PIN that is too short must be changed."""
        core, state = self._core, self._core.state
        wanted = parameters.optional(SetMinPinLengthParameter.NEW_MIN_PIN_LENGTH, int)
        length = state.min_pin_length if wanted is None else wanted
        if not state.min_pin_length <= length <= MAX_PIN_LENGTH:
            raise CtapError(Status.PIN_POLICY_VIOLATION)
        force = parameters.optional(SetMinPinLengthParameter.FORCE_CHANGE_PIN, bool) or False
        if force and not core.protected:
            raise CtapError(Status.PIN_NOT_SET)
        rp_ids = parameters.optional(SetMinPinLengthParameter.RP_IDS, list)
        if rp_ids is not None:
            if any(not isinstance(rp_id, str) for rp_id in rp_ids):
                raise CtapError(Status.CBOR_UNEXPECTED_TYPE)
            if len(rp_ids) > core.features.max_min_pin_rp_ids:
                raise CtapError(Status.KEY_STORE_FULL)
            state.min_pin_rp_ids = list(rp_ids)
        state.min_pin_length = length
        if force or (core.protected and state.pin_length < length):
            state.force_pin_change = True
            core.token.reset()
