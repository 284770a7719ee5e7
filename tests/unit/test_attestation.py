"""PIV attestation: real tokens' certificates, virtual ones, and every way to be wrong."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from yubikit.management import FORM_FACTOR
from yubikit.piv import KEY_TYPE, PIN_POLICY, SLOT, TOUCH_POLICY

from tests.attestation_leaves import ARC, NOW, SPKI, TRUST, VECTORS, Leaf, der, make, real
from tests.piv_contact import Contact
from tests.piv_contact import roots as contact_roots
from tokenprov.attestation import AnchorKind, Anchors, NoAnchor, PivAttestation
from tokenprov.attestation import verify_piv_attestation as verify
from tokenprov.errors import AttestationError
from tokenprov.sim.attestation import VirtualRoots


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
        certificates=(leaf, f9, der(VECTORS / "attestation-root.crt")),
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
