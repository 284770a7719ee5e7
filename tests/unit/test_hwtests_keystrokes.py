"""What hwtests make of keystrokes: the kernel's events, and the codes that a slot types."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hwtests.errors import BenchError
from hwtests.keystrokes import EVENT, Code, Listener, opened_otp

# The maker's own example, of ykparse(1) in libyubikey.
SEED = bytes.fromhex("8792ebfe26cc" + "ecde18dbe76fbd0c33330f1c354871db")
TYPED = "dteffujehknhfjbrjnlnldnhcujvddbikngjrtgh"
KEY, SYNC = 1, 0  # types of an event
DOWN, UP, HELD = 1, 0, 2


def test_the_makers_example_is_opened() -> None:
    """Public id, and the counters of uses (0x13) and of codes since power-up (0x11)."""
    assert opened_otp(TYPED, SEED) == Code("dteffuje", 0x13, 0x11)


@pytest.mark.parametrize(
    ("later", "between"),
    [((3, 8), 0), ((3, 9), 1), ((4, 0), 0), ((4, 1), 1), ((5, 0), 1)],
    ids=["the next", "one later", "after a power-up", "and one before it", "after two"],
)
def test_codes_in_between_are_counted(later: tuple[int, int], between: int) -> None:
    """By both counters, also where the key lost its power; what nobody used does not count."""
    assert Code("cc", 3, 7).between(Code("cc", *later)) == between


@pytest.mark.parametrize(
    ("typed", "seed", "says"),
    [
        (TYPED, bytes(6) + SEED[6:], "not of the sealed key"),
        (TYPED, SEED[:6] + bytes(16), "not of the sealed key"),
        (TYPED[:-1] + "c", SEED, "not of the sealed key"),
        ("dteffuje", SEED, "no Yubico OTP: 8 letters"),
        ("?" + TYPED[1:8] + "?" * 32, SEED, "no Yubico OTP: 40 letters"),
    ],
    ids=["private id", "key", "a letter", "too short", "other keys"],
)
def test_another_code_is_refused(typed: str, seed: bytes, says: str) -> None:
    """Of another key or private id, damaged, or none at all."""
    with pytest.raises(BenchError, match=says):
        opened_otp(typed, seed)


def test_keys_that_go_down_are_heard(tmp_path: Path) -> None:
    """Letters of modhex and Enter; what goes up, is held or is in between counts for nothing."""
    node = tmp_path / "event7"
    os.mkfifo(node)
    with Listener([node], alone=False) as listener:
        assert listener.heard() == ""
        with node.open("wb", buffering=0) as keyboard:
            for code in (46, 47, 30):  # c, v, and a, which modhex has not
                for kind, value in ((KEY, DOWN), (KEY, HELD), (KEY, UP), (SYNC, 0)):
                    keyboard.write(EVENT.pack(0, 0, kind, code if kind else 0, value))
            assert listener.heard() == "cv?"
            assert not listener.has_a_line()
            keyboard.write(EVENT.pack(0, 0, KEY, 28, DOWN))
            assert listener.has_a_line()
        assert listener.heard() == "cv?\n"


def test_what_is_no_keyboard_is_told(tmp_path: Path) -> None:
    """A node that is not there, or that cannot be had alone."""
    with pytest.raises(BenchError, match="tokenprov doctor"):
        Listener([tmp_path / "event7"], alone=False)
    (tmp_path / "event7").touch()
    with pytest.raises(BenchError, match="cannot be listened to"):
        Listener([tmp_path / "event7"], alone=True)
