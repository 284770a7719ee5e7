"""The YubiHSM Auth management key, drawn and sealed: without it nobody adds or deletes anything.

The token does not say whether it is the factory's (zeros); trying it costs a try when it is wrong,
so the tries are read first and the last two are left alone. The right one brings them all back.
"""

from __future__ import annotations

from yubikit.hsmauth import DEFAULT_MANAGEMENT_KEY, MANAGEMENT_KEY_LEN

from tokenprov.errors import AuthenticationFailed
from tokenprov.model import SecretKind
from tokenprov.secret import RandomBytes, draw_bytes
from tokenprov.step import PROBE_RESERVE, Drawn, DrawnSecret, Finding, Intent, State
from tokenprov.token import HsmAuthApplet, Token


def in_force(token: Token) -> bytes:
    """The management key that the token has by now: the journalled one, else the factory's."""
    held = token.keyring.get(SecretKind.HSMAUTH_MANAGEMENT_KEY)
    return held.reveal() if held is not None else DEFAULT_MANAGEMENT_KEY


class ManagementKeyStep:
    """The management key."""

    id = "hsmauth/management-key"
    title = "YubiHSM Auth management key"

    def draw(self, random: RandomBytes) -> Drawn:
        """An AES-128 key."""
        value = draw_bytes(MANAGEMENT_KEY_LEN, random)
        secret = DrawnSecret(kind=SecretKind.HSMAUTH_MANAGEMENT_KEY, value=value)
        return Drawn(secrets={self.id: secret})

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """Ours if changing it to itself is taken, else the factory's or somebody's."""
        hsmauth = token.hsmauth()
        tries = hsmauth.management_key_tries()
        if intent is not None:
            if tries <= PROBE_RESERVE:
                return _unaffordable()
            if self._is_ours(hsmauth, intent.secret(self.id).reveal()):
                return Finding(
                    state=State.MATCH, facts={"triesLeft": hsmauth.management_key_tries()}
                )
            tries -= 1
        if tries <= PROBE_RESERVE:
            return _unaffordable()
        try:
            hsmauth.probe_management_key(DEFAULT_MANAGEMENT_KEY)
        except AuthenticationFailed:
            return Finding(
                state=State.CONFLICT,
                reason="its YubiHSM Auth management key is not the factory's",
            )
        return Finding(state=State.ABSENT)

    def apply(self, token: Token, intent: Intent) -> None:
        """From the factory's to ours, in one command."""
        key = intent.secret(self.id).reveal()
        token.hsmauth().change_management_key(DEFAULT_MANAGEMENT_KEY, key)

    def _is_ours(self, hsmauth: HsmAuthApplet, key: bytes) -> bool:
        try:
            hsmauth.change_management_key(key, key)
        except AuthenticationFailed:
            return False
        return True


def _unaffordable() -> Finding:
    return Finding(
        state=State.UNKNOWN,
        reason="its YubiHSM Auth management key has too few tries left to be tried",
    )
