"""An audit says what a token no longer is, and neither writes nor spends a try to find out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from fido2.ctap2.base import Ctap2
from fido2.ctap2.pin import ClientPin
from yubikit.core.fido import SmartCardCtapDevice
from yubikit.core.smartcard import SmartCardConnection
from yubikit.oath import HASH_ALGORITHM, OATH_TYPE, CredentialData, OathSession
from yubikit.piv import KEY_TYPE, OBJECT_ID, SLOT, PivSession
from yubikit.yubiotp import SLOT as OTP_SLOT
from yubikit.yubiotp import HmacSha1SlotConfiguration, YubiOtpSession

from tests.contract.conftest import MODELS, fresh_token
from tests.contract.test_used_tokens import set_fido_pin
from tests.stations import Station
from tests.token_under_test import TokenUnderTest, Wire
from tokenprov.sim.bench import VirtualBench
from tokenprov.steps.piv.access import FACTORY_MANAGEMENT_KEY

OTHER_PIN = "83619275"
EVERY_MODEL = pytest.mark.parametrize("token", MODELS, indirect=True)


@dataclass(frozen=True)
class Issued:
    """A station that issued the one token; `secrets` are break-glass's."""

    station: Station
    token: TokenUnderTest

    @property
    def secrets(self) -> dict[str, str]:
        """By name."""
        return self.station.secrets(self.token.serial)

    def audit(self, code: int) -> dict[str, Any]:
        """Audit it, with that exit code."""
        said = self.station.tell("token", "audit", self.token.serial, "--json")
        assert said.code == code, said.out + said.err
        (found,) = said.document["tokens"]
        assert isinstance(found, dict)
        return found


@pytest.fixture
def issued(station: Station, token: TokenUnderTest) -> Issued:
    """With the standard profile."""
    said = station.tell(*station.batch())
    assert said.code == 0, said.err
    return Issued(station, token)


def standings(found: dict[str, Any]) -> dict[str, str]:
    """By setting."""
    return {one["setting"]: one["standing"] for one in found["settings"]}


@EVERY_MODEL
def test_a_token_as_it_was_issued_has_no_drift(issued: Issued, wire: Wire) -> None:
    """Each setting of the entry is the same or needs a secret; nothing is written, no try spent."""
    before = issued.token.state()
    wire.clear()
    found = issued.audit(0)
    assert wire.writes == []
    assert issued.token.state() == before
    assert found["drift"] is False
    assert (found["holder"], found["profile"]) == ("Ada Okonkwo", "standard-employee")
    entry = issued.station.entry_of(issued.token.serial)
    assert found["entry"] == entry["index"]
    assert list(standings(found)) == [step["id"] for step in entry["steps"]]
    assert standings(found)["piv/9a/key"] == "same"
    assert standings(found)["piv/9a/certificate"] == "same"
    assert standings(found)["piv/pin"] == "unknown"
    assert (found["added"], found["defaults"]) == ([], [])
    has_metadata = issued.token.firmware >= (5, 3, 0)
    assert ("whether the piv PIN is the factory's" in found["unknown"]) is not has_metadata


def overwrite_certificate(to: SmartCardConnection, secrets: dict[str, str]) -> None:
    """Somebody deleted the certificate."""
    piv = PivSession(to)
    piv.authenticate(bytes.fromhex(secrets["piv/management-key"]))
    piv.delete_certificate(SLOT.AUTHENTICATION)


def new_key(to: SmartCardConnection, secrets: dict[str, str]) -> None:
    """Somebody made another key in the slot."""
    piv = PivSession(to)
    piv.authenticate(bytes.fromhex(secrets["piv/management-key"]))
    piv.generate_key(SLOT.AUTHENTICATION, KEY_TYPE.ECCP384)


def new_chuid(to: SmartCardConnection, secrets: dict[str, str]) -> None:
    """Somebody wrote another CHUID."""
    piv = PivSession(to)
    piv.authenticate(bytes.fromhex(secrets["piv/management-key"]))
    piv.put_object(OBJECT_ID.CHUID, b"\x53")


def extra_key(to: SmartCardConnection, secrets: dict[str, str]) -> None:
    """Somebody made a key in a slot that the profile leaves empty."""
    piv = PivSession(to)
    piv.authenticate(bytes.fromhex(secrets["piv/management-key"]))
    piv.generate_key(SLOT.SIGNATURE, KEY_TYPE.ECCP256)


def reset_piv(to: SmartCardConnection, _: dict[str, str]) -> None:
    """Somebody reset the application."""
    PivSession(to).reset()


def block_pin(to: SmartCardConnection, _: dict[str, str]) -> None:
    """Somebody tried PINs until none was left."""
    piv = PivSession(to)
    while piv.get_pin_attempts():
        try:
            piv.verify_pin(OTHER_PIN)
        except Exception:  # noqa: BLE001 whatever the library says of a wrong PIN
            continue


def empty_slot_2(to: SmartCardConnection, secrets: dict[str, str]) -> None:
    """Token administration emptied slot 2."""
    code = bytes.fromhex(secrets["otp/2/access-code"])
    YubiOtpSession(to).delete_slot(OTP_SLOT.TWO, code)


def other_kind_in_slot_1(to: SmartCardConnection, secrets: dict[str, str]) -> None:
    """Slot 1 answers challenges now."""
    code = bytes.fromhex(secrets["otp/1/access-code"])
    slot = HmacSha1SlotConfiguration(bytes(20))
    YubiOtpSession(to).put_configuration(OTP_SLOT.ONE, slot, code, code)


def add_account(to: SmartCardConnection, _: dict[str, str]) -> None:
    """The holder keeps an OATH account."""
    account = CredentialData("eve", OATH_TYPE.TOTP, HASH_ALGORITHM.SHA1, bytes(20))
    OathSession(to).put_credential(account)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """What somebody did to an issued token, and what the audit has to name."""

    make: Callable[[SmartCardConnection, dict[str, str]], None]
    settings: tuple[str, ...] = ()
    added: str = ""
    default: str = ""


DRIFTS = (
    Drift(make=overwrite_certificate, settings=("piv/9a/certificate",)),
    Drift(make=new_key, settings=("piv/9a/key", "piv/9a/certificate")),
    Drift(make=new_chuid, settings=("piv/chuid",)),
    Drift(make=extra_key, added="slot 9c holds a key (eccp256)"),
    Drift(make=block_pin, settings=("piv/tries",)),
    Drift(make=empty_slot_2, settings=("otp/2",)),
    Drift(make=other_kind_in_slot_1, settings=("otp/1",)),
    Drift(make=add_account, added="it holds 1 OATH account"),
    Drift(
        make=reset_piv,
        settings=(
            *("piv/tries", "piv/pin", "piv/puk", "piv/management-key", "piv/chuid", "piv/ccc"),
            *("piv/9a/key", "piv/9a/certificate"),
        ),
        default="piv PIN is the factory's",
    ),
)


@pytest.mark.parametrize("drift", DRIFTS, ids=lambda drift: drift.make.__name__)
def test_drift_is_named_and_is_exit_code_4(issued: Issued, drift: Drift, wire: Wire) -> None:
    """Exactly what somebody changed is drift, and looking at it changes nothing."""
    secrets = issued.secrets
    with issued.token.connection() as to:
        drift.make(to, secrets)
    before = issued.token.state()
    wire.clear()
    found = issued.audit(4)
    assert wire.writes == []
    assert issued.token.state() == before
    wrong = [name for name, standing in standings(found).items() if standing == "drift"]
    assert tuple(wrong) == drift.settings, found
    assert found["added"] == ([drift.added] if drift.added else [])
    assert not drift.default or drift.default in found["defaults"]


def test_a_pin_that_was_to_be_changed_and_was_is_no_drift(issued: Issued) -> None:
    """The holder did what was asked of them."""
    pin = issued.secrets["fido2/pin"]
    with issued.token.connection() as to:
        ClientPin(Ctap2(SmartCardCtapDevice(to))).change_pin(pin, "a new pin of mine")
    found = issued.audit(0)
    assert standings(found)["fido2/force-pin-change"] == "same"


def test_a_token_that_nobody_issued(
    station: Station, token: TokenUnderTest, one_reader: VirtualBench
) -> None:
    """There is nothing to compare: its factory values are listed, and that is no drift."""
    with token.connection() as to:
        set_fido_pin(to)
    said = station.tell("token", "audit", "--all", "--json")
    assert said.code == 0, said.err
    (found,) = said.document["tokens"]
    assert (found["serial"], found["entry"], found["settings"]) == (token.serial, None, [])
    assert "piv PIN is the factory's" in found["defaults"]
    assert "piv management key is the factory's" in found["defaults"]


def test_all_readers_and_a_table_for_people(station: Station, bench: VirtualBench) -> None:
    """Every token that is in is audited; one that drifted makes the exit code."""
    tokens = fresh_token(bench, "yubikey-5.7.4"), fresh_token(bench, "yubikey-5.7.4", 1)
    assert station.tell(*station.batch(holders=2)).code == 0
    assert station.tell("token", "audit", "--all").code == 0
    with tokens[1].connection() as to:
        PivSession(to).reset()
    said = station.tell("token", "audit", "--all")
    assert said.code == 4
    first, second = (said.out.index(one.serial) for one in tokens)
    assert "no drift" in said.out[min(first, second) :]
    assert "piv PIN is the factory's" in said.out
    assert FACTORY_MANAGEMENT_KEY.hex() not in said.out


@pytest.mark.parametrize("arguments", [(), ("12", "--all")])
def test_one_token_or_all(station: Station, arguments: tuple[str, ...]) -> None:
    """Which token is meant has to be said."""
    said = station.tell("token", "audit", *arguments)
    assert said.code == 2
    assert "--all" in said.err
