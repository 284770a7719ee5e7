"""How the tests for a USB bus are dealt out to machines (tests/guest/__main__.py)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.guest.__main__ import deal, took


@pytest.mark.parametrize(
    ("files", "seconds", "shares"),
    [
        ("abcde", {}, ["ace", "bd"]),
        ("abcde", {"a": 1, "b": 1, "c": 9, "d": 4, "e": 3}, ["c", "deab"]),
        ("abc", {"a": 2, "b": 6}, ["b", "ca"]),
        ("a", {"a": 5, "gone": 50}, ["a", ""]),
    ],
    ids=["nothing known", "all known", "one is new", "one is gone"],
)
def test_the_longest_goes_to_who_has_the_least(
    files: str, seconds: dict[str, float], shares: list[str]
) -> None:
    """By what they took; a new file counts as the mean of the others, a file that is gone not."""
    assert deal(list(files), 2, seconds) == [list(share) for share in shares]


def test_what_files_took_is_read_where_it_is_known(tmp_path: Path) -> None:
    """On a first run nothing is."""
    path = tmp_path / "seconds.json"
    assert took(path) == {}
    path.write_text('{"tests/a.py": 1.5}')
    assert took(path) == {"tests/a.py": 1.5}
