"""From a profile's [device] to steps: the configuration first, what closes the token last."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tokenprov.profile.device import Application, DeviceSection
from tokenprov.step import Step
from tokenprov.steps.device.configuration import ConfigurationStep
from tokenprov.steps.device.lock_code import LockCodeStep
from tokenprov.steps.device.nfc_restriction import NfcRestrictionStep

_CLOSING = {"nfc_restricted", "lock_code"}


def device_steps(section: DeviceSection, applets: Sequence[Application]) -> Iterator[Step]:
    """The configuration, in one write; `applets` are those that the profile sets up."""
    bare = DeviceSection.model_construct()
    if any(
        getattr(section, name) != getattr(bare, name)
        for name in DeviceSection.model_fields
        if name not in _CLOSING
    ):
        yield ConfigurationStep(section, applets)


def closing_device_steps(section: DeviceSection) -> Iterator[Step]:
    """NFC restricted, which a restart undoes, and the lock code, which guards all the others."""
    if section.nfc_restricted:
        yield NfcRestrictionStep()
    if section.lock_code:
        yield LockCodeStep()
