"""Profiles: what a token must look like, as a TOML file from a person.

Rules:
- TOML 1.0, UTF-8. Every key is known or refused; values are of their type or refused: `"8"` is
  not 8. Keys are in kebab-case in the file and in snake_case in Python.
- A profile is refused at load for what is impossible on any token or against policy, with line,
  key and remedy; `check_firmware` refuses what one token cannot do, `check_roster` what a row of
  the roster lacks. All three run before a token is touched.
- Texts may name the holder: `{holder.id}`, `{holder.name}`, `{holder.email}`, `{holder.upn}`, and
  `{holder.extra.department}` for a further column of the roster.
- Nothing secret stands in a profile: PINs and keys are drawn, the profile says how long.
"""

from tokenprov.model import TokenKind
from tokenprov.profile.fido2 import Fido2Section, FidoCredential
from tokenprov.profile.fields import Template
from tokenprov.profile.firmware import check_firmware
from tokenprov.profile.holders import check_roster
from tokenprov.profile.language import Profile
from tokenprov.profile.load import find_profile, load_profile, parse_profile, ready_folders
from tokenprov.profile.otp import HmacSha1Slot, OtpSection, YubicoOtpSlot
from tokenprov.profile.piv import PivKey, PivSection
from tokenprov.profile.piv_certificate import Certificate

__all__ = [
    "Certificate",
    "Fido2Section",
    "FidoCredential",
    "HmacSha1Slot",
    "OtpSection",
    "PivKey",
    "PivSection",
    "Profile",
    "Template",
    "TokenKind",
    "YubicoOtpSlot",
    "check_firmware",
    "check_roster",
    "find_profile",
    "load_profile",
    "parse_profile",
    "ready_folders",
]
