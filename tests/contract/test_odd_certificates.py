"""What may stand where a PIV certificate is looked for: it is told, and stops nobody.

A token in use comes back with what other programs wrote: compressed another way, cut off, of a key
that no slot holds.
"""

from __future__ import annotations

import datetime
import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from yubikit.core import Tlv
from yubikit.piv import OBJECT_ID

from tests.in_process import Desk, Line
from tokenprov.audit import audit
from tokenprov.inventory import take_inventory
from tokenprov.proof import prove
from tokenprov.secret import Secret

PROFILE = """
[piv]
pin = { length = 8 }
[[piv.keys]]
slot = "9a"
algorithm = "eccp256"
attestation = "if-supported"
certificate = { issuer = "local", usages = ["client-auth"] }
"""
MODELS = ("yubikey-5.7.4", "yubikey-5.2.7", "piv-card")
NOW = datetime.datetime(2026, 11, 24, tzinfo=datetime.UTC)


def certificate(curve: ec.EllipticCurve) -> bytes:
    """For a key on that curve, signed by itself."""
    key = ec.generate_private_key(curve)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, NOW, NOW)
    return made.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def contained(certificate: bytes, info: bytes = b"\0") -> bytes:
    """In its object (SP 800-73-4 part 1, table 10)."""
    return bytes(Tlv(0x70, certificate) + Tlv(0x71, info) + Tlv(0xFE))


ODD: dict[str, Callable[[], bytes]] = {
    "text": lambda: b"not one at all",
    "a length that lies": lambda: b"\x70\x82\x7f\xffx",
    "no certificate": lambda: contained(b"0\x03\x02\x01\x05"),
    "compressed and cut off": lambda: contained(gzip.compress(os.urandom(400))[:300], b"\1"),
    "compressed and changed": lambda: contained(gzip.compress(b"0" * 99)[:-9] + b"xx", b"\1"),
    "compressed in no way": lambda: contained(b"0\x03\x02\x01\x05", b"\1"),
    "compressed as Net iD has it, wrong": lambda: contained(b"\1\0\5\0abc", b"\1"),
    "on a curve of no slot": lambda: contained(certificate(ec.SECP521R1())),
    "on a curve of others": lambda: contained(certificate(ec.BrainpoolP256R1())),
}


@pytest.fixture(scope="module", params=MODELS)
def desk(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Desk:
    """A station that issued a token of the model."""
    made = Desk(tmp_path_factory.mktemp("desk"), request.param)
    made.run(PROFILE)
    return made


@pytest.mark.parametrize("name", ODD)
def test_what_is_no_certificate_is_told(desk: Desk, tmp_path: Path, name: str) -> None:
    """Inventory, audit and proof say that the certificate is not what it was, and none breaks off.

    What is there counts as something: it is not taken for an empty place.
    """
    state = desk.token.dump()
    state["applets"]["piv"]["objects"][f"{OBJECT_ID.AUTHENTICATION:06x}"] = ODD[name]().hex()
    desk.token.load(state)
    home = desk.home
    try:
        token = desk.connected(Line(desk.token))
        assert token.piv().certificate(0x9A)
        assert take_inventory(token).used
        found = audit(home, token)
        pin = Secret(desk.sealed()["piv/pin"])
        proofs = {
            one.slot: one.proved for one in prove(token, lambda: pin, now=NOW, random=os.urandom)
        }
    finally:
        home.ledger.close()
    assert found.drifted
    assert {one.id: str(one.standing) for one in found.settings}["piv/9a/certificate"] == "drift"
    assert proofs["9a"] is False
