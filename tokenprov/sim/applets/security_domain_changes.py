"""Commands that change the keys of the security domain; each needs an authenticated host.

Rules (GPC 11.2, 11.8 and 11.11, Amendment D 7.2, Amendment F 7; the maker for what is marked so)
- PUT KEY brings a whole SCP03 key set, a private key for SCP11, or the public key of an authority.
  Secret parts are encrypted under the session's DEK, with AES in CBC from a zero vector. P1 names
  the version that is replaced, 0 a new key.
- GENERATE KEY makes an SCP11 key on the token (maker).
- DELETE KEY goes by identifier, version or both; key sets by version alone (maker). The last key
  is deleted only when P2 says so (maker).
- STORE DATA keeps certificates, allowlists and identifiers of authorities, each for one key, all
  of it in one block.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping

from cryptography.hazmat.primitives.asymmetric import ec

from tokenprov.sim.apdu import SW, Command, Refusal
from tokenprov.sim.applets.piv_wire import read_distinct, read_tlvs, tlv
from tokenprov.sim.scp.keys import CardKey, HostAuthority, KeySet, KeyStore
from tokenprov.sim.scp.primitives import (
    CHECK_VALUE_BYTES,
    KEY_BYTES,
    check_value,
    decrypt_cbc,
    point,
    read_point,
)
from tokenprov.sim.scp.wire import (
    CA_KEY_IDS,
    P256_PARAMETERS,
    SCP03_KEY_IDS,
    SCP11_KEY_IDS,
    Ins,
    KeyId,
    KeyRef,
    KeyType,
    Status,
    Tag,
)

Change = Callable[[KeyStore, bytes, Command], bytes]

MULTIPLE_KEYS = 0x80  # P2 of PUT KEY, GPC table 11-66
ONLY_BLOCK = 0x90  # P1 of STORE DATA, GPC table 11-85: last block, BER-TLV
DELETE_THE_LAST = 0x01  # P2 of DELETE KEY (maker)
CERTIFICATES_MAXIMUM = 2560  # bytes of one key's bundle: the simulator's
IDENTIFIER_MAXIMUM = 32  # bytes of a subject key identifier
SERIALS_MAXIMUM = 70  # on one allowlist: the simulator's
_SCALAR_BYTES = 32
_SEQUENCE = 0x30  # a certificate


def put_key(store: KeyStore, dek: bytes, command: Command) -> bytes:
    """Import keys; the answer is their version and check values. Raises `Refusal`."""
    if not command.data:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    kvn, data = command.data[0], command.data[1:]
    kid, many = command.p2 & ~MULTIPLE_KEYS, bool(command.p2 & MULTIPLE_KEYS)
    if many and kid == KeyId.SCP03_ENC:
        return bytes([kvn]) + _put_set(store, dek, kvn, data, command.p1)
    if many or not store.has_scp11:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    ref = KeyRef(kid=kid, kvn=kvn)
    kind, value = _read_curve_key(data)
    if kind == KeyType.EC_PRIVATE and kid in SCP11_KEY_IDS:
        private = _private_key(_decrypt(dek, value, _SCALAR_BYTES))
        store.put_card_key(CardKey(ref=ref, private=private), command.p1)
    elif kind == KeyType.EC_PUBLIC and kid in CA_KEY_IDS:
        try:
            public = read_point(value)
        except ValueError:
            raise Refusal(SW.INCORRECT_PARAMETERS) from None
        store.put_authority(HostAuthority(ref=ref, public=public), command.p1)
    else:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    return bytes([kvn])


def _put_set(store: KeyStore, dek: bytes, kvn: int, data: bytes, replaced: int) -> bytes:
    """Three AES keys in a row, each encrypted and with its check value (Amendment D 7.2)."""
    size = 2 + KEY_BYTES + 1 + CHECK_VALUE_BYTES
    if len(data) != len(SCP03_KEY_IDS) * size:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    keys, values = [], b""
    for start in range(0, len(data), size):
        part = data[start : start + size]
        value = part[-CHECK_VALUE_BYTES:]
        if part[:2] != bytes([KeyType.AES, KEY_BYTES]) or part[-4] != CHECK_VALUE_BYTES:
            raise Refusal(SW.INCORRECT_PARAMETERS)
        key = _decrypt(dek, part[2 : 2 + KEY_BYTES], KEY_BYTES)
        if not hmac.compare_digest(value, check_value(key)):
            raise Refusal(Status.CHECK_VALUE_WRONG)
        keys.append(key)
        values += value
    enc, mac, new_dek = keys
    store.put_set(KeySet(kvn=kvn, enc=enc, mac=mac, dek=new_dek), replaced)
    return values


def _read_curve_key(data: bytes) -> tuple[int, bytes]:
    """Type and value of the key, which its curve and an empty check value follow."""
    if not data.endswith(b"\0"):
        raise Refusal(SW.INCORRECT_PARAMETERS)
    parts = list(read_tlvs(data[:-1]))
    if len(parts) != 2 or parts[1][0] != KeyType.EC_PARAMETERS:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    _check_curve(parts[1][1])
    return parts[0]


def _check_curve(parameters: bytes) -> None:
    if parameters != bytes([P256_PARAMETERS]):
        raise Refusal(Status.ALGORITHM_NOT_SUPPORTED)


def _decrypt(dek: bytes, value: bytes, size: int) -> bytes:
    if len(value) != size:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    return decrypt_cbc(dek, value)


def _private_key(scalar: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        return ec.derive_private_key(int.from_bytes(scalar), ec.SECP256R1())
    except ValueError:
        raise Refusal(SW.INCORRECT_PARAMETERS) from None


def generate_key(store: KeyStore, dek: bytes, command: Command) -> bytes:
    """Make an SCP11 key; the answer is its public part. Raises `Refusal`."""
    kid = command.p2
    if not command.data or kid not in SCP11_KEY_IDS:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    parts = read_distinct(command.data[1:])
    if parts.keys() != {KeyType.EC_PARAMETERS}:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    _check_curve(parts[KeyType.EC_PARAMETERS])
    store.body.spend("generate-p256")
    public = store.generate(KeyRef(kid=kid, kvn=command.data[0]), command.p1)
    return tlv(KeyType.EC_PUBLIC, point(public))


def delete_key(store: KeyStore, dek: bytes, command: Command) -> bytes:
    """Delete keys. Raises `Refusal` 6A80, 6A86, 6A88 or 6985."""
    if command.p1 or command.p2 & ~DELETE_THE_LAST:
        raise Refusal(SW.WRONG_P1P2)
    parts = read_distinct(command.data)
    if not parts or parts.keys() - {Tag.DELETE_KEY_ID, Tag.DELETE_KEY_VERSION}:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    kid = _byte(parts.get(Tag.DELETE_KEY_ID, b"\0"))
    kvn = _byte(parts.get(Tag.DELETE_KEY_VERSION, b"\0"))
    if kid in SCP03_KEY_IDS or not (kid or kvn):
        raise Refusal(SW.INCORRECT_PARAMETERS)
    store.delete(kid, kvn, the_last_too=bool(command.p2 & DELETE_THE_LAST))
    return b""


def _byte(value: bytes) -> int:
    if len(value) != 1:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    return value[0]


def store_data(store: KeyStore, dek: bytes, command: Command) -> bytes:
    """Keep data that belongs to a key. Raises `Refusal` 6A80, 6A84, 6A86 or 6A88."""
    if command.p1 != ONLY_BLOCK or command.p2:
        raise Refusal(SW.WRONG_P1P2)
    parts = list(read_tlvs(command.data))
    if not parts or parts[0][0] != Tag.CONTROL_REFERENCE or len(parts) > 2:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    reference = read_distinct(parts[0][1])
    ref = KeyRef.parse(reference.pop(Tag.KEY_REFERENCE, b""))
    if len(parts) == 1:
        _store_issuer(store, ref, reference)
    elif reference:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    elif parts[1][0] == Tag.CERTIFICATE_STORE:
        _store_certificates(store, ref, parts[1][1])
    elif parts[1][0] == Tag.ALLOWLIST:
        _store_allowlist(store, ref, parts[1][1])
    else:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    return b""


def _store_issuer(store: KeyStore, ref: KeyRef, reference: dict[int, bytes]) -> None:
    if reference.keys() != {Tag.ISSUER_IS_OF_CARD, Tag.ISSUER}:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    issuer = reference[Tag.ISSUER]
    of_card = ref.kid in SCP11_KEY_IDS
    if reference[Tag.ISSUER_IS_OF_CARD] != bytes([of_card]) or len(issuer) > IDENTIFIER_MAXIMUM:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    key = store.card_keys.get(ref) or store.authorities.get(ref)
    if key is None:
        raise Refusal(SW.REFERENCE_NOT_FOUND)
    key.issuer = issuer


def _store_certificates(store: KeyStore, ref: KeyRef, certificates: bytes) -> None:
    key = store.card_keys.get(ref)
    if key is None:
        raise Refusal(SW.REFERENCE_NOT_FOUND)
    if any(tag != _SEQUENCE for tag, _ in read_tlvs(certificates)):
        raise Refusal(SW.INCORRECT_PARAMETERS)
    if len(certificates) > CERTIFICATES_MAXIMUM:
        raise Refusal(SW.NO_SPACE)
    key.certificates = certificates


def _store_allowlist(store: KeyStore, ref: KeyRef, serials: bytes) -> None:
    authority = store.authorities.get(ref)
    if authority is None:
        raise Refusal(SW.REFERENCE_NOT_FOUND)
    allowed = list(read_tlvs(serials))
    if any(tag != Tag.SERIAL_NUMBER or not value for tag, value in allowed):
        raise Refusal(SW.INCORRECT_PARAMETERS)
    if len(allowed) > SERIALS_MAXIMUM:
        raise Refusal(SW.NO_SPACE)
    authority.allowed = frozenset(int.from_bytes(value) for _, value in allowed)


CHANGES: Mapping[int, Change] = {
    Ins.PUT_KEY: put_key,
    Ins.GENERATE_KEY: generate_key,
    Ins.DELETE_KEY: delete_key,
    Ins.STORE_DATA: store_data,
}
SCP11_ONLY = frozenset({Ins.GENERATE_KEY, Ins.STORE_DATA})
