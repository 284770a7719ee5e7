"""A PIV session that reads nothing twice: what was read, and not written since, is known.

A connection is exclusive, so what is on the token changes by this session's own commands alone.
Rules:
- A write forgets what it writes, whether it succeeds or not: the read-back after it goes to the
  token.
- A PIN or PUK that was refused, or may have been, is forgotten with its tries.
- What the token refused for want of a PIN or key is asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum, auto
from typing import Any, TypeVar

from cryptography import x509
from yubikit.core import NotSupportedError
from yubikit.core.smartcard import SW, ApduError, SmartCardConnection
from yubikit.piv import (
    KEY_TYPE,
    MANAGEMENT_KEY_TYPE,
    PIN_POLICY,
    SLOT,
    TOUCH_POLICY,
    BioMetadata,
    ManagementKeyMetadata,
    PinMetadata,
    PublicKey,
    SlotMetadata,
)

from tokenprov.device.piv_session import Session
from tokenprov.token.piv import PrivateKey

_T = TypeVar("_T")


class _Of(Enum):
    """Kinds of what is read; slots and objects have a number beside it."""

    PIN = auto()
    PUK = auto()
    MANAGEMENT_KEY = auto()
    FINGERPRINTS = auto()
    KEY = auto()
    ATTESTATION = auto()
    PROBE = auto()
    OBJECT = auto()


class RememberingSession(Session):
    """Everything else is as in the session below."""

    def __init__(self, connection: SmartCardConnection) -> None:
        self._known: dict[tuple[_Of, int], Any] = {}  # a value, or the error that was the answer
        super().__init__(connection)

    def _once(self, what: _Of, read: Callable[[], _T], number: int = 0) -> _T:
        key = what, int(number)
        if key not in self._known:
            try:
                self._known[key] = read()
            except NotSupportedError as error:
                self._known[key] = error
            except ApduError as error:
                if error.sw == SW.SECURITY_CONDITION_NOT_SATISFIED:
                    raise
                self._known[key] = error
        known = self._known[key]
        if isinstance(known, Exception):
            raise known.with_traceback(None)
        value: _T = known
        return value

    @contextmanager
    def _writing(self, *what: _Of, number: int = 0) -> Iterator[None]:
        try:
            yield
        finally:
            for one in what:
                self._known.pop((one, int(number)), None)

    # Reads

    def get_pin_metadata(self) -> PinMetadata:
        return self._once(_Of.PIN, super().get_pin_metadata)

    def get_puk_metadata(self) -> PinMetadata:
        return self._once(_Of.PUK, super().get_puk_metadata)

    def get_management_key_metadata(self) -> ManagementKeyMetadata:
        return self._once(_Of.MANAGEMENT_KEY, super().get_management_key_metadata)

    def get_bio_metadata(self) -> BioMetadata:
        return self._once(_Of.FINGERPRINTS, super().get_bio_metadata)

    def get_slot_metadata(self, slot: SLOT) -> SlotMetadata:
        read = super().get_slot_metadata
        return self._once(_Of.KEY, lambda: read(slot), slot)

    def attest_key(self, slot: SLOT) -> x509.Certificate:
        read = super().attest_key
        return self._once(_Of.ATTESTATION, lambda: read(slot), slot)

    def holds_key(self, slot: SLOT) -> bool:
        read = super().holds_key
        return self._once(_Of.PROBE, lambda: read(slot), slot)

    def get_object(self, object_id: int) -> bytes:
        read = super().get_object
        return self._once(_Of.OBJECT, lambda: read(object_id), object_id)

    # Writes, and what may count as one

    def verify_pin(self, pin: str) -> None:
        known = self._known.pop((_Of.PIN, 0), None)
        super().verify_pin(pin)
        if isinstance(known, PinMetadata) and known.attempts_remaining == known.total_attempts:
            self._known[_Of.PIN, 0] = known  # it was right: every try is still there

    def change_pin(self, old_pin: str, new_pin: str) -> None:
        with self._writing(_Of.PIN):
            super().change_pin(old_pin, new_pin)

    def change_puk(self, old_puk: str, new_puk: str) -> None:
        with self._writing(_Of.PUK):
            super().change_puk(old_puk, new_puk)

    def unblock_pin(self, puk: str, new_pin: str) -> None:
        with self._writing(_Of.PIN, _Of.PUK):
            super().unblock_pin(puk, new_pin)

    def set_pin_attempts(self, pin_attempts: int, puk_attempts: int) -> None:
        with self._writing(_Of.PIN, _Of.PUK):
            super().set_pin_attempts(pin_attempts, puk_attempts)

    def set_management_key(
        self,
        key_type: MANAGEMENT_KEY_TYPE,
        management_key: bytes,
        require_touch: bool = False,
    ) -> None:
        with self._writing(_Of.MANAGEMENT_KEY):
            super().set_management_key(key_type, management_key, require_touch)

    def generate_key(
        self,
        slot: SLOT,
        key_type: KEY_TYPE,
        pin_policy: PIN_POLICY = PIN_POLICY.DEFAULT,
        touch_policy: TOUCH_POLICY = TOUCH_POLICY.DEFAULT,
    ) -> PublicKey:
        with self._writing(_Of.KEY, _Of.ATTESTATION, _Of.PROBE, number=slot):
            return super().generate_key(slot, key_type, pin_policy, touch_policy)

    def put_key(
        self,
        slot: SLOT,
        private_key: PrivateKey,
        pin_policy: PIN_POLICY = PIN_POLICY.DEFAULT,
        touch_policy: TOUCH_POLICY = TOUCH_POLICY.DEFAULT,
    ) -> KEY_TYPE:
        with self._writing(_Of.KEY, _Of.ATTESTATION, _Of.PROBE, number=slot):
            return super().put_key(slot, private_key, pin_policy, touch_policy)

    def put_object(self, object_id: int, data: bytes | None = None) -> None:
        with self._writing(_Of.OBJECT, number=object_id):
            super().put_object(object_id, data)

    def move_key(self, from_slot: SLOT, to_slot: SLOT) -> None:
        self._known.clear()
        super().move_key(from_slot, to_slot)

    def delete_key(self, slot: SLOT) -> None:
        self._known.clear()
        super().delete_key(slot)

    def reset(self) -> None:
        self._known.clear()
        super().reset()
        self._known.clear()
