"""OpenSC on virtual tokens: YubiKeys, and a PIV card of another maker.

OpenSC asks for random numbers as a challenge for a 3DES management key; tokens with an AES key
have none for it, and its test says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from ykman.piv import generate_chuid
from yubikit.piv import KEY_TYPE, OBJECT_ID, SLOT

from tests.piv_peers import MANAGEMENT_KEY, PIN, PUK, SERIAL, Peers, prepare
from tokenprov.sim.bench import VirtualBench

MODULE = ("pkcs11-tool", "--module", "opensc-pkcs11.so")
NO_RANDOM = "C_GenerateRandom failed: CKR_FUNCTION_NOT_SUPPORTED"
SLOTS = {
    SLOT.AUTHENTICATION: KEY_TYPE.ECCP256,
    SLOT.SIGNATURE: KEY_TYPE.RSA2048,
    SLOT.KEY_MANAGEMENT: KEY_TYPE.RSA2048,
    SLOT.CARD_AUTH: KEY_TYPE.ECCP384,
}


def write_public_key(
    peers: Peers, name: str, key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey
) -> str:
    """Write a public key as PEM; gives the file's name."""
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (peers.folder / f"{name}.pub").write_bytes(pem)
    return f"{name}.pub"


@pytest.fixture(scope="module")
def one() -> Iterator[VirtualBench]:
    """A private pcscd with one reader."""
    with VirtualBench(tokens=1) as bench:
        yield bench


@pytest.fixture
def peers(one: VirtualBench, tmp_path: Path) -> Peers:
    """One fresh YubiKey of firmware 5.7.4."""
    one.control.replace(0, model="yubikey-5.7.4", serial=SERIAL)
    return Peers(bench=one, folder=tmp_path)


@pytest.mark.parametrize(("model", "random"), [("yubikey-5.4.3", True), ("yubikey-5.7.4", False)])
def test_yubikey(peers: Peers, model: str, random: bool) -> None:
    """Four keys with certificates are listed and pass `pkcs11-tool --test`."""
    peers.bench.control.replace(0, model=model, serial=SERIAL)
    token, session = prepare(model, SERIAL)
    session.put_object(OBJECT_ID.CHUID, generate_chuid())
    for slot, kind in SLOTS.items():
        key = session.generate_key(slot, kind)
        assert isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey)
        name = f"slot-{slot:02x}"
        file = peers.certify(write_public_key(peers, name, key), name)
        certificate = x509.load_pem_x509_certificate((peers.folder / file).read_bytes())
        session.put_certificate(slot, certificate)
    guid = session.get_object(OBJECT_ID.CHUID)[29:45]
    peers.put(token)
    listed = peers.run(*MODULE, "-O")
    for name in ("PIV AUTH", "SIGN", "KEY MAN", "CARD AUTH"):
        assert f"{name} pubkey" in listed
    assert "DN: CN=slot-9c" in listed
    said = peers.run(*MODULE, "--login", "--pin", PIN, "--test", code=None)
    if random:
        assert "No errors" in said
    else:
        assert NO_RANDOM in said
        assert "1 errors" in said
    assert len(re.findall("RSA-PKCS: OK", said)) >= 4  # signatures, verification, decryption
    dump = peers.run("pkcs15-tool", "-D")
    assert f"Serial number  : {guid.hex()}" in dump
    assert "Private EC Key [PIV AUTH key]" in dump
    assert "Reference      : 128 (0x80)" in dump


def test_pin_management(peers: Peers) -> None:
    """OpenSC verifies, changes and unblocks the PIN, and says so when it was wrong."""
    tool = "pkcs15-tool"
    peers.run(tool, "--verify-pin", "--pin", PIN)
    wrong = peers.run(tool, "--verify-pin", "--pin", "000000", code=None)
    assert "PIN code or key incorrect" in wrong
    assert "tries remaining:      2/3" in peers.run("ykman", "piv", "info")
    peers.run(tool, "--change-pin", "--pin", PIN, "--new-pin", "7531864")
    peers.run(tool, "--unblock-pin", "--puk", PUK, "--new-pin", "1357924")
    peers.run(tool, "--verify-pin", "--pin", "1357924")
    assert "tries remaining:      3/3" in peers.run("ykman", "piv", "info")


def test_card_of_another_maker(new_bench: Callable[..., VirtualBench], tmp_path: Path) -> None:
    """OpenSC provisions a plain PIV card: admin authentication, keys, certificates, use."""
    peers = Peers(bench=new_bench(tokens=1, model="piv-card"), folder=tmp_path)
    assert "Personal Identity Verification Card" in peers.run("opensc-tool", "-n")
    (tmp_path / "key").write_text(":".join(re.findall("..", MANAGEMENT_KEY[:32])))
    admin = ("env", f"PIV_EXT_AUTH_KEY={tmp_path / 'key'}", "piv-tool", "-A", "M:9B:08")
    said = peers.run(*admin, "-s", "00:47:00:9C:05:AC:03:80:01:07:00")
    assert "Received (SW1=0x90" in said
    generated = bytes.fromhex("".join(re.findall(r"^((?:[0-9A-F]{2} ?)+)", said, re.MULTILINE)))
    assert generated.startswith(bytes.fromhex("7f4982010981820100"))
    key = rsa.RSAPublicNumbers(65537, int.from_bytes(generated[9:265])).public_key()
    certificate = peers.certify(write_public_key(peers, "sign", key), "card-sign")
    peers.run(*admin, "-C", "9C", "-i", certificate, code=None)  # its code is the bytes written
    listed = peers.run(*MODULE, "-O")
    assert "DN: CN=card-sign" in listed
    said = peers.run(*MODULE, "--login", "--pin", PIN, "--test", code=None)
    assert NO_RANDOM in said
    assert "1 errors" in said
    assert "RSA-PKCS: OK" in said
    status = peers.run("yubico-piv-tool", "-r", "Virtual", "-a", "status", code=None)
    assert "Serial Number:\tNo data available" in status
    assert re.search(r"CHUID:\t3019[0-9a-f]{50}3410", status)
    assert peers.run("ykman", "list") == ""
