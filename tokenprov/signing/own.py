"""The key of a witness, or of a root of keys, in a folder of its own.

<role>.pem     a private key (PKCS#8, 0600)
<role>.where   or where it is: pkcs11:…, piv:SERIAL
<role>.vkey    its verifier key, one line
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tokenprov.errors import StationError
from tokenprov.record.files import (
    clear_left,
    create_durable,
    destroy,
    make_folder,
    write_durable,
)
from tokenprov.record.signer import KeyInMemory, SigningKey
from tokenprov.record.verifier_key import VerifierKey
from tokenprov.signing.choose import Ask, ask_unseen, no_reader, opened_key


def make_own(
    folder: Path,
    role: str,
    name: str,
    given: str | None,
    *,
    cosigns: bool = False,
    ask: Ask = ask_unseen,
    find_reader: Callable[[str], str] = no_reader,
) -> VerifierKey:
    """Draw a key, or take the one that was given as for `opened_key`; gives its public half.

    Raises StationError where there is one already, ManifestError for a name that no key can have,
    and as `opened_key` does.
    """
    make_folder(folder, 0o700)
    clear_left(folder / f"{role}.vkey")
    if (folder / f"{role}.vkey").exists():
        raise StationError(
            f"{folder} holds a key of a {role}", remedy="Use it, or name another folder."
        )
    where = folder / f"{role}.where"
    if given is None:
        destroy(where)  # of a making that was cut off, with a key elsewhere
        key = _drawn(folder / f"{role}.pem")
        verifier = VerifierKey.of(name, key.public, cosigns=cosigns)
    else:
        with opened_key(given, ask, find_reader) as elsewhere:
            verifier = VerifierKey.of(name, elsewhere.public, cosigns=cosigns)
        there = given if ":" in given else str(Path(given).absolute())
        write_durable(where, f"{there}\n".encode(), 0o600)  # of a making that was cut off, perhaps
    create_durable(folder / f"{role}.vkey", f"{verifier}\n".encode())
    return verifier


def own_verifier(folder: Path, role: str) -> VerifierKey:
    """The public half. Raises StationError where the folder is no such folder."""
    try:
        return VerifierKey.in_file((folder / f"{role}.vkey").read_bytes())
    except OSError as exc:
        raise StationError(
            f"{folder} is not the folder of a {role}: {exc.strerror}",
            remedy=f"Make one: tokenprov {role} init {folder} --name NAME",
        ) from exc


@contextmanager
def own_key(
    folder: Path,
    role: str,
    *,
    ask: Ask = ask_unseen,
    find_reader: Callable[[str], str] = no_reader,
) -> Iterator[SigningKey]:
    """The private half, for as long as it is needed. Raises as `opened_key` does."""
    verifier, where = own_verifier(folder, role), folder / f"{role}.where"
    given = where.read_text().strip() if where.exists() else str(folder / f"{role}.pem")
    with opened_key(given, ask, find_reader) as key:
        if VerifierKey.of(verifier.name, key.public).key != verifier.key:
            raise StationError(
                f"{given} is not the key of {verifier.name} any more",
                remedy="Use the token that it was made with, or make another folder.",
            )
        yield key


def _drawn(path: Path) -> KeyInMemory:
    try:
        return KeyInMemory.generate(path)
    except FileExistsError:
        return KeyInMemory.load(path)  # its making was cut off
