"""PINs and PIN/UV tokens of the virtual authenticator, in the hands of fido2's ClientPin."""

from __future__ import annotations

import hashlib

import pytest
from fido2.ctap import CtapError
from fido2.ctap2.pin import ClientPin, PinProtocol, PinProtocolV1, PinProtocolV2

from tests.fido2_applet import PIN, World, refused, shared_secret

PROTOCOLS = [PinProtocolV1(), PinProtocolV2()]
ERR = CtapError.ERR
RP = "example.com"
HASH = bytes(range(32))


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=["one", "two"])
def test_set_change_and_use(protocol: PinProtocol) -> None:
    """A PIN is set, used and changed with either protocol; the old one is no good afterwards."""
    world = World()
    client = ClientPin(world.ctap, protocol)
    client.set_pin("1234")
    assert world.ctap.info.options["clientPin"]
    assert client.get_pin_token("1234")
    client.change_pin("1234", "zażółć")
    assert refused(client.get_pin_token, "1234") == ERR.PIN_INVALID
    assert client.get_pin_token("zażółć")


def test_older_firmware_has_protocol_one_only() -> None:
    """Firmware 5.2 takes PINs by protocol one and refuses protocol two."""
    world = World("yubikey-5.2.7")
    client = ClientPin(world.ctap)
    assert isinstance(client.protocol, PinProtocolV1)
    client.set_pin(PIN)
    assert client.get_pin_token(PIN)
    two = ClientPin(world.ctap, PinProtocolV2())
    assert refused(two.get_pin_token, PIN) == ERR.INVALID_PARAMETER


def test_setting_a_pin_twice_is_refused() -> None:
    """A PIN that is there can only be changed."""
    world = World()
    world.set_pin()
    assert refused(world.set_pin) == ERR.PIN_AUTH_INVALID


def test_without_a_pin_there_is_nothing_to_verify() -> None:
    """Changing or using a PIN that was never set is PIN_NOT_SET."""
    client = ClientPin(World().ctap)
    assert refused(client.change_pin, "1234", "5678") == ERR.PIN_NOT_SET
    assert refused(client.get_pin_token, "1234") == ERR.PIN_NOT_SET


def test_three_wrong_pins_need_a_reinsertion_and_eight_a_reset() -> None:
    """31, 31, 34 until power-up, twice; then 31, 32, and 32 for the right PIN, for good."""
    world = World()
    world.set_pin()
    client = ClientPin(world.ctap)
    for left in (7, 6):
        assert refused(client.get_pin_token, "wrong") == ERR.PIN_INVALID
        assert client.get_pin_retries() == (left, False)
    assert refused(client.get_pin_token, "wrong") == ERR.PIN_AUTH_BLOCKED
    assert client.get_pin_retries() == (5, True)
    assert refused(client.get_pin_token, PIN) == ERR.PIN_AUTH_BLOCKED
    assert client.get_pin_retries()[0] == 5, "a blocked try costs nothing"
    world.reinsert()
    for expected in (ERR.PIN_INVALID, ERR.PIN_INVALID, ERR.PIN_AUTH_BLOCKED):
        assert refused(client.get_pin_token, "wrong") == expected
    world.reinsert()
    assert refused(client.change_pin, "wrong", "abcdef") == ERR.PIN_INVALID
    assert refused(client.get_pin_token, "wrong") == ERR.PIN_BLOCKED
    world.reinsert()
    assert refused(client.get_pin_token, PIN) == ERR.PIN_BLOCKED
    assert client.get_pin_retries()[0] == 0


def test_a_right_pin_gives_the_tries_back() -> None:
    """Two wrong PINs and a right one leave eight tries, and three wrong ones in a row again."""
    world = World()
    world.set_pin()
    client = ClientPin(world.ctap)
    for _ in range(2):
        assert refused(client.get_pin_token, "wrong") == ERR.PIN_INVALID
    client.get_pin_token(PIN)
    assert client.get_pin_retries() == (8, False)
    assert refused(client.get_pin_token, "wrong") == ERR.PIN_INVALID


def test_a_try_is_durable_before_the_answer() -> None:
    """The lasting state has one try less although the token goes away before it answers."""
    world = World()
    world.set_pin()
    world.saves.clear()
    assert refused(ClientPin(world.ctap).get_pin_token, "wrong") == ERR.PIN_INVALID
    assert world.saves[0]["pin_retries"] == 7


@pytest.mark.parametrize(
    ("model", "pin", "taken"),
    [
        ("yubikey-5.7.4", "1234", True),
        ("yubikey-5.7.4", "ąęó", False),  # six bytes, three code points
        ("yubikey-5.7.4", "ąęóż", True),
        ("yubikey-5.7.4", "x" * 63, True),
        ("yubikey-5.7.4", "x" * 64, False),
        ("yubikey-5.4.3-fips", "12345", False),
        ("yubikey-5.4.3-fips", "123456", True),
        ("yubikey-5.7.4-fips", "84kd03x", False),  # seven of eight
        ("yubikey-5.7.4-fips", "84kd03xq", True),
        ("yubikey-5.7.4-fips", "88888888", False),  # complexity
        ("yubikey-5.7.4-fips", "12345678", False),
        ("yubikey-5.7.4-fips", "iLoveYou", False),
    ],
)
def test_pin_policy(model: str, pin: str, taken: bool) -> None:
    """Length counts in code points, bytes have a limit, and complexity refuses the commonest."""
    world = World(model)
    client = ClientPin(world.ctap, PinProtocolV1())
    padded = pin.encode().ljust(64, b"\0")
    agreement, secret = shared_secret(client)
    encrypted = client.protocol.encrypt(secret, padded)

    def set_pin() -> None:
        world.ctap.client_pin(
            1,
            ClientPin.CMD.SET_PIN,
            key_agreement=agreement,
            new_pin_enc=encrypted,
            pin_uv_param=client.protocol.authenticate(secret, encrypted),
        )

    if taken:
        set_pin()
        assert client.get_pin_token(pin)
    else:
        assert refused(set_pin) == ERR.PIN_POLICY_VIOLATION
        assert not world.ctap.info.options["clientPin"]


def test_a_padded_pin_of_another_length_is_an_invalid_parameter() -> None:
    """What decrypts to anything but 64 bytes is not a PIN."""
    world = World()
    client = ClientPin(world.ctap)
    agreement, secret = shared_secret(client)
    encrypted = client.protocol.encrypt(secret, b"1234".ljust(80, b"\0"))
    mac = client.protocol.authenticate(secret, encrypted)
    code = refused(world.ctap.client_pin, 2, 3, agreement, mac, encrypted)
    assert code == ERR.INVALID_PARAMETER


def test_a_forged_set_pin_is_refused() -> None:
    """A wrong MAC is PIN_AUTH_INVALID, and a point off the curve an invalid parameter."""
    world = World()
    client = ClientPin(world.ctap)
    agreement, secret = shared_secret(client)
    encrypted = client.protocol.encrypt(secret, b"1234".ljust(64, b"\0"))
    mac = client.protocol.authenticate(secret, encrypted)
    wrong = bytes([mac[0] ^ 1]) + mac[1:]
    assert refused(world.ctap.client_pin, 2, 3, agreement, wrong, encrypted) == ERR.PIN_AUTH_INVALID
    off_curve = dict(agreement) | {-3: bytes(32)}
    code = refused(world.ctap.client_pin, 2, 3, off_curve, mac, encrypted)
    assert code == ERR.INVALID_PARAMETER


def test_the_key_agreement_key_changes_after_a_wrong_pin_and_at_power_up() -> None:
    """Neither a wrong PIN nor a re-insertion leaves the old key agreement key in use."""
    world = World()
    world.set_pin()
    client = ClientPin(world.ctap)

    def current() -> object:
        return world.ctap.client_pin(2, ClientPin.CMD.GET_KEY_AGREEMENT)

    first = current()
    assert current() == first
    assert refused(client.get_pin_token, "wrong") == ERR.PIN_INVALID
    second = current()
    assert second != first
    world.reinsert()
    assert current() not in (first, second)


@pytest.mark.parametrize(
    ("permissions", "rp_id", "status"),
    [
        (0, RP, ERR.INVALID_PARAMETER),
        (ClientPin.PERMISSION.MAKE_CREDENTIAL, None, ERR.MISSING_PARAMETER),
        (ClientPin.PERMISSION.BIO_ENROLL, None, ERR.UNAUTHORIZED_PERMISSION),
    ],
)
def test_permissions_that_cannot_be_given(
    permissions: int, rp_id: str | None, status: CtapError.ERR
) -> None:
    """No permission, one without its RP, and one for what is not there are refused."""
    world = World()
    world.set_pin()
    assert refused(world.token, permissions, rp_id) == status


def assertion_status(world: World, protocol: PinProtocol, token: bytes, rp_id: str) -> int:
    """What an assertion with that token comes to; no credential is NO_CREDENTIALS: token good."""
    mac = protocol.authenticate(token, HASH)
    return refused(
        world.ctap.get_assertion, rp_id, HASH, pin_uv_param=mac, pin_uv_protocol=protocol.VERSION
    )


def test_a_token_serves_what_it_was_given_for() -> None:
    """The right RP and permission pass; another RP, permission, protocol or key do not."""
    world = World()
    world.set_pin()
    ga = ClientPin.PERMISSION.GET_ASSERTION
    protocol, token = world.token(ga, RP)
    assert assertion_status(world, protocol, token, RP) == ERR.NO_CREDENTIALS
    assert assertion_status(world, protocol, token, "other.example") == ERR.PIN_AUTH_INVALID
    assert assertion_status(world, protocol, bytes(32), RP) == ERR.PIN_AUTH_INVALID
    assert assertion_status(world, PinProtocolV1(), token, RP) == ERR.PIN_AUTH_INVALID
    protocol, token = world.token(ClientPin.PERMISSION.CREDENTIAL_MGMT)
    assert assertion_status(world, protocol, token, RP) == ERR.PIN_AUTH_INVALID


def test_a_new_token_ends_the_old_one_and_so_does_a_new_pin() -> None:
    """There is one token at a time, and none after a change of PIN or a re-insertion."""
    world = World()
    world.set_pin()
    ga = ClientPin.PERMISSION.GET_ASSERTION
    _, first = world.token(ga, RP)
    protocol, second = world.token(ga, RP)
    assert assertion_status(world, protocol, first, RP) == ERR.PIN_AUTH_INVALID
    assert assertion_status(world, protocol, second, RP) == ERR.NO_CREDENTIALS
    ClientPin(world.ctap).change_pin(PIN, PIN)
    assert assertion_status(world, protocol, second, RP) == ERR.PIN_AUTH_INVALID
    protocol, third = world.token(ga, RP)
    world.reinsert()
    assert assertion_status(world, protocol, third, RP) == ERR.PIN_AUTH_INVALID


def test_a_token_grows_old() -> None:
    """30 seconds unused, or ten minutes in all, and a token is worth nothing."""
    world = World()
    world.set_pin()
    ga = ClientPin.PERMISSION.GET_ASSERTION
    protocol, token = world.token(ga, RP)
    world.now += 31
    assert assertion_status(world, protocol, token, RP) == ERR.PIN_AUTH_INVALID
    protocol, token = world.token(ga, RP)
    world.now += 29
    assert assertion_status(world, protocol, token, RP) == ERR.NO_CREDENTIALS
    world.now += 570
    assert assertion_status(world, protocol, token, RP) == ERR.NO_CREDENTIALS
    world.now += 2
    assert assertion_status(world, protocol, token, RP) == ERR.PIN_AUTH_INVALID


def test_tokens_of_older_firmware_are_for_everything() -> None:
    """Before CTAP 2.1 a token has neither permissions nor an RP, and does not grow old."""
    world = World("yubikey-5.4.3")
    world.set_pin()
    client = ClientPin(world.ctap)
    token = client.get_pin_token(PIN)
    world.now += 3600
    for rp_id in (RP, "other.example"):
        assert assertion_status(world, client.protocol, token, rp_id) == ERR.NO_CREDENTIALS


@pytest.mark.parametrize("pinned", [False, True])
def test_an_empty_pin_auth_asks_for_a_touch(pinned: bool) -> None:
    """The way of CTAP 2.0 to choose among tokens: a touch, then whether there is a PIN."""
    world = World()
    if pinned:
        world.set_pin()
    expected = ERR.PIN_INVALID if pinned else ERR.PIN_NOT_SET
    ctap = world.ctap
    code = refused(
        ctap.make_credential,
        HASH,
        {"id": RP},
        {"id": b"u"},
        [{"type": "public-key", "alg": -7}],
        pin_uv_param=b"",
        pin_uv_protocol=2,
    )
    assert code == expected
    assert world.touches == 1
    code = refused(ctap.get_assertion, RP, HASH, pin_uv_param=b"", pin_uv_protocol=2)
    assert code == expected
    world.finger = False
    code = refused(ctap.get_assertion, RP, HASH, pin_uv_param=b"", pin_uv_protocol=2)
    assert code == ERR.USER_ACTION_TIMEOUT


def test_the_pin_itself_is_not_in_the_lasting_state() -> None:
    """Only 16 bytes of the hash of a PIN are kept."""
    world = World()
    world.set_pin()
    kept = world.applet.dump()
    assert kept["pin_hash"] == hashlib.sha256(PIN.encode()).hexdigest()[:32]
    assert PIN not in repr(kept)
