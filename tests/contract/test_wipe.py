"""A used token is emptied only for the serial that was named, for a reason, and on the record.

A wipe is a promise in the ledger first: cut off anywhere, the same command finishes it, and nothing
else is begun with the token before.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from fido2.ctap2.base import Ctap2
from fido2.ctap2.pin import ClientPin
from yubikit.core.fido import SmartCardCtapDevice
from yubikit.oath import HASH_ALGORITHM, OATH_TYPE, CredentialData, OathSession
from yubikit.openpgp import PW, OpenPgpSession
from yubikit.piv import KEY_TYPE, SLOT, PivSession
from yubikit.yubiotp import SLOT as OTP_SLOT
from yubikit.yubiotp import HmacSha1SlotConfiguration, YubiOtpSession

from tests.contract.conftest import fresh_token
from tests.people import added, approved
from tests.stations import Said, Station
from tests.token_under_test import TokenUnderTest, Wire
from tokenprov.device.pcsc import PcscConnection
from tokenprov.record.wipes import WipeBook
from tokenprov.sim.bench import VirtualBench
from tokenprov.steps.piv.access import FACTORY_MANAGEMENT_KEY, FACTORY_PIN

OTHER_PIN = "83619275"
REASON = "left in a drawer by Eve, who knows of it"
ISSUED_BY = 2  # of the writes that are counted: the profile verifies PINs as well
MODELS = ("yubikey-5.7.4", "yubikey-5.2.7", "yubikey-4.3.7")
PIV_ONLY = """name = "piv-only"
description = "What every token here can be issued with"

[piv]
pin = { length = 8, retries = 8 }
puk = { length = 8, retries = 5 }
chuid = true
"""


def use(token: TokenUnderTest, access_code: bytes | None = None) -> None:
    """Somebody keeps something in every application."""
    with token.connection() as to:
        piv = PivSession(to)
        piv.authenticate(FACTORY_MANAGEMENT_KEY)
        piv.generate_key(SLOT.AUTHENTICATION, KEY_TYPE.ECCP256)
        piv.change_pin(FACTORY_PIN, OTHER_PIN)
        slot2 = HmacSha1SlotConfiguration(bytes(range(20)))
        YubiOtpSession(to).put_configuration(OTP_SLOT.TWO, slot2, access_code)
        account = CredentialData("eve", OATH_TYPE.TOTP, HASH_ALGORITHM.SHA1, bytes(20))
        OathSession(to).put_credential(account)
        OpenPgpSession(to).change_pin("123456", OTHER_PIN)
        if token.firmware >= (5, 0, 0):
            ClientPin(Ctap2(SmartCardCtapDevice(to))).set_pin(OTHER_PIN)


class Hands(io.StringIO):
    """Hears what the station asks for, and takes that token out and puts it in again."""

    def __init__(self, bench: VirtualBench) -> None:
        super().__init__()
        self._control, self.asked = bench.control, 0

    def write(self, text: str) -> int:
        """Do it beside the program, as a person does."""
        if '"event": "ReinsertWanted"' in text:
            self.asked += 1
            (serial,) = [line["serial"] for line in self._control.tokens() if _named(line, text)]
            threading.Thread(target=self._again, args=(serial,)).start()
        return super().write(text)

    def _again(self, serial: int) -> None:
        self._control.remove(serial)
        self._control.insert(serial)


def _named(line: dict[str, Any], text: str) -> bool:
    return f'"label": "{line["serial"]}"' in text


def wiping(token: TokenUnderTest) -> Sequence[str]:
    """The options."""
    return ("--wipe", token.serial, "--reason", REASON, "--operator", "olga")


@dataclass(frozen=True)
class Wipe:
    """The batch with leave to wipe the token, and with somebody at the reader."""

    station: Station
    command: Sequence[str | Path]
    options: Sequence[str]
    bench: VirtualBench

    def __call__(self) -> Said:
        """Run it."""
        return self.station.tell(*self.command, *self.options, listener=Hands(self.bench))


@pytest.fixture
def wipe(station: Station, token: TokenUnderTest, one_reader: VirtualBench, tmp_path: Path) -> Wipe:
    """On a profile that every token here can take."""
    profile = tmp_path / "piv-only.toml"
    profile.write_text(PIV_ONLY, encoding="utf-8")
    return Wipe(station, station.batch(profile=profile), wiping(token), one_reader)


@pytest.mark.parametrize("token", MODELS, indirect=True)
def test_a_named_token_is_emptied_recorded_and_issued(
    station: Station, token: TokenUnderTest, wipe: Wipe
) -> None:
    """All that was on it is gone; the manifest says who, why and what; and it is issued."""
    use(token)
    said = wipe()
    assert said.code == 0, said.out + said.err
    assert said.only("TokenWiped")["label"] == token.serial
    assert [event["event"] for event in said.events].count("ReinsertWanted") == (
        1 if token.firmware >= (5, 0, 0) else 0
    )
    (entry,) = station.entries("wiped")
    assert (entry["operator"], entry["reason"]) == ("olga", REASON)
    assert entry["token"]["serial"] == token.serial
    assert entry["token"]["virtual"] is True
    assert "slot 9a holds a key (eccp256)" in entry["found"]["used"]
    assert "OTP slot 2 holds a credential" in entry["found"]["used"]
    assert entry["found"]["inventory"]["otp"]["slots"]["2"]["configured"] is True
    assert entry["left"]["otp"]["slots"]["2"]["configured"] is False
    assert set(entry["reset"]) >= {"otp", "piv", "oath", "openpgp"}
    assert ("fido2" in entry["reset"]) is (token.firmware >= (5, 0, 0))
    assert station.entry_of(token.serial)["index"] > entry["index"]
    assert station.tell("manifest", "verify").code == 0
    with token.connection() as to:
        assert OathSession(to).list_credentials() == []
        OpenPgpSession(to).verify_pin("123456")
        assert OpenPgpSession(to).get_pin_status().get_attempts(PW.USER) == 3
        assert not YubiOtpSession(to).get_config_state().is_configured(OTP_SLOT.TWO)
        if token.firmware >= (5, 0, 0):
            assert not Ctap2(SmartCardCtapDevice(to)).info.options["clientPin"]


def test_a_wipe_is_asked_for(station: Station, token: TokenUnderTest, wipe: Wipe) -> None:
    """Under a policy a used token keeps all that it has, until others agreed that it may go."""
    rita, pavel = added(station, "rita", "requester"), added(station, "pavel", "approver")
    rules = station.home.with_name("rules.toml")
    rules.write_text('name = "w"\ndescription = "x"\n[separation]\nacts = { wipe = 1 }\n')
    assert station.tell("policy", "use", rules, "--reason", "a test").code == 0
    use(token)
    before = token.state()
    said = wipe()
    assert said.code == 8, said.err
    assert f"tokenprov approve request wipe 'token={token.serial}'" in said.err
    assert token.state() == before
    assert station.entries("wiped") == station.entries() == []
    file = approved(station, rita, pavel, "wipe", f"token={token.serial}")
    said = replace(wipe, options=(*wipe.options, f"--approval={file}"))()
    assert said.code == 0, said.err
    (entry,) = station.entries("wiped")
    assert [one["name"] for one in entry["approvers"]] == ["pavel"]
    assert station.tell("manifest", "verify").code == 0


def test_another_used_token_beside_it_is_left_alone(station: Station, bench: VirtualBench) -> None:
    """Two used tokens are in, one is named: the other one keeps all that it has."""
    named, other = fresh_token(bench, "yubikey-5.7.4"), fresh_token(bench, "yubikey-5.7.4", 1)
    use(named)
    use(other)
    before = other.state()
    said = station.tell(*station.batch(holders=2), *wiping(named), listener=Hands(bench))
    assert said.code == 8
    assert said.document["counts"]["issued"] == 1
    assert "is in use" in said.only("OrderFailed")["reason"]
    assert said.only("TokenWiped")["label"] == named.serial
    assert other.state() == before


def test_a_fresh_token_is_issued_and_not_wiped(
    station: Station, token: TokenUnderTest, wipe: Wipe
) -> None:
    """Leave to wipe a token that nothing is on comes to nothing, and to no entry."""
    said = wipe()
    assert said.code == 0, said.err
    assert station.entries("wiped") == []
    assert len(station.entries()) == 1


def test_an_unknown_access_code_stops_it_before_anything_is_lost(
    station: Station, token: TokenUnderTest, wipe: Wipe
) -> None:
    """An OTP slot that its owner locked is said to be so, and the other applications are whole."""
    use(token, bytes.fromhex("0102030405a6"))
    before = token.state()
    said = wipe()
    assert said.code == 8
    assert "access code" in said.only("TokenPassedOver")["reason"]
    after = token.state()
    assert (after["piv"], after["fido2"]) == (before["piv"], before["fido2"])
    assert station.entries("wiped") == []


def test_a_holders_token_is_refused(
    station: Station, token: TokenUnderTest, wipe: Wipe, wire: Wire
) -> None:
    """What this station issued is its holder's, whoever names it."""
    assert wipe().code == 0
    before = token.state()
    wire.clear()
    said = wipe()
    assert "was issued to Ada Okonkwo" in said.only("TokenPassedOver")["reason"]
    assert wire.writes == []
    assert token.state() == before
    assert station.entries("wiped") == []


@pytest.mark.parametrize(
    "options", [("--wipe", "1"), ("--reason", "x"), ("--wipe", "1", "--reason", " ")]
)
def test_a_wipe_has_a_reason(station: Station, options: Sequence[str]) -> None:
    """Neither is taken without the other, and no token is touched."""
    said = station.tell(*station.batch(), *options)
    assert said.code == 2
    assert "--wipe and --reason go together" in said.err


class Cut(BaseException):
    """The power fails."""


@dataclass
class Power:
    """Counts what a wipe writes, and fails at one of the writes: before it or right after it."""

    fails_at: int = -1
    carried_out: bool = False
    written: int = 0

    def send(
        self, connection: PcscConnection, apdu: bytes, send: Callable[..., tuple[bytes, int]]
    ) -> tuple[bytes, int]:
        """One exchange."""
        if not _wipes(bytes(apdu)):
            return send(connection, apdu)
        number, self.written = self.written, self.written + 1
        if number == self.fails_at and not self.carried_out:
            raise Cut
        answer = send(connection, apdu)
        if number == self.fails_at:
            raise Cut
        return answer


def _wipes(apdu: bytes) -> bool:
    """The writes of a wipe: OTP slots, PINs blocked, and the resets of the other applications."""
    cla, ins = apdu[0], apdu[1]
    if cla & 0x80:
        return apdu[5:6] == b"\x07" or apdu[7:8] == b"\x07"  # authenticatorReset (CTAP 2.1, 6.6)
    if ins == 0x01:
        return apdu[2] in (0x01, 0x03)  # an OTP slot
    # VERIFY, RESET RETRY COUNTER; PIV's reset; OATH's and YubiHSM Auth's; TERMINATE and ACTIVATE
    return ins in {0x20, 0x2C, 0xFB, 0x04, 0x08, 0xE6, 0x44}


@pytest.fixture
def power(monkeypatch: pytest.MonkeyPatch) -> Power:
    """On the connections of this process."""
    power, send = Power(), PcscConnection.send_and_receive
    monkeypatch.setattr(
        PcscConnection,
        "send_and_receive",
        lambda connection, apdu: power.send(connection, apdu, send),
    )
    return power


def test_a_wipe_that_was_cut_off_is_finished_by_the_same_command(
    station: Station, one_reader: VirtualBench, power: Power, tmp_path: Path
) -> None:
    """Without leave the token is then refused; with it, there is one wipe, with what was found."""
    profile = tmp_path / "piv-only.toml"
    profile.write_text(PIV_ONLY, encoding="utf-8")
    batch = station.batch(holders=40, profile=profile)

    def run(token: TokenUnderTest) -> Said:
        return station.tell(*batch, *wiping(token), listener=Hands(one_reader))

    first = fresh_token(one_reader, "yubikey-5.7.4")
    use(first)
    power.written = 0
    assert run(first).only("TokenWiped")
    writes = power.written - ISSUED_BY
    assert writes > 12
    for number, point in enumerate((*range(0, writes, 3), writes - 1)):
        token = fresh_token(one_reader, "yubikey-5.7.4")
        use(token)
        power.written, power.fails_at, power.carried_out = 0, point, bool(number % 2)
        with pytest.raises(Cut):
            run(token)
        power.fails_at = -1
        refused = station.tell(*batch)
        assert "is not finished" in refused.only("TokenPassedOver")["reason"]
        assert f"--wipe {token.serial}" in refused.only("TokenPassedOver")["remedy"]
        said = run(token)
        assert said.only("TokenIssued")["label"] == token.serial, said.err
        (entry,) = [e for e in station.entries("wiped") if e["token"]["serial"] == token.serial]
        assert "slot 9a holds a key (eccp256)" in entry["found"]["used"]
    assert station.tell("manifest", "verify").code == 0


def test_an_entry_that_was_made_ends_the_wipe(
    station: Station,
    token: TokenUnderTest,
    wipe: Wipe,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Cut off between the entry and the ledger, the next run knows that the wipe is over."""
    use(token)

    def fail(*_: object) -> None:
        raise Cut

    with monkeypatch.context() as patch:
        patch.setattr(WipeBook, "finish", fail)
        with pytest.raises(Cut):
            wipe()
    said = station.tell(*wipe.command)
    assert said.code == 0, said.err
    assert len(station.entries("wiped")) == 1
    assert len(station.entries()) == 1
