"""What comes along with an answer: which certificate is it, and what is left out of account."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.certificate_requests import NOW, p256, request_for
from tokenprov.errors import IssuerError
from tokenprov.issuer import IssuedCertificate, LocalCa
from tokenprov.issuer.answers import (
    certificates_in_file,
    certificates_in_pem,
    certificates_in_pkcs7,
    certified,
    spki,
)

NAME = b"\x0c\x07A Name."  # UTF8String, in the subject of the certificate that is changed
VERSION = b"\xa0\x03\x02\x01\x02"  # X.509 v3: RFC 5280, 4.1.2.1


@pytest.fixture
def issued(tmp_path: Path) -> IssuedCertificate:
    """A certificate by an authority called "A Name."."""
    return LocalCa.create(tmp_path / "ca", "A Name.", NOW).issue(request_for(p256()), NOW)


def test_a_certificate_whose_names_cannot_be_read_is_left_out(issued: IssuedCertificate) -> None:
    """Parsers tell of it late; the right one beside it counts."""
    leaf, authority = (x509.load_der_x509_certificate(der) for der in (issued.der, issued.chain[0]))
    broken = x509.load_der_x509_certificate(
        issued.der.replace(NAME, b"\x0c\x07A \xff\xff\xff\xff.")
    )
    assert spki(broken) == spki(leaf)
    found = certified(spki(leaf), [broken, authority, leaf])
    assert (found.der, found.chain) == (issued.der, issued.chain)
    with pytest.raises(IssuerError, match="no certificate for the key"):
        certified(spki(leaf), [broken, authority])


@pytest.mark.parametrize(
    "data",
    [b"", b"\x30\x80", b"-----BEGIN CERTIFICATE-----\n", b"-----BEGIN PKCS7-----\nAAAA\n", b"%PDF"],
)
def test_what_holds_no_certificate(data: bytes) -> None:
    """Files and answers of any form are errors that say so."""
    for read in (certificates_in_file, certificates_in_pem, certificates_in_pkcs7):
        with pytest.raises(IssuerError):
            read(data)


def test_a_certificate_of_no_version(issued: IssuedCertificate) -> None:
    """X.509 has three; what says a fourth is none."""
    der = issued.der.replace(VERSION, VERSION[:-1] + b"\x07")
    pem = (
        b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"
    )
    for data in (der, pem):
        with pytest.raises(IssuerError):
            certificates_in_file(data)
    assert issued.der != der
    assert x509.load_der_x509_certificate(issued.der).public_bytes(Encoding.DER) == issued.der
