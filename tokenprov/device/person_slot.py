"""A key in a PIV slot of a token that a person at the station brings along to use it.

It is no token that is being made: nothing is written, and what it holds is looked at only as far as
the key goes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from yubikit.core import NotSupportedError
from yubikit.core.smartcard import ApduError
from yubikit.piv import SLOT, PivSession

from tokenprov.device.pcsc import connected
from tokenprov.device.translate import translated


@contextmanager
def key_in_slot(reader: str, slot: SLOT) -> Iterator[tuple[PivSession, object]]:
    """An open session and the slot's public key, None where there is none. Raises TokenError."""
    with connected(reader) as connection:
        with translated("selecting PIV"):
            session = PivSession(connection)
        yield session, _public(session, slot)


def _public(session: PivSession, slot: SLOT) -> object:
    """By the slot's metadata (firmware 5.3), else by the certificate that stands in it."""
    try:
        return session.get_slot_metadata(slot).public_key
    except (NotSupportedError, ApduError):
        pass
    try:
        return session.get_certificate(slot).public_key()
    except ApduError:
        return None
