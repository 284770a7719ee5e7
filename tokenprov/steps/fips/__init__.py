"""FIPS steps: approved mode, as the token says it."""

from tokenprov.steps.fips.build import fips_steps

__all__ = ["fips_steps"]
