"""What keeps a token from being reset, taken off with what escrow has: access codes, lock code."""

from __future__ import annotations

from collections.abc import Mapping

from yubikit.management import DeviceConfig

from tokenprov.secret import Secret
from tokenprov.steps.device.lock_code import LOCK_CODE_SIZE, NAME
from tokenprov.steps.otp.slot import access_code_name
from tokenprov.token import Token


def unlock(token: Token, held: Mapping[str, Secret]) -> None:
    """Empty the OTP slots that are behind access codes, and take the lock code away.

    What is off already is left alone. Raises `AuthenticationFailed` for a code that is not ours.
    """
    for slot in (2, 1):  # some firmware shows the slot that is deleted last until its next power-up
        code = held.get(access_code_name(slot))
        if code is not None and token.otp().configured(slot):
            token.otp().delete(slot, code.reveal())
    lock = held.get(NAME)
    management = token.management() if lock is not None else None
    if lock is not None and management is not None and management.info.is_locked:
        none = Secret(bytes(LOCK_CODE_SIZE))
        management.write(DeviceConfig(), lock_code=lock, new_lock_code=none)
