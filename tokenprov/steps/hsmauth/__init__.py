"""YubiHSM Auth steps: the management key, and the credentials."""

from tokenprov.steps.hsmauth.build import hsmauth_steps

__all__ = ["hsmauth_steps"]
