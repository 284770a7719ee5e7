"""Stock `ykman fido` on a virtual YubiKey that lies on a contactless reader.

On USB, `ykman` reaches FIDO by HID; over PC/SC it takes a reader that is not the key's own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import forked
from tokenprov.sim.bench import VirtualBench

MODEL = "yubikey-5.7.4-nfc"
SERIAL = 30_000_001
PIN = "a1b2c3d4"

Ykman = Callable[..., str]


@pytest.fixture(scope="module")
def reader() -> Iterator[VirtualBench]:
    """A contactless reader for the tests of this module."""
    with VirtualBench(tokens=1, model=MODEL) as reader:
        yield reader


@pytest.fixture
def ykman(reader: VirtualBench, tmp_path: Path) -> Ykman:
    """Runs `ykman fido …` on a fresh key: gives all that it printed, and checks the exit code."""
    reader.control.replace(0, model=MODEL, serial=SERIAL)

    def run(*arguments: str, code: int = 0, answers: str = "") -> str:
        done = forked.run(
            ["ykman", "--reader", "Contactless", "fido", *arguments],
            input=answers,
            env={**os.environ, **reader.environment, "XDG_DATA_HOME": str(tmp_path)},
            timeout=30,
        )
        printed = done.stdout + done.stderr
        assert done.returncode == code, printed
        return printed

    return run


def fields(printed: str) -> dict[str, str]:
    """The lines "name: value" of `ykman fido info`."""
    pairs = (line.split(":", 1) for line in printed.splitlines() if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}


def test_a_fresh_key(ykman: Ykman) -> None:
    """`info` reads a key without a PIN."""
    assert fields(ykman("info")) == {
        "AAGUID": "a25342c0-3cdc-4414-8e46-f4807fca511c",
        "PIN": "Not set",
        "Minimum PIN length": "4",
        "Always Require UV": "Off",
        "Credential storage remaining": "100",
        "Enterprise Attestation": "Disabled",
    }


def test_the_life_of_a_pin(ykman: Ykman) -> None:
    """A PIN is set, verified, changed, mistyped and blocked until the key is taken away."""
    ykman("access", "change-pin", "--new-pin", PIN)
    assert "verified" in ykman("access", "verify-pin", "--pin", PIN)
    ykman("access", "change-pin", "--pin", PIN, "--new-pin", "another1")
    assert "PIN_INVALID" in ykman("access", "verify-pin", "--pin", PIN, code=1)
    assert fields(ykman("info"))["PIN"] == "7 attempt(s) remaining"
    ykman("access", "verify-pin", "--pin", PIN, code=1)
    blocked = ykman("access", "verify-pin", "--pin", PIN, code=1)
    assert "PIN_AUTH_BLOCKED" in blocked
    change = ("access", "change-pin", "--pin", "another1", "--new-pin", "a third one")
    assert "re-insert" in ykman(*change, code=1)


def test_policies(ykman: Ykman) -> None:
    """Minimum length, forced change, alwaysUv and enterprise attestation as `ykman` sets them."""
    ykman("access", "change-pin", "--new-pin", PIN)
    ykman("config", "toggle-always-uv", "--pin", PIN)
    ykman("config", "enable-ep-attestation", "--pin", PIN)
    ykman("access", "set-min-length", "6", "--pin", PIN, "--rp-id", "example.com")
    ykman("access", "force-change", "--pin", PIN)
    info = fields(ykman("info"))
    assert info["Minimum PIN length"] == "6"
    assert info["Always Require UV"] == "On"
    assert info["Enterprise Attestation"] == "Enabled"
    assert "Change the PIN" in ykman("access", "verify-pin", "--pin", PIN, code=1)
    ykman("access", "change-pin", "--pin", PIN, "--new-pin", "short", code=1)
    ykman("access", "change-pin", "--pin", PIN, "--new-pin", "another1")
    ykman("access", "verify-pin", "--pin", "another1")


REGISTER = """
import sys
from fido2.ctap2.base import Ctap2
from fido2.pcsc import CtapPcscDevice

(device,) = CtapPcscDevice.list_devices("Contactless")
name = sys.argv[1]
made = Ctap2(device).make_credential(
    bytes(32),
    {"id": "example.com"},
    {"id": name.encode(), "name": name, "displayName": name.title()},
    [{"type": "public-key", "alg": -8}],
    options={"rk": True},
)
print(made.auth_data.credential_data.credential_id.hex())
device.close(release=True)
"""


def make_credential(reader: VirtualBench, user: str) -> str:
    """Register a discoverable credential with `fido2`; gives its id in hex.

    In a process of its own: a process keeps to the PC/SC service that it found first.
    """
    done = subprocess.run(
        [sys.executable, "-c", REGISTER, user],
        capture_output=True,
        text=True,
        env={**os.environ, **reader.environment},
        check=True,
    )
    return done.stdout.strip()


def test_credentials_are_listed_and_deleted(reader: VirtualBench, ykman: Ykman) -> None:
    """`credentials list` shows what was registered, `delete` takes it away."""
    first = make_credential(reader, "alice")
    make_credential(reader, "bob")
    ykman("access", "change-pin", "--new-pin", PIN)
    shown = ykman("credentials", "list", "--pin", PIN)
    assert [line.split()[1:] for line in shown.splitlines()[1:]] == [
        ["example.com", "bob", "Bob"],
        ["example.com", "alice", "Alice"],
    ]
    ykman("credentials", "delete", first[:8], "--pin", PIN, "--force")
    left = ykman("credentials", "list", "--pin", PIN)
    assert "bob" in left
    assert "alice" not in left
    assert fields(ykman("info"))["Credential storage remaining"] == "99"


def test_reset(ykman: Ykman) -> None:
    """`reset` brings the fresh key back."""
    before = ykman("info")
    ykman("access", "change-pin", "--new-pin", PIN)
    ykman("reset", "--force")
    assert ykman("info") == before
