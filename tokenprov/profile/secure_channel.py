"""The part of the profile language for how commands reach the token.

Source: GlobalPlatform Card Specification 2.3.1, Amendments D (SCP03) and F (SCP11), and the maker's
"Security Domain" pages.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import StrictBool

from tokenprov.profile.section import Section


class ChannelProtocol(StrEnum):
    """How a channel is opened."""

    SCP03 = "scp03"  # by static keys on both sides
    SCP11B = "scp11b"  # by a key of the token, whose attestation is checked


class SecureChannelSection(Section):
    """Every command to an application goes through a secure channel.

    With `set_keys` the set of SCP03 keys that everybody knows is replaced by a drawn one before
    anything else is written, and SCP03 goes on with that.
    """

    protocol: ChannelProtocol
    set_keys: StrictBool = False
