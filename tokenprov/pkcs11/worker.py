"""The process that a PKCS#11 module runs in: `python -m tokenprov.pkcs11.worker SOCKET MODULE`.

It answers one request at a time, each a line of JSON on the socket that it inherits, bytes in hex;
what the module prints goes nowhere. PINs come in requests and stand nowhere else: no argument, no
environment, no core dump. Rules:

- A token is found by its serial each time: slots are renumbered. One without a serial is found by
  its slot, and only while it has none.
- A session that a pull or a reset ended is given up, and the next request opens another.
- After a failed login the library is initialised anew, because the session that was opened for it
  is lost otherwise.
- What python-pkcs11 does not offer is called through the module's own list of functions (`raw`), so
  that the PIN stays in this process.
"""

from __future__ import annotations

import json
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pkcs11
from pkcs11 import (
    KDF,
    Attribute,
    KeyType,
    Mechanism,
    MechanismFlag,
    ObjectClass,
    TokenFlag,
)
from pkcs11.exceptions import (
    DeviceRemoved,
    PKCS11Error,
    SessionClosed,
    SessionHandleInvalid,
    TokenNotPresent,
    UserNotLoggedIn,
)

from tokenprov.pkcs11 import raw
from tokenprov.pkcs11.shown import public_parts, read, shown, text

CERTIFICATE_X509 = 0
SECRET_BITS = 8  # to a byte of an ECDH secret

_FLAGS = (
    TokenFlag.TOKEN_INITIALIZED,
    TokenFlag.USER_PIN_INITIALIZED,
    TokenFlag.USER_PIN_LOCKED,
    TokenFlag.USER_PIN_FINAL_TRY,
    TokenFlag.USER_PIN_COUNT_LOW,
    TokenFlag.SO_PIN_LOCKED,
    TokenFlag.SO_PIN_FINAL_TRY,
    TokenFlag.SO_PIN_COUNT_LOW,
    TokenFlag.WRITE_PROTECTED,
    TokenFlag.LOGIN_REQUIRED,
    TokenFlag.PROTECTED_AUTHENTICATION_PATH,
)
# The token went, or was reset, and with it what its session was opened for
LOST = (DeviceRemoved, SessionClosed, SessionHandleInvalid, TokenNotPresent, UserNotLoggedIn)


class Failed(Exception):
    """What the module answered, by the name that python-pkcs11 has for it, or a number."""


class Worker:
    """One module, and the session that is open."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._library = pkcs11.lib(path)
        self._session: Any = None
        self._opened: tuple[Any, ...] = ()  # what the session is open for

    # --- tokens ----------------------------------------------------------------------------

    def tokens(self) -> list[dict[str, Any]]:
        """All that are there."""
        self._library.get_slots()  # lets modules look for readers that are new
        return [
            {
                "slot": slot.slot_id,
                "reader": text(slot.slot_description),
                "label": text(token.label),
                "serial": text(token.serial),
                "maker": text(token.manufacturer_id),
                "model": text(token.model),
                "firmware": ".".join(map(str, token.firmware_version)),
                "flags": [flag.name for flag in _FLAGS if flag in token.flags],
            }
            for slot, token in self._found()
        ]

    def _found(self) -> Iterator[tuple[Any, Any]]:
        for slot in self._library.get_slots(token_present=True):
            try:
                yield slot, slot.get_token()
            except PKCS11Error:  # taken out meanwhile, or nothing that the module knows
                continue

    def _token(self, serial: str, slot: int) -> Any:
        found = [
            token
            for there, token in self._found()
            if text(token.serial) == serial and (serial or there.slot_id == slot)
        ]
        if len(found) != 1:
            raise Failed("TokenNotPresent" if not found else "SerialTwice")
        return found[0]

    def mechanisms(self, serial: str, slot: int) -> list[str]:
        """Those that the module says it has; numbers for those without a name."""
        found = self._token(serial, slot).slot.get_mechanisms()
        return sorted(getattr(one, "name", str(one)) for one in found)

    def pin_lengths(self, serial: str, slot: int) -> tuple[int, int]:
        """The least and the most characters of its PINs, as it says itself."""
        return raw.pin_lengths(self._path, self._token(serial, slot).slot.slot_id)

    def initialise(self, serial: str, slot: int, label: str, so_pin: str) -> None:
        """C_InitToken: everything on it goes."""
        token = self._token(serial, slot)
        self._close()
        code = raw.init_token(self._path, token.slot.slot_id, so_pin.encode(), label.encode())
        self._library.reinitialize()
        if code:
            raise Failed(raw.NAMES.get(code, f"{code:#x}"))

    def init_pin(self, serial: str, so_pin: str, pin: str) -> None:
        """The security officer sets the user's PIN."""
        self._open(serial, so_pin=so_pin).init_pin(pin)
        self._close()

    def set_pin(self, serial: str, user: str, old: str, new: str) -> None:
        """Change the PIN of "user" or "so"."""
        session = self._open(serial, 0, **{f"{user}_pin": old})
        session.set_pin(old, new)
        self._close()

    def login(self, serial: str, user: str, pin: str) -> None:
        """Try a PIN: it is right, or this fails and costs a try."""
        self._close()
        self._open(serial, 0, **{f"{user}_pin": pin})

    # --- objects ---------------------------------------------------------------------------

    def objects(self, serial: str, slot: int, pin: str | None) -> list[dict[str, Any]]:
        """Keys, certificates and data, those that want a PIN too where it is given."""
        token = self._open(serial, user_pin=pin) if pin else self._open(serial, slot)
        return [shown(one) for one in token.get_objects()]

    def generate(
        self, serial: str, pin: str, type: str, id: str, label: str, bits: int, params: str
    ) -> dict[str, Any]:
        """A key pair with every attribute said: it signs, and never leaves the token."""
        session = self._open(serial, user_pin=pin)
        kind = KeyType[type]
        said: dict[str, Any] = {
            "id": bytes.fromhex(id),
            "label": label,
            "store": True,
            "capabilities": MechanismFlag.SIGN | MechanismFlag.VERIFY,
            "public_template": {Attribute.PRIVATE: False},
            "private_template": {
                Attribute.PRIVATE: True,
                Attribute.SENSITIVE: True,
                Attribute.EXTRACTABLE: False,
            },
        }
        if kind is KeyType.RSA:
            made, _ = session.generate_keypair(kind, bits, **said)
        else:
            curve = {Attribute.EC_PARAMS: bytes.fromhex(params)}
            domain = session.create_domain_parameters(kind, curve, local=True)
            made, _ = domain.generate_keypair(**said)
        return public_parts(made)

    def sign(self, serial: str, pin: str, id: str, label: str, mechanism: str, data: str) -> str:
        """A signature by that private key, with the PIN again where the key asks for it."""
        key = self._key(serial, pin, id, label)
        again = pin if read(key, Attribute.ALWAYS_AUTHENTICATE) else None
        signed = key.sign(bytes.fromhex(data), mechanism=Mechanism[mechanism], pin=again)
        return bytes(signed).hex()

    def derive(self, serial: str, pin: str, id: str, label: str, point: str, size: int) -> str:
        """ECDH with that private key: the x coordinate (6.3.17)."""
        shared = self._key(serial, pin, id, label).derive_key(
            KeyType.GENERIC_SECRET,
            size * SECRET_BITS,
            mechanism_param=(KDF.NULL, None, bytes.fromhex(point)),
            template={Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True},
        )
        return bytes(shared[Attribute.VALUE]).hex()

    def put_certificate(
        self, serial: str, pin: str, id: str, label: str, value: str, subject: str
    ) -> None:
        """Write a certificate that all may read."""
        self._open(serial, user_pin=pin).create_object(
            {
                Attribute.CLASS: ObjectClass.CERTIFICATE,
                Attribute.CERTIFICATE_TYPE: CERTIFICATE_X509,
                Attribute.TOKEN: True,
                Attribute.PRIVATE: False,
                Attribute.ID: bytes.fromhex(id),
                Attribute.LABEL: label,
                Attribute.SUBJECT: bytes.fromhex(subject),
                Attribute.VALUE: bytes.fromhex(value),
            }
        )

    def remove_certificate(self, serial: str, pin: str, id: str, value: str) -> None:
        """Remove that certificate from under that id; nothing where it is not there."""
        wanted = {Attribute.CLASS: ObjectClass.CERTIFICATE, Attribute.ID: bytes.fromhex(id)}
        for one in list(self._open(serial, user_pin=pin).get_objects(wanted)):
            if bytes(read(one, Attribute.VALUE) or b"") == bytes.fromhex(value):
                one.destroy()

    def _key(self, serial: str, pin: str, id: str, label: str) -> Any:
        wanted: dict[Attribute, Any] = {Attribute.CLASS: ObjectClass.PRIVATE_KEY}
        if id:
            wanted[Attribute.ID] = bytes.fromhex(id)
        if label:
            wanted[Attribute.LABEL] = label
        found = list(self._open(serial, user_pin=pin).get_objects(wanted))
        if len(found) != 1:
            raise Failed("KeyHandleInvalid" if not found else "KeyTwice")
        return found[0]

    # --- the session -----------------------------------------------------------------------

    def _open(self, serial: str, slot: int = 0, **pin: str) -> Any:
        wanted = (serial, slot, *sorted(pin.items()))
        if self._session is not None and self._opened == wanted:
            return self._session
        self._close()
        token = self._token(serial, slot)
        try:
            self._session = token.open(rw=True, **pin)
        except PKCS11Error:
            self._library.reinitialize()
            raise
        self._opened = wanted
        return self._session

    def _close(self) -> None:
        session, self._session, self._opened = self._session, None, ()
        if session is not None:
            with suppress(*LOST):
                session.close()

    def answer(self, operation: str, given: dict[str, Any]) -> Any:
        """What an operation gives; one that finds its session lost leaves none behind."""
        do: Callable[..., Any] = getattr(self, operation)
        try:
            return do(**given)
        except LOST:
            self._close()
            raise


def serve(channel: socket.socket, path: str) -> None:
    """Answer requests until the channel closes."""
    with channel, channel.makefile("rw", encoding="ascii", newline="\n") as lines:
        worker: Worker | None = None
        for line in lines:
            request = json.loads(line)
            try:
                worker = worker or Worker(path)
                answer = {"answer": worker.answer(request["do"], request["with"])}
            except Failed as error:
                answer = {"failed": str(error), "text": ""}
            except PKCS11Error as error:
                answer = {"failed": type(error).__name__, "text": str(error)}
            except (OSError, RuntimeError, AttributeError, NotImplementedError) as error:
                answer = {"failed": type(error).__name__, "text": ""}
            lines.write(json.dumps(answer) + "\n")
            lines.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's interrupt is for the other process
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2])
