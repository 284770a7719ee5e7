"""Data objects of an OpenPGP card: what GET DATA gives and PUT DATA takes.

Rules (OPGP 4.4.1 and 4.4.2)
- All may be read by anyone, but private DOs 3 (PW1) and 4 (PW3); all are written with PW3, but
  private DOs 1 and 3 (PW1).
- Constructed DOs come with their tag, simple ones without.
- DO 7F21 is there three times from 3.0 on: for AUT (the first), DEC and SIG.
- New algorithm attributes remove the key; the same ones again change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tokenprov.sim.apdu import SW, Refusal
from tokenprov.sim.applets.openpgp_card import (
    CERTIFICATE_SLOTS,
    FINGERPRINT_BYTES,
    TIME_BYTES,
    KeySlot,
    OpenPgpCard,
)
from tokenprov.sim.applets.openpgp_passwords import MAXIMUM
from tokenprov.sim.applets.openpgp_wire import (
    ATTRIBUTES,
    CA_FINGERPRINTS,
    FINGERPRINTS,
    TIMES,
    UIFS,
    Reference,
    Slot,
    Tag,
    Uif,
)
from tokenprov.sim.applets.piv_wire import tlv

BUTTON = 0x20  # OPGP 4.4.3.5: general feature management, and the second byte of a UIF
EXTENDED_LENGTH_MAXIMUM = 0x0BFE  # bytes of a command and of an answer (read off a 5.4.3)
SEXES = frozenset(b"0129")  # ISO 5218, as digits
PIN_POLICIES = frozenset({0x00, 0x01})  # PW1 for one signature, or for many
_OVERLONG_BY = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainObject:
    """A data object that is kept as it is written. `maximum` is in bytes, 0: the card's own."""

    maximum: int = 0
    reads: Reference | None = None
    writes: Reference = Reference.ADMIN


PLAIN: Mapping[int, PlainObject] = {
    Tag.NAME: PlainObject(maximum=39),
    Tag.LANGUAGE: PlainObject(maximum=8),
    Tag.SEX: PlainObject(maximum=1),
    Tag.LOGIN: PlainObject(),
    Tag.URL: PlainObject(),
    Tag.PRIVATE_1: PlainObject(writes=Reference.USER),
    Tag.PRIVATE_2: PlainObject(),
    Tag.PRIVATE_3: PlainObject(reads=Reference.USER, writes=Reference.USER),
    Tag.PRIVATE_4: PlainObject(reads=Reference.ADMIN),
}
_LATER = frozenset(  # 3.4 and the attestation key's
    {
        Tag.KEY_INFORMATION,
        Tag.KDF,
        Tag.ALGORITHM_INFORMATION,
        Tag.EXTENDED_LENGTH,
        Tag.ATTESTATION_CERTIFICATE,
        Tag.ATTRIBUTES_ATT,
        Tag.FINGERPRINT_ATT,
        Tag.TIME_ATT,
        Tag.UIF_ATT,
        Tag.CA_FINGERPRINT_4,
    }
)


def read(card: OpenPgpCard, tag: int) -> bytes:
    """The content that GET DATA gives. Raises `Refusal` 6B00 for an object that there is not."""
    plain = PLAIN.get(tag)
    if plain is not None:
        if plain.reads is not None:
            card.require(plain.reads)
        return card.objects.get(tag, b"")
    if tag in _LATER and not card.features.later:
        raise Refusal(SW.WRONG_PARAMETERS)
    if tag in ATTRIBUTES:
        return bytes(card.slot(ATTRIBUTES[tag]).attributes)
    if tag in UIFS:
        return bytes([card.slot(UIFS[tag]).uif, BUTTON])
    reader = _READERS.get(tag)
    if reader is None:
        raise Refusal(SW.WRONG_PARAMETERS)
    return reader(card)


def write(card: OpenPgpCard, tag: int, content: bytes) -> None:
    """Take what PUT DATA brings. Raises `Refusal` 6B00 for an object that there is not."""
    plain = PLAIN.get(tag)
    writer = _WRITERS.get(tag)
    if (plain is None and writer is None) or (tag in _LATER and not card.features.later):
        raise Refusal(SW.WRONG_PARAMETERS)
    card.require(plain.writes if plain is not None else Reference.ADMIN)
    card.body.spend("write")
    if plain is not None:
        if len(content) > (plain.maximum or card.features.special_maximum):
            raise Refusal(SW.INCORRECT_PARAMETERS)
        if tag == Tag.SEX and content and content[0] not in SEXES:
            raise Refusal(SW.INCORRECT_PARAMETERS)
        card.objects[tag] = content
    elif writer is not None:
        writer(card, tag, content)
    card.body.save()


# --- reading -------------------------------------------------------------------------------


def _slots(card: OpenPgpCard) -> list[KeySlot]:
    return [card.slot(slot) for slot in card.features.slots]


def _cardholder(card: OpenPgpCard) -> bytes:
    tags = (Tag.NAME, Tag.LANGUAGE, Tag.SEX)
    return tlv(Tag.CARDHOLDER, b"".join(tlv(tag, card.objects.get(tag, b"")) for tag in tags))


def _application(card: OpenPgpCard) -> bytes:
    content = tlv(Tag.AID, card.aid)
    content += tlv(Tag.HISTORICAL_BYTES, card.features.historical_bytes)
    content += _feature_management(card)
    return tlv(Tag.APPLICATION, content + tlv(Tag.DISCRETIONARY, _discretionary(card)))


def _discretionary(card: OpenPgpCard) -> bytes:
    features = card.features
    content = tlv(Tag.EXTENDED_CAPABILITIES, features.extended_capabilities)
    for tag, slot in ATTRIBUTES.items():
        if slot in features.slots:
            content += tlv(tag, bytes(card.slot(slot).attributes))
    content += tlv(Tag.PASSWORD_STATUS, _password_status(card))
    content += tlv(Tag.FINGERPRINTS, _fingerprints(card))
    content += tlv(Tag.CA_FINGERPRINTS, _ca_fingerprints(card))
    content += tlv(Tag.TIMES, _times(card))
    if features.later:
        content += tlv(Tag.KEY_INFORMATION, _key_information(card)) + _extended_length(card)
        for tag, slot in UIFS.items():
            content += tlv(tag, bytes([card.slot(slot).uif, BUTTON]))
    return content


def _feature_management(card: OpenPgpCard) -> bytes:
    return tlv(Tag.FEATURE_MANAGEMENT, tlv(Tag.FEATURES, bytes([BUTTON])))


def _extended_length(card: OpenPgpCard) -> bytes:
    size = tlv(Tag.INTEGER, EXTENDED_LENGTH_MAXIMUM.to_bytes(2))
    return tlv(Tag.EXTENDED_LENGTH, size + size)


def _password_status(card: OpenPgpCard) -> bytes:
    passwords = card.passwords
    left = (passwords.user.left, passwords.reset.left, passwords.admin.left)
    return bytes([card.pin_policy, MAXIMUM, MAXIMUM, MAXIMUM, *left])


def _fingerprints(card: OpenPgpCard) -> bytes:
    return b"".join(place.fingerprint for place in _slots(card))


def _ca_fingerprints(card: OpenPgpCard) -> bytes:
    return b"".join(card.ca_fingerprints[: len(card.features.slots)])


def _times(card: OpenPgpCard) -> bytes:
    return b"".join(place.time for place in _slots(card))


def _key_information(card: OpenPgpCard) -> bytes:
    return b"".join(bytes([slot, card.slot(slot).origin]) for slot in card.features.slots)


def _security_support(card: OpenPgpCard) -> bytes:
    return tlv(Tag.SECURITY_SUPPORT, tlv(Tag.SIGNATURE_COUNTER, card.signature_counter.to_bytes(3)))


def _algorithm_information(card: OpenPgpCard) -> bytes:
    content = b"".join(
        tlv(tag, bytes(attributes))
        for tag, slot in ATTRIBUTES.items()
        for attributes in card.features.announced(slot)
    )
    if not card.features.overlong:
        return tlv(Tag.ALGORITHM_INFORMATION, content)
    return tlv(Tag.ALGORITHM_INFORMATION, content + bytes(_OVERLONG_BY))[:-_OVERLONG_BY]


def _certificate(card: OpenPgpCard) -> bytes:
    return card.slot(CERTIFICATE_SLOTS[card.certificate_number]).certificate


_READERS: Mapping[int, Callable[[OpenPgpCard], bytes]] = {
    Tag.AID: lambda card: card.aid,
    Tag.HISTORICAL_BYTES: lambda card: card.features.historical_bytes,
    Tag.EXTENDED_CAPABILITIES: lambda card: card.features.extended_capabilities,
    Tag.CARDHOLDER: _cardholder,
    Tag.APPLICATION: _application,
    Tag.FEATURE_MANAGEMENT: _feature_management,
    Tag.EXTENDED_LENGTH: _extended_length,
    Tag.PASSWORD_STATUS: _password_status,
    Tag.FINGERPRINTS: _fingerprints,
    Tag.CA_FINGERPRINTS: _ca_fingerprints,
    Tag.TIMES: _times,
    Tag.KEY_INFORMATION: _key_information,
    Tag.SECURITY_SUPPORT: _security_support,
    Tag.KDF: lambda card: card.passwords.kdf,
    Tag.ALGORITHM_INFORMATION: _algorithm_information,
    Tag.CERTIFICATE: _certificate,
    Tag.ATTESTATION_CERTIFICATE: lambda card: card.slot(Slot.ATT).certificate,
}


# --- writing -------------------------------------------------------------------------------


def _put_attributes(card: OpenPgpCard, tag: int, content: bytes) -> None:
    slot = ATTRIBUTES[tag]
    wanted = [one for one in card.features.offered(slot) if bytes(one) == content]
    if not wanted:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    place = card.slot(slot)
    if place.attributes != wanted[0]:
        place.attributes = wanted[0]
        card.set_key(slot, None)


def _put_pin_policy(card: OpenPgpCard, tag: int, content: bytes) -> None:
    if len(content) != 1 or content[0] not in PIN_POLICIES:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    card.pin_policy = content[0]


def _put_fingerprint(card: OpenPgpCard, tag: int, content: bytes) -> None:
    card.slot(FINGERPRINTS[tag]).fingerprint = _sized(content, FINGERPRINT_BYTES)


def _put_ca_fingerprint(card: OpenPgpCard, tag: int, content: bytes) -> None:
    card.ca_fingerprints[CA_FINGERPRINTS.index(Tag(tag))] = _sized(content, FINGERPRINT_BYTES)


def _put_time(card: OpenPgpCard, tag: int, content: bytes) -> None:
    card.slot(TIMES[tag]).time = _sized(content, TIME_BYTES)


def _sized(content: bytes, size: int) -> bytes:
    if len(content) != size:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    return content


def _put_resetting_code(card: OpenPgpCard, tag: int, content: bytes) -> None:
    reset = card.passwords.reset
    if content:
        card.passwords.check_new(reset, content)
    reset.set(content)


def _put_uif(card: OpenPgpCard, tag: int, content: bytes) -> None:
    place = card.slot(UIFS[tag])
    if len(content) != 2 or content[1] != BUTTON or content[0] not in card.features.uifs:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    if place.uif.is_fixed:
        raise Refusal(SW.SECURITY_NOT_SATISFIED)
    place.uif = Uif(content[0])


def _put_kdf(card: OpenPgpCard, tag: int, content: bytes) -> None:
    card.passwords.set_kdf(content)


def _put_certificate(card: OpenPgpCard, tag: int, content: bytes) -> None:
    if len(content) > card.features.certificate_maximum:
        raise Refusal(SW.WRONG_LENGTH)
    slot = (
        Slot.ATT
        if tag == Tag.ATTESTATION_CERTIFICATE
        else CERTIFICATE_SLOTS[card.certificate_number]
    )
    card.slot(slot).certificate = content


_WRITERS: Mapping[int, Callable[[OpenPgpCard, int, bytes], None]] = {
    **dict.fromkeys(ATTRIBUTES, _put_attributes),
    **dict.fromkeys(FINGERPRINTS, _put_fingerprint),
    **dict.fromkeys(CA_FINGERPRINTS, _put_ca_fingerprint),
    **dict.fromkeys(TIMES, _put_time),
    **dict.fromkeys(UIFS, _put_uif),
    Tag.PASSWORD_STATUS: _put_pin_policy,
    Tag.RESETTING_CODE: _put_resetting_code,
    Tag.KDF: _put_kdf,
    Tag.CERTIFICATE: _put_certificate,
    Tag.ATTESTATION_CERTIFICATE: _put_certificate,
}
