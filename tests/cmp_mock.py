"""OpenSSL's CMP mock server in a network of its own: tests/cmp_server.py runs this program there.

    unshare -r -n python cmp_mock.py SOCKET OPTION…

What comes through the Unix socket goes to the mock, one exchange a connection, and its answer back.
The program ends, and the mock with it, when its standard input does.
"""

from __future__ import annotations

import contextlib
import os
import socket
import socketserver
import subprocess
import sys
import threading
import time

ADDRESS = ("127.0.0.1", 8080)


class Hand(socketserver.StreamRequestHandler):
    """One exchange, handed over."""

    def handle(self) -> None:
        """Everything there, everything back."""
        with socket.create_connection(ADDRESS) as there, contextlib.suppress(ConnectionError):
            there.sendall(self.rfile.read())
            self.wfile.write(b"".join(iter(lambda: there.recv(65536), b"")))


def listens() -> bool:
    """Whether the mock takes connections."""
    with socket.socket() as probe:
        return probe.connect_ex(ADDRESS) == 0


def main(path: str, *options: str) -> None:
    """Run the mock until standard input ends."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    command = ["openssl", "cmp", "-config", "", "-port", str(ADDRESS[1]), *options]
    mock = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    while not listens():
        if mock.poll() is not None:
            sys.exit("the mock server ended")
        time.sleep(0.02)
    server = socketserver.UnixStreamServer(f"{path}.new", Hand)
    os.rename(f"{path}.new", path)  # it is there once it listens
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()
    mock.kill()
    mock.wait()
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
