"""Steps for tokens behind a PKCS#11 module: the token itself, its PINs, keys, certificates."""

from tokenprov.steps.pkcs11.build import pkcs11_steps

__all__ = ["pkcs11_steps"]
