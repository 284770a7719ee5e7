"""Credentials of YubiHSM Auth: what they hold, and the session keys that they give.

Rules
- A symmetric credential derives as SCP03 does, from two static keys and a context of the host's
  and the HSM's challenge (Amendment D 4.1.5, 6.2.1); a cryptogram of the HSM that comes with it
  is checked.
- An asymmetric one agrees as SCP11 does, without a key for importing keys: the context is the two
  ephemeral public keys, the host's first, and the HSM's receipt over them, its own first, is
  checked (YubiHSM 2 User Guide, "Create Session").
- Fields come as TLVs, each known by its tag, in any order.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from tokenprov.sim.apdu import SW, Refusal
from tokenprov.sim.applets.piv_reference_data import COMMON
from tokenprov.sim.applets.piv_wire import read_tlvs
from tokenprov.sim.scp.primitives import (
    KEY_BYTES,
    POINT_BYTES,
    Derived,
    agree,
    cmac,
    derive,
    point,
    read_point,
)

TRIES = 8
PASSWORD_BYTES = 16
LABEL_MAXIMUM = 64  # bytes of UTF-8
SYMMETRIC_CONTEXT_BYTES = 16
CRYPTOGRAM_BYTES = 8
SCALAR_BYTES = 32
SHARED_INFO = bytes.fromhex("3c8810")  # key usage, type and length, Amendment F 3.1.2


class Tag(IntEnum):
    """Tags of command and response data."""

    LABEL = 0x71
    LIST_ENTRY = 0x72
    PASSWORD = 0x73
    ALGORITHM = 0x74
    KEY_ENC = 0x75
    KEY_MAC = 0x76
    CONTEXT = 0x77
    RESPONSE = 0x78
    VERSION = 0x79
    TOUCH = 0x7A
    MANAGEMENT_KEY = 0x7B
    PUBLIC_KEY = 0x7C
    PRIVATE_KEY = 0x7D


class Algorithm(IntEnum):
    """What a credential authenticates with (YubiHSM 2 algorithms)."""

    AES128 = 38
    P256 = 39


class Fields:
    """The fields of a command, each taken once. Raises `Refusal` 6A80 for what is not right."""

    def __init__(self, data: bytes) -> None:
        self._fields = list(read_tlvs(data))

    def take(self, tag: Tag, size: int | None = None) -> bytes:
        """The value of the next field with that tag, which must be there with `size` bytes."""
        value = self.take_if_any(tag)
        if value is None or (size is not None and len(value) != size):
            raise Refusal(SW.INCORRECT_PARAMETERS)
        return value

    def take_if_any(self, tag: Tag) -> bytes | None:
        """The value of the next field with that tag, None when there is none."""
        for place, (found, value) in enumerate(self._fields):
            if found == tag:
                del self._fields[place]
                return value
        return None

    def take_label(self) -> bytes:
        """A label: 1 to 64 bytes of UTF-8."""
        label = self.take(Tag.LABEL)
        try:
            label.decode()
        except UnicodeDecodeError:
            raise Refusal(SW.INCORRECT_PARAMETERS) from None
        if not 1 <= len(label) <= LABEL_MAXIMUM:
            raise Refusal(SW.INCORRECT_PARAMETERS)
        return label

    def end(self) -> None:
        """There must be no other fields."""
        if self._fields:
            raise Refusal(SW.INCORRECT_PARAMETERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticKeys:
    """The two static keys of a symmetric credential, 16 bytes each."""

    enc: bytes = field(repr=False)
    mac: bytes = field(repr=False)

    def session_keys(self, context: bytes, cryptogram: bytes | None) -> bytes:
        """S-ENC, S-MAC and S-RMAC, 48 bytes.

        Raises `Refusal` 6A80 for a context of another size, 6984 for a wrong cryptogram.
        """
        if len(context) != SYMMETRIC_CONTEXT_BYTES:
            raise Refusal(SW.INCORRECT_PARAMETERS)
        mac = derive(self.mac, Derived.MAC, context)
        if cryptogram is not None:
            expected = derive(mac, Derived.CARD_CRYPTOGRAM, context, CRYPTOGRAM_BYTES)
            _check(cryptogram, expected)
        enc = derive(self.enc, Derived.ENC, context)
        return enc + mac + derive(self.mac, Derived.RMAC, context)


@dataclass(slots=True, kw_only=True)
class Credential:
    """One credential, and how many wrong passwords it still takes."""

    label: bytes
    password: bytes = field(repr=False)
    touch: bool
    secret: StaticKeys | ec.EllipticCurvePrivateKey = field(repr=False)
    tries: int = TRIES

    @classmethod
    def read(cls, fields: Fields, *, curves: bool) -> Credential:
        """The credential that a command brings; for P-256 an empty key is one to be generated.

        Raises `Refusal` 6A80; `curves` is whether P-256 is known here.
        """
        label = fields.take_label()
        algorithm = fields.take(Tag.ALGORITHM, 1)[0]
        secret: StaticKeys | ec.EllipticCurvePrivateKey
        if algorithm == Algorithm.AES128:
            enc, mac = (fields.take(tag, KEY_BYTES) for tag in (Tag.KEY_ENC, Tag.KEY_MAC))
            secret = StaticKeys(enc=enc, mac=mac)
        elif algorithm == Algorithm.P256 and curves:
            secret = _curve_key(fields.take(Tag.PRIVATE_KEY))
        else:
            raise Refusal(SW.INCORRECT_PARAMETERS)
        password = fields.take(Tag.PASSWORD, PASSWORD_BYTES)
        touch = fields.take(Tag.TOUCH, 1)[0]
        fields.end()
        if touch > 1:
            raise Refusal(SW.INCORRECT_PARAMETERS)
        return cls(label=label, password=password, touch=bool(touch), secret=secret)

    @property
    def algorithm(self) -> Algorithm:
        """What it authenticates with."""
        return Algorithm.AES128 if isinstance(self.secret, StaticKeys) else Algorithm.P256

    def dump(self) -> dict[str, Any]:
        """The lasting state; it holds the keys."""
        if isinstance(self.secret, StaticKeys):
            secret = self.secret.enc + self.secret.mac
        else:
            secret = self.secret.private_numbers().private_value.to_bytes(SCALAR_BYTES)
        return {
            "label": self.label.decode(),
            "password": self.password.hex(),
            "touch": self.touch,
            "algorithm": self.algorithm.name,
            "secret": secret.hex(),
            "tries": self.tries,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Credential:
        """The credential that `dump` gave."""
        raw = bytes.fromhex(state["secret"])
        secret: StaticKeys | ec.EllipticCurvePrivateKey = (
            StaticKeys(enc=raw[:KEY_BYTES], mac=raw[KEY_BYTES:])
            if Algorithm[state["algorithm"]] is Algorithm.AES128
            else _curve_key(raw)
        )
        return cls(
            label=state["label"].encode(),
            password=bytes.fromhex(state["password"]),
            touch=state["touch"],
            secret=secret,
            tries=state["tries"],
        )


def curve_session_keys(
    static: ec.EllipticCurvePrivateKey,
    ephemeral: ec.EllipticCurvePrivateKey,
    context: bytes,
    hsm: bytes,
    receipt: bytes,
) -> bytes:
    """S-ENC, S-MAC and S-RMAC, 48 bytes, from the host's keys and the HSM's static key `hsm`.

    Raises `Refusal` 6A80 for a context or key that is none, or that is of another ephemeral key;
    6984 for a wrong receipt.
    """
    ours = point(ephemeral.public_key())
    if len(context) != 2 * POINT_BYTES or context[:POINT_BYTES] != ours:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    theirs = context[POINT_BYTES:]
    try:
        pairs = ((ephemeral, read_point(theirs)), (static, read_point(hsm)))
    except ValueError:
        raise Refusal(SW.INCORRECT_PARAMETERS) from None
    receipt_key, *keys = agree(pairs, SHARED_INFO, 4)
    _check(receipt, cmac(receipt_key, theirs, ours))
    return b"".join(keys)


def check_complexity(value: bytes) -> None:
    """Refuse with 6985 one repeated character, or a common password (firmware 5.7)."""
    text = value.rstrip(b"\0").decode("latin-1")
    if len(set(text)) <= 1 or text.lower() in COMMON:
        raise Refusal(SW.CONDITIONS_NOT_SATISFIED)


def _check(given: bytes, expected: bytes) -> None:
    if not hmac.compare_digest(given, expected):
        raise Refusal(SW.DATA_INVALID)


def _curve_key(scalar: bytes) -> ec.EllipticCurvePrivateKey:
    if not scalar:
        return ec.generate_private_key(ec.SECP256R1())
    if len(scalar) != SCALAR_BYTES:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    try:
        return ec.derive_private_key(int.from_bytes(scalar), ec.SECP256R1())
    except ValueError:
        raise Refusal(SW.INCORRECT_PARAMETERS) from None
