"""The station's own keys: one for each open order, so that it can resume, and no longer.

Rules:
- While an order is open the station seals its own copy of each secret to the order's key.
- The key is destroyed as soon as the order's entry is durable. What is left of the copies, in the
  write-ahead log or on worn flash, cannot be opened any more.
- The key is durable before anything that is sealed to it.
"""

from __future__ import annotations

import re
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from tokenprov.errors import EscrowError
from tokenprov.record.custodian_key import private_from_pem, private_to_pem
from tokenprov.record.files import create_durable, destroy, make_folder

_ORDER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", re.ASCII)  # a file name and no path


class ResumeKeys:
    """The keys in `home`/open; one thread at a time works on one order."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "open"

    def draw(self, order: str) -> ec.EllipticCurvePrivateKey:
        """The order's key, or a new one where there is none: it is in memory alone until `keep`.

        Raises EscrowError where the stored one cannot be read.
        """
        if self._path(order).exists():
            return self.private(order)
        return ec.generate_private_key(ec.SECP256R1())

    def keep(self, order: str, key: ec.EllipticCurvePrivateKey) -> None:
        """Store what `draw` gave, where that was not done. Raises DurabilityError."""
        path = self._path(order)
        if not path.exists():
            make_folder(self._folder, 0o700)
            create_durable(path, private_to_pem(key), 0o600)

    def private(self, order: str) -> ec.EllipticCurvePrivateKey:
        """The order's private key. Raises EscrowError where it is gone."""
        try:
            pem = self._path(order).read_bytes()
        except FileNotFoundError as exc:
            raise EscrowError(
                f"the station has no key for order {order}: it was issued, or its key was lost",
                remedy="If the order is open, ask the custodians for its secrets, or reset the "
                "token and start the order again.",
            ) from exc
        return private_from_pem(pem)

    def destroy(self, order: str) -> None:
        """Make the station forget the order's secrets; a second call is fine."""
        destroy(self._path(order))

    def orders(self) -> list[str]:
        """The orders whose keys are held, by name."""
        return sorted(path.stem for path in self._folder.glob("*.key"))

    def _path(self, order: str) -> Path:
        if not _ORDER_ID.fullmatch(order):
            raise ValueError(f"not an order's id: {order!r}")
        return self._folder / f"{order}.key"
