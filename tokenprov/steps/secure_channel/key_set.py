"""A drawn set of SCP03 keys in the place of the factory's, which everybody knows.

Rules:
- The three keys go in one command, encrypted under the factory's, so that a token holds either set
  whole. After it the factory's opens no channel any more.
- After a cut, the versions say which of the two is there, and a channel whether it is ours.
"""

from __future__ import annotations

from tokenprov.model import SecretKind
from tokenprov.secret import RandomBytes, draw_bytes
from tokenprov.step import Drawn, DrawnSecret, Finding, Intent, State
from tokenprov.steps.secure_channel.scp03 import OWN_SET, set_versions
from tokenprov.token import Scp03, Token
from tokenprov.token.security_domain import FACTORY_SET, SCP03_SET_SIZE

NAME = "secure-channel/scp03-keys"
_FOREIGN = Finding(state=State.CONFLICT, reason="its SCP03 keys are neither the factory's nor ours")


class KeySetStep:
    """K-ENC, K-MAC and K-DEK, drawn."""

    id = "secure-channel/scp03-keys"
    title = "SCP03 keys"

    def __init__(self, *, goes_on: bool) -> None:
        """`goes_on`: what comes after this runs over a channel with these keys."""
        self._goes_on = goes_on

    def draw(self, random: RandomBytes) -> Drawn:
        """Three keys in a row."""
        keys = draw_bytes(SCP03_SET_SIZE, random)
        return Drawn(secrets={NAME: DrawnSecret(kind=SecretKind.SCP_KEY, value=keys)})

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """The factory's set, ours if a channel opens with it, or somebody's."""
        versions = set_versions(token)
        if FACTORY_SET in versions:
            return Finding(state=State.ABSENT)
        if intent is None or OWN_SET not in versions:
            return _FOREIGN
        channel = Scp03(version=OWN_SET, keys=intent.secret(NAME))
        if not token.security_domain().opens(channel):
            return _FOREIGN
        if self._goes_on:
            token.secure(channel)
        return Finding(state=State.MATCH, facts={"version": OWN_SET, "factorySet": False})

    def apply(self, token: Token, intent: Intent) -> None:
        """One command, over a channel with the factory's keys."""
        token.security_domain().put_key_set(OWN_SET, intent.secret(NAME))
