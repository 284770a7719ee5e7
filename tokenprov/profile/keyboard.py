"""Which characters a keyboard types, so that a static password is typed as it was sealed.

A slot holds scan codes, not characters: the computer turns them into characters by the layout that
is set on it (USB HID Usage Tables, chapter 10). The tables of layouts are the maker's own data.
"""

from __future__ import annotations

from enum import StrEnum

from ykman.scancodes import KEYBOARD_LAYOUT

MAX_SCAN_CODES = 38  # a slot's public id, private id and key: 16 + 6 + 16 bytes
_MODHEX = "cbdefghijklnrtuv"
_LETTERS_AND_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


class Layout(StrEnum):
    """Keyboard layouts that scan codes are known for."""

    MODHEX = "modhex"  # the letters that every Latin layout has in the same place
    US = "us"
    UK = "uk"
    DE = "de"
    FR = "fr"
    IT = "it"
    BEPO = "bepo"
    NORMAN = "norman"

    @property
    def usual_characters(self) -> str:
        """What a password is drawn from unless the profile says it."""
        return _MODHEX if self is Layout.MODHEX else _LETTERS_AND_DIGITS


def untypable(text: str, layout: Layout) -> str:
    """The characters of a text that the layout has no key for, each once, in their order."""
    keys = _keys(layout)
    return "".join(dict.fromkeys(character for character in text if character not in keys))


def scan_codes(text: str, layout: Layout) -> bytes:
    """A byte for each character; 0x80 is the maker's mark for shift.

    `untypable` says beforehand whether there is a key for each.
    """
    keys = _keys(layout)
    return bytes(keys[character] for character in text)


def _keys(layout: Layout) -> dict[str, int]:
    keys: dict[str, int] = KEYBOARD_LAYOUT[layout.name].value
    return keys
