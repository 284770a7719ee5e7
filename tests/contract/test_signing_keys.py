"""Which key signs a manifest: in a file or in an HSM, one after another, lost, listed by a root."""

from __future__ import annotations

import base64
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.peers.test_verifier_script import run_script
from tests.people import added, approved
from tests.record_samples import about
from tests.softhsm import SOFTHSM, SoftHsm
from tests.stations import Station, tell
from tokenprov.errors import ApprovalError, PolicyError
from tokenprov.home import Home
from tokenprov.record.entry import Entry, entry_head
from tokenprov.record.kinds import Kind

WHY = ("--reason", "a test")
SO_PIN, PIN = "271828", "914736"
KINDS = {"p256": "EC:prime256v1", "ed25519": "EC:edwards25519"}


@pytest.fixture
def station(tmp_path: Path) -> Station:
    """A station with its key in a file, and nothing issued yet."""
    home = tmp_path / "home"
    assert tell("init", home, "--name", "bench", "--operator", "olga").code == 0
    return Station(home=home)


@pytest.fixture(scope="module")
def hsm(tmp_path_factory: pytest.TempPathFactory) -> SoftHsm:
    """A token with a key pair of each kind, made by OpenSC's pkcs11-tool."""
    made = SoftHsm.create(tmp_path_factory.mktemp("hsm"))
    made.deliver("station", SO_PIN, PIN)
    (made.folder / "pin").write_text(f"{PIN}\n")
    tool = ("pkcs11-tool", "--module", str(SOFTHSM), "--token-label", "station", "--login")
    login = (*tool, "--pin", PIN)
    for number, (name, kind) in enumerate(KINDS.items(), start=1):
        named = ("--label", name, "--id", f"0{number}")
        made.run(*login, "--keypairgen", "--key-type", kind, *named)
    read = ("--read-object", "--type", "pubkey", "--label", "p256")
    made.run(*login, *read, "-o", str(made.folder / "p256.der"))
    return made


@pytest.fixture
def there(hsm: SoftHsm, monkeypatch: pytest.MonkeyPatch) -> SoftHsm:
    """The same, for the commands of this process."""
    for name, value in hsm.environment.items():
        monkeypatch.setenv(name, value)
    return hsm


def uri(hsm: SoftHsm, key: str, pin_file: Path | None = None) -> str:
    """Where a key is, its PIN in a file."""
    pin = pin_file or hsm.folder / "pin"
    return f"pkcs11:token=station;object={key}?module-path={SOFTHSM}&pin-source=file:{pin}"


def key_of(station: Station) -> str:
    """The verifier key in use."""
    return (station.home / "manifest" / "manifest.vkey").read_text().strip()


def drill(home: Path) -> None:
    """Append something, as any command would."""
    opened = Home.open(home)
    with opened.working():
        entry: Entry = {
            **entry_head(Kind.DRILL, time=opened.clock(), station="bench", operator="olga"),
            **{"drill": "restore", "outcome": "passed", "facts": {}},
        }
        opened.manifest.append(entry)
    opened.manifest.close()
    opened.ledger.close()


def verify(station: Station, *keys: str, more: Sequence[str] = ()) -> list[str]:
    """What does not hold for who holds these keys; the script finds nothing else."""
    asked = [word for key in keys for word in ("--key", key)]
    said = tell("manifest", "verify", station.home / "manifest", *asked, *more, "--json")
    rules = [finding["rule"] for finding in said.document["findings"]]
    if not more:
        assert run_script(*asked, station.home / "manifest").returncode == (6 if rules else 0)
    return rules


def test_rotated(station: Station, tmp_path: Path) -> None:
    """Who holds the first key goes on with it, and so does a witness; the old file is gone."""
    first, manifest = key_of(station), station.home / "manifest"
    (old_file,) = (station.home / "keys").iterdir()
    witness = tell("witness", "init", tmp_path / "w", "--name", "w.example").out.strip()
    cosign = ("witness", "cosign", tmp_path / "w", manifest)
    assert tell(*cosign, "--key", first).code == 0
    for _ in range(2):
        said = station.tell("manifest", "rotate-key", *WHY)
        assert (said.code, said.out.strip()) == (0, key_of(station)), said.err
        drill(station.home)
    (file,) = (station.home / "keys").iterdir()
    assert file != old_file
    assert file.stat().st_mode & 0o777 == 0o600
    assert verify(station, first) == verify(station, key_of(station)) == []
    assert tell(*cosign).code == 0
    assert verify(station, first, more=("--witness", witness)) == []
    listed = station.tell("manifest", "keys", "--json").document
    assert [(key["since"], key["vouched"]) for key in listed] == [(0, False), (2, True), (4, True)]
    shown = station.tell("manifest", "show", "--json").document
    assert [entry["kind"] for entry in shown] == ["station", *["key-rotated", "drill"] * 2]


def test_lost(station: Station, tmp_path: Path) -> None:
    """Without the key nothing is added, until an epoch begins: whom it convinces is told."""
    first, manifest = key_of(station), station.home / "manifest"
    witness = ("witness", "cosign", tmp_path / "w", manifest)
    assert tell("witness", "init", tmp_path / "w", "--name", "w.example").code == 0
    assert tell(*witness, "--key", first).code == 0
    shutil.rmtree(station.home / "keys")
    (station.home / "keys").mkdir()
    said = station.tell("manifest", "rotate-key", *WHY)
    assert (said.code, "cannot be read" in said.err) == (3, True)
    said = station.tell("manifest", "rotate-key", "--lost", *WHY)
    assert said.code == 0, said.err
    drill(station.home)
    assert verify(station, first) == ["epoch"]
    assert verify(station, key_of(station)) == verify(station, first, key_of(station)) == []
    assert tell(*witness).code == 6
    assert tell(*witness, "--key", key_of(station)).code == 0
    drill(station.home)
    assert tell(*witness).code == 0  # it knows the new one now


RULES = """
name = "keys"
description = "nobody changes the key alone"
[separation]
acts = { rotate-key = 1, begin-epoch = 1 }
"""


@pytest.mark.parametrize(
    ("action", "options", "kind"),
    [("rotate-key", (), "key-rotated"), ("begin-epoch", ("--lost",), "key-lost")],
)
def test_another_key_by_agreement(
    station: Station, tmp_path: Path, action: str, options: Sequence[str], kind: str
) -> None:
    """Nobody changes the key alone; a request for one way is none for the other, nor serves twice.

    The same request again finds the key in use, and changes nothing.
    """
    rita, pavel = added(station, "rita", "requester"), added(station, "pavel", "approver")
    rules = tmp_path / "rules.toml"
    rules.write_text(RULES)
    assert station.tell("policy", "use", rules, *WHY).code == 0
    first, keys = key_of(station), sorted((station.home / "keys").iterdir())
    command = ("manifest", "rotate-key", *options, *WHY, "--operator", "olga")
    said = station.tell(*command)
    assert (said.code, said.out) == (PolicyError.exit_code, ""), said.err
    assert f"tokenprov approve request {action} 'old={first}'" in said.err
    other = {"rotate-key": "begin-epoch", "begin-epoch": "rotate-key"}[action]
    wrong = approved(station, rita, pavel, other, f"old={first}", name="wrong")
    assert station.tell(*command, "--approval", wrong).code == ApprovalError.exit_code
    assert (key_of(station), sorted((station.home / "keys").iterdir())) == (first, keys)
    file = approved(station, rita, pavel, action, f"old={first}")
    said = station.tell(*command, "--approval", file)
    assert (said.code, said.out.strip()) == (0, key_of(station)), said.err
    (entry,) = station.entries(kind)
    assert [one["name"] for one in entry["approvers"]] == ["pavel"]
    assert entry["clearance"]["policy"]["name"] == "keys"
    again = station.tell(*command, "--approval", file)
    assert (again.code, again.out) == (0, said.out), again.err
    assert len(station.entries(kind)) == 1
    assert station.tell(*command).code == PolicyError.exit_code
    assert verify(station, key_of(station)) == []
    assert station.tell("policy", "check").code == 0


def test_the_root(station: Station, tmp_path: Path) -> None:
    """A root signs the list of keys; who trusts it alone is convinced, also after a loss."""
    first, manifest = key_of(station), station.home / "manifest"
    root = tell("root", "init", tmp_path / "r", "--name", "root.example").out.strip()
    sign = ("root", "sign", tmp_path / "r", manifest)
    said = tell(*sign)
    assert (said.code, "nobody vouches" in said.err) == (2, True)
    assert tell(*sign, "--key", first).code == 0
    assert verify(station, more=("--root", root)) == []
    assert station.tell("manifest", "rotate-key", *WHY).code == 0
    assert verify(station, more=("--root", root)) == []  # vouched for since the list
    assert station.tell("manifest", "rotate-key", "--lost", *WHY).code == 0
    assert verify(station, more=("--root", root)) == ["keys"]
    assert tell(*sign).code == 2
    assert tell(*sign, "--key", key_of(station)).code == 0
    assert verify(station, more=("--root", root)) == []
    assert verify(station, more=("--root", first)) == ["signature"]
    assert (manifest / "manifest.keys").read_text().startswith("tokenprov/keys/v1\nbench\n2\n0 ")


def test_an_older_list_is_refused_by_who_saw_a_newer_one(station: Station, tmp_path: Path) -> None:
    """With `--pin`: an older list, or one of the same number with other keys, is shown to nobody.

    Whoever has no such file cannot tell, and a newer list moves it on.
    """
    first, manifest, pin = key_of(station), station.home / "manifest", tmp_path / "pin"
    root = tell("root", "init", tmp_path / "r", "--name", "root.example").out.strip()
    sign = ("root", "sign", tmp_path / "r", manifest)
    assert tell(*sign, "--key", first).code == 0
    older = (manifest / "manifest.keys").read_bytes()
    pinned = ("--root", root, "--pin", str(pin))
    assert verify(station, more=pinned) == []
    assert station.tell("manifest", "rotate-key", *WHY).code == 0
    shutil.copytree(tmp_path / "r", tmp_path / "restored")  # the root's own backup
    assert tell(*sign).code == 0
    newer = (manifest / "manifest.keys").read_bytes()
    assert verify(station, more=pinned) == []
    assert pin.with_name("pin.keys").read_bytes() == newer
    (manifest / "manifest.keys").write_bytes(older)
    assert verify(station, more=("--root", root)) == []
    assert verify(station, more=pinned) == ["keys"]
    assert pin.with_name("pin.keys").read_bytes() == newer
    assert station.tell("manifest", "rotate-key", *WHY).code == 0
    assert tell("root", "sign", tmp_path / "restored", manifest).code == 0
    assert (manifest / "manifest.keys").read_bytes().splitlines()[2] == b"2"
    assert verify(station, more=("--root", root)) == []
    assert verify(station, more=pinned) == ["keys"]
    for _ in range(2):
        assert tell(*sign).code == 0
    assert verify(station, more=pinned) == []


def test_proofs(station: Station, tmp_path: Path) -> None:
    """A proof handed out under a new key convinces who holds the first, and is asked for lines."""
    home = station.home
    first = key_of(station)
    opened = Home.open(home)
    with opened.working():
        time = opened.manifest.latest()
        opened.manifest.append(about(Kind.RECEIVED, 1, station="bench", time=time))
    assert station.tell("manifest", "rotate-key", *WHY).code == 0
    proof = tmp_path / "proof"
    options = ("--entry", "1", "--out", proof)
    assert station.tell("manifest", "prove", "10000001", *options).code == 0
    check = ("manifest", "verify", proof, "--key", first)
    assert tell(*check).code == 0
    assert run_script("--key", first, proof).returncode == 0
    witness = tell("witness", "init", tmp_path / "w", "--name", "w.example").out.strip()
    said = tell(*check, "--witness", witness)
    assert (said.code, "cosigned by 0" in said.err) == (6, True)
    assert tell("witness", "cosign", tmp_path / "w", home / "manifest", "--key", first).code == 0
    assert station.tell("manifest", "prove", "10000001", *options).code == 0
    assert tell(*check, "--witness", witness).code == 0
    assert tell(*check, "--pin", home / "manifest" / "checkpoint").code == 0
    assert tell("manifest", "verify", proof, "--key", witness).code == 6


@pytest.mark.parametrize("name", KINDS)
def test_in_a_pkcs11_token(there: SoftHsm, tmp_path: Path, name: str) -> None:
    """The key signs inside SoftHSM: no private key lies in the home, and OpenSSL verifies it."""
    station, where = Station(home=tmp_path / "home"), uri(there, name)
    said = tell("init", station.home, "--name", "bench", "--signing-key", where)
    assert said.code == 0, said.err
    (kept,) = (station.home / "keys").iterdir()
    assert kept.read_text() == f"{where}\n"
    first = key_of(station)
    assert base64.b64decode(first.split("+", 2)[2])[0] == (2 if name == "p256" else 1)
    assert verify(station, first) == []
    said = station.tell("manifest", "rotate-key", *WHY)  # to a file
    assert said.code == 0, said.err
    said = station.tell("manifest", "rotate-key", *WHY, "--to", where)  # and back
    assert (said.code, key_of(station)) == (0, first), said.err
    assert [path.suffix for path in (station.home / "keys").iterdir()] == [".uri"]
    assert verify(station, first) == []
    if name == "p256":
        assert openssl_verifies(there.folder / "p256.der", station.home / "manifest", tmp_path)


def openssl_verifies(public: Path, manifest: Path, folder: Path) -> bool:
    """The checkpoint by OpenSSL alone, with the public key that the HSM gave pkcs11-tool."""
    text, _, lines = (manifest / "checkpoint").read_text().rpartition("\n\n")
    (folder / "body").write_text(f"{text}\n")
    (folder / "sig").write_bytes(base64.b64decode(lines.split(" ")[2])[4:])
    key = ["-keyform", "DER", "-verify", str(public)]
    command = ["openssl", "dgst", "-sha256", *key, "-signature", "sig", "body"]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    return done.stdout == b"Verified OK\n"


def test_tokens_that_do_not_open(there: SoftHsm, tmp_path: Path) -> None:
    """A wrong PIN, a key that is not there and a PIN in the URI are told apart; no PIN is shown."""
    station, right = Station(home=tmp_path / "home"), uri(there, "p256")
    (tmp_path / "wrong").write_text("000000\n")
    for given, code, why in (
        (uri(there, "p256", tmp_path / "wrong"), 4, "PIN"),
        (uri(there, "nobody"), 2, "names no private key"),
        (right.replace("token=station", "token=other"), 2, "names no token"),
        (f"{right}&pin-value={PIN}", 2, "pin-value is not taken"),
        (str(tmp_path / "key.pem"), 3, "no PKCS#11 URI"),
    ):
        said = tell("init", station.home, "--name", "bench", "--signing-key", given)
        assert (said.code, why in said.err) == (code, True), said.err
        assert not list(tmp_path.glob("*home*"))  # nothing of it is left
        assert PIN not in said.err.replace(given, "")
    assert tell("init", station.home, "--name", "bench", "--signing-key", right).code == 0
    (kept,) = (station.home / "keys").iterdir()
    kept.write_text(f"{uri(there, 'ed25519')}\n")  # another key than the one that signed
    said = station.tell("manifest", "rotate-key", *WHY)
    assert (said.code, "is not the key" in said.err) == (3, True), said.err
