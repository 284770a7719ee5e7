"""FIDO over the private pcscd: `fido2`'s and `yubikit`'s own ways to a smart card."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from fido2.client import DefaultClientDataCollector, Fido2Client, UserInteraction
from fido2.ctap import CtapDevice, CtapError
from fido2.ctap1 import Ctap1
from fido2.ctap2.base import Ctap2
from fido2.ctap2.pin import ClientPin
from fido2.pcsc import CtapPcscDevice
from fido2.server import Fido2Server
from fido2.webauthn import (
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialUserEntity,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)
from smartcard.System import readers
from ykman.pcsc import ScardSmartCardConnection
from yubikit.core.fido import SmartCardCtapDevice

from tokenprov.sim.bench import VirtualBench

PIN = "a1b2c3d4"
HASH = bytes(range(32))
PATIENCE = 5.0  # seconds for a reader to notice its card


def reader_name(bench: VirtualBench) -> str:
    """The first reader of the bench."""
    return str(bench.control.tokens()[0]["reader"])


@contextmanager
def by_fido2(bench: VirtualBench) -> Iterator[CtapDevice]:
    """The token as `fido2` opens it: short APDUs, command and response chaining."""
    (device,) = CtapPcscDevice.list_devices(reader_name(bench))
    try:
        yield device
    finally:
        device.close(release=True)


@contextmanager
def by_fido2_extended(bench: VirtualBench) -> Iterator[CtapDevice]:
    """The same with extended APDUs."""
    with by_fido2(bench) as device:
        device.use_ext_apdu = True  # type: ignore[attr-defined]  # CtapPcscDevice has it
        yield device


@contextmanager
def by_yubikit(bench: VirtualBench) -> Iterator[CtapDevice]:
    """The token as `yubikit` opens it."""
    (reader,) = [each for each in readers() if each.name == reader_name(bench)]
    connection = reader.createConnection()
    connect: Any = ScardSmartCardConnection
    try:
        yield SmartCardCtapDevice(connect(connection))
    finally:
        connection.disconnect()
        connection.release()


Opener = Callable[[VirtualBench], AbstractContextManager[CtapDevice]]


class Robot(UserInteraction):
    """Enters the PIN."""

    def request_pin(self, permissions: object, rp_id: str | None) -> str:
        """The PIN."""
        return PIN


@pytest.mark.parametrize("opened", [by_fido2, by_fido2_extended, by_yubikit])
def test_register_and_sign_in(bench: VirtualBench, opened: Opener) -> None:
    """The whole of WebAuthn over the real PC/SC stack, by every way of framing."""
    server = Fido2Server(PublicKeyCredentialRpEntity(id="example.com", name="Example"))
    user = PublicKeyCredentialUserEntity(id=b"alice", name="alice", display_name="Alice")
    with opened(bench) as device:
        ClientPin(Ctap2(device)).set_pin(PIN)
        client = Fido2Client(
            device,
            client_data_collector=DefaultClientDataCollector("https://example.com"),
            user_interaction=Robot(),
        )
        options, state = server.register_begin(
            user,
            resident_key_requirement=ResidentKeyRequirement.REQUIRED,
            user_verification=UserVerificationRequirement.REQUIRED,
        )
        made = server.register_complete(state, client.make_credential(options.public_key))
        assert made.credential_data is not None
        request, state = server.authenticate_begin(
            user_verification=UserVerificationRequirement.REQUIRED
        )
        answer = client.get_assertion(request.public_key).get_response(0)
        server.authenticate_complete(state, [made.credential_data], answer)


@pytest.mark.parametrize("opened", [by_fido2, by_fido2_extended])
def test_u2f(bench: VirtualBench, opened: Opener) -> None:
    """U2F registers and authenticates over the same contact."""
    with opened(bench) as device:
        client = Ctap1(device)
        assert client.get_version() == "U2F_V2"
        made = client.register(HASH, HASH)
        made.verify(HASH, HASH)
        client.authenticate(HASH, HASH, made.key_handle).verify(HASH, HASH, made.public_key)


def status(call: Callable[..., object], *arguments: object) -> int:
    """The CTAP status of a refused call."""
    with pytest.raises(CtapError) as error:
        call(*arguments)
    return error.value.code


def test_a_soft_block_ends_with_a_reinsertion_and_not_with_a_reconnection(
    bench: VirtualBench,
) -> None:
    """Three wrong PINs block until the key is pulled; another connection does not help."""
    with by_fido2(bench) as device:
        pins = ClientPin(Ctap2(device))
        pins.set_pin(PIN)
        assert [status(pins.get_pin_token, "wrong") for _ in range(3)] == [0x31, 0x31, 0x34]
    with by_fido2(bench) as device:
        assert status(ClientPin(Ctap2(device)).get_pin_token, PIN) == 0x34
    serial = bench.serials[0]
    bench.control.remove(serial)
    bench.control.insert(serial)
    wait_for_reader(bench)
    with by_fido2(bench) as device:
        assert ClientPin(Ctap2(device)).get_pin_token(PIN)


def wait_for_reader(bench: VirtualBench) -> None:
    """Wait until the first reader has noticed its card."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found = list(CtapPcscDevice.list_devices(reader_name(bench)))
        for device in found:
            device.close(release=True)
        if found:
            return
        assert time.monotonic() < deadline, "the reader did not see the token again"
        time.sleep(0.05)


def test_nobody_touches(bench: VirtualBench) -> None:
    """A token that nobody touches answers USER_ACTION_TIMEOUT, and nothing was made."""
    bench.control.set_touch(bench.serials[0], "never", patience=0.1)
    key = [{"type": "public-key", "alg": -7}]
    with by_fido2(bench) as device:
        ctap = Ctap2(device)
        code = status(ctap.make_credential, HASH, {"id": "example.com"}, {"id": b"u"}, key)
        assert code == 0x2F
        assert ctap.get_info().remaining_disc_creds == 100
