"""A batch whose certificates come from an authority that no network leads to.

The requests are signed by OpenSSL, as a person at an offline machine does it.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509

from tests.contract.test_commands import faults
from tests.issued import openssl
from tests.stations import Said, Station, make_station
from tokenprov.sim.bench import VirtualBench

ORDERS_LEFT = 8
DOCUMENTED = "issuer export-requests, issuer import-certificates"  # in docs/json.md
PROFILE = """
name = "offline"

[[piv.keys]]
slot = "9a"
algorithm = "eccp256"

[piv.keys.certificate]
issuer = "file:vault"
upn = true
usages = ["client-auth", "smartcard-logon"]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A station, and a folder that is the offline machine."""

    station: Station
    vault: Path

    def batch(self) -> Said:
        """Run the batch of two holders: the same one each time."""
        profile = self.vault.with_name("offline.toml")
        profile.write_text(PROFILE)
        return self.station.tell(*self.station.batch(holders=2, profile=profile))

    def export(self, name: str = "out") -> list[Path]:
        """The files of the requests that wait, as they were exported."""
        out = self.vault.with_name(name)
        out.mkdir()  # as a stick that is mounted is there, and empty
        mounted = out.stat().st_ino
        said = self.station.tell("issuer", "export-requests", out, "--json")
        assert said.code == 0, said.err
        assert out.stat().st_ino == mounted
        assert faults(said.document, DOCUMENTED) == []
        listed = [one["file"] for one in said.document]
        with (out / "requests.csv").open(newline="") as file:
            assert [row["file"] for row in csv.DictReader(file)] == listed
        return [out / name for name in listed]

    def sign(self, request: Path, *options: str) -> Path:
        """A certificate for a request, in a file beside it."""
        made = request.with_suffix(".pem")
        sign = ("x509", "-req", "-in", str(request), "-CA", "root.pem", "-CAkey", "root.key")
        usual = options or ("-copy_extensions", "copyall", "-days", "99")
        openssl(*sign, *usual, "-out", str(made), folder=self.vault)
        return made

    def bring(self, *files: Path) -> Said:
        """Import certificates."""
        return self.station.tell("issuer", "import-certificates", *files, "--json")

    def orders(self) -> list[dict[str, str]]:
        """The orders, as `batch status` has them."""
        (batch,) = self.station.tell("batch", "status", "--json").document
        shown = self.station.tell("batch", "status", batch["batch"], "--json").document
        orders: list[dict[str, str]] = shown["orders"]
        return orders


@pytest.fixture
def site(bench: VirtualBench, tmp_path: Path) -> Site:
    """A station that knows the authority, with two tokens before it."""
    vault = tmp_path / "vault"
    vault.mkdir()
    root = "req -x509 -newkey rsa:2048 -nodes -days 999 -keyout root.key -out root.pem"
    openssl(*root.split(), "-subj", "/CN=Vault", folder=vault)
    station = make_station(tmp_path, bench.environment)
    (station.home / "issuers").mkdir(exist_ok=True)
    settings = f'uri = "file:vault"\nabove = "{vault}/root.pem"\n'
    (station.home / "issuers" / "vault.toml").write_text(settings)
    return Site(station=station, vault=vault)


def test_requests_out_certificates_in(site: Site) -> None:
    """The batch waits, the requests go out, one certificate comes, then the other: all is issued.

    A token that waits is named as such and is not one that failed.
    """
    said = site.batch()
    assert said.code == ORDERS_LEFT, said.err
    told = [one["event"] for one in said.events]
    assert (told.count("OrderWaits"), told.count("OrderFailed")) == (2, 0)
    for order in site.orders():
        assert order["state"] == "working"
        assert f"{order['order']}/9a has not come from file:vault" in order["reason"]
    batch = site.orders()[0]["order"].rpartition("-")[0]
    assert site.station.tell("batch", "status", batch).out.count(" waits ") == 2
    assert site.station.tell("batch", "retry", batch, "--json").document == []

    first, second = site.export()
    for request in (first, second):
        csr = x509.load_pem_x509_csr(request.read_bytes())
        assert csr.is_signature_valid
        names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.RFC822Name)[0].endswith("@example.test")

    brought = site.bring(site.sign(first), site.vault / "root.pem")
    assert brought.code == 0, brought.err
    assert faults(brought.document, DOCUMENTED) == []
    (taken,) = brought.document
    assert taken["request"] == f"{site.orders()[0]['order']}/9a"
    assert site.batch().code == ORDERS_LEFT
    assert [order["state"] for order in site.orders()] == ["issued", "working"]
    assert [file.name for file in site.export("again")] == [second.name]

    assert site.bring(site.sign(second)).code == 0
    assert site.batch().code == 0
    for order in site.orders():
        entry = site.station.entry_of(order["serial"])
        (step,) = [one for one in entry["steps"] if one["id"] == "piv/9a/certificate"]
        assert step["facts"]["authority"] == "file:vault"
        assert step["facts"]["issuer"] == "CN=Vault"
        assert "doubts" not in step["facts"]


def test_wrong_certificates_are_not_taken(site: Site) -> None:
    """Another key, another name, another root, a date gone by: each is told, nothing is taken."""
    site.batch()
    first, second = site.export()
    stranger = "req -x509 -newkey rsa:2048 -nodes -keyout s.key -out s.pem -subj /CN=Somebody"
    openssl(*stranger.split(), "-addext", "basicConstraints=critical,CA:FALSE", folder=site.vault)
    said = site.bring(site.sign(first), site.vault / "s.pem")
    assert (said.code, said.out) == (2, "")
    assert "s.pem: no request waits for the certificate of CN=Somebody" in said.err

    copied = ("-copy_extensions", "copyall")
    (site.vault / "mail.ext").write_text("subjectAltName=email:mallory@example.test\n")
    forged = "req -x509 -newkey rsa:2048 -nodes -keyout forged.key -out forged.pem -subj /CN=Vault"
    openssl(*forged.split(), folder=site.vault)
    by_forged = ("-CA", "forged.pem", "-CAkey", "forged.key", "-days", "9", *copied)
    for options, why in (
        ((*copied, "-days", "9", "-subj", "/CN=Mallory"), "is for CN=Mallory, not for CN=Ada"),
        (("-extfile", "mail.ext", "-days", "9"), "names mallory@example.test, which was not"),
        (("-days", "9"), "does not name"),
        (by_forged, "leads to no root"),
        ((*copied, "-days", "-1"), "not in force"),
    ):
        said = site.bring(site.sign(first, *options))
        assert said.code == 5, options
        assert why in said.err
        assert json.loads(said.out) == []
    assert [file.name for file in site.export("still")] == [first.name, second.name]


def test_one_wrong_certificate_does_not_keep_the_other(site: Site) -> None:
    """Of two files the right one is taken in, and the exit code tells of the wrong one."""
    site.batch()
    first, second = site.export()
    wrong = site.sign(first, "-days", "9")
    said = site.bring(wrong, site.sign(second))
    assert said.code == 5
    assert "1 not taken in" in said.err
    (taken,) = said.document
    assert taken["request"].replace("/", "-") == second.stem


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ('uri = "file:vault"\n', "nobody says what certificates of file:vault lead to"),
        ('uri = "file:vault"\nabove = "gone.pem"\n', "gone.pem cannot be read"),
    ],
)
def test_settings_are_needed(site: Site, settings: str, said: str) -> None:
    """Without a root that counts nothing is taken in."""
    site.batch()
    first, _ = site.export()
    (site.station.home / "issuers" / "vault.toml").write_text(settings)
    brought = site.bring(site.sign(first))
    assert brought.code == 3
    assert said in brought.err
