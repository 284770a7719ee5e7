"""OpenPGP steps: tries, PINs, the cardholder's data, keys."""

from tokenprov.steps.openpgp.build import openpgp_steps

__all__ = ["openpgp_steps"]
