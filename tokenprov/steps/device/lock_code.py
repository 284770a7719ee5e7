"""The lock code of the device configuration: the last write to it.

A lock code cannot be read. One that is there where we promised one is ours if the token takes the
same code again with it, which changes nothing; the step asks for that after a cut.
"""

from __future__ import annotations

from yubikit.management import DeviceConfig

from tokenprov.model import SecretKind
from tokenprov.secret import RandomBytes, draw_bytes
from tokenprov.step import Drawn, DrawnSecret, Finding, Intent, State
from tokenprov.steps.device.access import LOCKED
from tokenprov.token import Token

LOCK_CODE_SIZE = 16  # bytes
NAME = "device/lock-code"


class LockCodeStep:
    """A drawn lock code."""

    id = "device/lock-code"
    title = "lock code"

    def draw(self, random: RandomBytes) -> Drawn:
        """Sixteen bytes; sixteen zeros would take a lock code away."""
        code = draw_bytes(LOCK_CODE_SIZE, random)
        return Drawn(secrets={NAME: DrawnSecret(kind=SecretKind.LOCK_CODE, value=code)})

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """Whether there is one, and whether this process knows that it is ours."""
        if not token.management().info.is_locked:
            return Finding(state=State.ABSENT, blind=True)
        if intent is None:
            return LOCKED
        if not intent.applied:
            return Finding(state=State.UNKNOWN, reason="whose lock code it is cannot be read")
        return Finding(state=State.MATCH, facts={"locked": True})

    def apply(self, token: Token, intent: Intent) -> None:
        """Set it; or where there is one, set the same again with it. Refused if it is not ours."""
        management, code = token.management(), intent.secret(NAME)
        held = code if management.info.is_locked else None
        management.write(DeviceConfig(), lock_code=held, new_lock_code=code)
