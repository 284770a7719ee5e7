"""Making and using credentials, by the steps of CTAP 2.1, 6.1.2 and 6.2.2."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fido2.cose import CoseKey
from fido2.ctap import CtapError
from fido2.ctap2.base import AssertionResponse, AttestationResponse
from fido2.ctap2.pin import ClientPin
from fido2.webauthn import AuthenticatorData

from tests.fido2_applet import World, refused

ERR = CtapError.ERR
FLAG = AuthenticatorData.FLAG
RP = "example.com"
HASH = bytes(range(32))
ES256 = {"type": "public-key", "alg": -7}
ALICE = {"id": b"alice", "name": "alice@example.com", "displayName": "Alice"}
BOB = {"id": b"bob", "name": "bob@example.com", "displayName": "Bob"}


def make(world: World, uv: bool = False, **given: Any) -> AttestationResponse:
    """Make a credential, with sensible parameters and those given; `uv` gets a token first."""
    parameters: dict[str, Any] = {
        "client_data_hash": HASH,
        "rp": {"id": RP, "name": "Example"},
        "user": ALICE,
        "key_params": [ES256],
    }
    if uv:
        protocol, token = world.token(ClientPin.PERMISSION.MAKE_CREDENTIAL, RP)
        parameters["pin_uv_param"] = protocol.authenticate(token, HASH)
        parameters["pin_uv_protocol"] = protocol.VERSION
    return world.ctap.make_credential(**parameters | given)


def use(world: World, uv: bool = False, **given: Any) -> AssertionResponse:
    """Get an assertion, as `make` does."""
    parameters: dict[str, Any] = {"rp_id": RP, "client_data_hash": HASH}
    if uv:
        protocol, token = world.token(ClientPin.PERMISSION.GET_ASSERTION, RP)
        parameters["pin_uv_param"] = protocol.authenticate(token, HASH)
        parameters["pin_uv_protocol"] = protocol.VERSION
    return world.ctap.get_assertion(**parameters | given)


def listed(*made: AttestationResponse) -> list[dict[str, Any]]:
    """Descriptors of credentials."""
    return [{"type": "public-key", "id": id_of(each)} for each in made]


def id_of(made: AttestationResponse) -> bytes:
    """The credential's id."""
    assert made.auth_data.credential_data is not None
    return made.auth_data.credential_data.credential_id


def key_of(made: AttestationResponse) -> CoseKey:
    """The credential's public key."""
    assert made.auth_data.credential_data is not None
    return CoseKey.parse(made.auth_data.credential_data.public_key)


@pytest.mark.parametrize("alg", [-7, -8, -35])
@pytest.mark.parametrize("discoverable", [False, True])
def test_a_credential_signs_with_its_key(alg: int, discoverable: bool) -> None:
    """Every algorithm, discoverable or not: the assertion verifies under the registered key."""
    world = World()
    parameters = [{"type": "public-key", "alg": alg}]
    made = make(world, key_params=parameters, options={"rk": discoverable})
    assert made.auth_data.flags == FLAG.UP | FLAG.AT
    used = use(world, allow_list=listed(made))
    used.verify(HASH, key_of(made))
    assert key_of(made)[3] == alg
    assert used.auth_data.flags == FLAG.UP
    assert used.auth_data.counter > made.auth_data.counter
    assert (used.user is not None) == discoverable


def test_the_first_known_algorithm_is_taken() -> None:
    """Unknown algorithms and types are passed over in the platform's order of preference."""
    wanted = [
        {"type": "public-key", "alg": -257},
        {"type": "private-key", "alg": -7},
        {"type": "public-key", "alg": -8},
        ES256,
    ]
    assert key_of(make(World(), key_params=wanted))[3] == -8


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"key_params": [{"type": "public-key", "alg": -257}]}, ERR.UNSUPPORTED_ALGORITHM),
        ({"key_params": []}, ERR.UNSUPPORTED_ALGORITHM),
        ({"key_params": [ES256, {"type": "public-key"}]}, ERR.MISSING_PARAMETER),
        ({"key_params": [ES256, {"type": 1, "alg": -7}]}, ERR.CBOR_UNEXPECTED_TYPE),
        ({"options": {"up": False}}, ERR.INVALID_OPTION),
        ({"options": {"uv": True}}, ERR.INVALID_OPTION),
        ({"options": {"rk": 1}}, ERR.CBOR_UNEXPECTED_TYPE),
        ({"rp": {"name": "no id"}}, ERR.MISSING_PARAMETER),
        ({"user": {"name": "no id"}}, ERR.MISSING_PARAMETER),
        ({"user": {"id": b"x" * 65}}, ERR.INVALID_LENGTH),
        ({"client_data_hash": b"short"}, ERR.INVALID_LENGTH),
        ({"pin_uv_param": bytes(32)}, ERR.MISSING_PARAMETER),
        ({"pin_uv_param": bytes(32), "pin_uv_protocol": 3}, ERR.INVALID_PARAMETER),
        ({"exclude_list": [{"type": "public-key", "id": b"x"}] * 9}, ERR.LIMIT_EXCEEDED),
        ({"enterprise_attestation": 1}, ERR.INVALID_PARAMETER),
    ],
)
def test_requests_that_cannot_be(given: dict[str, Any], status: CtapError.ERR) -> None:
    """What a platform must not ask for is refused with the standard's status, without a touch."""
    world = World()
    assert refused(make, world, **given) == status
    assert world.touches == 0


def test_older_firmware_knows_fewer_algorithms() -> None:
    """ES384 came with 5.7."""
    world = World("yubikey-5.4.3")
    parameters = [{"type": "public-key", "alg": -35}]
    assert refused(make, world, key_params=parameters) == ERR.UNSUPPORTED_ALGORITHM


def test_with_a_pin_a_discoverable_credential_needs_it() -> None:
    """Option makeCredUvNotRqd spares the PIN for other credentials only, and only in CTAP 2.1."""
    world, older = World(), World("yubikey-5.4.3")
    world.set_pin()
    older.set_pin()
    assert refused(make, world, options={"rk": True}) == ERR.PUAT_REQUIRED
    assert make(world).auth_data.flags == FLAG.UP | FLAG.AT
    assert refused(make, older) == ERR.PUAT_REQUIRED
    made = make(world, uv=True, options={"rk": True})
    assert made.auth_data.flags == FLAG.UP | FLAG.UV | FLAG.AT


def test_always_uv_needs_the_pin_for_everything_but_silence() -> None:
    """A key with alwaysUv does nothing for a user who was not verified, but for up=false."""
    world = World("yubikey-5.7.4-fips")
    assert refused(make, world) == ERR.PUAT_REQUIRED
    world.set_pin()
    assert refused(make, world) == ERR.PUAT_REQUIRED
    made = make(world, uv=True)
    assert refused(use, world, allow_list=listed(made)) == ERR.PUAT_REQUIRED
    silent = use(world, allow_list=listed(made), options={"up": False})
    assert silent.auth_data.flags == 0
    assert use(world, uv=True, allow_list=listed(made)).auth_data.flags == FLAG.UP | FLAG.UV


def test_a_token_is_spent_by_one_registration() -> None:
    """The second makeCredential with the same token is PIN_AUTH_INVALID."""
    world = World()
    world.set_pin()
    protocol, token = world.token(ClientPin.PERMISSION.MAKE_CREDENTIAL, RP)
    given: dict[str, Any] = {
        "pin_uv_param": protocol.authenticate(token, HASH),
        "pin_uv_protocol": 2,
    }
    make(world, **given)
    assert refused(make, world, **given) == ERR.PIN_AUTH_INVALID


def test_nothing_is_made_without_a_touch() -> None:
    """Without the user's finger: USER_ACTION_TIMEOUT, and no room is taken."""
    world = World(finger=False)
    assert refused(make, world, options={"rk": True}) == ERR.USER_ACTION_TIMEOUT
    assert world.ctap.info.remaining_disc_creds == 100
    assert not world.saves


def test_an_excluded_credential_is_found_after_a_touch() -> None:
    """A token that holds a listed credential says so, whether discoverable or not."""
    world = World()
    for discoverable in (False, True):
        made = make(world, options={"rk": discoverable})
        before = world.touches
        code = refused(make, world, exclude_list=listed(made))
        assert code == ERR.CREDENTIAL_EXCLUDED
        assert world.touches == before + 1
    foreign = make(World())
    make(world, exclude_list=listed(foreign))
    make(world, rp={"id": "other.example"}, exclude_list=listed(made))


def test_same_account_is_overwritten() -> None:
    """A second discoverable credential for one RP and user replaces the first."""
    world = World()
    first = make(world, options={"rk": True})
    second = make(world, options={"rk": True})
    assert world.ctap.info.remaining_disc_creds == 99
    assert use(world).credential["id"] == id_of(second)
    assert refused(use, world, allow_list=listed(first)) == ERR.NO_CREDENTIALS


def test_several_accounts_come_newest_first() -> None:
    """Without a list every account answers in turn; names are told after verification only."""
    world = World()
    world.set_pin()
    first = make(world, uv=True, options={"rk": True})
    second = make(world, uv=True, user=BOB, options={"rk": True})
    used = use(world)
    assert used.number_of_credentials == 2
    assert used.user == {"id": b"bob"}
    ctap = world.ctap  # GetInfo in between would end the series
    protocol, token = world.token(ClientPin.PERMISSION.GET_ASSERTION, RP)
    param = protocol.authenticate(token, HASH)
    one = ctap.get_assertion(RP, HASH, pin_uv_param=param, pin_uv_protocol=2)
    other = ctap.get_next_assertion()
    assert (one.user, other.user) == (BOB, ALICE)
    one.verify(HASH, key_of(second))
    other.verify(HASH, key_of(first))
    assert other.auth_data.flags == FLAG.UP | FLAG.UV
    assert other.number_of_credentials is None
    assert refused(ctap.get_next_assertion) == ERR.NOT_ALLOWED


def test_a_single_account_is_told_by_its_id() -> None:
    """Where there is nothing to choose, only the user's id is told, verified or not."""
    world = World()
    world.set_pin()
    make(world, uv=True, options={"rk": True})
    used = use(world, uv=True)
    assert used.user == {"id": b"alice"}
    assert used.number_of_credentials is None


@pytest.mark.parametrize("interruption", ["time", "command", "power"])
def test_the_next_assertion_does_not_wait_for_ever(interruption: str) -> None:
    """Thirty seconds, another command or a loss of power end the series."""
    world = World()
    make(world, options={"rk": True})
    make(world, user=BOB, options={"rk": True})
    ctap = world.ctap
    ctap.get_assertion(RP, HASH)
    if interruption == "time":
        world.now += 31
    elif interruption == "command":
        ctap.get_info()
    else:
        world.reinsert()
    assert refused(ctap.get_next_assertion) == ERR.NOT_ALLOWED


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({}, ERR.NO_CREDENTIALS),
        ({"options": {"uv": True}}, ERR.INVALID_OPTION),
        ({"options": {"rk": False}}, ERR.UNSUPPORTED_OPTION),
        ({"client_data_hash": b"short"}, ERR.INVALID_LENGTH),
        ({"allow_list": [{"type": "public-key"}]}, ERR.MISSING_PARAMETER),
        ({"allow_list": ["x"]}, ERR.CBOR_UNEXPECTED_TYPE),
        ({"allow_list": [{"type": "public-key", "id": bytes(64)}]}, ERR.NO_CREDENTIALS),
        ({"pin_uv_param": bytes(32)}, ERR.MISSING_PARAMETER),
    ],
)
def test_assertions_that_cannot_be(given: dict[str, Any], status: CtapError.ERR) -> None:
    """What cannot be asserted is refused with the standard's status, without a touch."""
    world = World()
    assert refused(use, world, **given) == status
    assert world.touches == 0


def test_silent_assertions_need_no_finger() -> None:
    """With up=false a credential answers although nobody is there, and says so."""
    world = World()
    made = make(world)
    world.finger = False
    used = use(world, allow_list=listed(made), options={"up": False})
    assert used.auth_data.flags == 0
    used.verify(HASH, key_of(made))
    assert refused(use, world, allow_list=listed(made)) == ERR.USER_ACTION_TIMEOUT


def test_a_wrapped_credential_is_bound_to_its_rp_and_its_token() -> None:
    """An id works at its own RP and on its own token, and not with one bit changed."""
    world = World()
    made = make(world)
    use(world, allow_list=listed(made))
    other = refused(use, world, rp_id="other.example", allow_list=listed(made))
    assert other == ERR.NO_CREDENTIALS
    assert refused(use, World(), allow_list=listed(made)) == ERR.NO_CREDENTIALS
    for position in (0, 31, 63):
        bent = bytearray(id_of(made))
        bent[position] ^= 1
        entry = [{"type": "public-key", "id": bytes(bent)}]
        assert refused(use, world, allow_list=entry) == ERR.NO_CREDENTIALS


@pytest.mark.parametrize(
    ("level", "found_silently", "found_by_list"),
    [(None, True, True), (1, True, True), (2, False, True), (3, False, False)],
)
def test_cred_protect(level: int | None, found_silently: bool, found_by_list: bool) -> None:
    """The protection of a credential decides who finds it without verifying the user."""
    world = World()
    world.set_pin()
    extensions = {} if level is None else {"credProtect": level}
    made = make(world, uv=True, options={"rk": True}, extensions=extensions)
    assert made.auth_data.extensions == (None if level is None else {"credProtect": level})
    ways: list[tuple[dict[str, Any], bool]] = [
        ({}, found_silently),
        ({"allow_list": listed(made)}, found_by_list),
    ]
    for given, found in ways:
        if found:
            use(world, **given)
        else:
            assert refused(use, world, **given) == ERR.NO_CREDENTIALS
    use(world, uv=True)
    excluded = refused(make, world, uv=True, exclude_list=listed(made))
    assert excluded == ERR.CREDENTIAL_EXCLUDED
    if level == 3:
        make(world, exclude_list=listed(made))  # not even its existence is told


def test_the_memory_fills_up() -> None:
    """A hundred discoverable credentials and no more; an account that is there still has room."""
    world = World()
    applet = world.applet
    make(world, options={"rk": True})
    state = applet.authenticator._core.state
    one = state.credentials[0]
    for number in range(99):
        state.keep(replace(one, id=bytes([number]) * 48, user_id=bytes([number])))
    assert world.ctap.info.remaining_disc_creds == 0
    assert refused(make, world, user=BOB, options={"rk": True}) == ERR.KEY_STORE_FULL
    make(world, options={"rk": True})
    make(world, user=BOB)


def test_long_names_are_cut_between_characters() -> None:
    """Of a name, 64 bytes of whole characters are kept."""
    world = World()
    world.set_pin()
    user = {"id": b"long", "name": "a" + "ż" * 40, "displayName": "x" * 100}
    make(world, uv=True, user=user, options={"rk": True})
    make(world, uv=True, user=BOB, options={"rk": True})
    ctap = world.ctap
    protocol, token = world.token(ClientPin.PERMISSION.GET_ASSERTION, RP)
    param = protocol.authenticate(token, HASH)
    ctap.get_assertion(RP, HASH, pin_uv_param=param, pin_uv_protocol=2)
    kept = ctap.get_next_assertion().user
    assert kept == {"id": b"long", "name": "a" + "ż" * 31, "displayName": "x" * 64}
