"""What `history` keeps of a whole log while it is judged, small enough for a million entries.

Rules:
- Names are kept as 64-bit hashes (Python's own, SipHash under a key that is drawn for each process,
  so that nobody can choose two that meet). Two names of a million meet once in 10^7 logs; what is
  found by one is then read in the entries before it is told (`across`).
- Nothing is ever removed.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from itertools import chain

from tokenprov.record.history import HELD, Life, State, TokenName

_FIRST_SLOTS = 1 << 10
_STATES = tuple(State)
_NUMBERS = {state: number for number, state in enumerate(_STATES)}
_MANY = ("issued", "bound")  # kinds of which there may be one for each entry

# a life in 64 bits: from the highest, 32 of the holder's hash, 29 of the entry's number, 3 of state
_HOLDER_BITS, _INDEX_BITS, _STATE_BITS = 32, 29, 3


class Table:
    """Numbers from 1 to 2^64 - 1 by 64-bit keys: open addressing, linear probing, half full."""

    def __init__(self) -> None:
        self._keys = array("q", bytes(8 * _FIRST_SLOTS))
        self._values = array("Q", bytes(8 * _FIRST_SLOTS))
        self._mask = _FIRST_SLOTS - 1
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def get(self, key: int) -> int:
        """The number; 0 where there is none."""
        keys, values, mask = self._keys, self._values, self._mask
        slot = key & mask
        while value := values[slot]:
            if keys[slot] == key:
                return value
            slot = (slot + 1) & mask
        return 0

    def put(self, key: int, value: int) -> None:
        """Keep a number, instead of the one before."""
        if self.first(key, value) == value:
            return
        keys, values, mask = self._keys, self._values, self._mask
        slot = key & mask
        while keys[slot] != key or not values[slot]:
            slot = (slot + 1) & mask
        values[slot] = value

    def first(self, key: int, value: int) -> int:
        """The number that is kept; this one from now on where there was none."""
        keys, values, mask = self._keys, self._values, self._mask
        slot = key & mask
        while kept := values[slot]:
            if keys[slot] == key:
                return kept
            slot = (slot + 1) & mask
        keys[slot], values[slot] = key, value
        self._count += 1
        if 2 * self._count > mask:
            self._grow()
        return value

    def items(self) -> Iterator[tuple[int, int]]:
        """All of them, in no order."""
        for key, value in zip(self._keys, self._values, strict=True):
            if value:
                yield key, value

    def _grow(self) -> None:
        before, slots = self.items(), 2 * (self._mask + 1)
        first = next(before)  # it has taken hold of the arrays as they are
        self._keys, self._values = array("q", bytes(8 * slots)), array("Q", bytes(8 * slots))
        self._mask, self._count = slots - 1, 0
        for key, value in chain((first,), before):
            self.first(key, value)


class Names:
    """A set of names that only grows."""

    def __init__(self) -> None:
        self._table = Table()

    def add(self, name: str) -> None:
        """Keep a name."""
        self._table.first(hash(name), 1)

    def __contains__(self, name: object) -> bool:
        return bool(self._table.get(hash(name)))

    def __len__(self) -> int:
        return len(self._table)


class MemoryOfLog:
    """Implements `history.Memory`."""

    def __init__(self) -> None:
        self._many = Table()  # the entry and 1
        self._few: dict[str, int] = {}
        self._lives = Table()
        self._values: dict[str, str] = {}

    def once(self, kind: str, name: str, index: int) -> int:
        if kind not in _MANY:
            return self._few.setdefault(f"{kind} {name}", index)
        return self._many.first(hash((kind, name)), index + 1) - 1

    def happened(self, kind: str, name: str) -> bool:
        if kind not in _MANY:
            return f"{kind} {name}" in self._few
        return bool(self._many.get(hash((kind, name))))

    def known_by(self, commitment: str) -> int:
        return hash(commitment) & ((1 << _HOLDER_BITS) - 1)

    def token(self, name: TokenName) -> Life | None:
        packed = self._lives.get(hash(name))
        return _unpacked(packed) if packed else None

    def set_token(self, name: TokenName, life: Life) -> None:
        rest = life.entry << _STATE_BITS | _NUMBERS[life.state]
        self._lives.put(hash(name), int(life.holder or 0) << (_INDEX_BITS + _STATE_BITS) | rest)

    def value(self, name: str) -> str:
        return self._values.get(name, "")

    def set_value(self, name: str, value: str) -> None:
        self._values[name] = value

    def holdings(self) -> Iterator[tuple[int, int]]:
        """The tokens that are a holder's now: each by its key, and the entry that says so."""
        for key, packed in self._lives.items():
            life = _unpacked(packed)
            if life.state in HELD:
                yield key, life.entry

    def held_since(self, key: int) -> int | None:
        """The entry that says that this token is a holder's now; None where it is not."""
        packed = self._lives.get(key)
        life = _unpacked(packed) if packed else None
        return life.entry if life is not None and life.state in HELD else None


def _unpacked(packed: int) -> Life:
    state = _STATES[packed & ((1 << _STATE_BITS) - 1)]
    index = packed >> _STATE_BITS & ((1 << _INDEX_BITS) - 1)
    return Life(state, packed >> (_INDEX_BITS + _STATE_BITS), index)
