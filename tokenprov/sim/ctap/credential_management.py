"""authenticatorCredentialManagement (CTAP 2.1, 6.8), also as command 0x41 before CTAP 2.1.

An enumeration goes on only while no other command comes between its steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import IntEnum
from typing import Any

from tokenprov.sim.ctap import cbor, credentials
from tokenprov.sim.ctap.arguments import PUBLIC_KEY, Arguments, descriptor
from tokenprov.sim.ctap.core import Core, PinUvParameters
from tokenprov.sim.ctap.get_assertion import user_entity
from tokenprov.sim.ctap.keys import cose_public_key
from tokenprov.sim.ctap.make_credential import truncate
from tokenprov.sim.ctap.state import Credential
from tokenprov.sim.ctap.wire import (
    CredentialManagementSubcommand,
    CtapError,
    Permission,
    Status,
)

Answer = dict[int, Any]


class Parameter(IntEnum):
    """Parameters of the command (CTAP 2.1, 6.8)."""

    SUBCOMMAND = 0x01
    SUBCOMMAND_PARAMS = 0x02
    PIN_UV_AUTH_PROTOCOL = 0x03
    PIN_UV_AUTH_PARAM = 0x04


class SubcommandParameter(IntEnum):
    """Parameters of the subcommands (CTAP 2.1, 6.8)."""

    RP_ID_HASH = 0x01
    CREDENTIAL_ID = 0x02
    USER = 0x03


class Response(IntEnum):
    """Members of the answers (CTAP 2.1, 6.8)."""

    EXISTING_COUNT = 0x01
    MAX_REMAINING = 0x02
    RP = 0x03
    RP_ID_HASH = 0x04
    TOTAL_RPS = 0x05
    USER = 0x06
    CREDENTIAL_ID = 0x07
    PUBLIC_KEY = 0x08
    TOTAL_CREDENTIALS = 0x09
    CRED_PROTECT = 0x0A
    LARGE_BLOB_KEY = 0x0B


KEYS = PinUvParameters(Parameter.PIN_UV_AUTH_PARAM, Parameter.PIN_UV_AUTH_PROTOCOL)


class CredentialManagement:
    """The command and its subcommands. `forget` ends an enumeration."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._rps: list[Credential] = []
        self._credentials: list[Credential] = []
        sub = CredentialManagementSubcommand
        self._subcommands: dict[int, Callable[[Arguments, int], Answer]] = {
            sub.GET_CREDS_METADATA: self._metadata,
            sub.ENUMERATE_RPS_BEGIN: self._rps_begin,
            sub.ENUMERATE_RPS_NEXT: self._rps_next,
            sub.ENUMERATE_CREDENTIALS_BEGIN: self._credentials_begin,
            sub.ENUMERATE_CREDENTIALS_NEXT: self._credentials_next,
            sub.DELETE_CREDENTIAL: self._delete,
        }
        if core.features.ctap21:
            self._subcommands[sub.UPDATE_USER_INFORMATION] = self._update

    def forget(self) -> None:
        """Another command came, or power went."""
        self._rps, self._credentials = [], []

    def run(self, arguments: Arguments) -> Answer:
        """Execute one subcommand. Raises `CtapError`."""
        number = arguments.required(Parameter.SUBCOMMAND, int)
        subcommand = self._subcommands.get(number)
        if subcommand is None:
            new = self._core.features.ctap21
            raise CtapError(Status.INVALID_SUBCOMMAND if new else Status.INVALID_PARAMETER)
        if number != CredentialManagementSubcommand.ENUMERATE_RPS_NEXT:
            self._rps = []
        if number != CredentialManagementSubcommand.ENUMERATE_CREDENTIALS_NEXT:
            self._credentials = []
        return subcommand(arguments, number)

    def _authorize(self, arguments: Arguments, number: int) -> Arguments:
        """Check the token over the subcommand and its parameters, and give the parameters."""
        parameters = arguments.optional(Parameter.SUBCOMMAND_PARAMS, dict)
        message = bytes([number]) + (b"" if parameters is None else cbor.encode(parameters))
        self._core.authorize(arguments, KEYS, message, Permission.CREDENTIAL_MANAGEMENT)
        return Arguments(parameters or {})

    def _refuse_rp_bound(self) -> None:
        if self._core.features.ctap21 and self._core.token.rp_id is not None:
            raise CtapError(Status.PIN_AUTH_INVALID)

    def _refuse_other_rp(self, credential: Credential) -> None:
        """A token that names an RP manages that RP's credentials only."""
        bound = self._core.token.rp_id
        if self._core.features.ctap21 and bound is not None and bound != credential.rp_id:
            raise CtapError(Status.PIN_AUTH_INVALID)

    def _metadata(self, arguments: Arguments, number: int) -> Answer:
        self._authorize(arguments, number)
        self._refuse_rp_bound()
        count = len(self._core.state.credentials)
        return {
            Response.EXISTING_COUNT: count,
            Response.MAX_REMAINING: self._core.features.capacity - count,
        }

    def _rps_begin(self, arguments: Arguments, number: int) -> Answer:
        self._authorize(arguments, number)
        self._refuse_rp_bound()
        rps = {c.rp_id_hash: c for c in self._core.state.credentials}
        if not rps:
            raise CtapError(Status.NO_CREDENTIALS)
        self._rps = list(rps.values())
        return self._next_rp() | {Response.TOTAL_RPS: len(rps)}

    def _rps_next(self, _: Arguments, __: int) -> Answer:
        if not self._rps:
            raise CtapError(Status.NOT_ALLOWED)
        return self._next_rp()

    def _next_rp(self) -> Answer:
        credential = self._rps.pop(0)
        return {
            Response.RP: {"id": credential.rp_id},
            Response.RP_ID_HASH: credential.rp_id_hash,
        }

    def _credentials_begin(self, arguments: Arguments, number: int) -> Answer:
        parameters = self._authorize(arguments, number)
        rp_id_hash = parameters.required(SubcommandParameter.RP_ID_HASH, bytes)
        found = self._core.state.find(rp_id_hash)
        if not found:
            raise CtapError(Status.NO_CREDENTIALS)
        self._refuse_other_rp(found[0])
        self._credentials = found
        total = len(found)
        return self._next_credential() | {Response.TOTAL_CREDENTIALS: total}

    def _credentials_next(self, _: Arguments, __: int) -> Answer:
        if not self._credentials:
            raise CtapError(Status.NOT_ALLOWED)
        return self._next_credential()

    def _next_credential(self) -> Answer:
        state, credential = self._core.state, self._credentials.pop(0)
        secret = credentials.key_secret(state, credential)
        answer: Answer = {
            Response.USER: user_entity(credential, names=True),
            Response.CREDENTIAL_ID: {"id": credential.id, "type": PUBLIC_KEY},
            Response.PUBLIC_KEY: cose_public_key(credential.algorithm, secret),
            Response.CRED_PROTECT: credential.protection,
        }
        if credential.large_blob_key:
            answer[Response.LARGE_BLOB_KEY] = credentials.large_blob_key(state, credential)
        return answer

    def _delete(self, arguments: Arguments, number: int) -> Answer:
        credential = self._named(self._authorize(arguments, number))
        self._core.state.credentials.remove(credential)
        self._core.body.save()
        return {}

    def _update(self, arguments: Arguments, number: int) -> Answer:
        parameters = self._authorize(arguments, number)
        user = Arguments(parameters.required(SubcommandParameter.USER, dict))
        credential = self._named(parameters)
        if user.required("id", bytes) != credential.user_id:
            raise CtapError(Status.INVALID_PARAMETER)
        updated = replace(
            credential,
            user_name=truncate(user.optional("name", str)) or None,
            user_display_name=truncate(user.optional("displayName", str)) or None,
        )
        kept = self._core.state.credentials
        kept[kept.index(credential)] = updated
        self._core.body.save()
        return {}

    def _named(self, parameters: Arguments) -> Credential:
        """The discoverable credential that the parameters name."""
        id_ = descriptor(parameters.required(SubcommandParameter.CREDENTIAL_ID, dict))
        for credential in self._core.state.credentials:
            if credential.id == id_:
                self._refuse_other_rp(credential)
                return credential
        raise CtapError(Status.NO_CREDENTIALS)
