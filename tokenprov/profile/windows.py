"""What Windows asks of a token that people log on with, checked when the profile is read.

Sources: Microsoft, "Smart Card Technical Reference" ("Certificate Requirements and Enumeration":
usages, subject alternative name, slots by way of their containers), [MS-PKCA] for the algorithms,
Yubico's "YubiKey Smart Card Minidriver" guide (PUK, CHUID and CCC), and FIPS 201-3 4.2.2 for 9e.

A profile logs on to Windows when a certificate of its has the usage `smartcard-logon`. Then:

- the certificate names the UPN (`piv_certificate`), and is of a key for RSA or a NIST curve
  (`piv`);
- the card has CHUID and CCC (`piv`);
- the PUK is set: a run draws one for every token, since the minidriver blocks the factory's;
- the key is in a slot that Windows asks the PIN for, and is never used without one.

`client-auth` beside it is for the web, and no must. What a domain needs, above all its trust in the
issuer (NTAuth), is not in a profile.
"""

from __future__ import annotations

from collections.abc import Iterator

from tokenprov.profile.faults import Fault
from tokenprov.profile.piv import PinPolicy, PivKey, PivSection
from tokenprov.profile.piv_certificate import CARD_AUTHENTICATION, Usage


def logs_on(key: PivKey) -> bool:
    """Whether people log on to Windows with this key."""
    return key.certificate is not None and Usage.SMARTCARD_LOGON in key.certificate.usages


def check_windows_logon(piv: PivSection | None) -> Iterator[Fault]:
    """What would keep people from logging on, at paths from the top of the profile."""
    for index, key in enumerate(piv.keys if piv is not None else ()):
        if not logs_on(key):
            continue
        at = ("piv", "keys", index)
        if key.slot == CARD_AUTHENTICATION:
            yield Fault(
                at=(*at, "slot"),
                message="the key in 9e is for doors: Windows logs on with none that wants no PIN",
                remedy='Write slot = "9a".',
            )
        elif key.pin_policy is PinPolicy.NEVER:
            yield Fault(
                at=(*at, "pin-policy"),
                message="whoever finds the token could log on: its key wants no PIN",
                remedy='Write pin-policy = "once".',
            )
