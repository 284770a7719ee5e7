"""The contract of the OTP steps, on every model, by what the token then types, answers and refuses.

The codes are checked by `cryptography` (HOTP, AES), by the maker's library and by the maker's own
table of scan codes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.twofactor.hotp import HOTP
from ykman.scancodes import KEYBOARD_LAYOUT, encode
from yubikit.core import CommandError
from yubikit.core.otp import modhex_decode, modhex_encode
from yubikit.yubiotp import SLOT, HmacSha1SlotConfiguration, YubiOtpSlotConfiguration

from tests.otp_contact import INS_OTP, MODEL_NAMES, Contact, Work
from tokenprov.errors import AuthenticationFailed, NotVerified, ProfileError, TokenConflict
from tokenprov.sim.applets.otp_frame import Config, Extended, with_crc
from tokenprov.sim.models import MODELS
from tokenprov.step import State

CODE = bytes.fromhex("0a0b0c0d0e0f")
UPDATES = {0x04, 0x05}
YUBICO = '[otp.slot1]\nkind = "yubico-otp"\nreplace-factory = true\n'
HOTP_2 = '[otp.slot2]\nkind = "hotp"\n'
HMAC_2 = '[otp.slot2]\nkind = "hmac-sha1"\n'
STATIC_2 = '[otp.slot2]\nkind = "static-password"\n'
EVERY_MODEL = pytest.mark.parametrize("model", MODEL_NAMES)


def decrypted(otp: str, seed: bytes) -> bytes:
    """The plain 16 bytes of a Yubico OTP, of its last 32 letters."""
    cipher = Cipher(algorithms.AES(seed[6:]), modes.ECB()).decryptor()  # as the OTP has it
    return cipher.update(modhex_decode(otp[-32:])) + cipher.finalize()


@EVERY_MODEL
def test_a_yubico_otp_is_typed_as_recorded(model: str) -> None:
    """The public id of the entry, a code that the sealed key decrypts to the private id, Enter."""
    contact = Contact(model)
    work = Work(contact=contact, section=YUBICO)
    found = work.run()["otp/1"].finding
    assert found.state is State.MATCH
    typed = contact.applet.type_slot(1)
    assert typed.endswith("\n")
    assert typed[:12] == found.facts["publicId"]
    assert modhex_decode(typed[:12]) == b"\xff\x00" + contact.serial.to_bytes(4, "big")
    seed = work.journal.secrets["otp/1/seed"]
    assert decrypted(typed.strip(), seed)[:6] == seed[:6]
    assert set(found.unread) == {"public id", "private id", "AES key", "flags"}


@EVERY_MODEL
@pytest.mark.parametrize(("digits", "counter"), [(6, 0), (8, 1600)])
def test_hotp_codes_are_those_of_the_sealed_seed(model: str, digits: int, counter: int) -> None:
    """Two touches type the codes of the counter and the one after it (RFC 4226)."""
    contact = Contact(model)
    section = HOTP_2 + f"digits = {digits}\ncounter = {counter}\nappend-enter = false\n"
    work = Work(contact=contact, section=section)
    found = work.run()["otp/2"].finding
    assert (found.facts["digits"], found.facts["counter"]) == (digits, counter)
    server = HOTP(work.journal.secrets["otp/2/seed"], digits, hashes.SHA1())
    for moved in range(2):
        assert contact.applet.type_slot(2).encode() == server.generate(counter + moved)


@pytest.mark.parametrize(
    ("token_id", "typed"),
    [
        ("serial", None),
        ("ubhe12345678", "ubhe12345678"),
        ("ub0112345678", "ub0112345678"),
        ("010212345678", "010212345678"),
        ("ubhecbdefghi", "ubhecbdefghi"),
    ],
)
def test_a_token_id_comes_before_the_code(token_id: str, typed: str | None) -> None:
    """Letters of modhex and digits are typed as they were given; `serial` is Yubico's form."""
    contact = Contact()
    work = Work(contact=contact, section=HOTP_2 + f'token-id = "{token_id}"\n')
    found = work.run()["otp/2"].finding
    assert found.facts["tokenId"] == (typed or f"ubhe{contact.serial:08}")
    assert contact.applet.type_slot(2)[:12] == found.facts["tokenId"]


@EVERY_MODEL
def test_a_static_password_is_typed_as_sealed(model: str) -> None:
    """On the keyboard that it was drawn for, a touch types what the custodian opens."""
    contact = Contact(model)
    section = STATIC_2 + 'length = 38\nlayout = "us"\ncharacters = "abcXYZ019!#?~|"\n'
    work = Work(contact=contact, section=section)
    assert work.run()["otp/2"].finding.state is State.MATCH
    password = work.journal.secrets["otp/2/password"].decode()
    assert len(password) == 38
    assert contact.applet.type_slot(2) == f"{password}\n"


@pytest.mark.parametrize("layout", [layout.name.lower() for layout in KEYBOARD_LAYOUT])
def test_a_password_has_the_scan_codes_of_its_layout(layout: str) -> None:
    """The slot holds what the maker's table says for each character on that keyboard."""
    contact = Contact()
    work = Work(contact=contact, section=STATIC_2 + f'layout = "{layout}"\n')
    work.run()
    slot = contact.slot(2)
    assert slot is not None
    password = work.journal.secrets["otp/2/password"].decode()
    wanted = encode(password, KEYBOARD_LAYOUT[layout.upper()])
    assert (slot.fixed + slot.uid + slot.key).rstrip(b"\0") == wanted


@EVERY_MODEL
@pytest.mark.parametrize("touch", [True, False])
def test_a_challenge_is_answered_by_the_sealed_key(model: str, touch: bool) -> None:
    """Proved by an answer, after a touch where the profile wants one and only there."""
    contact = Contact(model)
    work = Work(contact=contact, section=HMAC_2 + f"touch = {str(touch).lower()}\n")
    found = work.run()["otp/2"].finding
    assert found.facts == {"kind": "hmac-sha1", "touch": touch, "accessCode": "proved"}
    assert work.robot.touches == int(touch)
    answer = contact.session().calculate_hmac_sha1(SLOT.TWO, b"challenge")
    seed = work.journal.secrets["otp/2/seed"]
    assert answer == hmac.digest(seed, b"challenge", hashlib.sha1)
    slot = contact.slot(2)
    assert slot is not None
    assert bool(slot.config & Config.PACING_20MS) is touch  # CHAL_BTN_TRIG has the same bit


SETTINGS = """[otp.slot1]
kind = "yubico-otp"
replace-factory = true
access-code = false
public-id = "{holder.extra.public_id}"
append-enter = false
pacing = 60
fast-trigger = false
numeric-keypad = true
tabs = ["before", "after-id", "after-code"]
delays = ["after-id", "after-code"]
"""


def test_how_a_slot_types_is_set() -> None:
    """Tabs, pauses, pacing, Enter and keypad are what the profile says, flag by flag."""
    contact = Contact()
    Work(contact=contact, section=SETTINGS).run()
    slot = contact.slot(1)
    assert slot is not None
    assert slot.ticket == 0x01 | 0x02 | 0x04 | 0x08 | 0x10  # "YubiKey Manual" 3.4, tktFlags
    assert slot.config == Config.PACING_10MS | Config.PACING_20MS
    assert not slot.extended & Extended.FAST_TRIGGER
    assert slot.extended & Extended.USE_NUMERIC_KEYPAD
    typed = contact.applet.type_slot(1)
    assert typed.startswith("\tvvcdcdcdcdcd\t")
    assert typed.endswith("\t")


@pytest.mark.parametrize(
    ("pacing", "flags"),
    [(0, 0), (20, Config.PACING_10MS), (40, Config.PACING_20MS), (60, 0x0C)],
)
def test_pacing_is_two_flags(pacing: int, flags: int) -> None:
    """Each step of pacing is its flag, as `ykman otp settings --pacing` sets it."""
    contact = Contact()
    Work(contact=contact, section=STATIC_2 + f"pacing = {pacing}\n").run()
    slot = contact.slot(2)
    assert slot is not None
    assert slot.config & 0x0C == flags


@EVERY_MODEL
@pytest.mark.parametrize("section", [YUBICO, HOTP_2, STATIC_2, HMAC_2])
def test_the_serial_stays_visible(model: str, section: str) -> None:
    """Software reads the serial after every kind of write, by both ways."""
    contact = Contact(model)
    Work(contact=contact, section=section).run()
    number = 1 if section is YUBICO else 2
    slot = contact.slot(number)
    assert slot is not None
    both = Extended.SERIAL_API_VISIBLE | Extended.SERIAL_USB_VISIBLE
    assert slot.extended & both == both
    if number == 2:
        contact.session().delete_slot(SLOT.ONE)  # the factory's makes it visible too
    assert contact.session().get_serial() == contact.serial


@EVERY_MODEL
@pytest.mark.parametrize("section", [YUBICO, HOTP_2, STATIC_2, HMAC_2])
def test_the_access_code_in_escrow_removes_the_slot(model: str, section: str) -> None:
    """Without it nobody changes the slot; with it, it is deleted. The entry says it was proved."""
    contact = Contact(model)
    work = Work(contact=contact, section=section)
    number = 1 if section is YUBICO else 2
    found = work.run()[f"otp/{number}"].finding
    assert found.facts["accessCode"] == "proved"
    assert "access code" not in found.unread
    code = work.journal.secrets[f"otp/{number}/access-code"]
    for wrong in (None, CODE):
        with pytest.raises(CommandError):
            contact.session().delete_slot(SLOT(number), wrong)
    contact.session().delete_slot(SLOT(number), code)
    assert contact.slot(number) is None


def test_without_an_access_code_nothing_is_said_of_one() -> None:
    """A profile that wants none gets one write, no secret and no claim."""
    contact = Contact()
    work = Work(contact=contact, section=HOTP_2 + "access-code = false\n")
    found = work.run()["otp/2"].finding
    assert "accessCode" not in found.facts
    assert set(work.journal.secrets) == {"otp/2/seed"}
    assert contact.otp_writes == [0x03]
    contact.session().delete_slot(SLOT.TWO)


def with_code(code: bytes) -> Callable[[bytes], bytes]:
    """A token that takes a slot's configuration with that access code, whatever was sent."""

    def spoil(apdu: bytes) -> bytes:
        if apdu[1] != INS_OTP or apdu[2] not in (0x01, 0x03):
            return apdu
        start = 7 if apdu[4] == 0 else 5  # ISO/IEC 7816-4, 5.1: a long or a short length
        frame = apdu[start : start + 52]
        spoilt = with_crc(frame[:38] + code + frame[44:50])
        return apdu[:start] + spoilt + apdu[start + 52 :]

    return spoil


def test_a_token_that_forgets_the_access_code_is_not_issued() -> None:
    """One that takes the write and does not protect the slot is found out before its entry."""
    contact = Contact()
    contact.spoil = with_code(bytes(6))
    with pytest.raises(NotVerified, match="overwritten without its access code"):
        Work(contact=contact, section=HOTP_2).run()


def test_a_token_that_has_another_access_code_is_not_issued() -> None:
    """A slot that would be permanent, because nobody has its code, is found out."""
    contact = Contact()
    contact.spoil = with_code(CODE)
    with pytest.raises(AuthenticationFailed, match="access code that is not ours"):
        Work(contact=contact, section=HOTP_2).run()


@pytest.mark.parametrize("patch", [2, 3, 4, 5])
def test_no_access_code_is_set_by_an_update(patch: int) -> None:
    """Firmware 4.3.2 to 4.3.5 does not take one by an update: the slot is written, three times."""
    old = dataclasses.replace(MODELS["yubikey-4.3.7"], version=(4, 3, patch))
    contact = Contact(old)
    work = Work(contact=contact, section=YUBICO + HMAC_2)
    outcomes = work.run()
    assert {one.finding.facts["accessCode"] for one in outcomes.values()} == {"proved"}
    assert contact.otp_writes == [0x01] * 3 + [0x03] * 3
    assert not UPDATES & set(contact.otp_writes)


@EVERY_MODEL
def test_swap_frees_slot_1_and_loses_nothing(model: str) -> None:
    """The factory's credential is in slot 2 as it was; slot 1 types ours, and the entry says so."""
    contact = Contact(model)
    factory = contact.slot(1)
    work = Work(contact=contact, section='[otp]\nswap = true\n[otp.slot1]\nkind = "yubico-otp"\n')
    outcomes = work.run()
    assert list(outcomes) == ["otp/swap", "otp/1"]
    assert contact.slot(2) == factory
    assert outcomes["otp/swap"].finding.facts == {"slot2": "factory credential"}
    typed = contact.applet.type_slot(1)
    assert typed.startswith(str(outcomes["otp/1"].finding.facts["publicId"]))
    contact.otp_writes.clear()
    assert work.run()["otp/swap"].finding.state is State.MATCH
    assert 0x06 not in contact.otp_writes  # a second run does not swap back
    assert contact.slot(2) == factory


def test_swap_alone_frees_slot_1() -> None:
    """Without a slot in the profile only the factory's credential moves."""
    contact = Contact()
    factory = contact.slot(1)
    Work(contact=contact, section="[otp]\nswap = true\n").run()
    assert (contact.slot(1), contact.slot(2)) == (None, factory)


def test_nothing_to_swap_is_said() -> None:
    """On a token whose slots are both empty the swap is skipped, and slot 1 is written."""
    contact = Contact()
    contact.session().delete_slot(SLOT.ONE)
    work = Work(contact=contact, section='[otp]\nswap = true\n[otp.slot1]\nkind = "hotp"\n')
    outcomes = work.run()
    swap = outcomes["otp/swap"].finding
    assert (swap.state, swap.reason) == (State.SKIPPED, "both slots are empty: nothing to swap")
    assert outcomes["otp/1"].finding.state is State.MATCH
    assert contact.slot(2) is None


@EVERY_MODEL
@pytest.mark.parametrize("other", ["", HMAC_2, "[otp.slot2]\ndelete = true\n"])
def test_delete_empties_a_slot(model: str, other: str) -> None:
    """The factory's credential goes where the profile says so, whatever slot 2 has."""
    contact = Contact(model)
    work = Work(contact=contact, section="[otp.slot1]\ndelete = true\n" + other)
    outcomes = work.run()
    assert outcomes["otp/1"].finding.facts == {"configured": False}
    assert {one.finding.state for one in outcomes.values()} == {State.MATCH}
    assert contact.slot(1) is None
    assert (contact.slot(2) is not None) is (other == HMAC_2)


@EVERY_MODEL
def test_the_factory_slot_is_kept_unless_told(model: str) -> None:
    """Without `replace-factory` nothing is written, and the entry says why."""
    contact = Contact(model)
    factory = contact.slot(1)
    work = Work(contact=contact, section='[otp.slot1]\nkind = "hotp"\n')
    found = work.run()["otp/1"].finding
    assert (found.state, contact.otp_writes) == (State.SKIPPED, [])
    assert contact.slot(1) == factory


NDEF = '[otp.ndef]\nslot = 1\nuri = "https://otp.example.test/#"\n'


@pytest.mark.parametrize("model", MODEL_NAMES[:-1])
def test_ndef_is_set_behind_the_access_code(model: str) -> None:
    """The record of the slot is the URI in the form of NFC Forum RTD URI 1.0: 4 is https://."""
    contact = Contact(model)
    found = Work(contact=contact, section=YUBICO + NDEF).run()["otp/ndef"].finding
    assert found.facts == {"slot": 1, "uri": "https://otp.example.test/#"}
    record = bytes.fromhex(contact.applet.dump()["ndef"][0])
    assert record[1:2] == b"U"
    assert record[2 : 2 + record[0]] == b"\x04otp.example.test/#"


def test_ndef_gives_text_with_a_kept_slot() -> None:
    """The factory's credential has no access code; the text is in English as the library has it."""
    contact = Contact()
    Work(contact=contact, section='[otp.ndef]\ntext = "code: "\n').run()
    record = bytes.fromhex(contact.applet.dump()["ndef"][0])
    assert record[1 : 2 + record[0]] == b"T\x02encode: "


def test_ndef_without_a_slot_is_skipped() -> None:
    """On a token whose slot 1 is empty there is no code to give."""
    contact = Contact()
    contact.session().delete_slot(SLOT.ONE)
    found = Work(contact=contact, section=NDEF).run()["otp/ndef"].finding
    assert (found.state, found.reason) == (State.SKIPPED, "OTP slot 1 is empty")


def test_ndef_needs_firmware_5() -> None:
    """A YubiKey 4 has no NFC: the profile is refused before the token is touched."""
    work = Work(contact=Contact("yubikey-4.3.7"), section=NDEF)
    with pytest.raises(ProfileError, match=r"otp\.ndef.*needs firmware 5\.0"):
        work.run()
    assert work.contact.otp_writes == []


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """A token that somebody used, and the words by which a profile is refused on it."""

    name: str
    slot: SLOT
    says: str
    challenge: bool = True
    code: bytes | None = None


USED = (
    Used(name="slot 2", slot=SLOT.TWO, says="OTP slot 2 holds a credential"),
    Used(name="slot 1 answers", slot=SLOT.ONE, says="OTP slot 1 holds a credential"),
    Used(
        name="slot 1 protected",
        slot=SLOT.ONE,
        challenge=False,
        code=CODE,
        says="an access code that is not ours",
    ),
)
ALL_KINDS = (
    YUBICO,
    HOTP_2,
    "[otp.slot1]\ndelete = true\n",
    "[otp]\nswap = true\n",
)


@pytest.mark.parametrize("section", ALL_KINDS)
@pytest.mark.parametrize("used", USED, ids=lambda used: used.name)
def test_what_somebody_set_is_not_overwritten(used: Used, section: str) -> None:
    """Refused with the reason, and both slots are as they were."""
    contact = Contact()
    key = HmacSha1SlotConfiguration(bytes(20))
    otp = YubiOtpSlotConfiguration(b"\xff", bytes(6), bytes(16))
    contact.session().put_configuration(used.slot, key if used.challenge else otp, used.code)
    before = (contact.slot(1), contact.slot(2))
    work = Work(contact=contact, section=section)
    if section is HOTP_2 and not used.challenge:  # slot 1 is not touched by it
        assert work.run()["otp/2"].finding.state is State.MATCH
        assert contact.slot(1) == before[0]
        return
    with pytest.raises((TokenConflict, AuthenticationFailed)) as refused:
        work.run()
    assert used.says in str(refused.value)
    assert (contact.slot(1), contact.slot(2)) == before


def test_a_given_public_id_is_typed() -> None:
    """A literal of modhex is typed as the server knows it, up to 32 letters."""
    given = modhex_encode(bytes(range(16)))
    contact = Contact()
    found = Work(contact=contact, section=YUBICO + f'public-id = "{given}"\n').run()["otp/1"]
    assert found.finding.facts["publicId"] == given
    assert contact.applet.type_slot(1).startswith(given)
