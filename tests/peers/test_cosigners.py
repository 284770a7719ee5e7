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


def openssl_verifies(public: Path, manifest: Path, folder: Path) -> bool:
    """The last line over the text, with the public key that ykman wrote."""
    text, _, lines = (manifest / "checkpoint").read_text().rpartition("\n\n")
    (folder / "body").write_text(f"{text}\n")
    (folder / "sig").write_bytes(base64.b64decode(lines.splitlines()[-1].split(" ")[2])[4:])
    command = ["openssl", "dgst", "-sha256", "-verify", str(public), "-signature", "sig", "body"]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    return done.stdout == b"Verified OK\n"
