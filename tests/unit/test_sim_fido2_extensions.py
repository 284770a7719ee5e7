"""Extensions of the virtual authenticator: hmac-secret, credBlob, largeBlobKey, minPinLength."""

from __future__ import annotations

import hmac
from typing import Any

import pytest
from fido2.ctap import CtapError
from fido2.ctap2.config import Config
from fido2.ctap2.pin import ClientPin, PinProtocol, PinProtocolV1, PinProtocolV2

from tests.fido2_applet import World, refused, shared_secret

ERR = CtapError.ERR
RP = "example.com"
HASH = bytes(range(32))
SALTS = [b"a" * 32, b"b" * 32]
RK = {"rk": True}


def make(world: World, extensions: dict[str, Any], **given: Any) -> Any:
    """Make a credential with those extensions."""
    return world.ctap.make_credential(
        HASH,
        {"id": given.pop("rp_id", RP)},
        {"id": b"alice"},
        [{"type": "public-key", "alg": -7}],
        extensions=extensions,
        **given,
    )


def ask(
    world: World, protocol: PinProtocol, salts: list[bytes], uv: bool = False, **given: Any
) -> list[bytes]:
    """The hmac-secret outputs for these salts."""
    client = ClientPin(world.ctap, protocol)
    agreement, secret = shared_secret(client)
    encrypted = protocol.encrypt(secret, b"".join(salts))
    request: dict[int, Any] = {
        1: agreement,
        2: encrypted,
        3: protocol.authenticate(secret, encrypted),
    }
    if protocol.VERSION != 1:
        request[4] = protocol.VERSION
    if uv:
        _, token = world.token(ClientPin.PERMISSION.GET_ASSERTION, RP, protocol)
        given["pin_uv_param"] = protocol.authenticate(token, HASH)
        given["pin_uv_protocol"] = protocol.VERSION
    answer = world.ctap.get_assertion(RP, HASH, extensions={"hmac-secret": request}, **given)
    assert answer.auth_data.extensions is not None
    outputs = protocol.decrypt(secret, answer.auth_data.extensions["hmac-secret"])
    return [outputs[at : at + 32] for at in range(0, len(outputs), 32)]


@pytest.mark.parametrize("discoverable", [False, True])
def test_hmac_secret_is_a_function_of_the_salt(discoverable: bool) -> None:
    """One and two salts, both protocols: the same salt gives the same 32 bytes, another others."""
    world = World()
    made = make(world, {"hmac-secret": True}, options={"rk": discoverable})
    assert made.auth_data.extensions == {"hmac-secret": True}
    listed: Any = [{"type": "public-key", "id": made.auth_data.credential_data.credential_id}]
    one = ask(world, PinProtocolV1(), SALTS[:1], allow_list=listed)
    two = ask(world, PinProtocolV2(), SALTS, allow_list=listed)
    assert [len(each) for each in two] == [32, 32]
    assert one == two[:1]
    assert two[0] != two[1]


def test_hmac_secret_differs_with_user_verification() -> None:
    """A verified user gets the outputs of another key (CTAP 2.1, 12.5: two CredRandoms)."""
    world = World()
    make(world, {"hmac-secret": True}, options=RK)
    world.set_pin()
    without = ask(world, PinProtocolV2(), SALTS)
    verified = ask(world, PinProtocolV2(), SALTS, uv=True)
    assert not set(without) & set(verified)
    assert verified == ask(world, PinProtocolV1(), SALTS, uv=True)


def test_hmac_secret_is_only_for_credentials_that_asked_for_it() -> None:
    """A credential made without hmac-secret gives none."""
    world = World()
    make(world, {}, options=RK)
    client = ClientPin(world.ctap)
    agreement, secret = shared_secret(client)
    encrypted = client.protocol.encrypt(secret, SALTS[0])
    request = {1: agreement, 2: encrypted, 3: client.protocol.authenticate(secret, encrypted), 4: 2}
    answer = world.ctap.get_assertion(RP, HASH, extensions={"hmac-secret": request})
    assert answer.auth_data.extensions is None


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({3: bytes(32)}, ERR.PIN_AUTH_INVALID),
        ({4: 3}, ERR.INVALID_PARAMETER),
        ({2: None}, ERR.MISSING_PARAMETER),
        ({1: {1: 2, 3: -25, -1: 1, -2: bytes(32), -3: bytes(32)}}, ERR.INVALID_PARAMETER),
    ],
)
def test_hmac_secret_requests_that_cannot_be(change: dict[int, Any], status: int) -> None:
    """A forged, foreign or incomplete request is refused."""
    world = World()
    make(world, {"hmac-secret": True}, options=RK)
    client = ClientPin(world.ctap)
    agreement, secret = shared_secret(client)
    encrypted = client.protocol.encrypt(secret, SALTS[0])
    request = {1: agreement, 2: encrypted, 3: client.protocol.authenticate(secret, encrypted), 4: 2}
    request |= change
    request = {key: value for key, value in request.items() if value is not None}
    extensions = {"hmac-secret": request}
    assert refused(world.ctap.get_assertion, RP, HASH, extensions=extensions) == status
    silent = {"options": {"up": False}, "extensions": extensions}
    assert refused(world.ctap.get_assertion, RP, HASH, **silent) == ERR.UNSUPPORTED_OPTION


def test_salts_have_one_length() -> None:
    """48 bytes are neither one salt nor two."""
    world = World()
    make(world, {"hmac-secret": True}, options=RK)
    code = refused(ask, world, PinProtocolV2(), [b"x" * 48])
    assert code == ERR.INVALID_PARAMETER


@pytest.mark.parametrize(
    ("blob", "discoverable", "stored"),
    [(b"", True, True), (b"x" * 32, True, True), (b"x" * 33, True, False), (b"x", False, False)],
)
def test_cred_blob(blob: bytes, discoverable: bool, stored: bool) -> None:
    """Up to 32 bytes are kept with a discoverable credential, and told when they are not."""
    world = World()
    made = make(world, {"credBlob": blob}, options={"rk": discoverable})
    assert made.auth_data.extensions == {"credBlob": stored}
    listed: Any = [{"type": "public-key", "id": made.auth_data.credential_data.credential_id}]
    answer = world.ctap.get_assertion(RP, HASH, listed, extensions={"credBlob": True})
    assert answer.auth_data.extensions == {"credBlob": blob if stored else b""}


def test_large_blob_key() -> None:
    """A discoverable credential has a key for its large blob, told at making and at use."""
    world = World()
    made = make(world, {"largeBlobKey": True}, options=RK)
    assert made.large_blob_key is not None
    assert len(made.large_blob_key) == 32
    used = world.ctap.get_assertion(RP, HASH, extensions={"largeBlobKey": True})
    assert used.large_blob_key == made.large_blob_key
    assert world.ctap.get_assertion(RP, HASH).large_blob_key is None
    assert refused(make, world, {"largeBlobKey": True}) == ERR.INVALID_OPTION
    assert refused(make, world, {"largeBlobKey": False}, options=RK) == ERR.INVALID_OPTION
    other = make(World(), {"largeBlobKey": True}, options=RK)
    assert not hmac.compare_digest(other.large_blob_key, made.large_blob_key)


def test_min_pin_length_is_told_to_listed_rps_only() -> None:
    """The RP that was named learns the minimum length; another RP learns nothing."""
    world = World()
    Config(world.ctap).set_min_pin_length(7, rp_ids=[RP])
    told = make(world, {"minPinLength": True})
    assert told.auth_data.extensions == {"minPinLength": 7}
    other = make(world, {"minPinLength": True}, rp_id="other.example")
    assert other.auth_data.extensions is None


@pytest.mark.parametrize("level", [0, 4])
def test_unknown_protection_is_refused(level: int) -> None:
    """The levels of credProtect are one to three."""
    assert refused(make, World(), {"credProtect": level}) == ERR.INVALID_OPTION


def test_older_firmware_ignores_what_it_does_not_know() -> None:
    """Firmware 5.4 makes the credential and says nothing of extensions of 5.7."""
    world = World("yubikey-5.4.3")
    asked = {"credBlob": b"x", "minPinLength": True, "hmac-secret": True, "credProtect": 2}
    made = make(world, asked, options=RK)
    assert made.auth_data.extensions == {"hmac-secret": True, "credProtect": 2}
