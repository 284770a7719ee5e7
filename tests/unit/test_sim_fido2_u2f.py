"""U2F of the virtual tokens, in the hands of fido2's Ctap1."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from cryptography import x509
from fido2.cose import ES256
from fido2.ctap1 import ApduError, Ctap1
from fido2.ctap2.config import Config
from fido2.ctap2.pin import ClientPin

from tests.fido2_applet import AppletDevice, World
from tokenprov.sim.apdu import SW, Command, Refusal

CHALLENGE = hashlib.sha256(b"client data").digest()
APP = hashlib.sha256(b"https://example.com").digest()


def ctap1(world: World) -> Ctap1:
    """The applet as a U2F token."""
    return Ctap1(AppletDevice(world.applet))


def sw_of(world: World, handle: bytes, app: bytes = APP, check_only: bool = False) -> int:
    """The status word with which an authentication is refused."""
    with pytest.raises(ApduError) as error:
        ctap1(world).authenticate(CHALLENGE, app, handle, check_only)
    return error.value.code


@pytest.mark.parametrize("model", ["yubikey-4.3.7", "yubikey-5.2.7", "yubikey-5.7.4"])
def test_register_and_authenticate(model: str) -> None:
    """A registration verifies under its certificate, an authentication under its key."""
    world = World(model)
    client = ctap1(world)
    assert client.get_version() == "U2F_V2"
    made = client.register(CHALLENGE, APP)
    made.verify(APP, CHALLENGE)
    certificate = x509.load_der_x509_certificate(made.certificate)
    assert "Virtual" in certificate.issuer.rfc4514_string()
    first = client.authenticate(CHALLENGE, APP, made.key_handle)
    first.verify(APP, CHALLENGE, made.public_key)
    assert first.user_presence == 1
    assert client.authenticate(CHALLENGE, APP, made.key_handle).counter > first.counter
    assert world.touches == 3


def test_check_only_tells_known_handles_from_foreign_ones() -> None:
    """6985 for a handle of this token and application, 6A80 for any other; no touch."""
    world = World()
    handle = ctap1(world).register(CHALLENGE, APP).key_handle
    world.touches = 0
    assert sw_of(world, handle, check_only=True) == SW.CONDITIONS_NOT_SATISFIED
    assert sw_of(world, handle, app=bytes(32), check_only=True) == SW.INCORRECT_PARAMETERS
    assert sw_of(World(), handle, check_only=True) == SW.INCORRECT_PARAMETERS
    assert sw_of(world, b"", check_only=True) == SW.INCORRECT_PARAMETERS
    assert world.touches == 0


def test_without_a_touch() -> None:
    """6985, for a registration and an authentication; control 08 does without the user."""
    world = World()
    handle = ctap1(world).register(CHALLENGE, APP).key_handle
    world.finger = False
    assert sw_of(world, handle) == SW.CONDITIONS_NOT_SATISFIED
    with pytest.raises(ApduError) as error:
        ctap1(world).register(CHALLENGE, APP)
    assert error.value.code == SW.CONDITIONS_NOT_SATISFIED
    data = CHALLENGE + APP + bytes([len(handle)]) + handle
    answer = world.applet.process(Command(cla=0, ins=2, p1=8, p2=0, data=data))
    assert answer[0] == 0, "user presence is not claimed"


@pytest.mark.parametrize(
    ("raw", "sw"),
    [
        ("80030000", SW.INVALID_INSTRUCTION),
        ("01030000", SW.CLASS_NOT_SUPPORTED),
        ("00040000", SW.INVALID_INSTRUCTION),
        ("0003000001aa", SW.WRONG_LENGTH),
        ("0001000001aa", SW.WRONG_LENGTH),
        ("0002030001aa", SW.WRONG_LENGTH),
    ],
)
def test_messages_that_are_none(raw: str, sw: int) -> None:
    """Classes, instructions and lengths that U2F does not have."""
    with pytest.raises(Refusal) as refusal:
        World().applet.process(Command.parse(bytes.fromhex(raw)))
    assert refusal.value.sw == sw


def test_a_u2f_key_is_a_ctap2_credential() -> None:
    """CTAP2 asserts with a U2F key handle under the application's name, and the reverse."""
    world = World()
    made = ctap1(world).register(CHALLENGE, APP)
    listed: Any = [{"type": "public-key", "id": made.key_handle}]
    used = world.ctap.get_assertion("https://example.com", CHALLENGE, allow_list=listed)
    point = made.public_key
    key = ES256({1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]})
    used.verify(CHALLENGE, key)


@pytest.mark.parametrize(("level", "sw"), [(1, None), (3, SW.INCORRECT_PARAMETERS)])
def test_protected_credentials_are_not_for_u2f(level: int, sw: int | None) -> None:
    """U2F verifies no user, so that a credential that requires it is not found."""
    world = World()
    world.set_pin()
    protocol, token = world.token(ClientPin.PERMISSION.MAKE_CREDENTIAL, "example.com")
    made = world.ctap.make_credential(
        CHALLENGE,
        {"id": "example.com"},
        {"id": b"u"},
        [{"type": "public-key", "alg": -7}],
        extensions={"credProtect": level},
        pin_uv_param=protocol.authenticate(token, CHALLENGE),
        pin_uv_protocol=2,
    )
    data = made.auth_data.credential_data
    assert data is not None
    app = hashlib.sha256(b"example.com").digest()
    if sw is None:
        ctap1(world).authenticate(CHALLENGE, app, data.credential_id)
    else:
        assert sw_of(world, data.credential_id, app=app) == sw


def test_always_uv_switches_u2f_off() -> None:
    """With alwaysUv every U2F message is 6986, and comes back when it goes."""
    world = World()
    Config(world.ctap).toggle_always_uv()
    for ins in (1, 2, 3):
        with pytest.raises(Refusal) as refusal:
            world.applet.process(Command(cla=0, ins=ins, p1=0, p2=0))
        assert refusal.value.sw == SW.COMMAND_NOT_ALLOWED
    Config(world.ctap).toggle_always_uv()
    assert ctap1(world).get_version() == "U2F_V2"
