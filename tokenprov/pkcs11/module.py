"""A PKCS#11 module, asked through its worker process: it may crash, hang and lie.

Rules:
- One process a module (`process`), one request at a time.
- What comes back is text and numbers (`values` reads them); nothing of the module is in this
  process. PINs go over the socket, and stand in no argument and no environment.
- Tokens are named by their serials.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tokenprov.errors import InputError, NotSupported, TokenRefused
from tokenprov.pkcs11.process import ModuleProcess
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
        self._process = ModuleProcess(path)

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
        self._process.close()

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

    def pin_lengths(self, token: TokenInfo) -> tuple[int, int]:
        """The least and the most characters of its PINs; zeros where it does not say."""
        least, most = self._ask(
            "reading the lengths of PINs", "pin_lengths", serial=token.serial, slot=token.slot
        )
        return int(least), int(most)

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

    def remove_certificate(self, serial: str, pin: Secret, certificate: bytes, id: bytes) -> None:
        """Remove that certificate (DER) from under that id, if it is there."""
        self._ask(
            *("removing a certificate", "remove_certificate"),
            serial=serial,
            pin=pin.reveal_text(),
            id=id.hex(),
            value=certificate.hex(),
        )

    def _ask(self, doing: str, operation: str, *, seconds: float = 0.0, **given: Any) -> Any:
        return self._process.ask(doing, operation, given, seconds or self._short)


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
