"""The parameters of a command as typed values, with the status codes for what is amiss.

A parameter of the wrong type is CTAP2_ERR_CBOR_UNEXPECTED_TYPE, a mandatory one that is absent is
CTAP2_ERR_MISSING_PARAMETER (CTAP 2.1, 6 and 8.2); an unknown one is ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from tokenprov.sim.ctap.wire import CtapError, Status

T = TypeVar("T")
PUBLIC_KEY = "public-key"  # WebAuthn Level 2, 5.8.2: the only credential type


class Arguments:
    """A map of a command: the whole of its parameters, or a map within them."""

    def __init__(self, values: Mapping[Any, Any]) -> None:
        self.values = values

    def __contains__(self, key: int | str) -> bool:
        return key in self.values

    def optional(self, key: int | str, kind: type[T]) -> T | None:
        """The parameter, or None when it is absent. A bool does not count as an int."""
        if key not in self.values:
            return None
        value = self.values[key]
        if type(value) is not kind:
            raise CtapError(Status.CBOR_UNEXPECTED_TYPE)
        return value

    def required(self, key: int | str, kind: type[T]) -> T:
        """The parameter. Raises `CtapError` MISSING_PARAMETER when it is absent."""
        value = self.optional(key, kind)
        if value is None:
            raise CtapError(Status.MISSING_PARAMETER)
        return value

    def flag(self, key: str, default: bool) -> bool:
        """An option: true or false, with its default."""
        value = self.optional(key, bool)
        return default if value is None else value

    def map(self, key: int | str) -> Arguments:
        """A map within; an empty one when it is absent."""
        return Arguments(self.optional(key, dict) or {})

    def descriptors(self, key: int, most: int) -> list[bytes]:
        """The ids of a list of credential descriptors; unknown types are left out.

        Raises `CtapError` LIMIT_EXCEEDED for more than `most` of them (maxCredentialCountInList).
        """
        entries = self.optional(key, list)
        if entries is None:
            return []
        if len(entries) > most:
            raise CtapError(Status.LIMIT_EXCEEDED)
        found = (descriptor(entry) for entry in entries)
        return [id_ for id_ in found if id_ is not None]


def descriptor(value: object) -> bytes | None:
    """The id in a PublicKeyCredentialDescriptor (WebAuthn Level 2, 5.8.3), None for other types."""
    if not isinstance(value, dict):
        raise CtapError(Status.CBOR_UNEXPECTED_TYPE)
    entry = Arguments(value)
    kind, id_ = entry.required("type", str), entry.required("id", bytes)
    return id_ if kind == PUBLIC_KEY else None
