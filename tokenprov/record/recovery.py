"""Recovery codes of a holder: drawn, shown once, and kept as salted, slow digests alone.

    recovery-codes/<list>.json
    {"codes":[{"digest":…,"salt":…},…],"scrypt":{"n":32768,"p":1,"r":8},"v":1}

Rules (SP 800-63B 4.2.1.1, 4.2.1.2):
- A code is letters and digits, five bits each, from the operating system's generator; a
  code of fewer than 64 bits is not made.
- `digest` is scrypt (RFC 7914) over the code with a salt of its own, 32 bytes, hex. The file is
  RFC 8785 JSON; its SHA-256 names the list, in the manifest too.
- Which code was used says the manifest, not the file.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from hmac import compare_digest
from pathlib import Path

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from tokenprov.errors import StationError
from tokenprov.record import shape
from tokenprov.record.canonical import CanonicalError, canonical, parse_canonical
from tokenprov.record.files import create_durable, discard, make_folder, sync_each
from tokenprov.secret import RandomBytes, Secret

FOLDER = "recovery-codes"  # of the station home
LEAST_BITS = 64  # SP 800-63B 4.2.1.1
BITS_OF_A_LETTER = 5

_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: none is taken for another
_TAKEN_FOR = str.maketrans("oil", "011", "- ")
_GROUP = 4
_SALT, _DIGEST = 16, 32  # bytes
_N, _R, _P = 1 << 15, 8, 1  # 32 MiB and a tenth of a second for each code

_HEX = shape.pattern(r"([0-9a-f]{2})+", "hex digits")
_FORM = shape.record(
    {
        "v": shape.one_of(1),
        "scrypt": shape.record({"n": shape.number(2), "r": shape.number(1), "p": shape.number(1)}),
        "codes": shape.list_of(shape.record({"salt": _HEX, "digest": _HEX})),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeList:
    """The digests of a holder's codes, as they are kept."""

    data: bytes

    @property
    def name(self) -> str:
        """Its SHA-256, hex."""
        return hashlib.sha256(self.data).hexdigest()

    def number_of(self, code: Secret) -> int | None:
        """Which code of the list it is, from 1; None for none of them. It takes its time."""
        document = parse_canonical(self.data)
        cost, typed = document["scrypt"], _normal(code)
        found = None
        for number, one in enumerate(document["codes"], 1):
            derived = _derived(typed, bytes.fromhex(one["salt"]), cost["n"], cost["r"], cost["p"])
            if compare_digest(derived, bytes.fromhex(one["digest"])):
                found = number
        return found


def draw_codes(
    count: int, bits: int, random: RandomBytes = secrets.token_bytes
) -> tuple[list[Secret], CodeList]:
    """So many codes of at least so many bits, and what is kept of them.

    ValueError: fewer than 64 bits.
    """
    if bits < LEAST_BITS:
        raise ValueError(f"codes of {bits} bits")
    letters = -(-bits // BITS_OF_A_LETTER)
    codes = [_drawn(letters, random) for _ in range(count)]
    kept = []
    for code in codes:
        salt = random(_SALT)
        derived = _derived(_normal(code), salt, _N, _R, _P)
        kept.append({"salt": salt.hex(), "digest": derived.hex()})
    cost = {"n": _N, "r": _R, "p": _P}
    return codes, CodeList(data=canonical({"v": 1, "scrypt": cost, "codes": kept}))


class CodeFolder:
    """The lists of a station. Its methods raise `DurabilityError` if the disk fails."""

    def __init__(self, home: Path) -> None:
        self._folder = home / FOLDER

    def keep(self, codes: CodeList) -> None:
        """Keep a list; durable on return. What was left of one that was cut off goes."""
        make_folder(self._folder, 0o700)
        for left in self._folder.glob(".*"):
            discard(left)
        create_durable(self._folder / f"{codes.name}.json", codes.data, 0o600)

    def get(self, name: str) -> CodeList:
        """A list by its name. Raises `StationError` where it is not there as it was."""
        path = self._folder / f"{name}.json"
        try:
            found = CodeList(data=path.read_bytes())
            _FORM(parse_canonical(found.data), "")
        except (OSError, CanonicalError, shape.ShapeError) as exc:
            raise _damaged(path) from exc
        if found.name != name:
            raise _damaged(path)
        return found

    def drop(self, names: Sequence[str]) -> None:
        """Keep these no longer; a second time is fine."""
        gone = [name for name in names if discard(self._folder / f"{name}.json")]
        if gone:
            sync_each([], [self._folder])

    def names(self) -> list[str]:
        """What is kept."""
        return sorted(path.stem for path in self._folder.glob("[!.]*.json"))


def _drawn(letters: int, random: RandomBytes) -> Secret:
    text = "".join(_LETTERS[byte % len(_LETTERS)] for byte in random(letters))
    groups = [text[at : at + _GROUP] for at in range(0, letters, _GROUP)]
    return Secret("-".join(groups))


def _normal(code: Secret) -> bytes:
    """As it is digested, whatever way it was typed."""
    return code.reveal().decode(errors="replace").strip().lower().translate(_TAKEN_FOR).encode()


def _derived(code: bytes, salt: bytes, n: int, r: int, p: int) -> bytes:
    return Scrypt(salt=salt, length=_DIGEST, n=n, r=r, p=p).derive(code)


def _damaged(path: Path) -> StationError:
    return StationError(
        f"{path} is not the list of recovery codes that the manifest names",
        remedy="Restore it from a backup, or give the holder new codes.",
    )
