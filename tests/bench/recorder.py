"""Run `tokenprov` and write down the commands that its token gets.

    python -m tests.bench.recorder FILE ARGUMENTS...

FILE gets one command APDU a line, in hex. It holds the secrets of a virtual token. The time of such
a run is not measured.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from smartcard import scard

from tokenprov.cli import main


def record(path: Path) -> None:
    """From now on, note every command that this process sends."""
    transmit = scard.SCardTransmit
    file = path.open("w", encoding="ascii", buffering=1)

    def noted(card: int, protocol: int, apdu: list[int]) -> Any:
        file.write(bytes(apdu).hex() + "\n")
        return transmit(card, protocol, apdu)

    scard.SCardTransmit = noted


if __name__ == "__main__":
    record(Path(sys.argv[1]))
    sys.argv[1:] = sys.argv[2:]
    main()
