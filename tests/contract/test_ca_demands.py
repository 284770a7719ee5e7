"""A batch whose certificates come from an authority that demands attestation, by its name."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.stations import Station
from tests.token_under_test import TokenUnderTest
from tokenprov.home import now
from tokenprov.issuer import LocalCa, Standing

PROFILE = """name = "strict"
description = "A key that its authority wants attested"

[[piv.keys]]
slot = "9a"
algorithm = "eccp256"
attestation = "if-supported"
[piv.keys.certificate]
issuer = "local:strict"
usages = ["client-auth"]
"""


@pytest.fixture
def profile(station: Station, tmp_path: Path) -> Path:
    """A profile that names the authority, which is there."""
    init = ("ca", "init", "strict", "--common-name", "Strict CA", "--attestation", "--key", "p384")
    assert station.tell(*init).code == 0
    (tmp_path / "strict.toml").write_text(PROFILE)
    return tmp_path / "strict.toml"


def test_an_attested_key_is_certified_and_ended(
    station: Station, token: TokenUnderTest, profile: Path, tmp_path: Path
) -> None:
    """It verifies by that authority alone, whose list has it when the token is revoked."""
    said = station.tell(*station.batch(profile=profile))
    assert said.code == 0, said.err
    (step,) = [one for one in station.entry_of(token.serial)["steps"] if "certificate" in one["id"]]
    assert step["facts"]["authority"] == "local:strict"
    der = station.blob(step["evidence"][0]["sha256"])
    leaf = tmp_path / "leaf.pem"
    leaf.write_bytes(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM))
    for folder, holds in (("authorities/strict", True), ("ca", False)):
        command = ["openssl", "verify", "-CAfile", str(station.home / folder / "ca.pem"), str(leaf)]
        assert (subprocess.run(command, capture_output=True, check=False).returncode == 0) is holds
    why = ("--reason", "stolen", "--operator", "olga")
    ended = station.tell("revoke", token.serial, *why)
    assert ended.code == 0, ended.err
    strict = LocalCa.open(station.home / "authorities/strict")
    status = strict.status(step["facts"]["serialNumber"], now())
    assert (status.standing, status.reason) == (
        Standing.REVOKED,
        x509.ReasonFlags.key_compromise,
    )


def test_a_key_that_nobody_vouches_for_is_not(
    station: Station, token: TokenUnderTest, profile: Path
) -> None:
    """The profile would take it, the authority does not: no token is issued, and it says why."""
    for root in (station.home / "trust").iterdir():
        root.unlink()  # the virtual tokens' roots: nobody vouches for them now
    said = station.tell(*station.batch(profile=profile))
    assert said.code != 0
    assert "has no attestation, which this authority demands" in said.err
    assert station.entries() == []
    assert list(LocalCa.open(station.home / "authorities/strict").issued.all()) == []
