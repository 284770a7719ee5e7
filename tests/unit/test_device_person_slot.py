"""A person's key on any PIV card: what its slot shows, and what is not asked of the card."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509.oid import NameOID
from yubikit.piv import KEY_TYPE, OBJECT_ID, PIN_POLICY, SLOT, TOUCH_POLICY

from tests.in_process import Line
from tokenprov.custodians.piv import key_on_token as opening_key
from tokenprov.device import person_slot
from tokenprov.device.iso7816 import Exchange
from tokenprov.device.piv_card import PivCardApplet
from tokenprov.errors import EscrowError, InputError, NotSupported, NotVerified, TokenprovError
from tokenprov.record.verifier_key import VerifierKey
from tokenprov.secret import Secret
from tokenprov.signing.piv import key_on_token as signing_key
from tokenprov.sim.assembly import make_token

EIGHT = bytes.fromhex("0102030405060708")  # what factories repeat
PIN = Secret("123456")
READER = "a reader"
Private = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


class Bench:
    """A card, and what is put on it as its owner would."""

    def __init__(self, model: str) -> None:
        self._token = make_token(model, 7)
        self.line = Line(self._token)

    @contextmanager
    def connected(self, reader: str) -> Iterator[Line]:
        """Whatever the reader, this card."""
        self.line = Line(self._token)
        yield self.line

    def generate(self, slot: SLOT) -> bytes:
        """A key on P-256: its public half."""
        return self._owned().generate_key(
            slot, KEY_TYPE.ECCP256, PIN_POLICY.DEFAULT, TOUCH_POLICY.DEFAULT
        )

    def certify(self, slot: SLOT, public: ec.EllipticCurvePublicKey | Private) -> None:
        """Put a certificate for that key into a slot."""
        self._owned().put_certificate(slot, certificate(public))

    def put(self, slot: SLOT, value: bytes) -> None:
        """Put anything where the certificate stands."""
        self._owned().put_object(OBJECT_ID.from_slot(slot), value)

    def tries(self) -> int | None:
        """Of the PIN."""
        return PivCardApplet(Exchange(Line(self._token), t0=self.line.t0)).pin_tries().remaining

    def _owned(self) -> PivCardApplet:
        piv = PivCardApplet(Exchange(Line(self._token), t0=self.line.t0))
        piv.authenticate((EIGHT * 4)[: piv.management_key_type.key_len])
        return piv


def certificate(public: ec.EllipticCurvePublicKey | Private) -> x509.Certificate:
    """For a public key, or for a private one's; the issuer is nobody."""
    issuer = ec.generate_private_key(ec.SECP256R1())
    key = public if isinstance(public, ec.EllipticCurvePublicKey) else public.public_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Anna")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key, x509.random_serial_number())
    made = made.not_valid_before(now).not_valid_after(now + timedelta(days=1))
    return made.sign(issuer, SHA256())


@pytest.fixture(params=["piv-card", "piv-card-t0"])
def bench(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A card of each kind."""
    made = Bench(request.param)
    monkeypatch.setattr(person_slot, "connected", made.connected)
    return made


def test_it_signs_and_agrees(bench: Bench) -> None:
    """Both keys by their certificates, each after its PIN."""
    keys = {slot: bench.generate(slot) for slot in (SLOT.SIGNATURE, SLOT.KEY_MANAGEMENT)}
    for slot, der in keys.items():
        public = load_der_public_key(der)
        assert isinstance(public, ec.EllipticCurvePublicKey)
        bench.certify(slot, public)
    with signing_key(READER, lambda: PIN) as key:
        for message in (b"one", b"two"):
            assert VerifierKey.of("anna", key.public).verify(message, key.sign(message))
    with opening_key(READER, lambda: PIN) as opens:
        sealed = opens.recipient.encrypt(b"a secret", b"info")
        assert opens.decrypt(sealed, b"info") == b"a secret"


@pytest.mark.parametrize("value", [b"", b"junk", b"\x70\x03\x30\x01\x00", b"\x70\x82\xff\xff"])
def test_a_certificate_that_cannot_be_read(bench: Bench, value: bytes) -> None:
    """The slot counts as one that shows no key; no PIN is asked for."""

    def ask() -> Secret:
        raise AssertionError("it is asked")

    for slot, opened in ((SLOT.SIGNATURE, signing_key), (SLOT.KEY_MANAGEMENT, opening_key)):
        bench.generate(slot)
        bench.put(slot, value)
        shows_none = pytest.raises((InputError, EscrowError), match="or none that it shows")
        with shows_none, opened(READER, ask):
            pass


def test_a_certificate_of_another_key(bench: Bench) -> None:
    """What the card signs is not handed out under it."""
    bench.generate(SLOT.SIGNATURE)
    bench.certify(SLOT.SIGNATURE, ec.generate_private_key(ec.SECP256R1()))
    with signing_key(READER, lambda: PIN) as key, pytest.raises(NotVerified, match="certificate"):
        key.sign(b"message")
    bench.certify(SLOT.SIGNATURE, ed25519.Ed25519PrivateKey.generate())
    with signing_key(READER, lambda: PIN) as key, pytest.raises(NotSupported, match="ED25519"):
        key.sign(b"message")


@pytest.mark.parametrize("typed", ["", "12345", "123456789", "12345\N{SUPERSCRIPT TWO}"])
def test_what_can_be_no_pin_spends_no_try(bench: Bench, typed: str) -> None:
    """It is refused here; a wrong one costs one try, and is not sent again."""
    public = load_der_public_key(bench.generate(SLOT.SIGNATURE))
    assert isinstance(public, ec.EllipticCurvePublicKey)
    bench.certify(SLOT.SIGNATURE, public)
    before = bench.tries()
    assert before is not None
    no_pin = pytest.raises(InputError, match="no PIN")
    with signing_key(READER, lambda: Secret(typed)) as key, no_pin:
        key.sign(b"message")
    assert bench.tries() == before
    refused = pytest.raises(TokenprovError, match="refused")
    with signing_key(READER, lambda: Secret("999999")) as key, refused:
        key.sign(b"message")
    assert bench.tries() == before - 1
