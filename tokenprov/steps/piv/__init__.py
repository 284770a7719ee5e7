"""PIV steps (SP 800-73-4): tries, PIN, PUK, management key, objects, keys, certificates."""

from tokenprov.steps.piv.build import piv_steps

__all__ = ["piv_steps"]
