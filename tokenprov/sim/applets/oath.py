"""The OATH applet of a YubiKey: HOTP and TOTP credentials, asked over CCID.

Source: the maker's "YKOATH Protocol"; RFC 4226 (HOTP) and RFC 6238 (TOTP) for the values. Rules:

- With an access code set, nothing but VALIDATE and RESET works until the host has proved it, once
  after each SELECT.
- A name stands for one credential: putting it again replaces it. A secret never comes out.
- A HOTP credential counts by itself; a TOTP one gets its time from the host.
- CALCULATE ALL passes over what counts and what needs a touch, and says so.
- RESET gives the applet a new identity and forgets everything.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

from tokenprov.sim.apdu import SW, Command, Refusal
from tokenprov.sim.applet import Body
from tokenprov.sim.models import Model

AID = bytes.fromhex("a000000527210101")


class Ins(IntEnum):
    """Instructions."""

    PUT = 0x01
    DELETE = 0x02
    SET_CODE = 0x03
    RESET = 0x04
    RENAME = 0x05  # from 5.3.1
    LIST = 0xA1
    CALCULATE = 0xA2
    VALIDATE = 0xA3
    CALCULATE_ALL = 0xA4


class Tag(IntEnum):
    """Tags; PROPERTY has no length byte."""

    NAME = 0x71
    NAME_LIST = 0x72
    KEY = 0x73
    CHALLENGE = 0x74
    RESPONSE = 0x75
    TRUNCATED = 0x76
    NO_RESPONSE = 0x77  # a HOTP credential in CALCULATE ALL
    PROPERTY = 0x78
    VERSION = 0x79
    MOVING_FACTOR = 0x7A
    ALGORITHM = 0x7B
    TOUCH = 0x7C


class Kind(IntEnum):
    """High nibble of a credential's type."""

    HOTP = 0x10
    TOTP = 0x20


HASHES = {0x01: "sha1", 0x02: "sha256", 0x03: "sha512"}  # low nibble of a credential's type
CODE_TYPE = Kind.TOTP | 0x01  # the access code is an HMAC-SHA1 key
RESET_P1P2 = (0xDE, 0xAD)
TRUNCATE = 0x01  # P2: four bytes instead of the whole HMAC
TOUCH_PROPERTY = 0x02
SALT_BYTES = 8
CHALLENGE_BYTES = 8
NAME_BYTES = 64
MIN_KEY_BYTES = 14
MAX_KEY_BYTES = 64
DIGITS = range(6, 9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """One credential. `counter` is the moving factor of HOTP."""

    name: bytes
    type: int
    digits: int
    secret: bytes
    touch: bool = False
    counter: int = 0

    @property
    def is_hotp(self) -> bool:
        """Whether it counts by itself."""
        return self.type & 0xF0 == Kind.HOTP

    def respond(self, challenge: bytes, *, truncated: bool) -> bytes:
        """The answer: number of digits, then the HMAC or its four bytes (RFC 4226, 5.3)."""
        digest = hmac.new(self.secret, challenge, HASHES[self.type & 0x0F]).digest()
        if not truncated:
            return bytes([self.digits]) + digest
        offset = digest[-1] & 0x0F
        number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
        return bytes([self.digits]) + number.to_bytes(4, "big")


def tlv(tag: int, value: bytes) -> bytes:
    """One TLV; values over 127 bytes have a BER length."""
    length = bytes([len(value)]) if len(value) < 0x80 else bytes([0x81, len(value)])
    return bytes([tag]) + length + value


def parse(data: bytes) -> list[tuple[int, bytes]]:
    """Read the TLVs of a command. Raises `Refusal` 6A80 for a length that lies."""
    found = []
    while data:
        if data[0] == Tag.PROPERTY:  # its value follows at once
            length, start = 1, 1
        elif len(data) > 2 and data[1] == 0x81:
            length, start = data[2], 3
        elif len(data) > 1 and data[1] < 0x80:
            length, start = data[1], 2
        else:
            raise Refusal(SW.INCORRECT_PARAMETERS)
        if len(data) < start + length:
            raise Refusal(SW.INCORRECT_PARAMETERS)
        found.append((data[0], data[start : start + length]))
        data = data[start + length :]
    return found


class OathApplet:
    """The OATH applet."""

    name = "oath"
    aid = AID

    def __init__(self, body: Body, model: Model) -> None:
        self._body = body
        self._room = 64 if model.version >= (5, 7, 0) else 32  # credentials
        self._hashes = set(HASHES) if model.version >= (4, 3, 1) else {0x01, 0x02}
        self._salt = body.random(SALT_BYTES)
        self._code = b""
        self._credentials: dict[bytes, Credential] = {}
        self._challenge = b""
        self._unlocked = False

    @property
    def fips_approved(self) -> bool:
        """Approved mode needs an access code."""
        return bool(self._code)

    # --- the applet's frame ----------------------------------------------------------------

    def select(self) -> bytes:
        """Version and identity, and with an access code a challenge for the host."""
        self._unlocked = not self._code
        answer = tlv(Tag.VERSION, bytes(self._body.version)) + tlv(Tag.NAME, self._salt)
        if self._code:
            self._challenge = self._body.random(CHALLENGE_BYTES)
            answer += tlv(Tag.CHALLENGE, self._challenge) + tlv(Tag.ALGORITHM, b"\x01")
        return answer

    def deselect(self) -> None:
        """Locked again."""
        self._unlocked = False
        self._challenge = b""

    def power_up(self) -> None:
        """Locked again."""
        self.deselect()

    def process(self, command: Command) -> bytes:
        """Answer one command."""
        if command.cla != 0:
            raise Refusal(SW.CLASS_NOT_SUPPORTED)
        try:
            ins = Ins(command.ins)
        except ValueError:
            raise Refusal(SW.INVALID_INSTRUCTION) from None
        if ins is Ins.RENAME and self._body.version < (5, 3, 1):
            raise Refusal(SW.INVALID_INSTRUCTION)
        if ins is Ins.RESET:
            return self._reset(command)
        if ins is Ins.VALIDATE:
            return self._validate(dict(parse(command.data)))
        if not self._unlocked:
            raise Refusal(SW.SECURITY_NOT_SATISFIED)
        return self._unlocked_command(ins, command)

    def _unlocked_command(self, ins: Ins, command: Command) -> bytes:
        truncated = command.p2 == TRUNCATE
        fields = dict(parse(command.data)) if ins is not Ins.RENAME else {}
        match ins:
            case Ins.PUT:
                self._put(fields)
            case Ins.DELETE:
                del self._credentials[self._named(fields).name]
            case Ins.SET_CODE:
                self._set_code(fields)
            case Ins.RENAME:
                self._rename(parse(command.data))
            case Ins.LIST:
                return b"".join(
                    tlv(Tag.NAME_LIST, bytes([credential.type]) + credential.name)
                    for credential in self._credentials.values()
                )
            case Ins.CALCULATE:
                return self._calculate(fields, truncated=truncated)
            case Ins.CALCULATE_ALL:
                return self._calculate_all(fields, truncated=truncated)
        self._body.spend("write")
        self._body.save()
        return b""

    # --- commands --------------------------------------------------------------------------

    def _reset(self, command: Command) -> bytes:
        if (command.p1, command.p2) != RESET_P1P2:
            raise Refusal(SW.WRONG_P1P2)
        self._salt = self._body.random(SALT_BYTES)
        self._code = b""
        self._credentials.clear()
        self._unlocked = True
        self._body.save()
        return b""

    def _validate(self, fields: dict[int, bytes]) -> bytes:
        if not self._code or not self._challenge:
            raise Refusal(SW.DATA_INVALID)
        response, challenge = fields.get(Tag.RESPONSE, b""), fields.get(Tag.CHALLENGE, b"")
        if not challenge:
            raise Refusal(SW.INCORRECT_PARAMETERS)
        expected = hmac.new(self._code, self._challenge, "sha1").digest()
        if not hmac.compare_digest(response, expected):
            raise Refusal(SW.INCORRECT_PARAMETERS)
        self._unlocked = True
        return tlv(Tag.RESPONSE, hmac.new(self._code, challenge, "sha1").digest())

    def _set_code(self, fields: dict[int, bytes]) -> None:
        key = fields.get(Tag.KEY)
        if key is None:
            raise Refusal(SW.INCORRECT_PARAMETERS)
        if not key:
            self._code = b""
            return
        challenge, response = fields.get(Tag.CHALLENGE, b""), fields.get(Tag.RESPONSE, b"")
        if key[0] != CODE_TYPE or len(key) < 2 or not challenge:
            raise Refusal(SW.INCORRECT_PARAMETERS)
        if not hmac.compare_digest(hmac.new(key[1:], challenge, "sha1").digest(), response):
            raise Refusal(SW.DATA_INVALID)
        self._code = key[1:]

    def _put(self, fields: dict[int, bytes]) -> None:
        name, key = fields.get(Tag.NAME, b""), fields.get(Tag.KEY, b"")
        factor = fields.get(Tag.MOVING_FACTOR, bytes(4))
        if not 0 < len(name) <= NAME_BYTES or len(factor) != 4:
            raise Refusal(SW.INCORRECT_PARAMETERS)
        if not MIN_KEY_BYTES <= len(key) - 2 <= MAX_KEY_BYTES:
            raise Refusal(SW.INCORRECT_PARAMETERS)
        kind, digits, secret = key[0], key[1], key[2:]
        known = kind & 0xF0 in (Kind.HOTP, Kind.TOTP) and kind & 0x0F in self._hashes
        if not known or digits not in DIGITS:
            raise Refusal(SW.INCORRECT_PARAMETERS)
        if name not in self._credentials and len(self._credentials) >= self._room:
            raise Refusal(SW.NO_SPACE)
        properties = fields.get(Tag.PROPERTY, b"\0")[0]
        self._credentials[name] = Credential(
            name=name,
            type=kind,
            digits=digits,
            secret=secret,
            touch=bool(properties & TOUCH_PROPERTY),
            counter=int.from_bytes(factor, "big"),
        )

    def _named(self, fields: dict[int, bytes]) -> Credential:
        credential = self._credentials.get(fields.get(Tag.NAME, b""))
        if credential is None:
            raise Refusal(SW.DATA_INVALID)
        return credential

    def _rename(self, fields: list[tuple[int, bytes]]) -> None:
        if [tag for tag, _ in fields] != [Tag.NAME, Tag.NAME]:
            raise Refusal(SW.INCORRECT_PARAMETERS)
        old, new = (value for _, value in fields)
        credential = self._named({Tag.NAME: old})
        if not 0 < len(new) <= NAME_BYTES or new in self._credentials:
            raise Refusal(SW.INCORRECT_PARAMETERS)
        del self._credentials[old]
        self._credentials[new] = replace(credential, name=new)

    def _calculate(self, fields: dict[int, bytes], *, truncated: bool) -> bytes:
        credential = self._named(fields)
        challenge = fields.get(Tag.CHALLENGE, b"")
        if credential.touch and not self._body.touch():
            raise Refusal(SW.SECURITY_NOT_SATISFIED)
        if credential.is_hotp:
            challenge = credential.counter.to_bytes(8, "big")
            self._credentials[credential.name] = replace(
                credential, counter=(credential.counter + 1) & 0xFFFFFFFF
            )
            self._body.save()
        tag = Tag.TRUNCATED if truncated else Tag.RESPONSE
        return tlv(tag, credential.respond(challenge, truncated=truncated))

    def _calculate_all(self, fields: dict[int, bytes], *, truncated: bool) -> bytes:
        challenge = fields.get(Tag.CHALLENGE, b"")
        tag = Tag.TRUNCATED if truncated else Tag.RESPONSE
        answer = b""
        for credential in self._credentials.values():
            answer += tlv(Tag.NAME, credential.name)
            if credential.is_hotp:
                answer += tlv(Tag.NO_RESPONSE, bytes([credential.digits]))
            elif credential.touch:
                answer += tlv(Tag.TOUCH, bytes([credential.digits]))
            else:
                answer += tlv(tag, credential.respond(challenge, truncated=truncated))
        return answer

    # --- lasting state ---------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        """The lasting state."""
        return {
            "salt": self._salt.hex(),
            "code": self._code.hex(),
            "credentials": [
                {
                    "name": credential.name.hex(),
                    "type": credential.type,
                    "digits": credential.digits,
                    "secret": credential.secret.hex(),
                    "touch": credential.touch,
                    "counter": credential.counter,
                }
                for credential in self._credentials.values()
            ],
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take the lasting state."""
        self._salt = bytes.fromhex(state["salt"])
        self._code = bytes.fromhex(state["code"])
        self._credentials = {}
        for entry in state["credentials"]:
            name = bytes.fromhex(entry["name"])
            self._credentials[name] = Credential(
                name=name,
                type=entry["type"],
                digits=entry["digits"],
                secret=bytes.fromhex(entry["secret"]),
                touch=entry["touch"],
                counter=entry["counter"],
            )
