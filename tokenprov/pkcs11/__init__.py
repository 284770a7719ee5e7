"""Tokens and keys behind a PKCS#11 module, which runs in a process of its own.

A module is somebody else's code: it may crash, hang, or say what is not so. None of it is loaded
into this process. PKCS #11 3.1.
"""

from tokenprov.pkcs11.key import ModuleKey, module_key
from tokenprov.pkcs11.module import Module
from tokenprov.pkcs11.uri import Pkcs11Uri
from tokenprov.pkcs11.values import Found, KeyPair, Stored, TokenInfo

__all__ = [
    "Found",
    "KeyPair",
    "Module",
    "ModuleKey",
    "Pkcs11Uri",
    "Stored",
    "TokenInfo",
    "module_key",
]
