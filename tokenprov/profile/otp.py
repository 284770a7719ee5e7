"""The OTP part of the profile language: the two slots that a touch or a challenge reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, StrictBool

from tokenprov.profile.faults import Fault
from tokenprov.profile.section import Section


class YubicoOtpSlot(Section):
    """A Yubico OTP in a slot: private id and key drawn, the public id made of the serial.

    Slot 1 leaves the factory with a credential for YubiCloud that cannot be read back. Without
    `replace_factory` it is kept, and the slot is written only where it is empty.
    """

    kind: Literal["yubico-otp"]
    access_code: StrictBool = True
    replace_factory: StrictBool = False
    append_enter: StrictBool = True


class HmacSha1Slot(Section):
    """HMAC-SHA1 challenge-response in a slot; `replace_factory` as for a Yubico OTP."""

    kind: Literal["hmac-sha1"]
    access_code: StrictBool = True
    replace_factory: StrictBool = False
    touch: StrictBool = False


OtpSlot = Annotated[YubicoOtpSlot | HmacSha1Slot, Field(discriminator="kind")]


class OtpSection(Section):
    """The OTP applet's two slots."""

    slot1: OtpSlot | None = None
    slot2: OtpSlot | None = None

    def rules(self) -> Iterator[Fault]:
        """Something to write, and a factory credential only where there is one."""
        if self.slot1 is None and self.slot2 is None:
            yield Fault(
                message="[otp] sets neither slot",
                remedy="Add [otp.slot1] or [otp.slot2], or delete [otp].",
            )
        if self.slot2 is not None and self.slot2.replace_factory:
            yield Fault(
                at=("slot2", "replace-factory"),
                message="slot 2 leaves the factory empty: there is nothing to replace",
                remedy="Delete the key; it belongs to slot 1.",
            )
