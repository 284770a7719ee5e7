"""Applets that keep what they read: nothing is read twice, nothing believed after a write."""

from __future__ import annotations

from pathlib import Path

import pytest
from yubikit.core import InvalidPinError
from yubikit.core.smartcard import ApduError
from yubikit.openpgp import DO
from yubikit.piv import (
    KEY_TYPE,
    MANAGEMENT_KEY_TYPE,
    OBJECT_ID,
    SLOT,
    PivSession,
)

from tests.in_process import Desk, Line
from tokenprov.device.kept import KeptConnection, Selection
from tokenprov.device.openpgp_memory import RememberingSession as OpenPgpMemory
from tokenprov.device.piv import Piv
from tokenprov.device.piv_memory import RememberingSession as PivMemory
from tokenprov.sim.assembly import make_token
from tokenprov.steps.piv.access import FACTORY_MANAGEMENT_KEY, FACTORY_PIN, FACTORY_PUK

MODEL, SERIAL = "yubikey-5.7.4", 28557046
SELECT = 0xA4
OTHER_PIN = "83619275"


def line(model: str = MODEL) -> Line:
    """A connection to a fresh token, that hears the commands."""
    return Line(make_token(model, SERIAL))


def sent(on: Line, since: int) -> int:
    """How many commands were sent since then."""
    return len(on.commands) - since


def test_what_was_read_is_not_read_again() -> None:
    """Metadata, keys, objects and absences cost one command each, however often they are asked."""
    on = line()
    piv = PivMemory(on)
    before = len(on.commands)
    for _ in range(3):
        assert piv.get_pin_metadata().default_value
        assert piv.get_puk_metadata().default_value
        with pytest.raises(ApduError):
            piv.get_slot_metadata(SLOT.AUTHENTICATION)
        with pytest.raises(ApduError):
            piv.get_object(OBJECT_ID.CHUID)
    assert sent(on, before) == 4
    assert piv.get_management_key_metadata().default_value  # read by the constructor
    assert sent(on, before) == 4


class Without(Line):
    """A token whose version promises metadata that it has not, and says so in its way."""

    answer = 0x6D00

    def send_and_receive(self, apdu: bytes) -> tuple[bytes, int]:
        """Every question for metadata is refused."""
        return (b"", self.answer) if apdu[1] == 0xF7 else super().send_and_receive(apdu)


@pytest.mark.parametrize("answer", [0x6D00, 0x6A81, 0x6A86, 0x6984])
def test_metadata_that_are_not_there(answer: int) -> None:
    """Tries, key and management key are then found by the standard's means."""
    on = Without(make_token(MODEL, SERIAL))
    on.answer = answer
    piv = Piv(on)
    assert piv.pin_tries().remaining == 3
    assert piv.puk_tries().remaining is None
    assert piv.management_key_is_default() is None
    assert piv.key(SLOT.AUTHENTICATION) is None
    assert piv.management_key_type is MANAGEMENT_KEY_TYPE.AES192
    piv.authenticate(FACTORY_MANAGEMENT_KEY)


def test_a_write_is_read_back_from_the_token() -> None:
    """After each write the same question goes to the token, and gets the new answer."""
    on = line()
    piv = PivMemory(on)
    piv.authenticate(FACTORY_MANAGEMENT_KEY)
    with pytest.raises(ApduError):
        piv.get_slot_metadata(SLOT.AUTHENTICATION)
    piv.generate_key(SLOT.AUTHENTICATION, KEY_TYPE.ECCP256)
    first = piv.get_slot_metadata(SLOT.AUTHENTICATION).public_key
    attested = piv.attest_key(SLOT.AUTHENTICATION).public_key()
    piv.generate_key(SLOT.AUTHENTICATION, KEY_TYPE.ECCP256)
    assert piv.get_slot_metadata(SLOT.AUTHENTICATION).public_key != first
    assert piv.attest_key(SLOT.AUTHENTICATION).public_key() != attested

    piv.put_object(OBJECT_ID.CHUID, b"one")
    assert piv.get_object(OBJECT_ID.CHUID) == b"one"
    piv.put_object(OBJECT_ID.CHUID, b"two")
    assert piv.get_object(OBJECT_ID.CHUID) == b"two"

    assert piv.get_pin_metadata().total_attempts == 3
    piv.verify_pin(FACTORY_PIN)
    piv.set_pin_attempts(8, 5)
    assert (piv.get_pin_metadata().total_attempts, piv.get_puk_metadata().total_attempts) == (8, 5)
    piv.change_pin(FACTORY_PIN, OTHER_PIN)
    assert piv.get_pin_metadata().default_value is False
    piv.change_puk(FACTORY_PUK, OTHER_PIN)
    assert piv.get_puk_metadata().default_value is False
    piv.set_management_key(MANAGEMENT_KEY_TYPE.AES192, bytes(24))
    assert piv.get_management_key_metadata().default_value is False


def test_a_refused_pin_is_counted() -> None:
    """Tries that were read are not believed after one was spent, nor after they came back."""
    piv = PivMemory(line())
    assert piv.get_pin_metadata().attempts_remaining == 3
    with pytest.raises(InvalidPinError):
        piv.verify_pin(OTHER_PIN)
    assert piv.get_pin_metadata().attempts_remaining == 2
    piv.verify_pin(FACTORY_PIN)
    assert piv.get_pin_metadata().attempts_remaining == 3


def test_a_write_that_was_refused_is_not_believed_either() -> None:
    """Whether the token carried it out is asked of the token."""
    on = line()
    piv = PivMemory(on)
    with pytest.raises(ApduError):
        piv.get_object(OBJECT_ID.CHUID)
    with pytest.raises(ApduError):
        piv.put_object(OBJECT_ID.CHUID, b"no right to")
    before = len(on.commands)
    with pytest.raises(ApduError):
        piv.get_object(OBJECT_ID.CHUID)
    assert sent(on, before) == 1


def test_openpgp_reads_once_until_something_may_have_changed() -> None:
    """The data are read by the constructor; a password forgets its tries, a write forgets all."""
    on = line()
    session = OpenPgpMemory(on)
    before = len(on.commands)
    assert session.get_pin_status().attempts_user == 3
    session.get_kdf()
    session.get_kdf()
    session.get_pin_status()
    assert sent(on, before) == 2  # tries and key derivation function, once each
    with pytest.raises(InvalidPinError):
        session.verify_pin(OTHER_PIN)
    assert session.get_pin_status().attempts_user == 2
    session.verify_admin("12345678")  # type: ignore[no-untyped-call]  # no types in yubikit
    assert session.get_data(DO.LOGIN_DATA) == b""
    session.put_data(DO.LOGIN_DATA, b"ada")
    assert session.get_data(DO.LOGIN_DATA) == b"ada"
    before = len(on.commands)
    session.get_kdf()
    assert sent(on, before) == 0


def test_an_applet_is_selected_again_when_it_is_needed() -> None:
    """Between two applets each command finds its own selected; the one that is left is told."""
    on, selection = line(), Selection()
    left: list[str] = []
    first, second = KeptConnection(on, selection), KeptConnection(on, selection)
    first.left, second.left = lambda: left.append("first"), lambda: left.append("second")
    piv = PivSession(first)
    assert left == []
    OpenPgpMemory(second)
    assert left == ["first"]
    before = len(on.commands)
    piv.get_pin_metadata()
    piv.get_puk_metadata()
    assert [apdu[1] == SELECT for apdu in on.commands[before:]] == [True, False, False]
    assert left == ["first", "second"]


def test_what_a_pin_opened_is_closed_by_another_applet(tmp_path: Path) -> None:
    """The token's own view never says that it is authenticated where the token would refuse."""
    desk = Desk(tmp_path, MODEL)
    on = Line(desk.token)
    token = desk.yubikey(on)
    piv = token.piv()
    piv.authenticate(FACTORY_MANAGEMENT_KEY)
    piv.verify_pin(FACTORY_PIN)
    token.otp()
    assert (piv.authenticated, piv.pin_verified) == (False, False)
    assert token.piv() is piv
    piv.authenticate(FACTORY_MANAGEMENT_KEY)
    piv.put_object(OBJECT_ID.CHUID, b"it may")
    token.management().refresh()
    assert piv.authenticated is False
    assert piv.object(OBJECT_ID.CHUID) == b"it may"
