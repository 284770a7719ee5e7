"""Every command from here on over SCP03, by the factory's keys or by those that we set."""

from __future__ import annotations

from yubikit.core.smartcard.scp import ScpKid

from tokenprov.model import SecretKind
from tokenprov.secret import RandomBytes
from tokenprov.step import Drawn, Finding, Intent, State
from tokenprov.token import Scp03, Token
from tokenprov.token.security_domain import FACTORY_SET

OWN_SET = 2  # version of ours: firmware before SCP11 has 1 to 3, and 1 is that of SCP11b's key


def set_versions(token: Token) -> tuple[int, ...]:
    """The versions of the SCP03 key sets that are there."""
    keys = token.security_domain().key_references()
    return tuple(key.version for key in keys if key.id == ScpKid.SCP03)


class Scp03Step:
    """Writes nothing: it says what the steps after it run over."""

    id = "secure-channel/scp03"
    title = "secure channel (SCP03)"

    def draw(self, random: RandomBytes) -> Drawn:
        """Nothing."""
        return Drawn()

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """By the versions of the key sets: no key is tried that cannot be the right one."""
        versions, ours = set_versions(token), token.keyring.get(SecretKind.SCP_KEY)
        if FACTORY_SET in versions:
            token.secure(Scp03(version=FACTORY_SET))
            return Finding(state=State.MATCH, facts={"keys": "factory"})
        if ours is not None and OWN_SET in versions:
            token.secure(Scp03(version=OWN_SET, keys=ours))
            return Finding(state=State.MATCH, facts={"keys": "own", "version": OWN_SET})
        return Finding(
            state=State.CONFLICT, reason="its SCP03 keys are neither the factory's nor ours"
        )

    def apply(self, token: Token, intent: Intent) -> None:
        """Nothing."""
