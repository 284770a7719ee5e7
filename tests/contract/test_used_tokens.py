"""A token that holds somebody's keys is refused and left as it is, whatever the kind of use.

Each kind is made with the maker's library, as a person's `ykman` would; none needs the simulator.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from fido2.ctap2 import ClientPin, Ctap2
from yubikit.core import InvalidPinError
from yubikit.core.fido import SmartCardCtapDevice
from yubikit.core.smartcard import SmartCardConnection
from yubikit.piv import KEY_TYPE, MANAGEMENT_KEY_TYPE, OBJECT_ID, SLOT, Chuid, PivSession
from yubikit.yubiotp import SLOT as OTP_SLOT
from yubikit.yubiotp import (
    HmacSha1SlotConfiguration,
    StaticPasswordSlotConfiguration,
    YubiOtpSession,
    YubiOtpSlotConfiguration,
)

from tests.contract.conftest import MODELS
from tests.stations import Station
from tests.token_under_test import TokenUnderTest, Wire
from tokenprov.steps.piv.access import FACTORY_MANAGEMENT_KEY, FACTORY_PIN, FACTORY_PUK
from tokenprov.steps.piv.objects import NON_FEDERAL

OTHER_PIN = "83619275"
ACCESS_CODE = bytes.fromhex("0102030405a6")
SEED = bytes(range(20))


def piv(connection: SmartCardConnection) -> PivSession:
    """PIV, authenticated with the factory's management key."""
    session = PivSession(connection)
    session.authenticate(FACTORY_MANAGEMENT_KEY)
    return session


def change_pin(to: SmartCardConnection) -> None:
    """Somebody chose a PIN."""
    PivSession(to).change_pin(FACTORY_PIN, OTHER_PIN)


def change_puk(to: SmartCardConnection) -> None:
    """Somebody chose a PUK."""
    PivSession(to).change_puk(FACTORY_PUK, OTHER_PIN)


def block_pin(to: SmartCardConnection) -> None:
    """Somebody tried PINs until none was left."""
    session = PivSession(to)
    with contextlib.suppress(InvalidPinError):
        while True:
            session.verify_pin(OTHER_PIN)
            raise AssertionError("the wrong PIN was taken")
    while session.get_pin_attempts() > 0:
        with contextlib.suppress(InvalidPinError):
            session.verify_pin(OTHER_PIN)


def change_management_key(to: SmartCardConnection) -> None:
    """Somebody set a management key."""
    session = piv(to)
    tdes = MANAGEMENT_KEY_TYPE.TDES
    aes = MANAGEMENT_KEY_TYPE.AES192
    session.set_management_key(tdes if session.version < (5, 4, 2) else aes, bytes(range(24)))


def put_certificate(to: SmartCardConnection) -> None:
    """A certificate lies in 9a, and no key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2027, 1, 1, tzinfo=UTC))
        .sign(key, hashes.SHA256())
    )
    piv(to).put_certificate(SLOT.AUTHENTICATION, certificate)


def put_chuid(to: SmartCardConnection) -> None:
    """A CHUID says that the card is known to some Windows domain."""
    chuid = Chuid(
        fasc_n=NON_FEDERAL,
        guid=bytes(range(16)),
        expiration_date=datetime(2030, 1, 1).date(),
        asymmetric_signature=b"",
    )
    piv(to).put_object(OBJECT_ID.CHUID, bytes(chuid))


def key_in(slot: SLOT) -> Callable[[SmartCardConnection], None]:
    """A key was made in a slot."""

    def make(to: SmartCardConnection) -> None:
        piv(to).generate_key(slot, KEY_TYPE.ECCP256)

    return make


def hmac_in(slot: OTP_SLOT, access_code: bytes | None = None) -> Callable[[object], None]:
    """Challenge-response was set up in a slot."""

    def make(to: object) -> None:
        assert isinstance(to, SmartCardConnection)
        YubiOtpSession(to).put_configuration(slot, HmacSha1SlotConfiguration(SEED), access_code)

    return make


def static_password(to: SmartCardConnection) -> None:
    """Slot 2 types a password."""
    configuration = StaticPasswordSlotConfiguration(bytes(range(4, 20)))
    YubiOtpSession(to).put_configuration(OTP_SLOT.TWO, configuration)


def set_fido_pin(to: SmartCardConnection) -> None:
    """Somebody has set a FIDO2 PIN."""
    ClientPin(Ctap2(SmartCardCtapDevice(to))).set_pin(OTHER_PIN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """A way to use a token, and the words by which it is refused."""

    name: str
    make: Callable[[SmartCardConnection], None]
    says: str


USES = (
    Use(name="PIN changed", make=change_pin, says="PIN is not the factory's"),
    Use(name="PIN blocked", make=block_pin, says="PIN is blocked"),
    Use(name="management key", make=change_management_key, says="management key"),
    Use(name="key in 9a", make=key_in(SLOT.AUTHENTICATION), says="slot 9a holds a key"),
    Use(name="key in 9c", make=key_in(SLOT.SIGNATURE), says="slot 9c holds a key"),
    Use(name="key in 9d", make=key_in(SLOT.KEY_MANAGEMENT), says="slot 9d holds a key"),
    Use(name="key in 82", make=key_in(SLOT.RETIRED1), says="slot 82 holds a key"),
    Use(name="certificate", make=put_certificate, says="slot 9a holds a certificate"),
    Use(name="CHUID", make=put_chuid, says="it holds a CHUID"),
    Use(name="slot 2", make=hmac_in(OTP_SLOT.TWO), says="OTP slot 2 holds a credential"),
    Use(name="password in slot 2", make=static_password, says="OTP slot 2 holds a credential"),
    Use(
        name="slot 2 protected",
        make=hmac_in(OTP_SLOT.TWO, ACCESS_CODE),
        says="OTP slot 2 holds a credential",
    ),
    Use(name="slot 1 answers", make=hmac_in(OTP_SLOT.ONE), says="OTP slot 1 holds a credential"),
    Use(name="FIDO2 PIN", make=set_fido_pin, says="it has a FIDO2 PIN"),
)


def makes(use: Use, model: str) -> bool:
    """Whether it can be told on that model without a try, and the model lets somebody do it."""
    if model.endswith("-fips"):  # keys only once nothing is the factory's any more
        return not use.name.startswith("key in")
    return (use.name, model) != ("PIN changed", "yubikey-5.2.7")  # no metadata: its own test


USED = [
    pytest.param(model, use, id=f"{model}-{use.name}")
    for use in USES
    for model in MODELS
    if makes(use, model)
]


@pytest.mark.parametrize(("token", "use"), USED, indirect=["token"])
def test_a_used_token_is_refused_and_unchanged(
    station: Station, token: TokenUnderTest, use: Use, wire: Wire
) -> None:
    """It is passed over with the reason, nothing is written, and its order stays open."""
    with token.connection() as connection:
        use.make(connection)
    before = token.state()
    wire.clear()
    said = station.tell(*station.batch())
    assert said.code == 8, said.out + said.err
    refusal = said.only("OrderFailed")
    assert use.says in refusal["reason"]
    assert "Nothing was written" in refusal["remedy"]
    assert wire.writes == []
    assert token.state() == before
    assert said.document["counts"]["open"] == 1
    assert station.entries() == []


def test_a_changed_puk_alone_is_seen_where_the_firmware_tells(
    station: Station, token: TokenUnderTest, wire: Wire
) -> None:
    """With metadata (firmware 5.3) a PUK that somebody chose is enough to refuse the token."""
    with token.connection() as connection:
        change_puk(connection)
    before = token.state()
    wire.clear()
    said = station.tell(*station.batch())
    assert "PUK is not the factory's" in said.only("OrderFailed")["reason"]
    assert wire.writes == []
    assert token.state() == before


def test_the_plan_refuses_a_used_token_too(station: Station, token: TokenUnderTest) -> None:
    """The dry run says what the token has, and ends with the code of a token's error."""
    with token.connection() as connection:
        change_pin(connection)
    said = station.tell("plan", station.roster(), "--profile", "standard-employee", "--json")
    assert said.code == 4
    assert said.document["refused"] is True
    assert said.document["used"] == ["its PIV PIN is not the factory's"]
    assert said.document["steps"] == []  # looking could cost somebody's PIN a try


@pytest.mark.parametrize("token", ["yubikey-5.2.7"], indirect=True)
def test_without_metadata_a_changed_pin_costs_one_try_to_see(
    station: Station, token: TokenUnderTest, wire: Wire
) -> None:
    """The factory's PIN is tried once; refused again, the token loses no second try."""
    with token.connection() as connection:
        change_pin(connection)
    before = token.state()
    wire.clear()
    for _ in range(2):
        said = station.tell(*station.batch())
        assert said.code == 8
        assert said.only("OrderFailed")["label"] == token.serial
    assert wire.writes == []
    after = token.state()
    assert (before["piv"].pop("tries"), after["piv"].pop("tries")) == (3, 2)
    for state in (before, after):
        del state["inside"]
    assert after == before


@pytest.mark.parametrize("token", ["yubikey-5.2.7"], indirect=True)
def test_a_probe_leaves_the_last_tries_alone(station: Station, token: TokenUnderTest) -> None:
    """Where only trying tells the PIN, and two tries are left, none is spent: it is refused."""
    with token.connection() as connection:
        session = PivSession(connection)
        with contextlib.suppress(InvalidPinError):
            session.verify_pin(OTHER_PIN)
    before = token.state()
    assert before["piv"]["tries"] == 2
    said = station.tell(*station.batch())
    assert said.code == 8
    assert "too few tries left" in said.only("OrderFailed")["reason"]
    assert token.state() == before


def test_slot_1_protected_by_somebody_keeps_what_it_has(
    station: Station, token: TokenUnderTest
) -> None:
    """A touch credential behind an access code looks like the factory's; the write is refused."""
    with token.connection() as connection:
        otp = YubiOtpSession(connection)
        configuration = YubiOtpSlotConfiguration(b"\xff\x00\x01", bytes(6), bytes(16))
        otp.put_configuration(OTP_SLOT.ONE, configuration, ACCESS_CODE)
    before = token.state()
    said = station.tell(*station.batch())
    assert said.code == 8
    failed = said.only("OrderFailed")
    assert "access code" in failed["reason"]
    after = token.state()
    assert after["otp"] == before["otp"]
    assert said.document["orders"][0]["state"] == "failed"
    assert "access code" in said.document["orders"][0]["reason"]
    assert station.entries() == []


KEEPS_SLOT_1 = """name = "keeps-slot-1"
description = "A Yubico OTP where slot 1 is empty; the factory's credential stays"

[otp.slot1]
kind = "yubico-otp"
"""


def test_the_factory_slot_1_is_kept_unless_the_profile_replaces_it(
    station: Station, token: TokenUnderTest, wire: Wire
) -> None:
    """Without `replace-factory` the credential stays, and the entry says that it was skipped."""
    profile = station.home.with_name("keeps-slot-1.toml")
    profile.write_text(KEEPS_SLOT_1, encoding="utf-8")
    before = token.state()
    wire.clear()
    said = station.tell(*station.batch(profile=profile))
    assert said.code == 0, said.err
    assert wire.writes == []
    assert token.state() == before
    (step,) = station.entry_of(token.serial)["steps"]
    assert (step["id"], step["state"]) == ("otp/1", "skipped")
    assert "replace-factory is not set" in step["reason"]
    assert step["unread"] == ["credential"]
    assert station.entry_of(token.serial)["secrets"] == []
