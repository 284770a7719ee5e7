"""PIN, PUK and management key of the virtual PIV application."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher as BlockCipher
from cryptography.hazmat.primitives.ciphers import modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from yubikit.core import BadResponseError, InvalidPinError
from yubikit.core.smartcard import SW, ApduError
from yubikit.piv import KEY_TYPE, MANAGEMENT_KEY_TYPE, SLOT, TOUCH_POLICY

from tests.piv_contact import PIN, PUK, Contact
from tokenprov.sim.applets.piv_management_key import ManagementKey
from tokenprov.sim.applets.piv_reference_data import ReferenceData
from tokenprov.sim.applets.piv_wire import Cipher

DEFAULT_KEY = bytes.fromhex("0102030405060708" * 3)
VERIFY, WRONG = "00200080", b"000000\xff\xff"


def test_empty_verify_tells_the_tries_left() -> None:
    """Without data VERIFY answers 63Cx, 9000 once verified, and 63Cx again after P1=FF."""
    contact = Contact()
    contact.select()
    assert contact.sw(VERIFY) == 0x63C3
    assert contact.sw(VERIFY, WRONG) == 0x63C2
    assert contact.sw(VERIFY) == 0x63C2
    assert contact.sw(VERIFY, b"123456\xff\xff") == 0x9000
    assert contact.sw(VERIFY) == 0x9000
    assert contact.sw("0020ff80") == 0x9000
    assert contact.sw(VERIFY) == 0x63C3


def test_blocking_and_unblocking() -> None:
    """Three wrong PINs block, even for the right one; the PUK gives a new one."""
    contact = Contact()
    session = contact.session()
    for left in (2, 1, 0):
        with pytest.raises(InvalidPinError) as error:
            session.verify_pin("000000")
        assert error.value.attempts_remaining == left
    assert contact.sw(VERIFY, b"123456\xff\xff") == SW.AUTH_METHOD_BLOCKED
    with pytest.raises(InvalidPinError) as error:
        session.unblock_pin("00000000", "654321")
    assert error.value.attempts_remaining == 2
    session.unblock_pin(PUK, "765432")
    session.verify_pin("765432")
    assert session.get_puk_metadata().attempts_remaining == 3


def test_a_wrong_try_is_on_file_before_it_is_answered() -> None:
    """The spent try is part of what the token stores, so that a pull does not give it back."""
    contact = Contact()
    contact.select()
    contact.sw(VERIFY, WRONG)
    assert contact.saved[-1]["applets"]["piv"]["pin"]["left"] == 2


def test_changes_and_default_flags() -> None:
    """A changed PIN and PUK are no default any more, and the old values are wrong."""
    session = Contact().session()
    assert session.get_pin_metadata().default_value
    session.change_pin(PIN, "1357924")
    session.change_puk(PUK, "98765432")
    assert not session.get_pin_metadata().default_value
    assert not session.get_puk_metadata().default_value
    session.verify_pin("1357924")
    with pytest.raises(InvalidPinError):
        session.change_puk(PUK, "11112222")


@pytest.mark.parametrize(
    ("model", "new", "expected"),
    [
        ("yubikey-5.4.3", b"12345\xff\xff\xff", SW.INCORRECT_PARAMETERS),
        ("yubikey-5.4.3", b"\x80\x81\x82\x83\x84\x85\xff\xff", SW.OK),  # any bytes
        ("yubikey-5.7.4", b"\x80\x81\x82\x83\x84\x85\xff\xff", SW.INCORRECT_PARAMETERS),
        ("yubikey-5.7.4", "äöüß".encode(), SW.INCORRECT_PARAMETERS),  # four characters
        ("yubikey-5.7.4", b"11111111", SW.OK),  # no complexity on this model
        ("yubikey-5.7.4-fips", b"11111111", SW.CONDITIONS_NOT_SATISFIED),
        ("yubikey-5.7.4-fips", b"password", SW.CONDITIONS_NOT_SATISFIED),
        ("yubikey-5.7.4-fips", b"135792\xff\xff", SW.INCORRECT_PARAMETERS),  # eight at least
        ("yubikey-5.7.4-fips", b"13579246", SW.OK),
        ("piv-card", b"13579a\xff\xff", SW.INCORRECT_PARAMETERS),  # digits only
        ("piv-card", b"13579246", SW.OK),
    ],
)
def test_new_pins(model: str, new: bytes, expected: SW) -> None:
    """A new PIN is taken or refused by the model's rules."""
    contact = Contact(model)
    contact.select()
    assert contact.sw("00240080", b"123456\xff\xff" + new) == expected
    assert (contact.sw(VERIFY, new) == SW.OK) is (expected == SW.OK)


def test_malformed_pin_costs_a_try_on_a_yubikey_only() -> None:
    """A PIN that is no PIN is 6A80 on a standard card and a wrong one on a YubiKey."""
    for model, expected, left in (("piv-card", 0x6A80, 0x63C3), ("yubikey-5.7.4", 0x63C2, 0x63C2)):
        contact = Contact(model)
        contact.select()
        assert contact.sw(VERIFY, b"\xff" * 8) == expected
        assert contact.sw(VERIFY) == left


def test_retries_reset_both_values() -> None:
    """Setting tries needs management key and PIN, and brings both default values back."""
    contact = Contact()
    session = contact.session()
    session.change_pin(PIN, "1357924")
    session.authenticate(DEFAULT_KEY)
    with pytest.raises(ApduError) as refusal:
        session.set_pin_attempts(5, 8)
    assert refusal.value.sw == SW.SECURITY_CONDITION_NOT_SATISFIED
    session.verify_pin("1357924")
    session.set_pin_attempts(5, 200)
    assert session.get_pin_metadata().default_value
    assert session.get_pin_metadata().total_attempts == 5
    assert session.get_puk_metadata().attempts_remaining == 200
    assert contact.sw("002c0080", bytes(8) + b"123456\xff\xff") == 0x63CF  # 15 is all it can say


@pytest.mark.parametrize("model", ["yubikey-4.3.7", "yubikey-5.2.7", "yubikey-5.7.4"])
def test_reset_needs_both_blocked_and_keeps_f9(model: str) -> None:
    """RESET is 6985 until PIN and PUK are blocked; then all is as new but the attestation."""
    contact = Contact(model)
    session = contact.authenticated()
    session.generate_key(SLOT.AUTHENTICATION, KEY_TYPE.ECCP256)
    session.put_object(0x5FC102, b"chuid")
    session.set_management_key(MANAGEMENT_KEY_TYPE.TDES, bytes(range(24)))
    before = session.get_certificate(SLOT.ATTESTATION)
    assert contact.sw("00fb0000") == SW.CONDITIONS_NOT_SATISFIED
    session.reset()
    contact.authenticated()
    assert contact.sw("00cb3fff", bytes.fromhex("5c035fc102")) == SW.FILE_NOT_FOUND
    assert session.get_certificate(SLOT.ATTESTATION) == before
    with pytest.raises(ApduError):
        session.attest_key(SLOT.AUTHENTICATION)


@pytest.mark.parametrize("kind", list(MANAGEMENT_KEY_TYPE))
def test_management_keys(kind: MANAGEMENT_KEY_TYPE) -> None:
    """Each algorithm of management key can be set, is reported, and alone lets its owner in."""
    contact = Contact()
    session = contact.authenticated()
    key = bytes(range(0x40, 0x40 + kind.key_len))
    session.set_management_key(kind, key)
    session = contact.session()
    metadata = session.get_management_key_metadata()
    assert (metadata.key_type, metadata.default_value) == (kind, False)
    with pytest.raises(ApduError) as refusal:
        session.authenticate(key[::-1])
    assert refusal.value.sw == SW.SECURITY_CONDITION_NOT_SATISFIED
    session.authenticate(key)
    session.put_object(0x5FC102, b"written")


@pytest.mark.parametrize(
    ("model", "kind", "aes"),
    [
        ("yubikey-4.3.7", MANAGEMENT_KEY_TYPE.TDES, False),
        ("yubikey-5.2.7", MANAGEMENT_KEY_TYPE.TDES, False),
        ("yubikey-5.4.3", MANAGEMENT_KEY_TYPE.TDES, True),
        ("yubikey-5.7.4", MANAGEMENT_KEY_TYPE.AES192, True),
    ],
)
def test_default_management_key(model: str, kind: MANAGEMENT_KEY_TYPE, aes: bool) -> None:
    """3DES is the default before 5.7, AES-192 from it; AES at all from 5.4."""
    contact = Contact(model)
    session = contact.authenticated()
    assert session.management_key_type == kind
    data = b"\x08\x9b\x10" + bytes(range(16))
    assert contact.sw("00ffffff", data) == (SW.OK if aes else SW.INCORRECT_PARAMETERS)


def test_single_authentication_and_its_challenge_serves_once() -> None:
    """A challenge answered with the encrypted block opens the card; again, it does not."""
    contact = Contact()
    contact.select()
    ask = bytes.fromhex("00870a9b047c028100")
    challenge = contact.ok(ask)[4:]
    encryptor = BlockCipher(AES(DEFAULT_KEY), modes.ECB()).encryptor()
    answer = bytes.fromhex("7c128210") + encryptor.update(challenge)
    assert contact.sw("00870a9b", answer) == SW.OK
    assert contact.sw("00db3fff", bytes.fromhex("5c035fc1025301aa")) == SW.OK
    assert contact.sw("00870a9b", answer) == SW.INCORRECT_PARAMETERS
    assert contact.sw("00db3fff", bytes.fromhex("5c035fc1025301aa")) == 0x6982


def test_the_card_proves_itself_in_mutual_authentication() -> None:
    """A host notices a card that does not have the key: its answer is checked by the library."""
    contact = Contact()
    session = contact.session()
    session.authenticate(DEFAULT_KEY)
    original = contact.send_and_receive

    def swapped(apdu: bytes) -> tuple[bytes, int]:
        data, sw = original(apdu)
        return (data[:-1] + bytes([data[-1] ^ 1]), sw) if data[2:3] == b"\x82" else (data, sw)

    contact.send_and_receive = swapped  # type: ignore[method-assign]  # this one answer is altered
    with pytest.raises(BadResponseError):
        session.authenticate(DEFAULT_KEY)


def test_wrong_algorithm_of_management_key() -> None:
    """Asking with another algorithm than the key's is refused."""
    contact = Contact()
    contact.select()
    assert contact.sw("0087039b", bytes.fromhex("7c028000")) == SW.INCORRECT_PARAMETERS


def test_management_key_with_touch() -> None:
    """With touch, authentication waits for it, and fails without."""
    contact = Contact()
    session = contact.authenticated()
    session.set_management_key(MANAGEMENT_KEY_TYPE.AES192, DEFAULT_KEY, require_touch=True)
    assert session.get_management_key_metadata().touch_policy == TOUCH_POLICY.ALWAYS
    session.authenticate(DEFAULT_KEY)
    assert contact.touched == 1
    contact.touches = [False]
    with pytest.raises(ApduError) as refusal:
        session.authenticate(DEFAULT_KEY)
    assert refusal.value.sw == SW.SECURITY_CONDITION_NOT_SATISFIED
    assert contact.sw("00db3fff", bytes.fromhex("5c035fc1025301aa")) == 0x6982


def test_what_needs_the_management_key() -> None:
    """Everything that changes keys or objects is 6982 without the management key."""
    contact = Contact()
    contact.select()
    assert contact.sw(VERIFY, b"123456\xff\xff") == SW.OK
    table = [
        ("0047009a", bytes.fromhex("ac03800111")),
        ("00db3fff", bytes.fromhex("5c035fc1025301aa")),
        ("00fe119a", b"\x06\x20" + bytes(31) + b"\x01"),
        ("00ffffff", b"\x0a\x9b\x18" + bytes(24)),
        ("00fa0505", b""),
        ("00f6829a", b""),
    ]
    for head, data in table:
        assert contact.sw(head, data) == SW.SECURITY_CONDITION_NOT_SATISFIED, head


def test_fips_wants_changed_values_first() -> None:
    """On a 5.7 FIPS key no key is made while PIN, PUK or management key are the factory's."""
    contact = Contact("yubikey-5.7.4-fips")
    session = contact.authenticated()
    generate = ("0047009a", bytes.fromhex("ac03800111"))
    assert contact.sw(*generate) == SW.CONDITIONS_NOT_SATISFIED
    session.change_pin(PIN, "13579246")
    session.change_puk(PUK, "24681357")
    session.set_management_key(MANAGEMENT_KEY_TYPE.AES256, bytes(range(32)))
    assert contact.applet.fips_approved
    assert contact.sw(*generate) == SW.OK
    assert contact.sw("0047009a", bytes.fromhex("ac03800106")) == SW.INCORRECT_PARAMETERS  # RSA1024
    assert contact.sw("0047009a", bytes.fromhex("ac038001e1")) == SW.INCORRECT_PARAMETERS  # X25519
    never = bytes.fromhex("ac06800111aa0101")
    assert contact.sw("0047009a", never) == SW.INCORRECT_PARAMETERS
    tdes = b"\x03\x9b\x18" + bytes(range(24))
    assert contact.sw("00ffffff", tdes) == SW.INCORRECT_PARAMETERS
    session.verify_pin("13579246")
    assert contact.sw("00fa0505") == SW.CONDITIONS_NOT_SATISFIED


def test_secrets_are_not_printed() -> None:
    """Neither a PIN nor a management key shows in a representation."""
    pin = ReferenceData(value=b"7531864\xff", default=b"123456\xff\xff")
    key = ManagementKey(cipher=Cipher.AES128, key=b"sixteen  secrets")
    assert "7531864" not in repr(pin)
    assert "secrets" not in repr(key)
