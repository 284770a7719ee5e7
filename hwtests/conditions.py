"""What a token must be for a test to apply to it, written above the test as it is read.

    @firmware(">=5.7")
    @application("piv")
    def test_…

A test whose condition does not hold is not run and not skipped: the report has it as not
applicable, with the condition.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pytest

from hwtests.subject import Subject

MARK = "applies"
_ORDERS: dict[str, Callable[[tuple[int, ...], tuple[int, ...]], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
}
_BOUND = re.compile(r"(>=|<=|==|>|<)(\d+(?:\.\d+){0,2})")


@dataclass(frozen=True, slots=True)
class Condition:
    """In words, and whether it holds for a token."""

    text: str
    holds: Callable[[Subject], bool]


def firmware(bounds: str) -> pytest.MarkDecorator:
    """The version is within all of these: `">=5.2, <5.7"`; a bound counts as far as it goes."""
    parsed = [_bound(part.strip()) for part in bounds.split(",")]
    return _mark(
        f"firmware {bounds}",
        lambda subject: all(
            order(subject.firmware[: len(version)], version) for order, version in parsed
        ),
    )


def _bound(text: str) -> tuple[Callable[[tuple[int, ...], tuple[int, ...]], bool], tuple[int, ...]]:
    found = _BOUND.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no bound of a version, such as >=5.7")
    return _ORDERS[found[1]], tuple(int(part) for part in found[2].split("."))


def transport(*names: str) -> pytest.MarkDecorator:
    """It is reached by one of these: `ccid`, `hid`, `nfc`."""
    return _mark(f"transport {_any(names)}", lambda subject: bool(subject.transports & set(names)))


def fido_over(*names: str) -> pytest.MarkDecorator:
    """Its FIDO2 is reached by one of these: `ccid`, `hid`."""
    return _mark(f"FIDO2 over {_any(names)}", lambda subject: bool(subject.fido_over & set(names)))


def keyboard() -> pytest.MarkDecorator:
    """What it types comes to this machine: its OTP interface is on this machine's USB."""
    return _mark("a keyboard on USB", lambda subject: subject.has_keyboard)


def form_factor(*names: str) -> pytest.MarkDecorator:
    """It is one of these: `usb-a-keychain`, `usb-c-nano` and so on."""
    return _mark(f"form factor {_any(names)}", lambda subject: subject.form_factor in names)


def application(*names: str) -> pytest.MarkDecorator:
    """All of these are on: `otp`, `fido2`, `piv`, `oath`, `openpgp`, `hsmauth`."""
    return _mark(" and ".join(names), lambda subject: set(names) <= subject.applications)


def numbered(has_serial: bool = True) -> pytest.MarkDecorator:
    """It has a serial, or has none."""
    return _mark(
        f"{'a' if has_serial else 'no'} serial",
        lambda subject: (subject.serial is not None) is has_serial,
    )


def fips(is_fips: bool = True) -> pytest.MarkDecorator:
    """It is of the FIPS series, or is not."""
    return _mark(
        f"{'' if is_fips else 'not '}the FIPS series", lambda subject: subject.fips is is_fips
    )


def card(is_card: bool = True) -> pytest.MarkDecorator:
    """It is a PIV card of another maker, or is a YubiKey."""
    return _mark(
        "a PIV card" if is_card else "a YubiKey",
        lambda subject: subject.is_card is is_card and subject.module is None,
    )


def behind_a_module() -> pytest.MarkDecorator:
    """It is reached through a PKCS#11 module."""
    return _mark("a PKCS#11 module (--module)", lambda subject: subject.module is not None)


def with_spare() -> pytest.MarkDecorator:
    """Another token that may be wiped is there."""
    return _mark("a second token (--spare)", lambda subject: subject.spare is not None)


def conditions_of(marks: Iterable[pytest.Mark]) -> list[Condition]:
    """Those of a test, in the order in which they are read."""
    found: list[Condition] = [mark.args[0] for mark in marks]
    return found


def _mark(text: str, holds: Callable[[Subject], bool]) -> pytest.MarkDecorator:
    made: pytest.MarkDecorator = getattr(pytest.mark, MARK)(Condition(text, holds))
    return made


def _any(names: Iterable[str]) -> str:
    return " or ".join(names)
