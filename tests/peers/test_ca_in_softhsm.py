"""An authority whose key is in a PKCS#11 token, made by pkcs11-tool; judged by OpenSSL."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.certificate_requests import openssl, p256, request_for
from tests.softhsm import SOFTHSM, SoftHsm
from tests.stations import Station, tell
from tokenprov.errors import IssuerUnanswered, StationError
from tokenprov.home import now
from tokenprov.issuer import LocalCa

PIN = "73519246"
KINDS = {"EC:prime256v1": "sha256", "EC:secp384r1": "sha384", "RSA:3072": "sha256"}


@dataclass(frozen=True)
class Bench:
    """A station, and a token with a key of each kind."""

    station: Station
    hsm: SoftHsm
    pin_file: Path

    def uri(self, name: str) -> str:
        """Where the key of that name is."""
        return (
            f"pkcs11:token=authority;object={name}?module-path={SOFTHSM}&pin-source={self.pin_file}"
        )


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """One for all tests; the keys are made by pkcs11-tool."""
    folder = tmp_path_factory.mktemp("hsm")
    hsm = SoftHsm.create(folder / "softhsm")
    hsm.deliver("authority", "12345678", PIN)
    for number, kind in enumerate(KINDS):
        hsm.run(
            *("pkcs11-tool", "--module", str(SOFTHSM), "--token-label", "authority", "--login"),
            *("--pin", PIN, "--keypairgen", "--key-type", kind, "--label", f"ca-{number}"),
            *("--id", f"0{number}", "--usage-sign"),
        )
    pin_file = folder / "pin"
    pin_file.write_text(f"{PIN}\n")
    pin_file.chmod(0o600)
    assert tell("init", folder / "station", "--name", "bench-1").code == 0
    return Bench(Station(home=folder / "station"), hsm, pin_file)


@pytest.fixture(autouse=True)
def _leads_there(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in bench.hsm.environment.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("number", range(len(KINDS)))
def test_it_signs_certificates_lists_and_requests(
    bench: Bench, number: int, tmp_path: Path
) -> None:
    """OpenSSL verifies each, with the digest that fits; no key file is there."""
    name = f"hsm-{number}"
    made = bench.station.tell(
        *("ca", "init", name, "--common-name", "In a token"),
        *("--key-uri", bench.uri(f"ca-{number}")),
    )
    assert made.code == 0, made.err
    folder = bench.station.home / "authorities" / name
    assert not (folder / "ca.key").exists()
    ca = LocalCa.open(folder)
    issued = ca.issue(request_for(p256()), now())
    ca.revoke(issued.serial_hex, x509.ReasonFlags.superseded, now())
    good = ca.issue(request_for(p256(), request_id="o/9c"), now())
    for one in (issued, good):
        certificate = x509.load_der_x509_certificate(one.der)
        assert certificate.signature_hash_algorithm is not None
        assert certificate.signature_hash_algorithm.name == list(KINDS.values())[number]
    (tmp_path / "good.pem").write_text(openssl("x509", "-inform", "DER", given=good.der))
    lists = ca.publish(now(), whole=True)
    whole = x509.load_der_x509_crl(lists.whole).public_bytes(Encoding.PEM)
    (tmp_path / "crl.pem").write_bytes(whole)
    store = ["-CAfile", folder / "ca.pem", "-CRLfile", tmp_path / "crl.pem"]
    openssl("verify", "-x509_strict", "-crl_check", *store, tmp_path / "good.pem")
    below = bench.station.tell(
        *("ca", "init", f"below-{number}", "--common-name", "Below"),
        *("--key-uri", bench.uri(f"ca-{number}"), "--csr-out", tmp_path / "below.csr"),
    )
    assert below.code == 0, below.err
    openssl("req", "-verify", "-noout", "-in", tmp_path / "below.csr")


def test_trouble_in_the_token_is_the_authoritys(bench: Bench, tmp_path: Path) -> None:
    """A wrong PIN, a PIN that others can read, another key: told, and nothing is issued."""
    made = bench.station.tell(
        *("ca", "init", "trouble", "--common-name", "Trouble"),
        *("--key-uri", bench.uri("ca-0")),
    )
    assert made.code == 0, made.err
    folder = bench.station.home / "authorities" / "trouble"
    pin = tmp_path / "pin"
    pin.write_text("00000000")
    for mode, name, error, said in (
        (0o600, "ca-0", IssuerUnanswered, "did not sign"),
        (0o644, "ca-0", StationError, "can be read by others"),
        (0o600, "nothing", StationError, "names no private key"),
        (0o600, "ca-1", StationError, "not the one of the authority's certificate"),
    ):
        pin.chmod(mode)
        if name != "ca-0":
            pin.write_text(PIN)
        uri = bench.uri(name).replace(str(bench.pin_file), str(pin))
        (folder / "ca.toml").write_text(f'key = "{uri}"\n')
        ca = LocalCa.open(folder)
        with pytest.raises(error, match=said):
            ca.issue(request_for(p256()), now())
        assert ca.find("ab12cd34-0007/9a") is None
    no_pin = bench.uri("ca-0").partition("&")[0]
    said = bench.station.tell("ca", "init", "no-pin", "--common-name", "X", "--key-uri", no_pin)
    assert said.code == 3
    assert "names no pin-source" in said.err
