"""What journals that last as long as a test have in common: drawing what steps promise."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from tokenprov.step import Intent, Step


def promises(ahead: Sequence[Step], due: Sequence[Step]) -> dict[str, Intent]:
    """The intents of steps, by step."""
    drawn = {step.id: step.draw(secrets.token_bytes) for step in (*ahead, *due)}
    early = {step.id for step in ahead}
    return {
        name: Intent(step=name, drawn=one.secrets, public=one.public, ahead=name in early)
        for name, one in drawn.items()
    }
