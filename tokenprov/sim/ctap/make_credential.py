"""authenticatorMakeCredential (CTAP 2.1, 6.1), step by step as 6.1.2 has them.

The attestation is "packed" with the certificate of the model, or with one that names the token
where enterprise attestation is on and asked for (CTAP 2.1, 7.1).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from tokenprov.sim.ctap import credentials
from tokenprov.sim.ctap.arguments import PUBLIC_KEY, Arguments
from tokenprov.sim.ctap.authenticator_data import attested_credential_data, authenticator_data
from tokenprov.sim.ctap.core import Core, PinUvParameters
from tokenprov.sim.ctap.extensions import RegistrationExtensions
from tokenprov.sim.ctap.keys import Algorithm, cose_public_key
from tokenprov.sim.ctap.state import Credential, same_account
from tokenprov.sim.ctap.wire import (
    AuthDataFlag,
    CredentialProtection,
    CtapError,
    Permission,
    Status,
)

MAX_NAME = 64  # bytes that are kept of a name; WebAuthn Level 2, 5.4.1
MAX_USER_ID = 64  # bytes; WebAuthn Level 2, 5.4.3
CLIENT_DATA_HASH_LENGTH = 32
ENTERPRISE_KINDS = (1, 2)  # vendor-facilitated, platform-managed; CTAP 2.1, 7.1.2


class Parameter(IntEnum):
    """Parameters of the command (CTAP 2.1, 6.1)."""

    CLIENT_DATA_HASH = 0x01
    RP = 0x02
    USER = 0x03
    PUB_KEY_CRED_PARAMS = 0x04
    EXCLUDE_LIST = 0x05
    EXTENSIONS = 0x06
    OPTIONS = 0x07
    PIN_UV_AUTH_PARAM = 0x08
    PIN_UV_AUTH_PROTOCOL = 0x09
    ENTERPRISE_ATTESTATION = 0x0A


class Response(IntEnum):
    """Members of the answer (CTAP 2.1, 6.1)."""

    FMT = 0x01
    AUTH_DATA = 0x02
    ATT_STMT = 0x03
    EP_ATT = 0x04
    LARGE_BLOB_KEY = 0x05


KEYS = PinUvParameters(Parameter.PIN_UV_AUTH_PARAM, Parameter.PIN_UV_AUTH_PROTOCOL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The parameters, typed. `user_verification` is the option uv."""

    client_data_hash: bytes
    rp_id: str
    user_id: bytes
    user_name: str | None
    user_display_name: str | None
    algorithms: Sequence[object]
    exclude: list[bytes]
    extensions: Arguments
    discoverable: bool
    user_presence: bool
    user_verification: bool
    has_param: bool
    enterprise: int | None

    @classmethod
    def parse(cls, arguments: Arguments, max_list: int) -> Request:
        """Raises `CtapError` for a parameter that is missing, of a wrong type or length."""
        client_data_hash = arguments.required(Parameter.CLIENT_DATA_HASH, bytes)
        if len(client_data_hash) != CLIENT_DATA_HASH_LENGTH:
            raise CtapError(Status.INVALID_LENGTH)
        rp = Arguments(arguments.required(Parameter.RP, dict))
        user = Arguments(arguments.required(Parameter.USER, dict))
        user_id = user.required("id", bytes)
        if not 0 < len(user_id) <= MAX_USER_ID:
            raise CtapError(Status.INVALID_LENGTH)
        options = arguments.map(Parameter.OPTIONS)
        has_param = arguments.optional(Parameter.PIN_UV_AUTH_PARAM, bytes) is not None
        return cls(
            client_data_hash=client_data_hash,
            rp_id=rp.required("id", str),
            user_id=user_id,
            user_name=user.optional("name", str),
            user_display_name=user.optional("displayName", str),
            algorithms=arguments.required(Parameter.PUB_KEY_CRED_PARAMS, list),
            exclude=arguments.descriptors(Parameter.EXCLUDE_LIST, max_list),
            extensions=arguments.map(Parameter.EXTENSIONS),
            discoverable=options.flag("rk", False),
            user_presence=options.flag("up", True),
            user_verification=options.flag("uv", False) and not has_param,  # step 5
            has_param=has_param,
            enterprise=arguments.optional(Parameter.ENTERPRISE_ATTESTATION, int),
        )


class MakeCredential:
    """The command."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def run(self, arguments: Arguments) -> dict[int, Any]:
        """Execute it. Raises `CtapError`."""
        core = self._core
        core.refuse_empty_param(arguments, KEYS)  # step 1
        if KEYS.param in arguments:  # step 2
            core.protocol(arguments, KEYS.protocol)
        request = Request.parse(arguments, core.features.max_list)
        algorithm = self._choose(request.algorithms)  # step 3
        if request.user_verification or not request.user_presence:  # step 5
            raise CtapError(Status.INVALID_OPTION)
        self._require_user_verification(request)  # steps 6 to 8
        named = self._enterprise(request)  # step 9
        extensions = RegistrationExtensions.parse(
            request.extensions, core.features, request.discoverable
        )
        flags = AuthDataFlag(0)
        if request.has_param and core.protected:  # step 11
            core.verify_user(
                arguments,
                KEYS,
                request.client_data_hash,
                Permission.MAKE_CREDENTIAL,
                request.rp_id,
            )
            flags |= AuthDataFlag.USER_VERIFIED
        self._exclude(request, bool(flags))  # step 12
        core.touch()  # steps 13 and 14
        core.token.user_acted()
        flags |= AuthDataFlag.USER_PRESENT
        credential = self._create(request, algorithm, extensions)  # steps 16 to 18
        return self._attest(request, credential, extensions, flags, named)  # step 19

    def _choose(self, wanted: Sequence[object]) -> Algorithm:
        """The first algorithm that both know; every entry must be well-formed."""
        chosen: Algorithm | None = None
        for entry in wanted:
            if not isinstance(entry, dict):
                raise CtapError(Status.CBOR_UNEXPECTED_TYPE)
            parameters = Arguments(entry)
            kind, number = parameters.required("type", str), parameters.required("alg", int)
            known = kind == PUBLIC_KEY and number in self._core.features.algorithms
            if known and chosen is None:
                chosen = Algorithm(number)
        if chosen is None:
            raise CtapError(Status.UNSUPPORTED_ALGORITHM)
        return chosen

    def _require_user_verification(self, request: Request) -> None:
        core = self._core
        if not core.features.ctap21 and request.has_param and not core.protected:
            raise CtapError(Status.PIN_NOT_SET)  # CTAP 2.0, 5.1
        if core.state.always_uv and (not core.protected or not request.has_param):
            raise CtapError(Status.PUAT_REQUIRED)
        needed = request.discoverable or not core.make_credential_uv_not_required
        if core.protected and not request.has_param and needed:
            raise CtapError(Status.PUAT_REQUIRED)

    def _enterprise(self, request: Request) -> bool:
        """Whether to attest with the certificate that names the token.

        Vendor-facilitated attestation has no RP IDs built in here, so only the platform-managed
        kind comes to it; the other falls back to the model's certificate (7.1.3).
        """
        if request.enterprise is None or not self._core.features.ctap21:
            return False
        if not self._core.state.enterprise_attestation:
            raise CtapError(Status.INVALID_PARAMETER)
        if request.enterprise not in ENTERPRISE_KINDS:
            raise CtapError(Status.INVALID_OPTION)
        return request.enterprise == ENTERPRISE_KINDS[1]

    def _exclude(self, request: Request, user_verified: bool) -> None:
        """Refuse when this authenticator holds a listed credential, after a touch either way."""
        rp_id_hash = hashlib.sha256(request.rp_id.encode()).digest()
        for id_ in request.exclude:
            credential = credentials.lookup(self._core.state, rp_id_hash, id_)
            if credential is None:
                continue
            hidden = credential.protection is CredentialProtection.UV_REQUIRED
            if hidden and not user_verified:
                continue
            self._core.body.touch()
            raise CtapError(Status.CREDENTIAL_EXCLUDED)

    def _create(
        self, request: Request, algorithm: Algorithm, extensions: RegistrationExtensions
    ) -> Credential:
        core, state = self._core, self._core.state
        rp_id_hash = hashlib.sha256(request.rp_id.encode()).digest()
        protection = extensions.protection or CredentialProtection.UV_OPTIONAL
        core.body.spend("p384" if algorithm is Algorithm.ES384 else "p256")
        if not request.discoverable:
            return credentials.wrap(
                state,
                core.body.random,
                rp_id_hash,
                algorithm,
                protection,
                extensions.hmac_secret,
            )
        credential = Credential(
            id=core.body.random(credentials.DISCOVERABLE_LENGTH),
            rp_id_hash=rp_id_hash,
            algorithm=algorithm,
            protection=protection,
            hmac_secret=extensions.hmac_secret,
            large_blob_key=extensions.large_blob_key,
            rp_id=request.rp_id,
            user_id=request.user_id,
            user_name=truncate(request.user_name),
            user_display_name=truncate(request.user_display_name),
            blob=(extensions.blob or b"") if extensions.blob_stored else b"",
        )
        replaces = any(same_account(other, credential) for other in state.credentials)
        if not replaces and len(state.credentials) >= core.features.capacity:
            raise CtapError(Status.KEY_STORE_FULL)
        state.keep(credential)
        return credential

    def _attest(
        self,
        request: Request,
        credential: Credential,
        extensions: RegistrationExtensions,
        flags: AuthDataFlag,
        named: bool,
    ) -> dict[int, Any]:
        core = self._core
        secret = credentials.key_secret(core.state, credential)
        public_key = cose_public_key(credential.algorithm, secret)
        data = authenticator_data(
            credential.rp_id_hash,
            flags,
            core.count(),
            attested_credential_data(core.aaguid, credential.id, public_key),
            extensions.outputs(core, request.rp_id),
        )
        core.body.save()
        key, x5c = core.attestation(core.body.serial if named else None)
        signature = key.sign(data + request.client_data_hash, ec.ECDSA(hashes.SHA256()))
        answer: dict[int, Any] = {
            Response.FMT: "packed",
            Response.AUTH_DATA: data,
            # WebAuthn Level 2, 8.2
            Response.ATT_STMT: {"alg": Algorithm.ES256, "sig": signature, "x5c": x5c},
        }
        if named:
            answer[Response.EP_ATT] = True
        if credential.large_blob_key:
            key_bytes = credentials.large_blob_key(core.state, credential)
            answer[Response.LARGE_BLOB_KEY] = key_bytes
        return answer


def truncate(name: str | None) -> str | None:
    """What is kept of a name: 64 bytes of UTF-8, cut between characters."""
    if name is None:
        return None
    return name.encode()[:MAX_NAME].decode(errors="ignore")
