"""A holder blocked their FIDO2 PIN: FIDO2 is reset and set up anew on the same token, on record."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from fido2.ctap import CtapError
from fido2.ctap2.base import Ctap2
from fido2.ctap2.pin import ClientPin
from yubikit.core.fido import SmartCardCtapDevice
from yubikit.piv import PivSession

from tests.contract.test_unblock import key_of
from tests.contract.test_wipe import Hands
from tests.stations import Said, Station
from tests.token_under_test import TokenUnderTest
from tokenprov.errors import InputError, PolicyError, TokenConflict
from tokenprov.lifecycle import fido_again
from tokenprov.model import Purpose
from tokenprov.sim.bench import VirtualBench

WHY = ("--reason", "three wrong guesses too many", "--operator", "olga")
PROFILE = """
name = "passkey"
extends = "standard-employee"
without = ["otp"]
[fido2.pin]
force-change = "no"
"""
KNOWN = """
name = "known"
description = "no PIN for a caller's word"
[authenticated-holder]
acts = ["unblock"]
"""


class Cut(BaseException):
    """The power fails."""


@pytest.fixture
def issued(station: Station, token: TokenUnderTest, tmp_path: Path) -> str:
    """A token of Ada's; gives its serial."""
    profile = tmp_path / "passkey.toml"
    profile.write_text(PROFILE, encoding="utf-8")
    said = station.tell(*station.batch(profile=profile))
    assert said.code == 0, said.out + said.err
    return token.serial


def again(station: Station, bench: VirtualBench | None, serial: str, *options: str) -> Said:
    """The command, with somebody at the reader where there is a bench."""
    hands = Hands(bench) if bench is not None else io.StringIO()
    return station.tell("unblock", serial, "--fido2", *WHY, *options, "--json", listener=hands)


def taken(token: TokenUnderTest, pin: str) -> bool:
    """Whether the token takes a FIDO2 PIN."""
    with token.connection() as to:
        try:
            ClientPin(Ctap2(SmartCardCtapDevice(to))).get_pin_token(pin)
        except CtapError:
            return False
        return True


def block(token: TokenUnderTest, bench: VirtualBench) -> None:
    """Guess until no try is left; after each third the token wants to be put in again."""
    with token.connection() as to:
        left, _ = ClientPin(Ctap2(SmartCardCtapDevice(to))).get_pin_retries()
    while left:
        for _ in range(3):
            assert not taken(token, "00000000")
        bench.control.remove(int(token.serial))
        bench.control.insert(int(token.serial))
        with token.connection() as to:
            left, _ = ClientPin(Ctap2(SmartCardCtapDevice(to))).get_pin_retries()


def passkey_of(station: Station, kind: str) -> str:
    """The credential's id in the last entry of a kind."""
    steps = {step["id"]: step for step in station.entries(kind)[-1]["steps"]}
    (found,) = [one for id, one in steps.items() if id.startswith("fido2/credential/")]
    return str(found["facts"]["credentialId"])


def test_a_blocked_pin_and_what_was_behind_it(
    station: Station, token: TokenUnderTest, issued: str, one_reader: VirtualBench
) -> None:
    """A new PIN and a new passkey; the old one ends; PIV is as it was; all is on the record."""
    first = station.secrets(issued)
    planned = again(station, one_reader, issued, "--dry-run")
    assert planned.code == 0, planned.err
    shown = {one["step"]: one["verdict"] for one in planned.document["steps"]}
    assert shown["fido2/pin"] == "write"
    assert not [id for id in shown if not id.startswith(("fido2/", "left-out/fido2"))]
    assert taken(token, first["fido2/pin"])
    block(token, one_reader)
    assert not taken(token, first["fido2/pin"])

    said = again(station, one_reader, issued)
    assert said.code == 0, said.err
    now = station.secrets(issued)
    assert {name for name in now if now[name] != first[name]} == {"fido2/pin"}
    assert taken(token, now["fido2/pin"])
    with token.connection() as to:
        PivSession(to).verify_pin(first["piv/pin"])
    old, new = passkey_of(station, "issued"), passkey_of(station, "unblocked")
    assert old != new
    (entry,) = station.entries("unblocked")
    (ended,) = entry["credentials"]
    assert (ended["outcome"], ended["facts"]["credentialId"]) == ("done", old)
    assert {(one["name"], one["generation"]) for one in entry["secrets"]} == {("fido2/pin", 2)}
    relying = station.tell("holder", "show", "E1", "--json").document["relying"]
    assert [one["facts"]["credentialId"] for one in relying if "passkey" in one["title"]] == [new]
    assert station.tell("manifest", "verify").code == 0
    assert station.tell("token", "audit", issued).code == 0


def test_cut_off_behind_the_reset(
    station: Station,
    token: TokenUnderTest,
    issued: str,
    one_reader: VirtualBench,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same command sets it up without resetting it again, and no other takes its place."""
    first = station.secrets(issued)

    def fail(*arguments: object, **options: object) -> int:
        raise Cut

    with monkeypatch.context() as patch:
        patch.setattr(fido_again, "tell", fail)
        with pytest.raises(Cut):
            again(station, one_reader, issued)
    key = key_of(station, Purpose.HELP_DESK)
    other = station.tell("unblock", issued, "--key", key, *WHY)
    assert other.code == InputError.exit_code
    assert "--fido2" in other.err
    said = again(station, None, issued)
    assert said.code == 0, said.err
    assert "ReinsertWanted" not in {event["event"] for event in said.events}
    assert taken(token, station.secrets(issued)["fido2/pin"])
    assert not taken(token, first["fido2/pin"])
    assert station.tell("manifest", "verify").code == 0


def test_a_pin_that_somebody_set_meanwhile_stays(
    station: Station,
    token: TokenUnderTest,
    issued: str,
    one_reader: VirtualBench,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Cut off behind the reset, and set by its holder then: it is theirs, and stays."""

    def fail(*arguments: object, **options: object) -> int:
        raise Cut

    with monkeypatch.context() as patch:
        patch.setattr(fido_again, "tell", fail)
        with pytest.raises(Cut):
            again(station, one_reader, issued)
    with token.connection() as to:
        ClientPin(Ctap2(SmartCardCtapDevice(to))).set_pin("4719-blue")
    said = again(station, None, issued)
    assert said.code == TokenConflict.exit_code
    assert "it has a FIDO2 PIN" in said.err
    assert taken(token, "4719-blue")
    assert station.entries("unblocked") == []


def test_it_is_asked_for_as_an_unblocking_is(
    station: Station, issued: str, tmp_path: Path, one_reader: VirtualBench
) -> None:
    """A policy wants the holder to be known; a key and --fido2 do not go together."""
    rules = tmp_path / "known.toml"
    rules.write_text(KNOWN)
    assert station.tell("policy", "use", rules, "--reason", "from today on").code == 0
    refused = again(station, one_reader, issued)
    assert refused.code == PolicyError.exit_code
    assert "needs a holder who was authenticated" in refused.err
    key = key_of(station, Purpose.HELP_DESK)
    both = station.tell("unblock", issued, "--fido2", "--key", key, *WHY)
    assert both.code == InputError.exit_code
    assert station.tell("unblock", issued, *WHY).code == InputError.exit_code
