"""Stock ykman and GnuPG use what a profile puts into OATH, OpenPGP and YubiHSM Auth.

One token is issued by the real command. Its secrets come from escrow and go to the programs by
their standard input or, for GnuPG, by a pinentry, as people give them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from tests.issued import SECONDS, Issued
from tests.stations import make_station
from tokenprov.sim.bench import VirtualBench

ROSTER = "id,name,email,upn\nE1,Ada Example,ada@example.test,ada@corp.example.test\n"
PROFILE = """name = "applications"
[oath]
password = {}
[[oath.accounts]]
issuer = "VPN"
algorithm = "sha256"
digits = 8
[[oath.accounts]]
issuer = "Archive"
kind = "hotp"
touch = true
[openpgp]
user-pin = { retries = 7 }
reset-code = {}
signature-pin = "always"
name = "Example<<Ada"
language = "en"
login = "{holder.upn}"
url = "https://keys.example.test/ada"
[[openpgp.keys]]
slot = "sig"
algorithm = "ed25519"
touch-policy = "on"
[[openpgp.keys]]
slot = "dec"
algorithm = "x25519"
[[openpgp.keys]]
slot = "aut"
algorithm = "eccp384"
touch-policy = "cached"
[hsmauth]
[[hsmauth.credentials]]
label = "operator"
algorithm = "aes128"
touch = true
[[hsmauth.credentials]]
label = "signer"
algorithm = "eccp256"
"""
PINENTRY = """#!{python}
import sys
print("OK ready", flush=True)
for line in sys.stdin:
    if line.startswith("GETPIN"):
        print("D {pin}")
    print("OK", flush=True)
    if line.startswith("BYE"):
        break
"""


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issued]:
    """One token, issued with the profile by the real command."""
    folder: Path = tmp_path_factory.mktemp("issued")
    with VirtualBench(tokens=1) as bench:
        station = make_station(folder, bench.environment)
        (folder / "profile.toml").write_text(PROFILE)
        (folder / "roster.csv").write_text(ROSTER)
        said = station.run(
            *("batch", "run", folder / "roster.csv", "--profile", folder / "profile.toml")
        )
        assert said.code == 0, said.out + said.err
        yield Issued(bench=bench, station=station, said=said, entries=station.entries())


@pytest.fixture
def serial(issued: Issued) -> str:
    """The token."""
    (only,) = issued.serials
    return only


@pytest.fixture
def secrets(issued: Issued, serial: str) -> dict[str, str]:
    """What is in escrow for it."""
    return issued.station.secrets(serial)


def test_ykman_gives_the_codes_that_the_server_expects(
    issued: Issued, serial: str, secrets: dict[str, str]
) -> None:
    """Behind the password: a code of the sealed seed, and the kinds of both accounts."""
    password = f"{secrets['oath/password']}\n"
    info = issued.run("ykman", "-d", serial, "oath", "info")
    assert re.search(r"Password protection: +enabled", info)
    listed = issued.run(*("ykman", "-d", serial, "oath", "accounts", "list", "-o"), input=password)
    assert "VPN:ada@corp.example.test, TOTP" in listed
    assert "Archive:ada@corp.example.test, HOTP" in listed
    seed = bytes.fromhex(secrets["oath/account/1/seed"])
    codes = TOTP(seed, 8, hashes.SHA256(), 30, enforce_key_length=False)
    code = issued.run(
        *("ykman", "-d", serial, "oath", "accounts", "code", "-s", "VPN"), input=password
    )
    now = int(time.time())
    assert code.split()[-1].encode() in {codes.generate(now), codes.generate(now - 30)}


def test_ykman_shows_the_openpgp_application(issued: Issued, serial: str) -> None:
    """Tries, touch policies and origin of the keys are those of the profile."""
    said = issued.run("ykman", "-d", serial, "openpgp", "info")
    assert re.search(r"PIN tries remaining: +7", said)
    assert re.search(r"Reset code tries remaining: +5", said)
    assert re.search(r"Admin PIN tries remaining: +5", said)
    assert re.search(r"Require PIN for signature: +Always", said)
    for slot, algorithm, touch in (
        ("sig", "Ed25519", "On"),
        ("dec", "X25519", "Off"),
        ("aut", "SECP384R1", "Cached"),
    ):
        shown = issued.run("ykman", "-d", serial, "openpgp", "keys", "info", slot)
        assert re.search(rf"Algorithm: +{algorithm}", shown), shown
        assert re.search(rf"Touch policy: +{touch}", shown), shown
        assert re.search(r"Origin: +GENERATED", shown, re.IGNORECASE), shown
        fingerprint = issued.facts(serial, f"openpgp/{slot}/key")["fingerprint"]
        assert fingerprint in shown.replace(" ", "").lower()


def test_ykman_lists_the_hsm_credentials(
    issued: Issued, serial: str, secrets: dict[str, str]
) -> None:
    """Both are there with algorithm, touch and tries; the management key is the sealed one."""
    ykman = ("ykman", "-d", serial, "hsmauth")
    said = issued.run(*ykman, "credentials", "list")
    assert re.search(r"operator\s+Symmetric\s+On\s+8", said)
    assert re.search(r"signer\s+Asymmetric\s+Off\s+8", said)
    issued.run(*ykman, "credentials", "export", "signer", "signer.pem")
    exported = load_pem_public_key((issued.station.home.parent / "signer.pem").read_bytes())
    assert exported == load_der_public_key(issued.evidence(serial, "hsmauth-public-key"))
    key = secrets["hsmauth/management-key"]
    change = (*ykman, "access", "change-management-password")
    assert "retries" not in issued.run(*change, input=f"{key}\n{key}\n{key}\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class GnuPg:
    """GnuPG with a folder of its own, whose pinentry gives one PIN."""

    home: Path
    environment: dict[str, str]

    def run(self, *command: str, input: str = "") -> str:
        """Run a program of GnuPG's; gives what it said on both channels."""
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            input=input,
            timeout=SECONDS,
            env={**os.environ, **self.environment, "GNUPGHOME": str(self.home), "LC_ALL": "C"},
            cwd=self.home,
            check=False,
        )
        assert done.returncode == 0, f"{command} gave {done.returncode}:\n{done.stdout}"
        return done.stdout


@pytest.fixture
def gnupg(issued: Issued, secrets: dict[str, str]) -> Iterator[GnuPg]:
    """GnuPG that shares the reader and has no driver of its own."""
    home = Path(tempfile.mkdtemp(prefix="gnupg-"))  # short: sockets lie in it
    pinentry = home / "pinentry"
    pinentry.write_text(PINENTRY.format(python=sys.executable, pin=secrets["openpgp/user-pin"]))
    pinentry.chmod(0o700)
    (home / "scdaemon.conf").write_text("disable-ccid\npcsc-shared\n")
    (home / "gpg-agent.conf").write_text(f"pinentry-program {pinentry}\n")
    try:
        yield GnuPg(home=home, environment=dict(issued.bench.environment))
    finally:
        subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=True)
        shutil.rmtree(home, ignore_errors=True)


def fingerprint(issued: Issued, serial: str, slot: str) -> str:
    """What the entry says, as GnuPG writes it."""
    said: str = issued.facts(serial, f"openpgp/{slot}/key")["fingerprint"]
    return said.upper()


def test_gnupg_sees_the_card(issued: Issued, serial: str, gnupg: GnuPg) -> None:
    """Its status has the cardholder, the tries, and each key by fingerprint and time."""
    said = gnupg.run("gpg", "--card-status")
    for line in (
        "Name of cardholder: Ada Example",
        "Language prefs ...: en",
        "URL of public key : https://keys.example.test/ada",
        "Login data .......: ada@corp.example.test",
        "Signature PIN ....: forced",
        "Key attributes ...: ed25519 cv25519 nistp384",
        "PIN retry counter : 7 5 5",
    ):
        assert line in said
    flat = said.replace(" ", "")
    for slot in ("sig", "dec", "aut"):
        assert fingerprint(issued, serial, slot) in flat
    assert said.count("created ....:") == 3


def test_gnupg_makes_the_same_fingerprints(issued: Issued, serial: str, gnupg: GnuPg) -> None:
    """A key made of the card's keys and their times has the fingerprints that are on the card."""
    gnupg.run("gpg", "--card-status")
    grips: dict[str, Any] = dict(zip(("sig", "dec", "aut"), _grips(gnupg), strict=True))
    made = issued.facts(serial, "openpgp/sig/key")["time"]
    gnupg.run(
        *("gpg", "--batch", "--faked-system-time", f"{made}!", "--full-generate-key"),
        input=f"Key-Type: eddsa\nKey-Grip: {grips['sig']}\nKey-Usage: sign\n"
        f"Creation-Date: seconds={made}\nName-Real: Ada Example\n"
        "Name-Email: ada@example.test\nExpire-Date: 0\n%commit\n",
    )
    listed = gnupg.run("gpg", "--with-colons", "--list-keys")
    assert f"fpr:::::::::{fingerprint(issued, serial, 'sig')}:" in listed
    for number, slot in ((2, "dec"), (3, "aut")):
        made = issued.facts(serial, f"openpgp/{slot}/key")["time"]
        usage = "=a\nq\n" if slot == "aut" else "q\n"
        edit = ("gpg", "--no-tty", "--expert", "--faked-system-time", f"{made}!")
        said = gnupg.run(
            *(*edit, "--command-fd", "0", "--status-fd", "2", "--edit-key", "ada@example.test"),
            input=f"addkey\n14\n{number}\n{usage}0\ny\ny\nsave\n",
        )
        listed = gnupg.run("gpg", "--with-colons", "--list-keys")
        assert f"fpr:::::::::{fingerprint(issued, serial, slot)}:" in listed, said
    (gnupg.home / "message").write_text("a message")
    gnupg.run("gpg", "--batch", "--detach-sign", "-o", "signature", "message")
    assert "Good signature" in gnupg.run("gpg", "--verify", "signature", "message")


def _grips(gnupg: GnuPg) -> list[str]:
    """The keygrips of the card's keys, in the order of its slots."""
    said = gnupg.run("gpg-connect-agent", "scd learn --force", "/bye")
    found = re.findall(r"KEYPAIRINFO ([0-9A-F]{40}) OPENPGP\.(\d)", said)
    return [grip for grip, _ in sorted(found, key=lambda one: one[1])]
