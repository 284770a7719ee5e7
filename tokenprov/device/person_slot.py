"""A key in a PIV slot of a token that a person at the station brings along to use it.

It is no token that is being made: nothing is written, and what it holds is looked at only as far as
the key goes. It may be any maker's: a YubiKey is asked in its own dialect, every other card by
SP 800-73-4 alone, which tells a public key by the certificate that stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_public_key
from yubikit.piv import KEY_TYPE, SLOT

from tokenprov.device.iso7816 import Exchange
from tokenprov.device.management import NotAYubiKey, device_info
from tokenprov.device.pcsc import PcscConnection, connected
from tokenprov.device.piv import Piv
from tokenprov.device.piv_card import PivCardApplet
from tokenprov.errors import InputError, NotSupported
from tokenprov.secret import PIV_PIN_LENGTH, Secret


class PersonSlot:
    """A slot of an open PIV application."""

    def __init__(self, piv: Piv | PivCardApplet, slot: SLOT) -> None:
        self._piv, self._slot = piv, slot
        self.public = _public(piv, slot)  # None where there is none, or none that can be read

    def verify_pin(self, pin: Secret) -> None:
        """Spends a try where it is wrong, none where it cannot be one. Raises TokenError."""
        value = pin.reveal()
        if len(value) not in PIV_PIN_LENGTH or not value.isascii():
            raise InputError(
                "what was typed is no PIN of a PIV token: those have six to eight characters",
                remedy="Run it again and type the PIN; no try was spent.",
            )
        self._piv.verify_pin(pin.reveal_text())

    def sign(self, algorithm: KEY_TYPE, message: bytes) -> bytes:
        """A signature as X.509 has it. Raises TokenError."""
        return self._piv.sign(self._slot, algorithm, message)

    def exchange(self, point: bytes) -> bytes:
        """ECDH with an uncompressed point on P-256: its x coordinate. Raises TokenError."""
        return self._piv.exchange(self._slot, point)


@contextmanager
def key_in_slot(reader: str, slot: SLOT) -> Iterator[PersonSlot]:
    """The slot of the token in a reader, while it is open. Raises TokenError."""
    with connected(reader) as connection:
        yield PersonSlot(_piv(connection), slot)


def _piv(connection: PcscConnection) -> Piv | PivCardApplet:
    """PIV as the token speaks it. Raises NotSupported where it has none."""
    try:
        device_info(connection)
    except NotAYubiKey:
        return PivCardApplet(Exchange(connection, t0=connection.t0))
    return Piv(connection)


def _public(piv: Piv | PivCardApplet, slot: SLOT) -> object:
    """As the token shows its key, else by the certificate that stands in the slot."""
    try:
        state = piv.key(slot) if isinstance(piv, Piv) else None
        if state is not None:
            return load_der_public_key(state.public_key)
    except NotSupported:
        pass
    der = piv.certificate(slot)
    try:
        return None if der is None else x509.load_der_x509_certificate(der).public_key()
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion):
        return None
