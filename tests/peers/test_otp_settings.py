"""Stock ykman looks at tokens issued with each kind of OTP slot, and agrees with the manifest.

HOTP codes are checked by `cryptography`'s HOTP; static passwords by ykman's setting the same one on
another token. Access codes come from escrow and are given to ykman by its standard input.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.twofactor.hotp import HOTP

from tests.conftest import Run
from tests.stations import Station, make_station
from tokenprov.sim.bench import VirtualBench

PROFILE = """name = "otp-kinds"
description = "Each kind of slot, one after another"

{section}
"""
KINDS = """[otp.slot1]
kind = "hotp"
replace-factory = true
digits = 8
counter = 32
token-id = "serial"
append-enter = false

[otp.slot2]
kind = "static-password"
length = 24
layout = "us"
characters = "abcdefghkmnpqrstuvwxyzABCDEFGHKLMNPQRSTUVWXYZ23456789-_=+"
"""
SWAPPED = """[otp]
swap = true

[otp.slot1]
kind = "hmac-sha1"
"""
EMPTY = """[otp.slot1]
delete = true
"""
# by the plain driver, which selects nothing by itself
OPENSC = ("opensc-tool", "--card-driver", "default", "--reader")
SELECT_OTP = "00a4040007a0000005272001"


@pytest.fixture
def station(bench: VirtualBench, tmp_path: Path) -> Station:
    """A fresh station whose bench has one reader, with a token of firmware 5.7.4."""
    bench.control.unplug_reader(1)
    return make_station(tmp_path, bench.environment)


def issue(station: Station, bench: VirtualBench, section: str) -> str:
    """Issue the token in the reader by a profile of that section; gives its serial."""
    path = station.home.with_name("otp-kinds.toml")
    path.write_text(PROFILE.format(section=section), encoding="utf-8")
    said = station.run(*station.batch(profile=path))
    assert said.code == 0, said.out + said.err
    (serial,) = [str(line["serial"]) for line in bench.control.tokens() if line["plugged"]]
    assert station.tell("manifest", "verify").code == 0
    return serial


def facts(station: Station, serial: str, step: str) -> dict[str, object]:
    """What the entry says of a step."""
    (found,) = [one for one in station.entry_of(serial)["steps"] if one["id"] == step]
    facts: dict[str, object] = found["facts"]
    return facts


def opened(station: Station, serial: str, purpose: str) -> dict[str, str]:
    """What one custodian can open."""
    key = station.home / "custodians" / "private" / f"{purpose}.pem"
    custodian = ("--purpose", purpose, "--key", key, "--reason", "a test")
    said = station.tell("escrow", "open", serial, *custodian, "--json")
    assert said.code == 0, said.err
    return {one["name"]: one["value"] for one in said.document}


def test_hotp_and_static_password(station: Station, bench: VirtualBench, run: Run) -> None:
    """Both show in ykman; the codes are the sealed seed's; each custodian opens their own.

    Neither slot is deleted by ykman without its code, and both are with the code from escrow.
    """
    serial = issue(station, bench, KINDS)
    ykman = ("ykman", "--device", serial, "otp")
    assert run(*ykman, "info").stdout.split("\n")[:2] == [
        "Slot 1: programmed",
        "Slot 2: programmed",
    ]
    seeds = opened(station, serial, "authentication-server")
    assert set(seeds) == {"otp/1/seed"}
    server = HOTP(bytes.fromhex(seeds["otp/1/seed"]), 8, hashes.SHA1())
    wanted = facts(station, serial, "otp/1")
    assert wanted["tokenId"] == f"ubhe{int(serial):08}"
    for count in (32, 33):
        typed = bench.control.type_slot(int(serial), 1)
        assert typed == f"{wanted['tokenId']}{server.generate(count).decode()}"

    password = opened(station, serial, "help-desk")["otp/2/password"]
    assert bench.control.type_slot(int(serial), 2) == f"{password}\n"
    codes = opened(station, serial, "token-administration")
    for slot in ("1", "2"):
        run(*ykman, "delete", slot, "--force", code=1)
        run(*ykman, "settings", slot, "--force", "--no-enter", code=1)
    for slot in ("1", "2"):
        code = codes[f"otp/{slot}/access-code"]
        run(*ykman, "--access-code", "-", "delete", slot, "--force", input=f"{code}\n")
    assert run(*ykman, "info").stdout.split("\n")[:2] == ["Slot 1: empty", "Slot 2: empty"]


def test_ykman_sets_the_same_password(station: Station, bench: VirtualBench, run: Run) -> None:
    """What ykman writes for the sealed password on another token types the same."""
    serial = issue(station, bench, KINDS)
    password = station.secrets(serial)["otp/2/password"]
    other = 30_000_099
    bench.control.replace(0, model="yubikey-5.7.4", serial=other)
    set_it = ("static", "2", "--keyboard-layout", "US", "--force")
    run("ykman", "--device", str(other), "otp", *set_it, input=f"{password}\n")
    assert bench.control.type_slot(other, 2) == f"{password}\n"


def test_swapped_and_challenged(station: Station, bench: VirtualBench, run: Run) -> None:
    """The factory's credential types from slot 2; OpenSC asks slot 1, OpenSSL knows its answer."""
    (serial,) = [str(line["serial"]) for line in bench.control.tokens() if line["plugged"]]
    factory = bench.control.type_slot(int(serial), 1)[:12]
    assert issue(station, bench, SWAPPED) == serial
    assert facts(station, serial, "otp/swap") == {"slot2": "factory credential"}
    assert bench.control.type_slot(int(serial), 2)[:12] == factory
    key = station.secrets(serial)["otp/1/seed"]
    apdu = "00013000" + "40" + b"challenge".ljust(64, b"\0").hex()
    reader = str(bench.control.token(int(serial))["reader"])
    said = run(*OPENSC, reader, "-s", SELECT_OTP, "-s", apdu).stdout
    answer = bytes.fromhex("".join(re.findall(r"\b[0-9A-F]{2}\b", said.split("0x90")[-1])))[:20]
    digest = ("openssl", "dgst", "-sha1", "-mac", "HMAC", "-macopt", f"hexkey:{key}")
    wanted = subprocess.run(
        digest, input=b"challenge", capture_output=True, env=os.environ, check=True
    )
    assert answer.hex() == wanted.stdout.decode().split()[-1]


def test_emptied(station: Station, bench: VirtualBench, run: Run) -> None:
    """With the factory's credential deleted, ykman sees two empty slots, and the serial."""
    serial = issue(station, bench, EMPTY)
    said = run("ykman", "--device", serial, "otp", "info").stdout.split("\n")
    assert said[:2] == ["Slot 1: empty", "Slot 2: empty"]
    assert facts(station, serial, "otp/1") == {"configured": False}
    assert run("ykman", "list", "--serials").stdout.split() == [serial]
