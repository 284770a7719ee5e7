"""Stock `ykman` on virtual tokens: finding them, reading and changing their configuration."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tokenprov.sim.bench import VirtualBench

Run = Callable[..., "subprocess.CompletedProcess[str]"]
DEVICE = ("ykman", "--device", "30000001")
LOCK_CODE = "0102030405060708090a0b0c0d0e0f10"

MODELS = [
    # model, what `ykman list` says of it, whether `ykman info` sees a serial
    ("yubikey-5.7.4", "YubiKey 5 NFC (5.7.4) [OTP+FIDO+CCID] Serial: 30000001"),
    ("yubikey-5.7.4-fips", "YubiKey 5 NFC FIPS (5.7.4) [OTP+FIDO+CCID] Serial: 30000001"),
    ("yubikey-5.4.3", "YubiKey 5 NFC (5.4.3) [OTP+FIDO+CCID] Serial: 30000001"),
    ("yubikey-5.4.3-fips", "YubiKey 5 NFC FIPS (5.4.3) [OTP+FIDO+CCID] Serial: 30000001"),
    ("yubikey-5.2.7", "YubiKey 5 NFC (5.2.7) [OTP+FIDO+CCID] Serial: 30000001"),
    ("yubikey-4.3.7", "YubiKey 4 (4.3.7) [OTP+FIDO+CCID] Serial: 30000001"),
    ("security-key-5.7", "Security Key NFC (5.7.4) [FIDO+CCID]"),
    ("piv-card", ""),
]


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait some seconds for a token that restarts."""
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, "the token did not come back"
        time.sleep(0.02)


def test_list_finds_each_token_with_its_serial(bench: VirtualBench, run: Run) -> None:
    """`ykman list` shows both tokens, with model, firmware, interfaces and serial."""
    assert run("ykman", "list").stdout.splitlines() == [
        "YubiKey 5 NFC (5.7.4) [OTP+FIDO+CCID] Serial: 30000001",
        "YubiKey 5 NFC (5.7.4) [OTP+FIDO+CCID] Serial: 30000002",
    ]


@pytest.mark.parametrize(("model", "line"), MODELS)
def test_each_model_is_what_its_own_would_be(
    bench: VirtualBench, run: Run, model: str, line: str
) -> None:
    """Of each model `ykman list` says what it says of the real one; a PIV card is not its."""
    bench.control.replace(0, model=model, serial=30_000_001)
    bench.control.unplug_reader(1)
    assert run("ykman", "list").stdout.strip() == line


def test_two_keys_without_serial_are_two_readers(bench: VirtualBench, run: Run) -> None:
    """Two keys without a serial sit in two readers of one name, told apart by their number."""
    bench.control.replace(0, model="security-key-5.7")
    bench.control.replace(1, model="security-key-5.7")
    lines = bench.control.tokens()
    assert [line["serial"] for line in lines] == [None, None]
    assert {line["reader"] for line in lines} == {
        "Yubico YubiKey FIDO+CCID 00 00",
        "Yubico YubiKey FIDO+CCID 01 00",
    }
    assert run("ykman", "list").stdout.count("Security Key NFC") >= 1


def test_an_application_is_switched_off_and_on(bench: VirtualBench, run: Run) -> None:
    """`ykman config usb --disable` restarts the token; the applet is gone until enabled again."""
    run(*DEVICE, "config", "usb", "--disable", "PIV", "--force")
    wait_until(lambda: bool(bench.control.token(30_000_001)["present"]))
    assert "PIV         \tDisabled" in run(*DEVICE, "info").stdout
    assert run(*DEVICE, "piv", "info", code=None).returncode != 0
    run(*DEVICE, "config", "usb", "--enable", "PIV", "--force")
    wait_until(lambda: bool(bench.control.token(30_000_001)["present"]))
    assert "PIV tries" not in run(*DEVICE, "info").stdout
    assert "PIN tries remaining:      3/3" in run(*DEVICE, "piv", "info").stdout


def test_the_reader_is_named_after_the_interfaces(bench: VirtualBench, run: Run) -> None:
    """With OTP off the token comes back as another USB product, in a reader of another name."""
    run(*DEVICE, "config", "usb", "--disable", "OTP", "--force")
    wait_until(
        lambda: bench.control.token(30_000_001)["reader"] == "Yubico YubiKey FIDO+CCID 00 00"
    )
    wait_until(lambda: bool(bench.control.token(30_000_001)["present"]))
    assert "YubiKey 5 NFC (5.7.4) [FIDO+CCID] Serial: 30000001" in run("ykman", "list").stdout


def test_a_lock_code_guards_the_configuration(bench: VirtualBench, run: Run) -> None:
    """With a lock code set, nothing is changed without it, and it can be taken away with it."""
    run(*DEVICE, "config", "set-lock-code", "--new-lock-code", LOCK_CODE, "--force")
    assert "Configured capabilities are protected" in run(*DEVICE, "info").stdout
    wrong = "ff" * 16
    off = ("config", "usb", "--disable", "OATH", "--force", "--lock-code")
    assert run(*DEVICE, *off, wrong, code=None).returncode != 0
    assert "OATH        \tEnabled" in run(*DEVICE, "info").stdout
    run(*DEVICE, *off, LOCK_CODE)
    wait_until(lambda: bool(bench.control.token(30_000_001)["present"]))
    assert "OATH        \tDisabled" in run(*DEVICE, "info").stdout
    run(*DEVICE, "config", "set-lock-code", "--clear", "--lock-code", LOCK_CODE, "--force")
    assert "protected" not in run(*DEVICE, "info").stdout


def test_nfc_is_restricted_until_power(bench: VirtualBench, run: Run) -> None:
    """`ykman config nfc --restrict` holds until the token is plugged in again."""
    run(*DEVICE, "config", "nfc", "--restrict", "--force")
    before = bench.control.snapshot(30_000_001)["applets"]["management"]["nfc_restricted"]
    bench.control.remove(30_000_001)
    bench.control.insert(30_000_001)
    after = bench.control.snapshot(30_000_001)["applets"]["management"]["nfc_restricted"]
    assert (before, after) == (True, False)


def test_opensc_sees_reader_and_atr(bench: VirtualBench, run: Run) -> None:
    """OpenSC lists the readers and reads the ATR of a YubiKey 5."""
    listed = run("opensc-tool", "--list-readers").stdout
    assert "Yes             Yubico YubiKey OTP+FIDO+CCID 01 00" in listed
    atr = run("opensc-tool", "--reader", "0", "--atr").stdout.strip()
    assert atr == "3b:fd:13:00:00:81:31:fe:15:80:73:c0:21:c0:57:59:75:62:69:4b:65:79:40"


def test_run_gives_the_exit_code_of_its_command(run: Run) -> None:
    """`python -m tokenprov.sim run` runs any program against tokens of its own."""
    command = ("python", "-m", "tokenprov.sim", "run", "--tokens", "3")
    done = run(*command, "--", "sh", "-c", "opensc-tool -l | grep -c YubiKey; exit 7", code=7)
    assert done.stdout.strip() == "3"
    assert run(*command, "--", "/nonexistent/program", code=127).stderr


def test_a_token_is_put_in_a_drawer(run: Run, tmp_path: Path) -> None:
    """With `--state` a token comes back as it was in an earlier run; a foreign file is refused."""
    command = ("python", "-m", "tokenprov.sim", "run", "--state", str(tmp_path / "drawer"), "--")
    run(*command, "ykman", "otp", "delete", "--force", "1")
    again = run(*command, "ykman", "otp", "info").stdout
    assert again.startswith("Slot 1: empty")
    (tmp_path / "drawer" / "yubikey-5.7.4-30000001.json").write_text("{}")
    assert "not a state of this model" in run(*command, "true", code=3).stderr


def test_two_processes_do_not_share_a_drawer(
    new_bench: Callable[..., VirtualBench], run: Run, tmp_path: Path
) -> None:
    """While one bench has the tokens of a folder, another that wants them is refused."""
    new_bench(state=tmp_path / "drawer")
    command = ("python", "-m", "tokenprov.sim", "run", "--state", str(tmp_path / "drawer"), "--")
    assert "in use" in run(*command, "true", code=3).stderr
