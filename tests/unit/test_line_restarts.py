"""Which turn of the production line a token that restarts belongs to."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from tests.in_process import READER, Desk, Line
from tokenprov.device.pcsc import ReaderState
from tokenprov.device.token import YubiKey
from tokenprov.line import Line as ProductionLine
from tokenprov.profile import load_profile

BACK = ReaderState(name="another reader", present=True, in_use=False, events=7)


@pytest.fixture
def line() -> ProductionLine:
    """A line that nothing was put into; it has nobody to tell anything."""
    nobody = cast(Any, None)
    return ProductionLine(nobody, nobody, load_profile("security-key"), nobody)


@pytest.fixture
def token(tmp_path: Path) -> YubiKey:
    """A token."""
    desk = Desk(tmp_path, "yubikey-5.7.4")
    return desk.yubikey(Line(desk.token))


def test_a_token_that_is_waited_for_is_left_to_its_turn(
    line: ProductionLine, token: YubiKey
) -> None:
    """Seen in another reader while it restarts, it gets no turn there; at other times it does."""
    with line._in_hand.taken_up(token) as ours:
        assert ours
        token.restarting = True
        with line._in_hand.taken_up(token) as theirs:
            assert not theirs
        token.restarting = False
        with line._in_hand.taken_up(token) as another:  # a second token that says the same serial
            assert another
    with line._in_hand.taken_up(token) as again:
        assert again


def test_its_return_is_no_insertion(
    line: ProductionLine, token: YubiKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The insertion that it came back by gets no turn, during its own and after; others do."""
    monkeypatch.setattr(YubiKey, "moved", None)
    with line._in_hand.taken_up(token):
        assert not line._in_hand.came_back(BACK.name, BACK.events)
        monkeypatch.setattr(YubiKey, "moved", BACK)
        assert line._in_hand.came_back(BACK.name, BACK.events)
        assert not line._in_hand.came_back(BACK.name, BACK.events + 2)
        assert not line._in_hand.came_back(READER, BACK.events)
    assert line._in_hand.came_back(BACK.name, BACK.events)
    line._turn(BACK.name, BACK.events, cast(Any, None))  # would tell somebody, were it one
