"""A guided FIDO2 reset over PC/SC: the countdown belongs to one serial, whatever else happens."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from fido2.ctap2.base import Ctap2
from fido2.ctap2.pin import ClientPin
from yubikit.core.fido import SmartCardCtapDevice

from tests.contract.conftest import fresh_token
from tests.token_under_test import TokenUnderTest
from tokenprov.device.pcsc import connected
from tokenprov.device.reinsertion import fido2_reset
from tokenprov.errors import NotSupported, TouchTimeout
from tokenprov.model import TokenId
from tokenprov.sim.bench import VirtualBench

PIN = "4719-blue"
SECONDS = 10.0  # that the hands of a test may take


@dataclass
class Person:
    """An operator whose hands do what the test says when a token is to be put in again."""

    hands: Callable[[], None]
    said: list[str] = field(default_factory=list)

    @contextmanager
    def reinsert(self, reader: str, label: str, reason: str, seconds: float) -> Iterator[None]:
        """Begin to move tokens about, while the station watches."""
        self.said.append(f"{label}: {reason}")
        at_work = threading.Thread(target=self.hands)
        at_work.start()
        try:
            yield
        finally:
            at_work.join()

    @contextmanager
    def touch(self, reader: str, label: str, reason: str) -> Iterator[None]:
        """Note what is touched for what."""
        self.said.append(f"{label}: {reason}")
        yield


def identity(token: TokenUnderTest) -> TokenId:
    """The token as the station knows it."""
    return TokenId(maker="yubico", model="", firmware="", serial=token.serial)


def has_pin(reader: str) -> bool:
    """Whether the token in a reader has a FIDO2 PIN."""
    with connected(reader) as connection:
        return bool(Ctap2(SmartCardCtapDevice(connection)).info.options["clientPin"])


def set_pin(token: TokenUnderTest) -> None:
    """Give it a PIN."""
    with token.connection() as connection:
        ClientPin(Ctap2(SmartCardCtapDevice(connection))).set_pin(PIN)


@pytest.fixture
def two(bench: VirtualBench) -> tuple[TokenUnderTest, TokenUnderTest]:
    """Two tokens with a PIN each."""
    tokens = fresh_token(bench, "yubikey-5.7.4"), fresh_token(bench, "yubikey-5.7.4", 1)
    for token in tokens:
        set_pin(token)
    return tokens


def test_others_come_and_go_and_only_it_is_reset(
    bench: VirtualBench, two: tuple[TokenUnderTest, TokenUnderTest]
) -> None:
    """Another token is pulled and put in meanwhile: it keeps its PIN, the meant one is reset."""
    meant, other = two

    def hands() -> None:
        bench.control.remove(int(other.serial))
        bench.control.remove(int(meant.serial))
        bench.control.insert(int(other.serial))
        bench.control.insert(int(meant.serial))

    person = Person(hands)
    with fido2_reset(identity(meant), meant.reader, person, patience=SECONDS) as there:
        assert (there.reader, there.id.serial) == (meant.reader, meant.serial)
    assert not has_pin(meant.reader)
    assert has_pin(other.reader)
    assert [one.split(":")[0] for one in person.said] == [meant.serial] * 2
    assert "touch it within" in person.said[-1]


def test_it_may_come_back_in_a_reader_of_another_name(
    bench: VirtualBench, two: tuple[TokenUnderTest, TokenUnderTest]
) -> None:
    """Its reader vanished with it and came back under another name: it is known by its serial."""
    meant, _ = two

    def hands() -> None:
        bench.control.unplug_reader(0)
        bench.control.plug_reader(0, name="Yubico YubiKey CCID")

    with fido2_reset(identity(meant), meant.reader, Person(hands), patience=SECONDS) as there:
        reader = there.reader
    assert reader != meant.reader
    assert not has_pin(reader)
    bench.control.unplug_reader(0)
    bench.control.plug_reader(0, name="Yubico YubiKey OTP+FIDO+CCID")


def test_a_token_that_never_left_is_not_waited_for_in_vain(
    bench: VirtualBench, two: tuple[TokenUnderTest, TokenUnderTest]
) -> None:
    """Only the other one is moved: the countdown runs out, and both keep their PINs."""
    meant, other = two

    def hands() -> None:
        bench.control.remove(int(other.serial))
        bench.control.insert(int(other.serial))

    reset = fido2_reset(identity(meant), meant.reader, Person(hands), patience=1.0)
    with pytest.raises(TouchTimeout, match=f"token {meant.serial} was not put in again"), reset:
        pass
    assert has_pin(meant.reader)
    assert has_pin(other.reader)


def test_untouched_it_is_asked_for_again(
    bench: VirtualBench, two: tuple[TokenUnderTest, TokenUnderTest]
) -> None:
    """Nobody touches it the first time: it is to be put in again, and then it is reset."""
    meant, _ = two
    serial, turns = int(meant.serial), iter(("never", "auto"))

    def hands() -> None:
        bench.control.set_touch(serial, next(turns), patience=0.1)
        bench.control.remove(serial)
        bench.control.insert(serial)

    person = Person(hands)
    with fido2_reset(identity(meant), meant.reader, person, patience=SECONDS):
        pass
    assert not has_pin(meant.reader)
    assert "again: resetting FIDO2: nobody touched the token in time" in person.said[2]


def test_a_token_without_serial_is_not_reset(two: tuple[TokenUnderTest, TokenUnderTest]) -> None:
    """It could be any that comes back: refused before anything is asked of anybody."""
    meant, _ = two
    nameless = TokenId(maker="yubico", model="Security Key", firmware="5.7.4", serial=None)
    person = Person(lambda: None)
    reset = fido2_reset(nameless, meant.reader, person)
    with pytest.raises(NotSupported, match="cannot be told from another"), reset:
        pass
    assert person.said == []
