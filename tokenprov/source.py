"""Where a profile's tokens are put in: PC/SC readers, or the module that its [pkcs11] names."""

from __future__ import annotations

from tokenprov.device.sources import ModuleSource, PcscSource, Source
from tokenprov.pkcs11.find import find_module
from tokenprov.profile import Profile


def source_for(profile: Profile) -> Source:
    """That place. Raises `InputError` for a module that is not there."""
    return PcscSource() if profile.pkcs11 is None else source_of(profile.pkcs11.module)


def source_of(module: str | None) -> Source:
    """The tokens of a module by its path or name, PC/SC readers where none is named."""
    return PcscSource() if module is None else ModuleSource(find_module(module))
