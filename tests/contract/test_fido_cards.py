"""FIDO2 of any maker on a smart-card reader: known by its FIDO application alone, and issued."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.contract.test_piv_cards import Odd, is_select
from tests.in_process import ADA, HEADER, Desk
from tokenprov.audit import audit
from tokenprov.batch import BatchWork
from tokenprov.device.fido_card import FidoCard
from tokenprov.device.token import AnyToken
from tokenprov.errors import NotSupported, TokenConflict
from tokenprov.model import TokenKind
from tokenprov.ordering import new_batch
from tokenprov.profile import parse_profile
from tokenprov.roster import parse_roster
from tokenprov.unnumbered import Unnumbered, only

PROFILE = b"""name = "test"
[fido2]
[[fido2.credentials]]
rp-id = "login.example.test"
rp-name = "Login"
user-name = "{holder.email}"
"""
MANAGEMENT, FIDO = "a000000527", "a0000006472f0001"


class Contactless(Odd):
    """The token of another maker on a contactless reader (PC/SC part 3, 3.1.3.2.3)."""

    atr = bytes.fromhex("3b85800141636d6531")  # historical bytes "Acme1"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A station, and a key with FIDO alone."""
    return Desk(tmp_path, "security-key-5.7")


def inserted(desk: Desk, answers: dict[str, str] | None = None) -> AnyToken:
    """What the product takes it for; `answers` by the name of the application, in hex."""
    by = {MANAGEMENT: "6a82"} | (answers or {})

    def answer(apdu: bytes) -> bytes | None:
        return next((bytes.fromhex(sw) for name, sw in by.items() if is_select(apdu, name)), None)

    return desk.connected(Contactless(desk.token, answer))


def test_a_key_of_another_maker_is_issued_over_its_reader(desk: Desk) -> None:
    """It gets its mark, PIN and credential, is known again by the mark, and audited by it."""
    home, token = desk.home, inserted(desk)
    assert (token.kind, token.id.maker, token.id.model) == (
        *(TokenKind.SECURITY_KEY, "Acme1", "FIDO2 card"),
    )
    profile = parse_profile(PROFILE, "test")
    rows = parse_roster((HEADER + ADA).encode(), "roster", today=datetime.now(UTC).date())
    batch = new_batch(home, rows, profile, kit_size=1, operator="tester")
    work = BatchWork(home, profile, batch, operator="tester", listener=lambda event: None)
    with (
        Unnumbered(home, 1).named(token, lambda: None),
        work.order_for(token.id) as (order, _),
    ):
        entry = home.manifest.entry(work.make(token, order, lambda index: None))
    assert {step["id"] for step in entry["steps"] if step["state"] == "match"} >= {
        *("fido2/pin", "fido2/credential/login.example.test"),
    }
    assert entry["token"]["mark"] == token.id.mark
    again = inserted(desk)
    only(home, token.id)(again)
    assert again.id.mark == token.id.mark
    assert not audit(home, again).drifted


def test_what_the_applications_of_another_key_are_is_said(desk: Desk) -> None:
    """A profile with PIV is refused with what it is; nothing is sent to it for that."""
    with pytest.raises(NotSupported, match="a FIDO2 card has not PIV"):
        inserted(desk).piv()


@pytest.mark.parametrize("answer", ["6a82", "6d00", "6999", "6f00"])
def test_a_card_without_fido_is_passed_over(desk: Desk, answer: str) -> None:
    """Whatever it answers to the name of the application."""
    with pytest.raises(NotSupported, match="neither a YubiKey nor a PIV card, nor has it FIDO2"):
        inserted(desk, {FIDO: answer})


@pytest.mark.parametrize("answer", ["9000", "6d00", "00a09000", "ff9000", "019000"])
def test_an_application_that_says_nothing_of_fido2_is_none(desk: Desk, answer: str) -> None:
    """A card that takes every name, and one with U2F alone, answer getInfo otherwise."""

    def other(apdu: bytes) -> bytes | None:
        if is_select(apdu, MANAGEMENT):
            return b"\x6a\x82"
        return bytes.fromhex(answer) if apdu[1] == 0x10 else None

    with pytest.raises(NotSupported, match="nor has it FIDO2"):
        desk.connected(Contactless(desk.token, other))


def test_a_yubikey_out_of_order_is_not_taken_for_one(desk: Desk) -> None:
    """By its ATR it is a YubiKey, whose management application must answer."""

    class Out(Odd):
        """With the key's own ATR."""

    out = Out(desk.token, lambda apdu: b"\x6f\x00" if is_select(apdu, MANAGEMENT) else None)
    with pytest.raises(NotSupported, match="is not a YubiKey"):
        desk.connected(out)
    assert isinstance(inserted(desk), FidoCard)


def test_a_used_one_is_refused_as_in_use(desk: Desk) -> None:
    """A FIDO2 PIN is somebody's: no mark is made, and nothing is promised."""
    inserted(desk).fido2().set_pin("4711-0815")
    token = inserted(desk)
    with (
        pytest.raises(TokenConflict, match="it has a FIDO2 PIN"),
        Unnumbered(desk.home, 1).named(token, lambda: None),
    ):
        pass
