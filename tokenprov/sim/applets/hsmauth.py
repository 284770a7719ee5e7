"""The YubiHSM Auth application: keys that open sessions with a YubiHSM 2, and never leave.

Sources: the maker's "YubiHSM Auth" pages with their command APDUs and its host library. Rules

- The management key guards putting and deleting; its 8 tries come back with the right one. From
  the factory it is zeros. Wrong is 63Cx, and 63C0 for good once none is left: then reset.
- A credential's password guards its use. After 8 wrong ones in a row the credential is gone.
- A label names one credential: 6983 when it is taken, 6A82 when it is not there, 6A84 beyond 32.
- A credential for P-256 (firmware 5.6) agrees with an ephemeral key that GET CHALLENGE made before
  and that serves once. Its public key is read by everybody; asked of another it is 6983.
- A credential that wants a touch and does not get it is refused with 6982, at no cost.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from tokenprov.sim.apdu import SW, Command, Refusal
from tokenprov.sim.applet import Body, Version
from tokenprov.sim.applets.hsmauth_credentials import (
    PASSWORD_BYTES,
    TRIES,
    Credential,
    Fields,
    StaticKeys,
    Tag,
    check_complexity,
    curve_session_keys,
)
from tokenprov.sim.applets.piv_wire import tlv
from tokenprov.sim.models import Capability, Model
from tokenprov.sim.scp.primitives import point

AID = bytes.fromhex("a000000527210701")
MAXIMUM_CREDENTIALS = 32
FIRST_CURVE = (5, 6, 0)  # asymmetric credentials, and GET CHALLENGE
FIRST_CHALLENGE_PASSWORD = (5, 7, 1)
FIRST_CHANGE_PASSWORD = (5, 8, 0)
CHALLENGE_BYTES = 8
MANAGEMENT_KEY_BYTES = 16
DEFAULT_MANAGEMENT_KEY = bytes(MANAGEMENT_KEY_BYTES)


class Ins(IntEnum):
    """Instructions."""

    PUT = 0x01
    DELETE = 0x02
    CALCULATE = 0x03
    GET_CHALLENGE = 0x04
    LIST = 0x05
    RESET = 0x06
    GET_VERSION = 0x07
    PUT_MANAGEMENT_KEY = 0x08
    GET_MANAGEMENT_KEY_RETRIES = 0x09
    GET_PUBLIC_KEY = 0x0A
    CHANGE_PASSWORD = 0x0B


NOTHING_SPECIAL = (0x00, 0x00)  # P1 and P2
RESET = (0xDE, 0xAD)
BY_PASSWORD, BY_MANAGEMENT_KEY = (0x00, 0x00), (0x01, 0x00)  # who changes a password


@dataclass(frozen=True, slots=True, kw_only=True)
class _Handler:
    """What answers an instruction, since which firmware, for which P1 and P2."""

    answer: Callable[[HsmAuthApplet, Command], bytes]
    since: Version = (0, 0, 0)
    p1p2: tuple[tuple[int, int], ...] = (NOTHING_SPECIAL,)


class HsmAuthApplet:
    """YubiHSM Auth on one token."""

    name = "hsmauth"
    aid = AID

    def __init__(self, body: Body, model: Model) -> None:
        self._body = body
        self._model = model
        self._management_key = DEFAULT_MANAGEMENT_KEY
        self._management_tries = TRIES
        self._credentials: dict[bytes, Credential] = {}
        self._ephemeral: dict[bytes, ec.EllipticCurvePrivateKey] = {}  # by label

    @property
    def fips_approved(self) -> bool:
        """Whether the management key is no longer that of the factory."""
        capable = Capability.HSMAUTH in self._model.fips_capable
        return capable and self._management_key != DEFAULT_MANAGEMENT_KEY

    def select(self) -> bytes:
        """The version."""
        return tlv(Tag.VERSION, bytes(self._body.version))

    def deselect(self) -> None:
        """Challenges that were given are void."""
        self._ephemeral.clear()

    def power_up(self) -> None:
        """Challenges that were given are void."""
        self._ephemeral.clear()

    def process(self, command: Command) -> bytes:
        """Answer one command. Raises `Refusal`."""
        if command.cla != 0:
            raise Refusal(SW.CLASS_NOT_SUPPORTED)
        handler = _HANDLERS.get(command.ins)
        if handler is None or self._body.version < handler.since:
            raise Refusal(SW.INVALID_INSTRUCTION)
        if (command.p1, command.p2) not in handler.p1p2:
            raise Refusal(SW.WRONG_P1P2)
        return handler.answer(self, command)

    # --- with the management key -----------------------------------------------------------

    def put(self, command: Command) -> bytes:
        """Keep a new credential."""
        fields = Fields(command.data)
        management_key = fields.take(Tag.MANAGEMENT_KEY, MANAGEMENT_KEY_BYTES)
        credential = Credential.read(fields, curves=self._body.version >= FIRST_CURVE)
        self._check_management_key(management_key)
        if credential.label in self._credentials:
            raise Refusal(SW.AUTH_METHOD_BLOCKED)
        if len(self._credentials) >= MAXIMUM_CREDENTIALS:
            raise Refusal(SW.NO_SPACE)
        self._check_complexity(credential.password)
        self._body.spend("write")
        self._credentials[credential.label] = credential
        self._body.save()
        return b""

    def delete(self, command: Command) -> bytes:
        """Delete a credential."""
        fields = Fields(command.data)
        management_key = fields.take(Tag.MANAGEMENT_KEY, MANAGEMENT_KEY_BYTES)
        label = fields.take_label()
        fields.end()
        self._check_management_key(management_key)
        self._forget(self._find(label))
        self._body.save()
        return b""

    def put_management_key(self, command: Command) -> bytes:
        """Change the management key: the old one, then the new one."""
        fields = Fields(command.data)
        old = fields.take(Tag.MANAGEMENT_KEY, MANAGEMENT_KEY_BYTES)
        new = fields.take(Tag.MANAGEMENT_KEY, MANAGEMENT_KEY_BYTES)
        fields.end()
        self._check_management_key(old)
        self._check_complexity(new)
        self._management_key = new
        self._body.save()
        return b""

    def get_management_key_retries(self, command: Command) -> bytes:
        """How many tries the management key has left."""
        return bytes([self._management_tries])

    def _check_management_key(self, given: bytes) -> None:
        if self._management_tries and hmac.compare_digest(given, self._management_key):
            self._management_tries = TRIES
            self._body.save()
            return
        self._management_tries = max(self._management_tries - 1, 0)
        self._body.save()
        raise Refusal(SW.VERIFY_FAILED | self._management_tries)

    def _check_complexity(self, value: bytes) -> None:
        if self._model.pin_complexity:
            check_complexity(value)

    # --- with a credential's password ------------------------------------------------------

    def calculate(self, command: Command) -> bytes:
        """Session keys from a context."""
        fields = Fields(command.data)
        label, context = fields.take_label(), fields.take(Tag.CONTEXT)
        hsm = fields.take_if_any(Tag.PUBLIC_KEY)
        response = fields.take_if_any(Tag.RESPONSE)
        password = fields.take(Tag.PASSWORD, PASSWORD_BYTES)
        fields.end()
        credential = self._find(label)
        self._check_password(credential, password)
        if credential.touch and not self._body.touch():
            raise Refusal(SW.SECURITY_NOT_SATISFIED)
        if isinstance(credential.secret, StaticKeys):
            if hsm is not None:
                raise Refusal(SW.INCORRECT_PARAMETERS)
            return credential.secret.session_keys(context, response)
        if hsm is None or response is None:
            raise Refusal(SW.INCORRECT_PARAMETERS)
        ephemeral = self._ephemeral.pop(label, None)
        if ephemeral is None:
            raise Refusal(SW.CONDITIONS_NOT_SATISFIED)
        self._body.spend("p256")
        return curve_session_keys(credential.secret, ephemeral, context, hsm, response)

    def get_challenge(self, command: Command) -> bytes:
        """A random challenge, or for P-256 the public part of an ephemeral key."""
        fields = Fields(command.data)
        label, password = fields.take_label(), fields.take_if_any(Tag.PASSWORD)
        fields.end()
        credential = self._find(label)
        if password is not None:
            self._check_password(credential, password)
        if isinstance(credential.secret, StaticKeys):
            return self._body.random(CHALLENGE_BYTES)
        if password is None and self._body.version >= FIRST_CHALLENGE_PASSWORD:
            raise Refusal(SW.INCORRECT_PARAMETERS)
        self._ephemeral[label] = ec.generate_private_key(ec.SECP256R1())
        return point(self._ephemeral[label].public_key())

    def change_password(self, command: Command) -> bytes:
        """Change a credential's password, with the old one or the management key."""
        fields = Fields(command.data)
        label = fields.take_label()
        by_password = (command.p1, command.p2) == BY_PASSWORD
        if by_password:
            old = fields.take(Tag.PASSWORD)
        else:
            old = fields.take(Tag.MANAGEMENT_KEY, MANAGEMENT_KEY_BYTES)
        new = fields.take(Tag.PASSWORD, PASSWORD_BYTES)
        fields.end()
        credential = self._find(label)
        if by_password:
            self._check_password(credential, old)
        else:
            self._check_management_key(old)
        self._check_complexity(new)
        credential.password = new
        self._body.save()
        return b""

    def _check_password(self, credential: Credential, given: bytes) -> None:
        if hmac.compare_digest(given, credential.password):
            credential.tries = TRIES
            self._body.save()
            return
        credential.tries -= 1
        if not credential.tries:
            self._forget(credential)
        self._body.save()
        raise Refusal(SW.VERIFY_FAILED | credential.tries)

    def _forget(self, credential: Credential) -> None:
        del self._credentials[credential.label]
        self._ephemeral.pop(credential.label, None)

    # --- for everybody ---------------------------------------------------------------------

    def list(self, command: Command) -> bytes:
        """An entry for each credential: algorithm, touch, label and tries left."""
        entries = b""
        for each in self._credentials.values():
            head = bytes([each.algorithm, each.touch])
            entries += tlv(Tag.LIST_ENTRY, head + each.label + bytes([each.tries]))
        return entries

    def get_public_key(self, command: Command) -> bytes:
        """The public key of a credential for P-256."""
        fields = Fields(command.data)
        label = fields.take_label()
        fields.end()
        secret = self._find(label).secret
        if isinstance(secret, StaticKeys):
            raise Refusal(SW.AUTH_METHOD_BLOCKED)
        return point(secret.public_key())

    def get_version(self, command: Command) -> bytes:
        """The version, three bytes."""
        return bytes(self._body.version)

    def reset(self, command: Command) -> bytes:
        """As from the factory."""
        self._management_key, self._management_tries = DEFAULT_MANAGEMENT_KEY, TRIES
        self._credentials.clear()
        self._ephemeral.clear()
        self._body.save()
        return b""

    def _find(self, label: bytes) -> Credential:
        credential = self._credentials.get(label)
        if credential is None:
            raise Refusal(SW.FILE_NOT_FOUND)
        return credential

    # --- lasting state ---------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        """The lasting state; it holds the management key, passwords and keys."""
        return {
            "management_key": self._management_key.hex(),
            "management_tries": self._management_tries,
            "credentials": [each.dump() for each in self._credentials.values()],
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take the lasting state that `dump` gave."""
        self._management_key = bytes.fromhex(state["management_key"])
        self._management_tries = state["management_tries"]
        credentials = [Credential.from_state(each) for each in state["credentials"]]
        self._credentials = {each.label: each for each in credentials}


_HANDLERS: Mapping[int, _Handler] = {
    Ins.PUT: _Handler(answer=HsmAuthApplet.put),
    Ins.DELETE: _Handler(answer=HsmAuthApplet.delete),
    Ins.CALCULATE: _Handler(answer=HsmAuthApplet.calculate),
    Ins.GET_CHALLENGE: _Handler(answer=HsmAuthApplet.get_challenge, since=FIRST_CURVE),
    Ins.LIST: _Handler(answer=HsmAuthApplet.list),
    Ins.RESET: _Handler(answer=HsmAuthApplet.reset, p1p2=(RESET,)),
    Ins.GET_VERSION: _Handler(answer=HsmAuthApplet.get_version),
    Ins.PUT_MANAGEMENT_KEY: _Handler(answer=HsmAuthApplet.put_management_key),
    Ins.GET_MANAGEMENT_KEY_RETRIES: _Handler(answer=HsmAuthApplet.get_management_key_retries),
    Ins.GET_PUBLIC_KEY: _Handler(answer=HsmAuthApplet.get_public_key, since=FIRST_CURVE),
    Ins.CHANGE_PASSWORD: _Handler(
        answer=HsmAuthApplet.change_password,
        since=FIRST_CHANGE_PASSWORD,
        p1p2=(BY_PASSWORD, BY_MANAGEMENT_KEY),
    ),
}
