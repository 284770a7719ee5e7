"""Modules other than SoftHSM's: the maker's for a YubiKey, and OpenSC's for a PIV card.

Both refuse much of what a life takes. What they do is done and read back; what they refuse is told,
and the token is as it was.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.stations import make_station
from tokenprov.device.sources import ModuleSource, Source
from tokenprov.errors import NotSupported, TokenConflict
from tokenprov.events import Event
from tokenprov.pkcs11 import Module
from tokenprov.prompts import StationOperator
from tokenprov.secret import Secret
from tokenprov.sim.bench import VirtualBench
from tokenprov.step import Intent, State, Step
from tokenprov.steps.pkcs11.erased import erase
from tokenprov.steps.pkcs11.made_anew import NewSoPinStep, UnblockedUserPinStep
from tokenprov.token import Token

YUBIKEY, CARD = "yubikey-5.4.3", "piv-card"
FACTORY = Secret("010203040506070801020304050607080102030405060708")  # a management key, in hex
PIN, OTHER_PIN = "123456", "765432"
YKCS11, OPENSC = "libykcs11.so", "opensc-pkcs11.so"
KEY_SIZE = 48  # hex digits of a management key (3DES)


@pytest.fixture(scope="module")
def bench() -> Iterator[VirtualBench]:
    """Two readers."""
    with VirtualBench(tokens=2, model=(YUBIKEY, CARD)) as made:
        yield made


@pytest.fixture
def environment(bench: VirtualBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules in processes of this one find the bench; tokens are as the factory made them."""
    for name, value in bench.environment.items():
        monkeypatch.setenv(name, value)
    bench.control.replace(0, model=YUBIKEY)
    bench.control.replace(1, model=CARD)


def module(name: str) -> Path:
    """Where it is."""
    return next(Path("/usr/lib").glob(f"*/{name}"))


@pytest.fixture
def ykcs11(environment: None) -> Iterator[Source]:
    """The maker's module, which sees the YubiKey."""
    with closing(ModuleSource(module(YKCS11))) as source:
        yield source


def silent(event: Event) -> None:
    """Nobody looks at a screen."""


@pytest.fixture
def yubikey(ykcs11: Source) -> Iterator[Token]:
    """The YubiKey by its maker's module."""
    with closing(ykcs11.readers()) as readers:
        (reader,) = [one.name for one in readers.states()]
    with ykcs11.opened(reader, StationOperator(silent)) as token:
        yield token


def made(token: Token, step: Step) -> Secret:
    """What a step draws, applied and read back; MATCH or the test fails."""
    assert step.observe(token, None).state is State.ABSENT
    drawn = step.draw(secrets.token_bytes)
    intent = Intent(step=step.id, drawn=drawn.secrets)
    assert step.observe(token, intent).state is State.ABSENT
    step.apply(token, intent)
    assert step.observe(token, intent).state is State.MATCH
    return intent.secret(step.id)


def test_the_makers_module_rotates_and_erases(yubikey: Token, bench: VirtualBench) -> None:
    """Its SO PIN is the management key: made anew, then erased with it, and the published again."""
    so_pin = made(yubikey, NewSoPinStep(length=KEY_SIZE, old=FACTORY))
    assert FACTORY.reveal_text() not in str(piv(bench)["management_key"])
    erase(yubikey, in_force=[so_pin], published=FACTORY.reveal_text())
    assert FACTORY.reveal_text() in str(piv(bench)["management_key"])
    yubikey.pkcs11().log_in_officer(FACTORY)
    yubikey.pkcs11().log_in(Secret(PIN))
    with pytest.raises(TokenConflict, match="its SO PIN is none that is known here"):
        erase(yubikey, in_force=[so_pin], published=None)


def test_the_makers_module_sets_no_user_pin(yubikey: Token, bench: VirtualBench) -> None:
    """It has no C_InitPIN: that is told, and the PIN is as it was."""
    step = UnblockedUserPinStep(length=8, so_pin=FACTORY)
    assert step.observe(yubikey, None).state is State.ABSENT
    intent = Intent(step=step.id, drawn=step.draw(secrets.token_bytes).secrets)
    with pytest.raises(NotSupported, match="FunctionNotSupported") as refused:
        step.apply(yubikey, intent)
    assert "Its user PIN is as it was" in refused.value.remedy
    yubikey.pkcs11().log_in(Secret(PIN))


def piv(bench: VirtualBench, number: int = 0) -> dict[str, Any]:
    """What the PIV application of a token is, inside."""
    serial = bench.control.tokens()[number]["serial"]
    found: dict[str, Any] = bench.control.snapshot(serial)["applets"]["piv"]
    return found


@pytest.mark.parametrize("name", [YKCS11, OPENSC])
def test_a_batch_leaves_their_tokens_alone(
    environment: None, bench: VirtualBench, tmp_path: Path, name: str
) -> None:
    """They show a PIN and objects from the beginning: in use, and not one byte is written."""
    station = make_station(tmp_path, bench.environment)
    profile = tmp_path / "other.toml"
    profile.write_text(
        f'name = "other"\n[pkcs11]\nmodule = "{module(name)}"\n'
        f'so-pin = {{ published = "{FACTORY.reveal_text()}" }}\n'
        '[[pkcs11.keys]]\nid = "01"\nlabel = "login"\nalgorithm = "eccp256"\n'
    )
    with Module(module(name)) as first:  # a virtual YubiKey has its attestation when it is asked
        for one in first.tokens():
            first.objects(one)
    before = [piv(bench, number) for number in range(2)]
    said = station.run(*station.batch(profile=profile), "--wait", "0")
    assert said.code == 8, said.err
    refused = said.only("OrderFailed")
    assert "it has a user PIN" in refused["reason"]
    assert ("no serial" in said.err) is (name == OPENSC)  # the YubiKey's is all zeros there
    assert [piv(bench, number) for number in range(2)] == before


def test_opensc_erases_no_card(environment: None, bench: VirtualBench) -> None:
    """It has no C_InitToken for one, nor an SO PIN: what is told keeps the card."""
    before = piv(bench, 1)
    with closing(ModuleSource(module(OPENSC))) as source:
        with closing(source.readers()) as readers:
            (name,) = [one.name for one in readers.states() if not one.name.endswith("00000000")]
        with source.opened(name, StationOperator(silent)) as token:
            with pytest.raises(TokenConflict, match="cannot be erased"):
                erase(token, in_force=[], published=PIN)
            with pytest.raises(NotSupported, match="FunctionNotSupported"):
                token.pkcs11().initialise("given back", Secret(PIN))
    assert piv(bench, 1) == before
