"""Stock `ykman otp` and yubikit's OTP session on virtual tokens, over the private pcscd."""

from __future__ import annotations

import hashlib
import hmac
import subprocess
from collections.abc import Callable, Iterator

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from smartcard.CardConnection import CardConnection
from smartcard.System import readers
from yubikit.core import TRANSPORT, CommandError
from yubikit.core.otp import modhex_decode
from yubikit.core.smartcard import ApduError, SmartCardConnection
from yubikit.yubiotp import (
    NDEF_TYPE,
    SLOT,
    HmacSha1SlotConfiguration,
    HotpSlotConfiguration,
    StaticTicketSlotConfiguration,
    UpdateConfiguration,
    YubiOtpSession,
    YubiOtpSlotConfiguration,
)

from tokenprov.sim.bench import VirtualBench

Run = Callable[..., "subprocess.CompletedProcess[str]"]
SERIAL = 30_000_001
OTP = ("ykman", "--device", str(SERIAL), "otp")
KEY = bytes(range(16))
UID = bytes.fromhex("a1a2a3a4a5a6")
SECRET = bytes(range(20))
CODE = bytes.fromhex("010203040506")
OTHER_CODE = bytes.fromhex("0a0b0c0d0e0f")


class Pcsc(SmartCardConnection):
    """yubikit's connection, over plain PC/SC."""

    transport = TRANSPORT.USB

    def __init__(self, connection: CardConnection) -> None:
        self._connection = connection
        connection.connect()

    def send_and_receive(self, apdu: bytes) -> tuple[bytes, int]:
        """One exchange."""
        data, sw1, sw2 = self._connection.transmit(list(apdu))
        return bytes(data), sw1 << 8 | sw2

    def close(self) -> None:
        """Hang up."""
        self._connection.disconnect()
        self._connection.release()


@pytest.fixture
def session(bench: VirtualBench) -> Iterator[YubiOtpSession]:
    """An OTP session with the first token."""
    name = bench.control.token(SERIAL)["reader"]
    connection = Pcsc(next(r for r in readers() if r.name == name).createConnection())
    yield YubiOtpSession(connection)
    connection.close()


def decrypt(otp: str, key: bytes) -> bytes:
    """The 16 plain bytes of a Yubico OTP, whose checksum is right."""
    decryptor = Cipher(algorithms.AES(key), modes.ECB()).decryptor()
    plain = decryptor.update(modhex_decode(otp[-32:])) + decryptor.finalize()
    crc = 0xFFFF
    for byte in plain:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0x8408 if crc & 1 else crc >> 1
    assert crc == 0xF0B8  # "YubiKey Manual": residual of a valid OTP
    return plain


def test_a_fresh_key_has_the_factory_slot(bench: VirtualBench, run: Run) -> None:
    """Slot 1 holds a YubiCloud credential with a `cc` public identity, slot 2 nothing."""
    assert run(*OTP, "info").stdout.split("\n")[:2] == ["Slot 1: programmed", "Slot 2: empty"]
    typed = bench.control.type_slot(SERIAL, 1)
    assert typed.startswith("cccc")
    assert len(typed.rstrip("\n")) == 44
    assert modhex_decode(typed[:12]) == b"\0\0" + SERIAL.to_bytes(4, "big")


def test_the_commands_of_ykman(bench: VirtualBench, run: Run) -> None:
    """Program, ask, swap and delete, as a person does it with `ykman otp`."""
    run(*OTP, "chalresp", "--force", "2", SECRET.hex())
    run(*OTP, "swap", "--force")
    run(*OTP, "delete", "--force", "1")
    assert run(*OTP, "info").stdout.split("\n")[:2] == ["Slot 1: empty", "Slot 2: programmed"]
    run(*OTP, "static", "--force", "1", "Abc-123", "--keyboard-layout", "US", "--no-enter")
    assert bench.control.type_slot(SERIAL, 1) == "Abc-123"
    run(*OTP, "hotp", "--force", "1", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
    assert bench.control.type_slot(SERIAL, 1) == "755224\n"  # RFC 4226, appendix D
    assert bench.control.type_slot(SERIAL, 1) == "287082\n"
    run(*OTP, "settings", "--force", "1", "--no-enter")
    assert bench.control.type_slot(SERIAL, 1) == "359152"
    run(*OTP, "ndef", "1", "--prefix", "https://example.com/")


def test_an_access_code_guards_a_slot(bench: VirtualBench, run: Run) -> None:
    """With an access code the slot is changed by who knows it and by nobody else."""
    run(*OTP, "yubiotp", "--force", "2", "-g", "-G", "-S")
    run(*OTP, "settings", "--force", "2", "--new-access-code", CODE.hex())
    assert run(*OTP, "delete", "--force", "2", code=None).returncode != 0
    assert run(*OTP, "--access-code", "ffffffffffff", "delete", "-f", "2", code=None).returncode
    assert "Slot 2: programmed" in run(*OTP, "info").stdout
    run(*OTP, "--access-code", CODE.hex(), "delete", "--force", "2")
    assert "Slot 2: empty" in run(*OTP, "info").stdout


def test_otps_count_up(bench: VirtualBench, session: YubiOtpSession) -> None:
    """Typed OTPs decrypt with the key, carry the identity, and their counters only grow."""
    public = bytes.fromhex("ff0000000001")
    session.put_configuration(SLOT.TWO, YubiOtpSlotConfiguration(public, UID, KEY))
    counters = []
    for turn in range(4):
        if turn == 2:  # power lost: the usage counter moves, the session starts again
            bench.control.remove(SERIAL)
            bench.control.insert(SERIAL)
        otp = bench.control.type_slot(SERIAL, 2).rstrip("\n")
        assert modhex_decode(otp[:12]) == public
        plain = decrypt(otp, KEY)
        assert plain[:6] == UID
        counters.append((int.from_bytes(plain[6:8], "little"), plain[11]))
    assert counters == [(1, 0), (1, 1), (2, 0), (2, 1)]


def test_yubico_challenge_response(session: YubiOtpSession) -> None:
    """The answer to a Yubico OTP challenge carries the identity mixed with the challenge."""
    configuration = YubiOtpSlotConfiguration(b"", UID, KEY)
    frame = bytearray(configuration.get_config())
    frame[46] = 0x40  # ticket flags: challenge-response
    frame[47] = 0x20  # configuration flags: Yubico OTP mode
    frame[50:52] = checksum(bytes(frame[:50]))
    session.backend.write_update(3, bytes(frame) + bytes(6))
    challenge = bytes.fromhex("112233445566")
    answer = session.backend.send_and_receive(0x28, challenge, 16)
    decryptor = Cipher(algorithms.AES(KEY), modes.ECB()).decryptor()
    plain = decryptor.update(answer) + decryptor.finalize()
    assert plain[:6] == bytes(a ^ b for a, b in zip(UID, challenge, strict=True))


def checksum(data: bytes) -> bytes:
    """The inverted checksum of a frame (ISO/IEC 13239)."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0x8408 if crc & 1 else crc >> 1
    return (~crc & 0xFFFF).to_bytes(2, "little")


def test_hmac_challenges_of_every_length(session: YubiOtpSession) -> None:
    """HMAC-SHA1 answers are those of the standard, for padded challenges and for full ones."""
    session.put_configuration(SLOT.TWO, HmacSha1SlotConfiguration(SECRET))
    for challenge in (b"1", b"123\0", bytes(range(63))):
        expected = hmac.new(SECRET, challenge, hashlib.sha1).digest()
        assert session.calculate_hmac_sha1(SLOT.TWO, challenge) == expected
    session.swap_slots()
    session.put_configuration(SLOT.ONE, HmacSha1SlotConfiguration(SECRET).lt64(False))
    full = bytes(range(64))
    expected = hmac.new(SECRET, full, hashlib.sha1).digest()
    assert session.calculate_hmac_sha1(SLOT.ONE, full) == expected


def test_the_state_follows_the_slots(session: YubiOtpSession) -> None:
    """Configured and touch-triggered are told for each slot, as ykman shows them."""
    assert session.get_config_state().is_touch_triggered(SLOT.ONE)
    session.put_configuration(SLOT.TWO, HmacSha1SlotConfiguration(SECRET))
    state = session.get_config_state()
    assert (state.is_configured(SLOT.TWO), state.is_touch_triggered(SLOT.TWO)) == (True, False)
    session.delete_slot(SLOT.ONE)
    session.delete_slot(SLOT.TWO)
    assert not session.get_config_state().is_configured(SLOT.ONE)


def test_updates_change_flags_only(bench: VirtualBench, session: YubiOtpSession) -> None:
    """An update moves the access code and the flags that may move, and needs ALLOW_UPDATE."""
    session.put_configuration(SLOT.ONE, HotpSlotConfiguration(SECRET), CODE)
    with pytest.raises(CommandError):
        session.update_configuration(SLOT.ONE, UpdateConfiguration(), OTHER_CODE)
    session.update_configuration(SLOT.ONE, UpdateConfiguration().append_cr(False), OTHER_CODE, CODE)
    assert len(bench.control.type_slot(SERIAL, 1)) == 6
    with pytest.raises(CommandError):
        session.delete_slot(SLOT.ONE, CODE)
    session.put_configuration(
        SLOT.ONE, HotpSlotConfiguration(SECRET).allow_update(False), None, OTHER_CODE
    )
    with pytest.raises(CommandError):
        session.update_configuration(SLOT.ONE, UpdateConfiguration())


def test_a_dormant_slot_wakes_up(session: YubiOtpSession) -> None:
    """A dormant configuration looks empty until an update takes the flag away."""
    session.put_configuration(SLOT.TWO, HmacSha1SlotConfiguration(SECRET).dormant(True))
    assert not session.get_config_state().is_configured(SLOT.TWO)
    session.update_configuration(SLOT.TWO, UpdateConfiguration().dormant(False))
    assert session.get_config_state().is_configured(SLOT.TWO)
    assert (
        session.calculate_hmac_sha1(SLOT.TWO, b"x") == hmac.new(SECRET, b"x", hashlib.sha1).digest()
    )


def test_the_serial_can_be_hidden(session: YubiOtpSession) -> None:
    """The serial is told while a slot makes it visible, and not otherwise."""
    assert session.get_serial() == SERIAL
    hidden = HmacSha1SlotConfiguration(SECRET).serial_api_visible(False)
    session.put_configuration(SLOT.ONE, hidden)
    with pytest.raises(ApduError) as refused:
        session.get_serial()
    assert refused.value.sw == 0x6985
    session.put_configuration(SLOT.TWO, HmacSha1SlotConfiguration(SECRET))
    assert session.get_serial() == SERIAL


def test_slot_two_is_protected_by_slot_one(session: YubiOtpSession) -> None:
    """PROTECT_CFG2 in slot 1 keeps an empty slot 2 from being written."""
    session.put_configuration(SLOT.ONE, HotpSlotConfiguration(SECRET).protect_slot2(True))
    with pytest.raises(CommandError):
        session.put_configuration(SLOT.TWO, HmacSha1SlotConfiguration(SECRET))


def test_a_static_ticket_never_changes(bench: VirtualBench, session: YubiOtpSession) -> None:
    """A static ticket types the same each time."""
    session.put_configuration(SLOT.TWO, StaticTicketSlotConfiguration(b"\x01\x02", UID, KEY))
    assert bench.control.type_slot(SERIAL, 2) == bench.control.type_slot(SERIAL, 2)


def test_a_touch_that_does_not_come(bench: VirtualBench, session: YubiOtpSession) -> None:
    """A challenge that needs a touch is refused when none comes, and answered when one does."""
    session.put_configuration(SLOT.TWO, HmacSha1SlotConfiguration(SECRET).require_touch(True))
    bench.control.set_touch(SERIAL, "never", patience=0.2)
    with pytest.raises(ApduError) as refused:
        session.calculate_hmac_sha1(SLOT.TWO, b"x")
    assert refused.value.sw == 0x6985
    bench.control.set_touch(SERIAL, "after 0.1")
    assert len(session.calculate_hmac_sha1(SLOT.TWO, b"x")) == 20
    assert bench.control.token(SERIAL)["touches"] == 2


def test_ndef_and_scan_map(session: YubiOtpSession) -> None:
    """NDEF records and scan maps are taken for configured slots."""
    session.set_ndef_configuration(SLOT.ONE, "https://example.com/", None, NDEF_TYPE.URI)
    session.set_scan_map(bytes(range(45)))
    with pytest.raises(CommandError):
        session.set_ndef_configuration(SLOT.TWO, "https://example.com/")


def test_a_broken_frame_changes_nothing(session: YubiOtpSession) -> None:
    """A configuration with a wrong checksum is refused."""
    frame = bytearray(HmacSha1SlotConfiguration(SECRET).get_config())
    frame[20] ^= 1
    with pytest.raises(ApduError) as refused:
        session.backend.write_update(3, bytes(frame) + bytes(6))
    assert refused.value.sw == 0x6A80
