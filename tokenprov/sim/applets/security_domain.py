"""The security domain of a YubiKey: which keys channels are opened with, and who may change them.

Sources: GlobalPlatform Card Specification 2.3.1 (GPC) 7.4 and 11, Amendment F 7, and the maker's
"Security Domain" pages. Rules

- Everybody may read: key information, card recognition data, identifiers of authorities and the
  certificates of keys. The maker gives the content of each object, without its tag.
- Keys are changed over a channel that authenticated the host: SCP03 or SCP11a. Otherwise 6982.
- All of it exists from firmware 5.3, what belongs to SCP11 from 5.7.2.
"""

from __future__ import annotations

from typing import Any

from tokenprov.sim.apdu import SW, Command, Refusal
from tokenprov.sim.applets import security_domain_changes as changes
from tokenprov.sim.applets.piv_wire import read_template, tlv
from tokenprov.sim.scp.keys import CardKey, HostAuthority, KeySet, KeyStore
from tokenprov.sim.scp.primitives import KEY_BYTES, POINT_BYTES
from tokenprov.sim.scp.scp03 import IMPLEMENTATION, SCP03_IDENTIFIER
from tokenprov.sim.scp.scp11 import SCP11_IDENTIFIER
from tokenprov.sim.scp.secure_messaging import SecureMessaging
from tokenprov.sim.scp.wire import (
    GLOBALPLATFORM_CLASS,
    SCP03_KEY_IDS,
    Ins,
    KeyRef,
    KeyType,
    Tag,
)

AID = bytes.fromhex("a000000151000000")  # GPC H.1.3: the issuer security domain
_PRIVATE_BYTES = 32
_PARAMETER_BYTES = 1
_CLASSES = frozenset({0x00, GLOBALPLATFORM_CLASS})

# Answer to SELECT (GPC 11.9.3.1): FCI template with AID, and the longest command data field.
_FCI = tlv(0x6F, tlv(0x84, AID) + tlv(0xA5, tlv(0x9F65, b"\xff")))

# Card recognition data (GPC H.2): object identifiers under {globalPlatform}, 1.2.840.114283.
_GLOBALPLATFORM = bytes.fromhex("2a864886fc6b")
_TAG_OID = 0x06
_RECOGNITION, _MANAGEMENT, _IDENTIFICATION, _CHANNEL = b"\x01", b"\x02", b"\x03", b"\x04"
_VERSION_2_3_1 = b"\x02\x03\x01"
_SCP11_VARIANTS = 0x07  # "i" of SCP11: a, b and c


class SecurityDomainApplet:
    """The security domain on one token, with the channels that it opens."""

    name = "securitydomain"
    aid = AID

    def __init__(self, messaging: SecureMessaging) -> None:
        self._messaging = messaging
        self._keys = messaging.keys

    def select(self) -> bytes:
        """Its file control information."""
        return _FCI

    def deselect(self) -> None:
        """It holds nothing: the token ends the channel."""

    def power_up(self) -> None:
        """It holds nothing: the token ends the channel."""

    def process(self, command: Command) -> bytes:
        """Answer one command that does not open a channel. Raises `Refusal`."""
        if command.cla not in _CLASSES:
            raise Refusal(SW.CLASS_NOT_SUPPORTED)
        if command.ins == Ins.GET_DATA:
            return self._get_data(command)
        change = changes.CHANGES.get(command.ins)
        if change is None or (command.ins in changes.SCP11_ONLY and not self._keys.has_scp11):
            raise Refusal(SW.INVALID_INSTRUCTION)
        channel = self._messaging.channel
        if channel is None or not channel.authenticated:
            raise Refusal(SW.SECURITY_NOT_SATISFIED)
        answer = change(self._keys, channel.keys.dek, command)
        self._keys.body.save()
        return answer

    def _get_data(self, command: Command) -> bytes:
        tag = command.p1 << 8 | command.p2
        if tag == Tag.KEY_INFORMATION:
            return key_information(self._keys)
        if tag == Tag.CARD_DATA:
            return recognition_data(scp11=self._keys.has_scp11)
        found = b""
        if tag == Tag.KLOC_IDENTIFIERS:
            found = _identifiers(list(self._keys.authorities.values()))
        elif tag == Tag.KLCC_IDENTIFIERS:
            found = _identifiers(list(self._keys.card_keys.values()))
        elif tag == Tag.CERTIFICATE_STORE:
            reference = read_template(Tag.CONTROL_REFERENCE, command.data)
            if reference.keys() != {Tag.KEY_REFERENCE}:
                raise Refusal(SW.INCORRECT_PARAMETERS)
            key = self._keys.card_keys.get(KeyRef.parse(reference[Tag.KEY_REFERENCE]))
            found = key.certificates if key else b""
        if not found:
            raise Refusal(SW.REFERENCE_NOT_FOUND)
        return found

    def dump(self) -> dict[str, Any]:
        """The lasting state; it holds private keys."""
        return self._keys.dump()

    def load(self, state: dict[str, Any]) -> None:
        """Take the lasting state that `dump` gave."""
        self._keys.load(state)


def key_information(keys: KeyStore) -> bytes:
    """An entry for each key: identifier, version, then type and length of its parts (11.3.3.1)."""
    entries = b""
    for key in keys.all():
        match key:
            case KeySet():
                for kid in SCP03_KEY_IDS:
                    entries += tlv(Tag.KEY_ENTRY, bytes([kid, key.kvn, KeyType.AES, KEY_BYTES]))
            case CardKey():
                entries += _curve_entry(key.ref, KeyType.EC_PRIVATE, _PRIVATE_BYTES)
            case HostAuthority():
                entries += _curve_entry(key.ref, KeyType.EC_PUBLIC, POINT_BYTES)
    return entries


def _curve_entry(ref: KeyRef, kind: KeyType, size: int) -> bytes:
    parts = bytes([kind, size, KeyType.EC_PARAMETERS, _PARAMETER_BYTES])
    return tlv(Tag.KEY_ENTRY, bytes(ref) + parts)


def recognition_data(*, scp11: bool) -> bytes:
    """What kind of card it is, and how channels to it are opened (GPC H.2)."""

    def oid(*parts: bytes) -> bytes:
        return tlv(_TAG_OID, _GLOBALPLATFORM + b"".join(parts))

    content = oid(_RECOGNITION)
    content += tlv(0x60, oid(_MANAGEMENT, _VERSION_2_3_1))
    content += tlv(0x63, oid(_IDENTIFICATION))
    content += tlv(0x64, oid(_CHANNEL, bytes([SCP03_IDENTIFIER, IMPLEMENTATION])))
    if scp11:
        content += tlv(0x64, oid(_CHANNEL, bytes([SCP11_IDENTIFIER, _SCP11_VARIANTS])))
    return tlv(0x73, content)


def _identifiers(keys: list[CardKey] | list[HostAuthority]) -> bytes:
    """Subject key identifiers of authorities, each with the key that it is stored for."""
    return b"".join(
        tlv(Tag.ISSUER, key.issuer) + tlv(Tag.KEY_REFERENCE, bytes(key.ref))
        for key in keys
        if key.issuer
    )
