"""What the keys in PIV slots have in common, however they came there (SP 800-73-4 part 1, 3.2)."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from contextlib import nullcontext

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import InvalidVersion, load_der_x509_certificate
from yubikit.piv import KEY_TYPE, PIN_POLICY, SLOT, TOUCH_POLICY

from tokenprov.attestation import PivAttestation
from tokenprov.errors import NotSupported
from tokenprov.step import Evidence
from tokenprov.steps.piv.access import verify_pin
from tokenprov.token import KeyState, Token

BY_FINGERPRINT = (PIN_POLICY.MATCH_ONCE, PIN_POLICY.MATCH_ALWAYS)


class SlotKey(ABC):
    """A private key in a slot, with its policies."""

    def __init__(
        self,
        *,
        slot: SLOT,
        algorithm: KEY_TYPE,
        pin_policy: PIN_POLICY,
        touch_policy: TOUCH_POLICY,
    ) -> None:
        self.slot, self.algorithm = slot, algorithm
        self._pin_policy, self._touch_policy = pin_policy, touch_policy
        self.id = f"piv/{slot:02x}/key"
        self.title = f"PIV key in {slot:02x}"

    @property
    def pin_policy(self) -> PIN_POLICY:
        """What DEFAULT means in this slot (SP 800-73-4 part 1, table 4b)."""
        if self._pin_policy is not PIN_POLICY.DEFAULT:
            return self._pin_policy
        if self.slot is SLOT.SIGNATURE:
            return PIN_POLICY.ALWAYS
        return PIN_POLICY.NEVER if self.slot is SLOT.CARD_AUTH else PIN_POLICY.ONCE

    @property
    def touch_policy(self) -> TOUCH_POLICY:
        """DEFAULT is never."""
        default = self._touch_policy is TOUCH_POLICY.DEFAULT
        return TOUCH_POLICY.NEVER if default else self._touch_policy

    @abstractmethod
    def public_key(self, token: Token) -> bytes:
        """The public key (SubjectPublicKeyInfo, DER) of the key in the slot."""

    @abstractmethod
    def attestation(self, token: Token) -> tuple[PivAttestation, tuple[Evidence, ...]] | None:
        """The verified attestation of the key, and the documents; None where there is none."""

    def sign(self, token: Token, message: bytes, reason: str) -> bytes:
        """A signature by the key, with the PIN and the touch that its policies ask for."""
        if self.pin_policy is not PIN_POLICY.NEVER:
            verify_pin(token, again=self.pin_policy in (PIN_POLICY.ALWAYS, PIN_POLICY.MATCH_ALWAYS))
        waits = self.touch_policy is not TOUCH_POLICY.NEVER
        with token.touch(reason) if waits else nullcontext():
            return token.piv().sign(self.slot, self.algorithm, message)

    def require_reader(self, token: Token) -> None:
        """Raises `NotSupported` where a fingerprint is wanted of a token without a reader."""
        if self.pin_policy in BY_FINGERPRINT and not token.piv().has_fingerprints():
            raise NotSupported(
                f"token {token.id.label} has no fingerprint reader for the key in {self.slot:02x}",
                remedy='Insert a YubiKey Bio, or write pin-policy = "once".',
            )

    def wrong_policy(self, found: KeyState) -> str:
        """Which policy of the key that is there is not the one that is wanted, in words."""
        for name, wanted, there in (
            ("PIN", self.pin_policy, found.pin_policy),
            ("touch", self.touch_policy, found.touch_policy),
        ):
            if there is not None and there is not wanted:
                return f"has the {name} policy {there.name.lower()}, not {wanted.name.lower()}"
        return ""


def certified_key(certificate: bytes) -> bytes:
    """The public key (SubjectPublicKeyInfo, DER) of a certificate.

    Raises ValueError where it is none, or is for a key of a kind that is unknown here.
    """
    try:
        key = load_der_x509_certificate(certificate).public_key()
    except (UnsupportedAlgorithm, InvalidVersion) as exc:
        raise ValueError(str(exc)) from exc
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def digest(public_key: bytes) -> str:
    """The SHA-256 of a public key, as entries have it."""
    return hashlib.sha256(public_key).hexdigest()
