"""What a contract test knows of the token in front of it, and what a real token can satisfy too.

`TokenUnderTest` is a token in a reader. Its state is read by the maker's library on a connection
of its own, so that a real token can say it; a virtual one adds what only its simulator sees. What
the program under test sends is listened to on the connection, not in the token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import pytest
from fido2.ctap2 import Ctap2
from yubikit.core import ApplicationNotAvailableError, NotSupportedError
from yubikit.core.fido import SmartCardCtapDevice
from yubikit.core.smartcard import ApduError
from yubikit.management import ManagementSession
from yubikit.openpgp import OpenPgpSession
from yubikit.piv import OBJECT_ID, SLOT, PivSession
from yubikit.yubiotp import YubiOtpSession

from tokenprov.device.pcsc import PcscConnection, connected


class Ins(IntEnum):
    """Instructions that tell a write from a look."""

    SELECT = 0xA4  # ISO/IEC 7816-4, 11.2.2
    READ_DEVICE_CONFIG = 0x1D  # management
    CHANGE_REFERENCE_DATA = 0x24  # SP 800-73-4 part 2, 3.2.2
    RESET_RETRY_COUNTER = 0x2C  # part 2, 3.2.3
    GENERATE = 0x47  # part 2, 3.3.2
    PUT_DATA = 0xDB  # part 2, 3.3.3
    MOVE_KEY = 0xF6  # this and the next four: the maker's PIV extensions
    SET_TRIES = 0xFA
    RESET_PIV = 0xFB
    IMPORT_KEY = 0xFE
    SET_MANAGEMENT_KEY = 0xFF
    OTP_OR_CONFIG = 0x01  # the OTP applet's one command; its slot is P1
    WRITE_DEVICE_CONFIG = 0x1C  # management
    CTAP = 0x10  # CTAP 2.1, 11.3: CBOR over ISO 7816, class 80


LOOKS = {Ins.SELECT, Ins.READ_DEVICE_CONFIG}
WRITES = frozenset(Ins) - LOOKS - {Ins.OTP_OR_CONFIG, Ins.CTAP}
READ_PUBLIC_KEY = (Ins.GENERATE, 0x81)  # OpenPGP card 3.4, 7.2.14
OTP_LOOKS = frozenset({0x10, 0x13, 0x14, 0x30, 0x38})  # serial, capabilities, status, HMAC
CTAP_LOOKS = frozenset({0x02, 0x04, 0x08})  # getAssertion, getInfo, getNextAssertion
CLIENT_PIN, CLIENT_PIN_WRITES = 0x06, frozenset({0x03, 0x04})  # CTAP 2.1, 6.5.5: set, change
OTP_AID = bytes.fromhex("a0000005272001")


@dataclass(slots=True)
class Wire:
    """The commands that a program sent, as the connection saw them."""

    commands: list[bytes] = field(default_factory=list)

    def hear(self, apdu: bytes) -> None:
        """Keep one command."""
        self.commands.append(apdu)

    def clear(self) -> None:
        """Forget what was heard."""
        self.commands.clear()

    @property
    def instructions(self) -> list[int]:
        """The instruction bytes."""
        return [apdu[1] for apdu in self.commands]

    @property
    def writes(self) -> list[str]:
        """Those that change a token, in hex without their data."""
        found = []
        otp = False
        for apdu in self.commands:
            if apdu[1] == Ins.SELECT:
                otp = OTP_AID in apdu
            elif _writes(apdu, otp):
                found.append(apdu[:4].hex())
        return found


def _writes(apdu: bytes, otp: bool) -> bool:
    ins, p1 = apdu[1], apdu[2]
    if otp:
        return ins == Ins.OTP_OR_CONFIG and p1 not in OTP_LOOKS
    if ins == Ins.CTAP and apdu[0] & 0x80:
        body = apdu[7:] if apdu[4] == 0 and len(apdu) > 7 else apdu[5:]
        if body[:1] == bytes([CLIENT_PIN]):
            # {1: protocol, 2: subcommand, …}: canonical CBOR puts the two first
            return body[5:6] != b"" and body[4] == 0x02 and body[5] in CLIENT_PIN_WRITES
        return body[:1] != b"" and body[0] not in CTAP_LOOKS
    return ins in WRITES and (ins, p1) != READ_PUBLIC_KEY


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    """Hears every command that this process sends to a token, and lets it pass."""
    heard = Wire()
    send = PcscConnection.send_and_receive

    def listening(connection: PcscConnection, apdu: bytes) -> tuple[bytes, int]:
        heard.hear(bytes(apdu))
        return send(connection, apdu)

    monkeypatch.setattr(PcscConnection, "send_and_receive", listening)
    return heard


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenUnderTest:
    """A factory-fresh token in a reader; `inside` adds what only its maker can see."""

    reader: str
    serial: str
    firmware: tuple[int, int, int]
    inside: Callable[[], Any] = lambda: None

    @contextmanager
    def connection(self) -> Iterator[PcscConnection]:
        """An exclusive connection for the maker's library."""
        with connected(self.reader) as made:
            yield made

    def state(self) -> dict[str, Any]:
        """Everything that can be read without a PIN and without a write."""
        with self.connection() as to:
            state = {
                "device": repr(ManagementSession(to).read_device_info()),
                "piv": _piv_state(to),
                "otp": _otp_state(to),
                "fido2": _fido2_state(to),
                "openpgp": _openpgp_state(to),
            }
        # last: a virtual token makes the keys that it attests with when it is asked for them
        return {**state, "inside": self.inside()}


def _piv_state(connection: PcscConnection) -> dict[str, Any]:
    piv = PivSession(connection)
    state: dict[str, Any] = {"tries": piv.get_pin_attempts()}
    for name, read in (
        ("pin", piv.get_pin_metadata),
        ("puk", piv.get_puk_metadata),
        ("management key", piv.get_management_key_metadata),
        *((f"key {slot:02x}", lambda slot=slot: piv.get_slot_metadata(slot)) for slot in SLOT),
        *((f"{which:06x}", lambda which=which: piv.get_object(which)) for which in OBJECT_ID),
    ):
        try:
            state[name] = repr(read())
        except NotSupportedError:
            state[name] = "unknown"
        except ApduError as error:
            state[name] = f"SW {error.sw:04x}"
    return state


def _otp_state(connection: PcscConnection) -> str:
    return repr(YubiOtpSession(connection).get_config_state())


def _openpgp_state(connection: PcscConnection) -> str:
    try:
        return repr(OpenPgpSession(connection).get_application_related_data())
    except ApplicationNotAvailableError:
        return "none"


def _fido2_state(connection: PcscConnection) -> str:
    try:
        info = Ctap2(SmartCardCtapDevice(connection), strict_cbor=False).info
    except (ApplicationNotAvailableError, ValueError):
        return "none over CCID"
    # encIdentifier and encCredStoreState are made anew each time (CTAP 2.2, 6.4)
    return repr(sorted((k, v) for k, v in vars(info).items() if not k.startswith("enc")))
