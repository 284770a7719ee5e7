"""What the virtual authenticator keeps, what it forgets, and what a reset undoes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from fido2.ctap import CtapError
from fido2.ctap2.config import Config
from fido2.ctap2.pin import ClientPin

from tests.fido2_applet import PIN, World, refused

ERR = CtapError.ERR
RP = "example.com"
HASH = bytes(range(32))
ES256: list[Mapping[str, Any]] = [{"type": "public-key", "alg": -7}]


def full(model: str = "yubikey-5.7.4") -> tuple[World, list[Mapping[str, Any]]]:
    """A token with everything on it, and the descriptors of its two credentials."""
    world = World(model)
    made = [
        world.ctap.make_credential(
            HASH,
            {"id": RP},
            {"id": b"alice", "name": "Alice"},
            ES256,
            options={"rk": discoverable},
            extensions={"credBlob": b"blob", "hmac-secret": True, "credProtect": 2},
        )
        for discoverable in (True, False)
    ]
    if model == "yubikey-5.7.4":
        config = Config(world.ctap)
        config.enable_enterprise_attestation()
        config.set_min_pin_length(6, rp_ids=[RP])
    world.set_pin()
    data = [each.auth_data.credential_data for each in made]
    return world, [{"type": "public-key", "id": each.credential_id} for each in data if each]


def test_the_state_survives_a_file() -> None:
    """A token that is written to JSON and read again is the same token."""
    world, listed = full()
    copy = World()
    copy.applet.load(json.loads(json.dumps(world.applet.dump())))
    assert copy.applet.dump() == world.applet.dump()
    assert dict(copy.ctap.info) == dict(world.ctap.info)
    for entry in listed:
        used = copy.ctap.get_assertion(RP, HASH, allow_list=[entry], extensions={"credBlob": True})
        assert used.auth_data.extensions is not None
    assert ClientPin(copy.ctap).get_pin_token(PIN)


def test_every_change_is_saved() -> None:
    """What the token would have after a loss of power is what it has now."""
    world, listed = full()
    world.ctap.get_assertion(RP, HASH, allow_list=listed[:1])
    assert world.saves[-1] == world.applet.dump()


@pytest.mark.parametrize("model", ["yubikey-5.7.4", "yubikey-5.4.3"])
def test_reset_brings_the_factory_back(model: str) -> None:
    """After a reset there is no PIN, no policy, no credential of either kind; the counter stays."""
    world, listed = full(model)
    before = world.applet.dump()
    factory = World(model).ctap.info
    world.reinsert()
    world.ctap.reset()
    assert dict(world.ctap.info) == dict(factory)
    for entry in listed:
        assert refused(world.ctap.get_assertion, RP, HASH, allow_list=[entry]) == ERR.NO_CREDENTIALS
    assert world.applet.dump()["secret"] != before["secret"]
    assert world.applet.dump()["counter"] == before["counter"]
    assert world.saves[-1] == world.applet.dump()
    world.set_pin("123456")


def test_reset_is_for_the_first_ten_seconds() -> None:
    """Later than ten seconds after power-up a reset is NOT_ALLOWED until a re-insertion."""
    world, _ = full()
    world.reinsert()
    world.now += 10.5
    assert refused(world.ctap.reset) == ERR.NOT_ALLOWED
    assert world.ctap.info.options["clientPin"]
    world.reinsert()
    world.now += 9.5
    world.ctap.reset()
    assert not world.ctap.info.options["clientPin"]


def test_reset_needs_a_finger() -> None:
    """Without a touch nothing is reset."""
    world, _ = full()
    world.reinsert()
    world.finger = False
    assert refused(world.ctap.reset) == ERR.USER_ACTION_TIMEOUT
    assert world.ctap.info.options["clientPin"]


def test_reset_opens_a_blocked_token() -> None:
    """Eight wrong PINs end at PIN_BLOCKED, and a reset makes the token usable again."""
    world, _ = full()
    client = ClientPin(world.ctap)
    for tried in range(8):
        code = refused(client.get_pin_token, "wrong")
        if tried % 3 == 2:
            world.reinsert()
    assert code == ERR.PIN_BLOCKED
    world.reinsert()
    world.ctap.reset()
    world.set_pin()
    assert client.get_pin_token(PIN)


def test_fips_approval_needs_a_pin() -> None:
    """A FIPS key is in its approved mode once it has a PIN; another key never is."""
    world = World("yubikey-5.7.4-fips")
    assert not world.applet.fips_approved
    world.set_pin()
    assert world.applet.fips_approved
    other, _ = full()
    assert not other.applet.fips_approved


def test_a_fresh_token_has_secrets_of_its_own() -> None:
    """Two tokens share nothing that credentials derive from."""
    assert World().applet.dump()["secret"] != World().applet.dump()["secret"]
