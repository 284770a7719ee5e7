"""Certificates over ACME by device attestation, from a server of the tests' own (not for use).

The tokens are virtual and attest under the virtual maker's root, which the server knows. What the
server checks is in tests/acme_server.py.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.acme_server import OID_PERMANENT_IDENTIFIER, AcmeServer, acme_server
from tests.certificate_requests import csr_of, p256, request_for
from tests.in_process import SERIAL, Desk
from tokenprov.errors import IssuerError, IssuerPending, IssuerUnanswered, StationError
from tokenprov.sim.attestation import bench_roots

PROFILE = """
[[piv.keys]]
slot = "9a"
algorithm = "{algorithm}"
attestation = "{attestation}"

[piv.keys.certificate]
issuer = "acme+{directory}"
upn = true
usages = ["client-auth", "smartcard-logon"]
"""


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AcmeServer]:
    """A server for all tests of this file."""
    folder = tmp_path_factory.mktemp("acme")
    (folder / "roots.pem").write_bytes(bench_roots().root_pem)
    with acme_server(folder, folder / "roots.pem") as made:
        yield made


@pytest.fixture
def server(shared_server: AcmeServer) -> AcmeServer:
    """The server, which knows nobody."""
    shared_server.behaviours.clear()
    shared_server.accounts.clear()
    shared_server.orders.clear()
    shared_server.binding = None
    shared_server.made = shared_server.stale = 0
    return shared_server


@pytest.fixture(scope="module")
def first_desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A station to copy."""
    return Desk(tmp_path_factory.mktemp("desk"), "yubikey-5.7.4")


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A station with a fresh token, and the server that it is told of."""

    desk: Desk
    server: AcmeServer

    @property
    def folder(self) -> Path:
        """Where the station's files for authorities are."""
        return self.desk.home.path / "issuers"

    def settings(self, **changes: Any) -> None:
        """Write the station's file for the server; None takes a key out."""
        keys = {
            "uri": f"acme+{self.server.directory}",
            "trust": f"{self.server.folder}/tls.pem",
            "account-key": "acme.key",
            "wait": 4,
        } | changes
        lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items() if value is not None]
        self.folder.mkdir(exist_ok=True)
        (self.folder / "acme.toml").write_text("\n".join(lines))

    def run(self, algorithm: str = "eccp256", attestation: str = "required") -> dict[str, Any]:
        """Take the token through the profile; gives what the entry says of the certificate."""
        words = {"algorithm": algorithm, "attestation": attestation}
        entry = self.desk.run(PROFILE.format(directory=self.server.directory, **words))
        (step,) = [one for one in entry["steps"] if one["id"] == "piv/9a/certificate"]
        return dict(step)

    def certificate(self, step: dict[str, Any]) -> x509.Certificate:
        """The certificate that the entry names."""
        return x509.load_der_x509_certificate(self.desk.blob(step["evidence"][0]["sha256"]))


@pytest.fixture
def site(first_desk: Desk, server: AcmeServer, tmp_path: Path) -> Site:
    """A station that knows the server."""
    made = Site(desk=first_desk.anew(tmp_path), server=server)
    made.settings()
    return made


@pytest.mark.parametrize("algorithm", ["eccp256", "rsa2048"])
def test_the_attested_key_is_certified(site: Site, algorithm: str) -> None:
    """The server takes attestation, signature and request; the certificate names the token."""
    step = site.run(algorithm)
    assert step["facts"]["authority"] == f"acme+{site.server.directory}"
    assert "doubts" not in step["facts"]
    names = site.certificate(step).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    others = {
        one.type_id.dotted_string: one.value
        for one in names.value
        if isinstance(one, x509.OtherName)
    }
    assert str(SERIAL).encode() in others[OID_PERMANENT_IDENTIFIER]
    assert site.server.stale > 0  # nonces that it refused on the way


def test_the_account_is_made_once(site: Site, first_desk: Desk, tmp_path: Path) -> None:
    """Its key is drawn, mode 600, and used again."""
    site.run()
    assert (site.folder / "acme.key").stat().st_mode & 0o777 == 0o600
    another = Site(desk=first_desk.anew(tmp_path / "another"), server=site.server)
    another.settings(**{"account-key": str(site.folder / "acme.key")})
    another.run()
    assert len(site.server.accounts) == 1


def test_an_account_may_have_to_be_bound(site: Site) -> None:
    """Without what the authority gave there is no account; with it there is."""
    site.server.binding = ("station-7", b"k" * 32)
    with pytest.raises(IssuerError, match="externalAccountRequired: who are you"):
        site.run()
    key = base64.urlsafe_b64encode(b"k" * 32).decode().rstrip("=")
    (site.folder / "binding").write_text(f"{key}\n")
    (site.folder / "binding").chmod(0o600)
    site.settings(**{"binding": "station-7", "binding-file": "binding"})
    assert site.run()["state"] == "match"


def test_processing_is_waited_for(site: Site) -> None:
    """An order that is being worked on is looked at again."""
    site.server.behaviours += ["slow"]
    assert "doubts" not in site.run()["facts"]


def test_an_undecided_order_is_taken_up_again(site: Site) -> None:
    """It waits for an hour; at the next run the same order is looked at, and is issued once."""
    site.server.behaviours += ["undecided"]
    with pytest.raises(IssuerPending) as raised:
        site.run()
    assert raised.value.retry_after == 3600
    (order,) = site.server.orders.values()
    order["behaviour"] = ""
    assert "doubts" not in site.run()["facts"]
    assert (len(site.server.orders), site.server.made) == (1, 1)


def test_a_lost_answer_is_asked_for_by_its_order(site: Site) -> None:
    """The connection is cut when the certificate was made: it comes later, and is the only one."""
    site.server.behaviours += ["lost"]
    with pytest.raises(IssuerUnanswered, match="did not answer"):
        site.run()
    assert "doubts" not in site.run()["facts"]
    assert (len(site.server.orders), site.server.made) == (1, 1)


@pytest.mark.parametrize("where", ["refused", "refused-elsewhere"])
def test_a_refused_attestation_is_told(site: Site, where: str) -> None:
    """The server's own words, of the order or of its challenge; the next run makes a new order."""
    site.server.behaviours += [where]
    with pytest.raises(IssuerError, match="badAttestationStatement: this maker is not known here"):
        site.run()
    assert site.run()["state"] == "match"
    assert (len(site.server.orders), site.server.made) == (2, 1)


def test_an_order_that_the_server_forgot_is_made_anew(site: Site) -> None:
    """Orders end: one that is gone is no reason to stop."""
    site.server.behaviours += ["undecided"]
    with pytest.raises(IssuerPending):
        site.run()
    site.server.orders.clear()
    assert site.run()["state"] == "match"


@pytest.mark.parametrize("member", ["authorizations", "finalize", "certificate"])
def test_what_a_server_leaves_out_is_told(site: Site, member: str) -> None:
    """A server that does not keep to the standard is an error with its remedy, and no crash."""
    site.server.behaviours += [f"without-{member}"]
    with pytest.raises(IssuerError, match=f"told no {member}"):
        site.run()


def test_another_makers_root_is_refused(site: Site) -> None:
    """A server that does not know the maker issues nothing: the attestation is really checked."""
    known = site.server.roots.read_bytes()
    site.server.roots.write_bytes((site.server.folder / "ca.pem").read_bytes())
    try:
        with pytest.raises(IssuerError, match="badAttestationStatement.*leaf.pem: verification"):
            site.run()
    finally:
        site.server.roots.write_bytes(known)


def test_a_key_without_attestation_is_not_asked_for(site: Site) -> None:
    """A key that nothing attests gets no certificate there, and the server hears of nothing."""
    issuer, key = site.desk.home.issuer(f"acme+{site.server.directory}"), p256()
    request = request_for(key, csr=csr_of(key), attestation=None)
    with pytest.raises(IssuerError, match="nothing attests the key of"):
        issuer.issue(request, datetime.now(UTC))
    assert site.server.accounts == {}


def test_without_its_serial_in_the_request(site: Site) -> None:
    """A server may want the token's serial out of the request: it is a setting."""
    site.settings(**{"names-token": False})
    with pytest.raises(IssuerError, match="badCSR: it does not name the token"):
        site.run()


def test_revocation_is_told_once(site: Site) -> None:
    """With its reason; what is revoked at the server already counts as done."""
    step = site.run()
    issuer = site.desk.home.issuer(f"acme+{site.server.directory}")
    now = datetime.now(UTC)
    issuer.revoke(step["facts"]["serialNumber"], x509.ReasonFlags.key_compromise, now)
    assert site.server.revoked == [(site.certificate(step).serial_number, 1)]
    told = next((site.folder / "requests").rglob("*.json"))
    told.write_bytes(told.read_bytes().replace(b',"told":true', b',"told":false'))
    issuer.revoke(step["facts"]["serialNumber"], x509.ReasonFlags.key_compromise, now)
    assert len(site.server.revoked) == 1
    assert b'"told":true' in told.read_bytes()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"account-key": None}, r"acme\.toml: account-key: field required"),
        ({"account-key": "acme.toml"}, "acme.toml (can be read by others|is no account's key)"),
        ({"trust": "gone.pem"}, "no certificates for TLS"),
    ],
)
def test_wrong_settings_are_named(site: Site, changes: dict[str, Any], said: str) -> None:
    """File and key are named."""
    site.settings(**changes)
    with pytest.raises(StationError, match=said):
        site.run()
