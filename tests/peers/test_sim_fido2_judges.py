"""Attestations and assertions of the virtual authenticator before libfido2 and OpenSSL."""

from __future__ import annotations

import base64
import hashlib
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from fido2 import cbor
from fido2.ctap2.base import AttestationResponse

from tests.fido2_applet import World
from tokenprov.sim.attestation import bench_roots

HASH = hashlib.sha256(b"client data").digest()
RP = "example.com"
ALGORITHMS = {-7: "es256", -35: "es384", -8: "eddsa"}


def b64(data: bytes) -> str:
    """Base64 without line breaks."""
    return base64.b64encode(data).decode()


def register(world: World, alg: int) -> AttestationResponse:
    """A discoverable credential of that algorithm."""
    return world.ctap.make_credential(
        HASH,
        {"id": RP},
        {"id": b"alice", "name": "alice"},
        [{"type": "public-key", "alg": alg}],
        options={"rk": True},
    )


def lines(made: AttestationResponse) -> str:
    """A registration in the format of fido2-cred(1)."""
    assert made.auth_data.credential_data is not None
    return "\n".join(
        [
            b64(HASH),
            RP,
            made.fmt,
            b64(cbor.encode(bytes(made.auth_data))),
            b64(made.auth_data.credential_data.credential_id),
            b64(made.att_stmt["sig"]),
            b64(made.att_stmt["x5c"][0]),
            "",
        ]
    )


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_libfido2_verifies_registration_and_assertion(alg: int, tmp_path: Path) -> None:
    """fido2-cred and fido2-assert accept what the token says, and a changed byte is refused."""
    world = World()
    made = register(world, alg)
    kind = ALGORITHMS[alg]
    done = subprocess.run(
        ["fido2-cred", "-V", kind], input=lines(made), capture_output=True, text=True, check=True
    )
    (tmp_path / "key.pem").write_text(done.stdout.split("\n", 1)[1])
    used = world.ctap.get_assertion(RP, HASH)
    for change, good in ((0, True), (1, False)):
        signature = bytes([*used.signature[:-1], used.signature[-1] ^ change])
        auth_data = cbor.encode(bytes(used.auth_data))
        said = "\n".join([b64(HASH), RP, b64(auth_data), b64(signature), ""])
        verdict = subprocess.run(
            ["fido2-assert", "-V", tmp_path / "key.pem", kind],
            input=said,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (verdict.returncode == 0) == good, verdict.stderr


@pytest.mark.parametrize("model", ["yubikey-5.4.3", "yubikey-5.7.4"])
def test_openssl_verifies_the_attestation_chain(model: str, tmp_path: Path) -> None:
    """OpenSSL finds the way from the attestation certificate to the virtual root."""
    made = register(World(model), -7)
    leaf, *between = (x509.load_der_x509_certificate(der) for der in made.att_stmt["x5c"])
    (tmp_path / "leaf.pem").write_bytes(leaf.public_bytes(Encoding.PEM))
    chain = b"".join(certificate.public_bytes(Encoding.PEM) for certificate in between)
    (tmp_path / "chain.pem").write_bytes(chain + bench_roots().chain_pem)
    (tmp_path / "root.pem").write_bytes(bench_roots().root_pem)
    files: list[str | Path] = [
        "-CAfile",
        tmp_path / "root.pem",
        "-untrusted",
        tmp_path / "chain.pem",
    ]
    done = subprocess.run(
        ["openssl", "verify", *files, tmp_path / "leaf.pem"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
