"""Credential management, authenticatorConfig and large blobs, in the hands of fido2."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from fido2.ctap import CtapError
from fido2.ctap2.blob import LargeBlobs
from fido2.ctap2.config import Config
from fido2.ctap2.credman import CredentialManagement
from fido2.ctap2.pin import ClientPin

from tests.fido2_applet import PIN, World, refused
from tokenprov.sim.ctap.wire import Status

ERR = CtapError.ERR
PERMISSION = ClientPin.PERMISSION
RESULT = CredentialManagement.RESULT
HASH = bytes(range(32))
ALICE: Any = {"id": b"alice", "name": "alice@example.com", "displayName": "Alice"}
BOB: Any = {"id": b"bob", "name": "bob@example.com", "displayName": "Bob"}


def sha256(text: str) -> bytes:
    """SHA-256 of a string."""
    return hashlib.sha256(text.encode()).digest()


def make(world: World, rp_id: str, user: Any, **given: Any) -> bytes:
    """Make a discoverable credential; gives its id."""
    protocol, token = world.token(PERMISSION.MAKE_CREDENTIAL, rp_id)
    made = world.ctap.make_credential(
        HASH,
        {"id": rp_id},
        user,
        [{"type": "public-key", "alg": -7}],
        options={"rk": True},
        pin_uv_param=protocol.authenticate(token, HASH),
        pin_uv_protocol=protocol.VERSION,
        **given,
    )
    assert made.auth_data.credential_data is not None
    return made.auth_data.credential_data.credential_id


def manager(world: World, rp_id: str | None = None) -> CredentialManagement:
    """Credential management with a token for it."""
    return CredentialManagement(world.ctap, *world.token(PERMISSION.CREDENTIAL_MGMT, rp_id))


def config(world: World) -> Config:
    """Configuration with a token for it."""
    return Config(world.ctap, *world.token(PERMISSION.AUTHENTICATOR_CFG))


@pytest.fixture(params=["yubikey-5.7.4", "yubikey-5.4.3"])
def world(request: pytest.FixtureRequest) -> World:
    """A token with a PIN, whose credential management is the final one, or the preview."""
    world = World(request.param)
    world.set_pin()
    return world


def test_an_empty_token_says_so(world: World) -> None:
    """No credentials: the count is zero and there is nothing to enumerate."""
    management = manager(world)
    metadata = management.get_metadata()
    capacity = 100 if world.model == "yubikey-5.7.4" else 25
    assert dict(metadata) == {RESULT.EXISTING_CRED_COUNT: 0, RESULT.MAX_REMAINING_COUNT: capacity}
    assert refused(management.enumerate_rps_begin) == ERR.NO_CREDENTIALS
    assert refused(management.enumerate_creds_begin, bytes(32)) == ERR.NO_CREDENTIALS
    assert refused(management.delete_cred, {"type": "public-key", "id": b"x"}) == ERR.NO_CREDENTIALS


def test_credentials_are_enumerated_and_deleted(world: World) -> None:
    """Each RP with its credentials, each credential with its user, key and protection."""
    ids = {
        make(world, "a.example", ALICE, extensions={"credProtect": 2}),
        make(world, "a.example", BOB),
        make(world, "b.example", ALICE),
    }
    management = manager(world)
    rps = {rp[RESULT.RP]["id"]: rp[RESULT.RP_ID_HASH] for rp in management.enumerate_rps()}
    assert rps == {name: sha256(name) for name in ("a.example", "b.example")}
    assert management.get_metadata()[RESULT.EXISTING_CRED_COUNT] == 3
    found = [cred for rp in rps.values() for cred in management.enumerate_creds(rp)]
    assert {cred[RESULT.CREDENTIAL_ID]["id"] for cred in found} == ids
    first, second = management.enumerate_creds(rps["a.example"])
    assert (first[RESULT.USER], second[RESULT.USER]) == (BOB, ALICE)
    assert (first[RESULT.CRED_PROTECT], second[RESULT.CRED_PROTECT]) == (1, 2)
    assert first[RESULT.PUBLIC_KEY][3] == -7
    management.delete_cred(first[RESULT.CREDENTIAL_ID])
    assert len(management.enumerate_creds(rps["a.example"])) == 1
    gone = refused(
        world.ctap.get_assertion, "a.example", HASH, allow_list=[dict(first[RESULT.CREDENTIAL_ID])]
    )
    assert gone == ERR.NO_CREDENTIALS


def test_an_enumeration_is_not_resumed(world: World) -> None:
    """Without a beginning, or after another command, there is no next one."""
    make(world, "a.example", ALICE)
    make(world, "b.example", ALICE)
    management = manager(world)
    assert refused(management.enumerate_rps_next) == ERR.NOT_ALLOWED
    assert refused(management.enumerate_creds_next) == ERR.NOT_ALLOWED
    management.enumerate_rps_begin()
    world.ctap.get_info()
    assert refused(management.enumerate_rps_next) == ERR.NOT_ALLOWED


def test_a_wrong_token_manages_nothing(world: World) -> None:
    """A token that is forged is PIN_AUTH_INVALID."""
    protocol = ClientPin(world.ctap).protocol
    management = CredentialManagement(world.ctap, protocol, bytes(32))
    assert refused(management.get_metadata) == ERR.PIN_AUTH_INVALID


def test_users_are_renamed() -> None:
    """The names of a user change, one that is not sent goes, and another user is refused."""
    world = World()
    world.set_pin()
    id_: Any = {"type": "public-key", "id": make(world, "a.example", ALICE)}
    management = manager(world)
    renamed: Any = {"id": b"alice", "name": "a.smith"}
    management.update_user_info(id_, renamed)
    (kept,) = management.enumerate_creds(sha256("a.example"))
    assert kept[RESULT.USER] == {"id": b"alice", "name": "a.smith"}
    assert refused(management.update_user_info, id_, BOB) == ERR.INVALID_PARAMETER


def test_a_token_with_an_rp_manages_that_rp_only() -> None:
    """A token bound to an RP neither counts nor lists RPs, nor touches another RP's credentials."""
    world = World()
    world.set_pin()
    own: Any = {"type": "public-key", "id": make(world, "a.example", ALICE)}
    other = {"type": "public-key", "id": make(world, "b.example", ALICE)}
    bound = manager(world, "a.example")
    assert refused(bound.get_metadata) == ERR.PIN_AUTH_INVALID
    assert refused(bound.enumerate_rps_begin) == ERR.PIN_AUTH_INVALID
    assert refused(bound.enumerate_creds_begin, sha256("b.example")) == ERR.PIN_AUTH_INVALID
    assert refused(bound.delete_cred, other) == ERR.PIN_AUTH_INVALID
    assert len(bound.enumerate_creds(sha256("a.example"))) == 1
    bound.delete_cred(own)


def test_a_token_for_something_else_does_not_configure() -> None:
    """Without the permission acfg nothing is configured, without a token neither."""
    world = World()
    world.set_pin()
    other = Config(world.ctap, *world.token(PERMISSION.CREDENTIAL_MGMT))
    assert refused(other.toggle_always_uv) == ERR.PIN_AUTH_INVALID
    assert refused(Config(world.ctap).toggle_always_uv) == ERR.PUAT_REQUIRED
    assert not world.ctap.info.options["alwaysUv"]


def test_always_uv_is_toggled() -> None:
    """On: no U2F, no makeCredUvNotRqd; off again: as before."""
    world = World()
    world.set_pin()
    config(world).toggle_always_uv()
    info = world.ctap.info
    assert (info.options["alwaysUv"], info.options["makeCredUvNotRqd"]) == (True, False)
    assert "U2F_V2" not in info.versions
    assert world.applet.select() == b"FIDO_2_0"
    config(world).toggle_always_uv()
    assert world.applet.select() == b"U2F_V2"
    assert world.ctap.info.options["makeCredUvNotRqd"]


def test_a_fips_key_keeps_always_uv() -> None:
    """A FIPS key of 5.7 cannot switch alwaysUv off."""
    world = World("yubikey-5.7.4-fips")
    world.set_pin()
    assert refused(config(world).toggle_always_uv) == ERR.OPERATION_DENIED


def test_the_minimum_pin_length_only_grows() -> None:
    """Longer is taken, shorter refused; a PIN that became too short must be changed."""
    world = World()
    world.set_pin("123456")
    Config(world.ctap, *world.token(PERMISSION.AUTHENTICATOR_CFG, pin="123456")).set_min_pin_length(
        6
    )
    assert world.ctap.info.min_pin_length == 6
    assert not world.ctap.info.force_pin_change
    client = Config(world.ctap, *world.token(PERMISSION.AUTHENTICATOR_CFG, pin="123456"))
    assert refused(client.set_min_pin_length, 5) == ERR.PIN_POLICY_VIOLATION
    assert refused(client.set_min_pin_length, 64) == ERR.PIN_POLICY_VIOLATION
    client.set_min_pin_length(8)
    info = world.ctap.info
    assert (info.min_pin_length, info.force_pin_change) == (8, True)
    pin = ClientPin(world.ctap)
    assert refused(pin.change_pin, "123456", "1234567") == ERR.PIN_POLICY_VIOLATION
    pin.change_pin("123456", "12345678")
    assert not world.ctap.info.force_pin_change


def change_forced(world: World) -> bool:
    """Whether the token says that its PIN must be changed."""
    return world.ctap.info.force_pin_change


def test_a_forced_change_of_pin() -> None:
    """Until the PIN changes the right one is refused: 37 with permissions, 31 without."""
    world = World()
    world.set_pin()
    config(world).set_min_pin_length(force_change_pin=True)
    assert change_forced(world)
    assert refused(world.token, PERMISSION.GET_ASSERTION, "a.example") == ERR.PIN_POLICY_VIOLATION
    client = ClientPin(world.ctap)
    assert refused(client.get_pin_token, PIN) == ERR.PIN_INVALID
    assert client.get_pin_retries()[0] == 8, "the PIN was right"
    assert refused(client.change_pin, PIN, PIN) == ERR.PIN_POLICY_VIOLATION
    client.change_pin(PIN, "another one")
    assert not change_forced(world)
    assert client.get_pin_token("another one")


def test_a_change_cannot_be_forced_without_a_pin() -> None:
    """There must be a PIN to force a change of."""
    client = Config(World().ctap)
    assert refused(client.set_min_pin_length, force_change_pin=True) == ERR.PIN_NOT_SET


def test_one_rp_may_be_told_the_minimum_length() -> None:
    """The list of RP IDs has room for one."""
    client = Config(World().ctap)
    client.set_min_pin_length(rp_ids=["a.example"])
    too_many = ["a.example", "b.example"]
    assert refused(client.set_min_pin_length, rp_ids=too_many) == ERR.KEY_STORE_FULL


def test_enterprise_attestation_is_for_keys_with_a_serial() -> None:
    """It can be enabled where there is a serial number to attest, and is no command elsewhere."""
    world = World()
    Config(world.ctap).enable_enterprise_attestation()
    assert world.ctap.info.options["ep"]
    without = World("security-key-5.7", serial=None)
    assert "ep" not in without.ctap.info.options
    client = Config(without.ctap)
    assert refused(client.enable_enterprise_attestation) == ERR.INVALID_PARAMETER


def test_large_blobs_are_kept() -> None:
    """An array is written in fragments, read back, and survives a loss of power."""
    world = World()
    assert LargeBlobs(world.ctap).read_blob_array() == []
    world.set_pin()
    blobs = LargeBlobs(world.ctap, *world.token(PERMISSION.LARGE_BLOB_WRITE))
    key, content = bytes(range(32)), bytes(i * 7 % 251 for i in range(2500))
    entry = [{1: content, 2: bytes(12), 3: len(content)}]
    blobs.write_blob_array(entry)
    world.reinsert()
    assert LargeBlobs(world.ctap).read_blob_array() == entry
    blobs = LargeBlobs(world.ctap, *world.token(PERMISSION.LARGE_BLOB_WRITE))
    blobs.put_blob(key, b"certificate")
    assert blobs.get_blob(key) == b"certificate"
    assert blobs.get_blob(bytes(32)) is None


def large(world: World, **given: Any) -> int:
    """The status of a large blobs command."""
    return refused(world.ctap.large_blobs, **given)


def test_large_blobs_refusals() -> None:
    """Wrong offsets, lengths, sums and combinations are refused by their own statuses."""
    world = World()
    good = b"\x80" + hashlib.sha256(b"\x80").digest()[:16]
    assert large(world, offset=0) == ERR.INVALID_PARAMETER
    assert large(world, offset=0, get=1, set=good) == ERR.INVALID_PARAMETER
    assert large(world, offset=0, get=1, length=1) == ERR.INVALID_PARAMETER
    assert large(world, offset=18, get=1) == ERR.INVALID_PARAMETER
    assert large(world, offset=0, get=1473) == ERR.INVALID_LENGTH
    assert large(world, offset=0, set=good) == ERR.INVALID_PARAMETER
    assert large(world, offset=0, set=good, length=16) == ERR.INVALID_PARAMETER
    assert large(world, offset=0, set=good, length=4097) == Status.LARGE_BLOB_STORAGE_FULL
    assert large(world, offset=0, set=good + b"x", length=17) == ERR.INVALID_PARAMETER
    assert large(world, offset=5, set=good) == ERR.INVALID_SEQ
    world.ctap.large_blobs(offset=0, set=good[:5], length=17)
    assert large(world, offset=5, set=good[5:], length=17) == ERR.INVALID_PARAMETER
    assert large(world, offset=4, set=good[5:]) == ERR.INVALID_SEQ
    assert large(world, offset=0, set=bytes(17), length=17) == ERR.INTEGRITY_FAILURE
    world.ctap.large_blobs(offset=0, set=good[:5], length=17)
    world.ctap.large_blobs(offset=5, set=good[5:])
    world.set_pin()
    assert large(world, offset=0, set=good, length=17) == ERR.PUAT_REQUIRED
    protocol, token = world.token(PERMISSION.CREDENTIAL_MGMT)
    client = LargeBlobs(world.ctap, protocol, token)
    assert refused(client.write_blob_array, []) == ERR.PIN_AUTH_INVALID
