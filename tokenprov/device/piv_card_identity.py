"""Which card it is, by its CHUID (SP 800-73-4 part 1, 3.1.2 and table 9).

Rules:
- The GUID names it, where there is one. Cards of before it have zeros there: then the FASC-N does,
  by agency, system and credential number, if a federal agency gave them ("TIG SCEPACS" 2.2, 2.3).
- 9999 is every other issuer's agency code, so it names no card.
"""

from __future__ import annotations

from yubikit.core import Tlv
from yubikit.piv import FascN

TAG_FASC_N, TAG_GUID = 0x30, 0x34
GUID_SIZE, FASC_N_SIZE = 16, 25  # bytes
NON_FEDERAL_AGENCY = 9999


def serial_of(chuid: bytes) -> str | None:
    """The GUID in hex, or agency, system and credential number; None where neither names it."""
    try:
        fields = Tlv.parse_dict(chuid)
    except (ValueError, IndexError):
        return None
    guid = fields.get(TAG_GUID, b"")
    if len(guid) == GUID_SIZE and any(guid):
        return guid.hex()
    return _by_fasc_n(fields.get(TAG_FASC_N, b""))


def _by_fasc_n(value: bytes) -> str | None:
    if len(value) != FASC_N_SIZE:
        return None
    try:
        number = FascN.from_bytes(value)
    except ValueError:
        return None
    if bytes(number) != value or number.agency_code in (0, NON_FEDERAL_AGENCY):
        return None  # its separators, parities or check sum are wrong, or it is nobody's
    return f"{number.agency_code:04d}-{number.system_code:04d}-{number.credential_number:06d}"
