"""What lies in a station home: its ledger, and envelopes opened by their custodians."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from tokenprov.model import Purpose
from tokenprov.record.escrow import SealContext, load_private, open_envelope


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """An envelope in the ledger, opened by its custodian."""

    context: SealContext
    state: str
    value: bytes


def private_keys(home: Path) -> dict[Purpose, ec.EllipticCurvePrivateKey]:
    """The custodians' keys that were drawn with a home."""
    folder = home / "custodians" / "private"
    return {purpose: load_private(folder / f"{purpose}.pem") for purpose in Purpose}


class OnDisk:
    """A home as a process left it, whatever became of that."""

    def __init__(self, home: Path, private: Mapping[Purpose, ec.EllipticCurvePrivateKey]) -> None:
        self.home, self._private = home, private
        self._secrets: dict[bytes, tuple[SealContext, bytes]] = {}  # by envelope, once opened

    @contextlib.contextmanager
    def ledger(self) -> Iterator[sqlite3.Connection]:
        """A copy of the ledger with what a killed process left in its log, by SQLite alone."""
        with tempfile.TemporaryDirectory() as folder:
            for path in self.home.glob("ledger.sqlite*"):
                if not path.name.endswith("-shm"):
                    shutil.copy(path, folder)
            with contextlib.closing(sqlite3.connect(Path(folder) / "ledger.sqlite")) as connection:
                connection.row_factory = sqlite3.Row
                connection.execute("PRAGMA synchronous = OFF")  # of a copy nothing need last
                yield connection

    def rows(self, query: str, *values: object) -> list[Mapping[str, Any]]:
        """Rows of the ledger; none where it was not made yet."""
        with self.ledger() as connection:
            return [dict(row) for row in connection.execute(query, values)]

    def sealed(self, token: int | str) -> list[Sealed]:
        """Every envelope for a token that custodians have, opened with the custodian's key."""
        return [
            self._opened(row["blob"], row["purpose"], row["state"])
            for row in self.rows(
                "SELECT blob, purpose, state FROM envelopes"
                " WHERE token_label = ? AND purpose != 'station' ORDER BY id",
                str(token),
            )
        ]

    def all_sealed(self) -> dict[str, list[Sealed]]:
        """The same for every token, by its label."""
        found: dict[str, list[Sealed]] = defaultdict(list)
        for row in self.rows(
            "SELECT token_label, blob, purpose, state FROM envelopes"
            " WHERE purpose != 'station' ORDER BY id"
        ):
            sealed = self._opened(row["blob"], row["purpose"], row["state"])
            found[row["token_label"]].append(sealed)
        return found

    def open_blob(self, blob: bytes, purpose: str) -> Sealed:
        """An envelope from the manifest, opened with its custodian's key."""
        return self._opened(blob, purpose, "")

    def key_of(self, purpose: str) -> ec.EllipticCurvePrivateKey:
        """A custodian's private key."""
        return self._private[Purpose(purpose)]

    def _opened(self, blob: bytes, purpose: str, state: str) -> Sealed:
        if blob not in self._secrets:
            context, secret = open_envelope(blob, self.key_of(purpose))
            self._secrets[blob] = context, secret.reveal()
        context, value = self._secrets[blob]
        return Sealed(context=context, state=state, value=value)
