"""PIN, PUK and management key of a token that is somebody's, made anew.

The value in force is the one in escrow. Rules:
- Before anything is promised it is seen to be that one, where that can be seen; a probe spends no
  try of the last two.
- After a cut the token holds the old or the new value, and both are known.
"""

from __future__ import annotations

from yubikit.piv import MANAGEMENT_KEY_TYPE, OBJECT_ID

from tokenprov.errors import AuthenticationBlocked, AuthenticationFailed, TokenConflict
from tokenprov.model import Json
from tokenprov.secret import Secret
from tokenprov.step import Finding, Intent, State
from tokenprov.steps.piv.access import affordable, opens
from tokenprov.steps.piv.management_key import (
    ADMIN_DATA,
    MARK,
    ManagementKeyStep,
    protected_copy,
)
from tokenprov.steps.piv.reference_data import PinStep, PukStep, refusal_of_puk
from tokenprov.token import PivApplet, Token


class UnblockedPinStep(PinStep):
    """A new PIN for the holder, set by the PUK, whether or not the old one is blocked."""

    title = "PIV PIN, by the PUK"

    def __init__(self, *, length: int, puk: Secret) -> None:
        super().__init__(length=length)
        self._puk = puk

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """With an intent by verifying the new one, where that spends no try of the last two."""
        piv = token.piv()
        if intent is None:
            return _puk_unusable(piv) or Finding(state=State.ABSENT)
        if not affordable(piv.pin_tries().remaining):
            return Finding(state=State.ABSENT)  # the PUK makes its tries full
        try:
            piv.verify_pin(intent.secret(self.id).reveal_text())
        except AuthenticationFailed:
            return Finding(state=State.ABSENT)
        facts: dict[str, Json] = {"length": self.length}
        left = piv.pin_tries().remaining
        return Finding(state=State.MATCH, facts=facts | ({"pinTriesLeft": left} if left else {}))

    def apply(self, token: Token, intent: Intent) -> None:
        """In one command. Raises `AuthenticationBlocked` before it spends one of the last two."""
        piv = token.piv()
        unusable = _puk_unusable(piv)
        if unusable is not None:
            raise AuthenticationBlocked(
                f"token {token.id.label}: {unusable.reason}",
                remedy="Replace the token: without its PUK its PIN stays as it is.",
            )
        piv.unblock_pin(self._puk.reveal_text(), intent.secret(self.id).reveal_text())


class NewPukStep(PukStep):
    """A drawn PUK in the place of the one in escrow."""

    def __init__(self, *, length: int, old: Secret) -> None:
        super().__init__(length=length)
        self._old = old

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """By changing the new one, then the old one, to itself, which changes nothing."""
        piv = token.piv()
        values = [(self._old, Finding(state=State.ABSENT))]
        if intent is not None:
            facts = {"length": self.length}
            values.insert(0, (intent.secret(self.id), Finding(state=State.MATCH, facts=facts)))
        for value, found in values:
            unusable = _puk_unusable(piv)
            if unusable is not None:
                return unusable
            if refusal_of_puk(piv, value.reveal_text()) is None:
                return found
        return Finding(state=State.CONFLICT, reason="its PUK is not the one in escrow")

    def apply(self, token: Token, intent: Intent) -> None:
        """In one command."""
        token.piv().change_puk(self._old.reveal_text(), intent.secret(self.id).reveal_text())


class NewManagementKeyStep(ManagementKeyStep):
    """A drawn management key in the place of the one in escrow.

    Where a copy is kept on the token for who knows the PIN, it is written anew before the key; the
    PIN is the holder's by now, so that it is not read back.
    """

    def __init__(
        self,
        *,
        algorithm: MANAGEMENT_KEY_TYPE | None,
        touch: bool = False,
        pin_protected: bool = False,
        old: Secret,
    ) -> None:
        super().__init__(algorithm=algorithm, touch=touch)
        self._old, self._copied, self._waits = old, pin_protected, touch

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """By authenticating; no tries are counted on this key."""
        if self._waits:
            token.keyring.by_touch.add(self.kind)
        if intent is not None and opens(token, intent.secret(self.id).reveal()):
            found = self.ours(token, intent.secret(self.id))
            if not self._copied or found.state is not State.MATCH:
                return found
            if not intent.applied:
                return Finding(state=State.UNKNOWN, reason="its copy on the token is not read")
            return Finding(
                state=State.MATCH,
                facts={**found.facts, "pinProtected": True},
                unread=(*found.unread, "printed information"),
            )
        if opens(token, self._old.reveal()):
            return Finding(state=State.ABSENT)
        return Finding(
            state=State.CONFLICT, reason="its PIV management key is not the one in escrow"
        )

    def apply(self, token: Token, intent: Intent) -> None:
        """The token keeps the old key until it has the new one."""
        key = intent.secret(self.id)
        if not token.piv().authenticated and not any(
            opens(token, one.reveal()) for one in (self._old, key)
        ):
            raise TokenConflict(
                f"token {token.id.label}: its PIV management key is not the one in escrow",
                remedy="Look whose it is: tokenprov token audit.",
            )
        if self._copied:
            token.piv().put_object(OBJECT_ID.PRINTED, protected_copy(key))
            token.piv().put_object(ADMIN_DATA, MARK)
        self.change(token, key)


def _puk_unusable(piv: PivApplet) -> Finding | None:
    """Why the PUK cannot be used; None where it can."""
    left = piv.puk_tries().remaining
    if left == 0:
        return Finding(state=State.CONFLICT, reason="its PUK is blocked")
    if not affordable(left):
        return Finding(state=State.UNKNOWN, reason="its PUK has too few tries left to be tried")
    return None
