"""Stock `ykman hsmauth` on virtual tokens: a table of commands and what they must say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.piv_peers import SERIAL, Case, Peers
from tokenprov.sim.bench import VirtualBench

KEYS = f"-E {'01' * 16} -M {'02' * 16}"
EMPTY, OWN = "00" * 16, "0123456789abcdef"  # management passwords, as hex and as text

TABLE = [
    Case(command="openssl ecparam -name prime256v1 -genkey -noout -out own.key"),
    Case(command="openssl ec -in own.key -pubout -out own.pem"),
    Case(command="ykman hsmauth info", says=r"version: +5\.7\.4\nManagement key retries.*: +8/8"),
    Case(
        command=f"ykman hsmauth access change-management-password -m {EMPTY} -n {OWN}",
        says="Management password changed",
    ),
    Case(
        command=f"ykman hsmauth credentials symmetric one {KEYS} -c secret -m {EMPTY}",
        says="Wrong Credential password, 7 attempts remaining",
        code=1,
    ),
    Case(command=f"ykman hsmauth credentials symmetric one {KEYS} -c secret -m {OWN} --touch"),
    Case(command=f"ykman hsmauth credentials derive two -d derived -c secret -m {OWN}"),
    Case(command=f"ykman hsmauth credentials generate three -c secret -m {OWN}"),
    Case(command=f"ykman hsmauth credentials import four own.key -c secret -m {OWN}"),
    Case(
        command="ykman hsmauth credentials list",
        says=r"Found 4 item[\s\S]*one  \tSymmetric \tOn\t8\n[\s\S]*four \tAsymmetric\tOff\t8",
    ),
    Case(command="ykman hsmauth credentials export four four.pem", says="written"),
    Case(command="cmp own.pem four.pem"),
    Case(
        command="ykman hsmauth credentials export one none.pem",
        says="not an asymmetric",
        code=1,
    ),
    Case(command=f"ykman hsmauth credentials delete two -f -m {OWN}", says="deleted"),
    Case(command="ykman hsmauth reset -f", says="Reset complete"),
    Case(command="ykman hsmauth credentials list", says="No items found"),
]


@pytest.fixture
def peers(tmp_path: Path) -> Iterator[Peers]:
    """One fresh YubiKey of firmware 5.7.4."""
    with VirtualBench(tokens=1, serial_base=SERIAL) as bench:
        yield Peers(bench=bench, folder=tmp_path)


def test_ykman_hsmauth(peers: Peers) -> None:
    """Credentials of every kind come and go; wrong and missing ones are told as on a real key."""
    peers.play(TABLE)
