"""PIV attestation: real tokens' certificates, virtual ones, and every way to be wrong."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from yubikit.management import FORM_FACTOR
from yubikit.piv import KEY_TYPE, PIN_POLICY, SLOT, TOUCH_POLICY

import tokenprov
from tests.piv_contact import Contact
from tests.piv_contact import roots as contact_roots
from tokenprov.attestation import AnchorKind, Anchors, NoAnchor, PivAttestation
from tokenprov.attestation import verify_piv_attestation as verify
from tokenprov.errors import AttestationError, InputError
from tokenprov.sim.attestation import VirtualRoots

VECTORS = Path(__file__).parents[1] / "vectors" / "yubikey-5.4.3-fips"
TRUST = Path(tokenprov.__file__).parent / "trust"
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ARC = "1.3.6.1.4.1.41482.3"
SPKI = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def der(path: Path) -> bytes:
    """The DER of a certificate in PEM."""
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    return certificate.public_bytes(Encoding.DER)


@pytest.fixture(scope="module")
def vendor() -> Anchors:
    """The anchors that ship."""
    return Anchors.vendor()


@pytest.fixture(scope="module")
def roots() -> VirtualRoots:
    """A virtual hierarchy of both shapes, as virtual tokens have it."""
    return VirtualRoots.create()


@pytest.fixture(scope="module")
def virtual(vendor: Anchors, roots: VirtualRoots) -> Anchors:
    """The anchors of a station that also knows the virtual roots."""
    return vendor.with_pem(roots.root_pem + roots.chain_pem, where="trust/virtual.pem")


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """An attestation to be made under a virtual f9, with what may be wrong in it."""

    firmware: bytes = bytes([5, 7, 4])
    serial: bytes | None = bytes.fromhex("020401b3bef6")  # DER INTEGER 28557046
    policies: bytes | None = bytes([2, 3])
    form_factor: bytes | None = bytes([1])
    subject: str = "YubiKey PIV Attestation 9a"
    digest: type[hashes.SHA256 | hashes.SHA224] = hashes.SHA256
    key: str = "p256"
    extra: Mapping[str, bool] = field(default_factory=dict)  # further extension -> critical
    constraints: x509.BasicConstraints | None = None
    f9: x509.BasicConstraints = field(default_factory=lambda: x509.BasicConstraints(True, 0))
    f9_not_after: datetime = datetime(9999, 12, 31)


def make(roots: VirtualRoots, leaf: Leaf) -> tuple[bytes, bytes]:
    """The attestation and its f9 certificate, DER."""
    device_key = ec.generate_private_key(ec.SECP256R1())
    authority = roots.piv if leaf.firmware >= bytes([5, 7, 4]) else roots.old_piv_root
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Yubico PIV Attestation")])
    device = (
        x509.CertificateBuilder(authority.certificate.subject, name, device_key.public_key(), 7)
        .not_valid_before(datetime(2016, 3, 14))
        .not_valid_after(leaf.f9_not_after)
        .add_extension(leaf.f9, critical=True)
        .sign(authority.key, hashes.SHA256())
    )
    key = (
        rsa.generate_private_key(65537, 2048)
        if leaf.key == "rsa"
        else ec.generate_private_key(ec.SECP256R1())
    ).public_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, leaf.subject)])
    builder = x509.CertificateBuilder(name, subject, key, 9)
    builder = builder.not_valid_before(datetime(2016, 3, 14)).not_valid_after(datetime(2052, 4, 17))
    values = {".3": leaf.firmware, ".7": leaf.serial, ".8": leaf.policies, ".9": leaf.form_factor}
    for number, value in values.items():
        if value is not None:
            oid = x509.ObjectIdentifier(ARC + number)
            builder = builder.add_extension(x509.UnrecognizedExtension(oid, value), critical=False)
    for dotted, critical in leaf.extra.items():
        oid = x509.ObjectIdentifier(dotted)
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, b"\x05\x00"), critical)
    if leaf.constraints:
        builder = builder.add_extension(leaf.constraints, critical=True)
    certificate = builder.sign(device_key, leaf.digest())
    return certificate.public_bytes(Encoding.DER), device.public_bytes(Encoding.DER)


def real(slot: str) -> tuple[bytes, bytes]:
    """A real token's attestation and f9 certificate, DER."""
    return der(VECTORS / f"attestation-{slot}.crt"), der(VECTORS / "attestation-intermediate.crt")


def test_a_real_fips_token_is_attested_by_the_maker(vendor: Anchors) -> None:
    """A YubiKey 5 FIPS of firmware 5.4.3 verifies up to the pinned old root, with all it says."""
    leaf, f9 = real("9a")
    found = verify(leaf, f9, vendor, now=NOW)
    key = x509.load_der_x509_certificate(leaf).public_key().public_bytes(*SPKI)
    assert found == PivAttestation(
        slot="9a",
        public_key=key,
        firmware=(5, 4, 3),
        serial=28557046,
        pin_policy=PIN_POLICY.ONCE,
        touch_policy=TOUCH_POLICY.NEVER,
        form_factor=FORM_FACTOR.USB_A_KEYCHAIN,
        fips=True,
        generated=True,
        chain=(
            "CN=YubiKey PIV Attestation 9a",
            "CN=Yubico PIV Attestation",
            "CN=Yubico PIV Root CA Serial 263751",
        ),
        anchor_fingerprint="63ece914e54dd87915f34033c85af4c0696ba1512f8add66ced738331207b546",
        anchor_kind=AnchorKind.VENDOR,
    )
    assert not found.virtual
    assert found.to_json()["serial"] == "28557046"


def test_policies_are_those_of_the_slot(vendor: Anchors) -> None:
    """The RSA key in 9c of the same token says PIN always."""
    found = verify(*real("9c"), vendor, now=NOW)
    assert (found.slot, found.pin_policy) == ("9c", PIN_POLICY.ALWAYS)


def test_every_altered_byte_of_a_real_attestation_is_refused(vendor: Anchors) -> None:
    """No byte of the attestation can be changed without being noticed."""
    leaf, f9 = real("9a")
    for position in range(len(leaf)):
        altered = bytearray(leaf)
        altered[position] ^= 0x01
        with pytest.raises(AttestationError):
            verify(bytes(altered), f9, vendor, now=NOW)


@pytest.mark.filterwarnings("ignore:Parsed a serial number")  # some of them become negative
def test_every_altered_byte_of_a_real_f9_is_refused(vendor: Anchors) -> None:
    """No byte of the f9 certificate can be changed without being noticed."""
    leaf, f9 = real("9a")
    for position in range(len(f9)):
        altered = bytearray(f9)
        altered[position] ^= 0x80
        with pytest.raises(AttestationError):
            verify(leaf, bytes(altered), vendor, now=NOW)


def test_attestations_of_two_slots_are_not_confused(vendor: Anchors) -> None:
    """`require` refuses another slot, serial, key and policy, and takes the right ones."""
    found = verify(*real("9a"), vendor, now=NOW)
    other = verify(*real("9c"), vendor, now=NOW)
    found.require(slot="9A", serial="28557046", public_key=found.public_key)
    found.require(pin_policy=PIN_POLICY.ONCE, touch_policy=TOUCH_POLICY.NEVER)
    with pytest.raises(AttestationError, match="for slot 9a, not 9c"):
        found.require(slot="9c")
    with pytest.raises(AttestationError, match="by token 28557046, not 28557047"):
        found.require(serial="28557047")
    with pytest.raises(AttestationError, match="another key"):
        found.require(public_key=other.public_key)
    with pytest.raises(AttestationError, match="PIN policy is once, not always"):
        found.require(pin_policy=PIN_POLICY.ALWAYS)
    with pytest.raises(AttestationError, match="touch policy is never, not cached"):
        found.require(touch_policy=TOUCH_POLICY.CACHED)


@pytest.mark.parametrize("firmware", [bytes([5, 7, 4]), bytes([5, 2, 7])], ids=["new", "old"])
def test_virtual_tokens_are_virtual(
    roots: VirtualRoots, vendor: Anchors, virtual: Anchors, firmware: bytes
) -> None:
    """Both shapes of virtual chain verify where their root is known, and say that they are."""
    leaf, f9 = make(roots, Leaf(firmware=firmware))
    found = verify(leaf, f9, virtual, now=NOW)
    assert found.virtual
    assert found.firmware == tuple(firmware)
    assert found.to_json()["anchorKind"] == "virtual"
    with pytest.raises(NoAnchor, match="no trusted root"):
        verify(leaf, f9, vendor, now=NOW)


@pytest.mark.parametrize("model", ["yubikey-5.7.4", "yubikey-5.4.3"])
def test_what_a_virtual_token_attests_by_command(vendor: Anchors, model: str) -> None:
    """A key generated on a virtual token verifies with the policies that it was made with."""
    anchors = vendor.with_pem(
        contact_roots().root_pem + contact_roots().chain_pem, where="trust/virtual.pem"
    )
    session = Contact(model, serial=12345678).authenticated()
    key = session.generate_key(
        SLOT.AUTHENTICATION, KEY_TYPE.ECCP256, PIN_POLICY.ONCE, TOUCH_POLICY.CACHED
    )
    leaf = session.attest_key(SLOT.AUTHENTICATION).public_bytes(Encoding.DER)
    f9 = session.get_certificate(SLOT.ATTESTATION).public_bytes(Encoding.DER)
    found = verify(leaf, f9, anchors, now=NOW)
    found.require(
        slot="9a",
        serial="12345678",
        public_key=key.public_bytes(*SPKI),
        pin_policy=PIN_POLICY.ONCE,
        touch_policy=TOUCH_POLICY.CACHED,
    )
    assert found.virtual
    assert model.endswith(found.firmware_text)


def test_what_a_token_need_not_say_is_left_out(roots: VirtualRoots, virtual: Anchors) -> None:
    """A token without visible serial and form factor is attested without them."""
    leaf, f9 = make(roots, Leaf(serial=None, form_factor=None))
    found = verify(leaf, f9, virtual, now=NOW)
    assert (found.serial, found.form_factor, found.fips) == (None, None, False)
    assert not {"serial", "formFactor"} & found.to_json().keys()
    found.require(serial="12345678")  # nothing to compare with


@dataclass(frozen=True, kw_only=True)
class Bad:
    """An attestation that is refused, and words of the reason."""

    name: str
    leaf: Leaf
    reason: str


BAD = [
    Bad(name="no policies", leaf=Leaf(policies=None), reason="in two bytes"),
    Bad(name="long policies", leaf=Leaf(policies=b"\2\3\0"), reason="in two bytes"),
    Bad(
        name="unknown policy",
        leaf=Leaf(policies=b"\x09\x01"),
        reason=r"unknown PIN or touch policy \(0901",
    ),
    Bad(name="default policy", leaf=Leaf(policies=b"\x00\x01"), reason="open"),
    Bad(name="short firmware", leaf=Leaf(firmware=b"\5\7"), reason="in three bytes"),
    Bad(name="long form factor", leaf=Leaf(form_factor=b"\1\0"), reason="in one byte"),
    Bad(name="zero serial", leaf=Leaf(serial=b"\2\1\0"), reason="positive DER INTEGER"),
    Bad(name="negative serial", leaf=Leaf(serial=b"\2\1\xff"), reason="positive DER INTEGER"),
    Bad(name="padded serial", leaf=Leaf(serial=b"\2\2\0\1"), reason="positive DER INTEGER"),
    Bad(name="cut serial", leaf=Leaf(serial=b"\2\4\1\xb3"), reason="positive DER INTEGER"),
    Bad(name="serial as text", leaf=Leaf(serial=b"\x0c\x03123"), reason="positive DER INTEGER"),
    Bad(name="empty serial", leaf=Leaf(serial=b""), reason="positive DER INTEGER"),
    Bad(name="short digest", leaf=Leaf(digest=hashes.SHA224), reason="weak digest"),
    Bad(name="other subject", leaf=Leaf(subject="9a"), reason="names no slot"),
    Bad(name="critical", leaf=Leaf(extra={"1.2.3.4": True}), reason="not understood"),
    Bad(
        name="leaf is a CA",
        leaf=Leaf(constraints=x509.BasicConstraints(True, None)),
        reason="certificate of an authority",
    ),
    Bad(name="f9 is no CA", leaf=Leaf(f9=x509.BasicConstraints(False, None)), reason="constraints"),
    Bad(
        name="f9 expired",
        leaf=Leaf(f9_not_after=datetime(2026, 11, 23)),
        reason="it is 2026-11-24 here",
    ),
    Bad(
        name="ROCA",
        leaf=Leaf(firmware=bytes([4, 3, 4]), key="rsa", form_factor=None),
        reason="YSA-2017-01",
    ),
]


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.name)
def test_bad_attestations_are_refused(roots: VirtualRoots, virtual: Anchors, case: Bad) -> None:
    """Each rule refuses what breaks it, and says which."""
    leaf, f9 = make(roots, case.leaf)
    with pytest.raises(AttestationError, match=case.reason):
        verify(leaf, f9, virtual, now=NOW)


def test_extensions_that_nobody_needs_are_no_fault(roots: VirtualRoots, virtual: Anchors) -> None:
    """A newer firmware may say more, as long as it is not critical."""
    leaf, f9 = make(roots, Leaf(extra={f"{ARC}.42": False}))
    assert verify(leaf, f9, virtual, now=NOW).slot == "9a"


def test_elliptic_curve_keys_of_roca_firmware_are_fine(
    roots: VirtualRoots, virtual: Anchors
) -> None:
    """ROCA concerns RSA only."""
    leaf, f9 = make(roots, Leaf(firmware=bytes([4, 3, 4]), form_factor=None))
    assert verify(leaf, f9, virtual, now=NOW).firmware_text == "4.3.4"


def test_another_tokens_f9_does_not_vouch(roots: VirtualRoots, virtual: Anchors) -> None:
    """A leaf beside the f9 certificate of another token of the same name is refused."""
    leaf, _ = make(roots, Leaf())
    _, f9 = make(roots, Leaf())
    with pytest.raises(AttestationError, match="signature on CN=YubiKey PIV Attestation 9a"):
        verify(leaf, f9, virtual, now=NOW)
    with pytest.raises(AttestationError, match="not issued by this token's slot f9"):
        verify(leaf, der(TRUST / "yubico-piv-root-263751.pem"), virtual, now=NOW)


def test_a_root_that_borrows_the_makers_name_is_not_the_maker(vendor: Anchors) -> None:
    """An added root is the station's own whatever it is called, and does not pass for the pin."""
    key = ec.generate_private_key(ec.SECP256R1())
    pinned = x509.load_pem_x509_certificate((TRUST / "yubico-piv-root-263751.pem").read_bytes())
    forged = (
        x509.CertificateBuilder(pinned.subject, pinned.subject, key.public_key(), 5)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
        .add_extension(x509.BasicConstraints(True, 1), critical=True)
        .sign(key, hashes.SHA256())
    )
    anchors = vendor.with_pem(forged.public_bytes(Encoding.PEM), where="trust/forged.pem")
    assert anchors.anchors[-1].kind is AnchorKind.STATION
    assert verify(*real("9a"), anchors, now=NOW).anchor_kind is AnchorKind.VENDOR


def test_a_virtual_intermediate_taints_a_station_root(vendor: Anchors) -> None:
    """A station root without the mark cannot launder a chain that has it further down."""
    root_key, device_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))

    def certificate(
        subject: str,
        issuer: str,
        public: ec.EllipticCurvePublicKey,
        signer: ec.EllipticCurvePrivateKey,
    ) -> x509.CertificateBuilder:
        names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, n)]) for n in (issuer, subject)]
        return (
            x509.CertificateBuilder(names[0], names[1], public, 5)
            .not_valid_before(NOW - timedelta(days=1))
            .not_valid_after(NOW + timedelta(days=1))
        )

    authority = x509.BasicConstraints(True, None)
    root = certificate("Our Root", "Our Root", root_key.public_key(), root_key)
    root_pem = root.add_extension(authority, True).sign(root_key, hashes.SHA256())
    device = certificate("A Virtual Token", "Our Root", device_key.public_key(), root_key)
    f9 = device.add_extension(authority, True).sign(root_key, hashes.SHA256())
    leaf = certificate(
        "YubiKey PIV Attestation 9a", "A Virtual Token", key.public_key(), device_key
    )
    for number, value in {".3": b"\5\7\4", ".8": b"\2\1"}.items():
        oid = x509.ObjectIdentifier(ARC + number)
        leaf = leaf.add_extension(x509.UnrecognizedExtension(oid, value), critical=False)
    signed = leaf.sign(device_key, hashes.SHA256())
    anchors = vendor.with_pem(root_pem.public_bytes(Encoding.PEM), where="trust/own.pem")
    found = verify(
        signed.public_bytes(Encoding.DER), f9.public_bytes(Encoding.DER), anchors, now=NOW
    )
    assert found.anchor_fingerprint == anchors.anchors[-1].fingerprint
    assert found.virtual


def test_the_clock_of_1970_is_named(vendor: Anchors) -> None:
    """A station without a clock is told to look at it, not that the token is false."""
    with pytest.raises(AttestationError, match="station's clock"):
        verify(*real("9a"), vendor, now=datetime(1970, 1, 1, tzinfo=UTC))


def test_garbage_is_refused(vendor: Anchors) -> None:
    """What is not a certificate, or has bytes behind it, is refused by name."""
    leaf, f9 = real("9a")
    with pytest.raises(AttestationError, match="the attestation is not a certificate"):
        verify(b"", f9, vendor, now=NOW)
    with pytest.raises(AttestationError, match="the attestation is not a certificate"):
        verify(leaf + b"\0", f9, vendor, now=NOW)
    with pytest.raises(AttestationError, match="slot f9 is not a certificate"):
        verify(leaf, f9[:-1], vendor, now=NOW)


def test_the_shipped_intermediates_lead_to_root_1(tmp_path: Path) -> None:
    """OpenSSL agrees that the maker's new hierarchy hangs together up to Root 1."""
    chain = tmp_path / "chain.pem"
    chain.write_bytes(
        b"".join(p.read_bytes() for p in sorted(TRUST.glob("yubico-attestation-inter*.pem")))
    )
    below = [p for kind in ("piv", "fido") for p in TRUST.glob(f"yubico-{kind}-attestation-*.pem")]
    assert len(below) == 5
    for path in below:
        ran = subprocess.run(
            ["openssl", "verify", "-CAfile", str(TRUST / "yubico-attestation-root-1.pem")]
            + ["-untrusted", str(chain), str(path)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr


def test_openssl_agrees_about_a_virtual_chain(
    roots: VirtualRoots, virtual: Anchors, tmp_path: Path
) -> None:
    """OpenSSL accepts the chain that is accepted here, and refuses the altered leaf."""
    leaf, f9 = make(roots, Leaf())
    assert verify(leaf, f9, virtual, now=NOW).virtual
    (tmp_path / "roots.pem").write_bytes(roots.root_pem)
    device = x509.load_der_x509_certificate(f9).public_bytes(Encoding.PEM)
    (tmp_path / "chain.pem").write_bytes(roots.chain_pem + device)
    (tmp_path / "leaf.pem").write_bytes(
        x509.load_der_x509_certificate(leaf).public_bytes(Encoding.PEM)
    )
    command = ["openssl", "verify", "-CAfile", "roots.pem", "-untrusted", "chain.pem", "leaf.pem"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 0
    (tmp_path / "chain.pem").write_bytes(roots.chain_pem)
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode != 0


def test_a_station_folder_adds_roots(roots: VirtualRoots, vendor: Anchors, tmp_path: Path) -> None:
    """PEM files of the trust folder become anchors; a missing folder adds none."""
    assert Anchors.load(tmp_path / "absent") == vendor == Anchors.load(None)
    (tmp_path / "bench.pem").write_bytes(roots.root_pem + roots.chain_pem)
    shutil.copy(TRUST / "yubico-attestation-root-1.pem", tmp_path)  # pinned already
    (tmp_path / "notes.txt").write_text("not read")
    loaded = Anchors.load(tmp_path)
    added = [a.kind for a in loaded.anchors[len(vendor.anchors) :]]
    assert added == [AnchorKind.VIRTUAL] * 3
    (tmp_path / "broken.pem").write_bytes(os.urandom(40))
    with pytest.raises(InputError, match=r"broken\.pem: does not hold certificates"):
        Anchors.load(tmp_path)


@pytest.mark.parametrize("change", ["swap", "add", "remove"])
def test_a_changed_installation_is_refused(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pinned root that was swapped, added or removed on disk stops everything."""
    copy = tmp_path / "trust"
    shutil.copytree(TRUST, copy)
    root, other = copy / "yubico-piv-root-263751.pem", copy / "yubico-u2f-root-457200631.pem"
    if change == "swap":
        shutil.copy(other, root)
    elif change == "add":
        shutil.copy(other, copy / "another.pem")
    else:
        root.unlink()
    monkeypatch.setattr("tokenprov.attestation.anchors.files", lambda _: tmp_path)
    with pytest.raises(AttestationError, match="not the pinned ones"):
        Anchors.vendor()
