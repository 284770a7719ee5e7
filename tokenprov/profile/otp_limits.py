"""What the OTP applet of older firmware lacks.

Source: Yubico's technical manual. All kinds of slot, swap and access codes are there from firmware
4 on; firmware 4.3.2 to 4.3.5 cannot change an access code by an update, and none is sent here.
"""

from __future__ import annotations

from collections.abc import Iterator

from tokenprov.profile.language import Profile
from tokenprov.profile.limits import Limit, Version, needs

NFC_SINCE = (5, 0, 0)  # the YubiKey 4 has none


def otp_limits(profile: Profile, version: Version) -> Iterator[Limit]:
    """What this firmware lacks."""
    if profile.otp is not None and profile.otp.ndef is not None:
        yield from needs("otp.ndef", "NDEF over NFC", NFC_SINCE, version, "Delete [otp.ndef]")
