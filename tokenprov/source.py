"""Where a profile's tokens are put in: PC/SC readers, or the module that its [pkcs11] names."""

from __future__ import annotations

from tokenprov.device.sources import SMART_CARDS, Source, source_of
from tokenprov.profile import Profile


def source_for(profile: Profile) -> Source:
    """That place. Raises `InputError` for a module that is not there."""
    return SMART_CARDS if profile.pkcs11 is None else source_of(profile.pkcs11.module)
