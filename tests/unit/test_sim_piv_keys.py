"""Keys of the virtual PIV application, used by the maker's client library and checked outside."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, x25519
from yubikit.core import NotSupportedError
from yubikit.core.smartcard import SW, ApduError
from yubikit.piv import (
    KEY_TYPE,
    PIN_POLICY,
    SLOT,
    TOUCH_POLICY,
    PivSession,
)

from tests.piv_contact import PIN, Contact

NEW = "yubikey-5.7.4"
RSA = (KEY_TYPE.RSA1024, KEY_TYPE.RSA2048)
BIG_RSA = (KEY_TYPE.RSA3072, KEY_TYPE.RSA4096)


def check_signature(session: PivSession, slot: SLOT, key: object) -> None:
    """Have the slot sign, and verify with the public key alone."""
    message = b"a message of thirty-two bytes..."
    kind = KEY_TYPE.from_public_key(key)  # type: ignore[arg-type]  # any public key is tried here
    signature = session.sign(slot, kind, message, hashes.SHA256(), padding.PKCS1v15())
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
    elif isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
    else:
        assert isinstance(key, ed25519.Ed25519PublicKey)
        key.verify(signature, message)


@pytest.mark.parametrize(
    "kind", [*RSA, *BIG_RSA, KEY_TYPE.ECCP256, KEY_TYPE.ECCP384, KEY_TYPE.ED25519]
)
def test_generated_keys_sign(kind: KEY_TYPE) -> None:
    """A generated key of each algorithm makes signatures that its public key verifies."""
    session = Contact(NEW).authenticated()
    key = session.generate_key(SLOT.AUTHENTICATION, kind)
    check_signature(session, SLOT.AUTHENTICATION, key)


@pytest.mark.parametrize("kind", [KEY_TYPE.RSA2048, KEY_TYPE.RSA3072])
@pytest.mark.parametrize("scheme", ["pkcs1", "oaep"])
def test_rsa_decrypts(kind: KEY_TYPE, scheme: str) -> None:
    """What is encrypted to an RSA key in 9d comes back, with either padding."""
    session = Contact(NEW).authenticated()
    key = session.generate_key(SLOT.KEY_MANAGEMENT, kind)
    assert isinstance(key, rsa.RSAPublicKey)
    pad = (
        padding.PKCS1v15()
        if scheme == "pkcs1"
        else padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    )
    assert session.decrypt(SLOT.KEY_MANAGEMENT, key.encrypt(b"secret", pad), pad) == b"secret"


def test_pss_signature() -> None:
    """A PSS block that the host makes is signed as it is."""
    session = Contact(NEW).authenticated()
    key = session.generate_key(SLOT.AUTHENTICATION, KEY_TYPE.RSA2048)
    assert isinstance(key, rsa.RSAPublicKey)
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    signature = session.sign(
        SLOT.AUTHENTICATION, KEY_TYPE.RSA2048, b"message", hashes.SHA256(), pss
    )
    key.verify(signature, b"message", pss, hashes.SHA256())


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1()])
def test_ecdh(curve: ec.EllipticCurve) -> None:
    """Both sides of an ECDH come to the same secret."""
    session = Contact(NEW).authenticated()
    kind = KEY_TYPE.ECCP256 if curve.name == "secp256r1" else KEY_TYPE.ECCP384
    key = session.generate_key(SLOT.KEY_MANAGEMENT, kind)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    peer = ec.generate_private_key(curve)
    ours = session.calculate_secret(SLOT.KEY_MANAGEMENT, peer.public_key())
    assert ours == peer.exchange(ec.ECDH(), key)


def test_x25519() -> None:
    """X25519 keys agree, and sign nothing."""
    contact = Contact(NEW)
    session = contact.authenticated()
    key = session.generate_key(SLOT.KEY_MANAGEMENT, KEY_TYPE.X25519)
    assert isinstance(key, x25519.X25519PublicKey)
    peer = x25519.X25519PrivateKey.generate()
    ours = session.calculate_secret(SLOT.KEY_MANAGEMENT, peer.public_key())
    assert ours == peer.exchange(key)
    challenge = bytes.fromhex("7c2482008120") + bytes(32)
    assert contact.sw("0087e19d", challenge) == SW.INCORRECT_PARAMETERS


@pytest.mark.parametrize(
    "private",
    [
        rsa.generate_private_key(65537, 1024),
        rsa.generate_private_key(65537, 2048),
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate(),
    ],
    ids=lambda key: KEY_TYPE.from_public_key(key.public_key()).name,
)
def test_imported_keys_sign_and_say_so(private: rsa.RSAPrivateKey) -> None:
    """An imported key signs for its public key, and its metadata calls it imported."""
    session = Contact(NEW).authenticated()
    kind = session.put_key(SLOT.RETIRED5, private, PIN_POLICY.NEVER, TOUCH_POLICY.CACHED)
    check_signature(session, SLOT.RETIRED5, private.public_key())
    metadata = session.get_slot_metadata(SLOT.RETIRED5)
    assert metadata.key_type == kind
    assert metadata.public_key == private.public_key()
    assert metadata.generated is False
    assert metadata.pin_policy == PIN_POLICY.NEVER
    assert metadata.touch_policy == TOUCH_POLICY.CACHED


def test_inconsistent_rsa_import_is_refused() -> None:
    """Primes that do not belong to the CRT values are 6A80, and the slot stays empty."""
    contact = Contact(NEW)
    session = contact.authenticated()
    numbers = rsa.generate_private_key(65537, 1024).private_numbers()
    parts = [numbers.p, numbers.q, numbers.dmp1 ^ 2, numbers.dmq1, numbers.iqmp]
    data = b"".join(bytes([tag, 64]) + part.to_bytes(64) for tag, part in enumerate(parts, start=1))
    with pytest.raises(ApduError) as refusal:
        session.protocol.send_apdu(0, 0xFE, KEY_TYPE.RSA1024, SLOT.AUTHENTICATION, data)
    assert refusal.value.sw == SW.INCORRECT_PARAMETERS
    assert contact.sw("00f7009a") == SW.REFERENCE_DATA_NOT_FOUND


@pytest.mark.parametrize(
    ("slot", "policy"),
    [
        (SLOT.AUTHENTICATION, PIN_POLICY.ONCE),
        (SLOT.SIGNATURE, PIN_POLICY.ALWAYS),
        (SLOT.KEY_MANAGEMENT, PIN_POLICY.ONCE),
        (SLOT.CARD_AUTH, PIN_POLICY.NEVER),
        (SLOT.RETIRED1, PIN_POLICY.ONCE),
    ],
)
def test_default_policies(slot: SLOT, policy: PIN_POLICY) -> None:
    """Each slot has the PIN policy of SP 800-73-4, and no touch, when none is given."""
    session = Contact(NEW).authenticated()
    session.generate_key(slot, KEY_TYPE.ECCP256)
    metadata = session.get_slot_metadata(slot)
    assert (metadata.pin_policy, metadata.touch_policy) == (policy, TOUCH_POLICY.NEVER)
    assert metadata.generated


def test_pin_always_is_used_up_by_one_signature() -> None:
    """With "always", a second signature needs a second verification; "once" does not mind."""
    session = Contact(NEW).authenticated()
    signing = session.generate_key(SLOT.SIGNATURE, KEY_TYPE.ECCP256)
    other = session.generate_key(SLOT.AUTHENTICATION, KEY_TYPE.ECCP256)
    check_signature(session, SLOT.SIGNATURE, signing)
    with pytest.raises(ApduError) as refusal:
        check_signature(session, SLOT.SIGNATURE, signing)
    assert refusal.value.sw == SW.SECURITY_CONDITION_NOT_SATISFIED
    check_signature(session, SLOT.AUTHENTICATION, other)
    check_signature(session, SLOT.AUTHENTICATION, other)
    session.verify_pin(PIN)
    check_signature(session, SLOT.SIGNATURE, signing)


def test_pin_never_needs_no_pin() -> None:
    """A key with PIN policy "never" signs in a session that knows no PIN."""
    contact = Contact(NEW)
    session = contact.authenticated()
    key = session.generate_key(SLOT.AUTHENTICATION, KEY_TYPE.ECCP256, PIN_POLICY.NEVER)
    contact.token.reset()
    check_signature(contact.session(), SLOT.AUTHENTICATION, key)


def test_power_and_reset_end_the_session() -> None:
    """After a reset of the card the PIN is wanted again."""
    contact = Contact(NEW)
    key = contact.authenticated().generate_key(SLOT.AUTHENTICATION, KEY_TYPE.ECCP256)
    contact.token.reset()
    with pytest.raises(ApduError) as refusal:
        check_signature(contact.session(), SLOT.AUTHENTICATION, key)
    assert refusal.value.sw == SW.SECURITY_CONDITION_NOT_SATISFIED


def test_touch_always_asks_each_time() -> None:
    """Each use of a key with touch policy "always" asks for a touch; without one it is 6982."""
    contact = Contact(NEW)
    session = contact.authenticated()
    key = session.generate_key(
        SLOT.AUTHENTICATION, KEY_TYPE.ECCP256, PIN_POLICY.ONCE, TOUCH_POLICY.ALWAYS
    )
    check_signature(session, SLOT.AUTHENTICATION, key)
    check_signature(session, SLOT.AUTHENTICATION, key)
    assert contact.touched == 2
    contact.touches = [False]
    with pytest.raises(ApduError) as refusal:
        check_signature(session, SLOT.AUTHENTICATION, key)
    assert refusal.value.sw == SW.SECURITY_CONDITION_NOT_SATISFIED


def test_cached_touch_lasts_fifteen_seconds() -> None:
    """A touch counts for 15 seconds with policy "cached", and no longer."""
    contact = Contact(NEW)
    session = contact.authenticated()
    key = session.generate_key(
        SLOT.AUTHENTICATION, KEY_TYPE.ECCP256, PIN_POLICY.ONCE, TOUCH_POLICY.CACHED
    )
    for later, touches in ((0.0, 1), (14.9, 1), (0.2, 2)):
        contact.now += later
        check_signature(session, SLOT.AUTHENTICATION, key)
        assert contact.touched == touches


def test_move_and_delete() -> None:
    """From 5.7 a key moves with all that belongs to it, never onto another, and can be deleted."""
    contact = Contact(NEW)
    session = contact.authenticated()
    key = session.generate_key(SLOT.AUTHENTICATION, KEY_TYPE.ECCP256)
    session.move_key(SLOT.AUTHENTICATION, SLOT.RETIRED20)
    assert session.get_slot_metadata(SLOT.RETIRED20).public_key == key
    assert contact.sw("00f7009a") == SW.REFERENCE_DATA_NOT_FOUND
    session.generate_key(SLOT.AUTHENTICATION, KEY_TYPE.ECCP256)
    with pytest.raises(ApduError) as refusal:
        session.move_key(SLOT.AUTHENTICATION, SLOT.RETIRED20)
    assert refusal.value.sw == SW.INCORRECT_PARAMETERS
    session.delete_key(SLOT.RETIRED20)
    with pytest.raises(ApduError) as refusal:
        session.delete_key(SLOT.RETIRED20)
    assert refusal.value.sw == SW.REFERENCE_DATA_NOT_FOUND


@pytest.mark.parametrize("kind", [*BIG_RSA, KEY_TYPE.ED25519, KEY_TYPE.X25519])
@pytest.mark.parametrize("model", ["yubikey-4.3.7", "yubikey-5.2.7", "yubikey-5.4.3"])
def test_new_algorithms_need_new_firmware(model: str, kind: KEY_TYPE) -> None:
    """Firmware before 5.7 refuses what it does not know, by itself and not by the library."""
    contact = Contact(model)
    session = contact.authenticated()
    assert contact.sw("0047009a", bytes([0xAC, 3, 0x80, 1, kind])) == SW.INCORRECT_PARAMETERS
    with pytest.raises(NotSupportedError):
        session.generate_key(SLOT.AUTHENTICATION, kind)


def test_wrong_slots_and_templates() -> None:
    """Slots that hold no key and templates that are none are refused, each with its status."""
    contact = Contact(NEW)
    session = contact.authenticated()
    session.generate_key(SLOT.AUTHENTICATION, KEY_TYPE.ECCP256)
    challenge = bytes.fromhex("7c2482008120") + bytes(32)
    table = [
        ("0047009b", bytes.fromhex("ac03800111"), SW.WRONG_PARAMETERS_P1P2),  # not a key
        ("0047019a", bytes.fromhex("ac03800111"), 0x6A86),  # P1
        ("0047009a", bytes.fromhex("ac03800112"), SW.INCORRECT_PARAMETERS),  # algorithm
        ("0047009a", bytes.fromhex("ac0580011199"), SW.INCORRECT_PARAMETERS),  # length lies
        ("0047009a", bytes.fromhex("ac06800111aa0104"), SW.INCORRECT_PARAMETERS),  # fingerprint
        ("0087119c", challenge, SW.INCORRECT_PARAMETERS),  # empty slot
        ("0087149a", challenge, SW.INCORRECT_PARAMETERS),  # another algorithm
        ("008711f9", challenge, SW.WRONG_PARAMETERS_P1P2),  # the attestation key signs nothing
        ("0087119a", challenge[:-1], SW.INCORRECT_PARAMETERS),
        ("0087119a", bytes.fromhex("7c2581218200") + bytes(33), SW.INCORRECT_PARAMETERS),
        ("0087119a", bytes.fromhex("7c0482008500"), SW.INCORRECT_PARAMETERS),  # not a point
    ]
    for head, data, expected in table:
        assert contact.sw(head, data) == expected, head + data.hex()
