"""Attestation statements of the virtual PIV application, beside those of a real key."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from yubikit.core.smartcard import SW, ApduError
from yubikit.piv import KEY_TYPE, PIN_POLICY, SLOT, TOUCH_POLICY

from tests.piv_contact import SERIAL, Contact, roots

VECTORS = Path(__file__).parent.parent / "vectors" / "yubikey-5.4.3-fips"
ARC = "1.3.6.1.4.1.41482.3."


def shape(certificate: x509.Certificate) -> list[object]:
    """Everything of a certificate but its key, serial number and signature."""
    extensions = [
        (
            extension.oid.dotted_string,
            extension.critical,
            extension.value.public_bytes(),
        )
        for extension in certificate.extensions
    ]
    return [
        certificate.version,
        certificate.subject.public_bytes(),
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        certificate.signature_algorithm_oid,
        certificate.signature_algorithm_parameters is not None,
        extensions,
    ]


def real(name: str) -> x509.Certificate:
    """A certificate read off a real key."""
    return x509.load_pem_x509_certificate((VECTORS / name).read_bytes())


def test_statements_have_the_shape_of_real_ones() -> None:
    """Statements for 9a and 9c of a 5.4.3 FIPS key equal real ones but for keys and numbers."""
    session = Contact("yubikey-5.4.3-fips").authenticated()
    session.generate_key(SLOT.AUTHENTICATION, KEY_TYPE.ECCP256)
    session.generate_key(SLOT.SIGNATURE, KEY_TYPE.RSA2048)
    for slot, name in ((SLOT.AUTHENTICATION, "9a"), (SLOT.SIGNATURE, "9c")):
        ours, theirs = session.attest_key(slot), real(f"attestation-{name}.crt")
        assert shape(ours) == shape(theirs)
        assert ours.issuer == theirs.issuer
        assert ours.serial_number.bit_length() == theirs.serial_number.bit_length() == 121


def test_f9_has_the_shape_of_a_real_one() -> None:
    """The f9 certificate of a 5.4.3 FIPS key equals a real one but for its issuer and key."""
    session = Contact("yubikey-5.4.3-fips").session()
    ours, theirs = session.get_certificate(SLOT.ATTESTATION), real("attestation-intermediate.crt")
    assert shape(ours) == shape(theirs)
    assert "not for real tokens" in ours.issuer.rfc4514_string()


@pytest.mark.parametrize(
    "model", ["yubikey-4.3.7", "yubikey-5.2.7", "yubikey-5.4.3", "yubikey-5.7.4"]
)
def test_signatures_up_to_the_root(model: str) -> None:
    """Statement, f9 and what stands above it verify, each under the next, for each firmware."""
    contact = Contact(model)
    session = contact.authenticated()
    key = session.generate_key(SLOT.RETIRED3, KEY_TYPE.ECCP384)
    chain = [session.attest_key(SLOT.RETIRED3), session.get_certificate(SLOT.ATTESTATION)]
    made = roots()
    if contact.model.version >= (5, 7, 4):
        chain += [made.piv.certificate, made.intermediate.certificate, made.root.certificate]
    else:
        chain += [made.old_piv_root.certificate]
    assert chain[0].public_key() == key
    for certificate, issuer in zip(chain, chain[1:] + chain[-1:], strict=True):
        certificate.verify_directly_issued_by(issuer)


def test_extensions_tell_serial_and_policies() -> None:
    """Firmware, serial number, policies and form factor are encoded as documented."""
    contact = Contact()
    session = contact.authenticated()
    session.generate_key(
        SLOT.AUTHENTICATION, KEY_TYPE.ECCP256, PIN_POLICY.ALWAYS, TOUCH_POLICY.CACHED
    )
    statement = session.attest_key(SLOT.AUTHENTICATION)
    values = {
        extension.oid.dotted_string: extension.value.public_bytes()
        for extension in statement.extensions
    }
    assert values == {
        ARC + "3": bytes([5, 7, 4]),
        ARC + "7": b"\x02\x04" + SERIAL.to_bytes(4),
        ARC + "8": bytes([3, 3]),
        ARC + "9": bytes([contact.model.form_factor]),
    }


def test_only_generated_keys_are_attested() -> None:
    """An imported key has no statement, nor has an empty slot."""
    session = Contact().authenticated()
    session.put_key(SLOT.AUTHENTICATION, ec.generate_private_key(ec.SECP256R1()))
    for slot in (SLOT.AUTHENTICATION, SLOT.SIGNATURE):
        with pytest.raises(ApduError) as refusal:
            session.attest_key(slot)
        assert refusal.value.sw in (SW.INCORRECT_PARAMETERS, SW.REFERENCE_DATA_NOT_FOUND)


def test_moved_key_is_attested_where_it_is() -> None:
    """A statement for a moved key names the slot that it is in now."""
    session = Contact().authenticated()
    session.generate_key(SLOT.AUTHENTICATION, KEY_TYPE.ECCP256)
    session.move_key(SLOT.AUTHENTICATION, SLOT.RETIRED1)
    subject = session.attest_key(SLOT.RETIRED1).subject.rfc4514_string()
    assert subject == "CN=YubiKey PIV Attestation 82"


def test_own_attestation_key() -> None:
    """A key and certificate put into f9 attest from then on, with ECDSA when the key is EC."""
    session = Contact().authenticated()
    private = ec.generate_private_key(ec.SECP384R1())
    template = roots().certify_f9(
        private.public_key(), version=(5, 7, 4), fips=False, random=lambda size: b"\x01" * size
    )
    session.put_key(SLOT.ATTESTATION, private)
    session.put_certificate(SLOT.ATTESTATION, template)
    session.generate_key(SLOT.AUTHENTICATION, KEY_TYPE.ED25519)
    statement = session.attest_key(SLOT.AUTHENTICATION)
    private.public_key().verify(
        statement.signature, statement.tbs_certificate_bytes, ec.ECDSA(hashes.SHA256())
    )


def test_tokens_of_one_batch_share_f9() -> None:
    """Two tokens of a firmware have one f9 certificate, as real ones of a batch have."""
    first, second = (Contact().session().get_certificate(SLOT.ATTESTATION) for _ in range(2))
    assert first == second


def test_f9_metadata() -> None:
    """The attestation key is an imported RSA 2048 key, as on real tokens."""
    session = Contact().session()
    metadata = session.get_slot_metadata(SLOT.ATTESTATION)
    assert (metadata.key_type, metadata.generated) == (KEY_TYPE.RSA2048, False)
    certificate = session.get_certificate(SLOT.ATTESTATION)
    assert metadata.public_key == certificate.public_key()


def test_statement_signature_is_pkcs1() -> None:
    """A statement under the factory's key is signed with PKCS#1 v1.5 and SHA-256."""
    session = Contact().authenticated()
    session.generate_key(SLOT.AUTHENTICATION, KEY_TYPE.X25519)
    statement = session.attest_key(SLOT.AUTHENTICATION)
    key = session.get_certificate(SLOT.ATTESTATION).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    key.verify(
        statement.signature,
        statement.tbs_certificate_bytes,
        padding.PKCS1v15(),
        hashes.SHA256(),
    )
