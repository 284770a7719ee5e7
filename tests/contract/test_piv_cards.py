"""PIV cards of other makers: made by SP 800-73-4 alone, from two virtual ones that share no code.

The cards are in this process, each taken through the product's own way from an order to its entry;
`tests/peers/test_piv_cards.py` has them behind a private pcscd, with other programs as judges.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from yubikit.core import Tlv
from yubikit.piv import KEY_TYPE, OBJECT_ID, PIN_POLICY, TOUCH_POLICY

from tests.in_process import READER, SELECT, Cut, Desk, Line
from tokenprov.audit import audit
from tokenprov.device.sources import PcscSource
from tokenprov.errors import (
    NotSupported,
    StationError,
    TokenConflict,
    TokenprovError,
    WrongToken,
)
from tokenprov.model import Purpose
from tokenprov.naming import name_card, unnamed
from tokenprov.sim.token import VirtualToken
from tokenprov.steps.piv.access import authenticate
from tokenprov.unnumbered import only
from tokenprov.wipe import Permission, WipeFirst, wipe

CARDS = ("piv-card", "piv-card-t0")
PROFILE = 'extends = "piv-card"\n'
MORE_KEYS = """
[[piv.keys]]
slot = "9c"
algorithm = "rsa2048"
attestation = "if-supported"
certificate = { issuer = "local", subject = "{holder.name}", usages = ["email-protection"] }
[[piv.keys]]
slot = "9e"
algorithm = "eccp256"
attestation = "if-supported"
"""
CARD_KEY = """
[[piv.keys]]
slot = "9e"
algorithm = "eccp256"
attestation = "if-supported"
certificate = { issuer = "local", subject = "{holder.name}", usages = ["client-auth"] }
"""
STANDARD = frozenset({0x20, 0x24, 0x2C, 0x47, 0x87, 0xA4, 0xC0, 0xCB, 0xDB})  # part 2, table 2
WRITES = frozenset({0x24, 0x47, 0xDB})
CHUID_TAGS = (0x30, 0x34, 0x35, 0x3E, 0xFE)
ACME = bytes(range(100, 124))  # a management key that a maker told


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A station to be copied."""
    return Desk(tmp_path_factory.mktemp("desk"), "piv-card")


def fresh(made: Desk, folder: Path, model: str, *, blank: bool = False) -> Desk:
    """The station as it was made, and a card of that model; with a name unless it is blank."""
    made._model = model
    desk = made.anew(folder)
    if not blank and "without serial" in desk.connected(Line(desk.token)).id.label:
        name_card(desk.home, desk.connected(Line(desk.token)))
    return desk


def inside(desk: Desk, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the state of the card behind everybody's back."""
    state = desk.token.dump()
    change(state["applets"]["piv"])
    desk.token.load(state)


def chuid(desk: Desk) -> bytes:
    """The card's CHUID as anybody reads it."""
    value = desk.connected(Line(desk.token)).piv().object(OBJECT_ID.CHUID)
    assert value is not None
    return value


def refused(desk: Desk, kind: type[TokenprovError], profile: str = PROFILE) -> str:
    """The words with which a card is refused, that nothing was written to."""
    before = desk.token.dump()
    with pytest.raises(kind) as caught:
        desk.run(profile)
    assert not [apdu[:4].hex() for apdu in desk.commands if apdu[1] in WRITES]
    if kind is not StationError:
        assert desk.token.dump() == before
    return str(caught.value)


@pytest.mark.parametrize("model", CARDS)
def test_a_card_is_made_by_the_standard_alone(made: Desk, tmp_path: Path, model: str) -> None:
    """Every setting reads back, the entry says what a card keeps, and no vendor command is sent."""
    desk = fresh(made, tmp_path, model)
    entry = desk.run(PROFILE + MORE_KEYS)
    assert {(apdu[0] & ~0x10, apdu[1]) for apdu in desk.commands} <= {(0, ins) for ins in STANDARD}
    assert all(apdu[2:4] == b"\x04\x00" for apdu in desk.commands if apdu[1] == SELECT)
    assert not [ins for ins, sw in desk.token.trace if sw == 0x6D00]
    token, steps = entry["token"], {step["id"]: step for step in entry["steps"]}
    assert (token["grade"], token["model"], token["firmware"]) == ("asserted", "PIV card", "")
    assert bytes.fromhex(token["serial"]) in chuid(desk)
    assert {name for name, step in steps.items() if step["state"] == "skipped"} == {
        *("piv/tries", "piv/management-key", "piv/chuid")
    }
    assert steps["piv/management-key"]["facts"]["published"] is True
    assert "attestation" in steps["piv/9a/key"]["unread"]
    (evidence,) = steps["piv/9a/certificate"]["evidence"]
    certificate = x509.load_der_x509_certificate(desk.blob(evidence["sha256"]))
    piv = desk.connected(Line(desk.token)).piv()
    assert piv.certificate(0x9A) == desk.blob(evidence["sha256"])
    assert certificate.not_valid_after_utc.isoformat()[:10] in str(steps["piv/9a/certificate"])
    sealed = desk.sealed(Purpose.HELP_DESK)
    assert sealed.keys() == {"piv/pin", "piv/puk"}
    piv.verify_pin(sealed["piv/pin"].decode())
    piv.change_puk(sealed["piv/puk"].decode(), "12345678")


def test_nothing_is_read_twice(made: Desk, tmp_path: Path) -> None:
    """An empty slot and an object are asked for once; what was written is read back."""
    desk = fresh(made, tmp_path, "piv-card")
    line = Line(desk.token)
    piv = desk.connected(line).piv()
    assert (piv.key(0x9A), piv.object(OBJECT_ID.CAPABILITY)) == (None, None)
    before = len(line.commands)
    assert (piv.key(0x9A), piv.object(OBJECT_ID.CAPABILITY)) == (None, None)
    assert len(line.commands) == before
    piv.authenticate(bytes.fromhex("0102030405060708" * 2))
    piv.put_object(OBJECT_ID.CAPABILITY, b"\xf0\x00")
    assert piv.object(OBJECT_ID.CAPABILITY) == b"\xf0\x00"
    piv.generate_key(0x9A, KEY_TYPE.ECCP256, PIN_POLICY.DEFAULT, TOUCH_POLICY.DEFAULT)
    with pytest.raises(NotSupported):
        piv.key(0x9A)


@pytest.mark.parametrize("model", CARDS)
def test_cut_off_anywhere_it_goes_on(made: Desk, tmp_path: Path, model: str) -> None:
    """The power fails before or after each write; the same run finishes the card, keys and all."""
    desk = fresh(made, tmp_path / "whole", model)
    desk.run(PROFILE)
    writes = [number for number, apdu in enumerate(desk.commands) if apdu[1] in WRITES]
    assert len(writes) >= 5
    for number in writes:
        for after in (False, True):
            desk = fresh(made, tmp_path / f"{number}-{after}", model)
            with pytest.raises(Cut):
                desk.run(PROFILE, cut=(number, after))
            entry = desk.run(PROFILE)
            assert {step["state"] for step in entry["steps"]} == {"match", "skipped"}
            line = Line(desk.token)
            desk.connected(line).piv().verify_pin(desk.sealed()["piv/pin"].decode())


def test_a_blank_card_is_named_first(made: Desk, tmp_path: Path) -> None:
    """Without a CHUID it is refused with the command that gives it one, and taken after that."""
    desk = fresh(made, tmp_path, "piv-card-t0", blank=True)
    card = desk.connected(Line(desk.token))
    assert card.id.serial is None
    assert f"tokenprov token name --reader '{READER}'" in str(unnamed(card))
    name = name_card(desk.home, card)
    again = desk.connected(Line(desk.token))
    assert again.id.serial == name
    with pytest.raises(TokenConflict, match="has its name already"):
        name_card(desk.home, again)
    assert desk.run(PROFILE)["token"]["serial"] == name


@pytest.mark.parametrize("model", CARDS)
def test_a_used_card_is_left_as_it_is(made: Desk, tmp_path: Path, model: str) -> None:
    """A key that somebody made, with or without a certificate, is told and not overwritten."""
    desk = fresh(made, tmp_path, model)
    desk.run(PROFILE + MORE_KEYS)
    others = made.anew(tmp_path / "others")
    others.token = desk.token
    said = refused(others, TokenConflict)
    for text in ("slot 9a holds a key", "slot 9a holds a certificate for CN=Ada", "slot 9c holds"):
        assert text in said


def test_a_used_card_cannot_be_emptied(made: Desk, tmp_path: Path) -> None:
    """The standard has no command for it: that is said before anything is promised."""
    desk = fresh(made, tmp_path, "piv-card")
    card = desk.connected(Line(desk.token))
    wanted = WipeFirst(card.id, ("slot 9a holds a key (unknown)",))

    class Held(PcscSource):
        def opened(self, *_: object, **__: object) -> Any:
            return nullcontext(card)

    permission = Permission(serials=frozenset({card.id.label}), reason="r", operator="o")
    home = desk.home
    with pytest.raises(NotSupported, match="cannot be emptied: slot 9a holds a key"):
        wipe(
            *(home, wanted, READER, desk.finger, permission),  # type: ignore[arg-type]  # a finger is operator enough
            recording=home.working(),
            source=Held(),
        )
    assert home.ledger.wipes.open(card.id.label) is None


@pytest.mark.parametrize("model", CARDS)
def test_a_card_that_says_anothers_guid(made: Desk, tmp_path: Path, model: str) -> None:
    """With a certificate in 9e a card proves which it is; a copy of what can be read does not."""
    desk = fresh(made, tmp_path, model)
    desk.run(PROFILE + CARD_KEY)
    line = Line(desk.token)
    card = desk.connected(line)
    before = len(line.commands)
    only(desk.home, card.id)(card)
    assert [apdu[1] for apdu in line.commands[before:] if apdu[1] not in (0xA4, 0xC0)] == [0x87]
    copy = fresh(made, tmp_path / "copy", model)
    copy.token.load(desk.token.dump())
    writer = copy.connected(Line(copy.token))
    authenticate(writer)
    writer.piv().generate_key(0x9E, KEY_TYPE.ECCP256, PIN_POLICY.DEFAULT, TOUCH_POLICY.DEFAULT)
    there = copy.connected(Line(copy.token))
    assert there.id == card.id
    with pytest.raises(WrongToken, match="signs with another key in 9e"):
        only(desk.home, card.id)(there)
    unknown = fresh(made, tmp_path / "unknown", model)
    unknown.run(PROFILE)
    there = unknown.connected(Line(unknown.token))
    only(unknown.home, there.id)(there)  # nothing to prove it by


def test_a_locked_card_says_who_can_help(made: Desk, tmp_path: Path) -> None:
    """A blocked PIN is told with who has the PUK; nothing is written."""
    desk = fresh(made, tmp_path, "piv-card-t0")
    inside(desk, lambda state: state["left"].update({"80": 0}))
    assert "its PIN is blocked: whoever has its PUK can unblock it" in refused(desk, TokenConflict)


@pytest.mark.parametrize(
    ("field", "says"),
    [
        ((0x35, b"20200229"), "the card expired on 2020-02-29"),
        ((0x35, b"sometime"), "its CHUID cannot be read"),
    ],
)
def test_an_expired_card_is_to_be_replaced(
    made: Desk, tmp_path: Path, field: tuple[int, bytes], says: str
) -> None:
    """The last day in the CHUID counts, and one that makes no sense is no day."""
    desk = fresh(made, tmp_path, "piv-card")
    fields = Tlv.parse_dict(chuid(desk)) | dict([field])
    value = b"".join(Tlv(tag, fields.get(tag, b"")) for tag in CHUID_TAGS)
    inside(desk, lambda state: state["objects"].update({"5fc102": value.hex()}))
    assert says in refused(desk, TokenConflict)


def told_key(desk: Desk, value: bytes = ACME) -> Path:
    """Put a management key into the home; gives its file."""
    folder = desk.home.path / "card-keys"
    folder.mkdir()
    (folder / "acme.hex").write_text(value.hex())
    (folder / "acme.hex").chmod(0o600)
    return folder / "acme.hex"


GIVEN = PROFILE + '[piv.management-key]\ngiven = "acme"\n'


@pytest.mark.parametrize(
    ("cipher", "size"), [("TDES", 24), ("AES128", 16), ("AES192", 24), ("AES256", 32)]
)
def test_a_management_key_that_the_maker_told(
    made: Desk, tmp_path: Path, cipher: str, size: int
) -> None:
    """Whatever algorithm the card has is found; the entry says that its key is not published."""
    desk = fresh(made, tmp_path, "piv-card")
    key = (ACME * 2)[:size]
    state = {"cipher": cipher, "key": key.hex(), "touch": "NEVER"}
    inside(desk, lambda inside: inside.update({"management_key": state}))
    said = refused(desk, TokenConflict)
    assert "its PIV management key is not the published one" in said
    told_key(desk, key)
    entry = desk.run(GIVEN)
    (step,) = [step for step in entry["steps"] if step["id"] == "piv/management-key"]
    assert step["facts"] == {"algorithm": cipher.lower(), "published": False}
    assert key.hex() not in str(entry)


def test_a_wrong_management_key_is_said_to_be_wrong(made: Desk, tmp_path: Path) -> None:
    """Neither the told one nor the published one: the card is refused, and not tried further."""
    desk = fresh(made, tmp_path, "piv-card-t0")
    inside(desk, lambda state: state.update({"admin": bytes(24).hex()}))
    told_key(desk)
    with pytest.raises(TokenConflict, match="is not the one that the station was given"):
        desk.run(GIVEN)
    assert desk.token.dump()["applets"]["piv"]["left"]["9b"] == 5 - 2  # each key once


def test_a_pin_and_a_puk_that_the_maker_published(made: Desk, tmp_path: Path) -> None:
    """Cards of another delivery come with others than the usual ones; the profile tells which."""
    desk = fresh(made, tmp_path, "piv-card-t0")
    values = {"80": b"000000\xff\xff".hex(), "81": b"00000000".hex()}
    inside(desk, lambda state: state.update({"values": values}))
    assert "its PIN is not the factory's" in refused_after_a_try(desk)
    published = '[piv.pin]\npublished = "000000"\n[piv.puk]\npublished = "00000000"\n'
    desk.run(PROFILE + published)
    sealed = desk.sealed(Purpose.HELP_DESK)
    piv = desk.connected(Line(desk.token)).piv()
    piv.verify_pin(sealed["piv/pin"].decode())
    piv.change_puk(sealed["piv/puk"].decode(), "00000000")


def refused_after_a_try(desk: Desk) -> str:
    """The words with which a card is refused whose PIN was tried, and nothing written."""
    with pytest.raises(TokenConflict) as caught:
        desk.run(PROFILE)
    assert not [apdu[:4].hex() for apdu in desk.commands if apdu[1] in WRITES]
    assert desk.token.dump()["applets"]["piv"]["left"]["80"] == 5 - 1
    return str(caught.value)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda path: path.unlink(), "the station has no management key called acme"),
        (lambda path: path.chmod(0o640), "can be read by others than its owner"),
        (lambda path: path.write_text("none"), "is not a key in hex"),
        (lambda path: path.write_text("00" * 15), "holds a key of 15 bytes"),
    ],
)
def test_a_key_file_that_is_not_as_it_must_be(
    made: Desk, tmp_path: Path, spoil: Callable[[Path], Any], says: str
) -> None:
    """It stops the station, with the file and what to do."""
    desk = fresh(made, tmp_path, "piv-card")
    spoil(told_key(desk))
    said = refused(desk, StationError, GIVEN)
    assert says in said
    assert ACME.hex() not in said


def test_audit_of_a_card(made: Desk, tmp_path: Path) -> None:
    """What is seen without secrets is as recorded, the rest unknown; what is gone is drift."""
    desk = fresh(made, tmp_path, "piv-card-t0")
    desk.run(PROFILE)
    home = desk.home
    found = audit(home, desk.connected(Line(desk.token)))
    assert not found.drifted, found.to_json()
    standing = {one.id: str(one.standing) for one in found.settings}
    assert standing["piv/chuid"] == standing["piv/ccc"] == "same"
    assert standing["piv/9a/key"] == standing["piv/pin"] == "unknown"
    inside(desk, lambda state: state["objects"].pop("5fc105"))
    assert audit(home, desk.connected(Line(desk.token))).drifted


class Odd(Line):
    """A card that answers some commands otherwise than the one behind it."""

    def __init__(self, token: VirtualToken, answers: Callable[[bytes], bytes | None]) -> None:
        super().__init__(token)
        self._answers = answers

    def send_and_receive(self, apdu: bytes) -> tuple[bytes, int]:
        """One exchange."""
        answer = self._answers(bytes(apdu))
        if answer is None:
            return super().send_and_receive(apdu)
        self.commands.append(bytes(apdu))
        return answer[:-2], int.from_bytes(answer[-2:])


def is_select(apdu: bytes, name: str) -> bool:
    """Whether it selects that application."""
    return apdu[1] == SELECT and bytes.fromhex(name) in apdu


@pytest.mark.parametrize("sw", ["6999", "6d00", "6a81", "6a86", "6985", "6f00", "9000"])
def test_cards_answer_to_unknown_names_as_they_like(made: Desk, tmp_path: Path, sw: str) -> None:
    """Whatever comes back for the maker's own application, even success, it is a PIV card."""
    desk = fresh(made, tmp_path, "piv-card")
    line = Odd(
        desk.token, lambda apdu: bytes.fromhex(sw) if is_select(apdu, "a000000527") else None
    )
    card = desk.connected(line)
    assert (card.id.model, card.id.maker) == ("PIV card", "IRTPIV")
    assert {apdu[1] for apdu in line.commands} <= STANDARD


def test_a_card_with_no_application_that_is_known(made: Desk, tmp_path: Path) -> None:
    """It is passed over with what could be done with it."""
    desk = fresh(made, tmp_path, "piv-card")
    line = Odd(desk.token, lambda apdu: b"\x6a\x82" if apdu[1] == SELECT else None)
    with pytest.raises(NotSupported, match=r"neither a YubiKey nor a PIV card[^$]*PKCS#11"):
        desk.connected(line)


@pytest.mark.parametrize(
    ("ins", "answer", "left"),
    [(0x20, "6a86", None), (0x20, "6700", None), (0x20, "63c2", 2), (0x20, "6983", 0)],
)
def test_tries_that_a_card_tells_or_not(
    made: Desk, tmp_path: Path, ins: int, answer: str, left: int | None
) -> None:
    """An empty VERIFY that is not known is no error, and no number either."""
    desk = fresh(made, tmp_path, "piv-card")
    line = Odd(desk.token, lambda apdu: bytes.fromhex(answer) if apdu[1] == ins else None)
    assert desk.connected(line).piv().pin_tries().remaining == left


def test_a_card_that_authenticates_one_way_only(made: Desk, tmp_path: Path) -> None:
    """No witness: the single authentication is taken, and found by asking."""
    desk = fresh(made, tmp_path, "piv-card-t0")
    line = Odd(desk.token, lambda apdu: b"\x6a\x80" if b"\x7c\x02\x80\x00" in apdu else None)
    piv = desk.connected(line).piv()
    assert piv.management_key_type.name == "TDES"
    piv.authenticate(bytes.fromhex("0102030405060708" * 3))
    assert piv.authenticated
    piv.put_object(OBJECT_ID.CAPABILITY, b"\xf0\x00")


def test_a_card_that_knows_3des_by_its_other_number(made: Desk, tmp_path: Path) -> None:
    """SP 800-78-4 gives it two, 03 and 00: whichever the card answers to is used."""
    desk = fresh(made, tmp_path, "piv-card-t0")

    def by_00(apdu: bytes) -> bytes | None:
        if apdu[1] != 0x87 or apdu[3] != 0x9B:
            return None
        return desk.token.transmit(apdu[:2] + b"\3" + apdu[3:]) if apdu[2] == 0 else b"\x6a\x86"

    piv = desk.connected(Odd(desk.token, by_00)).piv()
    assert piv.management_key_type.name == "TDES"
    piv.authenticate(bytes.fromhex("0102030405060708" * 3))
    piv.put_object(OBJECT_ID.CAPABILITY, b"\xf0\x00")


def test_a_card_that_has_no_management_key_is_looked_at(made: Desk, tmp_path: Path) -> None:
    """One that is closed can be seen, and is refused before anything is written to it."""
    desk = fresh(made, tmp_path, "piv-card")
    line = Odd(desk.token, lambda apdu: b"\x6a\x88" if apdu[3] == 0x9B else None)
    piv = desk.connected(line).piv()
    assert piv.certificate(0x9A) is None
    with pytest.raises(NotSupported, match="answers to no algorithm"):
        _ = piv.management_key_type


def test_a_card_that_proves_nothing_is_not_believed(made: Desk, tmp_path: Path) -> None:
    """A card that takes any witness and answers with anything is not the one of that key."""
    desk = fresh(made, tmp_path, "piv-card")
    line = Odd(
        desk.token,
        lambda apdu: b"\x7c\x12\x82\x10" + bytes(16) + b"\x90\x00" if b"\x81\x10" in apdu else None,
    )
    piv = desk.connected(line).piv()
    with pytest.raises(TokenprovError, match="refused"):
        piv.authenticate(bytes.fromhex("0102030405060708" * 2))
    assert not piv.authenticated


def test_an_answer_without_end_is_given_up(made: Desk, tmp_path: Path) -> None:
    """A card that always has more to say does not fill the memory."""
    desk = fresh(made, tmp_path, "piv-card")
    line = Odd(desk.token, lambda apdu: bytes(256) + b"\x61\x00" if apdu[1] != SELECT else None)
    with pytest.raises(TokenprovError, match="has no end"):
        desk.connected(line)
