"""Files that people hand in, made bad in every way: each is refused by a reason, or read."""

from __future__ import annotations

import base64
import io
import json
import shutil
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import date
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

import tokenprov
from tests.attestation_leaves import NOW, real
from tests.malformed import damaged, faults, retyped
from tests.record_samples import SIGNER, issued, small_manifest
from tests.stations import tell
from tests.unit.test_attestation_fido import VECTORS
from tokenprov.attestation import Anchors, verify_fido_attestation, verify_piv_attestation
from tokenprov.attestation.openpgp import verify_openpgp_attestation
from tokenprov.backup import backup, restore
from tokenprov.card_keys import load_card_key
from tokenprov.cli.known_keys import verifier_key
from tokenprov.custodians import opened_key as custodians_key
from tokenprov.custodians.words import join, split
from tokenprov.home import Home
from tokenprov.model import Json
from tokenprov.people import load_public_key
from tokenprov.pkcs11.uri import Pkcs11Uri
from tokenprov.policy.load import parse_policy, ready_policies
from tokenprov.profile import load_profile
from tokenprov.record.custodian_key import (
    CustodianKey,
    KeyInMemory,
    generate_custodian,
    generate_hybrid,
    load_key,
    load_public,
)
from tokenprov.record.index import index_path
from tokenprov.record.manifest import Manifest
from tokenprov.record.sealed_file import SealedReader, SealedWriter
from tokenprov.record.signer import KeyInMemory as SigningKey
from tokenprov.roster import parse_roster
from tokenprov.secret import Secret
from tokenprov.signing.own import own_verifier
from tokenprov.stock import parse_serials

TODAY = date(2026, 11, 24)
READY = Path(tokenprov.__file__).parents[1] / "profiles"
TRUST = Path(tokenprov.__file__).parent / "trust"


def in_file(path: Path, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """Read a file by its path, once it has these bytes."""

    def write_and_read(data: bytes) -> object:
        path.write_bytes(data)
        path.chmod(0o600)
        return read(path)

    return write_and_read


@pytest.mark.parametrize("kind", [generate_custodian, generate_hybrid])
def test_keys_of_custodians(tmp_path: Path, kind: Callable[[], tuple[bytes, bytes]]) -> None:
    """Private and public, of both kinds."""
    private, public = kind()
    path = tmp_path / "key"
    assert not faults(in_file(path, load_public), damaged(public))
    assert not faults(in_file(path, load_key), damaged(private))
    encrypted = generate_custodian(Secret("phrase"))[0]
    read = in_file(path, lambda found: load_key(found, Secret("phrase")))
    assert not faults(read, damaged(encrypted, places=40))


def test_keys_that_sign(tmp_path: Path) -> None:
    """Private ones, people's public ones, and verifier keys in files."""
    path = tmp_path / "key"
    key = SigningKey.generate(path)
    private = path.read_bytes()
    assert not faults(in_file(path, SigningKey.load), damaged(private))
    public = CustodianKey(public=ec.generate_private_key(ec.SECP256R1()).public_key()).to_pem()
    assert not faults(in_file(path, lambda found: load_public_key("anna", found)), damaged(public))
    own = tmp_path / "witness.vkey"
    vkey = f"{SIGNER.verifier}\n".encode()
    assert not faults(in_file(own, lambda found: verifier_key(str(found))), damaged(vkey))
    assert not faults(in_file(own, lambda _: own_verifier(tmp_path, "witness")), damaged(vkey))
    assert key.public


def test_words(tmp_path: Path) -> None:
    """SLIP-39 shares with words that are none, too few, or of other bytes than text."""
    shares = split(ec.generate_private_key(ec.SECP256R1()), 2, 3)
    path, other = tmp_path / "share", tmp_path / "other"
    other.write_bytes(shares[1].reveal())

    def read(found: Path) -> None:
        with custodians_key(f"words:{found},{other}", lambda _: Secret(""), str):
            pass

    assert not faults(in_file(path, read), damaged(shares[0].reveal()))
    with suppress(UnicodeDecodeError):
        assert join(shares[:2])


def as_pem(der: bytes) -> bytes:
    """Bytes as if they were a certificate."""
    lines = base64.encodebytes(der)
    return b"-----BEGIN CERTIFICATE-----\n" + lines + b"-----END CERTIFICATE-----\n"


def test_trust_anchors() -> None:
    """Certificates that a station adds."""
    pem = (TRUST / "yubico-attestation-root-1.pem").read_bytes()
    read = lambda data: Anchors().with_pem(data, where="root.pem")  # noqa: E731 - one line to read
    assert not faults(read, damaged(pem, places=len(pem)))
    der = x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
    versions = [der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x07", 1)]
    assert versions != [der]
    assert not faults(read, map(as_pem, [*versions, *damaged(der, places=len(der))]))


def test_attestations() -> None:
    """What tokens and their makers say, in DER and CBOR."""
    anchors = Anchors.vendor()
    leaf, device = real("9a")

    def of_openpgp(data: bytes) -> None:
        verify_openpgp_attestation(data, device, anchors, now=NOW)

    for good, read in (
        (leaf, lambda data: verify_piv_attestation(data, device, anchors, now=NOW)),
        (device, lambda data: verify_piv_attestation(leaf, data, anchors, now=NOW)),
        (leaf, of_openpgp),
    ):
        assert not faults(read, damaged(good, places=len(good)))
    for name in ("yubikey-5-nfc-packed", "yubikey-4-u2f", "platform-none"):
        good = (VECTORS / f"{name}.attestation").read_bytes()
        read = lambda data: verify_fido_attestation(data, bytes(32), anchors, now=NOW)  # noqa: E731 - one line to read
        assert not faults(read, damaged(good, places=len(good)))


def test_policies_and_profiles(tmp_path: Path) -> None:
    """TOML, damaged anywhere."""
    for path in ready_policies().values():
        good = path.read_bytes()
        assert not faults(lambda data: parse_policy(data, "mine.toml"), damaged(good))
    for name in ("standard-employee", "piv-card", "otp-server"):
        good = (READY / f"{name}.toml").read_bytes()
        path = READY / f"{name}.toml"
        assert not faults(
            in_file(tmp_path / path.name, lambda p: load_profile(str(p))), damaged(good)
        )


def test_rosters_and_packing_lists() -> None:
    """CSV and JSON, damaged anywhere; JSON with any value another."""
    csv = b"id,name,email,upn\nE1,Ada Okonkwo,ada@example.test,ada@corp.test\n"
    people = [
        {"id": "E1", "name": "Ada Okonkwo", "email": "ada@example.test", "upn": "a@corp.test"},
        {"id": "E2", "name": "Jürgen Weiß", "email": "j@example.test"},
    ]
    written = json.dumps(people).encode()
    read = lambda data: parse_roster(data, "roster", today=TODAY)  # noqa: E731 - one line to read
    changed = (json.dumps(one).encode() for one in retyped(people))
    assert not faults(read, [*damaged(csv), *damaged(written), *changed])
    assert not faults(read, [*damaged(csv.decode().encode("utf-16"))])
    serials = b"serial,model\n12345678,YubiKey 5\n12345680-12345690,YubiKey 5 NFC\n"
    assert not faults(lambda data: parse_serials(data, "list"), damaged(serials))


def test_places_of_keys() -> None:
    """PKCS#11 URIs."""
    good = b"pkcs11:token=station;object=key;id=%01%02?module-path=/usr/lib/a.so&pin-source=file:/p"
    texts = {data.decode("utf-8", "replace") for data in damaged(good)}
    assert not faults(Pkcs11Uri.parse, texts)


def test_management_keys_of_cards(tmp_path: Path) -> None:
    """Hex in a file."""
    good = bytes(range(24)).hex().encode()
    read = in_file(tmp_path / "acme.hex", lambda _: load_card_key(tmp_path, "acme"))
    assert not faults(read, damaged(good))


def test_backups(tmp_path: Path) -> None:
    """Sealed to the custodian and yet no station's: what it says of itself, and what is in it."""
    key = KeyInMemory(private=ec.generate_private_key(ec.SECP256R1()))
    assert tell("init", tmp_path / "home", "--name", "bench").code == 0
    with closing(Home.open(tmp_path / "home").ledger):
        backup(Home.open(tmp_path / "home"), tmp_path / "file", key.recipient)
    with (tmp_path / "file").open("rb") as file, SealedReader(file, key) as sealed:
        about, content = sealed.about, sealed.read()

    def read(candidate: tuple[dict[str, Json], bytes]) -> None:
        said, inside = candidate
        out = io.BytesIO()
        with SealedWriter(out, key.recipient, said) as writer:
            writer.write(inside)
        restore(io.BytesIO(out.getvalue()), tmp_path / "again", key)
        shutil.rmtree(tmp_path / "again")

    read((about, content))
    changed = [(said, content) for said in retyped(about) if isinstance(said, dict)]
    bad = [(about, data) for data in damaged(content, places=12)]
    assert not faults(read, [*changed, *bad])


def test_the_index_of_a_manifest(tmp_path: Path) -> None:
    """Damaged, it is used or refused with the word to delete it; then all is found again."""
    small_manifest(tmp_path / "m").close()
    path = index_path(tmp_path / "m")

    def read(found: Path) -> list[int]:
        for name in ("m.index-wal", "m.index-shm"):
            (tmp_path / name).unlink(missing_ok=True)
        with closing(Manifest.open(tmp_path / "m", SIGNER)) as manifest:
            manifest.life(issued(1)["token"])
            return manifest.found_by("serial 10000001")

    good = path.read_bytes()
    assert read(path) == [2]
    pages = [good[:start] + bytes(512) + good[start + 512 :] for start in range(0, len(good), 4096)]
    assert not faults(in_file(path, read), [*pages, *damaged(good, places=6)])
    path.unlink()
    assert read(path) == [2]


def test_a_station_home(tmp_path: Path) -> None:
    """Its settings, which a person may have edited."""
    good = b'version = 1\nname = "bench"\ncreated = 2026-11-24T12:00:00Z\n'
    read = in_file(tmp_path / "station.toml", lambda path: Home.open(path.parent))
    assert not faults(read, damaged(good))
