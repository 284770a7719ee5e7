"""The keys of a station that sign its manifest, in `keys/` of its home.

    keys/<key id>.pem    a private key, PKCS#8 PEM, 0600
    keys/<key id>.uri    where it is instead: a PKCS#11 URI (RFC 7512)

Rules:
- Which of them is in use, the manifest says, and nothing else: a change of keys is done when its
  checkpoint is, and whatever was cut off before or after leaves the one or the other.
- A key is opened when it is first needed, and closed when the station has done its work.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tokenprov.errors import InputError, StationError
from tokenprov.pkcs11.uri import SCHEME
from tokenprov.record.files import destroy, make_folder, write_durable
from tokenprov.record.signer import KeyInMemory, SigningKey
from tokenprov.record.verifier_key import VerifierKey
from tokenprov.signing.choose import Ask, ask_unseen, opened_key


class StationSigner:
    """Implements `record.signer.NoteSigner` with a key that is opened when it is needed."""

    def __init__(self, verifier: VerifierKey, where: Path | str, ask: Ask) -> None:
        self.verifier = verifier
        self._where, self._ask = where, ask
        self._key: SigningKey | None = None
        self._open = ExitStack()
        self._depth = 0  # of those who have it open now
        self._lock = threading.Lock()

    def sign(self, message: bytes) -> bytes:
        """Sign with it. Raises StationError, TokenError."""
        with self._lock:
            return self._opened().sign(message)

    @contextmanager
    def unlocked(self) -> Iterator[None]:
        """Have it open: its PIN is asked for now, and not in the middle of the work.

        Within others who have it open it is not asked for again, and is closed with the last.
        """
        with self._lock:
            self._opened()
            self._depth += 1
        try:
            yield
        finally:
            with self._lock:
                self._depth -= 1
                if not self._depth:
                    self._key = None
                    self._open.close()

    def _opened(self) -> SigningKey:
        if self._key is None:
            key = self._open.enter_context(opened_key(str(self._where), self._ask))
            if VerifierKey.of(self.verifier.name, key.public) != self.verifier:
                self._open.close()
                raise StationError(
                    f"{self._where} is not the key {self.verifier.key_id.hex()} that signs the"
                    " manifest",
                    remedy="Restore the signing key from its backup, or name the token it is in.",
                )
            self._key = key
        return self._key


class StationKeys:
    """The folder of a station's keys."""

    def __init__(self, home: Path, ask: Ask = ask_unseen) -> None:
        self._folder = home / "keys"
        self._ask = ask

    def add(self, name: str, given: str | None) -> StationSigner:
        """Keep a key that is to sign: one drawn into a file, or one that a URI names.

        Raises as `find` does, and DurabilityError.
        """
        return self.draw(name) if given is None else self.keep(self.find(name, given), given)

    def draw(self, name: str) -> StationSigner:
        """Draw a key into a file. Raises DurabilityError."""
        drawn = KeyInMemory.draw()
        verifier = VerifierKey.of(name, drawn.public)
        make_folder(self._folder, 0o700)
        drawn.store(self._path(verifier, "pem"))
        return self.signer(verifier)

    def find(self, name: str, uri: str, *, other_than: VerifierKey | None = None) -> VerifierKey:
        """The key that a URI names, which is there and opens; nothing is kept yet.

        Raises InputError where it is the one that it is to be another than; StationError,
        TokenError.
        """
        if not uri.startswith(SCHEME):
            raise StationError(
                f"{uri} is no PKCS#11 URI",
                remedy="Leave it out for a key in a file; or as in"
                " 'pkcs11:token=station;object=manifest?module-path=/usr/lib/…/module.so'.",
            )
        with opened_key(uri, self._ask) as key:
            verifier = VerifierKey.of(name, key.public)
        if verifier == other_than:
            raise InputError(
                "this key signs the manifest already",
                remedy="Make another in the token, and name that one.",
            )
        return verifier

    def keep(self, verifier: VerifierKey, uri: str) -> StationSigner:
        """Keep where such a key is: over another way to the same key. Raises DurabilityError."""
        make_folder(self._folder, 0o700)
        write_durable(self._path(verifier, "uri"), f"{uri}\n".encode(), 0o600)
        return self.signer(verifier)

    def signer(self, verifier: VerifierKey) -> StationSigner:
        """Signs with that key, which is not opened yet."""
        path = self._path(verifier, "uri")
        where = path.read_text().strip() if path.exists() else self._path(verifier, "pem")
        return StationSigner(verifier, where, self._ask)

    def others(self, verifier: VerifierKey) -> list[Path]:
        """What is kept beside that key: one that it took over from, or that never signed."""
        mine = verifier.key_id.hex()
        return [p for p in self._folder.iterdir() if not p.name.lstrip(".").startswith(mine)]

    def leave_only(self, verifier: VerifierKey) -> None:
        """Destroy every other one; a second time is fine. A key in a token stays in it."""
        for path in self.others(verifier):
            destroy(path)

    def _path(self, verifier: VerifierKey, form: str) -> Path:
        return self._folder / f"{verifier.key_id.hex()}.{form}"
