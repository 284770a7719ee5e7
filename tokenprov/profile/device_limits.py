"""What a firmware cannot do of a profile's [device] and [secure-channel].

Sources: Yubico's technical manual ("Firmware Overview": applications by transport from 5.0,
YubiHSM Auth from 5.4.3, restricted NFC from 5.7) and the maker's pages on the Secure Channel
Protocol: SCP03 from 5.3, SCP11 from 5.7.2.
"""

from __future__ import annotations

from collections.abc import Iterator

from tokenprov.profile.device import Application
from tokenprov.profile.language import Profile
from tokenprov.profile.limits import Limit, Version, needs
from tokenprov.profile.secure_channel import ChannelProtocol

SWITCHES_SINCE = (5, 0, 0)
HSMAUTH_SINCE = (5, 4, 3)
RESTRICTED_NFC_SINCE = (5, 7, 0)
CHANNELS_SINCE = {ChannelProtocol.SCP03: (5, 3, 0), ChannelProtocol.SCP11B: (5, 7, 2)}


def device_limits(profile: Profile, version: Version) -> Iterator[Limit]:
    """Switches for applications, and what came to them later."""
    section = profile.device
    if section is None:
        return
    if version < SWITCHES_SINCE:
        yield from needs(
            "device", "[device]", SWITCHES_SINCE, version, "Use a profile without [device]"
        )
        return
    for transport, applications in (("usb", section.usb), ("nfc", section.nfc)):
        if Application.HSMAUTH in (applications or ()):
            yield from needs(
                f"device.{transport}", "hsmauth", HSMAUTH_SINCE, version, "Take hsmauth out"
            )
    if section.nfc_restricted:
        yield from needs(
            "device.nfc-restricted",
            "restricted NFC",
            RESTRICTED_NFC_SINCE,
            version,
            "Delete the key",
        )


def secure_channel_limits(profile: Profile, version: Version) -> Iterator[Limit]:
    """The protocol, and SCP03 for whoever sets keys."""
    section = profile.secure_channel
    if section is None:
        return
    since = CHANNELS_SINCE[section.protocol]
    if version < since:
        wanted, has = (".".join(map(str, one)) for one in (since, version))
        yield Limit(
            key="secure-channel.protocol",
            message=f"{section.protocol} needs firmware {wanted}, this token has {has}",
            remedy=f"Use a profile without [secure-channel], or a token with firmware {wanted}.",
        )
