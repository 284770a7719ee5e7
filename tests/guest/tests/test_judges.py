"""Programs that we did not write find the tokens on the bus by themselves, and use them."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guest.tests.bench import (
    KEY,
    MEMBER,
    OLDER_KEY,
    OUTSIDER,
    SECURITY_KEY,
    Bench,
    shell,
    wait_for,
    ykman,
)
from tests.servers import free_port

HASH = base64.b64encode(bytes(range(32))).decode()
USER_ID = base64.b64encode(b"1001").decode()
RP = "example.test"
MAPPINGS = Path("/etc/u2f_mappings")
ORIGIN = "pam://guest.test"
SU = f"""auth sufficient pam_rootok.so
auth required pam_u2f.so authfile={MAPPINGS} origin={ORIGIN} appid={ORIGIN}
account required pam_permit.so
session required pam_permit.so
"""
SSHD = """ListenAddress 127.0.0.1:{port}
HostKey {folder}/host
PidFile none
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
StrictModes no
AuthorizedKeysFile {folder}/authorized
KexAlgorithms curve25519-sha256
"""
ATR = "3b:fd:13:00:00:81:31:fe:15:80:73:c0:21:c0:57:59:75:62:69:4b:65:79:40"


@pytest.fixture(scope="module")
def serial(bench: Bench) -> int:
    """The serial of a factory-fresh YubiKey; the other tokens are plugged in beside it."""
    return bench.renew(KEY)


@pytest.fixture(scope="module")
def alone(bench: Bench, serial: int) -> Iterator[int]:
    """The same with nothing beside it; what was switched off on it is on again afterwards."""
    bench.pull(SECURITY_KEY, OLDER_KEY)
    yield serial
    bench.renew(KEY)
    bench.insert(SECURITY_KEY, OLDER_KEY)


@pytest.fixture(scope="module")
def node(alone: int, bench: Bench) -> Path:
    """Its FIDO node, as libfido2 lists it."""
    (line,) = shell("fido2-token -L").splitlines()
    path, _, what = line.partition(": ")
    assert what == "vendor=0x1050, product=0x0407 (Yubico YubiKey OTP+FIDO+CCID)"
    assert Path(path) == bench.usb(KEY).fido
    return Path(path)


def test_ykman_lists_them_all(serial: int, bench: Bench) -> None:
    """Each is one token, however many interfaces it has, with the serial and interfaces it has."""
    lines = ykman("list").splitlines()
    assert sorted(lines) == [
        "Security Key NFC (5.7.4) [FIDO]",
        f"YubiKey 5 NFC (5.4.3) [OTP+FIDO+CCID] Serial: {bench.serial(OLDER_KEY)}",
        f"YubiKey 5 NFC (5.7.4) [OTP+FIDO+CCID] Serial: {serial}",
    ]


def test_lsusb_reads_every_descriptor(serial: int) -> None:
    """No descriptor is refused or cut, and each interface is of the class that it should be."""
    said = shell("lsusb -v -d 1050:0407 2>&1")
    about_itself = "(Warning: Only accurate for version 1.0)"  # of CCID, and this is 1.1
    said = said.replace(about_itself, "")
    assert not [line for line in said.splitlines() if re.search("(?i)warn|error|truncat", line)]
    assert not re.search("(?i)can.t get (?!device qualifier|debug descriptor)", said)
    classes = re.findall(r"bInterfaceClass +(\d+)", said)
    assert classes == ["3", "3", "11"] * 2  # two such keys are plugged in
    assert "iProduct                2 YubiKey OTP+FIDO+CCID" in said
    assert re.search(r"dwFeatures +(0x)?0*400FE", said), said
    assert re.search(r"dwMaxCCIDMsgLen +3072", said), said


def test_opensc_tool_finds_the_reader(alone: int) -> None:
    """By libccid and pcscd, under the name and the answer to reset that the maker's key has."""
    lines = shell("opensc-tool -l").splitlines()
    (line,) = [one for one in lines if "Yubi" in one]
    number, card, *_ = line.split()
    assert card == "Yes"
    assert line.endswith("Yubico YubiKey OTP+FIDO+CCID 00 00")
    assert shell(f"opensc-tool -r {number} -a").strip() == ATR


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("info", ["Device type: YubiKey 5 NFC", "Enabled USB interfaces: OTP, FIDO, CCID"]),
        ("fido info", ["AAGUID: ", "PIN: ", "Not set"]),
        ("otp info", ["Slot 1: ", "Slot 2: empty"]),
    ],
)
def test_ykman_uses_the_only_one(alone: int, command: str, says: list[str]) -> None:
    """It needs no name of a reader where there is one key."""
    said = ykman(*command.split())
    assert not [text for text in says if text not in said], said


def test_fido2_token_reads_what_it_is(node: Path) -> None:
    """Capabilities of CTAPHID and the answer to GetInfo."""
    said = shell(f"fido2-token -I {node}")
    for text in (
        "proto: 0x02",
        "caps: 0x05 (wink, cbor, msg)",
        "aaguid: ",
        "FIDO_2_1",
        "pin retries: 8",
        "noclientPin",
    ):
        assert text in said, said


@pytest.mark.parametrize("kind", ["es256", "eddsa"])
def test_fido2_cred_and_assert(node: Path, kind: str, tmp_path: Path) -> None:
    """A credential that libfido2 has made is checked by it, and so is its assertion."""
    made, key = tmp_path / "made", tmp_path / "key.pem"
    shell(f"fido2-cred -M {node} {kind} >{made}", text=f"{HASH}\n{RP}\nada\n{USER_ID}\n")
    credential, pem = shell(f"fido2-cred -V {kind} <{made}").split("\n", 1)
    key.write_text(pem)
    asked = f"{HASH}\n{RP}\n{credential}\n"
    got = shell(f"fido2-assert -G {node}", text=asked)
    shell(f"fido2-assert -V {key} {kind}", text=got)
    other = base64.b64encode(bytes(32)).decode() + "\n" + got.split("\n", 1)[1]
    shell(f"fido2-assert -V {key} {kind}", text=other, code=1)


def test_pam_u2f_logs_a_user_in(alone: int, users: dict[str, int], bench: Bench) -> None:
    """`su` takes the key that pamu2fcfg registered instead of a password, and no other key."""
    registered = shell(f"pamu2fcfg -u {MEMBER} -o {ORIGIN} -i {ORIGIN}")
    MAPPINGS.write_text(registered + "\n")
    Path("/etc/pam.d/su").write_text(SU)
    login = f"runuser -u {OUTSIDER} -- su {MEMBER} -c 'id -un'"
    assert shell(login).strip() == MEMBER
    bench.renew(KEY)
    shell(login, code=1)


def test_openssh_logs_a_user_in(node: Path, users: dict[str, int], tmp_path: Path) -> None:
    """Who has the key on the token is let in, for keys of both kinds that ssh-keygen made there."""
    kinds, port = ("ecdsa-sk", "ed25519-sk"), free_port()
    shell(f"ssh-keygen -q -t ed25519 -N '' -f {tmp_path}/host")
    for kind in kinds:
        shell(f"ssh-keygen -q -t {kind} -N '' -f {tmp_path}/{kind}")
    shell(f"cat {tmp_path}/*-sk.pub >{tmp_path}/authorized")
    tmp_path.joinpath("sshd.conf").write_text(SSHD.format(port=port, folder=tmp_path))
    shell(f"chmod go+rX {tmp_path} {tmp_path.parent} {tmp_path.parent.parent}; mkdir -p /run/sshd")
    shell("id sshd || useradd --system --home-dir /run/sshd sshd")
    shell(f"usermod -p '*' {MEMBER}")  # no password, and not locked
    sshd = f"$(command -v sshd) -D -e -f {tmp_path}/sshd.conf"
    shell(f"systemd-run --quiet --collect --unit=sk-sshd {sshd}")
    options = f"-p {port} -F none -o BatchMode=yes -o IdentitiesOnly=yes"
    options += " -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
    try:
        wait_for(lambda: f"127.0.0.1:{port}" in shell("ss -Hltn"))
        for kind in kinds:
            login = f"ssh {options} -i {tmp_path}/{kind} {MEMBER}@127.0.0.1 id -un"
            assert shell(login).strip() == MEMBER
    finally:
        shell("systemctl stop sk-sshd")


def test_ykman_switches_interfaces(alone: int, bench: Bench) -> None:
    """Switched off by it, CCID is gone after a re-plug; what is left is used by HID."""
    ykman("config", "mode", "--force", "OTP+FIDO")
    bench.pull(KEY)
    assert bench.insert(KEY).product == 0x0403
    serial = bench.serial(KEY)
    assert ykman("list").strip() == f"YubiKey 5 NFC (5.7.4) [OTP+FIDO] Serial: {serial}"
    assert "Slot 2: empty" in ykman("otp", "info")
