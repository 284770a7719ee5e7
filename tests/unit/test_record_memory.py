"""What is kept of a log while it is judged: the same as dictionaries keep, in less memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tokenprov.record.history import HELD, Life, State
from tokenprov.record.memory import MemoryOfLog, Names, Table

KEYS = st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3)
NUMBERS = st.integers(1, 2**64 - 1)


@given(st.lists(st.tuples(KEYS, NUMBERS)))
def test_table_keeps_what_a_dictionary_keeps(puts: list[tuple[int, int]]) -> None:
    """Any keys, zero and those that share a slot among them; the last number counts."""
    table, same = Table(), dict[int, int]()
    for key, number in puts:
        table.put(key, number)
        same[key] = number
    assert dict(table.items()) == same
    assert len(table) == len(same)
    assert all(table.get(key) == number for key, number in same.items())
    assert all(table.get(key + 1) == same.get(key + 1, 0) for key in same if key < 2**63 - 1)


def test_table_grows() -> None:
    """Many more than it has room for at first, all of which would begin in the same slot."""
    table = Table()
    for key in range(3000):
        table.put(key << 12, key + 1)
    assert len(table) == 3000
    assert [table.get(key << 12) for key in range(3000)] == list(range(1, 3001))
    assert table.get(3000 << 12) == 0


def test_names() -> None:
    """A name is in it once, however often it is added."""
    names = Names()
    for name in ("a", "b", "a"):
        names.add(name)
    assert "a" in names
    assert "c" not in names
    assert len(names) == 2


@given(
    st.sampled_from([state for state in State if state is not State.NEW]),
    st.text(),
    st.integers(0, 2**29 - 2),
)
def test_a_life_comes_back_whole(state: State, commitment: str, entry: int) -> None:
    """A state, a holder and an entry's number fit in their bits, and are told apart again."""
    memory = MemoryOfLog()
    name = ("yubico", "12345678", False)
    life = Life(state, memory.known_by(commitment), entry)
    memory.set_token(name, life)
    assert memory.token(name) == life
    assert memory.token(("yubico", "12345678", True)) is None
    assert [entry for _, entry in memory.holdings()] == ([entry] if state in HELD else [])


def test_what_happens_once() -> None:
    """The first entry counts, of each kind and name on its own."""
    memory = MemoryOfLog()
    for kind in ("issued", "bound", "wiped"):
        assert memory.once(kind, "x", 0) == 0
        assert memory.once(kind, "x", 7) == 0
        assert memory.once(kind, "y", 7) == 7
        assert memory.happened(kind, "x")
        assert not memory.happened(kind, "z")
