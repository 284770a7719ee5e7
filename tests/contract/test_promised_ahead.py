"""What the first look finds to be written is promised at once; somebody else's is told from it.

Each test cuts a token's order off, does to the token what somebody else might, and goes on.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest
from yubikit.piv import (
    DEFAULT_MANAGEMENT_KEY,
    KEY_TYPE,
    MANAGEMENT_KEY_TYPE,
    OBJECT_ID,
    SLOT,
    PivSession,
)
from yubikit.yubiotp import SLOT as OTP_SLOT
from yubikit.yubiotp import StaticPasswordSlotConfiguration, YubiOtpSession

from tests.in_process import ADA, HEADER, Cut, Desk
from tokenprov import batch
from tokenprov.errors import TokenConflict, TokenGone
from tokenprov.meanwhile import Meanwhile
from tokenprov.model import OrderState, Purpose, TokenId
from tokenprov.ordering import new_batch
from tokenprov.plan import steps_on
from tokenprov.profile import parse_profile
from tokenprov.promise import OrderJournal
from tokenprov.record.escrow import STATION, generate_custodian, open_envelope, private_from_pem
from tokenprov.record.files import write_durable
from tokenprov.roster import parse_roster
from tokenprov.step import Step
from tokenprov.steps.piv.reference_data import PinStep
from tokenprov.token import Token

PIV = """
[piv]
[[piv.keys]]
slot = "9a"
algorithm = "eccp256"
[piv.keys.certificate]
usages = ["client-auth"]
"""
SLOTS = """
[otp.slot1]
kind = "hotp"
replace-factory = true
[otp.slot2]
kind = "{kind}"
access-code = false
"""
CHANGE_REFERENCE_DATA, SET_TRIES, PUT_DATA = 0x24, 0xFA, 0xDB  # SP 800-73-4, and the maker's
WRITE_SLOT_1 = bytes([0x01, 0x01])  # instruction and P1 of the OTP application


def cut_at(desk: Desk, profile: str, wanted: Callable[[bytes], bool]) -> None:
    """Cut the order off before the first such command, as an undisturbed run shows it."""
    undisturbed = desk.anew(desk._home.parent / "undisturbed")
    undisturbed.run(profile)
    number = next(n for n, apdu in enumerate(undisturbed.commands) if wanted(apdu))
    with pytest.raises(Cut):
        desk.run(profile, cut=(number, False))


def promised(desk: Desk) -> list[str]:
    """The steps that the journal promises to the only order's token."""
    home = desk.home
    with contextlib.closing(home.ledger):
        (batch,) = home.ledger.batches()
        (order,) = home.ledger.orders(batch.id)
        assert order.state is OrderState.WORKING
        assert order.token is not None
        return [intent.step for intent in home.ledger.intents(order.id)]


def test_before_the_first_write_all_of_it_is_promised(tmp_path: Path) -> None:
    """The order is bound, every step promised, and every secret sealed, in one transaction."""
    desk = Desk(tmp_path, "yubikey-5.7.4")
    cut_at(desk, PIV, lambda apdu: apdu[1] == SET_TRIES)
    entry = desk.anew(tmp_path / "whole").run(PIV)
    assert promised(desk) == [step["id"] for step in entry["steps"]]
    home = desk.home
    with contextlib.closing(home.ledger):
        copies = home.ledger.envelopes(purpose=STATION)
    assert {one.name for one in copies} == {"piv/pin", "piv/puk", "piv/management-key"}
    drawn = desk.sealed()
    assert {s["name"] for s in desk.run(PIV)["secrets"]} == set(drawn)
    assert desk.sealed() == drawn  # what was promised is what was written
    assert desk.token.dump()["applets"]["piv"]["pin"]["value"] == drawn["piv/pin"].hex()


def test_of_a_token_that_is_refused_nothing_is_left(tmp_path: Path) -> None:
    """What was drawn while it was looked at is nowhere, and no order is bound to it."""
    desk = Desk(tmp_path, "yubikey-5.7.4")
    session = PivSession(desk.connect())
    session.authenticate(DEFAULT_MANAGEMENT_KEY)
    session.generate_key(SLOT.AUTHENTICATION, KEY_TYPE.ECCP256)
    with pytest.raises(TokenConflict, match="in use"):
        desk.run(PIV)
    home = desk.home
    with contextlib.closing(home.ledger):
        (batch,) = home.ledger.batches()
        (order,) = home.ledger.orders(batch.id)
        assert (order.state, order.token) == (OrderState.OPEN, None)
        assert home.ledger.envelopes() == []
    assert home.resume_keys.orders() == []


def test_what_was_begun_for_a_token_that_is_gone_ends_with_its_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its plan was still being made when the look failed: no thread of it outlives the turn."""
    desk, failed, ended = Desk(tmp_path, "yubikey-5.7.4"), threading.Event(), []

    def gone(_: Token) -> NoReturn:
        failed.set()
        raise TokenGone("it is gone", remedy="Insert it again.")

    def steps_after_that(*given: Any, **more: Any) -> Sequence[Step]:
        assert failed.wait(10)
        steps = steps_on(*given, **more)
        ended.append(threading.current_thread())
        return steps

    monkeypatch.setattr(batch, "take_inventory", gone)
    monkeypatch.setattr(batch, "steps_on", steps_after_that)
    with pytest.raises(TokenGone):
        desk.run(PIV)
    assert len(ended) == 1
    assert not [one.name for one in threading.enumerate() if one.name.startswith("meanwhile")]


def test_a_custodian_who_came_while_the_token_was_looked_at_can_open_it(tmp_path: Path) -> None:
    """What was sealed to the key of before is drawn and sealed anew to the key of now."""
    home = Desk(tmp_path, "yubikey-5.7.4").home
    rows = parse_roster((HEADER + ADA).encode(), "roster", today=home.clock().date())
    profile = parse_profile(f'name = "test"\n{PIV}'.encode(), "test")
    with contextlib.closing(home.ledger):
        batch = new_batch(home, rows, profile, kit_size=1, operator="tester")
        (order,) = home.ledger.orders(batch.id)
        token = TokenId(maker="yubico", model="YubiKey 5", firmware="5.7.4", serial="1")
        journal = OrderJournal(home, order.id, token.label, random=secrets.token_bytes)
        step = PinStep(length=6)
        with Meanwhile() as meanwhile:
            journal.prepare([step], meanwhile)
        assert journal._prepared is not None
        before = journal._prepared.result()[step.id].intent
        private, public = generate_custodian()
        write_durable(home.path / "custodians" / f"{Purpose.HELP_DESK}.pem", public)
        journal.claim(token, {})
        promised = journal.promise(ahead=[step])[step.id]
        assert promised.drawn.keys() == before.drawn.keys()
        (sealed,) = home.ledger.envelopes(purpose=Purpose.HELP_DESK)
        _, value = open_envelope(sealed.blob, private_from_pem(private))
        assert value == promised.secret(step.id)


def test_a_key_that_somebody_made_meanwhile_is_theirs(tmp_path: Path) -> None:
    """It was promised, and nothing before it was written: so the key is none of ours."""
    desk = Desk(tmp_path, "yubikey-5.7.4")
    cut_at(desk, PIV, lambda apdu: apdu[1] == CHANGE_REFERENCE_DATA)
    assert "piv/9a/key" in promised(desk)
    session = PivSession(desk.connect())
    session.authenticate(DEFAULT_MANAGEMENT_KEY)
    session.generate_key(SLOT.AUTHENTICATION, KEY_TYPE.ECCP256)
    theirs = desk.token.dump()["applets"]["piv"]["keys"]["9a"]
    with pytest.raises(TokenConflict, match="9a: slot 9a holds a key") as refused:
        desk.run(PIV)
    assert "changed since the work on it began" in refused.value.remedy
    assert desk.token.dump()["applets"]["piv"]["keys"]["9a"] == theirs


def test_an_object_that_somebody_wrote_meanwhile_is_theirs(tmp_path: Path) -> None:
    """The CHUID of another program stays, though one was promised."""
    desk = Desk(tmp_path, "yubikey-5.7.4")
    cut_at(desk, PIV, lambda apdu: apdu[1] == CHANGE_REFERENCE_DATA)
    session = PivSession(desk.connect())
    session.authenticate(DEFAULT_MANAGEMENT_KEY)
    session.put_object(OBJECT_ID.CHUID, b"theirs")
    with pytest.raises(TokenConflict, match="it holds a CHUID"):
        desk.run(PIV)
    assert PivSession(desk.connect()).get_object(OBJECT_ID.CHUID) == b"theirs"


def test_a_management_key_that_somebody_set_meanwhile_is_theirs(tmp_path: Path) -> None:
    """A promised management key is not taken for the one that is there."""
    desk = Desk(tmp_path, "yubikey-5.7.4")
    cut_at(desk, PIV, lambda apdu: apdu[1] == CHANGE_REFERENCE_DATA)
    session = PivSession(desk.connect())
    session.authenticate(DEFAULT_MANAGEMENT_KEY)
    session.set_management_key(MANAGEMENT_KEY_TYPE.AES192, bytes(range(24)))
    with pytest.raises(TokenConflict, match="management key is not the factory's"):
        desk.run(PIV)


@pytest.mark.parametrize("kind", ["static-password", "hmac-sha1"])
def test_a_slot_that_somebody_wrote_meanwhile_is_theirs(tmp_path: Path, kind: str) -> None:
    """A slot that types is promised in its turn; one that answers by what it was promised."""
    profile = SLOTS.format(kind=kind)
    desk = Desk(tmp_path, "yubikey-5.7.4")
    cut_at(desk, profile, lambda apdu: apdu[1:3] == WRITE_SLOT_1)
    assert promised(desk) == (["otp/1"] if kind == "static-password" else ["otp/2", "otp/1"])
    YubiOtpSession(desk.connect()).put_configuration(
        OTP_SLOT.TWO, StaticPasswordSlotConfiguration(bytes([4, 5, 6]))
    )
    theirs = desk.token.dump()["applets"]["otp"]["slots"][1]
    with pytest.raises(TokenConflict, match="OTP slot 2 holds"):
        desk.run(profile)
    assert desk.token.dump()["applets"]["otp"]["slots"][1] == theirs


def test_tries_that_were_promised_are_not_taken_for_set(tmp_path: Path) -> None:
    """Old firmware does not tell the PUK's tries: set are they only where the PIN's turn came."""
    desk, profile = Desk(tmp_path, "yubikey-5.2.7"), "[piv]\npuk = { retries = 5 }\n"
    cut_at(desk, profile, lambda apdu: apdu[1] == SET_TRIES)
    assert "piv/pin" not in promised(desk)
    desk.run(profile)
    assert desk.token.dump()["applets"]["piv"]["puk"]["tries"] == 5


def test_what_was_promised_step_by_step_is_all_begun(tmp_path: Path) -> None:
    """A journal of an earlier version says of each intent that its turn had come."""
    desk = Desk(tmp_path, "yubikey-5.7.4")
    cut_at(desk, PIV, lambda apdu: apdu[1] == PUT_DATA and b"\x5f\xc1\x05" in apdu)
    home = desk.home
    with contextlib.closing(home.ledger), home.ledger._database.write() as connection:
        done = connection.exec_driver_sql(
            "UPDATE intents SET parameters = replace(parameters, ',\"ahead\":true', '')"
        ).rowcount
    assert done == 8
    session = PivSession(desk.connect())
    session.verify_pin(desk.sealed()["piv/pin"].decode())  # nothing of it was lost
    entry = desk.run(PIV)
    assert {step["state"] for step in entry["steps"]} == {"match"}
