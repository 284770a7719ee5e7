"""What a certificate's key may be used for and whose account it is, judged by OpenSSL."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from tests.certificate_requests import NOW, SETTINGS, Key, openssl, p256, request_for
from tokenprov.errors import IssuerError
from tokenprov.issuer import LocalCa, Usage

SID = "S-1-5-21-36238110-3361044348-30300820-1013"
# the same account as a domain's authority writes it: SEQUENCE, [0], OID, [0], OCTET STRING
SID_EXTENSION = bytes.fromhex(
    "303c a03a 060a 2b06010401 823719 0201 a02c 042a".replace(" ", "")
) + SID.encode("ascii")


@pytest.fixture
def ca(tmp_path: Path) -> LocalCa:
    """A new authority."""
    return LocalCa.create(tmp_path / "ca", "Example Test CA", NOW)


def rsa2048() -> Key:
    """A new RSA key."""
    return rsa.generate_private_key(65537, 2048)


@pytest.mark.parametrize(("key", "usage"), [(p256, "Key Agreement"), (rsa2048, "Key Encipherment")])
def test_a_key_that_decrypts_signs_nothing(ca: LocalCa, key: Key, usage: str) -> None:
    """An encryption certificate has one key usage, by the kind of its key, and is for mail."""
    settings = replace(SETTINGS, usages=(Usage.EMAIL_PROTECTION,), encryption=True)
    issued = ca.issue(request_for(key(), settings=settings), NOW)
    text = openssl("x509", "-inform", "DER", "-noout", "-text", given=issued.der)
    assert f"X509v3 Key Usage: critical\n                {usage}\n" in text
    assert "X509v3 Extended Key Usage: \n                E-mail Protection\n" in text


def test_openssl_takes_it_for_mail(ca: LocalCa, tmp_path: Path) -> None:
    """`openssl verify` accepts an RSA encryption certificate for S/MIME encryption, not signing."""
    settings = replace(SETTINGS, usages=(Usage.EMAIL_PROTECTION,), encryption=True)
    issued = ca.issue(request_for(rsa2048(), settings=settings), NOW)
    text = openssl("x509", "-inform", "DER", "-noout", "-purpose", given=issued.der)
    purposes = dict(line.split(" : ") for line in text.splitlines() if " : " in line)
    assert purposes["S/MIME encryption"] == "Yes"
    assert purposes["S/MIME signing"] == "No"
    assert purposes["SSL client"] == "No"


def test_a_key_that_cannot_decrypt_gets_no_such_certificate(ca: LocalCa) -> None:
    """An Ed25519 key is refused for encryption."""
    settings = replace(SETTINGS, usages=(Usage.EMAIL_PROTECTION,), encryption=True)
    with pytest.raises(IssuerError, match="cannot decrypt"):
        ca.issue(request_for(ed25519.Ed25519PrivateKey.generate(), settings=settings), NOW)


def test_the_accounts_identifier_stands_where_domain_controllers_look(ca: LocalCa) -> None:
    """The extension is an otherName of the identifier's text, not critical, and read by OpenSSL."""
    issued = ca.issue(request_for(p256(), settings=replace(SETTINGS, sid=SID)), NOW)
    extension = x509.load_der_x509_certificate(issued.der).extensions.get_extension_for_oid(
        x509.ObjectIdentifier("1.3.6.1.4.1.311.25.2")
    )
    assert not extension.critical
    assert isinstance(extension.value, x509.UnrecognizedExtension)
    assert extension.value.value == SID_EXTENSION
    parsed = openssl("asn1parse", "-inform", "DER", given=extension.value.value)
    assert ":1.3.6.1.4.1.311.25.2.1" in parsed
    assert f"OCTET STRING      :{SID}" in parsed


def test_without_an_identifier_there_is_no_such_extension(ca: LocalCa) -> None:
    """Holders without a Windows account get none."""
    issued = ca.issue(request_for(p256()), NOW)
    oids = [one.oid.dotted_string for one in x509.load_der_x509_certificate(issued.der).extensions]
    assert "1.3.6.1.4.1.311.25.2" not in oids


@pytest.mark.parametrize("text", ["1013", "S-1-5", "s-1-5-21-1", f"{SID} ", "S-1-5-21-٣"])
def test_what_is_no_identifier_is_refused(ca: LocalCa, text: str) -> None:
    """Anything but S-1- and numbers is refused before it is signed."""
    with pytest.raises(IssuerError, match="security identifier"):
        ca.issue(request_for(p256(), settings=replace(SETTINGS, sid=text)), NOW)
