"""What is in the OTP slots."""

from __future__ import annotations

from tokenprov.model import Json
from tokenprov.token import Token


def otp_inventory(token: Token, used: list[str]) -> Json:
    """Whether each slot is configured; slot 1 is so at the factory."""
    otp = token.otp()
    slots: dict[str, Json] = {}
    for slot in (1, 2):
        configured = otp.configured(slot)
        slots[str(slot)] = {"configured": configured}
        if configured:
            slots[str(slot)]["byTouch"] = otp.touch_triggered(slot)
    if slots["1"].get("byTouch") is False:
        used.append("OTP slot 1 holds a credential for challenge-response: it is not the factory's")
    if slots["2"]["configured"]:  # slot 1 is configured at the factory
        used.append("OTP slot 2 holds a credential")
    return {"slots": slots}
