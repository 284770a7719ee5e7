"""Old encryption keys out of escrow on a new token: the retired slots, and what tells of them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from cryptography.x509.oid import NameOID
from yubikit.core import Tlv
from yubikit.piv import KEY_TYPE, OBJECT_ID, SLOT, PivSession

from tests.in_process import Desk, Line
from tests.promised import promises
from tokenprov.errors import NotSupported
from tokenprov.run import Outcome, provision
from tokenprov.secret import Secret
from tokenprov.step import Intent, State, Step
from tokenprov.steps.piv.history import (
    GivenCertificateStep,
    KeyHistoryStep,
    RetiredKey,
    history_steps,
)
from tokenprov.steps.piv.imported_key import ImportedKeyStep, draw_private_key
from tokenprov.steps.piv.management_key import ManagementKeyStep
from tokenprov.steps.piv.reference_data import PinStep, PukStep

MODELS = ("yubikey-5.7.4", "yubikey-5.7.4-fips", "yubikey-5.2.7", "yubikey-4.3.7")
NOW = datetime(2026, 11, 24, tzinfo=UTC)
PADDING = x509.ObjectIdentifier("2.999.1")  # an example arc: fills a certificate


class Memory:
    """A journal that lasts as long as the test."""

    def __init__(self) -> None:
        self.kept: dict[str, Intent] = {}

    def intents(self) -> Mapping[str, Intent]:
        """What was promised."""
        return self.kept

    def promise(
        self, *, ahead: Sequence[Step] = (), due: Sequence[Step] = ()
    ) -> Mapping[str, Intent]:
        """Draw and keep it."""
        made = promises(ahead, due)
        self.kept |= made
        return made

    def step_started(self, step: Step, number: int, total: int) -> None:
        """Nothing to tell."""


def provisioned(desk: Desk, journal: Memory, steps: Sequence[Step]) -> tuple[Outcome, ...]:
    """Take the token through steps, on a new connection."""
    line = Line(desk.token)
    token = desk.yubikey(line)
    try:
        return provision(
            token,
            steps,
            journal,
            progress=journal,
            begin=lambda: {step.id: step.observe(token, None) for step in steps},
        )
    finally:
        desk.commands = line.commands


def retired(private: Any, *, filling: bytes = b"") -> RetiredKey:
    """An old key with the certificate that an authority once gave for it."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Ada Example")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=800))
        .not_valid_after(NOW - timedelta(days=400))
    )
    if filling:
        builder = builder.add_extension(
            x509.UnrecognizedExtension(PADDING, filling), critical=False
        )
    key = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    certificate = builder.sign(private, hashes.SHA256()).public_bytes(Encoding.DER)
    return RetiredKey(private_key=Secret(key), certificate=certificate)


def steps_for(keys: Sequence[RetiredKey]) -> list[Step]:
    """What a replacement does: the token's own values, then the old keys, then the object."""
    return [
        PinStep(length=8),
        PukStep(length=8),
        ManagementKeyStep(algorithm=None),
        *history_steps(keys),
        KeyHistoryStep(on_card=len(keys)),
    ]


@pytest.mark.parametrize("model", MODELS)
def test_old_keys_decrypt_again(tmp_path: Path, model: str) -> None:
    """Keys and certificates stand in 82 and on, counted by the Key History; a rerun only looks."""
    desk, journal = Desk(tmp_path, model), Memory()
    old = [ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP256R1())]
    keys = [retired(key) for key in old]
    outcomes = provisioned(desk, journal, steps_for(keys))
    assert {one.finding.state for one in outcomes} == {State.MATCH}
    piv = PivSession(desk.connect())
    assert Tlv.parse_dict(piv.get_object(OBJECT_ID.KEY_HISTORY)) == {
        0xC1: b"\x02",
        0xC2: b"\x00",
        0xFE: b"",
    }
    piv.verify_pin(journal.kept["piv/pin"].secret("piv/pin").reveal_text())
    for slot, key, one in zip((SLOT.RETIRED1, SLOT.RETIRED2), old, keys, strict=True):
        assert piv.get_certificate(slot).public_bytes(Encoding.DER) == one.certificate
        sender = ec.generate_private_key(key.curve)
        shared = piv.calculate_secret(slot, sender.public_key())
        assert shared == key.exchange(ec.ECDH(), sender.public_key())

    before = desk.token.dump()
    again = provisioned(desk, journal, steps_for(keys))
    assert not any(one.written for one in again)
    after = desk.token.dump()
    assert after == before


def test_another_key_in_the_slot_is_not_overwritten(tmp_path: Path) -> None:
    """A slot that holds a key before anything was promised is a conflict, on old firmware too."""
    for model in ("yubikey-5.7.4", "yubikey-5.2.7"):
        desk = Desk(tmp_path / model, model)
        piv = PivSession(desk.connect())
        piv.authenticate(bytes.fromhex("0102030405060708" * 3))
        piv.put_key(SLOT.RETIRED1, ec.generate_private_key(ec.SECP256R1()))
        step = ImportedKeyStep(slot=SLOT.RETIRED1, algorithm=KEY_TYPE.ECCP256)
        found = step.observe(desk.yubikey(Line(desk.token)), None)
        assert found.state is State.CONFLICT
        assert "slot 82 holds a key" in found.reason


@pytest.mark.parametrize(
    ("filling", "compress", "fits"),
    [
        (b"", False, True),
        (b"\0" * 3000, False, False),
        (b"\0" * 3000, True, True),
        (os.urandom(3200), True, False),
    ],
    ids=["small", "large", "large compressed", "incompressible"],
)
def test_a_certificate_without_room_is_not_written(
    tmp_path: Path, filling: bytes, compress: bool, fits: bool
) -> None:
    """It is refused with its size before anything is sent; compressed only where that was asked."""
    desk, journal = Desk(tmp_path, MODELS[0]), Memory()
    one = retired(ec.generate_private_key(ec.SECP256R1()), filling=filling)
    key = ImportedKeyStep(slot=SLOT.RETIRED1, algorithm=KEY_TYPE.ECCP256, given=one.private_key)
    steps = [key, GivenCertificateStep(key=key, certificate=one.certificate, compress=compress)]
    if fits:
        (_, outcome) = provisioned(desk, journal, steps)
        assert outcome.finding.facts.get("compressed", False) is compress
        return
    with pytest.raises(NotSupported, match="3052 fit on the token") as refused:
        provisioned(desk, journal, steps)
    assert ("compress = true" in refused.value.remedy) is not compress
    assert "5fc10d" not in desk.token.dump()["applets"]["piv"]["objects"]


def test_the_object_tells_of_certificates_elsewhere() -> None:
    """Table 17, with two certificates on the token and one at a URL."""
    step = KeyHistoryStep(on_card=2, off_card=1, url="http://keys.example.test/00")
    content = step.value(step.draw(os.urandom).public)
    assert content == b"\xc1\x01\x02\xc2\x01\x01\xf3\x1bhttp://keys.example.test/00\xfe\x00"


@pytest.mark.parametrize("algorithm", [KEY_TYPE.ECCP256, KEY_TYPE.ECCP384, KEY_TYPE.X25519])
def test_drawn_keys_come_from_the_generator_that_is_handed_in(algorithm: KEY_TYPE) -> None:
    """The same bytes give the same key; a scalar out of range is drawn again."""
    drawn = [draw_private_key(algorithm, lambda size: b"\x07" * size) for _ in range(2)]
    assert drawn[0] == drawn[1]
    key: Any = load_der_private_key(drawn[0].reveal(), None)
    assert KEY_TYPE.from_public_key(key.public_key()) is algorithm
    if algorithm is not KEY_TYPE.X25519:
        answers = [b"\xff" * 48, b"\0" * 48, b"\x07" * 48]
        assert draw_private_key(algorithm, lambda size: answers.pop(0)[:size]) == drawn[0]


def test_rsa_keys_are_what_a_token_imports() -> None:
    """2048 bits, exponent 65537; a key that only signs is not drawn for encryption."""
    key: Any = load_der_private_key(draw_private_key(KEY_TYPE.RSA2048, os.urandom).reveal(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    assert (key.key_size, key.public_key().public_numbers().e) == (2048, 65537)
    with pytest.raises(NotSupported, match="does not encrypt"):
        draw_private_key(KEY_TYPE.ED25519, os.urandom)
