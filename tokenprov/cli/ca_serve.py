"""`tokenprov ca serve-ocsp`: an authority's answers, lists and certificate on HTTP."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import click

from tokenprov.cli.ca_authority import authority, opened
from tokenprov.errors import InputError
from tokenprov.home import now
from tokenprov.issuer.ca.web import CaServer


@click.command("serve-ocsp")
@click.option("--listen", default="127.0.0.1:8085", show_default=True, metavar="HOST:PORT")
@authority
@click.pass_obj
def serve_ocsp(home_path: Path, listen: str, name: str) -> None:
    """Answer OCSP requests over HTTP until interrupted.

    Beside it, what the authority's URLs name is served: its lists, published in time, and its own
    certificate. Put a web server with limits in front where strangers can reach it.
    """
    found = opened(home_path, name)
    host, _, port = listen.rpartition(":")
    try:
        server = CaServer((host, int(port)), found, now)
    except (OSError, ValueError, OverflowError) as error:
        raise InputError(
            f"{listen!r} cannot be listened on: {error}",
            remedy="Name an address of this computer and a free port, as in 127.0.0.1:8085.",
        ) from error
    with server:
        signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
        address = f"http://{host}:{server.server_port}{server.responder_path}"
        click.echo(f"OCSP at {address}; Ctrl-C ends it.", err=True)
        server.serve_forever()
