"""A dry run reads like a difference: what is there, what will be, what goes, and what it takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.test_wipe import OTHER_PIN, use
from tests.stations import STANDARD, Station
from tests.token_under_test import TokenUnderTest, Wire
from tokenprov.forecast import GENERATIONS, REINSERT, TOUCH

RSA = """name = "rsa"
description = "A key that takes a while"

[piv]
pin = { length = 8, retries = 8 }
puk = { length = 8, retries = 5 }

[[piv.keys]]
slot = "9a"
algorithm = "rsa4096"
"""


def test_a_fresh_token_is_shown_as_a_difference(station: Station, token: TokenUnderTest) -> None:
    """Each setting has the line that goes and the line that comes, and the holder's own texts."""
    said = station.tell("plan", station.roster(), "--profile", STANDARD)
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert lines[0] == f"--- YubiKey 5 NFC, serial {token.serial}, firmware 5.7.4"
    assert lines[1] == f"+++ profile {STANDARD}, for Ada Okonkwo"
    at = lines.index("@@ PIN and PUK tries")
    assert lines[at + 1 : at + 3] == ["- pinTries 3, pukTries 3", "+ pin tries 8, puk tries 5"]
    at = lines.index("@@ certificate in 9a")
    assert lines[at + 1] == "- as it leaves the factory"
    assert "subject Ada Okonkwo" in lines[at + 2]
    assert "usages client-auth smartcard-logon" in lines[at + 2]
    assert "! OTP slot 1: factory credential is overwritten" in lines
    assert "13 settings would be written; nothing was changed." in lines
    assert "It takes 1 touch, no re-insertions, and about" in lines[-1]
    assert lines[-1].endswith("s (an estimate).")


def test_the_document_says_what_it_takes(station: Station, token: TokenUnderTest) -> None:
    """Touches by step and in all, what is destroyed, and the seconds with a person's among them."""
    said = station.tell("plan", station.roster(), "--profile", STANDARD, "--json")
    found = said.document
    assert found["destroyed"] == ["OTP slot 1: factory credential is overwritten"]
    assert found["prompts"] == {"touch": 1, "reinsert": 0}
    touched = [step["step"] for step in found["steps"] if step.get("touches")]
    assert touched == ["fido2/credential/login.example.test"]
    assert found["seconds"] > TOUCH
    (tries,) = [step for step in found["steps"] if step["step"] == "piv/tries"]
    assert tries["now"] == {"pinTries": 3, "pukTries": 3}
    assert tries["wanted"] == {"pin tries": 8, "puk tries": 5}
    assert {step["step"] for step in found["steps"] if not step["wanted"]} == set()


def test_a_key_that_takes_a_while_is_foreseen(
    station: Station, token: TokenUnderTest, tmp_path: Path
) -> None:
    """The making of an RSA key of 4096 bits counts for a minute."""
    profile = tmp_path / "rsa.toml"
    profile.write_text(RSA, encoding="utf-8")
    said = station.tell("plan", station.roster(), "--profile", profile, "--json")
    assert said.code == 0, said.err
    assert said.document["seconds"] > GENERATIONS["rsa4096"]


def test_a_used_token_is_listed_and_the_way_on_is_named(
    station: Station, token: TokenUnderTest
) -> None:
    """What is on it, in words, and how it may be wiped; no step is tried on it."""
    use(token)
    said = station.tell("plan", station.roster(), "--profile", STANDARD)
    assert said.code == 4
    for text in (
        "! slot 9a holds a key (eccp256)",
        "! OTP slot 2 holds a credential",
        "! it has a FIDO2 PIN",
        "! it holds 1 OATH account",
        f"--wipe {token.serial} --reason TEXT",
    ):
        assert text in said.out
    assert "@@" not in said.out


def test_a_wipe_is_shown_and_not_done(station: Station, token: TokenUnderTest, wire: Wire) -> None:
    """With --wipe the plan goes on as on an empty token, and says all that would be lost."""
    use(token)
    before = token.state()
    wire.clear()
    command = ("plan", station.roster(), "--profile", STANDARD, "--wipe", token.serial)
    said = station.tell(*command, "--json")
    assert said.code == 0, said.err
    assert wire.writes == []
    assert token.state() == before
    found = said.document
    assert found["refused"] is False
    assert set(found["used"]) <= set(found["destroyed"])
    assert {step["verdict"] for step in found["steps"]} == {"write"}
    assert found["prompts"] == {"touch": 2, "reinsert": 1}
    assert found["seconds"] > REINSERT + 2 * TOUCH
    text = station.tell(*command).out
    assert "- emptied" in text
    assert "It takes 2 touches, 1 re-insertion" in text
    assert OTHER_PIN not in text


@pytest.mark.parametrize("token", ["yubikey-4.3.7"], indirect=True)
def test_another_serial_is_not_wiped(station: Station, token: TokenUnderTest) -> None:
    """Leave for one token is none for another."""
    use(token)
    said = station.tell(
        *("plan", station.roster(), "--profile", "otp-server", "--wipe", "1", "--json")
    )
    assert said.code == 4
    assert said.document["refused"] is True
