"""The authenticator: from message to answer, whatever the transport (CTAP 2.1, 6 and 8).

A message is a command byte and, for most commands, a CBOR map; an answer is a status byte and,
where there is something to say, a CBOR map. Every message gets an answer; none raises.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tokenprov.sim.apdu import Command as Apdu
from tokenprov.sim.applet import Body
from tokenprov.sim.ctap import cbor
from tokenprov.sim.ctap.arguments import Arguments
from tokenprov.sim.ctap.client_pin import ClientPin
from tokenprov.sim.ctap.config import Config
from tokenprov.sim.ctap.core import AttestationSource, Core
from tokenprov.sim.ctap.credential_management import CredentialManagement
from tokenprov.sim.ctap.features import Features
from tokenprov.sim.ctap.get_assertion import GetAssertion
from tokenprov.sim.ctap.get_info import get_info
from tokenprov.sim.ctap.large_blobs import LargeBlobs
from tokenprov.sim.ctap.make_credential import MakeCredential
from tokenprov.sim.ctap.state import AuthenticatorState
from tokenprov.sim.ctap.u2f import U2f
from tokenprov.sim.ctap.wire import Command, CtapError, Status

RESET_WINDOW = 10.0  # seconds after power-up; CTAP 2.1, 6.6

WITHOUT_PARAMETERS = (
    Command.GET_INFO,
    Command.RESET,
    Command.GET_NEXT_ASSERTION,
    Command.SELECTION,
)
ENUMERATING = (Command.CREDENTIAL_MANAGEMENT, Command.CREDENTIAL_MANAGEMENT_PREVIEW)


class CtapAuthenticator:
    """One authenticator. It lives as long as its token; `power_up` says that power came back."""

    def __init__(
        self, body: Body, features: Features, aaguid: bytes, attestation: AttestationSource
    ) -> None:
        self._core = core = Core(body, features, aaguid, attestation)
        self.u2f = U2f(core)
        self._assertions = GetAssertion(core)
        self._management = CredentialManagement(core)
        self._large_blobs = LargeBlobs(core)
        self._commands: dict[int, Callable[[Arguments], dict[int, Any]]] = {}
        if features.ctap2:
            self._commands |= {
                Command.MAKE_CREDENTIAL: MakeCredential(core).run,
                Command.GET_ASSERTION: self._assertions.run,
                Command.GET_NEXT_ASSERTION: self._assertions.run_next,
                Command.GET_INFO: lambda _: get_info(core),
                Command.CLIENT_PIN: ClientPin(core).run,
                Command.RESET: self._reset,
            }
        if features.credential_preview and features.ctap2:
            self._commands[Command.CREDENTIAL_MANAGEMENT_PREVIEW] = self._management.run
        if features.ctap21 and features.ctap2:
            self._commands |= {
                Command.CREDENTIAL_MANAGEMENT: self._management.run,
                Command.SELECTION: self._select,
                Command.LARGE_BLOBS: self._large_blobs.run,
                Command.CONFIG: Config(core).run,
            }

    def process(self, message: bytes) -> bytes:
        """Answer one CTAP2 message: status byte, then CBOR."""
        try:
            answer = self._run(message)
        except CtapError as error:
            return bytes([error.status])
        return bytes([Status.OK]) + (cbor.encode(answer) if answer else b"")

    def power_up(self) -> None:
        """Forget all volatile state."""
        self._core.power_up()
        self._assertions.forget()
        self._management.forget()
        self._large_blobs.forget()

    @property
    def has_ctap2(self) -> bool:
        """Whether it speaks CTAP2, and not only U2F."""
        return self._core.features.ctap2

    @property
    def has_u2f(self) -> bool:
        """Whether there is U2F at the moment."""
        return self.u2f.enabled

    def process_u2f(self, command: Apdu) -> bytes:
        """Answer one U2F message. Raises `Refusal`."""
        return self.u2f.process(command)

    def process_vendor(self, command: int, data: bytes) -> bytes | None:
        """It has no command beside the standard's; what it is built into may."""
        return None

    @property
    def has_pin(self) -> bool:
        """Whether a PIN is set."""
        return self._core.protected

    def dump(self) -> dict[str, Any]:
        """The lasting state as JSON-able data."""
        return self._core.state.dump()

    def load(self, state: dict[str, Any]) -> None:
        """Take the lasting state that `dump` gave."""
        self._core.state = AuthenticatorState.load(state)

    def _run(self, message: bytes) -> dict[int, Any]:
        if len(message) > self._core.features.max_message:
            raise CtapError(Status.REQUEST_TOO_LARGE)
        number = message[0] if message else None
        command = None if number is None else self._commands.get(number)
        if command is None:
            raise CtapError(Status.INVALID_COMMAND)
        if number != Command.GET_NEXT_ASSERTION:
            self._assertions.forget()
        if number not in ENUMERATING:
            self._management.forget()
        return command(Arguments(_parameters(number, message[1:])))

    def _select(self, _: Arguments) -> dict[int, Any]:
        """Selection (CTAP 2.1, 6.9): whether the user means this token."""
        self._core.touch()
        return {}

    def _reset(self, _: Arguments) -> dict[int, Any]:
        """Reset (CTAP 2.1, 6.6): back to the factory, soon after power-up only."""
        core = self._core
        if core.body.clock() - core.body.powered_at > RESET_WINDOW:
            raise CtapError(Status.NOT_ALLOWED)
        core.touch()
        counter = core.state.counter
        core.state = AuthenticatorState.factory(core.features, core.body.random)
        core.state.counter = counter  # it never goes back; WebAuthn Level 2, 6.1.1
        core.body.save()
        self.power_up()
        return {}


def _parameters(number: int | None, encoded: bytes) -> dict[Any, Any]:
    if number in WITHOUT_PARAMETERS and not encoded:
        return {}
    try:
        parameters = cbor.decode(encoded)
    except cbor.CborError as exc:
        raise CtapError(Status.INVALID_CBOR) from exc
    if not isinstance(parameters, dict):
        raise CtapError(Status.CBOR_UNEXPECTED_TYPE)
    return parameters
