"""Stock `ykman` over secure channels through the private pcscd: `ykman sd`, and every group."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates

from tests.piv_peers import SERIAL, Case, Peers
from tests.secure_channels import host
from tokenprov.sim.bench import VirtualBench

DEFAULT_KEYS = ":".join(["404142434445464748494a4b4c4d4e4f"] * 3)
OWN_KEYS = ":".join(["01" * 16, "02" * 16, "03" * 16])

FACTORY = [
    Case(
        command="ykman sd info",
        says=r"SCP03 \(KID=0x01-0x03, KVN=0xFF\):\s+Default key set[\s\S]*"
        r"SCP11b \(KID=0x13, KVN=0x01\)[\s\S]*CN=Virtual SD Attestation 1",
    ),
    Case(command="ykman sd keys export scp11b 1 chain.pem"),
    Case(command="openssl verify -CAfile {roots} -untrusted chain.pem chain.pem", says="OK"),
    Case(command="ykman --scp-sd scp11b 1 sd keys generate scp11b 2 -", says="requires", code=1),
    Case(command="ykman --scp-sd scp11b 1 --scp-ca {issuer} sd info", says="Default key set"),
]

KEYS = [
    Case(command="ykman --scp {default} sd keys import scp03 2 {own}"),
    Case(command="ykman --scp {default} sd info", says="Incorrect SCP parameters", code=1),
    Case(command="ykman --scp {own} sd keys generate scp11a 3 card.pem", says="written"),
    Case(command="ykman --scp {own} sd keys import 0x10 3 ca.pem", says="Key stored"),
    Case(
        command="ykman --scp {own} sd keys set-allowlist 0x10 3 {serials}",
        says="allowlist set",
    ),
    Case(command="ykman --scp {pfx} --scp-password pass sd info", says="CA Key Identifier"),
    Case(command="ykman --scp {pfx} --scp-password pass piv info", says="PIN tries remaining"),
    Case(command="ykman --scp {pfx} --scp-password pass sd keys set-allowlist 0x10 3 1"),
    Case(command="ykman --scp {pfx} --scp-password pass sd info", says="0x6640", code=1),
    Case(command="ykman --scp {own} sd keys delete -f 0 3", says="deleted"),
    Case(command="ykman sd reset -f", says="Reset complete"),
    Case(command="ykman sd info", says=r"KVN=0xFF\):\s+Default key set"),
]

GROUPS = [
    Case(command="ykman --scp-sd 1 0 piv access change-pin -P 123456 -n 7531864"),
    Case(command="ykman --scp-sd 1 0 piv keys generate 9a own.pem -P 7531864 -m {key}"),
    Case(command="ykman --scp-sd 0x13 1 piv keys attest 9a statement.pem"),
    Case(command="ykman --scp-sd 0x13 1 otp info", says="Slot 1: programmed"),
    Case(command="ykman --scp-sd 0x13 1 oath info", says="OATH version"),
    Case(command="ykman --scp-sd 0x13 1 openpgp info", says="OpenPGP version"),
    Case(command="ykman --scp-sd 0x13 1 hsmauth info", says="retries remaining: +8/8"),
    Case(command="ykman --scp-sd 0x13 1 config nfc --disable PIV -f"),
    Case(command="ykman info", says=r"PIV\s+Enabled\s+Disabled"),
]


@pytest.fixture(scope="module")
def one() -> Iterator[VirtualBench]:
    """A private pcscd with one reader."""
    with VirtualBench(tokens=1) as bench:
        yield bench


@pytest.fixture
def peers(one: VirtualBench, tmp_path: Path) -> Peers:
    """One fresh YubiKey of firmware 5.7.4, and a host's certificates in the folder."""
    one.control.replace(0, model="yubikey-5.7.4", serial=SERIAL)
    here = host()
    (tmp_path / "ca.pem").write_bytes(here.authority.public_bytes(Encoding.PEM))
    *between, leaf = here.certificates
    pfx = serialize_key_and_certificates(
        b"host", here.key, leaf, [*between, here.authority], BestAvailableEncryption(b"pass")
    )
    (tmp_path / "host.pfx").write_bytes(pfx)
    return Peers(bench=one, folder=tmp_path)


def test_as_from_the_factory(peers: Peers) -> None:
    """The default keys are listed; SCP11b is certified up to the virtual root, by OpenSSL too."""
    roots = Path(peers.bench.environment["TOKENPROV_SIM_ROOTS"])
    trusted = peers.folder / "trusted.pem"
    trusted.write_bytes((roots / "root.pem").read_bytes() + (roots / "chain.pem").read_bytes())
    peers.play(FACTORY, roots=str(trusted), issuer=str(roots / "intermediate.crt"))


def test_keys(peers: Peers) -> None:
    """Keys are imported, generated, allowed, deleted and reset, over SCP03 and SCP11a."""
    serials = " ".join(str(each.serial_number) for each in host().certificates)
    cases = [replace(each, command=each.command.replace("{serials}", serials)) for each in KEYS]
    peers.play(cases, default=DEFAULT_KEYS, own=OWN_KEYS, pfx="host.pfx")


def test_every_group(peers: Peers) -> None:
    """Every group of commands works over a channel, and what it changed is really changed."""
    peers.play(GROUPS, key="010203040506070801020304050607080102030405060708")
