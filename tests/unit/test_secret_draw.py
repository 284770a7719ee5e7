"""PINs as they are drawn: from which characters, how often each, and which never."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from tokenprov.secret import DIGITS, LETTERS_AND_DIGITS, draw_text, weakness


@pytest.mark.parametrize("alphabet", [DIGITS, LETTERS_AND_DIGITS])
def test_no_character_is_likelier(alphabet: str) -> None:
    """Equally many bytes stand for each character; the few that are left over stand for none."""
    each = 256 // len(alphabet)
    length = each * len(alphabet)
    order = Random(1).sample(range(length), length)
    draws = iter([bytes([255] * length), bytes(range(length, 256)) + bytes(order)])
    drawn = draw_text(length, alphabet, lambda _: next(draws)).reveal_text()
    assert Counter(drawn) == dict.fromkeys(alphabet, each)


def test_look_alikes_are_left_out() -> None:
    """A PIN is read off a sheet: no 0 beside o, no 1 beside l or i."""
    assert not set("0o1li") & set(LETTERS_AND_DIGITS)
    assert len(set(LETTERS_AND_DIGITS)) == len(LETTERS_AND_DIGITS) == 31


@pytest.mark.parametrize("refused", ["789456", "112358", "456789", "520520"])
def test_what_tokens_refuse_is_drawn_again(refused: str) -> None:
    """A PIN that a token with PIN complexity refuses would be sealed in vain: it is never drawn."""
    assert weakness(refused) is not None
    draws = iter([bytes(map(int, refused)), bytes([4, 7, 1, 9, 5, 3])])
    assert draw_text(6, DIGITS, lambda _: next(draws)).reveal_text() == "471953"
