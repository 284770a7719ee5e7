"""Keys of the virtual OpenPGP application, used through the maker's client library."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, x25519
from yubikit.core import NotSupportedError
from yubikit.core.smartcard import SW, ApduError
from yubikit.openpgp import (
    KEY_REF,
    KEY_STATUS,
    OID,
    PW,
    RSA_SIZE,
    EcAttributes,
    OpenPgpSession,
    PrivateKey,
    PublicKey,
    RsaAttributes,
)

from tests.openpgp_contact import ADMIN_PIN, PIN, Contact

MESSAGE = b"a message that is signed"
WEIERSTRASS = [oid for oid in OID if "25519" not in oid.name]
HASHES = [hashes.SHA256(), hashes.SHA384(), hashes.SHA512()]


def check_signature(public: PublicKey, signature: bytes, algorithm: hashes.HashAlgorithm) -> None:
    """Verify a signature of `MESSAGE` with the library's own implementation."""
    if isinstance(public, rsa.RSAPublicKey):
        public.verify(signature, MESSAGE, padding.PKCS1v15(), algorithm)
    elif isinstance(public, ec.EllipticCurvePublicKey):
        public.verify(signature, MESSAGE, ec.ECDSA(algorithm))
    else:
        assert isinstance(public, ed25519.Ed25519PublicKey)
        public.verify(signature, MESSAGE)


def generated(session: OpenPgpSession, slot: KEY_REF, oid: OID | None) -> PublicKey:
    """A key made in the token: on a curve, or RSA 2048."""
    if oid is None:
        return session.generate_rsa_key(slot, RSA_SIZE.RSA2048)
    return session.generate_ec_key(slot, oid)


@pytest.mark.parametrize("oid", [None, *WEIERSTRASS, OID.Ed25519], ids=str)
def test_generated_keys_sign_and_authenticate(oid: OID | None) -> None:
    """Each algorithm signs in SIG and in AUT, with every hash that OpenPGP has for it."""
    session = Contact().authenticated()
    public = generated(session, KEY_REF.SIG, oid)
    assert session.get_public_key(KEY_REF.SIG) == public
    for algorithm in HASHES:
        check_signature(public, session.sign(MESSAGE, algorithm), algorithm)
    assert session.get_signature_counter() == len(HASHES)
    public = generated(session, KEY_REF.AUT, oid)
    check_signature(public, session.authenticate(MESSAGE, hashes.SHA512()), hashes.SHA512())
    assert session.get_signature_counter() == len(HASHES)
    assert session.get_key_information()[KEY_REF.AUT] is KEY_STATUS.GENERATED


@pytest.mark.parametrize("oid", [*WEIERSTRASS, OID.X25519], ids=str)
def test_generated_keys_agree(oid: OID) -> None:
    """Both sides of a key agreement come to the same secret."""
    session = Contact().authenticated()
    public = session.generate_ec_key(KEY_REF.DEC, oid)
    if isinstance(public, x25519.X25519PublicKey):
        other = x25519.X25519PrivateKey.generate()
        assert session.decrypt(other.public_key()) == other.exchange(public)
    else:
        assert isinstance(public, ec.EllipticCurvePublicKey)
        peer = ec.generate_private_key(public.curve)
        assert session.decrypt(peer.public_key()) == peer.exchange(ec.ECDH(), public)


def test_rsa_decrypts() -> None:
    """What is encrypted to an RSA key comes back; what is not, is refused."""
    session = Contact().authenticated()
    public = session.generate_rsa_key(KEY_REF.DEC, RSA_SIZE.RSA2048)
    assert session.decrypt(public.encrypt(MESSAGE, padding.PKCS1v15())) == MESSAGE
    with pytest.raises(ApduError) as refusal:
        session.decrypt(bytes(255) + b"\x02")
    assert refusal.value.sw == SW.INCORRECT_PARAMETERS


IMPORTED: list[PrivateKey] = [
    rsa.generate_private_key(65537, 2048),
    rsa.generate_private_key(65537, 3072),
    *(ec.generate_private_key(getattr(ec, oid.name)()) for oid in WEIERSTRASS[:1]),
    *(ec.derive_private_key(0x1234567, getattr(ec, oid.name)()) for oid in WEIERSTRASS[1:]),
    ed25519.Ed25519PrivateKey.generate(),
]


@pytest.mark.parametrize("private", IMPORTED, ids=lambda key: type(key).__name__)
def test_imported_keys_sign(private: PrivateKey) -> None:
    """An imported key signs for its public key, and the key information calls it imported."""
    session = Contact().authenticated()
    session.put_key(KEY_REF.SIG, private)
    public = private.public_key()
    assert session.get_public_key(KEY_REF.SIG) == public
    check_signature(public, session.sign(MESSAGE, hashes.SHA256()), hashes.SHA256())
    assert session.get_key_information()[KEY_REF.SIG] is KEY_STATUS.IMPORTED


def test_imported_x25519_agrees() -> None:
    """An X25519 key goes in with its bytes turned round and agrees as itself."""
    session = Contact("yubikey-5.4.3").authenticated()
    private, other = x25519.X25519PrivateKey.generate(), x25519.X25519PrivateKey.generate()
    session.put_key(KEY_REF.DEC, private)
    assert session.decrypt(other.public_key()) == private.exchange(other.public_key())


def test_rsa_4096_needs_all_lengths() -> None:
    """A 4096-bit key is made, read, used and read back over long commands and answers."""
    session = Contact("yubikey-4.3.7").authenticated()
    public = session.generate_rsa_key(KEY_REF.SIG, RSA_SIZE.RSA4096)
    session.set_generation_time(KEY_REF.SIG, 1_700_000_000)
    assert session.get_public_key(KEY_REF.SIG) == public
    check_signature(public, session.sign(MESSAGE, hashes.SHA512()), hashes.SHA512())


def test_firmware_4_wants_a_time() -> None:
    """On firmware 4 a key is not used before its time of generation is set."""
    session = Contact("yubikey-4.3.7").authenticated()
    session.put_key(KEY_REF.SIG, IMPORTED[0])
    with pytest.raises(ApduError) as refusal:
        session.sign(MESSAGE, hashes.SHA256())
    assert refusal.value.sw == SW.REFERENCE_DATA_NOT_FOUND


@pytest.mark.parametrize("model", ["yubikey-5.2.7", "yubikey-5.4.3", "yubikey-5.7.4"])
def test_what_slots_may_be_set_to(model: str) -> None:
    """After the client's corrections every slot offers what it can do, and can be set to it."""
    session = Contact(model).authenticated()
    supported = session.get_algorithm_information()
    sizes = [RsaAttributes.create(size) for size in RSA_SIZE]
    for slot in KEY_REF:
        curves = [EcAttributes.create(slot, oid) for oid in WEIERSTRASS]
        if slot in (KEY_REF.SIG, KEY_REF.AUT):
            curves.append(EcAttributes.create(slot, OID.Ed25519))
        elif slot is KEY_REF.DEC:
            curves.append(EcAttributes.create(slot, OID.X25519))
        order = sorted(supported[slot], key=bytes)
        assert order == sorted([*sizes, *curves], key=bytes)
    for slot in (KEY_REF.SIG, KEY_REF.DEC, KEY_REF.AUT):
        for attributes in supported[slot]:
            session.set_algorithm_attributes(slot, attributes)
            assert session.get_algorithm_attributes(slot) == attributes


def test_foreign_attributes_are_refused() -> None:
    """Sizes, curves and formats that are not offered are 6A80, and curves on firmware 4 too."""
    contact = Contact()
    contact.authenticated()
    for content in ("010400001100", "010800001103", "162b060104019755010501", "13"):
        assert contact.sw(f"00da00c1{len(content) // 2:02x}{content}") == SW.INCORRECT_PARAMETERS
    assert contact.sw("00da00c20a162b06010401da470f01") == SW.INCORRECT_PARAMETERS
    old = Contact("yubikey-4.3.7").authenticated()
    with pytest.raises(NotSupportedError):
        old.generate_ec_key(KEY_REF.SIG, OID.SECP256R1)


def test_new_attributes_remove_the_key() -> None:
    """The same attributes leave the key alone, others remove it; so a client deletes keys."""
    session = Contact().authenticated()
    public = session.generate_ec_key(KEY_REF.SIG, OID.SECP256R1)
    session.set_algorithm_attributes(KEY_REF.SIG, EcAttributes.create(KEY_REF.SIG, OID.SECP256R1))
    assert session.get_public_key(KEY_REF.SIG) == public
    session.delete_key(KEY_REF.SIG)
    assert session.get_key_information()[KEY_REF.SIG] is KEY_STATUS.NONE
    with pytest.raises(ApduError) as refusal:
        session.get_public_key(KEY_REF.SIG)
    assert refusal.value.sw == SW.REFERENCE_DATA_NOT_FOUND


def test_keys_want_their_passwords() -> None:
    """Making wants PW3, signing PW1 as 81, the rest PW1 as 82, and none stands for another."""
    contact = Contact()
    session = contact.session()
    for refused in (
        lambda: session.generate_ec_key(KEY_REF.SIG, OID.Ed25519),
        lambda: session.put_key(KEY_REF.SIG, IMPORTED[0]),
    ):
        with pytest.raises(ApduError) as refusal:
            refused()
        assert refusal.value.sw == SW.SECURITY_CONDITION_NOT_SATISFIED
    session.verify_admin(ADMIN_PIN)
    session.generate_ec_key(KEY_REF.SIG, OID.Ed25519)
    session.generate_ec_key(KEY_REF.AUT, OID.Ed25519)
    sign, authenticate = "002a9e9a03616263", "0088000003616263"
    assert contact.sw(sign + "00") == contact.sw(authenticate + "00") == 0x6982
    session.verify_pin(PIN)
    assert (contact.sw(sign + "00"), contact.sw(authenticate + "00")) == (0x9000, 0x6982)
    session.unverify_pin(PW.USER)
    session.verify_pin(PIN, extended=True)
    assert (contact.sw(sign + "00"), contact.sw(authenticate + "00")) == (0x6982, 0x9000)


def test_imports_that_do_not_fit_are_refused() -> None:
    """A key of other attributes, a wrong slot and a template with a rest are 6A80."""
    contact = Contact()
    session = contact.authenticated()
    for content in (
        "4d2db8038401017f480292205f4820" + "ab" * 32,  # CRT of DEC with the reference of SIG
        "4d2ab8007f480292205f4820" + "ab" * 32,  # RSA wanted
        "4d2bb8007f480292205f4821" + "ab" * 33,  # one byte too many
        "4d2ab8007f480292215f4820" + "ab" * 32,  # one byte too few
        "4d0bb8007f48009200" + "5f4800",  # no template at all
    ):
        assert contact.sw(f"00db3fff{len(content) // 2:02x}{content}") == SW.INCORRECT_PARAMETERS
    session.set_algorithm_attributes(KEY_REF.DEC, EcAttributes.create(KEY_REF.DEC, OID.X25519))
    assert contact.sw("00db3fff2c4d2ab8007f480292205f4820" + "ab" * 32) == 0x9000


def test_long_digest_info_is_refused() -> None:
    """What an RSA key signs is at most 40 % of its modulus."""
    contact = Contact()
    contact.authenticated().generate_rsa_key(KEY_REF.SIG, RSA_SIZE.RSA2048)
    assert contact.sw("002a9e9a66" + "aa" * 102 + "00") == 0x9000
    assert contact.sw("002a9e9a67" + "aa" * 103 + "00") == SW.INCORRECT_PARAMETERS


def test_fips_key_wants_new_passwords_and_fewer_algorithms() -> None:
    """A FIPS key of firmware 5.7 makes keys once PW1 and PW3 are changed; not on secp256k1."""
    session = Contact("yubikey-5.7.4-fips").authenticated()
    with pytest.raises(ApduError) as refusal:
        session.generate_ec_key(KEY_REF.SIG, OID.SECP256R1)
    assert refusal.value.sw == SW.CONDITIONS_NOT_SATISFIED
    session.change_pin(PIN, "75318642")
    session.change_admin(ADMIN_PIN, "97531864")
    session.generate_ec_key(KEY_REF.SIG, OID.SECP256R1)
    for slot, oid in ((KEY_REF.SIG, OID.SECP256K1), (KEY_REF.DEC, OID.X25519)):
        with pytest.raises(NotSupportedError):
            session.generate_ec_key(slot, oid)
    session.generate_rsa_key(KEY_REF.DEC, RSA_SIZE.RSA2048)
    with pytest.raises(ApduError):
        session.decrypt(bytes(256))
