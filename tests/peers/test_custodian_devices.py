"""Custodians' keys that never leave their device: in SoftHSM, and in slot 9d of a token.

The keys are made by OpenSC's pkcs11-tool and by ykman; the public halves come from those too.
"""

from __future__ import annotations

import dataclasses
import getpass
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Run, restore_bench
from tests.stations import Station, make_station
from tokenprov.sim.bench import VirtualBench

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
PIN = "914736"
PIV_PIN = "123456"  # the factory's
WHY = ("--reason", "a test")


@pytest.fixture
def issued(bench: VirtualBench, tmp_path: Path) -> Iterator[tuple[Station, str]]:
    """A station that has issued the token in reader 0; the other one is the custodian's."""
    bench.control.unplug_reader(1)
    station = make_station(tmp_path, bench.environment)
    assert station.tell(*station.batch()).code == 0
    (serial,) = [str(line["serial"]) for line in bench.control.tokens() if line["plugged"]]
    bench.control.plug_reader(1)
    yield station, serial
    restore_bench(bench)


@pytest.fixture
def hsm(tmp_path: Path) -> dict[str, str]:
    """A SoftHSM token with a P-256 key pair: the environment in which it is found."""
    (tmp_path / "tokens").mkdir()
    (tmp_path / "softhsm.conf").write_text(f"directories.tokendir = {tmp_path / 'tokens'}\n")
    environment = {"SOFTHSM2_CONF": str(tmp_path / "softhsm.conf"), "PIN": PIN}
    for command in (
        ("softhsm2-util", "--init-token", "--free", "--label", "custody", "--so-pin", PIN)
        + ("--pin", PIN),
        ("pkcs11-tool", "--module", MODULE, "--login", "--pin", "env:PIN", "--keypairgen")
        + ("--key-type", "EC:prime256v1", "--label", "help-desk", "--id", "01", "--usage-derive"),
        ("pkcs11-tool", "--module", MODULE, "--login", "--pin", "env:PIN", "--read-object")
        + ("--type", "pubkey", "--id", "01", "-o", str(tmp_path / "hsm.der")),
        ("openssl", "pkey", "-pubin", "-inform", "DER", "-in", str(tmp_path / "hsm.der"))
        + ("-out", str(tmp_path / "hsm.pem")),
    ):
        subprocess.run(
            command, check=True, capture_output=True, env={**os.environ, **environment}, timeout=60
        )
    (tmp_path / "pin").write_text(f"{PIN}\n")
    return environment


def secrets(station: Station, serial: str, key: str | Path) -> dict[str, str]:
    """What a key of the help desk opens."""
    said = station.run(
        *("escrow", "open", serial, "--purpose", "help-desk", "--key", key, *WHY, "--json")
    )
    assert said.code == 0, said.err
    return {one["name"]: one["value"] for one in said.document}


def move(station: Station, key: str | Path, public: Path) -> None:
    """The help desk's secrets, to another key."""
    to = f"help-desk={public}"
    said = station.run("escrow", "reseal", "--from-key", key, "--to", to, *WHY)
    assert said.code == 0, said.err


def test_a_key_in_softhsm(issued: tuple[Station, str], hsm: dict[str, str], tmp_path: Path) -> None:
    """What is sealed to a key in SoftHSM is opened in it, and moved from it; who errs is told."""
    made, serial = issued
    station = dataclasses.replace(made, environment={**made.environment, **hsm})
    file = station.home / "custodians" / "private" / "help-desk.pem"
    before = secrets(station, serial, file)
    move(station, file, tmp_path / "hsm.pem")
    uri = f"pkcs11:token=custody;object=help-desk?module-path={MODULE}"
    with_pin = f"{uri}&pin-source=file:{tmp_path / 'pin'}"
    assert secrets(station, serial, with_pin) == before
    move(station, with_pin, station.home / "custodians" / "token-administration.pem")
    other = station.home / "custodians" / "private" / "token-administration.pem"
    assert secrets(station, serial, other) == before

    (tmp_path / "wrong").write_text("000000\n")
    options = ("escrow", "open", serial, "--purpose", "help-desk", *WHY, "--key")
    for key, why in (
        (f"{uri}&pin-source={tmp_path / 'wrong'}", "PinIncorrect"),
        (with_pin.replace("object=help-desk", "object=another"), "names no private key"),
        (with_pin.replace("token=custody", "token=another"), "names no token"),
        (with_pin.replace(MODULE, "/nowhere.so"), "no PKCS#11 module"),
    ):
        said = station.run(*options, key)
        assert (said.code, said.out) == (7, "")
        assert why in said.err
        assert PIN not in said.err


def test_a_key_on_a_token(
    issued: tuple[Station, str],
    bench: VirtualBench,
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is sealed to the key in a token's 9d is opened by that token, with its PIN."""
    station, serial = issued
    own = next(str(x["serial"]) for x in bench.control.tokens() if str(x["serial"]) != serial)
    public = tmp_path / "9d.pem"
    run(
        *("ykman", "--device", own, "piv", "keys", "generate", "--algorithm", "ECCP256"),
        *("--management-key", "010203040506070801020304050607080102030405060708"),
        *("9d", str(public)),
    )
    file = station.home / "custodians" / "private" / "help-desk.pem"
    before = secrets(station, serial, file)
    move(station, file, public)
    options = ("escrow", "open", serial, "--purpose", "help-desk", *WHY, "--json", "--key")
    asked: list[str] = []

    def answer(pin: str) -> None:
        def typed(prompt: str) -> str:
            asked.append(prompt)
            return pin

        monkeypatch.setattr(getpass, "getpass", typed)

    answer(PIV_PIN)
    said = station.tell(*options, f"piv:{own}")
    assert said.code == 0, said.err
    assert {one["name"]: one["value"] for one in said.document} == before
    assert asked == [f"PIN of {own}: "]
    answer("000000")
    said = station.tell(*options, f"piv:{own}")
    assert (said.code, said.out) == (4, "")
    assert "refused" in said.err
    said = station.tell(*options, "piv:99999999")
    assert said.code == 4
    assert "no such token" in said.err
