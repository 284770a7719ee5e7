"""Data objects, certificates, touch and attestation of the virtual OpenPGP application."""

from __future__ import annotations

import hashlib
import os

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from yubikit.core import NotSupportedError
from yubikit.core.smartcard import SW, ApduError
from yubikit.openpgp import DO, KEY_REF, OID, RSA_SIZE, UIF, OpenPgpSession

from tests.openpgp_contact import ADMIN_PIN, PIN, SERIAL, Contact
from tests.piv_contact import roots

ARC = "1.3.6.1.4.1.41482.5."
USED = (KEY_REF.SIG, KEY_REF.DEC, KEY_REF.AUT)


def put(tag: str, content: str) -> str:
    """A short PUT DATA in hex."""
    return f"00da{tag}{len(content) // 2:02x}{content}"


@pytest.mark.parametrize(
    ("tag", "longest"), [("005b", 39), ("5f2d", 8), ("005e", 255), ("5f50", 255), ("0102", 255)]
)
def test_plain_objects(tag: str, longest: int) -> None:
    """What is written with PW3 is read as it is, up to the longest; without PW3 it is 6982."""
    contact = Contact()
    session = contact.session()
    assert contact.sw(put(tag, "61")) == SW.SECURITY_CONDITION_NOT_SATISFIED
    session.verify_admin(ADMIN_PIN)
    content = os.urandom(longest).hex()
    assert contact.sw(put(tag, content)) == 0x9000
    assert contact.exchange(f"00ca{tag}00") == content + "9000"
    longer = f"00da{tag}00{longest + 1:04x}" + "61" * (longest + 1)
    assert contact.sw(longer) == SW.INCORRECT_PARAMETERS
    assert contact.sw(put(tag, "")[:-2]) == 0x9000
    assert contact.exchange(f"00ca{tag}00") == "9000"


@pytest.mark.parametrize(
    ("tag", "reads", "writes"),
    [
        (DO.PRIVATE_USE_1, {"none", "user", "admin"}, {"user"}),
        (DO.PRIVATE_USE_2, {"none", "user", "admin"}, {"admin"}),
        (DO.PRIVATE_USE_3, {"user"}, {"user"}),
        (DO.PRIVATE_USE_4, {"admin"}, {"admin"}),
    ],
)
def test_private_objects(tag: DO, reads: set[str], writes: set[str]) -> None:
    """Each private object is read and written by whom the specification names, no other."""
    for who in ("none", "user", "admin"):
        contact = Contact()
        session = contact.session()
        if who == "user":
            session.verify_pin(PIN, extended=True)
        elif who == "admin":
            session.verify_admin(ADMIN_PIN)
        assert (contact.sw(f"00ca{tag:04x}00") == 0x9000) == (who in reads)
        assert (contact.sw(put(f"{tag:04x}", "61")) == 0x9000) == (who in writes)


def test_objects_that_there_are_not() -> None:
    """An unknown object is 6B00 to read and to write, and so are later ones on firmware 4."""
    contact, old = Contact(), Contact("yubikey-4.3.7")
    contact.authenticated()
    old.authenticated()
    for tag in ("0001", "5fff", "00d5"):
        assert contact.sw(f"00ca{tag}00") == contact.sw(put(tag, "61")) == 0x6B00
    for tag in ("00f9", "00fa", "00fc", "00d9", "00de"):
        assert contact.sw(f"00ca{tag}000bfe") == 0x9000
        assert old.sw(f"00ca{tag}00") == 0x6B00
    assert old.sw("0084000008") == old.sw("00a50104") == SW.INVALID_INSTRUCTION


def test_values_of_a_wrong_form() -> None:
    """Sex, fingerprints, times, policy and user interaction are checked."""
    contact = Contact()
    contact.authenticated()
    for tag, content in (
        ("5f35", "33"),
        ("00c7", "aa" * 19),
        ("00ca", "aa" * 21),
        ("00ce", "aa" * 3),
        ("00c4", "02"),
        ("00c4", "0001"),
        ("00d6", "0520"),
        ("00d6", "0100"),
        ("00d6", "01"),
    ):
        assert contact.sw(put(tag, content)) == SW.INCORRECT_PARAMETERS, (tag, content)


def test_fingerprints_and_times() -> None:
    """Fingerprints, those of authorities and times of generation are found where they belong."""
    session = Contact().authenticated()
    for number, slot in enumerate(KEY_REF, start=1):
        session.set_fingerprint(slot, bytes([number]) * 20)
        session.set_generation_time(slot, 1_000_000_000 + number)
    session.put_data(DO.CA_FINGERPRINT_3, b"\x09" * 20)
    assert [*session.get_fingerprints().values()] == [bytes([n]) * 20 for n in range(1, 5)]
    assert [*session.get_generation_times().values()] == [1_000_000_001 + n for n in range(4)]
    discretionary = session.get_application_related_data().discretionary
    assert discretionary.ca_fingerprints[KEY_REF.AUT] == b"\x09" * 20


def test_random_numbers() -> None:
    """GET CHALLENGE gives as many bytes as asked for, up to the announced maximum."""
    contact = Contact()
    session = contact.session()
    assert len(session.get_challenge(8)) == 8
    assert session.get_challenge(3070) != session.get_challenge(3070)
    assert contact.sw("00840000000bff") == SW.WRONG_LENGTH
    with pytest.raises(NotSupportedError):
        Contact("yubikey-4.3.7").session().get_challenge(8)


@pytest.mark.parametrize("model", ["yubikey-5.2.7", "yubikey-5.4.3", "yubikey-5.7.4"])
def test_three_certificates(model: str) -> None:
    """Each slot has a certificate of its own, written and deleted by the client."""
    session = Contact(model).authenticated()
    certificates = dict(
        zip(USED, (roots().root, roots().piv, roots().fido), strict=True),
    )
    for slot, authority in certificates.items():
        session.put_certificate(slot, authority.certificate)
    for slot, authority in certificates.items():
        assert session.get_certificate(slot) == authority.certificate
    session.delete_certificate(KEY_REF.DEC)
    with pytest.raises(ValueError, match="No certificate"):
        session.get_certificate(KEY_REF.DEC)
    assert session.get_certificate(KEY_REF.AUT) == certificates[KEY_REF.AUT].certificate


def test_select_data_by_firmware() -> None:
    """Until 5.4.3 SELECT DATA has a length before its data; later that is refused."""
    plain, prefixed = "00a502040660045c027f21", "00a50204070660045c027f21"
    for model, good, bad in (
        ("yubikey-5.4.3", prefixed, plain),
        ("yubikey-5.7.4", plain, prefixed),
    ):
        contact = Contact(model)
        contact.session()
        assert contact.sw(good) == 0x9000
        assert contact.sw(bad) == SW.INCORRECT_PARAMETERS
        assert contact.sw(good.replace("00a502", "00a503")) == SW.REFERENCE_DATA_NOT_FOUND


def test_one_certificate_on_firmware_4() -> None:
    """Firmware 4 has the authentication key's certificate alone, of 1,216 bytes at most."""
    contact = Contact("yubikey-4.3.7")
    session = contact.authenticated()
    session.put_certificate(KEY_REF.AUT, roots().piv.certificate)
    assert session.get_certificate(KEY_REF.AUT) == roots().piv.certificate
    with pytest.raises(NotSupportedError):
        session.put_certificate(KEY_REF.SIG, roots().piv.certificate)
    assert contact.sw("00da7f210004c1" + "30" * 1217) == SW.WRONG_LENGTH


def signs(session: OpenPgpSession, contact: Contact) -> tuple[bool, int]:
    """Whether a signature comes, and for how many touches it asked."""
    before = contact.touched
    try:
        session.sign(b"x", hashes.SHA256())
    except ApduError as refusal:
        if refusal.sw != 0x6600:
            raise
        return False, contact.touched - before
    return True, contact.touched - before


@pytest.mark.parametrize("uif", UIF)
def test_touch(uif: UIF) -> None:
    """The flag decides for how many touches three signatures ask; a cached one lasts 15 s."""
    contact = Contact()
    session = contact.authenticated()
    session.generate_ec_key(KEY_REF.SIG, OID.Ed25519)
    session.set_uif(KEY_REF.SIG, uif)
    assert session.get_uif(KEY_REF.SIG) is uif
    assert session.get_application_related_data().discretionary.uif_sig is uif
    asked = [signs(session, contact)[1] for _ in range(2)]
    contact.now += 15.0
    asked.append(signs(session, contact)[1])
    cached = [1, 0, 1] if uif.is_cached else [1, 1, 1]
    assert asked == ([0, 0, 0] if uif is UIF.OFF else cached)


def test_no_touch_no_signature() -> None:
    """Without a touch the answer is 6600, and the counter stays."""
    contact = Contact()
    session = contact.authenticated()
    session.generate_ec_key(KEY_REF.SIG, OID.Ed25519)
    session.set_uif(KEY_REF.SIG, UIF.ON)
    contact.touches = [False, True]
    assert signs(session, contact) == (False, 1)
    assert session.get_signature_counter() == 0
    assert signs(session, contact) == (True, 1)


def test_fixed_touch_goes_with_the_key() -> None:
    """A fixed flag cannot be changed until its key is replaced."""
    contact = Contact()
    session = contact.authenticated()
    session.generate_ec_key(KEY_REF.SIG, OID.Ed25519)
    session.set_uif(KEY_REF.SIG, UIF.FIXED)
    assert contact.sw(put("00d6", "0020")) == SW.SECURITY_CONDITION_NOT_SATISFIED
    session.generate_ec_key(KEY_REF.SIG, OID.Ed25519)
    assert session.get_uif(KEY_REF.SIG) is UIF.OFF
    assert contact.sw(put("00d6", "0120")) == 0x9000


def test_firmware_4_knows_no_cached_touch() -> None:
    """Firmware 4 has on, off and fixed, read from objects of their own."""
    contact = Contact("yubikey-4.3.7")
    session = contact.authenticated()
    session.set_uif(KEY_REF.AUT, UIF.ON)
    assert session.get_uif(KEY_REF.AUT) is UIF.ON
    assert contact.sw(put("00d7", "0320")) == SW.INCORRECT_PARAMETERS


# --- attestation ---------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["yubikey-5.2.7", "yubikey-5.4.3", "yubikey-5.7.4"])
def test_attestation_verifies_up_to_the_root(model: str) -> None:
    """Statement, attestation certificate and what is above verify, each under the next."""
    contact = Contact(model)
    session = contact.authenticated()
    key = session.generate_ec_key(KEY_REF.SIG, OID.SECP256R1)
    chain = [session.attest_key(KEY_REF.SIG), session.get_certificate(KEY_REF.ATT)]
    made = roots()
    if contact.model.version >= (5, 7, 4):
        chain += [made.openpgp.certificate, made.intermediate.certificate, made.root.certificate]
    else:
        chain += [made.old_openpgp_root.certificate]
    assert chain[0].public_key() == key
    assert session.get_certificate(KEY_REF.SIG) == chain[0]
    for certificate, issuer in zip(chain, chain[1:] + chain[-1:], strict=True):
        certificate.verify_directly_issued_by(issuer)


def test_attestation_says_all() -> None:
    """The extensions hold what is known of the key, as DER, in the order of their numbers."""
    session = Contact().authenticated()
    session.generate_ec_key(KEY_REF.SIG, OID.Ed25519)
    session.put_data(DO.NAME, b"Doe<<Jane")
    session.set_fingerprint(KEY_REF.SIG, b"\x0f" * 20)
    session.set_generation_time(KEY_REF.SIG, 0x65000000)
    session.set_uif(KEY_REF.SIG, UIF.CACHED)
    session.sign(b"x", hashes.SHA256())
    statement = session.attest_key(KEY_REF.SIG)
    assert statement.subject.rfc4514_string() == "CN=YubiKey OPGP Attestation SIG"
    assert statement.issuer.rfc4514_string() == "CN=YubiKey OPGP Attestation"
    values = [(e.oid.dotted_string, e.value.public_bytes().hex()) for e in statement.extensions]
    assert values == [
        (ARC + "1", "0c09" + b"Doe<<Jane".hex()),
        (ARC + "2", "020101"),
        (ARC + "3", "0403050704"),
        (ARC + "4", "0414" + "0f" * 20),
        (ARC + "5", "040465000000"),
        (ARC + "6", "020101"),
        (ARC + "7", "0204" + f"{SERIAL:08x}"),
        (ARC + "8", "040103"),
        (ARC + "9", "040101"),
    ]


def test_only_generated_keys_are_attested() -> None:
    """An imported key has no statement, an empty slot none either; PW1 is wanted."""
    contact = Contact()
    session = contact.session()
    assert contact.sw("80fb0100") == SW.SECURITY_CONDITION_NOT_SATISFIED
    session = contact.authenticated()
    assert contact.sw("80fb0100") == SW.REFERENCE_DATA_NOT_FOUND
    session.put_key(KEY_REF.SIG, ec.generate_private_key(ec.SECP256R1()))
    assert contact.sw("80fb0100") == SW.CONDITIONS_NOT_SATISFIED
    assert contact.sw("00fb0100") == SW.CLASS_NOT_SUPPORTED


def test_own_attestation_key() -> None:
    """A key and certificate of one's own attest from then on, with a touch when asked for."""
    contact = Contact()
    session = contact.authenticated()
    private = ec.generate_private_key(ec.SECP384R1())
    template = roots().certify_openpgp(
        private.public_key(), version=(5, 7, 4), random=lambda size: b"\x01" * size
    )
    session.put_key(KEY_REF.ATT, private)
    session.put_certificate(KEY_REF.ATT, template)
    session.set_uif(KEY_REF.ATT, UIF.ON)
    session.generate_rsa_key(KEY_REF.DEC, RSA_SIZE.RSA2048)
    statement = session.attest_key(KEY_REF.DEC)
    assert contact.touched == 1
    private.public_key().verify(
        statement.signature, statement.tbs_certificate_bytes, ec.ECDSA(hashes.SHA256())
    )


def test_factory_fingerprint_is_openpgps() -> None:
    """The fingerprint of the factory's key is that of an RSA key with its time (RFC 4880, 12.2)."""
    session = Contact().session()
    key = session.get_public_key(KEY_REF.ATT)
    assert isinstance(key, rsa.RSAPublicKey)
    assert session.get_certificate(KEY_REF.ATT).public_key() == key
    body = b"\x04" + session.get_generation_times()[KEY_REF.ATT].to_bytes(4) + b"\x01"
    body += b"\x08\x00" + key.public_numbers().n.to_bytes(256) + b"\x00\x11\x01\x00\x01"
    digest = hashlib.sha1(b"\x99" + len(body).to_bytes(2) + body, usedforsecurity=False).digest()
    assert session.get_fingerprints()[KEY_REF.ATT] == digest
