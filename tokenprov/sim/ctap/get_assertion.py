"""authenticatorGetAssertion and GetNextAssertion (CTAP 2.1, 6.2 and 6.3).

Names of the user are told only after user verification, and only where there are several accounts
to choose from; GetNextAssertion works for 30 seconds, and not after any other command.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from tokenprov.sim.ctap import credentials
from tokenprov.sim.ctap.arguments import PUBLIC_KEY, Arguments
from tokenprov.sim.ctap.authenticator_data import authenticator_data
from tokenprov.sim.ctap.core import Core, PinUvParameters
from tokenprov.sim.ctap.extensions import AssertionExtensions
from tokenprov.sim.ctap.keys import sign
from tokenprov.sim.ctap.make_credential import CLIENT_DATA_HASH_LENGTH
from tokenprov.sim.ctap.state import Credential
from tokenprov.sim.ctap.wire import (
    AuthDataFlag,
    CredentialProtection,
    CtapError,
    Permission,
    Status,
)

NEXT_ASSERTION_LIMIT = 30.0  # seconds; CTAP 2.1, 6.3


class Parameter(IntEnum):
    """Parameters of the command (CTAP 2.1, 6.2)."""

    RP_ID = 0x01
    CLIENT_DATA_HASH = 0x02
    ALLOW_LIST = 0x03
    EXTENSIONS = 0x04
    OPTIONS = 0x05
    PIN_UV_AUTH_PARAM = 0x06
    PIN_UV_AUTH_PROTOCOL = 0x07


class Response(IntEnum):
    """Members of the answer (CTAP 2.1, 6.2)."""

    CREDENTIAL = 0x01
    AUTH_DATA = 0x02
    SIGNATURE = 0x03
    USER = 0x04
    NUMBER_OF_CREDENTIALS = 0x05
    LARGE_BLOB_KEY = 0x07


KEYS = PinUvParameters(Parameter.PIN_UV_AUTH_PARAM, Parameter.PIN_UV_AUTH_PROTOCOL)


@dataclass(kw_only=True)
class _Remembered:
    """The rest of an assertion that several accounts can make."""

    client_data_hash: bytes
    flags: AuthDataFlag
    extensions: AssertionExtensions
    left: list[Credential]
    since: float


class GetAssertion:
    """Both commands. `forget` ends the series of GetNextAssertion."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._remembered: _Remembered | None = None

    def forget(self) -> None:
        """Another command came, or power went."""
        self._remembered = None

    def run(self, arguments: Arguments) -> dict[int, Any]:
        """Execute GetAssertion, step by step as 6.2.2 has them. Raises `CtapError`."""
        core = self._core
        core.refuse_empty_param(arguments, KEYS)  # step 1
        if KEYS.param in arguments:  # step 2
            core.protocol(arguments, KEYS.protocol)
        rp_id = arguments.required(Parameter.RP_ID, str)
        client_data_hash = arguments.required(Parameter.CLIENT_DATA_HASH, bytes)
        if len(client_data_hash) != CLIENT_DATA_HASH_LENGTH:
            raise CtapError(Status.INVALID_LENGTH)
        allow = arguments.descriptors(Parameter.ALLOW_LIST, core.features.max_list)
        has_list = bool(arguments.optional(Parameter.ALLOW_LIST, list))
        has_param = KEYS.param in arguments
        user_present = self._options(arguments.map(Parameter.OPTIONS), has_param)  # steps 4 and 5

        flags = AuthDataFlag(0)
        if has_param and core.protected:  # step 6
            core.verify_user(arguments, KEYS, client_data_hash, Permission.GET_ASSERTION, rp_id)
            flags |= AuthDataFlag.USER_VERIFIED
        found = self._locate(rp_id, allow if has_list else None, bool(flags))  # step 7
        if user_present:  # steps 8 and 9
            core.touch()
            core.token.user_acted()
            flags |= AuthDataFlag.USER_PRESENT
        extensions = AssertionExtensions.parse(
            arguments.map(Parameter.EXTENSIONS), core, user_present
        )
        several = not has_list and len(found) > 1
        answer = self._assert(found[0], client_data_hash, flags, extensions, several)
        if several:  # step 12
            answer[Response.NUMBER_OF_CREDENTIALS] = len(found)
            self._remembered = _Remembered(
                client_data_hash=client_data_hash,
                flags=flags,
                extensions=extensions,
                left=found[1:],
                since=core.body.clock(),
            )
        return answer

    def run_next(self, _: Arguments) -> dict[int, Any]:
        """Execute GetNextAssertion. Raises `CtapError` NOT_ALLOWED when there is no next one."""
        rest = self._remembered
        now = self._core.body.clock()
        if rest is None or not rest.left or now - rest.since > NEXT_ASSERTION_LIMIT:
            self._remembered = None
            raise CtapError(Status.NOT_ALLOWED)
        rest.since = now
        credential = rest.left.pop(0)
        return self._assert(credential, rest.client_data_hash, rest.flags, rest.extensions, True)

    def _options(self, options: Arguments, has_param: bool) -> bool:
        """Check the options and give the user presence that is wanted."""
        core = self._core
        if options.flag("uv", False) and not has_param:
            raise CtapError(Status.INVALID_OPTION)
        if "rk" in options:
            raise CtapError(Status.UNSUPPORTED_OPTION)
        user_present = options.flag("up", True)
        if not core.features.ctap21 and has_param and not core.protected:  # CTAP 2.0, 5.2
            raise CtapError(Status.PIN_NOT_SET)
        if core.state.always_uv and user_present and not (core.protected and has_param):
            raise CtapError(Status.PUAT_REQUIRED)
        return user_present

    def _locate(
        self, rp_id: str, allow: list[bytes] | None, user_verified: bool
    ) -> list[Credential]:
        """The credentials that may answer, newest first. Raises `CtapError` NO_CREDENTIALS."""
        state = self._core.state
        rp_id_hash = hashlib.sha256(rp_id.encode()).digest()
        hidden = {CredentialProtection.UV_REQUIRED}
        if allow is None:
            found = state.find(rp_id_hash)
            hidden.add(CredentialProtection.UV_OPTIONAL_WITH_LIST)
        else:
            located = (credentials.lookup(state, rp_id_hash, id_) for id_ in allow)
            found = [credential for credential in located if credential is not None]
        if not user_verified:
            found = [c for c in found if c.protection not in hidden]
        if not found:
            raise CtapError(Status.NO_CREDENTIALS)
        return found

    def _assert(
        self,
        credential: Credential,
        client_data_hash: bytes,
        flags: AuthDataFlag,
        extensions: AssertionExtensions,
        several: bool,
    ) -> dict[int, Any]:
        core = self._core
        verified = AuthDataFlag.USER_VERIFIED in flags
        outputs = extensions.outputs(core, credential, verified)
        data = authenticator_data(credential.rp_id_hash, flags, core.count(), extensions=outputs)
        core.body.save()
        secret = credentials.key_secret(core.state, credential)
        core.body.spend("p256")
        answer: dict[int, Any] = {
            Response.CREDENTIAL: {"id": credential.id, "type": PUBLIC_KEY},
            Response.AUTH_DATA: data,
            Response.SIGNATURE: sign(credential.algorithm, secret, data + client_data_hash),
        }
        if credential.discoverable:
            answer[Response.USER] = user_entity(credential, names=verified and several)
        if extensions.large_blob_key and credential.large_blob_key:
            answer[Response.LARGE_BLOB_KEY] = credentials.large_blob_key(core.state, credential)
        return answer


def user_entity(credential: Credential, names: bool) -> dict[str, Any]:
    """The user of a credential (WebAuthn Level 2, 5.4.3), with the names or without."""
    user: dict[str, Any] = {"id": credential.user_id}
    if names and credential.user_name is not None:
        user["name"] = credential.user_name
    if names and credential.user_display_name is not None:
        user["displayName"] = credential.user_display_name
    return user
