"""What the card says about its holder: name, language, login, where the public key is."""

from __future__ import annotations

from tokenprov.model import Json
from tokenprov.secret import RandomBytes
from tokenprov.step import Drawn, Finding, Intent, State
from tokenprov.steps.openpgp.access import verify_admin
from tokenprov.token import Token
from tokenprov.token.openpgp import Cardholder


class CardholderStep:
    """One text of the card. `public`: it names nobody, so it may stand in the entry."""

    def __init__(self, what: Cardholder, text: str, *, public: bool) -> None:
        self._what, self._text, self._public = what, text, public
        self._data = text.encode()
        self.id = f"openpgp/{what.name.lower()}"
        self.title = f"OpenPGP {what.name.lower()}"

    def draw(self, random: RandomBytes) -> Drawn:
        """Nothing is drawn."""
        return Drawn()

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """Empty at the factory; another text is somebody's."""
        there = token.openpgp().cardholder(self._what)
        if not there:
            return Finding(state=State.ABSENT)
        if there != self._data:
            return Finding(state=State.CONFLICT, reason=f"its {self.title} is somebody's")
        facts: dict[str, Json] = {"text": self._text} if self._public else {"set": True}
        return Finding(state=State.MATCH, facts=facts)

    def apply(self, token: Token, intent: Intent) -> None:
        """One command, with the admin PIN."""
        verify_admin(token)
        token.openpgp().put_cardholder(self._what, self._data)
