"""Data objects of the virtual PIV application, firmware differences, a card of another maker."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from yubikit.core import Tlv
from yubikit.core.smartcard import SW, ApduError
from yubikit.piv import KEY_TYPE, OBJECT_ID, SLOT, Chuid, FascN

from tests.piv_contact import SERIAL, Contact
from tokenprov.sim.applets.piv_objects import fasc_n

PROTECTED = (OBJECT_ID.FINGERPRINTS, OBJECT_ID.FACIAL, OBJECT_ID.PRINTED, OBJECT_ID.IRIS)


def get(object_id: int) -> bytes:
    """The data of GET DATA."""
    encoded = object_id.to_bytes((object_id.bit_length() + 7) // 8)
    return bytes([0x5C, len(encoded)]) + encoded


def test_fresh_yubikey_answers() -> None:
    """SELECT and the discovery object are as documented; CHUID, CCC and certificates are absent."""
    contact = Contact()
    assert contact.select().hex() == "61114f0600001000010079074f05a000000308"
    discovery = contact.ok(bytes.fromhex("00cb3fff035c017e00"))
    assert discovery.hex() == "7e124f0ba0000003080000100001005f2f024000"
    for object_id in OBJECT_ID:
        if object_id not in (OBJECT_ID.DISCOVERY, OBJECT_ID.ATTESTATION):
            assert contact.sw("00cb3fff", get(object_id)) == SW.FILE_NOT_FOUND
    assert contact.sw("00cb3fff", bytes.fromhex("5c027f61")) == SW.FILE_NOT_FOUND


def test_objects_come_back_and_go() -> None:
    """What is written is read, in an undefined place too; written empty, it is gone."""
    session = Contact().authenticated()
    for object_id in (0x5FC102, 0x5F0000, 0x5FFFFF, 0x5FFF00):
        session.put_object(object_id, b"content %d" % object_id)
        assert session.get_object(object_id) == b"content %d" % object_id
        session.put_object(object_id, None)
        with pytest.raises(ApduError) as refusal:
            session.get_object(object_id)
        assert refusal.value.sw == SW.FILE_NOT_FOUND
    with pytest.raises(ApduError) as refusal:
        session.put_object(0x600000, b"outside")
    assert refusal.value.sw == SW.FUNCTION_NOT_SUPPORTED


@pytest.mark.parametrize("object_id", PROTECTED)
def test_protected_objects_want_the_pin(object_id: OBJECT_ID) -> None:
    """Printed information and biometrics are read with the PIN only; their absence shows anyway."""
    contact = Contact()
    session = contact.authenticated()
    session.put_object(object_id, b"private")
    assert session.get_object(object_id) == b"private"
    contact.token.reset()
    contact.select()
    assert contact.sw("00cb3fff", get(object_id)) == SW.SECURITY_CONDITION_NOT_SATISFIED
    fresh = Contact()
    fresh.select()
    assert fresh.sw("00cb3fff", get(object_id)) == SW.FILE_NOT_FOUND
    card = Contact("piv-card")
    card.select()
    assert card.sw("00cb3fff", get(object_id)) == SW.SECURITY_CONDITION_NOT_SATISFIED


def test_size_of_one_object() -> None:
    """A certificate of 3,052 bytes in its container fits, one byte more does not."""
    contact = Contact()
    session = contact.authenticated()
    for size, expected in ((3052 + 9, SW.OK), (3052 + 10, SW.NO_SPACE)):
        data = bytes.fromhex("5c035fc105") + Tlv(0x53, bytes(size))
        blocks = [data[place : place + 255] for place in range(0, len(data), 255)]
        for block in blocks[:-1]:
            assert contact.sw("10db3fff", block) == SW.OK
        assert contact.sw("00db3fff", blocks[-1]) == expected
    assert session.get_object(0x5FC105) == bytes(3052 + 9)


@pytest.mark.parametrize(
    ("model", "size"),
    [("yubikey-5.7.4", 2084), ("yubikey-5.4.3-fips", 2079), ("yubikey-4.3.7", 2075)],
)
def test_room_for_all_objects(model: str, size: int) -> None:
    """24 certificates of the documented size fill the token; one byte more is 6A84."""
    session = Contact(model).authenticated()
    slots = [slot for slot in SLOT if slot != SLOT.ATTESTATION]
    for slot in slots:
        session.put_object(OBJECT_ID.from_slot(slot), bytes(size + 9))
    with pytest.raises(ApduError) as refusal:
        session.put_object(OBJECT_ID.AUTHENTICATION, bytes(size + 10))
    assert refusal.value.sw == SW.NO_SPACE
    with pytest.raises(ApduError) as refusal:
        session.put_object(OBJECT_ID.CHUID, b"x")
    assert refusal.value.sw == SW.NO_SPACE
    session.put_object(OBJECT_ID.AUTHENTICATION, None)
    session.put_object(OBJECT_ID.CHUID, b"x")


@pytest.mark.parametrize(
    ("model", "serial", "metadata", "move"),
    [
        ("yubikey-4.3.7", False, False, False),
        ("yubikey-5.2.7", True, False, False),
        ("yubikey-5.4.3", True, True, False),
        ("yubikey-5.7.4", True, True, True),
    ],
)
def test_commands_by_firmware(model: str, serial: bool, metadata: bool, move: bool) -> None:
    """Each firmware has the maker's commands of its time, and 6D00 for later ones."""
    contact = Contact(model)
    contact.select()
    assert contact.ok(bytes.fromhex("00fd000000")) == bytes(contact.model.version)
    for head, there in (("00f80000", serial), ("00f70080", metadata), ("00f6829a", move)):
        assert (contact.sw(head) != SW.INVALID_INSTRUCTION) is there, head
    if serial:
        assert contact.ok(bytes.fromhex("00f8000000")) == SERIAL.to_bytes(4)


def test_biometric_commands_without_a_reader() -> None:
    """A key without a fingerprint reader says that there is no such reference data."""
    contact = Contact()
    contact.select()
    assert contact.sw("00200096") == SW.REFERENCE_DATA_NOT_FOUND
    assert contact.sw("00200096", b"\x03\x00") == SW.REFERENCE_DATA_NOT_FOUND
    assert contact.sw("00f70096") == SW.REFERENCE_DATA_NOT_FOUND


def test_unknown_commands() -> None:
    """Instructions of no PIV are 6D00, wrong parameters 6A86, a tag list that is none 6A80."""
    contact = Contact()
    contact.select()
    assert contact.sw("00b00000") == SW.INVALID_INSTRUCTION
    assert contact.sw("00cb3ffe", get(0x5FC102)) == 0x6A86
    assert contact.sw("00cb3fff", b"\x5c\x04\x5f\xc1\x02\x00") == SW.INCORRECT_PARAMETERS
    assert contact.sw("00cb3fff", b"\x5c\x03\x5f\xc1") == SW.INCORRECT_PARAMETERS


def test_fasc_n_is_read_by_another_decoder() -> None:
    """Yubikit reads the fields of our FASC-N, and writes the same bytes from them."""
    encoded = fasc_n(123456, 1234567890)
    decoded = FascN.from_bytes(encoded)
    assert str(decoded) == "[9999-9999-123456-0-1-1234567890199991]"
    assert bytes(decoded) == encoded


def test_card_of_another_maker() -> None:
    """It has a CHUID and the standard's commands, an AES-128 key, and nothing of the maker's."""
    contact = Contact("piv-card")
    assert b"Personal Identity Verification" in contact.select()
    chuid = contact.ok(bytes.fromhex("00cb3fff055c035fc10200"))
    assert chuid[0] == 0x53
    assert Chuid.from_bytes(chuid[2:]).fasc_n.agency_code == 9999
    for ins in (0xF6, 0xF7, 0xF8, 0xF9, 0xFA, 0xFB, 0xFD, 0xFE, 0xFF):
        assert contact.sw(f"00{ins:02x}0000") == SW.INVALID_INSTRUCTION
    authenticate_card(contact)
    assert contact.sw("0047009c", bytes.fromhex("ac03800111")) == SW.OK
    assert contact.sw("00470082", bytes.fromhex("ac03800111")) == 0x6A86  # retired: not on the card
    assert contact.sw("0047009a", bytes.fromhex("ac03800106")) == SW.INCORRECT_PARAMETERS
    with_policy = bytes.fromhex("ac06800111aa0102")
    assert contact.sw("0047009a", with_policy) == SW.INCORRECT_PARAMETERS
    assert contact.sw("0087079c", bytes.fromhex("7c048200") + b"\x81\x00") == 0x6A86


def test_other_makers_sign_right_after_the_pin_only() -> None:
    """With "always" a standard card refuses when another command came between PIN and signature."""
    contact = Contact("piv-card")
    contact.select()
    authenticate_card(contact)
    contact.ok(bytes.fromhex("0047009c05ac0380011100"))
    pin, sign = b"123456\xff\xff", bytes.fromhex("7c2482008120") + bytes(32)
    assert contact.sw("00200080", pin) == SW.OK
    assert contact.sw("00cb3fff", get(0x5FC102)) == SW.OK
    assert contact.sw("0087119c", sign) == SW.SECURITY_CONDITION_NOT_SATISFIED
    assert contact.sw("00200080", pin) == SW.OK
    assert contact.sw("0087119c", sign) == SW.OK


def authenticate_card(contact: Contact) -> None:
    """Single authentication with the AES-128 key that such cards come with."""
    challenge = contact.ok(bytes.fromhex("0087089b047c02810000"))[4:]
    cipher = Cipher(AES(bytes.fromhex("0102030405060708" * 2)), modes.ECB())
    answer = bytes.fromhex("7c128210") + cipher.encryptor().update(challenge)
    assert contact.sw("0087089b", answer) == SW.OK


def test_state_survives_a_drawer() -> None:
    """What lasts goes through JSON into another token: keys, objects, PIN tries, attestation."""
    first = Contact()
    session = first.authenticated()
    session.change_pin("123456", "7531864")
    kinds = [kind for kind in KEY_TYPE if kind not in (KEY_TYPE.RSA3072, KEY_TYPE.RSA4096)]
    keys = {
        slot: session.generate_key(slot, kind)
        for slot, kind in zip(list(SLOT)[: len(kinds)], kinds, strict=True)
    }
    session.put_object(0x5FC102, b"chuid")
    f9 = session.get_certificate(SLOT.ATTESTATION)
    first.sw("00200080", b"000000\xff\xff")
    second = Contact()
    second.token.load(json.loads(json.dumps(first.saved[-1])))
    session = second.session()
    assert session.get_pin_metadata().attempts_remaining == 2
    session.verify_pin("7531864")
    assert session.get_object(0x5FC102) == b"chuid"
    assert session.get_certificate(SLOT.ATTESTATION) == f9
    for slot, key in keys.items():
        assert session.attest_key(slot).public_key() == key
    assert second.token.dump() == json.loads(json.dumps(second.token.dump()))
