"""SSH certificates and the list of those revoked, judged by ssh-keygen."""

from __future__ import annotations

import base64
import struct
import subprocess
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.stations import Station, tell
from tokenprov.errors import InputError, IssuerError, StationError
from tokenprov.issuer.ca.folder import CaFolder
from tokenprov.issuer.ssh import SshAuthority, SshIssued, SshRequest
from tokenprov.model import Holder

NOW = datetime.now(UTC).replace(microsecond=0)  # ssh-keygen asks the clock
ADA = Holder(id="1001", name="Ada Okonkwo", email="ada@example.test")
KEYS = {
    "ecdsa": ec.generate_private_key(ec.SECP256R1()),
    "p384": ec.generate_private_key(ec.SECP384R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
    "rsa": rsa.generate_private_key(65537, 2048),
}


def asked(name: str = "ecdsa") -> SshRequest:
    """A good request."""
    return SshRequest(
        key=KEYS[name].public_key(),
        holder=ADA,
        principals=("ada", "deploy"),
        days=7,
        token_serial="12345678",
    )


@pytest.fixture
def ca(tmp_path: Path) -> SshAuthority:
    """A new one."""
    (tmp_path / "ca").mkdir()
    return SshAuthority(CaFolder(path=tmp_path / "ca"))


def ssh_keygen(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """What ssh-keygen says."""
    command = ["ssh-keygen", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def written(issued: SshIssued, folder: Path) -> Path:
    """The certificate in a file, as OpenSSH has it."""
    path = folder / f"{issued.serial:x}-cert.pub"
    path.write_text(f"{issued.certificate}\n")
    return path


@pytest.mark.parametrize("name", KEYS)
def test_ssh_keygen_reads_it(ca: SshAuthority, tmp_path: Path, name: str) -> None:
    """For each kind of key: whose it is, for whom, until when, and by which authority."""
    issued = ca.sign(asked(name), NOW)
    said = ssh_keygen("-L", "-f", written(issued, tmp_path))
    assert said.returncode == 0, said.stderr
    text = said.stdout
    assert "user certificate" in text
    assert 'Key ID: "1001 12345678"' in text
    assert f"Serial: {issued.serial}" in text
    assert "                ada\n                deploy\n" in text
    assert "permit-pty" in text
    (tmp_path / "ca.pub").write_text(ca.public_line)
    fingerprint = ssh_keygen("-l", "-f", tmp_path / "ca.pub").stdout.split()[1]
    assert f"Signing CA: ED25519 {fingerprint}" in text
    assert (tmp_path / "ca/ssh/ca.key").stat().st_mode & 0o777 == 0o600


def test_a_changed_certificate_is_found(ca: SshAuthority, tmp_path: Path) -> None:
    """ssh-keygen checks the authority's signature: one letter of a name is enough."""

    issued = ca.sign(asked(), NOW)
    kind, body = issued.certificate.split()[:2]
    other = base64.b64encode(base64.b64decode(body).replace(b"deploy", b"employ")).decode()
    changed = replace(issued, certificate=f"{kind} {other}")
    assert ssh_keygen("-L", "-f", written(changed, tmp_path)).returncode != 0


def test_the_list_names_what_is_revoked(ca: SshAuthority, tmp_path: Path) -> None:
    """By serial number: those alone; what ended is left out; an empty list revokes nothing."""
    certificates = [ca.sign(asked(), NOW) for _ in range(4)]
    files = [written(one, tmp_path) for one in certificates]
    krl = tmp_path / "revoked.krl"

    def revoked() -> list[bool]:
        krl.write_bytes(ca.revoked(NOW))
        return [ssh_keygen("-Q", "-f", krl, file).returncode != 0 for file in files]

    assert revoked() == [False] * 4
    for one in (certificates[2], certificates[0]):
        ca.revoke(one.serial, NOW)
    ca.revoke(certificates[0].serial, NOW + timedelta(days=1))
    assert revoked() == [True, False, True, False]
    again = SshAuthority(CaFolder(path=tmp_path / "ca"))
    assert [one.serial for one in again.all() if one.revoked] == sorted(
        one.serial for one in (certificates[0], certificates[2])
    )
    krl.write_bytes(ca.revoked(NOW + timedelta(days=8)))
    assert ssh_keygen("-Q", "-f", krl, files[0]).returncode == 0
    with pytest.raises(IssuerError, match="signed no SSH certificate 1"):
        ca.revoke(1, NOW)


def test_numbers_of_lists_grow_when_the_clock_goes_back(ca: SshAuthority) -> None:
    """Sshd may be told to keep the higher one."""
    moments = (NOW, NOW - timedelta(days=400), NOW - timedelta(days=400), NOW)
    numbers = [struct.unpack(">Q", ca.revoked(now)[12:20])[0] for now in moments]
    assert numbers == sorted(set(numbers))


def test_a_damaged_number_is_named(ca: SshAuthority, tmp_path: Path) -> None:
    """No list goes out under a number that may have been used."""
    ca.revoked(NOW)
    (tmp_path / "ca" / "ssh" / "number").write_bytes(b"\0\0")
    with pytest.raises(StationError, match="ssh/number holds no number"):
        ca.revoked(NOW)


def test_it_ends_with_the_holders_last_day(ca: SshAuthority) -> None:
    """And is refused after it."""
    last = (NOW + timedelta(days=2)).date()
    issued = ca.sign(replace(asked(), holder=replace(ADA, last_day=last)), NOW)
    assert issued.until.date() == last
    with pytest.raises(IssuerError, match="the last day of 1001 was 2020-01-01"):
        ca.sign(replace(asked(), holder=replace(ADA, last_day=date(2020, 1, 1))), NOW)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"principals": ()}, "lets anybody in"),
        ({"principals": ("ada,root",)}, "no name to log in by"),
        ({"principals": ("",)}, "no name to log in by"),
        ({"days": 0}, "not a term"),
        ({"key": rsa.generate_private_key(65537, 1024).public_key()}, "1024 bits only"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_signed(ca: SshAuthority, changes: dict[str, object], said: str) -> None:
    """Each with what is wrong, and nothing is recorded."""
    with pytest.raises((InputError, IssuerError), match=said):
        ca.sign(replace(asked(), **changes), NOW)
    assert list(ca.all()) == []


def test_a_serial_number_is_used_once(ca: SshAuthority, tmp_path: Path) -> None:
    """The same drawn again is refused; a damaged record is named."""
    ca.sign(asked(), NOW, random=lambda size: b"\x22" * size)
    with pytest.raises(IssuerError, match="was drawn before"):
        ca.sign(asked(), NOW, random=lambda size: b"\x22" * size)
    (record,) = (tmp_path / "ca/ssh/issued").iterdir()
    record.write_bytes(record.read_bytes()[:-1])
    with pytest.raises(StationError, match="is not a record of an SSH certificate"):
        list(ca.all())


def test_the_commands(tmp_path: Path) -> None:
    """A key that somebody brings, with --id; without, or for a token that is not here, nothing."""
    station = Station(home=tmp_path / "station")
    assert tell("init", station.home, "--name", "bench-1").code == 0
    line = KEYS["ed25519"].public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    key, cert = tmp_path / "id.pub", tmp_path / "id-cert.pub"
    key.write_bytes(line)
    sign = ("ca", "ssh", "sign")
    who = ("--principal", "ada")
    done = station.tell(*sign, key, "--id", "1001", *who, "--out", cert)
    assert done.code == 0, done.err
    assert 'Key ID: "1001"' in ssh_keygen("-L", "-f", cert).stdout
    (row,) = station.tell("ca", "ssh", "list", "--json").document
    assert (row["keyId"], row["revoked"]) == ("1001", None)
    for wrong in (
        (key, *who),
        ("--token", "12345678", "--id", "1001", *who),
        ("--token", "12345678", *who),
        (station.home / "station.toml", "--id", "1001", *who),
    ):
        assert station.tell(*sign, *wrong).code == 2
    made = station.tell("ca", "init", "strict", "--common-name", "Strict", "--attestation")
    assert made.code == 0
    refused = station.tell(*sign, key, "--id", "1", *who, "--authority", "strict")
    assert "wants keys that a token attests" in refused.err
    assert station.tell("ca", "ssh", "revoke", "xyz").code == 2
    assert station.tell("ca", "ssh", "public", "--authority", "nobody").code == 3
