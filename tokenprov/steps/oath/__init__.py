"""OATH steps: the password, and the accounts."""

from tokenprov.steps.oath.build import oath_steps

__all__ = ["oath_steps"]
