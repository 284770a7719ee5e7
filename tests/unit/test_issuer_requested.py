"""What a PKCS#10 request asks for: as OpenSSL prints it, and as the local authority gives it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.serialization import Encoding
from yubikit.piv import KEY_TYPE

from tests.certificate_requests import NOW, SETTINGS, openssl, p256, request_for, spki
from tokenprov.errors import IssuerError
from tokenprov.issuer import CertificateRequest, LocalCa, Usage
from tokenprov.issuer.requested import OID_PERMANENT_IDENTIFIER, requested_extensions
from tokenprov.steps.piv.signature import certification_request

SID = "S-1-5-21-1004336348-1177238915-682003330-512"


def signed(
    key: ec.EllipticCurvePrivateKey, request: CertificateRequest, *, names_token: bool = False
) -> x509.CertificateSigningRequest:
    """The request, as a token would sign it."""
    return x509.load_der_x509_csr(
        certification_request(
            request.public_key,
            KEY_TYPE.ECCP256,
            request.settings.subject,
            lambda message: key.sign(message, ec.ECDSA(hashes.SHA256())),
            requested_extensions(request, names_token=names_token),
        )
    )


def test_it_asks_for_what_the_local_authority_gives(tmp_path: Path) -> None:
    """Each extension is the one that stands in a certificate of the station's own."""
    key = p256()
    settings = replace(SETTINGS, sid=SID, policies=("1.2.3.4",))
    request = request_for(key, settings=settings)
    csr = signed(key, request)
    issued = LocalCa.create(tmp_path, "Example Test CA", NOW).issue(request, NOW)
    given = {one.oid: one for one in x509.load_der_x509_certificate(issued.der).extensions}
    assert csr.is_signature_valid
    assert len(csr.extensions) == 5
    assert [one for one in csr.extensions if given[one.oid] != one] == []


def test_openssl_reads_it(tmp_path: Path) -> None:
    """Subject, names and usages, in OpenSSL's words; the signature verifies."""
    key = p256()
    csr = signed(key, request_for(key))
    text = openssl(
        *("req", "-inform", "DER", "-verify", "-noout", "-text", "-nameopt", "utf8"),
        given=csr.public_bytes(Encoding.DER),
    )
    for words in (
        "CN=Zoë Åkesson",
        "email:zoe@example.test",
        "UPN::zoë.åkesson@corp.example.test",
        "Digital Signature",
        "TLS Web Client Authentication, Microsoft Smartcard Login",
    ):
        assert words in text


def test_it_names_the_token_where_that_is_asked() -> None:
    """RFC 4043: PermanentIdentifier ::= SEQUENCE { identifierValue UTF8String }, no assigner."""
    key = p256()
    plain = signed(key, request_for(key)).extensions
    named = signed(key, request_for(key), names_token=True).extensions
    (other,) = set(names(named)) - set(names(plain))
    assert isinstance(other, x509.OtherName)
    assert other.type_id == OID_PERMANENT_IDENTIFIER
    assert other.value == b"\x30\x0a\x0c\x0812345678"


def names(extensions: x509.Extensions) -> list[x509.GeneralName]:
    """The alternative names."""
    return list(extensions.get_extension_for_class(x509.SubjectAlternativeName).value)


def test_what_cannot_be_asked_for_is_refused() -> None:
    """A holder without a UPN, and a key that signs nothing."""
    key = p256()
    request = request_for(key)
    with pytest.raises(IssuerError, match="no user principal name"):
        requested_extensions(
            replace(request, holder=replace(request.holder, upn="")), names_token=False
        )
    other = replace(request, public_key=spki(x25519.X25519PrivateKey.generate()))
    with pytest.raises(IssuerError, match="cannot sign a request"):
        requested_extensions(other, names_token=False)


def test_a_key_that_decrypts_asks_for_no_signature() -> None:
    """What is for decrypting asks for key agreement alone, on a curve."""
    key = p256()
    settings = replace(SETTINGS, encryption=True, usages=(Usage.EMAIL_PROTECTION,))
    csr = signed(key, request_for(key, settings=settings))
    usage = csr.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.key_agreement, usage.digital_signature) == (True, False)
