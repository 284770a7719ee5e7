"""A token that comes back while its last turn is still ending: the order is the later turn's."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.in_process import ADA, HEADER, Cut, Desk, Line
from tokenprov.batch import BatchWork
from tokenprov.errors import TokenGone
from tokenprov.model import OrderState
from tokenprov.ordering import new_batch
from tokenprov.profile import parse_profile
from tokenprov.roster import parse_roster

PROFILE = "[piv]\npin = { length = 8 }\npuk = { length = 8 }\n"


class Pulled(Line):
    """A token that is taken out after so many commands."""

    left = 1_000

    def send_and_receive(self, apdu: bytes) -> tuple[bytes, int]:
        """One exchange."""
        self.left -= 1
        if self.left < 0:
            raise TokenGone("it is gone", remedy="Insert it again.")
        return super().send_and_receive(apdu)


@pytest.mark.parametrize(
    ("came_back", "state"), [(True, OrderState.WORKING), (False, OrderState.FAILED)]
)
def test_a_turn_that_is_over_stops_no_later_one(
    tmp_path: Path, came_back: bool, state: OrderState
) -> None:
    """The order is noted as failed by the turn that had it last, and by no other."""
    desk = Desk(tmp_path, "yubikey-5.7.4")
    whole = desk.anew(tmp_path / "counted")
    whole.run(PROFILE)
    with pytest.raises(Cut):
        desk.run(PROFILE, cut=(len(whole.commands) - 2, True))
    home = desk.home
    profile = parse_profile(f'name = "test"\n{PROFILE}'.encode(), "test")
    rows = parse_roster((HEADER + ADA).encode(), "roster", today=datetime.now(UTC).date())
    batch = new_batch(home, rows, profile, kit_size=1, operator="tester")
    work = BatchWork(home, profile, batch, operator="tester", listener=lambda event: None)
    token = desk.connected(line := Pulled(desk.token))

    def later() -> None:
        with work.order_for(token.id) as (_, begun):
            assert begun

    with work.order_for(token.id) as (order, begun):
        assert begun
        if came_back:
            turn = threading.Thread(target=later)
            turn.start()
            turn.join()
        line.left = 2
        with pytest.raises(TokenGone):
            work.make(token, order)
    found = home.ledger.order(order.id)
    assert found is not None
    assert found.state is state
    home.ledger.close()
