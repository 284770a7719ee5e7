"""What certificates on tokens are for: a login at nginx, and mail signed and decrypted by OpenSSL.

OpenSSL reaches the keys through its PKCS#11 engine and OpenSC's module.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.issued import openssl
from tests.proof_of_use import ENGINE, MODULE, Card, Proof, tokens_in_use
from tests.servers import HOST, free_port, serving

SECONDS = 30.0
MESSAGE = b"Content-Type: text/plain\r\n\r\nThe contract is signed.\r\n"
NGINX = """
daemon off;
user {user};
pid nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {{
        listen {host}:{port} ssl;
        ssl_certificate server.pem;
        ssl_certificate_key server.key;
        ssl_client_certificate {authority};
        ssl_crl {crl};
        ssl_verify_client on;
        location / {{ return 200 "$ssl_client_verify $ssl_client_serial\\n"; }}
    }}
}}
"""


@pytest.fixture(scope="module")
def proof(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proof]:
    """The tokens, and a certificate for the web server."""
    folder = tmp_path_factory.mktemp("use")
    with tokens_in_use(folder) as made:
        server = "req -x509 -newkey rsa:2048 -nodes -keyout server.key -out server.pem -days 2"
        openssl(
            *server.split(),
            "-subj",
            "/CN=nginx",
            f"-addext=subjectAltName=IP:{HOST}",
            folder=folder,
        )
        yield made


@contextmanager
def web_server(proof: Proof, crl: Path) -> Iterator[int]:
    """nginx, which lets in who has a certificate that is not on that list; gives its port."""
    port, user = free_port(), "root" if os.geteuid() == 0 else "nobody"
    words = {"host": HOST, "port": port, "user": user, "authority": proof.authority, "crl": crl}
    (proof.folder / "nginx.conf").write_text(NGINX.format(**words))
    command = ("/usr/sbin/nginx", "-p", str(proof.folder), "-c", "nginx.conf")
    with serving(*command, port=port, folder=proof.folder):
        yield port


def with_key(card: Card, *arguments: str, input: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run OpenSSL with the card's keys within its reach, away from any terminal."""
    return subprocess.run(
        ["openssl", *arguments],
        input=input,
        capture_output=True,
        cwd=card.issued.station.home.parent,
        env={**os.environ, **card.issued.bench.environment, "PKCS11_MODULE_PATH": MODULE},
        start_new_session=True,
        timeout=SECONDS,
        check=False,
    )


def page(card: Card, port: int) -> str:
    """What the web server answers to the holder of a card."""
    done = with_key(
        card,
        *("s_client", "-connect", f"{HOST}:{port}", "-CAfile", "server.pem", "-quiet"),
        *("-verify_return_error", "-cert", card.certificate_file("9a"), *ENGINE),
        *("-key", card.key_uri("9a")),
        input=b"GET / HTTP/1.0\r\n\r\n",
    )
    return done.stdout.decode()


def test_login_at_nginx(proof: Proof) -> None:
    """The web server knows each holder by their certificate, from the key on the token."""
    with web_server(proof, proof.before) as port:
        for card in (proof.good, proof.revoked):
            serial = card.certificate("9a").serial_number
            answer = page(card, port)
            assert answer.startswith("HTTP/1.1 200"), answer
            assert int(answer.partition("SUCCESS ")[2].split()[0], 16) == serial


def test_revoked_is_refused_by_nginx(proof: Proof) -> None:
    """With the newer list the second holder is not let in, and the first one is."""
    with web_server(proof, proof.after) as port:
        assert page(proof.good, port).startswith("HTTP/1.1 200")
        answer = page(proof.revoked, port)
        assert answer.startswith("HTTP/1.1 400"), answer
        assert "SSL certificate error" in answer


def test_mail_is_signed(proof: Proof) -> None:
    """OpenSSL signs a mail with the key in 9c; it verifies for mail, and not when it is changed."""
    card, folder = proof.good, proof.folder
    (folder / "message").write_bytes(MESSAGE)
    sign = ("cms", "-sign", "-in", "message", "-signer", card.certificate_file("9c"), *ENGINE)
    # OpenSC has a PIN asked for each signature of 9c, as SP 800-73 says of that slot
    signed = with_key(card, *sign, "-inkey", card.key_uri("9c"), input=f"{card.pin}\n".encode())
    assert signed.returncode == 0, signed.stderr
    (folder / "signed.eml").write_bytes(signed.stdout)
    verify = ("cms", "-verify", "-purpose", "smimesign", "-crl_check", "-CAfile", "trusted.pem")
    (folder / "trusted.pem").write_bytes(proof.authority.read_bytes() + proof.after.read_bytes())
    assert "The contract is signed." in openssl(*verify, "-in", "signed.eml", folder=folder)
    (folder / "changed.eml").write_bytes(signed.stdout.replace(b"is signed", b"is sealed"))
    changed = with_key(card, *verify, "-in", "changed.eml")
    assert changed.returncode != 0
    assert b"content verify error" in changed.stderr


def test_mail_is_decrypted(proof: Proof) -> None:
    """What anybody encrypts to the certificate of 9d, the token decrypts, and no other token."""
    card, folder = proof.good, proof.folder
    (folder / "message").write_bytes(MESSAGE)
    encrypt = ("cms", "-encrypt", "-aes256", "-in", "message", "-out", "sealed.eml")
    openssl(*encrypt, card.certificate_file("9d"), folder=folder)
    assert b"contract" not in (folder / "sealed.eml").read_bytes()
    decrypt = ("cms", "-decrypt", "-in", "sealed.eml", *ENGINE)
    opened = with_key(
        card, *decrypt, "-recip", card.certificate_file("9d"), "-inkey", card.key_uri("9d")
    )
    assert opened.stdout == MESSAGE, opened.stderr
    other = with_key(card, *decrypt, "-inkey", proof.revoked.key_uri("9d"))
    assert b"contract" not in other.stdout
