"""`token prove`: keys sign, certificates say whose they are, and no try of a PIN is wasted."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from yubikit.piv import SLOT, PivSession

from tests.certificate_requests import NOW, p256, request_for
from tests.stations import Station
from tests.token_under_test import TokenUnderTest, Wire
from tokenprov.issuer import LocalCa

KEYS = """name = "keys"
description = "Keys of several policies"

[[piv.keys]]
slot = "9a"
algorithm = "eccp256"
touch-policy = "cached"
[piv.keys.certificate]
usages = ["client-auth"]

[[piv.keys]]
slot = "9c"
algorithm = "rsa2048"
[piv.keys.certificate]
usages = ["email-protection"]

[[piv.keys]]
slot = "9d"
algorithm = "eccp256"
[piv.keys.certificate]
usages = ["email-protection"]

[[piv.keys]]
slot = "9e"
algorithm = "eccp256"
"""
EVERY_MODEL = pytest.mark.parametrize(
    "token", ["yubikey-5.7.4", "yubikey-5.2.7", "yubikey-4.3.7"], indirect=True
)
Typed = Callable[[str], list[str]]


@pytest.fixture
def issued(station: Station, token: TokenUnderTest, tmp_path: Path) -> Station:
    """A station that issued the one token."""
    profile = tmp_path / "keys.toml"
    profile.write_text(KEYS)
    said = station.tell(*station.batch(profile=profile))
    assert said.code == 0, said.err
    return station


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Typed:
    """What a person types for a PIN; gives the prompts as they come."""

    def types(pin: str) -> list[str]:
        asked = list[str]()

        def answer(prompt: str) -> str:
            asked.append(prompt)
            return pin

        monkeypatch.setattr(getpass, "getpass", answer)
        return asked

    return types


def keys_of(said: Any) -> dict[str, tuple[bool, str]]:
    """By slot: whether it is proved, and why not."""
    return {one["slot"]: (one["proved"], one.get("reason", "")) for one in said.document["keys"]}


@EVERY_MODEL
def test_every_key_is_proved_by_one_pin(
    issued: Station, token: TokenUnderTest, typed: Typed, wire: Wire
) -> None:
    """Whatever their policies: the PIN is asked for once, a touch is, and nothing is written."""
    before = token.state()
    asked = typed(issued.secrets(token.serial)["piv/pin"])
    wire.clear()
    said = issued.tell("token", "prove", token.serial, "--json")
    assert said.code == 0
    assert keys_of(said) == dict.fromkeys(("9a", "9c", "9d", "9e"), (True, ""))
    assert len(asked) == 1
    assert [event["reason"] for event in said.events if event["event"] == "TouchWanted"][0] in (
        "sign with the key in 9a",
        "sign with the key in 9a, if it blinks",
    )
    assert wire.writes == []
    assert token.state() == before
    facts = {step["id"]: step["facts"] for step in issued.entry_of(token.serial)["steps"]}
    serials = {one["slot"]: one.get("serialNumber") for one in said.document["keys"]}
    assert serials["9e"] is None
    assert serials["9a"] == facts["piv/9a/certificate"]["serialNumber"]


def test_a_pin_out_of_escrow_is_on_the_record(issued: Station, token: TokenUnderTest) -> None:
    """The help desk's key opens it, with a reason; without one, or with another's key, nothing."""
    private = issued.home / "custodians" / "private"
    ask = ("token", "prove", token.serial, "--json")
    with_key = (*ask, "--key", private / "help-desk.pem")
    assert issued.tell(*with_key).code == 2
    other = ("--key", private / "authentication-server.pem", "--reason", "at the desk")
    assert issued.tell(*ask, *other).code == 7
    assert issued.entries("opened") == []
    said = issued.tell(*with_key, "--reason", "at the desk")
    assert keys_of(said)["9a"] == (True, "")
    (entry,) = issued.entries("opened")
    assert (entry["reason"], entry["form"]) == ("at the desk", "token")
    assert [one["name"] for one in entry["secrets"]] == ["piv/pin"]


def test_a_wrong_pin_costs_one_try_and_the_last_two_none(
    issued: Station, token: TokenUnderTest, typed: Typed
) -> None:
    """It is not sent again for the next key; where two are left, it is not asked for."""
    asked = typed("00000000")
    said = issued.tell("token", "prove", token.serial)
    assert said.code == 4
    assert "PIN" in said.err
    with token.connection() as connection:
        session = PivSession(connection)
        assert session.get_pin_attempts() == 7
        for _ in range(5):
            with pytest.raises(Exception, match="PIN"):
                session.verify_pin("11111111")
    asked.clear()
    assert "2 tries of its PIN are left" in issued.tell("token", "prove", token.serial).err
    assert asked == []


def test_another_keys_certificate_is_found(
    issued: Station, token: TokenUnderTest, typed: Typed, tmp_path: Path
) -> None:
    """A certificate for a key elsewhere, beside two keys, and bytes that are none."""
    secrets = issued.secrets(token.serial)
    typed(secrets["piv/pin"])
    other = LocalCa.create(tmp_path / "other", "Other", NOW)
    foreign = x509.load_der_x509_certificate(other.issue(request_for(p256()), NOW).der)
    with token.connection() as connection:
        session = PivSession(connection)
        session.authenticate(bytes.fromhex(secrets["piv/management-key"]))
        session.put_certificate(SLOT.AUTHENTICATION, foreign)
        session.put_object(0x5FC10A, b"\x70\x03abc\x71\x01\x00\xfe\x00")
        session.put_certificate(SLOT.CARD_AUTH, foreign)
    proved = keys_of(issued.tell("token", "prove", token.serial, "--json"))
    assert proved["9a"] == (False, "the signature is by another key")
    assert proved["9e"] == (False, "the signature is by another key")
    assert proved["9c"] == (False, "what it holds is no certificate")
    assert proved["9d"] == (True, "")


def test_a_blank_token_proves_nothing(station: Station, token: TokenUnderTest) -> None:
    """No key, no PIN asked for, and exit code 4."""
    said = station.tell("token", "prove", token.serial)
    assert said.code == 4
    assert "There is no PIV key on it." in said.err
