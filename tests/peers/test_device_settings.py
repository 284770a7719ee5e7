"""Stock `ykman` on a token whose configuration, lock code and channel keys a profile made."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.piv_peers import Peers
from tests.stations import Station, make_station
from tokenprov.sim.bench import VirtualBench

SERIAL = 37_000_001
PROFILE = """name = "closed"
[secure-channel]
protocol = "scp03"
set-keys = true
[device]
usb = ["piv", "oath", "openpgp"]
nfc = ["piv"]
touch-eject = true
auto-eject-timeout = 600
lock-code = true
[piv]
"""
FACTORY_KEYS = ":".join(["404142434445464748494a4b4c4d4e4f"] * 3)


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Peers, Station]]:
    """A token that the real command issued, and the station that did."""
    folder = tmp_path_factory.mktemp("closed")
    path = folder / "closed.toml"
    path.write_text(PROFILE, encoding="utf-8")
    with VirtualBench(tokens=1, serial_base=SERIAL) as bench:
        station = make_station(folder, bench.environment)
        said = station.run(*station.batch(profile=path), "--wait", "0")
        assert said.code == 0, said.out + said.err
        yield Peers(bench=bench, folder=folder), station


@pytest.fixture
def secrets(issued: tuple[Peers, Station]) -> dict[str, str]:
    """What break-glass opens of it."""
    return issued[1].secrets(str(SERIAL))


def own_keys(secrets: dict[str, str]) -> str:
    """The channel keys as ykman takes them."""
    value = secrets["secure-channel/scp03-keys"]
    return ":".join(value[start : start + 32] for start in range(0, 96, 32))


def test_interfaces_and_applications(issued: tuple[Peers, Station]) -> None:
    """`ykman list` and `info` see the smart card alone, and each application where it is on."""
    peers, _ = issued
    assert f"[CCID] Serial: {SERIAL}" in peers.run("ykman", "list")
    info = peers.run("ykman", "info")
    assert "Configured capabilities are protected by a lock code" in info
    for application, usb, nfc in (
        ("Yubico OTP", "Disabled", "Disabled"),
        ("FIDO2", "Disabled", "Disabled"),
        ("OATH", "Enabled", "Disabled"),
        ("PIV", "Enabled", "Enabled"),
        ("OpenPGP", "Enabled", "Disabled"),
    ):
        assert re.search(rf"^{application}\s+{usb}\s+{nfc}\s*$", info, re.MULTILINE), info


def test_the_lock_code_guards_the_configuration(
    issued: tuple[Peers, Station], secrets: dict[str, str]
) -> None:
    """Another code changes nothing; the sealed one does, and it takes the lock away."""
    peers, _ = issued
    code = secrets["device/lock-code"]
    enable = ("ykman", "config", "nfc", "-f", "--enable", "OATH", "--lock-code")
    peers.run(*enable, "00" * 15 + "01", code=1)
    peers.run(*enable, code)
    assert re.search(r"^OATH\s+Enabled\s+Enabled", peers.run("ykman", "info"), re.MULTILINE)
    peers.run("ykman", "config", "set-lock-code", "-f", "--lock-code", code, "--clear")
    assert "protected by a lock code" not in peers.run("ykman", "info")


def test_channels_open_with_the_sealed_keys_alone(
    issued: tuple[Peers, Station], secrets: dict[str, str]
) -> None:
    """`ykman --scp` reaches PIV with the keys from escrow, and not with the factory's."""
    peers, _ = issued
    keys = own_keys(secrets)
    found = peers.run("ykman", "sd", "info")
    assert re.search(r"SCP03 \(KID=0x01-0x03, KVN=0x02\)", found)
    assert "Default key set" not in found
    assert "8/8" in peers.run("ykman", "--scp", keys, "piv", "info")
    refused = peers.run("ykman", "--scp", FACTORY_KEYS, "piv", "info", code=1)
    assert "Incorrect SCP parameters" in refused
