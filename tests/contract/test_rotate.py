"""Secrets of a token are made anew: the token takes the new ones and refuses the old ones."""

from __future__ import annotations

import hashlib
import hmac
import io
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from yubikit.core import InvalidPinError
from yubikit.core.smartcard import ApduError
from yubikit.hsmauth import HsmAuthSession
from yubikit.oath import OathSession
from yubikit.openpgp import OpenPgpSession
from yubikit.piv import PivSession
from yubikit.yubiotp import SLOT, HmacSha1SlotConfiguration, YubiOtpSession

from tests.contract.conftest import fresh_token
from tests.contract.test_unblock import key_of
from tests.stations import Said, Station
from tests.token_under_test import TokenUnderTest
from tokenprov.home import Home
from tokenprov.model import Purpose
from tokenprov.sim.bench import VirtualBench

WHY = ("--reason", "yearly", "--operator", "olga")
LOCKED = """name = "locked"
extends = "standard-employee"
without = ["fido2"]
[device]
lock-code = true
"""


APPLICATIONS = """name = "applications"
[oath]
password = { length = 20 }
[[oath.accounts]]
issuer = "VPN"
[openpgp]
admin-pin = { retries = 5 }
reset-code = {}
[hsmauth]
[[hsmauth.credentials]]
label = "signer"
algorithm = "eccp256"
"""


def rotate(station: Station, purpose: Purpose, *options: str) -> Said:
    """By a custodian."""
    return station.tell("rotate", *options, "--key", key_of(station, purpose), *WHY, "--json")


@pytest.fixture
def issued(station: Station, token: TokenUnderTest, tmp_path: Path) -> str:
    """A token of Ada's with all that can be made anew; gives its serial."""
    profile = tmp_path / "locked.toml"
    profile.write_text(LOCKED, encoding="utf-8")
    said = station.tell(*station.batch(profile=profile))
    assert said.code == 0, said.out + said.err
    return token.serial


def takes(token: TokenUnderTest, secrets: dict[str, str]) -> dict[str, bool]:
    """Which of these values are in force, by the maker's libraries."""
    found = {}
    with token.connection() as to:
        piv = PivSession(to)
        for name, attempt in (
            ("piv/puk", lambda: piv.change_puk(secrets["piv/puk"], secrets["piv/puk"])),
            (
                "piv/management-key",
                lambda: piv.authenticate(bytes.fromhex(secrets["piv/management-key"])),
            ),
        ):
            try:
                attempt()
            except Exception:  # noqa: BLE001  whatever it says, it was refused
                found[name] = False
            else:
                found[name] = True
    return found


def overwritten(token: TokenUnderTest, slot: SLOT, code: str) -> bool:
    """Whether a slot is overwritten with that access code. It cannot be undone."""
    with token.connection() as to:
        other = HmacSha1SlotConfiguration(bytes(20))
        try:
            YubiOtpSession(to).put_configuration(slot, other, None, bytes.fromhex(code))
        except ApduError:
            return False
        return True


@pytest.mark.parametrize("token", ["yubikey-5.7.4", "yubikey-5.2.7"], indirect=True)
def test_all_that_can_be_made_anew_is(
    station: Station, token: TokenUnderTest, issued: str, one_reader: VirtualBench
) -> None:
    """New PUK, management key, access codes and lock code; seeds and PINs are as they were."""
    old = station.secrets(issued)
    said = rotate(station, Purpose.BREAK_GLASS, issued)
    assert said.code == 0, said.err
    new = station.secrets(issued)
    anew = {name for name in new if new[name] != old[name]}
    assert anew == {
        *("piv/puk", "piv/management-key"),
        *("otp/1/access-code", "otp/2/access-code", "device/lock-code"),
    }
    assert takes(token, old) == {"piv/puk": False, "piv/management-key": False}
    assert takes(token, new) == {"piv/puk": True, "piv/management-key": True}
    with token.connection() as to:
        response = YubiOtpSession(to).calculate_hmac_sha1(SLOT.TWO, b"challenge")
    assert response == hmac.digest(bytes.fromhex(new["otp/2/seed"]), b"challenge", hashlib.sha1)
    typed = one_reader.control.type_slot(int(issued), 1)
    assert typed.endswith("\n")
    for slot in SLOT:
        name = f"otp/{slot.value}/access-code"
        assert not overwritten(token, slot, old[name])
        assert overwritten(token, slot, new[name])
    (entry,) = station.entries("rotated")
    assert {one["name"] for one in entry["secrets"]} == anew
    assert station.tell("manifest", "verify").code == 0
    audit = station.tell("token", "audit", issued)
    assert "access code" not in audit.out


def in_force(token: TokenUnderTest, secrets: dict[str, str]) -> dict[str, bool]:
    """Which of these values three more applications take, by the maker's libraries."""
    found = {}
    with token.connection() as to:
        oath = OathSession(to)
        found["oath/password"] = taken(
            lambda: oath.validate(oath.derive_key(secrets["oath/password"]))
        )
        pgp = OpenPgpSession(to)
        found["openpgp/admin-pin"] = taken(lambda: pgp.verify_admin(secrets["openpgp/admin-pin"]))
        pin, code = secrets["openpgp/user-pin"], secrets["openpgp/reset-code"]
        found["openpgp/reset-code"] = taken(lambda: pgp.reset_pin(pin, code))
        hsmauth, key = HsmAuthSession(to), bytes.fromhex(secrets["hsmauth/management-key"])
        found["hsmauth/management-key"] = taken(lambda: hsmauth.put_management_key(key, key))
    return found


def taken(attempt: Callable[[], object]) -> bool:
    """Whether it is not refused."""
    try:
        attempt()
    except (ApduError, InvalidPinError):
        return False
    return True


def test_secrets_of_other_applications(
    station: Station, token: TokenUnderTest, tmp_path: Path
) -> None:
    """Admin PIN, reset code and management key are made anew, the OATH password where it is asked
    for; what they guard stays. That the reset code is not read back is on the record.
    """
    profile = tmp_path / "applications.toml"
    profile.write_text(APPLICATIONS, encoding="utf-8")
    issued = station.tell(*station.batch(profile=profile))
    assert issued.code == 0, issued.out + issued.err
    old = station.secrets(token.serial)
    planned = rotate(station, Purpose.BREAK_GLASS, token.serial, "--dry-run")
    assert planned.code == 0, planned.err
    steps = ["openpgp/admin-pin", "openpgp/reset-code", "hsmauth/management-key"]
    assert [one["step"] for one in planned.document[0]["steps"]] == steps
    said = rotate(station, Purpose.TOKEN_ADMINISTRATION, token.serial)
    assert said.code == 0, said.err
    read = {step["id"]: step for step in station.entries("rotated")[-1]["steps"]}
    assert read["openpgp/reset-code"]["unread"] == ["reset code"]
    middle = station.secrets(token.serial)
    assert {name for name in middle if middle[name] != old[name]} == {*steps}
    assert in_force(token, old) == {name: name not in steps for name in in_force(token, middle)}
    only = rotate(station, Purpose.HELP_DESK, token.serial, "--what", "oath-password")
    assert only.code == 0, only.err
    new = station.secrets(token.serial)
    assert {name for name in new if new[name] != middle[name]} == {"oath/password"}
    assert set(in_force(token, new).values()) == {True}
    assert not in_force(token, middle)["oath/password"]
    audit = station.tell("token", "audit", token.serial, "--json")
    assert audit.code == 0, audit.out
    with token.connection() as to:
        oath = OathSession(to)
        oath.validate(oath.derive_key(new["oath/password"]))
        assert [one.issuer for one in oath.list_credentials()] == ["VPN"]
        assert [one.label for one in HsmAuthSession(to).list_credentials()] == ["signer"]
    assert station.tell("manifest", "verify").code == 0


def test_a_custodian_makes_anew_what_is_theirs(
    station: Station, token: TokenUnderTest, issued: str
) -> None:
    """The help desk's key changes the PUK and nothing else; `--what` asks for less still."""
    old = station.secrets(issued)
    assert rotate(station, Purpose.HELP_DESK, issued).code == 0
    new = station.secrets(issued)
    assert {name for name in new if new[name] != old[name]} == {"piv/puk"}
    said = rotate(station, Purpose.TOKEN_ADMINISTRATION, issued, "--what", "lock-code")
    assert said.code == 0, said.err
    last = station.secrets(issued)
    assert {name for name in last if last[name] != new[name]} == {"device/lock-code"}
    refused = rotate(station, Purpose.AUTHENTICATION_SERVER, issued)
    assert refused.code == 7


def test_another_key_on_the_token_is_told_before_anything_is_promised(
    station: Station, token: TokenUnderTest, issued: str
) -> None:
    """Somebody changed the PUK: that it is not the one in escrow is said, and nothing is sealed."""
    secrets = station.secrets(issued)
    with token.connection() as to:
        PivSession(to).change_puk(secrets["piv/puk"], "31415926")
    said = rotate(station, Purpose.HELP_DESK, issued)
    assert said.code == 4
    assert "its PUK is not the one in escrow" in said.err
    assert station.secrets(issued) == secrets
    assert station.entries("rotated") == []


def test_one_that_is_never_to_be_touched(
    station: Station, token: TokenUnderTest, issued: str
) -> None:
    """Nothing is opened, promised or told, though its holder has it; it can still be suspended."""
    assert station.tell("stock", "never", issued, "--reason", "evidence").code == 0
    before = token.state()
    said = rotate(station, Purpose.BREAK_GLASS, issued)
    assert said.code == 4
    assert "is never to be touched: evidence" in said.err
    assert token.state() == before
    assert station.entries("rotated") == station.entries("opened") == []
    home = Home.open(station.home)
    assert home.ledger.works.unfinished(issued) == []
    home.ledger.close()
    assert station.tell("suspend", issued, *WHY).code == 0


def test_all_that_come_by(station: Station, bench: VirtualBench) -> None:
    """With --all each token that is a holder's here is done, and others are passed over."""
    mine = fresh_token(bench, "yubikey-5.7.4", 0)
    assert station.tell(*station.batch()).code in (0, 8)
    (serial,) = [entry["token"]["serial"] for entry in station.entries()]
    other = next(one for one in (mine.serial, "30000002") if one != serial)
    said = rotate(station, Purpose.HELP_DESK, "--all")
    assert said.code == 0, said.err
    assert [one["serial"] for one in said.document] == [serial]
    assert f"no token {other} was issued" in said.only("TokenPassedOver")["reason"]


def test_tokens_that_are_put_in_meanwhile(
    station: Station, token: TokenUnderTest, issued: str, one_reader: VirtualBench
) -> None:
    """With --wait the next token is waited for: taken out and put in again, it is another turn."""

    class Again(io.StringIO):
        """Puts the token in again after its first turn."""

        turns = 0

        def write(self, text: str) -> int:
            """Hear when its last step begins."""
            if '"event": "StepStarted"' in text and '"piv/puk"' in text:
                self.turns += 1
                if self.turns == 1:
                    threading.Timer(1.0, self._again).start()
            return super().write(text)

        def _again(self) -> None:
            one_reader.control.remove(int(issued))
            one_reader.control.insert(int(issued))

    key = key_of(station, Purpose.HELP_DESK)
    command = ("rotate", "--all", "--wait", "3", "--key", key, *WHY, "--json")
    said = station.tell(*command, listener=Again())
    assert said.code == 0, said.err
    assert [one["serial"] for one in said.document] == [issued, issued]
    assert len(station.entries("rotated")) == 2
