"""From a profile's [otp] to steps."""

from __future__ import annotations

from collections.abc import Iterator

from tokenprov.model import Holder, Order
from tokenprov.profile.otp import (
    EmptySlot,
    HmacSha1Slot,
    HotpSlot,
    OtpSection,
    StaticPasswordSlot,
    YubicoOtpSlot,
)
from tokenprov.step import Step
from tokenprov.steps.otp.empty import EmptySlotStep
from tokenprov.steps.otp.hmac_sha1 import HmacSha1Step
from tokenprov.steps.otp.hotp import HotpStep
from tokenprov.steps.otp.ndef import NdefStep
from tokenprov.steps.otp.static_password import StaticPasswordStep
from tokenprov.steps.otp.swap import SwapStep
from tokenprov.steps.otp.yubico_otp import YubicoOtpStep

_Written = YubicoOtpSlot | HotpSlot | StaticPasswordSlot | HmacSha1Slot


def otp_steps(section: OtpSection, order: Order) -> Iterator[Step]:
    """Swap, then the slots that are written, then those that are emptied, then NDEF.

    So a token is as seldom as can be without any slot: then some firmware tells its state wrong.
    Raises `ProfileError` for an identity that this holder's row does not make.
    """
    slots = ((1, section.slot1), (2, section.slot2))
    if section.swap:
        yield SwapStep()
    for number, slot in slots:
        if slot is not None and not isinstance(slot, EmptySlot):
            yield _written(number, slot, order.holder, after_swap=section.swap)
    for number, slot in slots:
        if isinstance(slot, EmptySlot):
            yield EmptySlotStep(number)
    if section.ndef is not None:
        kept = slots[section.ndef.slot - 1][1] is None
        yield NdefStep(section.ndef, kept=kept, after_swap=kept and section.swap)


def _written(number: int, slot: _Written, holder: Holder, *, after_swap: bool) -> Step:
    match slot:
        case YubicoOtpSlot():
            return YubicoOtpStep(number, slot, holder, after_swap=after_swap)
        case HotpSlot():
            return HotpStep(number, slot, holder, after_swap=after_swap)
        case StaticPasswordSlot():
            return StaticPasswordStep(number, slot, after_swap=after_swap)
        case HmacSha1Slot():
            return HmacSha1Step(number, slot, after_swap=after_swap)
