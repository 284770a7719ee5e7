"""What the commands of one authenticator share: its state, its token, and the checks in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec

from tokenprov.sim.applet import Body
from tokenprov.sim.ctap.arguments import Arguments
from tokenprov.sim.ctap.features import Features
from tokenprov.sim.ctap.pin_protocol import PinUvAuthProtocol, protocols
from tokenprov.sim.ctap.pin_uv_token import PinUvAuthToken
from tokenprov.sim.ctap.state import AuthenticatorState
from tokenprov.sim.ctap.wire import CtapError, Permission, Status

AttestationSource = Callable[[int | None], tuple[ec.EllipticCurvePrivateKey, list[bytes]]]
"""Attestation key and x5c (DER, leaf first); with a serial number, those that name the token."""


@dataclass(frozen=True, slots=True)
class PinUvParameters:
    """The keys of pinUvAuthParam and pinUvAuthProtocol among the parameters of a command."""

    param: int
    protocol: int


class Core:
    """The inside of an authenticator. `power_up` renews what lasts only while there is power."""

    def __init__(
        self, body: Body, features: Features, aaguid: bytes, attestation: AttestationSource
    ) -> None:
        self.body = body
        self.features = features
        self.aaguid = aaguid
        self.attestation = attestation
        self.state = AuthenticatorState.factory(features, body.random)
        self.power_up()

    def power_up(self) -> None:
        """New key agreement keys, no token, no wrong PINs since power-up."""
        self.protocols: dict[int, PinUvAuthProtocol] = protocols(
            self.features.protocols, self.body.random
        )
        self.token = PinUvAuthToken(
            self.protocols, self.body.random, self.body.clock, self.features.ctap21
        )
        self.wrong_pins = 0  # in a row since power-up

    @property
    def protected(self) -> bool:
        """Whether some form of user verification is set up; a PIN is the only one there is."""
        return self.state.pin_hash is not None

    @property
    def make_credential_uv_not_required(self) -> bool:
        """The option makeCredUvNotRqd (CTAP 2.1, 6.4): never together with alwaysUv."""
        return self.features.ctap21 and not self.state.always_uv

    def protocol(self, arguments: Arguments, key: int) -> int:
        """The number of the protocol that a command names.

        Raises `CtapError`: MISSING_PARAMETER when it names none, INVALID_PARAMETER when it is not
        supported (CTAP 2.1, 6.1.2 step 2 and elsewhere).
        """
        number = arguments.required(key, int)
        if number not in self.protocols:
            raise CtapError(Status.INVALID_PARAMETER)
        return number

    def touch(self) -> None:
        """Wait for the user. Raises `CtapError` USER_ACTION_TIMEOUT when nobody came."""
        if not self.body.touch():
            raise CtapError(Status.USER_ACTION_TIMEOUT)

    def refuse_empty_param(self, arguments: Arguments, keys: PinUvParameters) -> None:
        """Answer the query of CTAP 2.0 platforms which token the user means to use.

        An empty pinUvAuthParam asks for a touch, and the error says whether there is a PIN
        (CTAP 2.1, 6.1.2 and 6.2.2 step 1).
        """
        if arguments.optional(keys.param, bytes) == b"":
            self.touch()
            raise CtapError(Status.PIN_INVALID if self.protected else Status.PIN_NOT_SET)

    def authorize(
        self,
        arguments: Arguments,
        keys: PinUvParameters,
        message: bytes,
        permission: Permission,
    ) -> None:
        """Check pinUvAuthParam over `message` and the token's permission.

        Raises `CtapError`: PUAT_REQUIRED when it is absent, PIN_AUTH_INVALID when it is wrong.
        """
        param = arguments.optional(keys.param, bytes)
        if param is None:
            raise CtapError(Status.PUAT_REQUIRED)
        number = self.protocol(arguments, keys.protocol)
        if not self.token.verify(number, message, param) or not self.token.permits(permission):
            raise CtapError(Status.PIN_AUTH_INVALID)

    def verify_user(
        self,
        arguments: Arguments,
        keys: PinUvParameters,
        client_data_hash: bytes,
        permission: Permission,
        rp_id: str,
    ) -> None:
        """Check that the token's user was verified for this RP (6.1.2 step 11, 6.2.2 step 6)."""
        self.authorize(arguments, keys, client_data_hash, permission)
        if not self.token.serves(rp_id) or not self.token.user_verified:
            raise CtapError(Status.PIN_AUTH_INVALID)

    def count(self) -> int:
        """The next value of the signature counter (WebAuthn Level 2, 6.1.1)."""
        self.state.counter += 1
        return self.state.counter
