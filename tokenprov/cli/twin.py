"""A virtual token in this process, as a twin for drills: it stands in no reader."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import cast

from yubikit.core import TRANSPORT
from yubikit.core.smartcard import SmartCardConnection

from tokenprov.device.pcsc import PcscConnection
from tokenprov.device.token import YubiKey
from tokenprov.sim.assembly import make_token
from tokenprov.sim.attestation import bench_roots
from tokenprov.sim.presence import TouchPolicy
from tokenprov.sim.token import VirtualToken
from tokenprov.token import Token

MODEL, FIPS_MODEL = "yubikey-5.7.4", "yubikey-5.7.4-fips"
_FIRST_SERIAL, _SERIALS = 90_000_000, 9_000_000  # none that the maker gave away


class _Line(SmartCardConnection):
    """A connection to it."""

    reader, watch = "a twin in this process", None

    def __init__(self, token: VirtualToken) -> None:
        token.reset()
        self._token = token

    @property
    def transport(self) -> TRANSPORT:
        """As if on USB."""
        return TRANSPORT.USB

    def send_and_receive(self, apdu: bytes) -> tuple[bytes, int]:
        """One exchange."""
        answer = self._token.transmit(bytes(apdu))
        return answer[:-2], int.from_bytes(answer[-2:])

    def close(self) -> None:
        """Nothing to do."""


class _Finger:
    """Implements `step.Operator`: the twin is touched at once."""

    def touch(self, reader: str, label: str, reason: str) -> nullcontext[None]:
        """Nothing to do."""
        return nullcontext()

    def reinsert(self, reader: str, label: str, reason: str, seconds: float) -> nullcontext[None]:
        """Nothing to do."""
        return nullcontext()


@contextmanager
def twin(*, fips: bool = False) -> Iterator[Token]:
    """A factory-fresh one with a serial that no real token has."""
    serial = _FIRST_SERIAL + secrets.randbelow(_SERIALS)
    model = FIPS_MODEL if fips else MODEL
    made = make_token(model, serial, touch=TouchPolicy(patience=0.01))
    yield YubiKey(cast(PcscConnection, _Line(made)), _Finger())


def twin_roots() -> list[bytes]:
    """What it attests under, PEM."""
    roots = bench_roots()
    return [roots.root_pem, roots.chain_pem]
