"""authenticatorLargeBlobs (CTAP 2.1, 6.10): one array of bytes, read and written in fragments.

A write is put together in memory and kept only when it is complete and its last 16 bytes are the
first 16 of the SHA-256 of the rest; what it means is the platform's business.
"""

from __future__ import annotations

import hashlib
from enum import IntEnum
from typing import Any

from tokenprov.sim.ctap.arguments import Arguments
from tokenprov.sim.ctap.core import Core, PinUvParameters
from tokenprov.sim.ctap.wire import Command, CtapError, Permission, Status

OVERHEAD = 64  # bytes; CTAP 2.1, 6.10.2: maxFragmentLength = maxMsgSize - 64
CHECKSUM_LENGTH = 16
MIN_LENGTH = CHECKSUM_LENGTH + 1
PREFIX = b"\xff" * 32 + bytes([Command.LARGE_BLOBS, 0])  # CTAP 2.1, 6.10.2


class Parameter(IntEnum):
    """Parameters of the command (CTAP 2.1, 6.10.2)."""

    GET = 0x01
    SET = 0x02
    OFFSET = 0x03
    LENGTH = 0x04
    PIN_UV_AUTH_PARAM = 0x05
    PIN_UV_AUTH_PROTOCOL = 0x06


class Response(IntEnum):
    """Members of the answer (CTAP 2.1, 6.10.2)."""

    CONFIG = 0x01


KEYS = PinUvParameters(Parameter.PIN_UV_AUTH_PARAM, Parameter.PIN_UV_AUTH_PROTOCOL)


class LargeBlobs:
    """The command. `forget` drops an unfinished write."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._fragment = core.features.max_message - OVERHEAD
        self.forget()

    def forget(self) -> None:
        """Power went."""
        self._expected_length = 0
        self._pending = b""

    def run(self, arguments: Arguments) -> dict[int, Any]:
        """Read or write one fragment. Raises `CtapError`."""
        get = arguments.optional(Parameter.GET, int)
        data = arguments.optional(Parameter.SET, bytes)
        offset = arguments.optional(Parameter.OFFSET, int)
        if offset is None or offset < 0 or (get is None) == (data is None):
            raise CtapError(Status.INVALID_PARAMETER)
        if data is None:
            return self._get(arguments, get or 0, offset)
        return self._set(arguments, data, offset)

    def _get(self, arguments: Arguments, count: int, offset: int) -> dict[int, Any]:
        if any(key in arguments for key in (Parameter.LENGTH, KEYS.param, KEYS.protocol)):
            raise CtapError(Status.INVALID_PARAMETER)
        if count > self._fragment:
            raise CtapError(Status.INVALID_LENGTH)
        stored = self._core.state.large_blobs
        if count < 0 or offset > len(stored):
            raise CtapError(Status.INVALID_PARAMETER)
        return {Response.CONFIG: stored[offset : offset + count]}

    def _set(self, arguments: Arguments, data: bytes, offset: int) -> dict[int, Any]:
        core = self._core
        if len(data) > self._fragment:
            raise CtapError(Status.INVALID_LENGTH)
        length = arguments.optional(Parameter.LENGTH, int)
        if offset == 0:
            if length is None:
                raise CtapError(Status.INVALID_PARAMETER)
            if length > core.features.max_large_blobs:
                raise CtapError(Status.LARGE_BLOB_STORAGE_FULL)
            if length < MIN_LENGTH:
                raise CtapError(Status.INVALID_PARAMETER)
            self._expected_length, self._pending = length, b""
        elif length is not None:
            raise CtapError(Status.INVALID_PARAMETER)
        if offset != len(self._pending):
            raise CtapError(Status.INVALID_SEQ)
        if core.protected or core.state.always_uv:
            digest = hashlib.sha256(data).digest()
            message = PREFIX + offset.to_bytes(4, "little") + digest
            core.authorize(arguments, KEYS, message, Permission.LARGE_BLOB_WRITE)
        if offset + len(data) > self._expected_length:
            raise CtapError(Status.INVALID_PARAMETER)
        self._pending += data
        if len(self._pending) == self._expected_length:
            self._commit()
        return {}

    def _commit(self) -> None:
        array = self._pending
        self.forget()
        digest = hashlib.sha256(array[:-CHECKSUM_LENGTH]).digest()
        if array[-CHECKSUM_LENGTH:] != digest[:CHECKSUM_LENGTH]:
            raise CtapError(Status.INTEGRITY_FAILURE)
        self._core.state.large_blobs = array
        self._core.body.save()
