"""FIDO2 device code: PIN tokens are kept and renewed, settings never flip, errors have meanings."""

from __future__ import annotations

import hashlib

import pytest
from fido2 import cbor
from fido2.ctap import CtapError
from fido2.ctap2.base import Ctap2
from fido2.ctap2.config import Config

from tests.fido2_applet import PIN, World
from tests.fido2_device import Differing, Held
from tokenprov.device.fido2 import Fido2, Surroundings
from tokenprov.errors import (
    AuthenticationBlocked,
    AuthenticationFailed,
    NotSupported,
    TokenRefused,
    TouchTimeout,
)

RP = {"id": "login.example.test", "name": "Login"}
ES256 = [{"type": "public-key", "alg": -7}]
HASH = hashlib.sha256(b"client data").digest()
COMPLEXITY = 0x1B  # pinComplexityPolicy in getInfo; CTAP 2.3, 6.4
EXPIRY = 700.0  # seconds, longer than any pinUvAuthToken lasts (CTAP 2.1, 6.5.2.1: ten minutes)


def make(fido: Fido2, user: bytes = b"u") -> bytes:
    """A discoverable credential; gives its id."""
    user_entity = {"id": user, "name": "u", "displayName": "U"}
    made = fido.make_credential(HASH, RP, user_entity, ES256, PIN, "test")
    credential = made.auth_data.credential_data
    assert credential is not None
    return bytes(credential.credential_id)


def ready(world: World, **differs: object) -> tuple[Held, Differing]:
    """A token with a PIN, held by the product."""
    device = Differing(world, **differs)  # type: ignore[arg-type]  # the names are those of Differing
    held = Held(device)
    held.fido2().set_pin(PIN)
    return held, device


def test_always_uv_never_flips_back() -> None:
    """Switching on what is on writes nothing, also when it was switched on behind our back."""
    world = World()
    held, device = ready(world)
    held.fido2().switch_always_uv_on(PIN)
    held.fido2().switch_always_uv_on(PIN)
    assert held.fido2().info.options["alwaysUv"] is True
    assert device.commands[Ctap2.CMD.CONFIG] == 1
    other = World()
    held, _ = ready(other)
    Config(other.ctap, *other.token(0x20)).toggle_always_uv()
    assert held.fido2().info.options["alwaysUv"] is False  # as it was read before
    held.fido2().switch_always_uv_on(PIN)
    assert other.ctap.info.options["alwaysUv"] is True


def test_settings_share_one_pin_token() -> None:
    """After the PIN was checked, three settings ask for no further token."""
    held, device = ready(World())
    fido = held.fido2()
    fido.check_pin(PIN)
    asked = device.commands[Ctap2.CMD.CLIENT_PIN]
    fido.set_minimum_pin_length(6, ("login.example.test",), PIN)
    fido.enable_enterprise_attestation(PIN)
    fido.switch_always_uv_on(PIN)
    assert device.commands[Ctap2.CMD.CLIENT_PIN] == asked
    assert device.commands[Ctap2.CMD.CONFIG] == 3


def test_an_expired_token_is_renewed() -> None:
    """A token that lasted too long is replaced by a new one, and the setting is made."""
    world = World()
    held, _ = ready(world)
    held.fido2().check_pin(PIN)
    world.now += EXPIRY
    held.fido2().enable_enterprise_attestation(PIN)
    assert world.ctap.info.options["ep"] is True


def test_minimum_and_readers_are_one_write() -> None:
    """One authenticatorConfig sets the length and who may read it; the relying party then does."""
    world = World()
    held, device = ready(world)
    held.fido2().set_minimum_pin_length(7, ("login.example.test",), PIN)
    assert device.commands[Ctap2.CMD.CONFIG] == 1
    made = held.fido2().make_credential(
        HASH, RP, {"id": b"u", "name": "u"}, ES256, PIN, "test", extensions={"minPinLength": True}
    )
    assert made.auth_data.extensions == {"minPinLength": 7}


def test_what_an_older_authenticator_lacks() -> None:
    """Settings of CTAP 2.1 on a token of CTAP 2.0: not supported, nothing is sent."""
    held, device = ready(World(model="yubikey-5.4.3"))
    fido = held.fido2()
    assert not fido.can_set_pin_policy()
    with pytest.raises(NotSupported, match="alwaysUv"):
        fido.switch_always_uv_on(PIN)
    with pytest.raises(NotSupported, match="enterprise"):
        fido.enable_enterprise_attestation(PIN)
    assert device.commands[Ctap2.CMD.CONFIG] == 0


def test_blocked_until_it_is_put_in_again() -> None:
    """After three wrong PINs the right one is not even tried: the token wants to be re-inserted."""
    world = World()
    held, _ = ready(world)
    for _ in range(2):
        with pytest.raises(AuthenticationFailed):
            held.fido2().check_pin("wrong-pin")
    with pytest.raises(AuthenticationFailed):
        held.fido2().check_pin("wrong-pin")
    with pytest.raises(AuthenticationBlocked, match="re-inserted") as blocked:
        held.fido2().check_pin(PIN)
    assert blocked.value.retries_left is None
    assert "Do not try another PIN" in blocked.value.remedy
    assert held.fido2().pin_retries() == (5, True)
    world.reinsert()
    held.fido2().check_pin(PIN)


def test_full_is_said() -> None:
    """No room is told by the standard's code, and the room that is left before it."""
    world = World(model="yubikey-5.4.3")
    held, device = ready(world)
    fido = held.fido2()
    assert fido.room(PIN) == 25
    for number in range(25):
        make(fido, bytes([number]))
    assert fido.room(PIN) == 0
    assert device.commands[0x41] == 1  # credential management: the room was read once
    with pytest.raises(TokenRefused, match="no room for another") as full:
        make(fido, b"one more")
    assert full.value.code == CtapError.ERR.KEY_STORE_FULL


def test_a_pin_that_the_policy_refuses_is_said() -> None:
    """A PIN below the token's least length is refused by the standard's code, in words."""
    held = Held(Differing(World(model="yubikey-5.7.4-fips")))
    with pytest.raises(TokenRefused, match="PIN policy") as refused:
        held.fido2().set_pin("471953")
    assert refused.value.code == CtapError.ERR.PIN_POLICY_VIOLATION


def test_folded_errors_are_told_apart() -> None:
    """Every error is one code over CCID: PINs by their counter, credentials by the list of them."""
    world = World()
    held, _ = ready(world, folds=True)
    fido = held.fido2()
    with pytest.raises(AuthenticationFailed, match="7 tries left"):
        fido.check_pin("wrong-pin")
    fido.check_pin(PIN)
    there = make(fido)
    assert fido.get_assertion(RP["id"], HASH, there, PIN) is not None
    assert fido.get_assertion(RP["id"], HASH, b"no such credential of it", PIN) is None
    world.finger = False
    with pytest.raises(TokenRefused, match="does not say why"):
        make(fido, b"other")


def test_nobody_touches() -> None:
    """A touch that does not come has its own error, which asks for one."""
    world = World()
    held, _ = ready(world)
    world.finger = False
    with pytest.raises(TouchTimeout):
        make(held.fido2())


def test_reset_in_time_and_too_late() -> None:
    """A reset is refused by its code long after power-up, and works soon after it."""
    world = World()
    held, _ = ready(world)
    make(held.fido2())
    world.now += 11
    with pytest.raises(TokenRefused, match="does not allow it now") as late:
        held.fido2().reset("reset it")
    assert late.value.code == CtapError.ERR.NOT_ALLOWED
    world.reinsert()
    held.fido2().reset("reset it")
    assert held.fido2().info.options["clientPin"] is False
    assert held.fido2().info.remaining_disc_creds == 100
    assert held.touches[-1] == "reset it"


class Complex(Differing):
    """An authenticator with pinComplexityPolicy in getInfo and setMinPINLength (CTAP 2.3)."""

    def answered(self, message: bytes) -> None:
        """Take the policy on."""
        if message[0] == Ctap2.CMD.CONFIG:
            parameters = cbor.decode(message[1:])[2]  # type: ignore[call-overload,index]  # a map of ints
            if parameters.get(Config.PARAM.PIN_COMPLEXITY_POLICY):
                self.members[COMPLEXITY] = True


def test_complexity_by_getinfo_or_by_the_device() -> None:
    """Unknown, off and settable, on by authenticatorConfig, or on by the device information."""
    assert Held(Differing(World())).fido2().enforces_complexity is None
    assert (
        Held(Differing(World()), Surroundings(enforces_complexity=lambda: True))
        .fido2()
        .enforces_complexity
    )
    held = Held(Complex(World(), members={COMPLEXITY: False}))
    held.fido2().set_pin(PIN)
    assert held.fido2().enforces_complexity is False
    held.fido2().enforce_complexity(PIN)
    assert held.fido2().enforces_complexity is True


def test_u2f_is_off_by_always_uv_or_by_the_switch() -> None:
    """Whether U2F works, by getInfo's versions and by the application's switch."""
    held, _ = ready(World())
    assert held.fido2().u2f
    held.fido2().switch_always_uv_on(PIN)
    assert not held.fido2().u2f
    switched = Held(Differing(World()), Surroundings(u2f_enabled=lambda: False))
    assert not switched.fido2().u2f
