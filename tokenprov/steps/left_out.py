"""Settings that this token cannot have, and that the profile lets go for it.

One step each, so that plan, screen and manifest say what was left out and why.
"""

from __future__ import annotations

from tokenprov.errors import NotSupported
from tokenprov.secret import RandomBytes
from tokenprov.step import Drawn, Finding, Intent, State
from tokenprov.token import Token


class LeftOutStep:
    """Nothing is written, and that is said."""

    def __init__(self, setting: str, reason: str) -> None:
        """`setting` is its path in the profile."""
        self._setting, self._reason = setting, reason

    @property
    def id(self) -> str:
        """Names it in journal and manifest."""
        return f"left-out/{self._setting}"

    @property
    def title(self) -> str:
        """Names it on a screen."""
        return f"{self._setting} of the profile"

    def draw(self, random: RandomBytes) -> Drawn:
        """Nothing."""
        return Drawn()

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """SKIPPED, with what the token lacks."""
        return Finding(state=State.SKIPPED, reason=self._reason)

    def apply(self, token: Token, intent: Intent) -> None:
        """Never called for what is skipped. Raises `NotSupported`."""
        raise NotSupported(self._reason, remedy="Use another token, or another profile.")
