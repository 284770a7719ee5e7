"""The maker's own commands on a `PivCard` ("PIV extensions", developers.yubico.com/PIV).

A card of another maker has none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

from tokenprov.sim.apdu import SW, Command, Refusal
from tokenprov.sim.applets import piv_attest
from tokenprov.sim.applets.piv_card import PivCard
from tokenprov.sim.applets.piv_commands import (
    Handler,
    permitted_algorithm,
    policies,
    wrong_slot,
)
from tokenprov.sim.applets.piv_keys import PivKey, import_key
from tokenprov.sim.applets.piv_management_key import ManagementKey
from tokenprov.sim.applets.piv_objects import ObjectId
from tokenprov.sim.applets.piv_reference_data import ReferenceData
from tokenprov.sim.applets.piv_wire import (
    CIPHER_KEY_SIZE,
    NO_SLOT,
    USER_SLOTS,
    Cipher,
    Instruction,
    Origin,
    Reference,
    Slot,
    TouchPolicy,
    read_distinct,
    tlv,
)


class Metadata(IntEnum):
    """Tags of GET METADATA's answer."""

    ALGORITHM = 0x01
    POLICY = 0x02
    ORIGIN = 0x03
    PUBLIC_KEY = 0x04
    IS_DEFAULT = 0x05
    RETRIES = 0x06  # total, left


ALGORITHM_PIN = 0xFF  # metadata of PIN and PUK

# P2 of SET MANAGEMENT KEY
MANAGEMENT_TOUCH = {
    0xFF: TouchPolicy.NEVER,
    0xFE: TouchPolicy.ALWAYS,
    0xFD: TouchPolicy.CACHED,
}
SET_MANAGEMENT_KEY_P1 = 0xFF


def get_version(card: PivCard, command: Command) -> bytes:
    """GET VERSION: three bytes."""
    _check_p1p2(command)
    return bytes(card.body.version)


def get_serial(card: PivCard, command: Command) -> bytes:
    """GET SERIAL: four bytes, big-endian."""
    _check_p1p2(command)
    if card.body.serial is None:
        raise Refusal(SW.INVALID_INSTRUCTION)
    return card.body.serial.to_bytes(4)


def get_metadata(card: PivCard, command: Command) -> bytes:
    """GET METADATA: what is public about a key, the PIN, the PUK or the management key."""
    if command.p1 != 0x00:
        raise Refusal(SW.WRONG_P1P2)
    if command.p2 == Reference.PIN:
        return _reference_metadata(card.pin)
    if command.p2 == Reference.PUK:
        return _reference_metadata(card.puk)
    if command.p2 == Reference.MANAGEMENT_KEY:
        management = card.management_key
        return (
            tlv(Metadata.ALGORITHM, bytes([management.cipher]))
            + tlv(Metadata.POLICY, bytes([0, management.touch]))
            + tlv(Metadata.IS_DEFAULT, bytes([management.is_default]))
        )
    key = card.key(command.p2)
    if key is None:  # an empty slot, no slot, or a fingerprint that this token has no reader for
        raise Refusal(SW.REFERENCE_NOT_FOUND)
    return (
        tlv(Metadata.ALGORITHM, bytes([key.algorithm]))
        + tlv(Metadata.POLICY, bytes([key.pin_policy, key.touch_policy]))
        + tlv(Metadata.ORIGIN, bytes([key.origin]))
        + tlv(Metadata.PUBLIC_KEY, key.public_template)
    )


def set_management_key(card: PivCard, command: Command) -> bytes:
    """SET MANAGEMENT KEY: algorithm, reference, length, key; P2 is the touch policy."""
    touch = MANAGEMENT_TOUCH.get(command.p2)
    if command.p1 != SET_MANAGEMENT_KEY_P1 or touch is None:
        raise Refusal(SW.WRONG_P1P2)
    card.require_management()
    if touch is TouchPolicy.CACHED and not card.features.cached_touch:
        raise Refusal(SW.WRONG_P1P2)
    if len(command.data) < 3 or command.data[0] not in card.features.ciphers:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    cipher = Cipher(command.data[0])
    key = read_distinct(command.data[1:]).get(Reference.MANAGEMENT_KEY, b"")
    if len(key) != CIPHER_KEY_SIZE[cipher]:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    card.management_key = ManagementKey(cipher=cipher, key=key, touch=touch)
    card.body.save()
    return b""


def import_asymmetric_key(card: PivCard, command: Command) -> bytes:
    """IMPORT KEY: P1 is the algorithm, P2 the slot; private values and policies."""
    slot = command.p2
    card.require_management()
    algorithm = permitted_algorithm(card, slot, bytes([command.p1]))
    fields = read_distinct(command.data)
    pin_policy, touch_policy = policies(card, slot, fields)
    card.body.spend("write")
    key = PivKey(
        algorithm=algorithm,
        private=import_key(algorithm, fields),
        pin_policy=pin_policy,
        touch_policy=touch_policy,
        origin=Origin.IMPORTED,
    )
    card.set_key(slot, key)
    card.body.save()
    return b""


def attest(card: PivCard, command: Command) -> bytes:
    """ATTEST: a statement for the key in P1. Only generated keys have one."""
    if command.p2 != 0x00:
        raise Refusal(SW.WRONG_P1P2)
    slot = command.p1
    if slot not in USER_SLOTS:
        raise Refusal(wrong_slot(card))
    key = card.key(slot)
    attesting = card.key(Slot.ATTESTATION)
    content = card.object(ObjectId.ATTESTATION_CERTIFICATE)
    if key is None or attesting is None or content is None:
        raise Refusal(SW.REFERENCE_NOT_FOUND)
    if key.origin is not Origin.GENERATED:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    card.body.spend(attesting.algorithm.name.lower())
    return piv_attest.statement(key, slot, card.body, card.model, attesting, content)


def set_pin_retries(card: PivCard, command: Command) -> bytes:
    """SET PIN RETRIES: P1 for the PIN, P2 for the PUK. Both get their default values back."""
    card.require_management()
    if not card.pin_verified:
        raise Refusal(SW.SECURITY_NOT_SATISFIED)
    if not command.p1 or not command.p2:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    changed = not (card.pin.is_default and card.puk.is_default)
    if card.model.fips and card.body.version >= (5, 7, 0) and changed:
        raise Refusal(SW.CONDITIONS_NOT_SATISFIED)
    card.pin.restore(command.p1)
    card.puk.restore(command.p2)
    card.verified(False)
    card.body.save()
    return b""


def reset(card: PivCard, command: Command) -> bytes:
    """RESET: only when PIN and PUK are both blocked."""
    _check_p1p2(command)
    if not (card.pin.blocked and card.puk.blocked):
        raise Refusal(SW.CONDITIONS_NOT_SATISFIED)
    card.reset()
    return b""


def move_key(card: PivCard, command: Command) -> bytes:
    """MOVE KEY: P1 is where to (FF: nowhere, delete), P2 where from. The attestation key stays."""
    destination, source = command.p1, command.p2
    card.require_management()
    sources = USER_SLOTS | ({Slot.ATTESTATION} if destination == NO_SLOT else set())
    if source not in sources or (destination != NO_SLOT and destination not in USER_SLOTS):
        raise Refusal(wrong_slot(card))
    key = card.key(source)
    if key is None:
        raise Refusal(SW.REFERENCE_NOT_FOUND)
    if destination != NO_SLOT:
        if card.key(destination) is not None:
            raise Refusal(SW.INCORRECT_PARAMETERS)
        card.set_key(destination, key)
    card.set_key(source, None)
    card.body.save()
    return b""


VENDOR: Mapping[Instruction, Handler] = {
    Instruction.MOVE_KEY: move_key,
    Instruction.GET_METADATA: get_metadata,
    Instruction.GET_SERIAL: get_serial,
    Instruction.ATTEST: attest,
    Instruction.SET_PIN_RETRIES: set_pin_retries,
    Instruction.RESET: reset,
    Instruction.GET_VERSION: get_version,
    Instruction.IMPORT_KEY: import_asymmetric_key,
    Instruction.SET_MANAGEMENT_KEY: set_management_key,
}


def _reference_metadata(reference: ReferenceData) -> bytes:
    return (
        tlv(Metadata.ALGORITHM, bytes([ALGORITHM_PIN]))
        + tlv(Metadata.IS_DEFAULT, bytes([reference.is_default]))
        + tlv(Metadata.RETRIES, bytes([reference.tries, reference.left]))
    )


def _check_p1p2(command: Command) -> None:
    if command.p1 or command.p2:
        raise Refusal(SW.WRONG_P1P2)
