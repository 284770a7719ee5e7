"""yubikit's PIV session, on tokens whose version promises metadata that is not there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from yubikit.core import NotSupportedError, Tlv
from yubikit.core.smartcard import SW, ApduError
from yubikit.piv import (
    KEY_TYPE,
    MANAGEMENT_KEY_TYPE,
    SLOT,
    ManagementKeyMetadata,
    PinMetadata,
    PivSession,
    SlotMetadata,
)

from tokenprov.device.translate import KEY_IS_THERE, is_absent, is_missing

INS_GENERAL_AUTHENTICATE = 0x87  # SP 800-73-4 part 2, 3.2.4
REF_MANAGEMENT = 0x9B  # part 1, table 4b
TAG_DYNAMIC_AUTH = 0x7C  # part 2, table 7
TAG_WITNESS, TAG_CHALLENGE, TAG_RESPONSE = 0x80, 0x81, 0x82

_PROBE_SIZES = {  # bytes that a signature input of this algorithm has
    KEY_TYPE.ECCP256: 32,
    KEY_TYPE.RSA2048: 256,
    KEY_TYPE.ECCP384: 48,
    KEY_TYPE.RSA1024: 128,
}

_LATER_SIZES = {KEY_TYPE.RSA3072: 384, KEY_TYPE.RSA4096: 512, KEY_TYPE.ED25519: 32}
MORE_SIZES_SINCE = (5, 7, 0)  # firmware

_T = TypeVar("_T")


class Session(PivSession):
    """yubikit's session, on tokens whose version promises metadata that is not there."""

    has_metadata = True

    def _metadata(self, read: Callable[[], _T], *, always_there: bool = True) -> _T:
        """`always_there`: what it is of; that it is not found says then that metadata is not."""
        try:
            return read()
        except NotSupportedError:
            self.has_metadata = False
            raise
        except ApduError as error:
            without = is_missing(error.sw) or always_there and is_absent(error.sw)
            if not without and error.sw != SW.DATA_INVALID:  # what one token answers
                raise
            self.has_metadata = False
            raise NotSupportedError("no metadata") from error

    def get_management_key_metadata(self) -> ManagementKeyMetadata:
        return self._metadata(super().get_management_key_metadata)

    def get_pin_metadata(self) -> PinMetadata:
        return self._metadata(super().get_pin_metadata)

    def get_puk_metadata(self) -> PinMetadata:
        return self._metadata(super().get_puk_metadata)

    def get_slot_metadata(self, slot: SLOT) -> SlotMetadata:
        read = super().get_slot_metadata
        return self._metadata(lambda: read(slot), always_there=False)

    def find_management_key_type(self) -> None:
        """Take the first algorithm for which the token gives a witness."""
        for algorithm in MANAGEMENT_KEY_TYPE:
            try:
                self.protocol.send_apdu(
                    0,
                    INS_GENERAL_AUTHENTICATE,
                    algorithm,
                    REF_MANAGEMENT,
                    Tlv(TAG_DYNAMIC_AUTH, Tlv(TAG_WITNESS)),
                )
            except ApduError:
                continue
            self._management_key_type = algorithm
            return

    def holds_key(self, slot: SLOT) -> bool:
        """Ask for a signature without a PIN: a key answers, or says that security is missing."""
        later = _LATER_SIZES if self.version >= MORE_SIZES_SINCE else {}
        for algorithm, size in (_PROBE_SIZES | later).items():
            body = Tlv(TAG_RESPONSE) + Tlv(TAG_CHALLENGE, b"\0" * (size - 1) + b"\1")
            try:
                self.protocol.send_apdu(
                    0, INS_GENERAL_AUTHENTICATE, algorithm, slot, Tlv(TAG_DYNAMIC_AUTH, body)
                )
            except ApduError as error:
                if error.sw in KEY_IS_THERE:
                    return True
                continue
            return True
        return False
