"""Profiles that extend another: what stands in which file, and how two are put together.

Rules:
- A table of the extending profile is laid over the other's by key; so is an item of an array of
  tables, by what names it (`paths.IDENTITIES`); an item that is new comes after the others.
- Every other value takes the place of the other's, an array of plain values whole.
- A table with another `kind` takes the place of the whole table: it has other keys.
- `without` names, by their paths, settings of the other that are left out before that.
- `name` and `description` are a profile's own and never come from another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tokenprov.profile.faults import Fault, Faults, shown
from tokenprov.profile.lines import KeyLines
from tokenprov.profile.paths import Path, find, identity, parse_path

EXTENDS, WITHOUT = "extends", "without"
OWN = ("name", "description")  # a profile's own keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a value stands; `line` counts from 1, 0 for a file as a whole."""

    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Node:
    """A value of a document and where it stands; what is in it are nodes again."""

    value: Any
    place: Place

    @property
    def plain(self) -> Any:
        """The value alone."""
        if isinstance(self.value, dict):
            return {key: node.plain for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain for node in self.value]
        return self.value

    def place_of(self, path: Sequence[str | int]) -> Place:
        """Where a key stands, or the innermost table around it that is there."""
        here = self
        for part in path:
            inside = here.value
            if isinstance(inside, list):
                inside = dict(enumerate(inside))
            if not isinstance(inside, dict) or part not in inside:
                break
            here = inside[part]
        return here.place


def located(document: Any, file: str, lines: KeyLines, path: Path = ()) -> Node:
    """A document as nodes."""
    value = document
    if isinstance(document, dict):
        value = {key: located(one, file, lines, (*path, key)) for key, one in document.items()}
    elif isinstance(document, list):
        value = [located(one, file, lines, (*path, i)) for i, one in enumerate(document)]
    return Node(value, Place(file=file, line=lines.line(path)))


def extended(parent: Node, child: Node, left_out: Sequence[str]) -> Node:
    """The child laid over the parent. Raises `Faults` at `without` for what the parent has not."""
    faults = []
    for index, text in enumerate(left_out):
        found = find(parent.plain, text)
        if found is None:
            what = "is not a path" if parse_path(text) is None else "is not set there"
            faults.append(
                Fault(
                    at=(WITHOUT, index),
                    message=f"{shown(text)} {what}, so it cannot be left out",
                    remedy='Write a path as in "otp.slot2" or "piv.keys[9a].touch-policy"; '
                    "tokenprov profile show prints what is set.",
                )
            )
        else:
            parent = _dropped(parent, found)
    if faults:
        raise Faults(faults)
    inherited = {key: node for key, node in parent.value.items() if key not in OWN}
    return _over(Node(inherited, parent.place), child)


def _over(parent: Node, child: Node) -> Node:
    before, after = parent.value, child.value
    if isinstance(before, dict) and isinstance(after, dict) and not _another_kind(before, after):
        merged = {**before, **after}
        for key in before.keys() & after.keys():
            merged[key] = _over(before[key], after[key])
        return Node(merged, child.place)
    if _is_tables(before) and _is_tables(after):
        return Node(_items(before, after), child.place)
    return child


def _items(before: Sequence[Node], after: Sequence[Node]) -> list[Node]:
    items = list(before)
    places = {identity(item.plain): index for index, item in enumerate(before)}
    for item in after:
        name = identity(item.plain)
        if name is not None and name in places:
            items[places[name]] = _over(items[places[name]], item)
        else:
            items.append(item)
    return items


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item.value, dict) for item in value)


def _another_kind(before: Mapping[str, Node], after: Mapping[str, Node]) -> bool:
    if "delete" in before or "delete" in after:  # an OTP slot that is emptied has no kind
        return True
    return "kind" in before and "kind" in after and before["kind"].plain != after["kind"].plain


def _dropped(node: Node, path: Path) -> Node:
    first, rest = path[0], path[1:]
    value: Any = dict(node.value) if isinstance(node.value, dict) else list(node.value)
    if rest:
        value[first] = _dropped(value[first], rest)
    else:
        del value[first]
    return Node(value, node.place)
