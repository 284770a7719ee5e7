"""A good file made bad in every way that a test has time for, and what its reader says of each.

- `retyped`: every value of a JSON document in turn by values of other types, and taken out.
- `damaged`: cut anywhere, a byte flipped anywhere, bytes put in; of long files at drawn places.

A reader passes where it takes the file or refuses it by a `TokenprovError` with a remedy; anything
else that comes out of it is what these tests are for.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tokenprov.errors import TokenprovError

Read = Callable[[Any], object]
PLACES = 160  # of a long file, for each way to damage it

_OTHERS: tuple[Any, ...] = (
    *(None, True, 0, -1, 3, 2**53 - 1, "", "x", "\N{SNOWMAN}", "0" * 64),
    *([], ["x"], [[]], [None], {}, {"x": 1}, {"x": {}}),
)


def retyped(document: Any) -> Iterator[Any]:
    """The document with one value another, or one member or item gone, or one too many."""
    for place in list(_places(document)):
        for other in _OTHERS:
            changed = _put(document, place, other)
            if changed != document or type(changed) is not type(document):
                yield changed
        if place:
            yield _without(document, place)


def damaged(data: bytes, seed: int = 0, places: int = PLACES) -> Iterator[bytes]:
    """Cut, flipped, lengthened; the same for the same seed."""
    random_ = random.Random(seed)
    everywhere = range(len(data))
    some = everywhere if len(data) <= places else sorted(random_.sample(everywhere, places))
    for place in some:
        yield data[:place]
        yield data[:place] + bytes([data[place] ^ (1 << random_.randrange(8))]) + data[place + 1 :]
        yield data[:place] + random_.choice(_INSERTED) + data[place:]
        yield data[:place] + data[place + random_.randrange(1, 9) :]
    yield data + data
    yield from (b"", b"\0", b"\n", b"\n\n\n\n", b"\xff\xfe", b"[" * 10_000, bytes(range(256)))


def faults(read: Read, candidates: Iterable[Any]) -> list[str]:
    """What came out of the reader that is no refusal with a remedy; at least one was refused."""
    found: dict[str, str] = {}
    refused = 0
    for candidate in candidates:
        try:
            read(candidate)
        except TokenprovError as error:
            refused += 1
            if not error.message or not error.remedy:
                found[f"no remedy: {error.message}"] = repr(candidate)
        except Exception as error:  # noqa: BLE001 - whatever comes out is what is looked for
            where = error.__traceback__
            while where is not None and where.tb_next is not None:
                where = where.tb_next
            line = f"{where.tb_frame.f_code.co_filename}:{where.tb_lineno}" if where else ""
            found.setdefault(f"{type(error).__name__} at {line}", f"{error}: {candidate!r:.200}")
    assert refused, "nothing was refused: the reader did not look"
    return [f"{what}: {why}" for what, why in found.items()]


_INSERTED = (b"\0", b"\n", b" ", b'"', b"\xff", b"9" * 30, b"-", b"\r\n", b"=", b"\xe2\x98\x83")


def _places(document: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield at
    if isinstance(document, dict):
        for name, value in document.items():
            yield from _places(value, (*at, name))
    elif isinstance(document, list):
        for index, value in enumerate(document):
            yield from _places(value, (*at, index))


def _put(document: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return copy.deepcopy(value)
    changed = copy.deepcopy(document)
    _parent(changed, place)[place[-1]] = copy.deepcopy(value)
    return changed


def _without(document: Any, place: tuple[Any, ...]) -> Any:
    changed = copy.deepcopy(document)
    del _parent(changed, place)[place[-1]]
    return changed


def _parent(document: Any, place: tuple[Any, ...]) -> Any:
    for step in place[:-1]:
        document = document[step]
    return document
