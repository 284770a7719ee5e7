"""`tokenprov sim`: virtual tokens, for rehearsals; a program of its own, hung in here."""

from tokenprov.sim.__main__ import main as sim

__all__ = ["sim"]
