"""The card commands of SP 800-73-4 part 2, chapter 3, as handlers on a `PivCard`.

Each takes the whole command and gives the data of the answer, or raises `Refusal`. Where a
YubiKey answers otherwise than the standard says, `features.vendor` decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tokenprov.sim.apdu import SW, Command, Refusal
from tokenprov.sim.applets.piv_card import PivCard
from tokenprov.sim.applets.piv_keys import PivKey, generate
from tokenprov.sim.applets.piv_objects import PIN_PROTECTED, SELF_CONTAINED, container
from tokenprov.sim.applets.piv_reference_data import (
    SIZE,
    ReferenceData,
    check_new,
    check_presented,
)
from tokenprov.sim.applets.piv_wire import (
    CIPHER_TDES_ALIAS,
    RETIRED_SLOTS,
    STANDARD_SLOTS,
    USER_SLOTS,
    Algorithm,
    Cipher,
    Instruction,
    Origin,
    PinPolicy,
    Reference,
    Slot,
    Tag,
    TouchPolicy,
    read_template,
    read_tlvs,
    tlv,
)

Handler = Callable[[PivCard, Command], bytes]

RESET_STATUS = 0xFF  # P1 of VERIFY: forget that the PIN was verified (3.2.1)
OBJECT_P1P2 = (0x3F, 0xFF)  # the current application (3.1.2)
DEFAULT_PIN_POLICIES: Mapping[int, PinPolicy] = {  # SP 800-73-4 part 1, table 5
    Slot.SIGNATURE: PinPolicy.ALWAYS,
    Slot.CARD_AUTHENTICATION: PinPolicy.NEVER,
}
ATTESTATION_ALGORITHMS = frozenset({Algorithm.RSA2048, Algorithm.P256, Algorithm.P384})


def verify(card: PivCard, command: Command) -> bytes:
    """VERIFY (3.2.1). Without data it tells the tries left, or that the PIN is verified."""
    if command.p1 not in (0x00, RESET_STATUS):
        raise Refusal(SW.WRONG_P1P2)
    if command.p2 != Reference.PIN:
        raise Refusal(SW.REFERENCE_NOT_FOUND)
    if command.p1 == RESET_STATUS:
        if command.data:
            raise Refusal(SW.INCORRECT_PARAMETERS)
        card.verified(False)
        return b""
    if not command.data:
        if not card.pin_verified:
            raise card.pin.refusal()
        return b""
    check_presented(command.data, card.features, is_pin=True)
    card.verified(_attempt(card, card.pin, command.data))
    if not card.pin_verified:
        raise card.pin.refusal()
    return b""


def change_reference_data(card: PivCard, command: Command) -> bytes:
    """CHANGE REFERENCE DATA (3.2.2): the old value, then the new one."""
    if command.p1 != 0x00:
        raise Refusal(SW.WRONG_P1P2)
    is_pin = command.p2 == Reference.PIN
    if not is_pin and command.p2 != Reference.PUK:
        raise Refusal(SW.REFERENCE_NOT_FOUND)
    reference = card.pin if is_pin else card.puk
    old, new = _halves(command.data)
    check_presented(old, card.features, is_pin=is_pin)
    if not card.features.vendor:
        check_new(new, card.features, is_pin=is_pin)  # before a try is spent
    right = _attempt(card, reference, old)
    if is_pin and not (right and card.features.vendor):
        card.verified(right)  # a YubiKey still wants VERIFY after a change
    if not right:
        raise reference.refusal()
    check_new(new, card.features, is_pin=is_pin)
    reference.set(new)
    card.body.save()
    return b""


def reset_retry_counter(card: PivCard, command: Command) -> bytes:
    """RESET RETRY COUNTER (3.2.3): the PUK, then a new PIN."""
    if command.p1 != 0x00:
        raise Refusal(SW.WRONG_P1P2)
    if command.p2 != Reference.PIN:
        raise Refusal(SW.REFERENCE_NOT_FOUND)
    puk, new = _halves(command.data)
    if not card.features.vendor:
        check_new(new, card.features, is_pin=True)
    if not _attempt(card, card.puk, puk):
        raise card.puk.refusal()
    check_new(new, card.features, is_pin=True)
    card.pin.set(new)
    card.verified(False)
    card.body.save()
    return b""


def general_authenticate(card: PivCard, command: Command) -> bytes:
    """GENERAL AUTHENTICATE (3.2.4): the management key's dialogue, or a private key's use."""
    fields = read_template(Tag.DYNAMIC_AUTHENTICATION, command.data)
    if command.p2 == Reference.MANAGEMENT_KEY:
        return _authenticate_management(card, command.p1, fields)
    card.management_key.forget()
    if command.p2 not in USER_SLOTS:
        raise Refusal(wrong_slot(card))
    key = card.key(command.p2)
    if key is None or command.p1 != key.algorithm:
        raise Refusal(SW.INCORRECT_PARAMETERS if card.features.vendor else SW.WRONG_P1P2)
    inputs = {tag: value for tag, value in fields.items() if tag != Tag.RESPONSE}
    if fields.get(Tag.RESPONSE) != b"" or len(inputs) != 1:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    ((tag, value),) = inputs.items()
    if tag not in (Tag.CHALLENGE, Tag.EXPONENTIATION):
        raise Refusal(SW.INCORRECT_PARAMETERS)
    card.require_policies(key)
    card.body.spend(key.algorithm.name.lower())
    answer = key.respond(value) if tag == Tag.CHALLENGE else key.agree(value)
    return tlv(Tag.DYNAMIC_AUTHENTICATION, tlv(Tag.RESPONSE, answer))


def get_data(card: PivCard, command: Command) -> bytes:
    """GET DATA (3.1.2). A YubiKey tells that an object is absent before it asks for the PIN."""
    _check_object_p1p2(command)
    fields = list(read_tlvs(command.data))
    if len(fields) != 1 or fields[0][0] != Tag.OBJECT_ID or not 1 <= len(fields[0][1]) <= 3:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    object_id = int.from_bytes(fields[0][1])
    content = card.object(object_id)
    locked = object_id in PIN_PROTECTED and not card.pin_verified
    if locked and (content is not None or not card.features.vendor):
        raise Refusal(SW.SECURITY_NOT_SATISFIED)
    if content is None:
        raise Refusal(SW.FILE_NOT_FOUND)
    return container(object_id, content)


def put_data(card: PivCard, command: Command) -> bytes:
    """PUT DATA (3.3.1): identifier and 53 container, or an object that is its own container."""
    _check_object_p1p2(command)
    card.require_management()
    fields = list(read_tlvs(command.data))
    if len(fields) == 1 and fields[0][0] in SELF_CONTAINED:
        object_id, content = fields[0]
    elif [tag for tag, _ in fields] == [Tag.OBJECT_ID, Tag.OBJECT_DATA]:
        object_id, content = int.from_bytes(fields[0][1]), fields[1][1]
    else:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    if not card.objects.known(object_id):
        raise Refusal(SW.FUNCTION_NOT_SUPPORTED)
    card.body.spend("write")
    card.put_object(object_id, content)
    card.body.save()
    return b""


def generate_asymmetric_key_pair(card: PivCard, command: Command) -> bytes:
    """GENERATE ASYMMETRIC KEY PAIR (3.3.2), with the maker's policies in the template."""
    if command.p1 != 0x00:
        raise Refusal(SW.WRONG_P1P2)
    slot = command.p2
    card.require_management()
    fields = read_template(Tag.GENERATE_TEMPLATE, command.data)
    encoded = fields.pop(Tag.GENERATE_ALGORITHM, b"")
    if not card.features.vendor and (fields or slot in RETIRED_SLOTS):
        raise Refusal(SW.INCORRECT_PARAMETERS if fields else SW.WRONG_P1P2)
    algorithm = permitted_algorithm(card, slot, encoded)
    pin_policy, touch_policy = policies(card, slot, fields)
    if fields:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    card.body.spend(f"generate-{algorithm.name.lower()}")
    key = PivKey(
        algorithm=algorithm,
        private=generate(algorithm),
        pin_policy=pin_policy,
        touch_policy=touch_policy,
        origin=Origin.GENERATED,
    )
    card.set_key(slot, key)
    card.body.save()
    return tlv(Tag.PUBLIC_KEY, key.public_template)


STANDARD: Mapping[Instruction, Handler] = {
    Instruction.VERIFY: verify,
    Instruction.CHANGE_REFERENCE_DATA: change_reference_data,
    Instruction.RESET_RETRY_COUNTER: reset_retry_counter,
    Instruction.GENERAL_AUTHENTICATE: general_authenticate,
    Instruction.GET_DATA: get_data,
    Instruction.PUT_DATA: put_data,
    Instruction.GENERATE_ASYMMETRIC_KEY_PAIR: generate_asymmetric_key_pair,
}


def wrong_slot(card: PivCard) -> SW:
    """What a reference that is no key is answered with: a YubiKey has its own status word."""
    return SW.WRONG_PARAMETERS if card.features.vendor else SW.WRONG_P1P2


def permitted_algorithm(card: PivCard, slot: int, encoded: bytes) -> Algorithm:
    """The algorithm of a key to be made in a slot. Raises `Refusal` where it may not be there."""
    usable = card.features.algorithms
    if slot == Slot.ATTESTATION and card.features.vendor:
        usable = usable & ATTESTATION_ALGORITHMS
    elif slot not in (USER_SLOTS if card.features.vendor else STANDARD_SLOTS):
        raise Refusal(wrong_slot(card))
    if len(encoded) != 1 or encoded[0] not in usable:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    if card.model.fips and card.body.version >= (5, 7, 0) and not card.approved:
        raise Refusal(SW.CONDITIONS_NOT_SATISFIED)
    return Algorithm(encoded[0])


def policies(card: PivCard, slot: int, fields: dict[int, bytes]) -> tuple[PinPolicy, TouchPolicy]:
    """Take the policies out of `fields`, with the slot's default where none is given."""
    try:
        pin = PinPolicy(int.from_bytes(fields.pop(Tag.PIN_POLICY, b"\0")))
        touch = TouchPolicy(int.from_bytes(fields.pop(Tag.TOUCH_POLICY, b"\0")))
    except ValueError:
        raise Refusal(SW.INCORRECT_PARAMETERS) from None
    never = pin is PinPolicy.NEVER and not card.features.pin_policy_never
    cached = touch is TouchPolicy.CACHED and not card.features.cached_touch
    if never or cached or pin in (PinPolicy.MATCH_ONCE, PinPolicy.MATCH_ALWAYS):
        raise Refusal(SW.INCORRECT_PARAMETERS)  # MATCH: there is no fingerprint reader
    if pin is PinPolicy.DEFAULT:
        pin = DEFAULT_PIN_POLICIES.get(slot, PinPolicy.ONCE)
        if pin is PinPolicy.NEVER and card.model.fips:
            pin = PinPolicy.ONCE
    return pin, TouchPolicy.NEVER if touch is TouchPolicy.DEFAULT else touch


def _authenticate_management(card: PivCard, algorithm: int, fields: dict[int, bytes]) -> bytes:
    key = card.management_key
    if (Cipher.TDES if algorithm == CIPHER_TDES_ALIAS else algorithm) != key.cipher:
        key.forget()
        raise Refusal(SW.INCORRECT_PARAMETERS if card.features.vendor else SW.WRONG_P1P2)
    asks = not any(fields.values())
    if not asks:
        card.management_authenticated = False
    answer, done = key.authenticate(fields, card.body.random)
    if done:
        card.require_touch(key.touch)
        card.management_authenticated = True
    return tlv(Tag.DYNAMIC_AUTHENTICATION, answer) if answer else b""


def _attempt(card: PivCard, reference: ReferenceData, value: bytes) -> bool:
    """Try a value; what it cost is on file before anything is answered."""
    card.body.spend("pin")
    right = reference.attempt(value)
    card.body.save()
    return right


def _halves(data: bytes) -> tuple[bytes, bytes]:
    if len(data) != 2 * SIZE:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    return data[:SIZE], data[SIZE:]


def _check_object_p1p2(command: Command) -> None:
    if (command.p1, command.p2) != OBJECT_P1P2:
        raise Refusal(SW.WRONG_P1P2)
