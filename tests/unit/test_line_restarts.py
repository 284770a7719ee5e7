"""Which turn of the production line a token that restarts belongs to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from tests.in_process import READER, Desk, Line
from tokenprov import events
from tokenprov.device.pcsc import ReaderState
from tokenprov.device.token import AnyToken, YubiKey
from tokenprov.errors import TokenMoved
from tokenprov.line import RESETS
from tokenprov.line import Line as ProductionLine
from tokenprov.model import Holder, Order
from tokenprov.profile import load_profile

BACK = ReaderState(name="another reader", present=True, in_use=False, events=7)
ADA = Holder(id="1", name="Ada", email="ada@example.test")
ORDER = Order(
    id="b-0001", batch="b", holder=ADA, position=0, profile="security-key", profile_digest=64 * "0"
)


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


class NeverKept:
    """The work on a batch with a token that restarts, and does not keep what was written."""

    def __init__(self) -> None:
        self.made = 0

    def make(self, token: AnyToken, order: Order, issued: Callable[[int], None]) -> int:
        """As the step does that wrote the interfaces."""
        self.made += 1
        raise TokenMoved(f"token {token.id.label} restarts", remedy="It goes on by itself.")


def test_one_that_does_not_keep_its_interfaces_is_stopped(token: YubiKey) -> None:
    """Three restarts are taken for what they are; then its order fails, and nothing is written."""
    told: list[events.Event] = []
    work = NeverKept()
    line = ProductionLine(
        cast(Any, None), cast(Any, work), load_profile("security-key"), told.append
    )
    for _ in range(RESETS):
        with pytest.raises(TokenMoved):
            line._make(token, ORDER, True, 0.0)
    line._make(token, ORDER, True, 0.0)
    assert work.made == RESETS
    (failed,) = [one for one in told if isinstance(one, events.OrderFailed)]
    assert "restarted 3 times" in failed.reason


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
