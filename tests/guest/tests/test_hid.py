"""The driver on a real USB bus: HID nodes, tokens without a smart card, re-plugs and keystrokes."""

from __future__ import annotations

import hashlib
import hmac
from contextlib import suppress

import pytest
from yubikit.core import TRANSPORT
from yubikit.management import CAPABILITY, DeviceConfig, ManagementSession
from yubikit.yubiotp import HmacSha1SlotConfiguration

from tests.guest.tests.bench import KEY, SECURITY_KEY, Bench, Operator, wait_for
from tokenprov.device.hid import FidoNode, OtpNode
from tokenprov.device.hid_token import HidToken
from tokenprov.device.pcsc import Context, connected
from tokenprov.device.reinsertion import fido2_reset
from tokenprov.device.token import YubiKey, opened
from tokenprov.errors import NotSupported, ReaderBusy, TokenGone, TokenMoved
from tokenprov.inventory import take_inventory
from tokenprov.model import TokenKind

SECRET = bytes(range(20))
PIN = "314159"


def reader_of(bench: Bench, port: int) -> str:
    """The reader, or the place on the bus, in which the token of a port is, waited for."""
    bench.usb(port)
    serial = None if port == SECURITY_KEY else str(bench.serial(port))
    found: list[str] = []

    def there() -> bool:
        with Context() as context:
            names = [state.name for state in context.states() if state.present]
        for name in names:
            with opened(name, Operator(bench, port)) as token:
                if token.id.serial == serial:
                    found[:] = [name]
        return bool(found)

    wait_for(there)
    return found[0]


def test_three_nodes_are_one_token(bench: Bench) -> None:
    """Smart card, FIDO and OTP of one key say one serial; FIDO goes over HID."""
    serial = bench.renew(KEY)
    usb = bench.usb(KEY)
    with opened(reader_of(bench, KEY), Operator(bench, KEY)) as token:
        assert isinstance(token, YubiKey)
        assert token.id.serial == str(serial)
        assert token.fido2().info.aaguid
        with pytest.raises(ReaderBusy):
            FidoNode(usb)  # it is the one that the token has open
    with Context() as context:
        places = [state.name for state in context.states()]
    assert usb.reader not in places, "it is in a reader already"


def test_a_key_without_ccid_is_used_by_its_nodes(bench: Bench) -> None:
    """With CCID off, configuration, OTP and FIDO go over HID, and its serial is the same."""
    serial = bench.renew(KEY)
    number = bench.usb(KEY).number
    enabled = CAPABILITY.OTP | CAPABILITY.U2F | CAPABILITY.FIDO2
    with connected(reader_of(bench, KEY)) as connection:
        config = DeviceConfig({TRANSPORT.USB: enabled}, None, None, None)
        with suppress(TokenGone):  # it may take its answer with it
            ManagementSession(connection).write_device_config(config, reboot=True)
    wait_for(lambda: bench.usb(KEY).number != number)
    usb = bench.usb(KEY)
    assert usb.product == 0x0403
    with opened(usb.reader, Operator(bench, KEY)) as token:
        assert isinstance(token, HidToken)
        assert token.kind is TokenKind.YUBIKEY
        assert token.id.serial == str(serial)
        otp = token.otp()
        otp.put(2, HmacSha1SlotConfiguration(SECRET), b"access", None)
        assert otp.configured(2)
        assert otp.hmac_sha1(2, b"hello") == hmac.new(SECRET, b"hello", hashlib.sha1).digest()
        token.fido2().set_pin(PIN)
        token.fido2().check_pin(PIN)
        assert take_inventory(token).used
        config = DeviceConfig({TRANSPORT.USB: CAPABILITY.OTP}, None, None, None)
        with pytest.raises(TokenMoved):
            token.management().write(config, reboot=True)
    wait_for(lambda: bench.usb(KEY).product == 0x0401)
    with opened(bench.usb(KEY).reader, Operator(bench, KEY)) as token:
        assert token.id.serial == str(serial)
        with pytest.raises(NotSupported, match="has not FIDO2"):
            token.fido2()


def test_a_security_key_is_made_from_start_to_end(bench: Bench) -> None:
    """PIN, minimum length and a credential over HID alone; it is the same token when it is back."""
    bench.renew(SECURITY_KEY)
    operator = Operator(bench, SECURITY_KEY)
    reader = reader_of(bench, SECURITY_KEY)
    assert reader == bench.usb(SECURITY_KEY).reader
    with opened(reader, operator) as token:
        before = token.id
        assert token.kind is TokenKind.SECURITY_KEY
        assert (before.serial, before.model) == (None, "Security Key NFC")
        fido = token.fido2()
        assert str(fido.info.aaguid) == "e77e3c64-05e3-428b-8824-0cbeb04b829d"
        fido.set_pin(PIN)
        fido.set_minimum_pin_length(6, (), PIN)
        made = fido.make_credential(
            bytes(32),
            {"id": "example.test", "name": "example"},
            {"id": b"1001", "name": "ada"},
            [{"type": "public-key", "alg": -7}],
            PIN,
            "make a credential",
        )
        assert made.auth_data.credential_data is not None
        credential = made.auth_data.credential_data.credential_id
    bench.pull(SECURITY_KEY)
    bench.insert(SECURITY_KEY)
    with opened(reader, operator) as token:
        assert token.id == before
        assert token.fido2().info.min_pin_length == 6
        assert token.fido2().get_assertion("example.test", bytes(32), credential, None)


def test_a_reset_takes_place_in_the_seconds_after_a_re_plug(bench: Bench) -> None:
    """A Security Key with a PIN is put in again in its place and reset, over HID."""
    operator = Operator(bench, SECURITY_KEY)
    reader = reader_of(bench, SECURITY_KEY)
    with opened(reader, operator) as token:
        identity = token.id
        if not token.fido2().info.options.get("clientPin"):
            token.fido2().set_pin(PIN)
    with fido2_reset(identity, reader, operator) as token:
        assert token.reader == reader
    assert operator.asked[0] == "reset FIDO2"
    with opened(reader, operator) as token:
        assert not token.fido2().info.options.get("clientPin")


def test_a_token_pulled_in_use_is_gone(bench: Bench) -> None:
    """Whatever the system calls it, a node whose token was pulled says that the token is gone."""
    bench.renew(KEY)
    usb = bench.usb(KEY)
    fido, otp = FidoNode(usb), OtpNode(usb)
    bench.pull(KEY)
    with pytest.raises(TokenGone):
        fido.ping()
    with pytest.raises(TokenGone):
        otp.receive()
    fido.close()
    otp.close()
    bench.insert(KEY)
