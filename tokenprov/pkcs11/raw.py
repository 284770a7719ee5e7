"""What python-pkcs11 does not offer, asked of the module by its own list of functions (3.1, 5.2).

It is the module that python-pkcs11 has loaded and initialised in this process, the worker's.
"""

from __future__ import annotations

import ctypes
from typing import Any

from tokenprov.pkcs11.values import LABEL_SIZE

GET_TOKEN_INFO, INIT_TOKEN = 6, 9  # places in CK_FUNCTION_LIST (3.6)
NAMES = {  # return values (3.1, 5.1) by the names that python-pkcs11 has for them
    0x30: "DeviceError",
    0x32: "DeviceRemoved",
    0x54: "FunctionNotSupported",
    0xA0: "PinIncorrect",
    0xA1: "PinInvalid",
    0xA2: "PinLenRange",
    0xA4: "PinLocked",
    0xB6: "SessionExists",
    0xE0: "TokenNotPresent",
    0xE1: "TokenNotRecognised",
    0xE2: "TokenWriteProtected",
}


class _TokenInfo(ctypes.Structure):
    """CK_TOKEN_INFO (3.1)."""

    _fields_ = (
        *(("label", ctypes.c_char * LABEL_SIZE), ("maker", ctypes.c_char * 32)),
        *(("model", ctypes.c_char * 16), ("serial", ctypes.c_char * 16)),
        ("flags", ctypes.c_ulong),
        ("sessions", ctypes.c_ulong * 4),
        *(("most_pin", ctypes.c_ulong), ("least_pin", ctypes.c_ulong)),
        ("memory", ctypes.c_ulong * 4),
        *(("hardware", ctypes.c_ubyte * 2), ("firmware", ctypes.c_ubyte * 2)),
        ("time", ctypes.c_char * 16),
    )


def init_token(path: str, slot: int, so_pin: bytes, label: bytes) -> int:
    """C_InitToken (5.5.8); gives the return value."""
    padded = label.ljust(LABEL_SIZE)[:LABEL_SIZE]
    argtypes = (ctypes.c_ulong, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)
    return int(_function(path, INIT_TOKEN, *argtypes)(slot, so_pin, len(so_pin), padded))


def pin_lengths(path: str, slot: int) -> tuple[int, int]:
    """The least and the most characters of PINs (C_GetTokenInfo); zeros where it does not say."""
    info = _TokenInfo()
    argtypes = (ctypes.c_ulong, ctypes.POINTER(_TokenInfo))
    code = _function(path, GET_TOKEN_INFO, *argtypes)(slot, ctypes.byref(info))
    return (0, 0) if code else (info.least_pin, info.most_pin)


def _function(path: str, place: int, *argtypes: Any) -> Any:
    """A function by its place in the list."""
    module = ctypes.CDLL(path)
    functions = ctypes.POINTER(ctypes.c_void_p)()
    module.C_GetFunctionList(ctypes.byref(functions))
    # CK_FUNCTION_LIST: a CK_VERSION, filled up to a pointer's size, then the functions
    return ctypes.CFUNCTYPE(ctypes.c_ulong, *argtypes)(functions[1 + place] or 0)
