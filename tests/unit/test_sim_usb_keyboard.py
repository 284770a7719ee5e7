"""The feature report of the OTP interface, read while the token answers beside it."""

from __future__ import annotations

from tokenprov.sim.usb.keyboard import Asked, Flag, Keyboard


class Watched(Keyboard):
    """Notes at each step what another thread would read then: the last byte of a report."""

    def __init__(self) -> None:
        self.watched, self.found = False, set[int]()
        super().__init__()

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if self.watched and name != "watched":
            at = self._at
            super().__setattr__("watched", False)
            self.found.add(self.read(bytes(6), None)[-1])
            super().__setattr__("_at", at)
            super().__setattr__("watched", True)


def test_an_answer_is_there_before_the_request_is_done() -> None:
    """Whoever reads meanwhile finds the request pending or the answer, and never neither."""
    keyboard = Watched()
    keyboard.pending = Asked(request=0x10, data=b"")
    keyboard.watched = True
    keyboard.answer(b"1234")
    assert keyboard.found == {Flag.WRITE, Flag.ANSWER}
