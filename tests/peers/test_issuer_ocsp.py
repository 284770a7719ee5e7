"""A certificate's standing from an OCSP responder: OpenSSL's, and answers that must not count.

The responder is `openssl ocsp`, with an index of its own; wrong answers are made here.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.certificate_requests import openssl, p256, request_for
from tests.servers import HOST, free_port
from tokenprov.errors import IssuerError, IssuerUnanswered
from tokenprov.issuer import Certified, LocalCa, Standing
from tokenprov.issuer.asked import judged
from tokenprov.issuer.listed import read_status
from tokenprov.issuer.web import WebSettings

NOW = datetime.now(UTC).replace(microsecond=0)  # OpenSSL answers by the clock
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NONCE = b"n" * 32
Reason = x509.ReasonFlags
STANDINGS = {  # what stands in OpenSSL's index, and what it comes to
    "V\t301231235959Z\t\t{serial}\tunknown\t/CN=x": (Standing.GOOD, None),
    "R\t301231235959Z\t260101000000Z,keyCompromise\t{serial}\tunknown\t/CN=x": (
        Standing.REVOKED,
        Reason.key_compromise,
    ),
    "R\t301231235959Z\t260101000000Z\t{serial}\tunknown\t/CN=x": (
        Standing.REVOKED,
        Reason.unspecified,
    ),
    "": (Standing.UNKNOWN, None),
}


@dataclass(frozen=True)
class Site:
    """An authority's files, its responder's address, and a certificate of each standing."""

    ca: LocalCa
    url: str
    issued: list[Certified]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """`openssl ocsp` answers for them, with a delegated key, until the tests are through."""
    folder = tmp_path_factory.mktemp("site")
    ca = LocalCa.create(folder / "ca", "Example CA", NOW)
    index, issued = list[str](), list[Certified]()
    for number, line in enumerate(STANDINGS):
        one = ca.issue(request_for(p256(), request_id=f"o/{number}"), NOW)
        issued.append(Certified(der=one.der, chain=one.chain))
        even = one.serial_hex if len(one.serial_hex) % 2 == 0 else f"0{one.serial_hex}"
        index += [line.format(serial=even.upper())] if line else []
    (folder / "index").write_text("\n".join([*index, ""]))
    key = ec.generate_private_key(ec.SECP256R1())
    (folder / "responder.pem").write_bytes(responder(ca, key).public_bytes(Encoding.PEM))
    (folder / "responder.key").write_text(openssl("pkey", "-inform", "DER", given=private(key)))
    command = ["openssl", "ocsp", "-port", "0", "-index", "index", "-CA", "ca/ca.pem", "-nmin", "5"]
    command += ["-rsigner", "responder.pem", "-rkey", "responder.key"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as serving:
        assert serving.stdout is not None
        port = serving.stdout.readline().split()[1].rpartition(":")[2]  # ACCEPT [::]:40123 PID=7
        yield Site(ca=ca, url=f"http://{HOST}:{port}", issued=issued)
        serving.terminate()


def private(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The key, DER."""
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def responder(
    ca: LocalCa,
    key: ec.EllipticCurvePrivateKey,
    *,
    usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.OCSP_SIGNING,
    until: datetime = NOW + DAY,
) -> x509.Certificate:
    """A responder's certificate, by the authority's key."""
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "responder")]))
        .issuer_name(ca.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - DAY)
        .not_valid_after(until)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .sign(ca.signer.key, hashes.SHA256())
    )


@pytest.mark.parametrize("number", range(len(STANDINGS)))
def test_openssls_answers_are_read(site: Site, number: int) -> None:
    """Good, revoked with a reason and without, unknown."""
    settings = WebSettings(ocsp=site.url)
    status = read_status(settings, site.issued[number], datetime.now(UTC))
    assert (status.standing, status.reason) == list(STANDINGS.values())[number]
    assert (status.at is not None) is (status.standing is Standing.REVOKED)


def test_nobody_answers(site: Site) -> None:
    """A port where nobody listens, and a certificate whose authority is not known."""
    nobody = WebSettings(ocsp=f"http://{HOST}:{free_port()}", timeout=5)
    with pytest.raises(IssuerError, match="was not reached"):
        read_status(nobody, site.issued[0], NOW)
    with pytest.raises(IssuerError, match="without its authority's own"):
        read_status(nobody, Certified(der=site.issued[0].der), NOW)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """How an answer is made that should count, and what is changed in it."""

    by: str = "delegated"  # or "authority", "stranger", "client", "ended"
    about: int = 0
    at: datetime = NOW
    until: datetime | None = NOW + HOUR
    nonce: bytes | None = NONCE


def made(site: Site, answer: Answer) -> bytes:
    """The answer, DER, that the certificate is good."""
    key: ec.EllipticCurvePrivateKey = ec.generate_private_key(ec.SECP256R1())
    match answer.by:
        case "authority":
            signer = site.ca.certificate
            assert isinstance(site.ca.signer.key, ec.EllipticCurvePrivateKey)
            key = site.ca.signer.key
        case "stranger":
            other = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stranger")])
            signer = (
                x509.CertificateBuilder(other, other, key.public_key(), 7, NOW - DAY, NOW + DAY)
                .add_extension(
                    x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), critical=False
                )
                .sign(key, hashes.SHA256())
            )
        case "client":
            signer = responder(site.ca, key, usage=ExtendedKeyUsageOID.CLIENT_AUTH)
        case "ended":
            signer = responder(site.ca, key, until=NOW - HOUR)
        case _:
            signer = responder(site.ca, key)
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            x509.load_der_x509_certificate(site.issued[answer.about].der),
            site.ca.certificate,
            hashes.SHA256(),
            ocsp.OCSPCertStatus.GOOD,
            answer.at,
            answer.until,
            None,
            None,
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH, signer)
        .certificates([signer])
    )
    if answer.nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(answer.nonce), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(), ""),
        (Answer(by="authority"), ""),
        (Answer(nonce=None), ""),
        (Answer(until=None), ""),
        (Answer(by="stranger"), "is not signed by the authority"),
        (Answer(by="client"), "is not signed by the authority"),
        (Answer(by="ended"), "is not signed by the authority"),
        (Answer(about=1), "is about another certificate"),
        (Answer(nonce=b"m" * 32), "was made for another request"),
        (Answer(at=NOW - DAY, until=NOW - HOUR), "not of now"),
        (Answer(at=NOW - HOUR, until=None), "not of now"),
        (Answer(at=NOW + HOUR, until=NOW + DAY), "not of now"),
    ],
)
def test_an_answer_counts_or_not(site: Site, answer: Answer, said: str) -> None:
    """Good when it meets every rule; else it is as if none had come."""
    certificate = x509.load_der_x509_certificate(site.issued[0].der)
    given = (made(site, answer), certificate, site.ca.certificate, NONCE, NOW)
    if said:
        with pytest.raises(IssuerUnanswered, match=said):
            judged(*given)
    else:
        assert judged(*given).standing is Standing.GOOD


def test_what_is_no_answer(site: Site) -> None:
    """Garbage is none; a refusal is one."""
    certificate = x509.load_der_x509_certificate(site.issued[0].der)
    refusal = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.UNAUTHORIZED)
    rest = (certificate, site.ca.certificate, NONCE, NOW)
    with pytest.raises(IssuerUnanswered, match="cannot be read"):
        judged(b"garbage", *rest)
    with pytest.raises(IssuerError, match="refused: unauthorized"):
        judged(refusal.public_bytes(Encoding.DER), *rest)
