"""SCP11: a channel from elliptic curve keys that are certified (Amendment F 1.4).

Rules
- In variant b the token alone is authenticated; in a and c the host has shown the certificates of
  its static key before, which lead to an authority (CA-KLOC) that the security domain has.
- The host proposes AES-128 with C-MAC, C-ENC, R-MAC and R-ENC, the only thing that the maker has.
- Two secrets are agreed: that of the ephemeral keys, and that of the token's static key with the
  host's static one, or again with its ephemeral one in b. In c the token uses its static key
  instead of an ephemeral one, so that commands can be prepared without it.
- The receipt is a CMAC over all that was exchanged, and the first chaining value.
- Every certificate counts against the authority's allowlist. A token has no clock, so that the
  dates in certificates mean nothing to it.
- A wrong message uses up one of the tries of the key that it is for.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec

from tokenprov.sim.apdu import SW, Command, Refusal
from tokenprov.sim.applets.piv_wire import read_distinct, tlv
from tokenprov.sim.scp.channel import SecureChannel, SessionKeys
from tokenprov.sim.scp.keys import CardKey, HostAuthority, KeyStore
from tokenprov.sim.scp.primitives import KEY_BYTES, agree, cmac, point, read_point
from tokenprov.sim.scp.wire import CA_KEY_IDS, KeyId, KeyRef, KeyType, Status, Tag

MORE_CERTIFICATES = 0x80  # P2 of PERFORM SECURITY OPERATION, Amendment F 7.5.2.2
SCP11_IDENTIFIER = 0x11
KEY_USAGE = 0x3C  # 7.6.2.3: secured messages with C-MAC, C-ENC, R-MAC and R-ENC
# The second byte of tag 90 for each variant (7.1.1): authenticated host, and no ephemeral key.
PARAMETERS = {KeyId.SCP11A: 0x01, KeyId.SCP11B: 0x00, KeyId.SCP11C: 0x03}


@dataclass(frozen=True, slots=True, kw_only=True)
class HostChain:
    """What of a host's certificates has come: the last one, and the authority it leads to."""

    authority: HostAuthority
    last: x509.Certificate
    complete: bool


def perform_security_operation(
    store: KeyStore, so_far: HostChain | None, command: Command
) -> HostChain:
    """Answer PERFORM SECURITY OPERATION (7.5): one certificate of a host.

    Raises `Refusal` 6A88 without such an authority, 6983 for one that is blocked, 6A80 for what is
    no certificate, 6600 for one that does not verify, 6640 for one that is not on the allowlist.
    """
    ref = KeyRef(kid=command.p2 & ~MORE_CERTIFICATES, kvn=command.p1)
    if ref.kid and ref.kid not in CA_KEY_IDS:
        raise Refusal(SW.WRONG_P1P2)
    candidates = store.host_authorities(ref)
    if so_far is not None and not so_far.complete:
        candidates = [each for each in candidates if each is so_far.authority]
    else:
        so_far = None
    usable = [each for each in candidates if each.attempts] or candidates[:1]
    if not usable:
        raise Refusal(SW.REFERENCE_NOT_FOUND)
    for each in usable:
        store.spend(each)
    certificate = _read(command.data)
    for each in usable:
        key = each.public if so_far is None else so_far.last.public_key()
        if isinstance(key, ec.EllipticCurvePublicKey) and _signed_by(certificate, key):
            authority = each
            break
    else:
        raise Refusal(Status.CERTIFICATE_WRONG)
    complete = not command.p2 & MORE_CERTIFICATES
    _check_use(certificate, complete)
    if authority.allowed and certificate.serial_number not in authority.allowed:
        raise Refusal(Status.CERTIFICATE_NOT_ALLOWED)
    for each in usable:
        store.restore(each)
    return HostChain(authority=authority, last=certificate, complete=complete)


def authenticate(
    store: KeyStore, chain: HostChain | None, command: Command, kinds: frozenset[KeyId]
) -> tuple[bytes, SecureChannel]:
    """Answer INTERNAL or MUTUAL AUTHENTICATE (7.3, 7.6) for the variants in `kinds`.

    Raises `Refusal` 6A88 without such a key, 6983 for one that is blocked, 6A80 for a proposal
    that cannot be, 6985 where the host has not shown its certificates.
    """
    if command.p2 not in kinds:
        raise Refusal(SW.REFERENCE_NOT_FOUND)
    kind = KeyId(command.p2)
    key = store.card_key(KeyRef(kid=kind, kvn=command.p1))
    store.spend(key)
    host_ephemeral = _read_proposal(command.data, kind)
    host = host_ephemeral
    if kind is not KeyId.SCP11B:
        host = _host_key(chain)
    ours = key.private if kind is KeyId.SCP11C else ec.generate_private_key(ec.SECP256R1())
    store.body.spend("p256")
    answer, channel = _agree(command.data, key, ours, host_ephemeral, host, kind)
    store.restore(key)
    return answer, channel


def _agree(
    proposal: bytes,
    key: CardKey,
    ours: ec.EllipticCurvePrivateKey,
    host_ephemeral: ec.EllipticCurvePublicKey,
    host: ec.EllipticCurvePublicKey,
    kind: KeyId,
) -> tuple[bytes, SecureChannel]:
    shared_info = bytes([KEY_USAGE, KeyType.AES, KEY_BYTES])
    pairs = ((ours, host_ephemeral), (key.private, host))
    receipt_key, enc, mac, rmac, dek = agree(pairs, shared_info, 5)
    public = tlv(Tag.EPHEMERAL_KEY, point(ours.public_key()))
    receipt = cmac(receipt_key, proposal, public)
    keys = SessionKeys(enc=enc, mac=mac, rmac=rmac, dek=dek)
    # maker: variant c is no authentication that lets the host manage keys
    channel = SecureChannel(keys, receipt, authenticated=kind is KeyId.SCP11A)
    return public + tlv(Tag.RECEIPT, receipt), channel


def _read_proposal(data: bytes, kind: KeyId) -> ec.EllipticCurvePublicKey:
    """The host's ephemeral key. Raises `Refusal` 6A80 for a proposal that this token refuses."""
    outer = read_distinct(data)
    if outer.keys() != {Tag.CONTROL_REFERENCE, Tag.EPHEMERAL_KEY}:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    wanted = {
        Tag.SCP_IDENTIFIER: bytes([SCP11_IDENTIFIER, PARAMETERS[kind]]),
        Tag.KEY_USAGE: bytes([KEY_USAGE]),
        Tag.KEY_TYPE: bytes([KeyType.AES]),
        Tag.KEY_LENGTH: bytes([KEY_BYTES]),
    }
    if read_distinct(outer[Tag.CONTROL_REFERENCE]) != wanted:
        raise Refusal(SW.INCORRECT_PARAMETERS)
    return _point(outer[Tag.EPHEMERAL_KEY])


def _point(data: bytes) -> ec.EllipticCurvePublicKey:
    try:
        return read_point(data)
    except ValueError:
        raise Refusal(SW.INCORRECT_PARAMETERS) from None


def _host_key(chain: HostChain | None) -> ec.EllipticCurvePublicKey:
    if chain is None or not chain.complete:
        raise Refusal(SW.CONDITIONS_NOT_SATISFIED)
    key = chain.last.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise Refusal(SW.CONDITIONS_NOT_SATISFIED)
    return key


def _read(data: bytes) -> x509.Certificate:
    try:
        certificate = x509.load_der_x509_certificate(data)
        certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise Refusal(SW.INCORRECT_PARAMETERS) from None
    return certificate


def _signed_by(certificate: x509.Certificate, key: ec.EllipticCurvePublicKey) -> bool:
    try:
        algorithm = certificate.signature_hash_algorithm
        if algorithm is None:
            return False
        key.verify(certificate.signature, certificate.tbs_certificate_bytes, ec.ECDSA(algorithm))
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        return False
    return True


def _check_use(certificate: x509.Certificate, leaf: bool) -> None:
    """Refuse with 6600 a certificate for another use than its place asks for."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return
    except ValueError:
        raise Refusal(Status.CERTIFICATE_WRONG) from None
    if not (usage.key_agreement if leaf else usage.key_cert_sign):
        raise Refusal(Status.CERTIFICATE_WRONG)
