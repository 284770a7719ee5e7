"""The holder's first PIN (C_InitPIN; PKCS #11 3.1, 5.5.9), set by the security officer."""

from __future__ import annotations

from tokenprov.errors import AuthenticationFailed, NotVerified
from tokenprov.model import SecretKind
from tokenprov.secret import RandomBytes, Secret, draw_digits
from tokenprov.step import Drawn, DrawnSecret, Finding, Intent, State
from tokenprov.steps.pkcs11 import access
from tokenprov.steps.pkcs11.token import SO_PIN
from tokenprov.token import Token

USER_PIN = SecretKind.PKCS11_USER_PIN
FEW_TRIES = frozenset({"USER_PIN_FINAL_TRY", "USER_PIN_COUNT_LOW"})  # CK_TOKEN_INFO.flags


class UserPinStep:
    """The user PIN, drawn and sealed for the help desk."""

    id = "pkcs11/user-pin"
    title = "PKCS#11 user PIN"

    def __init__(self, *, length: int) -> None:
        self.length = length

    def draw(self, random: RandomBytes) -> Drawn:
        """Decimal digits."""
        value = draw_digits(self.length, random)
        return Drawn(secrets={self.id: DrawnSecret(kind=USER_PIN, value=value)})

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """Whether there is one; and if it was promised, whether it is the sealed one."""
        applet = token.pkcs11()
        info = applet.info()
        if not info.has_pin:
            if intent is None:
                access.require_settable(token, "user PIN", self.length)
            return Finding(state=State.ABSENT)
        if intent is None:
            return Finding(state=State.CONFLICT, reason="it has a user PIN")
        if info.flags & FEW_TRIES:
            reason = "its user PIN has too few tries left to be tried"
            return Finding(state=State.UNKNOWN, reason=reason)
        try:
            applet.log_in(intent.secret(self.id))
        except AuthenticationFailed:
            return Finding(state=State.CONFLICT, reason="its user PIN is not ours")
        return Finding(state=State.MATCH, facts={"length": self.length})

    def apply(self, token: Token, intent: Intent) -> None:
        """In one command, with the SO PIN that the token has by now."""
        token.pkcs11().set_user_pin(held(token, SO_PIN), intent.secret(self.id))


def held(token: Token, kind: SecretKind) -> Secret:
    """A PIN that the token has by now. Raises `NotVerified` where none was promised."""
    found = token.keyring.get(kind)
    if found is None:
        raise NotVerified(
            f"token {token.id.label}: its {kind} was never promised",
            remedy="Run the whole profile on it.",
        )
    return found
