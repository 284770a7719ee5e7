"""Custodians' private keys, wherever they are: a file, a PKCS#11 token, the 9d of a PIV token."""

from tokenprov.custodians.choose import opened_key

__all__ = ["opened_key"]
