"""What keys on tokens are for: a Kerberos ticket by PKINIT (RFC 4556), and an SSH login.

MIT's KDC and kinit, OpenSSH's sshd and ssh, both through OpenSC's module.
"""

from __future__ import annotations

import getpass
import os
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.issued import openssl
from tests.proof_of_use import IDS, MODULE, Card, Proof, tokens_in_use
from tests.servers import HOST, free_port, serving
from tests.stations import Said, tell

SECONDS = 30.0
REALM = "corp.example.test"  # as the holders' user principal names have it
KDC_CERTIFICATE = f"""
subjectAltName = otherName:1.3.6.1.5.2.2;SEQUENCE:principal
extendedKeyUsage = 1.3.6.1.5.2.3.5
keyUsage = digitalSignature
basicConstraints = critical, CA:FALSE
[principal]
realm = EXP:0, GeneralString:{REALM}
name = EXP:1, SEQUENCE:name
[name]
type = EXP:0, INTEGER:2
string = EXP:1, SEQUENCE:strings
[strings]
service = GeneralString:krbtgt
instance = GeneralString:{REALM}
"""
KRB5_CONF = """
[libdefaults]
    default_realm = {realm}
    dns_lookup_realm = false
    dns_lookup_kdc = false
    rdns = false
[realms]
    {realm} = {{
        kdc = {host}:{port}
        pkinit_anchors = FILE:{folder}/kdc-ca.pem
        pkinit_anchors = FILE:{authority}
    }}
"""
KDC_CONF = """
[realms]
    {realm} = {{
        database_name = {folder}/principal
        key_stash_file = {folder}/stash
        kdc_listen = {host}:{port}
        kdc_tcp_listen = {host}:{port}
        default_principal_flags = +preauth
        pkinit_identity = FILE:{folder}/kdc.pem,{folder}/kdc.key
        pkinit_anchors = FILE:{authority}
        pkinit_revoke = FILE:{crl}
        pkinit_require_crl_checking = true
        pkinit_allow_upn = true
        pkinit_eku_checking = scLogin
    }}
[logging]
    kdc = STDERR
"""
SSHD_CONFIG = """
Port {port}
ListenAddress {host}
HostKey {folder}/host
PidFile {folder}/sshd.pid
AuthorizedKeysFile {folder}/authorized
AuthenticationMethods publickey
UsePAM no
StrictModes no
{more}
PermitRootLogin prohibit-password
"""


@pytest.fixture(scope="module")
def proof(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proof]:
    """The tokens, a realm that has their holders as principals, and its KDC's certificate."""
    folder = tmp_path_factory.mktemp("use")
    with tokens_in_use(folder) as made:
        (folder / "kdc.ext").write_text(KDC_CERTIFICATE)
        for command in (
            "req -x509 -newkey rsa:2048 -nodes -keyout kdc-ca.key -out kdc-ca.pem -subj /CN=KDCs",
            "req -new -newkey rsa:2048 -nodes -keyout kdc.key -out kdc.csr -subj /CN=kdc",
            "x509 -req -in kdc.csr -CA kdc-ca.pem -CAkey kdc-ca.key -CAcreateserial"
            " -extfile kdc.ext -out kdc.pem",
        ):
            openssl(*command.split(), folder=folder)
        configure(made, made.before, 0)
        administer(made, "kdb5_util", "create", "-s", "-r", REALM, "-P", "of no use elsewhere")
        for card in (made.good, made.revoked):
            name = card.holder["upn"]
            administer(made, "kadmin.local", "-r", REALM, "addprinc", "-nokey", name)
        yield made


def kerberos(proof: Proof) -> dict[str, str]:
    """The variables by which Kerberos finds its files."""
    return {
        "KRB5_CONFIG": str(proof.folder / "krb5.conf"),
        "KRB5_KDC_PROFILE": str(proof.folder / "kdc.conf"),
        "KRB5CCNAME": f"FILE:{proof.folder / 'tickets'}",
        "LC_ALL": "C.UTF-8",
    }


def configure(proof: Proof, crl: Path, port: int) -> None:
    """Write what KDC and client are told."""
    words = {"realm": REALM, "host": HOST, "port": port, "folder": proof.folder, "crl": crl}
    for name, text in (("krb5.conf", KRB5_CONF), ("kdc.conf", KDC_CONF)):
        (proof.folder / name).write_text(text.format(**words, authority=proof.authority))


def administer(proof: Proof, program: str, *arguments: str) -> None:
    """Run one of the KDC's own programs."""
    done = subprocess.run(
        [f"/usr/sbin/{program}", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **kerberos(proof)},
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def kdc(proof: Proof, crl: Path) -> Iterator[Path]:
    """A KDC that goes by that list of revoked certificates; gives its log."""
    port = free_port()
    configure(proof, crl, port)
    environment = kerberos(proof)
    pid = str(proof.folder / "kdc.pid")
    command = ("/usr/sbin/krb5kdc", "-n", "-P", pid)
    with serving(*command, port=port, folder=proof.folder, environment=environment) as log:
        yield log


def ticket(proof: Proof, card: Card, principal: str) -> tuple[str, str]:
    """Ask for a ticket in that name with a card; gives whose is had ("": none), what was said."""
    (proof.folder / "tickets").unlink(missing_ok=True)
    environment = {**os.environ, **card.issued.bench.environment, **kerberos(proof)}
    identity = f"PKCS11:module_name={MODULE}:token={card.holder['name']}:certid={IDS['9a']}"
    asked = subprocess.run(
        ["kinit", "-X", f"X509_user_identity={identity}", principal],
        input=f"{card.pin}\n",
        capture_output=True,
        text=True,
        env=environment,
        start_new_session=True,
        timeout=SECONDS,
        check=False,
    )
    had = subprocess.run(
        ["klist"], capture_output=True, text=True, env=environment, timeout=SECONDS, check=False
    )
    assert (asked.returncode == 0) is (had.returncode == 0), asked.stderr + had.stdout
    found = [line for line in had.stdout.splitlines() if line.startswith("Default principal: ")]
    return found[0].partition(": ")[2] if found else "", asked.stderr


def test_ticket_by_certificate(proof: Proof) -> None:
    """Each holder gets a ticket as the principal that their certificate names by UPN."""
    with kdc(proof, proof.before):
        for card in (proof.good, proof.revoked):
            name = card.holder["upn"]
            assert name.endswith(f"@{REALM}")
            assert ticket(proof, card, name)[0] == name


def test_ticket_in_another_name_is_refused(proof: Proof) -> None:
    """A certificate is good for its own UPN, and for nobody else's name."""
    with kdc(proof, proof.before) as log:
        had, said = ticket(proof, proof.good, proof.revoked.holder["upn"])
        assert had == ""
        assert "Client name mismatch" in said + log.read_text()


def test_revoked_gets_no_ticket(proof: Proof) -> None:
    """With the newer list the second holder gets none, and the first one does."""
    with kdc(proof, proof.after) as log:
        name = proof.good.holder["upn"]
        assert ticket(proof, proof.good, name)[0] == name
        assert ticket(proof, proof.revoked, proof.revoked.holder["upn"])[0] == ""
        assert "certificate revoked" in log.read_text().lower()


@contextmanager
def ssh_server(proof: Proof, authorized: str, more: str = "") -> Iterator[int]:
    """sshd, which lets this very user in with that key; gives its port."""
    port, folder = free_port(), proof.folder
    if not (folder / "host").exists():
        make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "host")]
        subprocess.run(make, check=True)
    (folder / "authorized").write_text(f"{authorized}\n")
    words = {"port": port, "host": HOST, "folder": folder, "more": more}
    (folder / "sshd_config").write_text(SSHD_CONFIG.format(**words))
    if os.geteuid() == 0:  # Debian's unit makes it; sshd as root wants it
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    command = ("/usr/sbin/sshd", "-D", "-e", "-f", str(folder / "sshd_config"))
    with serving(*command, port=port, folder=folder):
        yield port


def say(proof: Proof, card: Card, port: int, *options: str) -> subprocess.CompletedProcess[str]:
    """Log in with the keys of the card and have the other side say whose login it is."""
    asking = proof.folder / "askpass"
    asking.write_text(f"#!/bin/sh\nexec cat {shlex.quote(str(card.pin_file()))}\n")
    asking.chmod(0o700)
    return subprocess.run(
        [
            *("ssh", "-F", "/dev/null", "-I", MODULE, "-p", str(port), *options),
            *("-o", "IdentityFile=none", "-o", "IdentityAgent=none"),
            *("-o", f"UserKnownHostsFile={proof.folder / 'known_hosts'}"),
            *("-o", "StrictHostKeyChecking=accept-new", HOST, "echo welcome $USER"),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={
            **os.environ,
            **card.issued.bench.environment,
            "SSH_ASKPASS": str(asking),
            "SSH_ASKPASS_REQUIRE": "force",
        },
        timeout=SECONDS,
        check=False,
    )


def test_ssh_login_with_the_key(proof: Proof) -> None:
    """The key in 9a logs in where its public half is authorized; another holder's does not."""
    public = proof.good.certificate("9a").public_key()
    authorized = public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    control = proof.good.issued.bench.control
    with ssh_server(proof, authorized) as port:
        assert say(proof, proof.good, port).stdout == f"welcome {getpass.getuser()}\n"
        control.remove(int(proof.good.serial))  # ssh would offer the keys of both
        try:
            refused = say(proof, proof.revoked, port)
        finally:
            control.insert(int(proof.good.serial))
    assert refused.returncode == 255
    assert "Permission denied (publickey)" in refused.stderr


def test_ssh_login_by_certificate(proof: Proof) -> None:
    """The station's authority signs for the token's key; sshd trusts that alone, until revoked.

    While the token is suspended, its certificate lets nobody in.
    """
    home, folder = proof.good.issued.station.home, proof.folder
    user, signed, krl = getpass.getuser(), folder / "ssh-cert.pub", folder / "revoked.krl"

    def ca_ssh(*arguments: str | Path) -> Said:
        said = tell("--home", home, "ca", "ssh", *arguments)
        assert said.code == 0, said.err
        return said

    (folder / "trusted").write_text(ca_ssh("public").out)
    ca_ssh("sign", "--token", proof.good.serial, "--principal", user, "--out", signed)
    ca_ssh("revoked", "--out", krl)
    more = f"TrustedUserCAKeys {folder / 'trusted'}\nRevokedKeys {krl}\nMaxAuthTries 20\n"
    with ssh_server(proof, "", more) as port:
        with_it = (proof, proof.good, port, "-o", f"CertificateFile={signed}")
        assert say(*with_it).stdout == f"welcome {user}\n"
        assert say(proof, proof.good, port).returncode == 255
        (row,) = ca_ssh("list", "--json").document
        assert row["keyId"] == f"{proof.good.holder['id']} {proof.good.serial}"
        suspend = ("--reason", "forgotten at home", "--operator", "olga")
        assert tell("--home", home, "suspend", proof.good.serial, *suspend).code == 0
        ca_ssh("revoked", "--out", krl)
        suspended = say(*with_it)
        assert tell("--home", home, "resume", proof.good.serial, *suspend).code == 0
        ca_ssh("revoked", "--out", krl)
        assert say(*with_it).stdout == f"welcome {user}\n"
        ca_ssh("revoke", row["serial"])
        ca_ssh("revoked", "--out", krl)
        refused = say(*with_it)
    assert suspended.returncode == 255
    assert refused.returncode == 255
    assert "Permission denied (publickey)" in refused.stderr
