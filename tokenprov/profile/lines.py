"""The lines of a TOML text's keys, which `tomllib` does not tell.

A small reader over text that `tomllib` has accepted: it follows tables, arrays of tables, dotted
keys, inline tables and arrays (TOML 1.0), and notes where each key stands. It decides nothing.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence

Path = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_SIMPLE_KEY = r"""(?:[A-Za-z0-9_-]+|"(?:\\.|[^"\\\n])*"|'[^'\n]*')"""
_KEY = re.compile(rf"{_SIMPLE_KEY}(?:[ \t]*\.[ \t]*{_SIMPLE_KEY})*")
_PART = re.compile(_SIMPLE_KEY)
_SCALAR = re.compile(
    r'''"""(?:\\[\s\S]|(?!""")[^\\])*"{3,5}|\'\'\'(?:(?!\'\'\')[\s\S])*'{3,5}'''
    r"""|"(?:\\.|[^"\\\n])*"|'[^'\n]*'|[^,\]}#\n]+"""
)


class KeyLines:
    """Where the keys of one text stand."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._lines: dict[Path, int] = {}
        self._counts: dict[Path, int] = {}  # the last index of each array of tables
        self._position = 0
        self._read()

    def line(self, path: Sequence[str | int]) -> int:
        """The line of a key, or of the innermost table around it that is there; from 1, or 0."""
        for length in range(len(path), 0, -1):
            line = self._lines.get(tuple(path[:length]))
            if line:
                return line
        return 0

    def _read(self) -> None:
        table: Path = ()
        self._skip_blank()
        while self._position < len(self._text):
            if self._text.startswith("[", self._position):
                table = self._header()
            else:
                self._pair(table)
            self._skip_blank()

    def _header(self) -> Path:
        start = self._position
        array = self._text.startswith("[[", start)
        self._position += 2 if array else 1
        self._skip_blank()
        keys = self._key()
        self._skip_blank()
        self._position += 2 if array else 1
        path: Path = ()
        for depth, key in enumerate(keys, 1):
            path += (key,)
            if array and depth == len(keys):
                self._note(path, start)
                self._counts[path] = self._counts.get(path, -1) + 1
            if path in self._counts:
                path += (self._counts[path],)
            self._note(path, start)
        return path

    def _pair(self, table: Path) -> None:
        start = self._position
        path = table
        for key in self._key():
            path += (key,)
            self._note(path, start)
        self._position = self._text.index("=", self._position) + 1
        self._value(path)

    def _value(self, path: Path) -> None:
        self._skip_blank()
        opening = self._text[self._position]
        if opening not in "[{":
            match = _SCALAR.match(self._text, self._position)
            self._position = match.end() if match else self._position + 1
            return
        closing = {"[": "]", "{": "}"}[opening]
        self._position += 1
        index = 0
        self._skip_blank()
        while self._text[self._position] != closing:
            if opening == "{":
                self._pair(path)
            else:
                self._note((*path, index), self._position)
                self._value((*path, index))
                index += 1
            self._skip_blank()
            if self._text[self._position] == ",":
                self._position += 1
                self._skip_blank()
        self._position += 1

    def _key(self) -> list[str]:
        match = _KEY.match(self._text, self._position)
        if match is None:
            return []
        self._position = match.end()
        return [part.strip("\"'") for part in _PART.findall(match[0])]

    def _skip_blank(self) -> None:
        match = _BLANK.match(self._text, self._position)
        if match:
            self._position = match.end()

    def _note(self, path: Path, position: int) -> None:
        self._lines.setdefault(path, bisect_right(self._starts, position))
