"""What the OTP slots that are written have in common: access code, factory credential, proof.

Rules:
- A slot is written in one command, its access code with it: it holds all of it or nothing.
- Flags that let software read the serial are set with every write.
- An access code is proved where it was set: the same write without it is refused, and with it
  accepted. All three writes are the same to the bit, so that a cut between any two changes nothing,
  and none is an update: firmware 4.3.2 to 4.3.5 takes no access code by one.
- A seed cannot be read back, nor can flags.
"""

from __future__ import annotations

from yubikit.yubiotp import SlotConfiguration, UpdateConfiguration

from tokenprov.errors import AuthenticationFailed, NotVerified
from tokenprov.model import Json, SecretKind
from tokenprov.profile.otp import Slot
from tokenprov.secret import RandomBytes, Secret, draw_bytes
from tokenprov.step import Drawn, DrawnSecret, Finding, Intent, State
from tokenprov.token import OtpApplet, Token

ACCESS_CODE_SIZE = 6  # bytes; Yubico, "YubiKey configuration reference"


def access_code_name(slot: int) -> str:
    """What the access code of a slot is called in escrow."""
    return f"otp/{slot}/access-code"


class SlotStep:
    """A slot that is written. `after_swap`: what is in slot 1 now moves to slot 2 before."""

    def __init__(self, slot: int, settings: Slot, *, after_swap: bool = False) -> None:
        self.slot = slot
        self.id = f"otp/{slot}"
        self.title = f"OTP slot {slot}"
        self.seed_name = f"otp/{slot}/seed"
        self.has_access_code = settings.access_code
        self.replace_factory = settings.replace_factory
        self._after_swap = after_swap

    def observe_untouched(self, token: Token) -> Finding:
        """Before anything was promised: empty, or in slot 1 what may be the factory's.

        The factory's credential is one that a touch sends; it cannot be told from another such.
        """
        otp = token.otp()
        now_in = 2 if self._after_swap and not otp.configured(2) else self.slot
        if not otp.configured(now_in):
            return Finding(state=State.ABSENT, blind=True)
        if self.slot == 1 and otp.touch_triggered(1) and not self._after_swap:
            if self.replace_factory:
                facts = {"replaces": "factory credential"}
                return Finding(state=State.ABSENT, facts=facts, blind=True)
            return Finding(
                state=State.SKIPPED,
                reason="slot 1 holds a credential and replace-factory is not set",
                facts={"configured": True},
                unread=("credential",),
            )
        return Finding(state=State.CONFLICT, reason=f"OTP slot {self.slot} holds a credential")

    def not_ours(self) -> Finding:
        return Finding(state=State.CONFLICT, reason=f"OTP slot {self.slot} holds what is not ours")

    def unknown(self) -> Finding:
        return Finding(state=State.UNKNOWN, reason="whether the slot was written cannot be read")

    def matching(self, intent: Intent, facts: dict[str, Json], *unread: str) -> Finding:
        """It is as it should be; the access code counts as proved where this process proved it."""
        if self.has_access_code and intent.applied:
            facts = {**facts, "accessCode": "proved"}
        return Finding(state=State.MATCH, facts=facts, unread=(*unread, "flags"))

    def drawn(self, kind: SecretKind, seed: Secret, random: RandomBytes) -> Drawn:
        """The seed, and an access code where the profile wants one."""
        secrets = {self.seed_name: DrawnSecret(kind=kind, value=seed)}
        if self.has_access_code:
            secrets[access_code_name(self.slot)] = DrawnSecret(
                kind=SecretKind.OTP_ACCESS_CODE, value=draw_bytes(ACCESS_CODE_SIZE, random)
            )
        return Drawn(secrets=secrets)

    def typing(self) -> UpdateConfiguration:
        """How it types, for an update that changes nothing of it: here not at all."""
        made = UpdateConfiguration()  # type: ignore[no-untyped-call]  # yubikit leaves it bare
        return made.append_cr(False).fast_trigger(False)

    def put(self, token: Token, configuration: SlotConfiguration, intent: Intent) -> None:
        """Write, and prove the access code. Refused where somebody else's protects the slot."""
        configuration.serial_api_visible(True).serial_usb_visible(True)
        otp = token.otp()
        if not self.has_access_code:
            otp.put(self.slot, configuration, None, None)
            return
        code = intent.secret(access_code_name(self.slot)).reveal()
        # Refused at once where the slot is protected: by the same write, cut off before.
        protected = not self._takes(otp, configuration, code) or not self._takes(
            otp, configuration, code
        )
        if not protected:
            raise NotVerified(
                f"{self.title} is overwritten without its access code",
                remedy="Set the token aside: it does not protect what it holds.",
            )
        otp.put(self.slot, configuration, code, code)

    def _takes(self, otp: OtpApplet, configuration: SlotConfiguration, code: bytes) -> bool:
        """Whether the slot is written by somebody who has no access code."""
        try:
            otp.put(self.slot, configuration, code, None)
        except AuthenticationFailed:
            return False
        return True
