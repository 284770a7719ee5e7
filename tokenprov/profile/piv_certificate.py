"""The certificate of a PIV key, as a profile describes it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum

from pydantic import StrictBool, StrictInt

from tokenprov.profile.faults import Fault
from tokenprov.profile.fields import Template
from tokenprov.profile.section import Section, TemplateText, Text

CARD_AUTHENTICATION = "9e"  # used without a PIN, by doors (FIPS 201-3 4.2.2)
SID_COLUMN = "sid"  # of the roster: the security identifier of the holder's Windows account
LOCAL = "local"  # the station's own authority
ISSUER_SCHEMES = frozenset(  # of URIs that `issuer` takes; issuer/choose.py has their modules
    {"est+https", "cmp+http", "cmp+https", "acme+https", "file", "command"}
)
OBJECT_IDENTIFIER = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+", re.ASCII)  # X.660, dotted
MAX_DAYS = 3650  # ten years; a certificate's term is a policy, this stops a slip of the finger


class Usage(StrEnum):
    """What a certificate is for (extended key usage)."""

    CLIENT_AUTH = "client-auth"  # RFC 5280 4.2.1.12
    SMARTCARD_LOGON = "smartcard-logon"  # 1.3.6.1.4.1.311.20.2.2
    EMAIL_PROTECTION = "email-protection"  # RFC 5280 4.2.1.12; what the slot does: sign or decrypt
    CARD_AUTH = "card-auth"  # 2.16.840.1.101.3.6.8, FIPS 201: for doors, without a PIN


class AccountSid(StrEnum):
    """Whether a certificate names the Windows account by its security identifier."""

    IF_PRESENT = "if-present"  # where the holder has one in the roster's column `sid`
    REQUIRED = "required"
    NO = "no"


class CardNames(StrEnum):
    """What of the card's CHUID a certificate names (FIPS 201-3, 4.2.2)."""

    NO = "no"
    UUID = "uuid"
    FASC_N_AND_UUID = "fasc-n-and-uuid"


class Certificate(Section):
    """The certificate of a key."""

    issuer: Text = LOCAL  # or the URI of another authority
    days: StrictInt = 365  # validity; less if the holder leaves before
    subject: TemplateText = Template.parse("{holder.name}")  # the common name
    upn: StrictBool = False  # user principal name, as Windows and Kerberos map it
    email: StrictBool = True
    sid: AccountSid = AccountSid.IF_PRESENT  # strong mapping of Windows domains
    policies: tuple[Text, ...] = ()  # object identifiers of certificate policies
    card_names: CardNames = CardNames.NO
    compress: StrictBool = False  # not every reader expands it
    usages: tuple[Usage, ...]

    def rules(self) -> Iterator[Fault]:
        """A known kind of issuer, days within reason, usages named once, each with its needs."""
        scheme, colon, rest = self.issuer.partition(":")
        if self.issuer != LOCAL and not (scheme in (LOCAL, *ISSUER_SCHEMES) and colon and rest):
            known = ", ".join([LOCAL, *(f"{one}:…" for one in (LOCAL, *sorted(ISSUER_SCHEMES)))])
            yield Fault(
                at=("issuer",),
                message=f"no authority is reached by {self.issuer!r}",
                remedy=f"Write one of: {known}.",
            )
        if not 1 <= self.days <= MAX_DAYS:
            yield Fault(
                at=("days",),
                message=f"{self.days} days are not a term for a certificate",
                remedy=f"Write from 1 to {MAX_DAYS}; 365 is a common choice.",
            )
        if not self.usages:
            yield Fault(
                at=("usages",),
                message="a certificate without a usage is good for everything",
                remedy='Name them, as in usages = ["client-auth"].',
            )
        for usage in sorted({one for one in self.usages if self.usages.count(one) > 1}):
            yield Fault(
                at=("usages",), message=f"{str(usage)!r} stands twice", remedy="Delete one."
            )
        for policy in self.policies:
            if not OBJECT_IDENTIFIER.fullmatch(policy):
                yield Fault(
                    at=("policies",),
                    message=f"{policy!r} is no object identifier",
                    remedy="Write it in numbers and dots, as the authority's practice has it.",
                )
        if Usage.CARD_AUTH in self.usages and len(self.usages) > 1:
            yield Fault(
                at=("usages",),
                message="card-auth stands alone: its key is used without a PIN",
                remedy="Give the other usages to a key in another slot.",
            )
        if Usage.SMARTCARD_LOGON in self.usages and not self.upn:
            yield Fault(
                at=("upn",),
                message="smartcard-logon finds the account by the UPN, which is left out",
                remedy="Write upn = true, or take smartcard-logon out of usages.",
            )
        if Usage.EMAIL_PROTECTION in self.usages and not self.email:
            yield Fault(
                at=("email",),
                message="email-protection is for a mail address, which is left out",
                remedy="Write email = true, or take email-protection out of usages.",
            )
