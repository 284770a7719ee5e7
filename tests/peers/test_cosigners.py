"""A supervisor cosigns with the key in slot 9c of their token; ykman makes it, OpenSSL judges."""

from __future__ import annotations

import base64
import getpass
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.record_samples import SIGNER, append, small_manifest
from tests.stations import tell
from tokenprov.record.manifest import Manifest
from tokenprov.sim.bench import VirtualBench

KEY = str(SIGNER.verifier)
FACTORY_KEY = "010203040506070801020304050607080102030405060708"
PIN = "123456"  # the factory's


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """Types a PIN wherever one is asked for; gives the prompts."""

    def type_always(pin: str) -> list[str]:
        asked: list[str] = []

        def typed(prompt: str) -> str:
            asked.append(prompt)
            return pin

        monkeypatch.setattr(getpass, "getpass", typed)
        return asked

    return type_always


@pytest.mark.parametrize("algorithm", ["ECCP256", "ED25519"])
def test_a_supervisor_cosigns(
    bench: VirtualBench,
    run: Run,
    answer: Callable[[str], list[str]],
    tmp_path: Path,
    algorithm: str,
) -> None:
    """The line counts as one of the quorum; the PIN is asked for where it signs."""
    serial = str(bench.control.tokens()[0]["serial"])
    public = tmp_path / "9c.pem"
    run(
        *("ykman", "--device", serial, "piv", "keys", "generate", "--algorithm", algorithm),
        *("--management-key", FACTORY_KEY, "9c", str(public)),
    )
    manifest = tmp_path / "m"
    small_manifest(manifest).close()
    asked = answer(PIN)
    made = tell(
        *("witness", "init", tmp_path / "w", "--name", "anna.example", "--key", f"piv:{serial}")
    )
    assert made.code == 0, made.err
    assert not list((tmp_path / "w").glob("*.pem"))
    cosign = ("witness", "cosign", tmp_path / "w", manifest)
    said = tell(*cosign, "--key", KEY)
    assert said.code == 0, said.err
    assert asked == [f"PIN of {serial}: "]
    verify = ("manifest", "verify", manifest, "--key", KEY, "--witness", made.out.strip())
    assert tell(*verify).code == 0
    if algorithm == "ECCP256":
        assert openssl_verifies(public, manifest, tmp_path)
    append(Manifest.open(manifest, SIGNER), 7)
    assert tell(*verify).code == 6  # not the checkpoint that she saw
    answer("000000")
    said = tell(*cosign)
    assert (said.code, "refused" in said.err) == (4, True), said.err


def test_the_station_goes_on_while_a_pin_is_asked_for(
    bench: VirtualBench, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nobody waits for a person: while the PIN is typed, the station is free and appends."""
    serial = str(bench.control.tokens()[0]["serial"])
    generate = ("piv", "keys", "generate", "--algorithm", "ECCP256")
    made = ("--management-key", FACTORY_KEY, "9c", str(tmp_path / "9c.pem"))
    run("ykman", "--device", serial, *generate, *made)
    home, witness = tmp_path / "home", tmp_path / "w"
    assert tell("init", home, "--name", "bench").code == 0
    assert (
        tell("witness", "init", witness, "--name", "w.example", "--key", f"piv:{serial}").code == 0
    )

    def typed(prompt: str) -> str:
        said = tell("--home", home, "manifest", "rotate-key", "--reason", "it goes on")
        assert said.code == 0, said.err
        return PIN

    monkeypatch.setattr(getpass, "getpass", typed)
    key = (home / "manifest" / "manifest.vkey").read_text().strip()
    said = tell("witness", "cosign", witness, home / "manifest", "--key", key)
    assert said.code == 0, said.err
    assert b"w.example" in (home / "manifest" / "cosigned" / "1").read_bytes()
    assert tell("manifest", "verify", home / "manifest", "--key", key).code == 0


def openssl_verifies(public: Path, manifest: Path, folder: Path) -> bool:
    """The last line over the text, with the public key that ykman wrote."""
    text, _, lines = (manifest / "checkpoint").read_text().rpartition("\n\n")
    (folder / "body").write_text(f"{text}\n")
    (folder / "sig").write_bytes(base64.b64decode(lines.splitlines()[-1].split(" ")[2])[4:])
    command = ["openssl", "dgst", "-sha256", "-verify", str(public), "-signature", "sig", "body"]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    return done.stdout == b"Verified OK\n"
