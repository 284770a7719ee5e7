"""What a touched OTP slot types: Yubico OTP, OATH HOTP, static passwords, static tickets.

Source: "YubiKey Manual" 3.4, chapters on the OTP format; RFC 4226 for HOTP; USB HID Usage Tables,
10, for scan codes (as a US keyboard reads them).
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from tokenprov.sim.applets.otp_frame import (
    FIXED_MODHEX1,
    FIXED_MODHEX2,
    OATH_HOTP8,
    Config,
    SlotConfig,
    Ticket,
    modhex,
    with_crc,
)

REFERENCE = "cbdefghijklnrtuv"  # sent first with SEND_REF, to learn the keyboard's layout
SHIFT = 0x80  # the maker's mark on a scan code
# 0x32 is a key of European keyboards; in a US layout computers take it for 0x31, the backslash.
_PLAIN = {0x28: "\n", 0x2B: "\t", 0x2C: " "}
_PLAIN |= {0x04 + n: letter for n, letter in enumerate("abcdefghijklmnopqrstuvwxyz")}
_PLAIN |= {0x1E + n: digit for n, digit in enumerate("1234567890")}
_PLAIN |= dict(zip(range(0x2D, 0x33), "-=[]\\\\", strict=True))
_PLAIN |= dict(zip(range(0x33, 0x39), ";'`,./", strict=True))
_SHIFTED = {0x04 + n: letter for n, letter in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZ")}
_SHIFTED |= {0x1E + n: sign for n, sign in enumerate("!@#$%^&*()")}
_SHIFTED |= dict(zip(range(0x2D, 0x33), "_+{}||", strict=True))
_SHIFTED |= dict(zip(range(0x33, 0x39), ':"~<>?', strict=True))

SCAN_CODES = {  # of each character, with the mark
    **{letter: code for code, letter in reversed(_PLAIN.items())},
    **{letter: code | SHIFT for code, letter in reversed(_SHIFTED.items())},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The counters that go into one OTP.

    `usage` counts power-ups with use (15 bits), `session` the OTPs since power-up, `ticks` is the
    8 Hz timestamp (24 bits), `noise` two random bytes.
    """

    usage: int
    session: int
    ticks: int
    noise: bytes


def otp_block(config: SlotConfig, moment: Moment, uid: bytes) -> bytes:
    """The encrypted 16 bytes of a Yubico OTP for this private identifier."""
    plain = uid
    plain += (moment.usage & 0x7FFF).to_bytes(2, "little")
    plain += (moment.ticks & 0xFFFFFF).to_bytes(3, "little")
    plain += bytes([moment.session & 0xFF]) + moment.noise
    encryptor = Cipher(algorithms.AES(config.key), modes.ECB()).encryptor()  # as the OTP has it
    return encryptor.update(with_crc(plain)) + encryptor.finalize()


def hotp_code(secret: bytes, counter: int, digits: int) -> str:
    """One HOTP value (RFC 4226, 5.3)."""
    digest = hmac.new(secret, counter.to_bytes(8, "big"), hashlib.sha1).digest()
    offset = digest[-1] & 0x0F
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
    return str(number % 10**digits).zfill(digits)


def scan_codes(codes: bytes) -> str:
    """The characters of scan codes up to the first zero."""
    out = []
    for code in codes.split(b"\0", 1)[0]:
        table = _SHIFTED if code & SHIFT else _PLAIN
        out.append(table.get(code & ~SHIFT, ""))
    return "".join(out)


def typed(config: SlotConfig, moment: Moment, counter: int) -> str:
    """Everything that a touched slot types. `counter` is the moving factor of a HOTP slot."""
    fixed = config.fixed[: config.fixed_length]
    if config.is_hotp:
        first, second = _token_identifier(config, fixed), _hotp(config, counter)
    elif config.is_static:
        first, second = scan_codes(config.fixed + config.uid + config.key), ""
    else:
        first = modhex(fixed)
        still = Moment(usage=0, session=0, ticks=0, noise=b"\0\0")
        static = bool(config.config & Config.STATIC_TICKET)
        second = modhex(otp_block(config, still if static else moment, config.uid))
        if static and config.config & Config.SHORT_TICKET:
            second = second[:16]
        if static:
            first, second = "", _strengthen(first + second, config.config)
    ticket = config.ticket
    text = REFERENCE if config.config & Config.SEND_REF and not config.is_hotp else ""
    text += "\t" if ticket & Ticket.TAB_FIRST else ""
    text += first + ("\t" if ticket & Ticket.APPEND_TAB1 else "")
    text += second + ("\t" if ticket & Ticket.APPEND_TAB2 else "")
    return text + ("\n" if ticket & Ticket.APPEND_CR else "")


def _hotp(config: SlotConfig, counter: int) -> str:
    return hotp_code(config.secret20, counter, 8 if config.config & OATH_HOTP8 else 6)


def _token_identifier(config: SlotConfig, fixed: bytes) -> str:
    """The OATH token identifier: bytes in modhex where the flags say so, else in digits."""
    both = config.config & (FIXED_MODHEX1 | FIXED_MODHEX2)
    in_modhex = {0: 0, int(FIXED_MODHEX1): 1, int(FIXED_MODHEX2): 2}.get(int(both), len(fixed))
    return modhex(fixed[:in_modhex]) + fixed[in_modhex:].hex()


def _strengthen(text: str, flags: Config) -> str:
    """Mixed case and digits for a static ticket that must pass a password policy."""
    if flags & Config.STRONG_PW1:
        text = text[:2].upper() + text[2:]
    if flags & Config.STRONG_PW2:
        text = (
            text[:2]
            + "".join(str(REFERENCE.index(c)) if REFERENCE.index(c) < 8 else c for c in text[2:10])
            + text[10:]
        )
    return text
