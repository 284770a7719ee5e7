"""Certificates over EST (RFC 7030), from a server of the tests' own that another client judges.

The server (tests/est_server.py) has OpenSSL for an authority; strongSwan's client enrolls with it
first, so that it and ours are not only each other's word.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.certificate_requests import csr_of, p256, request_for
from tests.est_server import BASE, PASSWORD, USER, EstServer, est_server
from tests.https import publish_list
from tests.in_process import Desk
from tests.issued import openssl
from tests.issuer_home import IssuerHome, asked, now
from tests.servers import HOST, free_port
from tokenprov.errors import IssuerError, IssuerPending, IssuerUnanswered, StationError
from tokenprov.issuer import Standing


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EstServer]:
    """A server for all tests of this file."""
    with est_server(tmp_path_factory.mktemp("est")) as made:
        yield made


@pytest.fixture
def server(shared_server: EstServer) -> EstServer:
    """The server, which has nothing in mind."""
    shared_server.behaviours.clear()
    shared_server.requests.clear()
    return shared_server


@pytest.fixture
def home(server: EstServer, tmp_path: Path) -> IssuerHome:
    """A home with a file for the server and the password."""
    made = IssuerHome(
        path=tmp_path,
        name="est",
        uri=f"est+{server.url}",
        keys={
            "trust": f"{server.folder}/tls.pem",
            "user": USER,
            "password-file": "password",
            "crl": f"{server.folder}/crl.pem",
            "wait": 5,
        },
    )
    made.keep("password", f"{PASSWORD}\n")
    return made


def test_the_server_is_one_for_another_client(server: EstServer) -> None:
    """Another client, strongSwan's, gets a certificate that it finds trusted."""
    (server.folder / "own.csr").write_bytes(csr_of(p256()))
    done = subprocess.run(
        [
            *("pki", "--est", "--url", server.url.removesuffix(BASE), "--in", "own.csr"),
            *("--cacert", "tls.pem", "--cacert", "ca.pem", "--userpass", f"{USER}:{PASSWORD}"),
        ],
        cwd=server.folder,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert b"Issued certificate is trusted" in done.stderr
    assert x509.load_der_x509_certificate(done.stdout).subject.rfc4514_string() == "CN=anything"


def test_a_certificate_is_had_once(server: EstServer, home: IssuerHome) -> None:
    """The certificate comes with its authority's, and asked again it is the same, not asked for."""
    request, issuer = asked(), home.issuer()
    issued = issuer.issue(request, now())
    assert issued.doubts == ()
    (server.folder / "leaf.der").write_bytes(issued.der)
    said = openssl("verify", "-CAfile", "ca.pem", "leaf.der", folder=server.folder)
    assert said == "leaf.der: OK\n"
    (above,) = issued.chain
    assert x509.load_der_x509_certificate(above).subject.rfc4514_string() == "CN=Test ca"
    assert server.requests == [request.csr]
    assert home.issuer().issue(request, now()) == issued
    assert len(server.requests) == 1


def test_the_station_is_known_by_its_certificate(server: EstServer, home: IssuerHome) -> None:
    """A client certificate lets it in without a password."""
    own = {
        name: f"{server.folder}/client.{end}"
        for name, end in (("certificate", "pem"), ("key", "key"))
    }
    issuer = home.issuer(user=None, **{"password-file": None}, **own)
    assert issuer.issue(asked(), now()).chain


def test_who_is_not_let_in_is_told(server: EstServer, home: IssuerHome) -> None:
    """A wrong password is a refusal that names neither it nor the right one."""
    (home.path / "issuers" / "password").write_text("a wrong one")
    with pytest.raises(IssuerError, match="401") as raised:
        home.issuer().issue(asked(), now())
    assert "a wrong one" not in str(raised.value)
    assert type(raised.value) is IssuerError
    assert server.requests == []


def test_another_server_is_not_asked(server: EstServer, home: IssuerHome) -> None:
    """A server whose certificate is from somebody else gets no request: nothing was sent."""
    with pytest.raises(IssuerError, match="not reached: .*certificate verify failed") as raised:
        home.issuer(trust=f"{server.folder}/ca.pem").issue(asked(), now())
    assert type(raised.value) is IssuerError
    assert server.requests == []


def test_nobody_there_is_no_doubt(server: EstServer, home: IssuerHome) -> None:
    """Where nobody listens nothing was sent: later the certificate comes without a doubt."""
    request = asked()
    nowhere = f"est+https://{HOST}:{free_port()}{BASE}"
    with pytest.raises(IssuerError, match="was not reached"):
        home.issuer(uri=nowhere).issue(request, now())
    assert home.issuer().issue(request, now()).doubts == ()


def test_a_decision_is_waited_for(server: EstServer, home: IssuerHome) -> None:
    """ "202 Accepted" is asked again after the time that it says, with the same bytes."""
    server.behaviours += ["later", "later"]
    request = asked()
    assert home.issuer().issue(request, now()).doubts == ()
    assert server.requests == [request.csr] * 3


def test_a_long_decision_is_left_for_later(server: EstServer, home: IssuerHome) -> None:
    """An hour is too long to wait: the order waits, and the same bytes go out at the next run.

    The request of that run is signed anew, which changes the bytes of an ECDSA signature.
    """
    server.behaviours += ["later-long"]
    key = p256()
    first, second = (request_for(key, csr=csr_of(key), attestation=None) for _ in range(2))
    assert first.csr != second.csr
    with pytest.raises(IssuerPending) as raised:
        home.issuer().issue(first, now())
    assert raised.value.retry_after == 3600
    assert home.issuer().issue(second, now()).doubts == ()
    assert server.requests == [first.csr] * 2


def test_a_lost_answer_is_a_doubt(server: EstServer, home: IssuerHome) -> None:
    """The answer after a certificate was made is lost: the next one carries what that may mean."""
    server.behaviours += ["lost"]
    request, before = asked(), len(server.serials)
    with pytest.raises(IssuerUnanswered, match="did not answer"):
        home.issuer().issue(request, now())
    issued = home.issuer().issue(request, now())
    assert len(server.serials) - before == 2
    (doubt,) = issued.doubts
    assert "never answered" in doubt


@pytest.mark.parametrize(
    ("behaviour", "error", "said"),
    [
        ("broken", IssuerUnanswered, "failed: 500 Internal Server Error: not today"),
        ("refused", IssuerError, "refused: 400 Bad Request: not today"),
        ("other", IssuerUnanswered, "no certificate for the key"),
    ],
)
def test_what_is_no_certificate_is_told(
    server: EstServer, home: IssuerHome, behaviour: str, error: type[IssuerError], said: str
) -> None:
    """Failures and wrong answers may have issued, refusals have not; nothing of them is used."""
    server.behaviours += [behaviour]
    with pytest.raises(IssuerError, match=said) as raised:
        home.issuer().issue(asked(), now())
    assert type(raised.value) is error


def test_status_by_the_published_list(server: EstServer, home: IssuerHome) -> None:
    """Good by the list, and revoked by a newer one; revocation itself is the authority's."""
    issuer = home.issuer()
    issued = issuer.issue(asked(), now())
    publish_list(server.folder)
    assert issuer.status(issued.serial_hex, now()).standing is Standing.GOOD
    publish_list(server.folder, server.serials)
    assert issuer.status(issued.serial_hex, now()).standing is Standing.REVOKED
    with pytest.raises(IssuerError, match="takes no revocations"):
        issuer.revoke(issued.serial_hex, x509.ReasonFlags.superseded, now())


SETTINGS: list[tuple[dict[str, Any], Callable[[Path], object], str]] = [
    ({"trust": None}, lambda _: None, "whom .* is trusted for"),
    ({"passwort": "x"}, lambda _: None, r"est\.toml: passwort: extra inputs"),
    ({"wait": "long"}, lambda _: None, r"est\.toml: wait: "),
    ({"timeout": 0}, lambda _: None, r"est\.toml: timeout: .*greater than 0"),
    ({"wait": -1}, lambda _: None, r"est\.toml: wait: .*greater than or equal to 0"),
    ({}, lambda home: (home / "issuers/password").chmod(0o644), "can be read by others"),
    ({}, lambda home: (home / "issuers/password").unlink(), "password cannot be read"),
    ({"trust": "password"}, lambda _: None, "no certificates for TLS"),
]


@pytest.mark.parametrize(("changes", "prepare", "said"), SETTINGS)
def test_wrong_settings_are_named(
    home: IssuerHome, changes: dict[str, Any], prepare: Callable[[Path], object], said: str
) -> None:
    """File and key are named, and no secret is."""
    prepare(home.path)
    with pytest.raises(StationError, match=said) as raised:
        home.issuer(**changes).issue(asked(), now())
    assert PASSWORD not in str(raised.value)


def test_the_request_is_what_the_key_signed(server: EstServer, home: IssuerHome) -> None:
    """The bytes on the wire are the PKCS#10 of the request, which OpenSSL verifies."""
    home.issuer().issue(asked(), now())
    (server.folder / "seen.csr").write_bytes(server.requests[0])
    openssl("req", "-inform", "DER", "-in", "seen.csr", "-verify", "-noout", folder=server.folder)


PROFILE = """
[[piv.keys]]
slot = "9a"
algorithm = "eccp256"

[piv.keys.certificate]
issuer = "est+{url}"
upn = true
usages = ["client-auth", "smartcard-logon"]
"""


def test_a_token_is_issued_by_it(server: EstServer, home: IssuerHome, tmp_path: Path) -> None:
    """The answer is lost at first: then the token gets one, and its entry tells of the doubt.

    The password that lets the station in is in no file of the home.
    """
    desk = Desk(tmp_path / "desk", "yubikey-5.7.4")
    home.issuer(**{"password-file": str(home.path / "issuers" / "password")})
    station = tmp_path / "desk" / "station"
    (station / "issuers").mkdir(exist_ok=True)
    shutil.copy(home.path / "issuers" / "est.toml", station / "issuers")
    server.behaviours += ["lost"]
    with pytest.raises(IssuerUnanswered):
        desk.run(PROFILE.format(url=server.url))
    entry = desk.run(PROFILE.format(url=server.url))
    (step,) = [one for one in entry["steps"] if one["id"] == "piv/9a/certificate"]
    assert step["facts"]["authority"] == f"est+{server.url}"
    assert len(step["facts"]["doubts"]) == 1
    (server.folder / "token.der").write_bytes(desk.blob(step["evidence"][0]["sha256"]))
    text = openssl("x509", "-in", "token.der", "-noout", "-text", folder=server.folder)
    files = [path for path in station.rglob("*") if path.is_file()]
    assert len(files) > 20
    assert [path for path in files if PASSWORD.encode() in path.read_bytes()] == []
    for words in ("UPN::ada@corp.example.test", "email:ada@example.test", "Microsoft Smartcard"):
        assert words in text
