"""From a profile's [otp] to steps."""

from __future__ import annotations

from collections.abc import Iterator

from tokenprov.profile.otp import HmacSha1Slot, OtpSection
from tokenprov.step import Step
from tokenprov.steps.otp.hmac_sha1 import HmacSha1Step
from tokenprov.steps.otp.yubico_otp import YubicoOtpStep


def otp_steps(section: OtpSection) -> Iterator[Step]:
    """A step for each slot that the profile names."""
    for number, slot in ((1, section.slot1), (2, section.slot2)):
        if slot is None:
            continue
        if isinstance(slot, HmacSha1Slot):
            yield HmacSha1Step(
                number,
                access_code=slot.access_code,
                replace_factory=slot.replace_factory,
                touch=slot.touch,
            )
        else:
            yield YubicoOtpStep(
                number,
                access_code=slot.access_code,
                replace_factory=slot.replace_factory,
                append_enter=slot.append_enter,
            )
