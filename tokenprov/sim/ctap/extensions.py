"""The extensions of makeCredential and getAssertion (CTAP 2.1, 12).

An extension that the firmware does not have is ignored, as one that nobody has. credBlob and
minPinLength answer in the authenticator data, largeBlobKey beside it.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from tokenprov.sim.ctap import credentials
from tokenprov.sim.ctap.arguments import Arguments
from tokenprov.sim.ctap.core import Core
from tokenprov.sim.ctap.features import Features
from tokenprov.sim.ctap.pin_protocol import PinUvAuthProtocol
from tokenprov.sim.ctap.state import Credential
from tokenprov.sim.ctap.wire import CredentialProtection, CtapError, Status

CRED_PROTECT = "credProtect"
HMAC_SECRET = "hmac-secret"
LARGE_BLOB_KEY = "largeBlobKey"
CRED_BLOB = "credBlob"
MIN_PIN_LENGTH = "minPinLength"

SALT_LENGTH = 32  # bytes; CTAP 2.1, 12.5


class HmacSecretParameter(IntEnum):
    """Members of the hmac-secret input of getAssertion (CTAP 2.1, 12.5)."""

    KEY_AGREEMENT = 0x01
    SALT_ENC = 0x02
    SALT_AUTH = 0x03
    PROTOCOL = 0x04


def _known(arguments: Arguments, features: Features) -> Arguments:
    return Arguments({k: v for k, v in arguments.values.items() if k in features.extensions})


def _true_only(arguments: Arguments, name: str) -> bool:
    """A member that is true when it is there (12.3). Raises `CtapError` INVALID_OPTION if false."""
    value = arguments.optional(name, bool)
    if value is False:
        raise CtapError(Status.INVALID_OPTION)
    return bool(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationExtensions:
    """What makeCredential was asked for; `protection` is None where nothing was said."""

    protection: CredentialProtection | None
    hmac_secret: bool
    large_blob_key: bool
    blob: bytes | None  # None: credBlob was not asked for
    blob_stored: bool
    min_pin_length: bool

    @classmethod
    def parse(
        cls, arguments: Arguments, features: Features, discoverable: bool
    ) -> RegistrationExtensions:
        """Read the extensions map. Raises `CtapError`."""
        known = _known(arguments, features)
        level = known.optional(CRED_PROTECT, int)
        if level is not None and level not in tuple(CredentialProtection):
            raise CtapError(Status.INVALID_OPTION)
        large_blob_key = _true_only(known, LARGE_BLOB_KEY)
        if large_blob_key and not discoverable:  # 12.3
            raise CtapError(Status.INVALID_OPTION)
        blob = known.optional(CRED_BLOB, bytes)
        fits = blob is not None and len(blob) <= features.max_credential_blob
        return cls(
            protection=None if level is None else CredentialProtection(level),
            hmac_secret=known.flag(HMAC_SECRET, False),
            large_blob_key=large_blob_key,
            blob=blob,
            blob_stored=fits and discoverable,  # 12.2
            min_pin_length=known.flag(MIN_PIN_LENGTH, False),
        )

    def outputs(self, core: Core, rp_id: str) -> dict[str, Any]:
        """The extension outputs in the authenticator data."""
        outputs: dict[str, Any] = {}
        if self.protection is not None:
            outputs[CRED_PROTECT] = self.protection
        if self.hmac_secret:
            outputs[HMAC_SECRET] = True
        if self.blob is not None:
            outputs[CRED_BLOB] = self.blob_stored
        if self.min_pin_length and rp_id in core.state.min_pin_rp_ids:  # 12.4
            outputs[MIN_PIN_LENGTH] = core.state.min_pin_length
        return outputs


@dataclass(frozen=True, slots=True, kw_only=True)
class HmacSecretRequest:
    """The salts of an hmac-secret request, decrypted, and how to send the answer."""

    protocol: PinUvAuthProtocol
    shared_secret: bytes
    salts: tuple[bytes, ...]

    @classmethod
    def parse(cls, arguments: Arguments, core: Core) -> HmacSecretRequest:
        """Check and decrypt the salts (CTAP 2.1, 12.5). Raises `CtapError`."""
        agreement = Arguments(arguments.required(HmacSecretParameter.KEY_AGREEMENT, dict))
        salt_enc = arguments.required(HmacSecretParameter.SALT_ENC, bytes)
        salt_auth = arguments.required(HmacSecretParameter.SALT_AUTH, bytes)
        number = 1  # the default
        if HmacSecretParameter.PROTOCOL in arguments:
            number = core.protocol(arguments, HmacSecretParameter.PROTOCOL)
        protocol = core.protocols.get(number)
        if protocol is None:
            raise CtapError(Status.INVALID_PARAMETER)
        secret = protocol.decapsulate(agreement)
        if not protocol.verify(secret, salt_enc, salt_auth):
            raise CtapError(Status.PIN_AUTH_INVALID)
        salts = protocol.decrypt(secret, salt_enc)
        if len(salts) not in (SALT_LENGTH, 2 * SALT_LENGTH):
            raise CtapError(Status.INVALID_PARAMETER)
        parts = (salts[:SALT_LENGTH], salts[SALT_LENGTH:])
        return cls(protocol=protocol, shared_secret=secret, salts=tuple(p for p in parts if p))

    def answer(self, mac: Callable[[bytes], bytes]) -> bytes:
        """The encrypted outputs: `mac` of each salt."""
        outputs = b"".join(mac(salt) for salt in self.salts)
        return self.protocol.encrypt(self.shared_secret, outputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class AssertionExtensions:
    """What getAssertion was asked for."""

    hmac_secret: HmacSecretRequest | None
    large_blob_key: bool
    blob: bool

    @classmethod
    def parse(cls, arguments: Arguments, core: Core, user_present: bool) -> AssertionExtensions:
        """Read the extensions map. Raises `CtapError`."""
        known = _known(arguments, core.features)
        request = None
        if HMAC_SECRET in known:
            if not user_present:  # 12.5
                raise CtapError(Status.UNSUPPORTED_OPTION)
            request = HmacSecretRequest.parse(known.map(HMAC_SECRET), core)
        return cls(
            hmac_secret=request,
            large_blob_key=_true_only(known, LARGE_BLOB_KEY),
            blob=known.flag(CRED_BLOB, False),
        )

    def outputs(self, core: Core, credential: Credential, user_verified: bool) -> dict[str, Any]:
        """The extension outputs in the authenticator data for one credential."""
        outputs: dict[str, Any] = {}
        if self.hmac_secret and credential.hmac_secret:
            key = credentials.hmac_secret(core.state, credential, user_verified)
            outputs[HMAC_SECRET] = self.hmac_secret.answer(lambda salt: _hmac(key, salt))
        if self.blob:
            outputs[CRED_BLOB] = credential.blob
        return outputs


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")
