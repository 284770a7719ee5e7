"""Authorities by OpenSSL for servers of tests, and HTTPS on a free port of the loopback."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.issued import openssl
from tests.servers import HOST

AUTHORITY = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30"
NEW = "req -new -newkey rsa:2048 -nodes"  # a key that every TLS client takes


def make_authority(folder: Path, name: str) -> None:
    """An authority: NAME.key and NAME.pem."""
    files = ("-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN=Test {name}")
    openssl(*AUTHORITY.split(), *files, folder=folder)


def make_tls(folder: Path) -> None:
    """The authority `tls`, and certificates of it for both ends: `server` and `client`."""
    make_authority(folder, "tls")
    for name, extension in (
        ("server", f"subjectAltName=IP:{HOST}"),
        ("client", "keyUsage=critical,digitalSignature"),
    ):
        (folder / f"{name}.ext").write_text(f"{extension}\n")
        files = ("-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN=Test {name}")
        openssl(*NEW.split(), *files, folder=folder)
        sign = f"x509 -req -in {name}.csr -CA tls.pem -CAkey tls.key -CAcreateserial -days 30"
        files = ("-extfile", f"{name}.ext", "-out", f"{name}.pem")
        openssl(*sign.split(), *files, folder=folder)


def publish_list(folder: Path, serials: Iterable[str] = ()) -> None:
    """The list of what the authority `ca` revoked (serial numbers in hex), in crl.pem."""
    whole = [one.upper().zfill(len(one) + len(one) % 2) for one in serials]  # bytes
    lines = [f"R\t301231235959Z\t261124000000Z\t{one}\tunknown\t/CN=x" for one in whole]
    (folder / "index.txt").write_text("\n".join([*lines, ""]))
    (folder / "ca.cnf").write_text(
        "[ca]\ndefault_ca = own\n[own]\ndatabase = index.txt\ndefault_md = sha256\n"
    )
    make = "ca -config ca.cnf -gencrl -keyfile ca.key -cert ca.pem -crldays 7 -out crl.pem"
    openssl(*make.split(), folder=folder)


@contextmanager
def serving_https(folder: Path, handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    """Serve while entered, with the files of `make_tls`; gives the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    context.load_verify_locations(folder / "tls.pem")
    context.verify_mode = ssl.CERT_OPTIONAL
    server = ThreadingHTTPServer((HOST, 0), handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
