"""OpenSC's OpenPGP driver on virtual tokens: its tool, and its PKCS#11 module.

OpenSC prefers a YubiKey's PIV application, so that its configuration names the driver.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from yubikit.openpgp import DO, KEY_REF, RSA_SIZE, OpenPgpSession

from tests.openpgp_contact import ADMIN_PIN, PIN
from tests.piv_contact import roots
from tests.piv_peers import SERIAL, InProcess, Peers
from tokenprov.sim.assembly import make_token
from tokenprov.sim.bench import VirtualBench

MODULE = ("pkcs11-tool", "--module", "opensc-pkcs11.so")
MADE = 1_700_000_000  # 2023-11-14 22:13:20 UTC


@pytest.fixture(scope="module")
def one() -> Iterator[VirtualBench]:
    """A private pcscd with one reader."""
    with VirtualBench(tokens=1) as bench:
        yield bench


@pytest.fixture
def peers(one: VirtualBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Peers:
    """One fresh YubiKey of firmware 5.7.4, and OpenSC that takes it for an OpenPGP card."""
    one.control.replace(0, model="yubikey-5.7.4", serial=SERIAL)
    (tmp_path / "opensc.conf").write_text("app default { card_drivers = openpgp; }\n")
    monkeypatch.setenv("OPENSC_CONF", str(tmp_path / "opensc.conf"))
    monkeypatch.setenv("TZ", "UTC")
    return Peers(bench=one, folder=tmp_path)


def put_keys(peers: Peers) -> None:
    """Give the token three RSA keys, fingerprints, times, a certificate and a holder."""
    token = make_token("yubikey-5.7.4", SERIAL)
    session = OpenPgpSession(InProcess(token))
    session.verify_admin(ADMIN_PIN)
    for number, slot in enumerate((KEY_REF.SIG, KEY_REF.DEC, KEY_REF.AUT), start=1):
        assert isinstance(session.generate_rsa_key(slot, RSA_SIZE.RSA2048), rsa.RSAPublicKey)
        session.set_fingerprint(slot, bytes([number]) * 20)
        session.set_generation_time(slot, MADE)
    session.put_certificate(KEY_REF.AUT, roots().piv.certificate)
    session.put_data(DO.NAME, b"Doe<<Jane")
    peers.put(token)


def test_tool(peers: Peers) -> None:
    """openpgp-tool shows card, holder and keys, and erases the card."""
    put_keys(peers)
    said = peers.run("openpgp-tool", "--card-info", "--user-info")
    assert "Version:         3.4" in said
    assert f"Serial number:   {SERIAL}" in said
    assert "Doe" in said
    said = peers.run("openpgp-tool", "--key-info")
    assert "Sig Fingerprint: " + ":".join(["01"] * 20) in said
    assert "Dec Create Date: 2023-11-14 22:13:20" in said
    assert "Aut Algorithm:   RSA2048" in said
    peers.run("openpgp-tool", "--erase")
    assert "Sig Fingerprint: " + ":".join(["00"] * 20) in peers.run("openpgp-tool", "--key-info")


def test_tool_generates_nothing(peers: Peers) -> None:
    """A public exponent of 32 bits, which openpgp-tool asks for, is refused (OpenSC issue 1949)."""
    generate = ("openpgp-tool", "--gen-key", "1", "--verify", "CHV3", "--pin", ADMIN_PIN)
    assert "Incorrect parameters in APDU" in peers.run(*generate, code=1)


def test_pkcs11(peers: Peers) -> None:
    """Keys and certificate are listed; the module's own test signs and decrypts with them."""
    put_keys(peers)
    listed = peers.run(*MODULE, "--list-objects")
    for name in ("Encryption key", "Authentication key", "Certificate Object"):
        assert name in listed
    assert "Signature key" in peers.run(*MODULE, "--slot-index", "1", "--list-objects")
    test = (*MODULE, "--login", "--pin", PIN, "--test", "--slot-index")
    said = peers.run(*test, "1")
    assert "No errors" in said
    assert "RSA-PKCS: OK" in said
    said = peers.run(*test, "0", code=1)  # without MSE only one key deciphers: the other's fails
    assert re.search(r"testing key 1 \(Authentication key\) *\n.*signature functions", said)
    decryption = said[said.index("Decryption") :]
    assert re.search(r"\(Encryption key\) *\n *RSA-PKCS: OK", decryption)
    assert "C_Decrypt failed: rv = CKR_DATA_INVALID" in said


def test_pins(peers: Peers) -> None:
    """OpenSC verifies and changes the PIN; a wrong one costs a try."""
    tool = ("pkcs15-tool", "--auth-id", "01")
    peers.run(*tool, "--verify-pin", "--pin", PIN)
    peers.run(*tool, "--verify-pin", "--pin", "000000", code=255)
    peers.run(*tool, "--change-pin", "--pin", PIN, "--new-pin", "7531864")
    peers.run(*tool, "--verify-pin", "--pin", "7531864")
