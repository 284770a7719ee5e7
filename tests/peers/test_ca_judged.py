"""What the local authority signs and serves, judged by others: pkilint and the openssl program.

pkilint reads RFC 5280 (certificates, lists) and RFC 6960 (answers) rule by rule; what it notes
above plain information is a finding. OpenSSL asks the responder as any client does.
"""

from __future__ import annotations

import io
import os
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from urllib.parse import quote
from uuid import UUID

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from tests.certificate_requests import SETTINGS, Key, openssl, p256, request_for
from tokenprov.issuer import CardIdentifiers, IssuedCertificate, LocalCa, Usage
from tokenprov.issuer.ca.certificate import build_authority_request, build_subordinate
from tokenprov.issuer.ca.responder import REQUEST_ID, Responder
from tokenprov.issuer.ca.web import CaServer

NOW = datetime.now(UTC).replace(microsecond=0)  # OpenSSL asks the clock
Reason = x509.ReasonFlags
CARD = CardIdentifiers(fasc_n=bytes(range(25)), uuid=UUID(int=0x1234 << 64 | 0x4000 << 64))


@dataclass
class Site:
    """An authority that serves what it publishes, with a certificate of each standing."""

    ca: LocalCa
    server: CaServer
    good: IssuedCertificate
    revoked: IssuedCertificate
    held: IssuedCertificate

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One for all tests; they only look."""
    folder = tmp_path_factory.mktemp("site") / "ca"
    LocalCa.create(folder, "Example Issuing CA", NOW)
    (folder / "ca.toml").write_text(
        "".join(
            f'{key} = "http://ca.example.test/pki/{name}"\n'
            for key, name in (
                ("crl-url", "whole.crl"),
                ("delta-crl-url", "delta.crl"),
                ("certificate-url", "ca.cer"),
                ("ocsp-url", "ocsp"),
            )
        )
    )
    ca = LocalCa.open(folder)
    good, revoked, held = (
        ca.issue(request_for(p256(), request_id=f"o/{n}"), NOW) for n in range(3)
    )
    ca.revoke(revoked.serial_hex, Reason.key_compromise, NOW)
    ca.publish(NOW, whole=True)
    ca.revoke(held.serial_hex, Reason.certificate_hold, NOW)
    server = CaServer(("127.0.0.1", 0), ca, lambda: datetime.now(UTC))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Site(ca=ca, server=server, good=good, revoked=revoked, held=held)
    server.shutdown()
    thread.join()
    server.server_close()


def lint(command: str, data: bytes, folder: Path, *options: str) -> str:
    """What pkilint finds above plain information, by one of its programs."""
    file = folder / "document.der"
    file.write_bytes(data)
    said = io.StringIO()
    with redirect_stdout(said):
        found = import_module(f"pkilint.bin.{command}").main(
            ["lint", "-s", "NOTICE", *options, str(file)]
        )
    assert bool(found) is bool(said.getvalue().strip()), said.getvalue()
    return said.getvalue().strip()


CERTIFICATES = {
    "client": replace(SETTINGS, usages=(Usage.CLIENT_AUTH,), upn=False),
    "windows": replace(SETTINGS, sid="S-1-5-21-1004336348-1177238915-682003330-512"),
    "mail, signing": replace(SETTINGS, usages=(Usage.EMAIL_PROTECTION,), upn=False),
    "mail, encryption": replace(
        SETTINGS, usages=(Usage.EMAIL_PROTECTION,), upn=False, encryption=True
    ),
    "PIV authentication": replace(
        SETTINGS, card=CARD, policies=("2.16.840.1.101.3.2.1.3.13",), email=False
    ),
    "PIV card authentication": replace(
        SETTINGS, usages=(Usage.CARD_AUTH,), card=CARD, email=False, upn=False
    ),
}


@pytest.mark.parametrize("name", CERTIFICATES)
def test_certificates_conform(site: Site, name: str, tmp_path: Path) -> None:
    """Of every kind, for keys on curves and, where it decrypts, RSA: pkilint finds nothing.

    But that it knows no URN: FIPS 201-3, 4.2.2.1, has a card's UUID as one (RFC 4122, 3).
    """
    settings = CERTIFICATES[name]
    unknown = f'Invalid URI syntax: "{CARD.uuid.urn}"'
    keys: list[Key] = [p256()]
    if settings.encryption:
        keys.append(rsa.generate_private_key(65537, 2048))
    for number, key in enumerate(keys):
        request = request_for(key, request_id=f"lint/{name}/{number}", settings=settings)
        found = lint("lint_pkix_cert", site.ca.issue(request, NOW).der, tmp_path).splitlines()
        findings = [line for line in found if line.startswith(" ") and unknown not in line]
        assert findings == []
        assert any(unknown in line for line in found) is (settings.card is not None)


def test_authority_and_responder_conform(site: Site, tmp_path: Path) -> None:
    """Their certificates too, and one of an authority below."""
    responder = site.ca.issued.of(REQUEST_ID)[-1].certificate
    below = build_subordinate(
        build_authority_request("Below", p256()), site.ca.signer, days=9, now=NOW, random=os.urandom
    )
    for der in (
        site.ca.certificate.public_bytes(Encoding.DER),
        responder,
        below.public_bytes(Encoding.DER),
    ):
        assert lint("lint_pkix_cert", der, tmp_path) == ""


def test_lists_and_answers_conform(site: Site, tmp_path: Path) -> None:
    """A whole list, a delta, and answers with and without a nonce; a broken one is found."""
    lists = site.ca.lists(NOW)
    for data in (lists.whole, lists.delta):
        assert lint("lint_crl", data, tmp_path, "-t", "CRL", "-p", "PKIX") == ""
    responder = Responder(site.ca, NOW)
    for nonce in (None, b"n" * 32):
        asked = request_about(site, site.revoked, nonce)
        assert lint("lint_ocsp_response", responder.answer(asked, NOW).der, tmp_path) == ""
    broken = lists.whole.replace(b"\x55\x1d\x14\x04", b"\x55\x1d\x15\x04")  # its number's name
    assert lint("lint_crl", broken, tmp_path, "-t", "CRL", "-p", "PKIX") != ""


def request_about(site: Site, issued: IssuedCertificate, nonce: bytes | None) -> bytes:
    """A request, DER."""
    leaf = x509.load_der_x509_certificate(issued.der)
    builder = ocsp.OCSPRequestBuilder().add_certificate(leaf, site.ca.certificate, hashes.SHA256())
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(Encoding.DER)


def ask(site: Site, issued: IssuedCertificate | None, folder: Path, *options: str) -> str:
    """What `openssl ocsp` says of a certificate, the answer and its signer verified."""
    which = ["-serial", "0x1234"]
    if issued is not None:
        leaf = folder / "leaf.pem"
        leaf.write_text(openssl("x509", "-inform", "DER", given=issued.der))
        which = ["-cert", str(leaf)]
    ca = site.ca.folder.certificate
    command = ["openssl", "ocsp", "-issuer", ca, *options, *which, "-CAfile", ca]
    command += ["-url", f"{site.url}/pki/ocsp", "-timeout", "20"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "Response verify OK" in ran.stderr
    assert "WARNING" not in ran.stderr  # no nonce came back
    return ran.stdout


def test_openssl_asks_the_responder(site: Site, tmp_path: Path) -> None:
    """Good, revoked with its reason, on hold, unknown; with a nonce, by SHA-1 and SHA-256."""
    assert ": good" in ask(site, site.good, tmp_path)
    assert ": good" in ask(site, site.good, tmp_path, "-sha256", "-no_nonce")
    revoked = ask(site, site.revoked, tmp_path, "-sha256")
    assert ": revoked" in revoked
    assert "Reason: keyCompromise" in revoked
    assert "Reason: certificateHold" in ask(site, site.held, tmp_path)
    assert ": unknown" in ask(site, None, tmp_path)


def fetch(site: Site, path: str, body: bytes | None = None) -> tuple[str, bytes, str]:
    """Type, content and how long it may be kept."""
    request = urllib.request.Request(f"{site.url}{path}", data=body)
    if body is not None:
        request.add_header("Content-Type", "application/ocsp-request")
    with urllib.request.urlopen(request, timeout=20) as answer:
        headers = answer.headers
        return headers["Content-Type"], answer.read(), headers["Cache-Control"]


def test_get_answers_as_post_does(site: Site) -> None:
    """RFC 6960, A.1: the request in the path, in base64; without a nonce it may be kept."""
    asked = request_about(site, site.revoked, None)
    kind, got, kept = fetch(site, f"/pki/ocsp/{quote(b64encode(asked), safe='')}")
    _, posted, not_kept = fetch(site, "/pki/ocsp", asked)
    assert (kind, kept, not_kept) == (
        "application/ocsp-response",
        "max-age=1800, public",
        "no-cache",
    )
    for der in (got, posted):
        answer = ocsp.load_der_ocsp_response(der)
        assert answer.certificate_status is ocsp.OCSPCertStatus.REVOKED
        assert answer.revocation_reason is Reason.key_compromise
    nonce = quote(b64encode(request_about(site, site.good, b"n" * 32)), safe="")
    assert fetch(site, f"/pki/ocsp/{nonce}")[2] == "no-cache"


def test_lists_and_certificate_are_where_certificates_say(site: Site) -> None:
    """The paths of its URLs serve what OpenSSL reads as that."""
    assert fetch(site, "/pki/ca.cer")[:2] == (
        "application/pkix-cert",
        site.ca.certificate.public_bytes(Encoding.DER),
    )
    for name in ("whole", "delta"):
        kind, data, _ = fetch(site, f"/pki/{name}.crl")
        assert kind == "application/pkix-crl"
        said = openssl("crl", "-inform", "DER", "-noout", "-text", given=data)
        assert ("Delta CRL Indicator" in said) is (name == "delta")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/", 404),
        ("/pki/ocsp", 404),
        ("/pki/ocsp/", 404),
        ("/pki/ocsp/%%%", 400),
        ("/pki/ocsp/" + "A" * 20000, 404),
        ("/pki/../ca.key", 404),
    ],
)
def test_nothing_else_is_served(site: Site, path: str, code: int) -> None:
    """Least of all a file."""
    with pytest.raises(urllib.error.HTTPError) as raised:
        fetch(site, path)
    assert raised.value.code == code


def test_requests_that_are_none_are_refused_in_kind(site: Site, tmp_path: Path) -> None:
    """Garbage, too long a nonce, and another authority's certificate: an answer that says so."""
    other = LocalCa.create(tmp_path / "other", "Other", NOW)
    leaf = x509.load_der_x509_certificate(other.issue(request_for(p256()), NOW).der)
    builder = ocsp.OCSPRequestBuilder().add_certificate(leaf, other.certificate, hashes.SHA1())
    foreign = builder.build().public_bytes(Encoding.DER)
    Status = ocsp.OCSPResponseStatus
    for asked, status in (
        (b"garbage", Status.MALFORMED_REQUEST),
        (request_about(site, site.good, b"n" * 129), Status.MALFORMED_REQUEST),
        (foreign, Status.UNAUTHORIZED),
    ):
        _, der, _ = fetch(site, "/pki/ocsp", asked)
        assert ocsp.load_der_ocsp_response(der).response_status is status


def test_the_responder_renews_its_certificate(site: Site, tmp_path: Path) -> None:
    """A month before it ends; the former one is superseded, and answers are by the new one."""
    ca = LocalCa.create(tmp_path / "ca", "Example CA", NOW)
    issued = ca.issue(request_for(p256()), NOW)
    responder = Responder(ca, NOW)
    leaf = x509.load_der_x509_certificate(issued.der)
    builder = ocsp.OCSPRequestBuilder().add_certificate(leaf, ca.certificate, hashes.SHA1())
    asked = builder.build().public_bytes(Encoding.DER)
    later = NOW + timedelta(days=61)
    signers = []
    for now in (NOW, NOW + timedelta(days=59), later):
        answer = ocsp.load_der_ocsp_response(responder.answer(asked, now).der)
        signers.append(answer.certificates[0].serial_number)
    assert signers[0] == signers[1] != signers[2]
    assert [bool(one.revocation) for one in ca.issued.of(REQUEST_ID)] == [True, False]
    assert Responder(ca, later).answer(asked, later).der
    assert len(ca.issued.of(REQUEST_ID)) == 2


@pytest.mark.parametrize("size", ["", "-1", "0", "\xb2", "9" * 5000, "999999999"])
def test_a_length_that_is_none(site: Site, size: str) -> None:
    """What a stranger's request claims to have is refused, and no thread of the server dies of it.

    "\xb2" is a digit to some, and no number.
    """
    with socket.create_connection(("127.0.0.1", site.server.server_port), timeout=20) as client:
        head = f"POST / HTTP/1.0\r\nContent-Length: {size}\r\n\r\n"
        client.sendall(head.encode("latin-1"))
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert answer.split(None, 2)[1] == b"413"
