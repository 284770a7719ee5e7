"""What journals that last as long as a test have in common: drawing what steps promise."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from tokenprov.step import Intent, Step


def promises(steps: Sequence[Step], *, ahead: bool) -> dict[str, Intent]:
    """The intents of steps, by step."""
    drawn = {step.id: step.draw(secrets.token_bytes) for step in steps}
    return {
        name: Intent(step=name, drawn=one.secrets, public=one.public, ahead=ahead)
        for name, one in drawn.items()
    }
