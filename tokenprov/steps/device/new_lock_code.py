"""The lock code of the device configuration, made anew."""

from __future__ import annotations

from yubikit.management import DeviceConfig

from tokenprov.errors import AuthenticationFailed
from tokenprov.secret import Secret
from tokenprov.step import Finding, Intent, State
from tokenprov.steps.device.lock_code import NAME, LockCodeStep
from tokenprov.token import Token


class NewLockCodeStep(LockCodeStep):
    """A drawn lock code in the place of the one in escrow. It cannot be read."""

    def __init__(self, old: Secret) -> None:
        self._old = old

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """Whether there is one, and whether this process knows that it is the new one."""
        if not token.management().info.is_locked:
            return Finding(state=State.CONFLICT, reason="it has no lock code any more")
        if intent is None:
            return Finding(state=State.ABSENT, blind=True)
        return super().observe(token, intent)

    def apply(self, token: Token, intent: Intent) -> None:
        """With the new code, or else with the old one; refused where it is neither."""
        management, code = token.management(), intent.secret(NAME)
        try:
            management.write(DeviceConfig(), lock_code=code, new_lock_code=code)
        except AuthenticationFailed:
            management.write(DeviceConfig(), lock_code=self._old, new_lock_code=code)
