"""What becomes of a token and of what relies on it, by the reason for which it ends.

Sources: SP 800-63B 4.1.4 (the old token is invalid once the new one is used), 4.3 (a compromised
one is ended or held at once), 4.5 (leaving ends it); FIPS 201-3 2.9 (certificates of a lost card
are revoked within 18 hours). The defaults are the strict side of each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum

from tokenprov.model import Cause
from tokenprov.profile.faults import Fault
from tokenprov.profile.section import Section


class TokenFate(StrEnum):
    """What becomes of the old token's binding."""

    REVOKE = "revoke"
    SUSPEND = "suspend"  # until it is resumed or revoked


class When(StrEnum):
    """When that is."""

    AT_ONCE = "at-once"
    REPLACED = "replaced"  # once the new token was issued


class Fate(StrEnum):
    """What becomes of a credential."""

    END = "end"  # a certificate is revoked, a registration removed
    HOLD = "hold"  # not accepted until it is released
    KEEP = "keep"


class EncryptionKeys(StrEnum):
    """What becomes of private keys in escrow that old messages need."""

    HISTORY = "history"  # they come onto the new token, into its retired slots
    LEAVE = "leave"


class Ending(Section):
    """One row of the matrix."""

    token: TokenFate = TokenFate.REVOKE
    when: When = When.AT_ONCE
    certificates: Fate = Fate.END
    encryption_certificates: Fate = Fate.END
    passkeys: Fate = Fate.END
    one_time_passwords: Fate = Fate.END
    encryption_keys: EncryptionKeys = EncryptionKeys.HISTORY

    @property
    def fates(self) -> Mapping[str, Fate]:
        """By the key that says it."""
        return {
            "certificates": self.certificates,
            "encryption-certificates": self.encryption_certificates,
            "passkeys": self.passkeys,
            "one-time-passwords": self.one_time_passwords,
        }

    def rules(self) -> Iterator[Fault]:
        """A token that is to come back keeps what it comes back with."""
        if self.token is TokenFate.SUSPEND:
            for key, fate in self.fates.items():
                if fate is Fate.END:
                    yield Fault(
                        at=(key,),
                        message="what is ended does not come back with a suspended token",
                        remedy='Write "hold", or token = "revoke".',
                    )


class Compromised(Ending):
    """Somebody else may have the token: nothing of it is accepted from that moment on."""

    def rules(self) -> Iterator[Fault]:
        """SP 800-63B 4.3, FIPS 201-3 2.9."""
        yield from super().rules()
        if self.when is not When.AT_ONCE:
            yield Fault(
                at=("when",),
                message="somebody else may have it meanwhile (SP 800-63B 4.3, FIPS 201-3 2.9)",
                remedy='Write "at-once".',
            )
        for key, fate in self.fates.items():
            if fate is Fate.KEEP:
                yield Fault(
                    at=(key,),
                    message="who found or stole the token could use it (SP 800-63B 4.3)",
                    remedy='Write "end" or "hold".',
                )


class HandedOver(Ending):
    """The holder has it in hand until the new one is there."""

    when: When = When.REPLACED


class Forgotten(Ending):
    """The holder has it elsewhere: another one stands in for it, up to a last day."""

    token: TokenFate = TokenFate.SUSPEND
    certificates: Fate = Fate.HOLD
    encryption_certificates: Fate = Fate.KEEP  # others encrypt to it, and it will come back
    passkeys: Fate = Fate.HOLD
    one_time_passwords: Fate = Fate.HOLD
    encryption_keys: EncryptionKeys = EncryptionKeys.LEAVE

    def rules(self) -> Iterator[Fault]:
        """A token that another one stands in for comes back."""
        yield from super().rules()
        if self.token is TokenFate.REVOKE:
            yield Fault(
                at=("token",),
                message="a token that was left at home comes back",
                remedy='Write "suspend"; one that does not come back is lost.',
            )


class LifecycleSection(Section):
    """The matrix; a cause that is left out has its default."""

    lost: Compromised = Compromised()
    stolen: Compromised = Compromised()
    left: Compromised = Compromised()
    damaged: HandedOver = HandedOver()
    expired: HandedOver = HandedOver()
    upgrade: HandedOver = HandedOver()
    returned: Ending = Ending(encryption_keys=EncryptionKeys.LEAVE)
    forgotten: Forgotten = Forgotten()

    def ending(self, cause: Cause) -> Ending:
        """The row of a cause."""
        row: Ending = getattr(self, cause)
        return row
