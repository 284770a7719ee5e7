"""Certificates and revocation over CMP (RFC 9480), with OpenSSL's server at the other end."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.cmp_server import P10CR, REFERENCE, SECRET, CmpServer, cmp_server
from tests.https import publish_list
from tests.in_process import SERIAL, Desk
from tests.issued import openssl
from tests.issuer_home import IssuerHome, asked, now
from tests.servers import HOST, free_port
from tests.stations import tell
from tokenprov.errors import IssuerError, IssuerUnanswered, StationError

IR, RR = 0, 11  # RFC 4210, 5.1.2


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CmpServer]:
    """A server for all tests of this file."""
    with cmp_server(tmp_path_factory.mktemp("cmp")) as made:
        yield made


@pytest.fixture
def server(shared_server: CmpServer) -> CmpServer:
    """The server, which has nothing in mind."""
    shared_server.reset()
    return shared_server


@pytest.fixture
def home(server: CmpServer, tmp_path: Path) -> IssuerHome:
    """A home with a file for the server and the secret."""
    made = IssuerHome(
        path=tmp_path,
        name="ra",
        uri=f"cmp+{server.url}",
        keys={"reference": REFERENCE, "secret-file": "secret", "timeout": 5, "wait": 4},
    )
    made.keep("secret", SECRET)
    return made


def test_a_certificate_is_had_once(server: CmpServer, home: IssuerHome) -> None:
    """The PKCS#10 is asked for as it is, confirmed, and never asked for again."""
    request = asked()
    issued = home.issuer().issue(request, now())
    assert issued.doubts == ()
    (server.folder / "leaf.der").write_bytes(issued.der)
    said = openssl("verify", "-CAfile", "ca.pem", "leaf.der", folder=server.folder)
    assert said == "leaf.der: OK\n"
    (above,) = issued.chain
    assert x509.load_der_x509_certificate(above).subject.rfc4514_string() == "CN=Test ca"
    assert server.kinds[0] == P10CR
    exchanges = len(server.kinds)
    assert home.issuer().issue(request, now()) == issued
    assert len(server.kinds) == exchanges


def test_in_cmps_own_form(server: CmpServer, home: IssuerHome) -> None:
    """An initialization request, for which the station says that possession was checked."""
    request = asked()
    assert request.csr is not None
    server.certify(request.csr)
    server.options = ("-accept_raverified",)
    assert home.issuer(command="ir").issue(request, now()).chain
    assert server.kinds[0] == IR


def test_a_decision_is_waited_for(server: CmpServer, home: IssuerHome) -> None:
    """What the authority says is waiting is polled for (RFC 9483, 4.4)."""
    server.options = ("-poll_count", "1", "-check_after", "1")
    assert home.issuer().issue(asked(), now()).doubts == ()


def test_a_decision_that_does_not_come_is_a_doubt(server: CmpServer, home: IssuerHome) -> None:
    """A transaction that ended undecided may be carried out yet: the next certificate says so."""
    server.options = ("-poll_count", "9", "-check_after", "1")
    request = asked()
    with pytest.raises(IssuerUnanswered, match="total timeout"):
        home.issuer(wait=0, timeout=2).issue(request, now())
    server.reset()
    (doubt,) = home.issuer().issue(request, now()).doubts
    assert "never answered" in doubt


@pytest.mark.parametrize("at", [0, 1])
def test_a_lost_answer_is_a_doubt(server: CmpServer, home: IssuerHome, at: int) -> None:
    """The certificate, or the end of its confirmation, does not arrive."""
    server.behaviours += ["", "lost"][-1 - at :]
    request = asked()
    with pytest.raises(IssuerUnanswered):
        home.issuer().issue(request, now())
    server.reset()
    assert len(home.issuer().issue(request, now()).doubts) == 1


def test_a_rejection_is_told(server: CmpServer, home: IssuerHome) -> None:
    """The authority's own words; nothing is in doubt."""
    server.options = ("-pkistatus", "2", "-failure", "2", "-statusstring", "no such holder")
    request = asked()
    with pytest.raises(IssuerError, match="refused: .*no such holder") as raised:
        home.issuer().issue(request, now())
    assert type(raised.value) is IssuerError
    server.reset()
    assert home.issuer().issue(request, now()).doubts == ()


def test_nobody_there_is_no_doubt(server: CmpServer, home: IssuerHome) -> None:
    """Where nobody listens nothing was sent."""
    nowhere = f"cmp+http://{HOST}:{free_port()}/pkix/"
    with pytest.raises(IssuerError, match="was not reached") as raised:
        home.issuer(uri=nowhere, timeout=2, wait=0).issue(asked(), now())
    assert type(raised.value) is IssuerError


def test_no_proxy_of_the_environment(
    server: CmpServer, home: IssuerHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request goes where the profile says, whatever the shell has for other programs."""
    with socket.create_server((HOST, 0)) as proxy:
        proxy.settimeout(0.0)
        monkeypatch.setenv("http_proxy", f"http://{HOST}:{proxy.getsockname()[1]}")
        monkeypatch.delenv("no_proxy", raising=False)
        home.issuer(timeout=5).issue(asked(), now())
        with pytest.raises(BlockingIOError):
            proxy.accept()


def test_an_answer_counts_by_its_protection(server: CmpServer, home: IssuerHome) -> None:
    """With another secret neither side takes the other's word, and no secret is told."""
    (home.path / "issuers" / "secret").write_text("something else")
    with pytest.raises(IssuerError) as raised:
        home.issuer().issue(asked(), now())
    assert "something else" not in str(raised.value)
    assert SECRET not in str(raised.value)


def test_signed_messages(server: CmpServer, home: IssuerHome) -> None:
    """Both sides know each other by certificates, in the place of a secret."""
    make = "req -x509 -newkey rsa:2048 -nodes -days 9 -keyout ra.key -out ra.pem -subj /CN=RA"
    openssl(*make.split(), folder=server.folder)
    own = ("-srv_cert", "ca.pem", "-srv_key", "ca.key", "-srv_trusted", "ra.pem")
    server.options = own
    files = {"signer-certificate": "ra.pem", "signer-key": "ra.key", "signer-trust": "ca.pem"}
    changes = {name: f"{server.folder}/{file}" for name, file in files.items()}
    issuer = home.issuer(**{"secret-file": None, "reference": None}, **changes)
    assert issuer.issue(asked(), now()).doubts == ()


def test_revocation_is_told(server: CmpServer, home: IssuerHome) -> None:
    """A revocation request with its reason; a second time it is known to be done."""
    issuer = home.issuer()
    issued = issuer.issue(asked(), now())
    issuer.revoke(issued.serial_hex, x509.ReasonFlags.key_compromise, now())
    assert server.kinds[-1] == RR
    exchanges = len(server.kinds)
    issuer.revoke(issued.serial_hex, x509.ReasonFlags.key_compromise, now())
    assert len(server.kinds) == exchanges


def test_refused_revocation_is_told(server: CmpServer, home: IssuerHome) -> None:
    """What the authority does not revoke is not taken for revoked."""
    issuer = home.issuer()
    issued = issuer.issue(asked(), now())
    server.stop()
    server.options = ("-pkistatus", "2", "-failure", "0", "-statusstring", "not yours")
    with pytest.raises(IssuerError, match="refused: .*not yours"):
        issuer.revoke(issued.serial_hex, x509.ReasonFlags.superseded, now())
    server.reset()
    issuer.revoke(issued.serial_hex, x509.ReasonFlags.superseded, now())
    assert server.kinds == [RR]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"secret-file": None}, "nothing protects the messages"),
        ({"uri": f"cmp+https://{HOST}/pkix/"}, "whom .* is trusted for"),
        ({"command": "kur"}, r"ra\.toml: command: "),
        ({"secret-file": "another"}, "another cannot be read"),
    ],
)
def test_wrong_settings_are_named(home: IssuerHome, changes: dict[str, Any], said: str) -> None:
    """File and key are named."""
    with pytest.raises(StationError, match=said):
        home.issuer(**changes)


PROFILE = """
[[piv.keys]]
slot = "9a"
algorithm = "eccp256"

[piv.keys.certificate]
issuer = "cmp+{url}"
upn = true
usages = ["client-auth", "smartcard-logon"]
"""


def test_a_token_is_issued_and_revoked_by_it(
    server: CmpServer, home: IssuerHome, tmp_path: Path
) -> None:
    """When the holder leaves, the authority is told; it counts once its list names the serial."""
    desk = Desk(tmp_path / "desk", "yubikey-5.7.4")
    home.issuer(crl=f"{server.folder}/crl.pem")
    shutil.copytree(home.path / "issuers", desk.home.path / "issuers", dirs_exist_ok=True)
    entry = desk.run(PROFILE.format(url=server.url))
    (step,) = [one for one in entry["steps"] if one["id"] == "piv/9a/certificate"]
    assert step["facts"]["authority"] == f"cmp+{server.url}"
    assert "doubts" not in step["facts"]
    revoke = ("--home", desk.home.path, "revoke", str(SERIAL), "--reason", "left", "--json")
    publish_list(server.folder)
    said = tell(*revoke)
    assert said.code == 5, said
    assert "does not publish it yet" in said.err
    assert server.kinds[-1] == RR
    asked = len(server.kinds)
    publish_list(server.folder, [step["facts"]["serialNumber"]])
    said = tell(*revoke)
    assert said.code == 0, said
    (done,) = [one for one in said.document["credentials"] if one["id"] == step["id"]]
    assert (done["outcome"], done["facts"]["status"]) == ("done", "revoked")
    assert len(server.kinds) == asked
