"""From a profile's [secure-channel] to steps, which come before all others: those run over it."""

from __future__ import annotations

from collections.abc import Iterator

from tokenprov.profile.secure_channel import ChannelProtocol, SecureChannelSection
from tokenprov.step import Step
from tokenprov.steps.secure_channel.key_set import KeySetStep
from tokenprov.steps.secure_channel.scp03 import Scp03Step
from tokenprov.steps.secure_channel.scp11b import Scp11bStep
from tokenprov.steps.services import Services


def secure_channel_steps(section: SecureChannelSection, services: Services) -> Iterator[Step]:
    """The channel, then the keys, with which SCP03 goes on."""
    scp03 = section.protocol is ChannelProtocol.SCP03
    if scp03:
        yield Scp03Step()
    else:
        yield Scp11bStep(anchors=services.anchors, clock=services.clock)
    if section.set_keys:
        yield KeySetStep(goes_on=scp03)
