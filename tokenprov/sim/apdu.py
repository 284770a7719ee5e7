"""Command and response APDUs (ISO/IEC 7816-4, 5.1 to 5.3), as a card sees them.

Bytes are parsed to a `Command` first, with the standard's restrictions and no others; an applet
answers with bytes, or refuses with a `Refusal` that carries the status word.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class SW(IntEnum):
    """Status words (ISO/IEC 7816-4, table 6; SP 800-73-4 part 2, table 12)."""

    OK = 0x9000
    NO_INPUT_DATA = 0x6285
    VERIFY_FAILED = 0x63C0  # the low nibble is the number of tries left
    MEMORY_FAILURE = 0x6581
    WRONG_LENGTH = 0x6700
    CHANNEL_NOT_SUPPORTED = 0x6881
    SECURE_MESSAGING_NOT_SUPPORTED = 0x6882
    CHAINING_NOT_SUPPORTED = 0x6884
    SECURITY_NOT_SATISFIED = 0x6982
    AUTH_METHOD_BLOCKED = 0x6983
    DATA_INVALID = 0x6984
    CONDITIONS_NOT_SATISFIED = 0x6985
    COMMAND_NOT_ALLOWED = 0x6986
    INCORRECT_PARAMETERS = 0x6A80
    FUNCTION_NOT_SUPPORTED = 0x6A81
    FILE_NOT_FOUND = 0x6A82
    NO_SPACE = 0x6A84
    WRONG_P1P2 = 0x6A86
    REFERENCE_NOT_FOUND = 0x6A88
    APPLET_SELECT_FAILED = 0x6999
    WRONG_PARAMETERS = 0x6B00
    INVALID_INSTRUCTION = 0x6D00
    CLASS_NOT_SUPPORTED = 0x6E00
    UNKNOWN_ERROR = 0x6F00


class Refusal(Exception):
    """A command was refused: `sw` is the status word, `data` what comes with it, if anything."""

    def __init__(self, sw: int, data: bytes = b"") -> None:
        super().__init__(f"{sw:04x}")
        self.sw = int(sw)
        self.data = data


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command APDU; after command chaining, the whole of it.

    `le` is the number of bytes asked for: None when the field is absent, 256 or 65536 when it is
    zero (ISO/IEC 7816-4, 5.2).
    """

    cla: int
    ins: int
    p1: int
    p2: int
    data: bytes = b""
    le: int | None = None
    extended: bool = False

    @classmethod
    def parse(cls, raw: bytes) -> Command:
        """Parse a command APDU, short or extended. Raises `Refusal` 6700 for a length that lies."""
        if len(raw) < 4:
            raise Refusal(SW.WRONG_LENGTH)
        cla, ins, p1, p2 = raw[:4]
        body = raw[4:]

        def command(data: bytes, le: int | None, extended: bool) -> Command:
            return cls(cla=cla, ins=ins, p1=p1, p2=p2, data=data, le=le, extended=extended)

        if not body:  # case 1
            return command(b"", None, False)
        if len(body) == 1:  # case 2, short
            return command(b"", body[0] or 256, False)
        if body[0]:  # case 3 or 4, short
            lc, rest = body[0], body[1:]
            if len(rest) == lc:
                return command(rest, None, False)
            if len(rest) == lc + 1:
                return command(rest[:lc], rest[lc] or 256, False)
            raise Refusal(SW.WRONG_LENGTH)
        if len(body) == 3:  # case 2, extended
            return command(b"", int.from_bytes(body[1:3], "big") or 65536, True)
        lc, rest = int.from_bytes(body[1:3], "big"), body[3:]
        if lc and len(rest) == lc:  # case 3, extended
            return command(rest, None, True)
        if lc and len(rest) == lc + 2:  # case 4, extended
            return command(rest[:lc], int.from_bytes(rest[lc:], "big") or 65536, True)
        raise Refusal(SW.WRONG_LENGTH)


def parse_tpdu(raw: bytes) -> Command:
    """Parse a command as T=0 carries it: a header of five bytes, then data or nothing.

    The fifth is the length of what follows, else of what is asked for (ISO/IEC 7816-3, 10.3.2).
    Raises `Refusal` 6700.
    """
    if len(raw) < 5 or len(raw) not in (5, 5 + raw[4]):
        raise Refusal(SW.WRONG_LENGTH)
    cla, ins, p1, p2, length = raw[:5]
    data = raw[5:]
    le = None if data else length or 256
    return Command(cla=cla, ins=ins, p1=p1, p2=p2, data=data, le=le)
