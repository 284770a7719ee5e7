"""CTAPHID of the virtual tokens, in the hands of fido2's CtapHidDevice and report by report."""

from __future__ import annotations

from collections import deque

import pytest
from fido2.ctap1 import Ctap1
from fido2.ctap2.base import Ctap2
from fido2.ctap2.pin import ClientPin
from fido2.hid import CAPABILITY, CtapHidDevice
from fido2.hid.base import CtapHidConnection, HidDescriptor

from tests.fido2_applet import PIN, World
from tokenprov.sim.ctap.ctaphid import CtapHid, HidCommand, HidError, Keepalive, frames
from tokenprov.sim.models import MODELS

BROADCAST = 0xFFFFFFFF
NONCE = b"12345678"
HASH = bytes(range(32))


def interface(world: World) -> CtapHid:
    """The FIDO interface of a token."""
    version = MODELS[world.model].version
    return CtapHid(world.applet.authenticator, version, lambda: world.now)


class Wire(CtapHidConnection):
    """A cable between a client and the interface."""

    def __init__(self, hid: CtapHid) -> None:
        self._hid = hid
        self._reports: deque[bytes] = deque()

    def write_packet(self, data: bytes) -> None:
        """A report to the token."""
        assert len(data) == 64
        self._reports.extend(self._hid.receive(data) + self._hid.run())

    def read_packet(self) -> bytes:
        """A report from the token."""
        return self._reports.popleft()

    def close(self) -> None:
        """Nothing to close."""


def device(world: World) -> CtapHidDevice:
    """The token as `fido2` opens it on USB."""
    descriptor = HidDescriptor("virtual", 0x1050, 0x0407, 64, 64, "YubiKey", None)
    return CtapHidDevice(descriptor, Wire(interface(world)))


def channel_of(hid: CtapHid) -> int:
    """A new channel."""
    (answer,) = hid.receive(frames(BROADCAST, HidCommand.INIT, NONCE)[0])
    return int.from_bytes(answer[15:19], "big")


def error_of(reports: list[bytes]) -> int:
    """The code in a single error report."""
    (report,) = reports
    assert report[4:7] == bytes([0x80 | HidCommand.ERROR, 0, 1])
    return report[7]


def test_the_makers_client_talks_over_it() -> None:
    """INIT, PING of every length, WINK, LOCK, a PIN, a credential and U2F, over 64-byte reports."""
    world = World()
    client = device(world)
    assert client.device_version == (5, 7, 4)
    assert client.capabilities == CAPABILITY.WINK | CAPABILITY.CBOR
    for length in (1, 57, 58, 57 + 59, 57 + 59 + 1, 7609):
        message = bytes(index % 251 for index in range(length))
        assert client.ping(message) == message
    client.wink()
    client.lock(0)
    ctap = Ctap2(client)
    ClientPin(ctap).set_pin(PIN)
    made = ctap.make_credential(
        HASH, {"id": "example.com"}, {"id": b"u"}, [{"type": "public-key", "alg": -7}]
    )
    assert made.fmt == "packed"
    u2f = Ctap1(client)
    assert u2f.get_version() == "U2F_V2"
    registered = u2f.register(HASH, HASH)
    registered.verify(HASH, HASH)
    u2f.authenticate(HASH, HASH, registered.key_handle).verify(HASH, HASH, registered.public_key)


@pytest.mark.parametrize(
    ("model", "capabilities"),
    [
        ("yubikey-4.3.7", CAPABILITY.WINK),
        ("yubikey-5.7.4-fips", CAPABILITY.WINK | CAPABILITY.CBOR | CAPABILITY.NMSG),
    ],
)
def test_capabilities_follow_the_model(model: str, capabilities: int) -> None:
    """A YubiKey 4 has no CBOR; where alwaysUv is on there is no U2F."""
    assert device(World(model)).capabilities == capabilities


def test_a_yubikey_4_refuses_cbor() -> None:
    """CBOR is an invalid command where there is no CTAP2."""
    hid = interface(World("yubikey-4.3.7"))
    channel = channel_of(hid)
    assert error_of(hid.receive(frames(channel, HidCommand.CBOR, b"\x04")[0])) == 1


@pytest.mark.parametrize("channel", [0, BROADCAST, 77])
def test_channels_that_were_never_given(channel: int) -> None:
    """A message on such a channel is INVALID_CHANNEL."""
    hid = interface(World())
    answer = hid.receive(frames(channel, HidCommand.PING, b"x")[0])
    assert error_of(answer) == HidError.INVALID_CHANNEL


def test_one_transaction_at_a_time() -> None:
    """While one channel sends, another is busy; the first goes on undisturbed."""
    hid = interface(World())
    one, two = channel_of(hid), channel_of(hid)
    message = bytes(range(100))
    first, second = frames(one, HidCommand.PING, message)
    assert hid.receive(first) == []
    assert error_of(hid.receive(frames(two, HidCommand.PING, b"x")[0])) == HidError.CHANNEL_BUSY
    assert hid.receive(second) == frames(one, HidCommand.PING, message)


def test_reports_out_of_order() -> None:
    """A wrong sequence number, and a second beginning, end the transaction."""
    hid = interface(World())
    channel = channel_of(hid)
    begin, *rest = frames(channel, HidCommand.PING, bytes(200))
    assert hid.receive(begin) == []
    assert error_of(hid.receive(rest[1])) == HidError.INVALID_SEQ
    assert hid.receive(rest[0]) == [], "a continuation of nothing is ignored"
    assert hid.receive(begin) == []
    assert error_of(hid.receive(begin)) == HidError.INVALID_SEQ


def test_init_brings_a_channel_back_to_order() -> None:
    """INIT in the middle of a message keeps the channel and drops the message."""
    hid = interface(World())
    channel = channel_of(hid)
    begin, *rest = frames(channel, HidCommand.PING, bytes(100))
    assert hid.receive(begin) == []
    (answer,) = hid.receive(frames(channel, HidCommand.INIT, NONCE)[0])
    assert answer[7:19] == NONCE + channel.to_bytes(4, "big")
    assert hid.receive(rest[0]) == []


def test_a_stalled_message_times_out() -> None:
    """Half a second without a continuation is MSG_TIMEOUT, and the next message is served."""
    world = World()
    hid = interface(world)
    channel = channel_of(hid)
    assert hid.receive(frames(channel, HidCommand.PING, bytes(100))[0]) == []
    world.now += 0.4
    assert hid.expire() == []
    world.now += 0.2
    late, answer = hid.receive(frames(channel, HidCommand.PING, b"x")[0])
    assert error_of([late]) == HidError.MSG_TIMEOUT
    assert answer == frames(channel, HidCommand.PING, b"x")[0]


def test_a_lock_keeps_others_out() -> None:
    """A locked token serves its channel only, until the time is over."""
    world = World()
    hid = interface(world)
    one, two = channel_of(hid), channel_of(hid)
    ping = frames(two, HidCommand.PING, b"x")[0]
    hid.receive(frames(one, HidCommand.LOCK, b"\x05")[0])
    assert error_of(hid.receive(ping)) == HidError.CHANNEL_BUSY
    world.now += 6
    assert hid.receive(ping) == [ping]
    too_long = hid.receive(frames(one, HidCommand.LOCK, b"\x0b")[0])
    assert error_of(too_long) == HidError.INVALID_PAR


@pytest.mark.parametrize(
    ("command", "data", "error"),
    [
        (0x20, b"", HidError.INVALID_CMD),
        (HidCommand.WINK, b"x", HidError.INVALID_LEN),
        (HidCommand.LOCK, b"", HidError.INVALID_LEN),
        (HidCommand.CBOR, b"", HidError.INVALID_LEN),
    ],
)
def test_messages_that_are_none(command: int, data: bytes, error: HidError) -> None:
    """Unknown commands and wrong lengths are errors of the channel."""
    hid = interface(World())
    assert error_of(hid.receive(frames(channel_of(hid), command, data)[0])) == error


def test_a_length_beyond_the_protocol_is_refused() -> None:
    """More than 7609 bytes cannot be framed, and CANCEL of nothing is ignored."""
    hid = interface(World())
    channel = channel_of(hid)
    report = channel.to_bytes(4, "big") + bytes([0x80 | HidCommand.PING]) + b"\x1d\xba"
    assert error_of(hid.receive(report.ljust(64, b"\0"))) == HidError.INVALID_LEN
    assert hid.receive(frames(channel, HidCommand.CANCEL, b"")[0]) == []


GET_INFO = b"\x04"


def test_a_pending_message_keeps_its_client_waiting_and_others_out() -> None:
    """Keep-alives go to its channel; another channel is busy, and may still be given."""
    hid = interface(World())
    one, two = channel_of(hid), channel_of(hid)
    assert hid.keepalive(Keepalive.PROCESSING) == []
    assert hid.receive(frames(one, HidCommand.CBOR, GET_INFO)[0]) == []
    (alive,) = hid.keepalive(Keepalive.UP_NEEDED)
    assert alive[:8] == one.to_bytes(4, "big") + bytes([0x80 | HidCommand.KEEPALIVE, 0, 1, 2])
    assert error_of(hid.receive(frames(two, HidCommand.PING, b"x")[0])) == HidError.CHANNEL_BUSY
    assert channel_of(hid) == two + 1
    assert hid.run()[0][4] == 0x80 | HidCommand.CBOR
    assert hid.receive(frames(two, HidCommand.PING, b"x")[0])[0][4] == 0x80 | HidCommand.PING


def test_cancel_ends_what_waits_for_a_touch() -> None:
    """CANCEL on its channel makes a missing touch KEEPALIVE_CANCEL; on another one, nothing."""
    world = World()
    world.finger = False
    for cancelled in (True, False):
        hid = interface(world)
        one, two = channel_of(hid), channel_of(hid)
        assert hid.receive(frames(one, HidCommand.CBOR, b"\x0b")[0]) == []  # selection
        assert hid.receive(frames(one if cancelled else two, HidCommand.CANCEL, b"")[0]) == []
        assert hid.pending is not None
        assert hid.pending.cancelled is cancelled
        assert hid.run()[0][7] == (0x2D if cancelled else 0x2F)


def test_init_on_the_channel_of_a_pending_message_drops_its_answer() -> None:
    """Who begins anew on its channel hears nothing of what was asked before."""
    hid = interface(World())
    channel = channel_of(hid)
    hid.receive(frames(channel, HidCommand.CBOR, GET_INFO)[0])
    assert hid.receive(frames(channel, HidCommand.INIT, NONCE)[0])[0][15:19] == channel.to_bytes(4)
    assert hid.run() == []
