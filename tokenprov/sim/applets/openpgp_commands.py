"""The commands of an OpenPGP card on data objects and keys (OPGP 7.2), and the maker's.

Each handler takes the whole command and gives the data of the answer, or raises `Refusal`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tokenprov.sim.apdu import SW, Command, Refusal
from tokenprov.sim.applets import openpgp_access as access
from tokenprov.sim.applets import openpgp_objects as objects
from tokenprov.sim.applets.openpgp_attest import Attested, statement
from tokenprov.sim.applets.openpgp_card import CERTIFICATE_SLOTS, OpenPgpCard
from tokenprov.sim.applets.openpgp_keys import OpenPgpKey, generate, import_key
from tokenprov.sim.applets.openpgp_wire import (
    Instruction,
    Origin,
    Reference,
    Slot,
    Tag,
    read_private_parts,
    read_slot,
)
from tokenprov.sim.applets.piv_wire import read_template, read_tlvs, tlv

Handler = Callable[[OpenPgpCard, Command], bytes]

COMPUTE_SIGNATURE, DECIPHER = (0x9E, 0x9A), (0x80, 0x86)  # P1 and P2 of PSO (7.2.10, 7.2.11)
GENERATE, READ = 0x80, 0x81  # P1 of GENERATE ASYMMETRIC KEY PAIR (7.2.14)
IMPORT_P1P2 = (0x3F, 0xFF)
SELECT_DATA_P2 = 0x04  # 7.2.5
PADDING_RSA = b"\x00"  # padding indicator byte (7.2.11)
_SELECTED_TAG = tlv(Tag.TAG_LIST, Tag.CERTIFICATE.to_bytes(2))


def get_data(card: OpenPgpCard, command: Command) -> bytes:
    """GET DATA (7.2.6)."""
    return objects.read(card, command.p1 << 8 | command.p2)


def get_next_data(card: OpenPgpCard, command: Command) -> bytes:
    """GET NEXT DATA (7.2.7): the next certificate; 6A80 after the last one."""
    if command.p1 << 8 | command.p2 != Tag.CERTIFICATE:
        raise Refusal(SW.WRONG_PARAMETERS)
    if card.certificate_number + 1 >= len(CERTIFICATE_SLOTS):
        raise Refusal(SW.INCORRECT_PARAMETERS)
    card.certificate_number += 1
    return objects.read(card, Tag.CERTIFICATE)


def select_data(card: OpenPgpCard, command: Command) -> bytes:
    """SELECT DATA (7.2.5): which of the certificates DO 7F21 means; P1 counts from AUT on."""
    if command.p2 != SELECT_DATA_P2:
        raise Refusal(SW.WRONG_PARAMETERS)
    data = command.data
    if card.features.length_byte:
        if not data or data[0] != len(data) - 1:
            raise Refusal(SW.INCORRECT_PARAMETERS)
        data = data[1:]
    if data != tlv(Tag.GENERAL_REFERENCE, _SELECTED_TAG):
        raise Refusal(SW.INCORRECT_PARAMETERS)
    if command.p1 >= len(CERTIFICATE_SLOTS):
        raise Refusal(SW.REFERENCE_NOT_FOUND)
    card.certificate_number = command.p1
    return b""


def put_data(card: OpenPgpCard, command: Command) -> bytes:
    """PUT DATA (7.2.8)."""
    objects.write(card, command.p1 << 8 | command.p2, command.data)
    return b""


def import_private_key(card: OpenPgpCard, command: Command) -> bytes:
    """PUT DATA of an extended header list (7.2.8 and 4.4.3.12): a private key from outside."""
    if (command.p1, command.p2) != IMPORT_P1P2:
        raise Refusal(SW.WRONG_PARAMETERS)
    card.require(Reference.ADMIN)
    slot, parts = read_private_parts(command.data)
    _check_key_wanted(card, slot)
    card.body.spend("write")
    private = import_key(card.slot(slot).attributes, parts)
    card.set_key(slot, OpenPgpKey(private=private, origin=Origin.IMPORTED))
    return b""


def generate_asymmetric_key_pair(card: OpenPgpCard, command: Command) -> bytes:
    """GENERATE ASYMMETRIC KEY PAIR (7.2.14): make a key, or read the public half of one."""
    if command.p1 not in (GENERATE, READ) or command.p2 != 0:
        raise Refusal(SW.WRONG_PARAMETERS)
    templates = list(read_tlvs(command.data))
    if len(templates) != 1:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    slot = read_slot(*templates[0])
    if command.p1 == GENERATE:
        card.require(Reference.ADMIN)
        _check_key_wanted(card, slot)
        attributes = card.slot(slot).attributes
        card.body.spend(f"generate-{attributes.name}")
        made = OpenPgpKey(private=generate(attributes), origin=Origin.GENERATED)
        card.set_key(slot, made)
        return made.public_template
    if slot not in card.features.slots:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    key = card.slot(slot).key
    if key is None:
        raise Refusal(SW.REFERENCE_NOT_FOUND)
    return key.public_template


def perform_security_operation(card: OpenPgpCard, command: Command) -> bytes:
    """PERFORM SECURITY OPERATION: sign (7.2.10) or decipher (7.2.11). There is no AES key."""
    operation = (command.p1, command.p2)
    if operation == COMPUTE_SIGNATURE:
        card.require(Reference.SIGN)
        key = _touched_key(card, Slot.SIG)
        signature = key.sign(command.data)
        card.count_signature()
        return signature
    if operation != DECIPHER:
        raise Refusal(SW.WRONG_PARAMETERS)
    card.require(Reference.USER)
    is_rsa = card.slot(Slot.DEC).attributes.curve is None
    if is_rsa:
        if card.features.fips:
            raise Refusal(SW.CONDITIONS_NOT_SATISFIED)  # decryption with PKCS#1 v1.5 padding
        if not command.data.startswith(PADDING_RSA):
            raise Refusal(SW.INCORRECT_PARAMETERS)
        return _touched_key(card, Slot.DEC).decrypt(command.data[1:])
    public = read_template(Tag.CIPHER, command.data).get(Tag.PUBLIC_KEY, b"")
    points = [value for tag, value in read_tlvs(public) if tag == Tag.POINT]
    if len(points) != 1:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    return _touched_key(card, Slot.DEC).agree(points[0])


def internal_authenticate(card: OpenPgpCard, command: Command) -> bytes:
    """INTERNAL AUTHENTICATE (7.2.13): sign with the authentication key."""
    if command.p1 or command.p2:
        raise Refusal(SW.WRONG_PARAMETERS)
    card.require(Reference.USER)
    return _touched_key(card, Slot.AUT).sign(command.data)


def get_challenge(card: OpenPgpCard, command: Command) -> bytes:
    """GET CHALLENGE (7.2.15): as many random bytes as are asked for."""
    if command.p1 or command.p2:
        raise Refusal(SW.WRONG_PARAMETERS)
    if command.le is None or command.le > card.features.challenge_maximum:
        raise Refusal(SW.WRONG_LENGTH)
    return card.body.random(command.le)


def get_version(card: OpenPgpCard, command: Command) -> bytes:
    """GET VERSION (maker): the firmware, a byte of two decimal digits each."""
    if command.p1 or command.p2:
        raise Refusal(SW.WRONG_PARAMETERS)
    return bytes(number // 10 << 4 | number % 10 for number in card.body.version)


def attest(card: OpenPgpCard, command: Command) -> bytes:
    """GET ATTESTATION (maker): puts a statement for the key in P1 where its certificate goes."""
    if command.p1 not in (Slot.SIG, Slot.DEC, Slot.AUT) or command.p2 != 0:
        raise Refusal(SW.WRONG_PARAMETERS)
    card.require(Reference.SIGN)
    slot = Slot(command.p1)
    place, attesting = card.slot(slot), card.slot(Slot.ATT)
    if place.key is None or attesting.key is None:
        raise Refusal(SW.REFERENCE_NOT_FOUND)
    if place.origin is not Origin.GENERATED:
        raise Refusal(SW.CONDITIONS_NOT_SATISFIED)
    card.require_touch(Slot.ATT)
    card.body.spend(attesting.attributes.name)
    attested = Attested(
        slot=slot,
        key=place.key,
        name=card.objects.get(Tag.NAME, b""),
        fingerprint=place.fingerprint,
        time=place.time,
        signature_counter=card.signature_counter,
        uif=place.uif,
    )
    place.certificate = statement(
        attested, attesting.key, attesting.certificate, card.body, card.model
    )
    card.body.save()
    return b""


def _touched_key(card: OpenPgpCard, slot: Slot) -> OpenPgpKey:
    key = card.usable_key(slot)
    card.require_touch(slot)
    card.body.spend(card.slot(slot).attributes.name)
    return key


def _check_key_wanted(card: OpenPgpCard, slot: Slot) -> None:
    if slot not in card.features.slots:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    if card.features.fips and not card.approved:
        raise Refusal(SW.CONDITIONS_NOT_SATISFIED)


HANDLERS: Mapping[Instruction, Handler] = {
    Instruction.VERIFY: access.verify,
    Instruction.CHANGE_REFERENCE_DATA: access.change_reference_data,
    Instruction.RESET_RETRY_COUNTER: access.reset_retry_counter,
    Instruction.SET_PIN_RETRIES: access.set_pin_retries,
    Instruction.TERMINATE_DF: access.terminate,
    Instruction.ACTIVATE_FILE: access.activate,
    Instruction.GET_DATA: get_data,
    Instruction.GET_NEXT_DATA: get_next_data,
    Instruction.SELECT_DATA: select_data,
    Instruction.PUT_DATA: put_data,
    Instruction.IMPORT_KEY: import_private_key,
    Instruction.GENERATE_ASYMMETRIC_KEY_PAIR: generate_asymmetric_key_pair,
    Instruction.PERFORM_SECURITY_OPERATION: perform_security_operation,
    Instruction.INTERNAL_AUTHENTICATE: internal_authenticate,
    Instruction.GET_CHALLENGE: get_challenge,
    Instruction.GET_VERSION: get_version,
    Instruction.ATTEST: attest,
}
