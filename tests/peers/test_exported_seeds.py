"""Exported seeds in the programs that read them: python-pskc, GnuPG, and Debian's yubiserver.

yubiserver is given the seeds as its administration tool takes them, out of the exported file, and
judges what the virtual token types.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import hmac
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
import urllib.request
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from pskc import PSKC
from pskc.exceptions import DecryptionError

from tests.conftest import restore_bench
from tests.stations import Said, Station, make_station
from tokenprov.sim.bench import VirtualBench

PROFILE = """name = "seeds"
description = "A Yubico OTP and HOTP"

[otp.slot1]
kind = "yubico-otp"
replace-factory = true
public-id = "serial"

[otp.slot2]
kind = "hotp"
digits = 8
counter = 32
token-id = "serial"
"""
PHRASE = "correct horse battery staple"
STARTS_WITHIN = 10.0  # seconds
TICK = 0.125  # seconds, of the clock in a Yubico OTP
API_KEY = base64.b64encode(bytes(range(15))).decode()  # 20 characters, as it wants them
NS = {
    "pskc": "urn:ietf:params:xml:ns:keyprov:pskc",  # RFC 6030, 3
    "xenc": "http://www.w3.org/2001/04/xmlenc#",
    "pkcs5": "http://www.rsasecurity.com/rsalabs/pkcs/schemas/pkcs-5v2-0#",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A token with both seeds, its station, and the bench that it is plugged into."""

    station: Station
    bench: VirtualBench
    serial: str
    seeds: dict[str, str]  # hex, by name

    def export(self, form: str, out: str | Path, *options: str | Path) -> Said:
        """Run the command with the custodian's key."""
        key = self.station.home / "custodians" / "private" / "authentication-server.pem"
        return self.station.tell(
            *("escrow", "export", "--for", form, "--out", out, "--key", key),
            *("--reason", "new validation server", *options),
        )


@pytest.fixture(scope="module")
def issued(
    shared_bench: VirtualBench, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Issued]:
    """One token, issued with both kinds of seed."""
    restore_bench(shared_bench)
    shared_bench.control.unplug_reader(1)
    folder = tmp_path_factory.mktemp("seeds")
    station = make_station(folder, shared_bench.environment)
    (folder / "seeds.toml").write_text(PROFILE, encoding="utf-8")
    said = station.tell(*station.batch(profile=folder / "seeds.toml"))
    assert said.code == 0, said.err
    (serial,) = [line["serial"] for line in shared_bench.control.tokens() if line["plugged"]]
    yield Issued(
        station=station,
        bench=shared_bench,
        serial=str(serial),
        seeds={
            name: value
            for name, value in station.secrets(str(serial)).items()
            if name.endswith("/seed")
        },
    )
    restore_bench(shared_bench)


@pytest.fixture
def phrase(tmp_path: Path) -> Path:
    """A file with the passphrase of a PSKC file."""
    path = tmp_path / "phrase"
    path.write_text(f"{PHRASE}\n", encoding="utf-8")
    return path


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpg:
    """Somebody's OpenPGP key pair in a key ring of their own; `public` is its public half."""

    home: Path
    public: Path

    @property
    def fingerprint(self) -> str:
        """That of the key."""
        listed = self.run("--list-secret-keys", "--with-colons").decode().splitlines()
        return next(line.split(":")[9] for line in listed if line.startswith("fpr:"))

    def run(self, *arguments: str, data: bytes = b"") -> bytes:
        """Run gpg on that key ring."""
        return self.told(*arguments, data=data)[0]

    def told(self, *arguments: str, data: bytes = b"") -> tuple[bytes, str]:
        """The same; and what it says on standard error."""
        done = subprocess.run(
            ["gpg", "--homedir", str(self.home), "--batch", "--quiet", *arguments],
            input=data,
            capture_output=True,
            check=True,
            timeout=60,
        )
        return done.stdout, done.stderr.decode()


@contextmanager
def key_ring(name: str, public: Path) -> Iterator[Gpg]:
    """A fresh key ring with a key of that name; its agent ends with it."""
    home = Path(tempfile.mkdtemp(prefix="gpg-"))  # short: the agent's socket lies in it
    made = Gpg(home=home, public=public)
    made.run(
        *("--pinentry-mode", "loopback", "--passphrase", ""),
        *("--quick-gen-key", name, "future-default", "default", "never"),
    )
    made.public.write_bytes(made.run("--armor", "--export", name))
    yield made
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=True, timeout=60)
    shutil.rmtree(home)


@pytest.fixture
def gpg(tmp_path: Path) -> Iterator[Gpg]:
    """The server's."""
    with key_ring("ksm@example.test", tmp_path / "server.asc") as made:
        yield made


@pytest.fixture
def operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gpg]:
    """The operator's, which gpg finds where they work."""
    with key_ring("olga@example.test", tmp_path / "operator.asc") as made:
        monkeypatch.setenv("GNUPGHOME", str(made.home))
        yield made


def test_yubico_and_okta_csv(issued: Issued, tmp_path: Path) -> None:
    """One line a token as Yubico's tools log it, 0600; the opening is on the record."""
    for form in ("yubico-csv", "okta-csv"):
        out = tmp_path / form
        assert issued.export(form, out).code == 0
        assert stat.S_IMODE(out.stat().st_mode) == 0o600
        ((serial, public, private, key, code, made, last),) = csv.reader(out.open(newline=""))
        assert serial == issued.serial
        assert private + key == issued.seeds["otp/1/seed"]
        assert issued.bench.control.type_slot(int(serial), 1).startswith(public)
        assert code == "000000000000"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", made)
        assert last == ""
        entry = issued.station.entries("opened")[-1]
        assert entry["form"] == form
        assert [secret["name"] for secret in entry["secrets"]] == ["otp/1/seed"]
        assert {secret["purpose"] for secret in entry["secrets"]} == {"authentication-server"}


def test_pskc_by_python_pskc(issued: Issued, tmp_path: Path, phrase: Path) -> None:
    """python-pskc reads both seeds with the passphrase, and neither without; no seed is in it."""
    out = tmp_path / "seeds.xml"
    assert issued.export("pskc", out, "--pskc-passphrase", phrase).code == 0
    container = PSKC(str(out))
    with pytest.raises(DecryptionError):
        _ = container.keys[0].secret
    container.encryption.derive_key(PHRASE)
    assert container.mac.algorithm
    otp, hotp = container.keys
    assert otp.check()
    assert hotp.check()
    assert otp.secret is not None
    assert hotp.secret is not None
    assert otp.secret.hex() == issued.seeds["otp/1/seed"][12:]
    assert hotp.secret.hex() == issued.seeds["otp/2/seed"]
    assert (hotp.counter, hotp.response_length) == (32, 8)
    assert {otp.serial, hotp.serial} == {issued.serial}
    text = out.read_text()
    for seed in issued.seeds.values():
        for part in (seed, seed[:12], seed[12:]):
            assert part not in text
            assert base64.b64encode(bytes.fromhex(part)).decode() not in text


def test_pskc_by_the_standards_own_steps(issued: Issued, tmp_path: Path, phrase: Path) -> None:
    """RFC 6030 by hand, on XML, PBKDF2, AES-CBC and HMAC: the seed comes out and the MAC holds."""
    out = tmp_path / "seeds.xml"
    assert issued.export("pskc", out, "--pskc-passphrase", phrase).code == 0
    root = ET.parse(out).getroot()

    def value(path: str, start: ET.Element = root) -> str:
        found = start.findtext(path, namespaces=NS)
        assert found, path
        return found.strip()

    def decrypted(text: str, key: bytes) -> bytes:
        data = base64.b64decode(text)
        plain = Cipher(algorithms.AES(key), modes.CBC(data[:16])).decryptor()
        unpadder = PKCS7(128).unpadder()
        return unpadder.update(plain.update(data[16:]) + plain.finalize()) + unpadder.finalize()

    rounds = int(value(".//{*}IterationCount"))
    assert rounds >= 1_300_000
    salt = base64.b64decode(value(".//{*}Salt/{*}Specified"))
    key = hashlib.pbkdf2_hmac("sha1", PHRASE.encode(), salt, rounds, 32)
    mac_key = decrypted(value(".//{*}MACKey//{*}CipherValue"), key)
    secret = root.find(".//{*}Secret")
    assert secret is not None
    sealed = value(".//{*}CipherValue", secret)
    assert decrypted(sealed, key).hex() == issued.seeds["otp/1/seed"][12:]
    method = root.find(".//{*}MACMethod")
    assert method is not None
    digest = method.attrib["Algorithm"].rpartition("hmac-")[2]
    mac = hmac.new(mac_key, base64.b64decode(sealed), digest).digest()
    assert base64.b64encode(mac).decode() == value("{*}ValueMAC", secret)


def test_ksm_by_gpg(issued: Issued, gpg: Gpg, operator: Gpg, tmp_path: Path, phrase: Path) -> None:
    """GnuPG opens the KSM file with the server's key, and finds it signed by the operator.

    The server goes by the status line VALIDSIG, as ykksm-import does. Any form can be encrypted.
    """
    out = tmp_path / "seeds.asc"
    options = ("--recipient", gpg.public, "--sign-with", "olga@example.test")
    said = issued.export("ksm", out, *options)
    assert said.code == 0, said.err
    assert out.read_bytes().startswith(b"-----BEGIN PGP MESSAGE-----")
    gpg.run("--import", str(operator.public))
    raw, status = gpg.told("--status-fd", "2", "--decrypt", data=out.read_bytes())
    assert f"[GNUPG:] VALIDSIG {operator.fingerprint} " in status
    text = raw.decode()
    first, *lines = text.splitlines()
    assert first == "# ykksm 1"
    (line,) = [line for line in lines if not line.startswith("#")]
    serial, _, private, key, code, _, accessed = line.split(",")
    assert (serial, private + key) == (issued.serial, issued.seeds["otp/1/seed"])
    assert (code, accessed) == ("000000000000", "")

    both = tmp_path / "both.asc"
    options = ("--pskc-passphrase", phrase, "--recipient", gpg.public)
    assert issued.export("pskc", both, *options).code == 0
    opened = gpg.run("--decrypt", data=both.read_bytes()).decode()
    assert f"UID={private}" in opened  # which PSKC itself cannot encrypt


def test_what_is_not_exported(issued: Issued, gpg: Gpg, operator: Gpg, tmp_path: Path) -> None:
    """Nothing is written and nothing recorded: in the clear, twice, to nobody, or of no token."""
    before = len(issued.station.entries("opened"))
    there = tmp_path / "there"
    there.write_text("kept", encoding="utf-8")
    gone = tmp_path / "gone"
    strangers = ("--recipient", gpg.public, "--sign-with", "nobody@example.test")
    for said, code, why in (
        (issued.export("ksm", gone, "--sign-with", "olga"), 2, "no recipient"),
        (issued.export("ksm", gone, "--recipient", there), 2, "--sign-with KEY"),
        (issued.export("okta-csv", gone, "--sign-with", "olga"), 2, "no recipient"),
        (issued.export("ksm", gone, *strangers), 7, "sign as nobody@example.test"),
        (issued.export("yubico-csv", there), 2, "is there already"),
        (issued.export("yubico-csv", gone, "99999999"), 7, "token 99999999"),
        (issued.export("yubico-csv", gone, "--recipient", there), 7, "gpg does not encrypt"),
        (issued.export("yubico-csv", gone, "--purpose", "break-glass"), 7, "sealed to key"),
        (issued.export("yubico-csv", gone, "--purpose", "help-desk"), 7, "no seed"),
    ):
        assert said.code == code, said
        assert why in said.err
        assert not gone.exists()
    assert there.read_text(encoding="utf-8") == "kept"
    assert len(issued.station.entries("opened")) == before
    for seed in issued.seeds.values():
        assert seed not in said.out + said.err


@dataclass(frozen=True, slots=True, kw_only=True)
class Yubiserver:
    """A running validation server."""

    port: int
    client: str

    def status(self, otp: str) -> str:
        """What it says of a one-time password (validation protocol 2.0)."""
        query = f"id={self.client}&otp={otp}&nonce=0123456789abcdef"
        url = f"http://127.0.0.1:{self.port}/wsapi/2.0/verify?{query}"
        with urllib.request.urlopen(url, timeout=STARTS_WITHIN) as answer:
            text = answer.read().decode()
        (found,) = re.findall(r"status=(\w+)", text)
        return str(found)


def processes_with(word: str) -> list[int]:
    """The processes that have a word on their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word.encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
        except OSError:  # it ended meanwhile
            continue
    return found


@pytest.fixture
def yubiserver(issued: Issued, tmp_path: Path) -> Iterator[Yubiserver]:
    """Debian's server with a data folder of its own, and the exported seed in it."""
    out = tmp_path / "seeds.csv"
    assert issued.export("yubico-csv", out, issued.serial).code == 0
    ((_, public, private, key, *_),) = csv.reader(out.open(newline=""))
    folder = Path(tempfile.mkdtemp(prefix="yubiserver-"))
    folder.chmod(0o777)  # it becomes the user `yubiserver` where root starts it
    database = folder / "tokens.sqlite"
    shutil.copyfile("/etc/yubiserver/yubiserver.sqlite.init", database)
    database.chmod(0o666)
    for arguments in (("-y", "-a", "ada", public, private, key), ("-p", "-a", "bench", API_KEY)):
        subprocess.run(
            ["yubiserver-admin", "-b", str(database), *arguments],
            check=True,
            capture_output=True,
            timeout=60,
        )
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    subprocess.run(  # it goes into the background
        ["yubiserver", "-d", str(database), "-p", str(port), "-l", str(folder / "log")],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=60,
    )
    try:
        until = time.monotonic() + STARTS_WITHIN
        while time.monotonic() < until:
            with socket.socket() as attempt:
                if attempt.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield Yubiserver(port=port, client="1")
    finally:
        for pid in processes_with(str(database)):
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(folder)


def test_yubiserver_takes_the_token_and_refuses_a_replay(
    issued: Issued, yubiserver: Yubiserver
) -> None:
    """What the token types is accepted once; again, altered or of another key, it is not."""

    def typed() -> str:
        return issued.bench.control.type_slot(int(issued.serial), 1).strip()

    first = typed()
    assert yubiserver.status(first) == "OK"
    assert yubiserver.status(first) == "REPLAYED_OTP"
    altered = first[:-1] + ("c" if first[-1] != "c" else "b")
    assert yubiserver.status(altered) == "BAD_OTP"
    assert yubiserver.status("c" * 44) != "OK"
    time.sleep(2 * TICK)  # as a second touch is later: the server wants the token's clock to move
    assert yubiserver.status(typed()) == "OK"
    assert yubiserver.status(first) == "REPLAYED_OTP"
