"""GnuPG with its smart-card daemon on virtual tokens: card status and edit, keys, use, reset.

Each test has a folder of GnuPG's own and ends its agents. PINs go the way that people use: through
a pinentry, which here is a program that answers by what it is asked for.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.openpgp_contact import ADMIN_PIN, PIN
from tokenprov.sim.bench import VirtualBench

SERIAL = 30_000_001
COMMAND_SECONDS = 60.0
PINENTRY = f"""#!{sys.executable}
import sys
print("OK ready", flush=True)
prompt = ""
for line in sys.stdin:
    word, _, rest = line.strip().partition(" ")
    if word == "SETPROMPT":
        prompt = rest
    if word == "GETPIN":
        print("D", "{ADMIN_PIN}" if "Admin" in prompt else "{PIN}")
    print("OK", flush=True)
    if word == "BYE":
        break
"""
GENERATE = ["n", "0", "y", "Jane Doe", "jane@example.org", "", "o"]
KEY = re.compile(r"^(Signature|Encryption|Authentication) ?key ?\.*: (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class GnuPg:
    """GnuPG with a home of its own, in front of a bench."""

    bench: VirtualBench
    home: Path

    def run(self, *command: str, input: str | None = None, code: int = 0) -> str:
        """Run a program of GnuPG's; gives what it said on both channels."""
        environment = {**os.environ, **self.bench.environment, "GNUPGHOME": str(self.home)}
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            input=input or "",
            timeout=COMMAND_SECONDS,
            env={**environment, "LC_ALL": "C", "TZ": "UTC"},
            cwd=self.home,
            check=False,
        )
        assert done.returncode == code, f"{command} gave {done.returncode}:\n{done.stdout}"
        return done.stdout

    def edit_card(self, *lines: str) -> str:
        """Edit the card as an administrator; gives what is said after it."""
        answers = "\n".join(("admin", *lines, "quit", ""))
        edit = ("gpg", "--no-tty", "--command-fd", "0", "--status-fd", "2", "--edit-card")
        said = self.run(*edit, input=answers)
        assert "SC_OP_FAILURE" not in said, said
        return said

    def status(self) -> str:
        """What `gpg --card-status` says."""
        return self.run("gpg", "--card-status")


@pytest.fixture(scope="module")
def one() -> Iterator[VirtualBench]:
    """A private pcscd with one reader."""
    with VirtualBench(tokens=1) as bench:
        yield bench


@pytest.fixture(params=["yubikey-5.7.4"])
def gnupg(one: VirtualBench, request: pytest.FixtureRequest) -> Iterator[GnuPg]:
    """A fresh token, and GnuPG that shares its reader and has no driver of its own."""
    one.control.replace(0, model=request.param, serial=SERIAL)
    home = Path(tempfile.mkdtemp(prefix="gnupg-"))  # short: sockets lie in it
    pinentry = home / "pinentry"
    pinentry.write_text(PINENTRY)
    pinentry.chmod(0o700)
    (home / "scdaemon.conf").write_text("disable-ccid\npcsc-shared\n")
    (home / "gpg-agent.conf").write_text(f"pinentry-program {pinentry}\n")
    try:
        yield GnuPg(bench=one, home=home)
    finally:
        subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=True)
        shutil.rmtree(home, ignore_errors=True)


def use(gnupg: GnuPg) -> None:
    """Sign and verify, encrypt and decrypt, with the keys of the card."""
    (gnupg.home / "message").write_text("a message")
    batch = ("gpg", "--batch", "--yes")
    gnupg.run(*batch, "--detach-sign", "-o", "signature", "message")
    assert "Good signature" in gnupg.run(*batch, "--verify", "signature", "message")
    gnupg.run(*batch, "-r", "jane@example.org", "-o", "secret", "--encrypt", "message")
    assert "a message" in gnupg.run(*batch, "--decrypt", "secret")


@pytest.mark.parametrize(
    ("gnupg", "version"),
    [("yubikey-5.7.4", "3.4"), ("yubikey-4.3.7", "2.1")],
    indirect=["gnupg"],
)
def test_card_status(gnupg: GnuPg, version: str) -> None:
    """A fresh card is shown with maker, serial number, attributes and tries."""
    said = gnupg.status()
    for line in (
        f"Version ..........: {version}",
        "Manufacturer .....: Yubico",
        f"Serial number ....: {SERIAL}",
        "Signature PIN ....: not forced",
        "Key attributes ...: rsa2048 rsa2048 rsa2048",
        "Max. PIN lengths .: 127 127 127",
        "PIN retry counter : 3 0 3",
    ):
        assert line in said
    assert [value for _, value in KEY.findall(said)] == ["[none]"] * 3


def test_cardholder(gnupg: GnuPg) -> None:
    """What is edited on the card is what its status says."""
    url = "https://example.org/jane.asc"
    gnupg.edit_card(
        *("name", "Doe", "Jane", "lang", "en", "sex", "f", "login", "jane", "url", url, "forcesig")
    )
    said = gnupg.status()
    for line in (
        "Name of cardholder: Jane Doe",
        "Language prefs ...: en",
        "Salutation .......: Ms.",
        f"URL of public key : {url}",
        "Login data .......: jane",
        "Signature PIN ....: forced",
    ):
        assert line in said


def test_curve_keys(gnupg: GnuPg) -> None:
    """Curve 25519 keys are made on the card, sign and decrypt; each signature is counted."""
    gnupg.edit_card("key-attr", *["2", "1"] * 3)
    gnupg.edit_card("generate", *GENERATE)
    said = gnupg.status()
    assert "Key attributes ...: ed25519 cv25519 ed25519" in said
    assert "[none]" not in "".join(value for _, value in KEY.findall(said))
    counter = int(re.findall(r"Signature counter : (\d+)", said)[0])
    use(gnupg)
    assert f"Signature counter : {counter + 1}" in gnupg.status()


@pytest.mark.parametrize("gnupg", ["yubikey-4.3.7"], indirect=True)
def test_rsa_keys_imported_into_firmware_4(gnupg: GnuPg) -> None:
    """RSA keys made by GnuPG move to a card of firmware 4 and are used there."""
    gnupg.run(
        *("gpg", "--batch", "--passphrase", "", "--quick-generate-key"),
        *("Jane Doe <jane@example.org>", "rsa2048", "sign", "never"),
    )
    listed = gnupg.run("gpg", "--with-colons", "--list-keys")
    fingerprint = re.findall(r"^fpr:+([0-9A-F]{40}):", listed, re.MULTILINE)[0]
    add = ("gpg", "--batch", "--passphrase", "", "--quick-add-key", fingerprint, "rsa2048")
    gnupg.run(*add, "encr", "never")
    edit = ("gpg", "--no-tty", "--command-fd", "0", "--edit-key", "jane@example.org")
    gnupg.run(*edit, input="keytocard\ny\n1\nkey 1\nkeytocard\n2\nsave\n")
    said = gnupg.status()
    assert re.sub(r"\s", "", KEY.findall(said)[0][1]) == fingerprint
    use(gnupg)


def test_key_derivation(gnupg: GnuPg) -> None:
    """GnuPG sets up a KDF, and the card takes PINs derived with it."""
    said = gnupg.edit_card("kdf-setup", "verify")
    assert "KDF setting ......: on" in gnupg.status(), said
    assert "PIN retry counter : 3 0 3" in gnupg.status()


def test_factory_reset(gnupg: GnuPg) -> None:
    """The reset that GnuPG knows brings everything back to the factory's state."""
    gnupg.edit_card("login", "jane")
    gnupg.edit_card("factory-reset", "y", "yes")
    said = gnupg.status()
    assert "Login data .......: [not set]" in said
    assert "PIN retry counter : 3 0 3" in said


def test_touch(gnupg: GnuPg) -> None:
    """With a touch wanted, a signature comes with one; without, GnuPG fails to sign."""
    control = gnupg.bench.control
    state = control.snapshot(SERIAL)  # this GnuPG has no command for it
    state["applets"]["openpgp"]["slots"]["SIG"]["uif"] = "ON"
    control.restore(SERIAL, state)
    gnupg.edit_card("key-attr", *["2", "1"] * 3)
    gnupg.edit_card("generate", *GENERATE)
    use(gnupg)
    control.set_touch(SERIAL, "never", patience=0.2)
    said = gnupg.run("gpg", "--batch", "--yes", "--detach-sign", "message", code=2)
    assert "signing failed: Card error" in said
