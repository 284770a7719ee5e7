"""Another PC/SC client, in a process of its own, that gets in a test's way.

`python other_client.py reset READER` connects, shared, and resets the card; `hold READER` takes
the reader exclusively, says "held", and keeps it until its standard input closes.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping


def reset(reader: str, environment: Mapping[str, str]) -> None:
    """Have another client reset the card in that reader. Raises when it cannot connect."""
    subprocess.run(
        [sys.executable, __file__, "reset", reader], env={**os.environ, **environment}, check=True
    )


@contextlib.contextmanager
def holding(reader: str, environment: Mapping[str, str]) -> Iterator[int]:
    """Have another client hold that reader exclusively; gives its process id."""
    with subprocess.Popen(
        [sys.executable, __file__, "hold", reader],
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n", "the other client did not get the reader"
        yield process.pid


def main(action: str, reader: str) -> None:
    """What the other process does."""
    from smartcard import scard

    mode = scard.SCARD_SHARE_EXCLUSIVE if action == "hold" else scard.SCARD_SHARE_SHARED
    _, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
    code, card, _ = scard.SCardConnect(context, reader, mode, scard.SCARD_PROTOCOL_T1)
    if code != scard.SCARD_S_SUCCESS:
        sys.exit(scard.SCardGetErrorMessage(code))
    if action == "hold":
        print("held", flush=True)
        sys.stdin.read()
    leave = scard.SCARD_RESET_CARD if action == "reset" else scard.SCARD_LEAVE_CARD
    scard.SCardDisconnect(card, leave)
    scard.SCardReleaseContext(context)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
