"""The YubiHSM Auth part of the profile language: credentials that open sessions with a YubiHSM 2.

Source: the maker's "YubiHSM Auth" pages. Keys and passwords are drawn; a credential for P-256 is
generated on the token, and its public key is what the HSM is told.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from pydantic import StrictBool, StrictInt
from yubikit.hsmauth import MAX_LABEL_LEN

from tokenprov.profile.faults import Fault
from tokenprov.profile.section import Section, Text

MAX_CREDENTIALS = 32
PASSWORD_LENGTH = range(8, 17)  # characters; 16 bytes, padded with zeros


class HsmAuthAlgorithm(StrEnum):
    """What a credential authenticates with."""

    AES128 = "aes128"  # two keys that the HSM has too
    ECCP256 = "eccp256"  # a key that never leaves the token


class HsmAuthPassword(Section):
    """What unlocks a credential; drawn from letters and digits."""

    length: StrictInt = 16

    def rules(self) -> Iterator[Fault]:
        """A length that fits."""
        if self.length not in PASSWORD_LENGTH:
            yield Fault(
                at=("length",),
                message=f"a credential's password has {PASSWORD_LENGTH[0]} to "
                f"{PASSWORD_LENGTH[-1]} characters, not {self.length}",
                remedy="Write length = 16.",
            )


class HsmAuthCredential(Section):
    """One credential."""

    label: Text
    algorithm: HsmAuthAlgorithm
    password: HsmAuthPassword = HsmAuthPassword()
    touch: StrictBool = False

    def rules(self) -> Iterator[Fault]:
        """A label that fits."""
        if len(self.label.encode()) > MAX_LABEL_LEN:
            yield Fault(
                at=("label",),
                message=f"a label has at most {MAX_LABEL_LEN} bytes",
                remedy="Write a shorter one.",
            )


class HsmAuthSection(Section):
    """The YubiHSM Auth applet."""

    management_key: StrictBool = True  # drawn; without it the factory's zeros stay
    credentials: tuple[HsmAuthCredential, ...] = ()

    def rules(self) -> Iterator[Fault]:
        """Labels are unique, and there are not too many."""
        if not self.management_key and not self.credentials:
            yield Fault(
                message="[hsmauth] sets nothing",
                remedy="Write management-key = true, or delete the table.",
            )
        first: dict[str, int] = {}
        for index, credential in enumerate(self.credentials):
            other = first.setdefault(credential.label, index)
            if other != index:
                yield Fault(
                    at=("credentials", index, "label"),
                    message=f"{credential.label!r} is that of hsmauth.credentials[{other}] already",
                    remedy="Give it another label.",
                )
        if len(self.credentials) > MAX_CREDENTIALS:
            yield Fault(
                at=("credentials",),
                message=f"{len(self.credentials)} credentials are more than the {MAX_CREDENTIALS}"
                " that a token holds",
                remedy=f"Keep at most {MAX_CREDENTIALS}.",
            )
