"""FIDO2 steps: PIN, credentials, and a forced change of the PIN."""

from tokenprov.steps.fido2.build import fido2_steps

__all__ = ["fido2_steps"]
