"""A PKCS#11 module, asked through its worker process: it may crash, hang and lie.

Rules:
- One process a module, one request at a time. A request that is not answered in its time ends the
  process; one that died is started again by the next request, and none is sent twice by itself.
- What comes back is text and numbers (`values` reads them); nothing of the module is in this
  process. PINs go over the socket, and stand in no argument and no environment.
- Tokens are named by their serials.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

from tokenprov.errors import (
    AuthenticationBlocked,
    AuthenticationFailed,
    InputError,
    NotSupported,
    TokenError,
    TokenGone,
    TokenRefused,
    TokenReset,
    WrongToken,
)
from tokenprov.pkcs11.values import (
    BITS,
    PARAMS,
    Algorithm,
    Found,
    KeyPair,
    PublicKey,
    Stored,
    TokenInfo,
    encoded_signature,
    parse_public,
    signing_ways,
)
from tokenprov.secret import Secret

SHORT = 30.0  # seconds for a request
LONG = 300.0  # seconds for one that makes a key, or a whole token anew
STOPPING = 5.0  # seconds that the process may take to end
ANSWER_LIMIT = 16 * 1024 * 1024  # bytes: more is no answer

_WRONG_PIN = {"PinIncorrect", "PinInvalid", "PinLenRange", "PinExpired", "C_InitToken 0xa0"}
_LOCKED = {"PinLocked", "C_InitToken 0xa4"}
_TWO_TOKENS = "SerialTwice"
_GONE = {
    *("TokenNotPresent", "DeviceRemoved", "TokenNotRecognised", "SlotIDInvalid"),
    *("SessionHandleInvalid", "SessionClosed"),
}
_RESET = "UserNotLoggedIn"  # though it was logged in
_MISSING = {
    *("MechanismInvalid", "FunctionNotSupported", "MechanismParamInvalid", "KeyTypeInconsistent"),
    *("TemplateInconsistent", "AttributeValueInvalid", "AttributeTypeInvalid", "C_InitToken 0x54"),
    *("CurveNotSupported", "DomainParamsInvalid", "KeySizeRange"),
}


class Module:
    """One module. Safe for threads: they take turns."""

    def __init__(self, path: Path, *, short: float = SHORT, long: float = LONG) -> None:
        """`short` and `long` are seconds. Raises `InputError` where there is no such file."""
        if not path.is_file():
            raise InputError(
                f"there is no PKCS#11 module {path}",
                remedy="Write the path of its .so file, as its maker's package installs it.",
            )
        self.path = path
        self._short, self._long = short, long
        self._turn = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        with self._turn:
            self._stop()

    # --- tokens ----------------------------------------------------------------------------

    def tokens(self) -> tuple[TokenInfo, ...]:
        """All tokens that the module sees now."""
        return tuple(
            TokenInfo(**{**one, "flags": frozenset(one["flags"])})
            for one in self._ask("looking for tokens", "tokens")
        )

    def mechanisms(self, token: TokenInfo) -> frozenset[str]:
        """What the module says that the token can do; whether it can is seen when it does."""
        return frozenset(
            self._ask("reading mechanisms", "mechanisms", serial=token.serial, slot=token.slot)
        )

    def initialise(self, token: TokenInfo, label: str, so_pin: Secret) -> None:
        """C_InitToken: all that is on the token goes, and it has that label."""
        self._ask(
            *("initialising the token", "initialise"),
            seconds=self._long,
            serial=token.serial,
            slot=token.slot,
            label=label,
            so_pin=so_pin.reveal_text(),
        )

    def set_user_pin(self, serial: str, so_pin: Secret, pin: Secret) -> None:
        """By the security officer, whatever it was before."""
        self._ask(
            *("setting the user PIN", "init_pin"),
            serial=serial,
            so_pin=so_pin.reveal_text(),
            pin=pin.reveal_text(),
        )

    def change_so_pin(self, serial: str, old: Secret, new: Secret) -> None:
        """Spends a try when the old one is wrong."""
        self._ask(
            *("changing the SO PIN", "set_pin"),
            serial=serial,
            user="so",
            old=old.reveal_text(),
            new=new.reveal_text(),
        )

    def log_in(self, serial: str, pin: Secret) -> None:
        """Whether that is the user PIN; spends a try when it is not."""
        text = pin.reveal_text()
        self._ask("verifying the user PIN", "login", serial=serial, user="user", pin=text)

    def log_in_officer(self, serial: str, so_pin: Secret) -> None:
        """Whether that is the SO PIN; spends a try when it is not."""
        text = so_pin.reveal_text()
        self._ask("verifying the SO PIN", "login", serial=serial, user="so", pin=text)

    # --- objects ---------------------------------------------------------------------------

    def objects(self, token: TokenInfo, pin: Secret | None = None) -> Found:
        """What is on it; private keys only with the PIN."""
        found = self._ask(
            *("reading what is on the token", "objects"),
            serial=token.serial,
            slot=token.slot,
            pin=None if pin is None else pin.reveal_text(),
        )
        return Found(objects=tuple(_stored(one) for one in found))

    def generate(
        self, serial: str, pin: Secret, algorithm: Algorithm, *, id: bytes, label: str
    ) -> KeyPair:
        """A key pair that signs, and whose private half never leaves the token."""
        kinds = {Algorithm.ED25519: "EC_EDWARDS", Algorithm.ECCP256: "EC", Algorithm.ECCP384: "EC"}
        made = self._ask(
            *(f"making a key for {algorithm}", "generate"),
            seconds=self._long,
            serial=serial,
            pin=pin.reveal_text(),
            type=kinds.get(algorithm, "RSA"),
            id=id.hex(),
            label=label,
            bits=BITS.get(algorithm, 0),
            params=PARAMS.get(algorithm, b"").hex(),
        )
        return KeyPair(id=id, label=label, public=parse_public(made))

    def sign(
        self,
        serial: str,
        pin: Secret,
        public: PublicKey,
        message: bytes,
        *,
        id: bytes = b"",
        label: str = "",
    ) -> bytes:
        """A signature as X.509 has it, by the private key of that id or label.

        The first mechanism that the module does; what it says of itself is not asked.
        """
        refused: NotSupported | None = None
        for mechanism, given in signing_ways(public, message):
            try:
                raw = self._ask(
                    *("signing", "sign"),
                    serial=serial,
                    pin=pin.reveal_text(),
                    id=id.hex(),
                    label=label,
                    mechanism=mechanism,
                    data=given.hex(),
                )
            except NotSupported as error:
                refused = error
                continue
            return encoded_signature(public, bytes.fromhex(raw))
        assert refused is not None
        raise refused

    def derive(
        self, serial: str, pin: Secret, point: bytes, size: int, *, id: bytes = b"", label: str = ""
    ) -> bytes:
        """The secret that a private key shares with a point, `size` bytes of x."""
        return bytes.fromhex(
            self._ask(
                *("deriving", "derive"),
                serial=serial,
                pin=pin.reveal_text(),
                id=id.hex(),
                label=label,
                point=point.hex(),
                size=size,
            )
        )

    def put_certificate(
        self, serial: str, pin: Secret, certificate: bytes, subject: bytes, *, id: bytes, label: str
    ) -> None:
        """Write a certificate (DER) with its subject (DER of the name)."""
        self._ask(
            *("writing a certificate", "put_certificate"),
            serial=serial,
            pin=pin.reveal_text(),
            id=id.hex(),
            label=label,
            value=certificate.hex(),
            subject=subject.hex(),
        )

    # --- the process -----------------------------------------------------------------------

    def _ask(self, doing: str, operation: str, *, seconds: float = 0.0, **given: Any) -> Any:
        with self._turn:
            channel, answer = self._running(), None
            channel.settimeout(seconds or self._short)
            try:
                channel.sendall(json.dumps({"do": operation, "with": given}).encode() + b"\n")
                answer = json.loads(_line(channel))
            except TimeoutError:
                self._stop(at_once=True)
                self._hung(doing, seconds or self._short)
            except (OSError, ValueError):
                self._died(doing)
            finally:
                if answer is None:  # an interrupt: what comes late is no answer to the next one
                    self._stop(at_once=True)
        if not isinstance(answer, Mapping) or "failed" not in answer and "answer" not in answer:
            raise _lied(doing)
        if "failed" in answer:
            _raise(doing, str(answer["failed"]), str(answer.get("text", "")))
        return answer["answer"]

    def _running(self) -> socket.socket:
        if self._process is not None and self._channel is not None and self._process.poll() is None:
            return self._channel
        self._stop()
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "tokenprov.pkcs11.worker"),
                    *(str(theirs.fileno()), str(self.path)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
            )
        self._channel = ours
        return ours

    def _stop(self, *, at_once: bool = False) -> int | None:
        """End the process and give its exit code, negative for a signal."""
        process, channel = self._process, self._channel
        self._process = self._channel = None
        if channel is not None:
            channel.close()
        if process is None:
            return None
        if at_once:
            process.kill()
        try:
            return process.wait(STOPPING)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def _hung(self, doing: str, seconds: float) -> NoReturn:
        raise TokenError(
            f"{doing}: the PKCS#11 module {self.path.name} did not answer within {seconds:.0f} s",
            remedy="It was ended; the next request starts it again. Take the token out and put"
            " it in again; if it stays so, use another module.",
        )

    def _died(self, doing: str) -> NoReturn:
        code = self._stop()
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        raise TokenError(
            f"{doing}: the PKCS#11 module {self.path.name} crashed ({how})",
            remedy="It is started again by the next request: run it again, and look at the token"
            " before it is used. If it stays so, use another module.",
        )


def _line(channel: socket.socket) -> bytes:
    """One line. Raises OSError where the other end is gone, ValueError for one too long."""
    parts: list[bytes] = []
    size = 0
    while not parts or not parts[-1].endswith(b"\n"):
        part = channel.recv(65536)
        if not part:
            raise ConnectionResetError
        parts.append(part)
        size += len(part)
        if size > ANSWER_LIMIT:
            raise ValueError("the answer has no end")
    return b"".join(parts)


def _stored(one: Mapping[str, Any]) -> Stored:
    public = None
    if "public" in one:
        try:
            public = parse_public(one["public"])
        except TokenRefused:  # of an algorithm that is not used here
            public = None
    return Stored(
        kind=str(one["kind"]),
        id=bytes.fromhex(one["id"]),
        label=str(one["label"]),
        value=bytes.fromhex(one.get("value", "")),
        public=public,
        safe=dict(one.get("safe", {})),
    )


def _raise(doing: str, failed: str, text: str) -> NoReturn:
    what = f"{doing}: {failed}{f' ({text})' if text else ''}"
    if failed in _WRONG_PIN:
        raise AuthenticationFailed(
            f"{what}: the PIN was refused",
            remedy="The token holds a PIN that is not ours; it is not tried again.",
        )
    if failed in _LOCKED:
        raise AuthenticationBlocked(
            f"{what}: the PIN is locked",
            remedy="A locked user PIN is set anew with the SO PIN, from escrow; for a locked SO PIN"
            " set the token aside.",
            retries_left=0,
        )
    if failed in _GONE:
        raise TokenGone(what, remedy="Insert the same token again; the work goes on where it was.")
    if failed == _RESET:
        raise TokenReset(what, remedy="Another program reset the token; it is read again.")
    if failed == _TWO_TOKENS:
        raise WrongToken(
            f"{doing}: two tokens say one serial",
            remedy="Take one of them out, and set both aside if they are real ones.",
        )
    if failed in _MISSING:
        raise NotSupported(
            f"{what}: this token, or its module, cannot do it",
            remedy="Use another algorithm, another token or another module.",
        )
    raise TokenRefused(what, remedy="Insert the token again; if it stays so, set it aside.", code=0)


def _lied(doing: str) -> TokenRefused:
    return TokenRefused(
        f"{doing}: the PKCS#11 module's process gave no answer that makes sense",
        remedy="Run it again; if it stays so, use another module.",
        code=0,
    )
