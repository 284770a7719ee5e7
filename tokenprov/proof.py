"""Proof that the keys on a token do what their certificates say: each signs, and it is checked.

What a station can do of a proof of use. Rules:

- Each key is asked to sign 32 random bytes, and the signature is checked against the certificate in
  its slot; so the key is the one that was certified. Without one it is checked against the public
  key that the token tells, where it tells one.
- The certificate must be in force now, by the clock.
- One PIN serves all keys. It is tried once, where more than two tries are left, and not again after
  a refusal; keys that want none are proved without.
- A key that waits for a touch asks for one; nothing is written to the token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_der_public_key
from yubikit.piv import KEY_TYPE, PIN_POLICY, SLOT, TOUCH_POLICY

from tokenprov.attestation.signature import verify_signature
from tokenprov.errors import (
    AuthenticationFailed,
    NotSupported,
    NotVerified,
    TokenRefused,
    TouchTimeout,
)
from tokenprov.model import Json
from tokenprov.secret import RandomBytes, Secret
from tokenprov.steps.piv.access import affordable
from tokenprov.steps.piv.slot_key import certified_key
from tokenprov.token import KeyState, Token

CHALLENGE_SIZE = 32  # bytes
CANNOT_SIGN = "a key of this kind does not sign"
SLOTS = tuple(slot for slot in SLOT if slot is not SLOT.ATTESTATION)

_ALWAYS = (PIN_POLICY.ALWAYS, PIN_POLICY.MATCH_ALWAYS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What came of one slot; `reason` says why where it is not proved."""

    slot: str
    proved: bool
    reason: str = ""
    subject: str = ""
    serial_hex: str = ""

    def to_json(self) -> dict[str, Json]:
        """For programs."""
        document: dict[str, Json] = {"slot": self.slot, "proved": self.proved}
        if self.serial_hex:
            document |= {"subject": self.subject, "serialNumber": self.serial_hex}
        return document | ({"reason": self.reason} if self.reason else {})


def prove(
    token: Token, ask_pin: Callable[[], Secret], *, now: datetime, random: RandomBytes
) -> list[Proof]:
    """Prove each PIV key; `ask_pin` is called once, if a key wants the PIN.

    Raises `AuthenticationFailed` for a wrong PIN and where too few tries are left, `TokenError`.
    """
    return list(_Proving(token, ask_pin, now, random).all())


def sign_as_holder(
    token: Token, slot: SLOT, certificate: bytes, message: bytes, ask_pin: Callable[[], Secret]
) -> bytes:
    """A signature by the certified key in a slot, its holder there: they type the PIN.

    Raises `NotSupported` for a key that signs without one, `AuthenticationFailed` as `prove`,
    `NotVerified` where it is another key, `TokenError`.
    """
    key = _key(token, slot)
    if slot is SLOT.CARD_AUTH or (key is not None and key.pin_policy is PIN_POLICY.NEVER):
        raise NotSupported(
            f"the key in {slot:02x} signs without a PIN, and proves nobody",
            remedy="Use a token whose key asks for its PIN.",
        )
    ask_for(token, ask_pin)
    algorithm = KEY_TYPE.from_public_key(load_der_public_key(certified_key(certificate)))
    touch = key.touch_policy if key else None
    signature = _signature(token, slot, algorithm, message, touch)
    if not verify_signature(certified_key(certificate), signature, message):
        raise NotVerified(
            f"the key in {slot:02x} of token {token.id.label} is not the one on the record",
            remedy="It was made anew elsewhere: replace the token.",
        )
    return signature


def is_certified(token: Token, slot: SLOT, certificate: bytes, random: RandomBytes) -> bool:
    """Whether the key in a slot, one that asks for no PIN, is the certified one: it signs.

    Raises `TokenError` for a token that does not answer.
    """
    certified, challenge = certified_key(certificate), random(CHALLENGE_SIZE)
    algorithm = KEY_TYPE.from_public_key(load_der_public_key(certified))
    try:
        signature = _signature(token, slot, algorithm, challenge, TOUCH_POLICY.NEVER)
    except (TokenRefused, NotSupported):
        return False
    return verify_signature(certified, signature, challenge)


class _Proving:
    """One token, while its keys are proved."""

    def __init__(
        self, token: Token, ask_pin: Callable[[], Secret], now: datetime, random: RandomBytes
    ) -> None:
        self._token, self._ask, self._now, self._random = token, ask_pin, now, random
        self._pin: Secret | None = None

    def all(self) -> Iterator[Proof]:
        """Slot by slot."""
        for slot in SLOTS:
            certificate, key = self._token.piv().certificate(slot), _key(self._token, slot)
            if certificate is not None:
                yield self._prove(slot, certificate, key)
            elif key is not None:
                reason = self._signs(slot, key.algorithm, key.public_key, key)
                yield Proof(slot=f"{slot:02x}", proved=not reason, reason=reason)

    def _prove(self, slot: SLOT, der: bytes, key: KeyState | None) -> Proof:
        name = f"{slot:02x}"
        try:
            certified = certified_key(der)
        except ValueError:
            return Proof(slot=name, proved=False, reason="what it holds is no certificate")
        certificate = x509.load_der_x509_certificate(der)
        try:
            algorithm = KEY_TYPE.from_public_key(certificate.public_key())
        except ValueError:  # of a kind that no PIV slot holds
            return Proof(slot=name, proved=False, reason=CANNOT_SIGN)
        reason = self._signs(slot, algorithm, certified, key)
        if not reason and not (
            certificate.not_valid_before_utc <= self._now <= certificate.not_valid_after_utc
        ):
            reason = (
                f"the certificate is good from {certificate.not_valid_before_utc:%Y-%m-%d} until"
                f" {certificate.not_valid_after_utc:%Y-%m-%d}"
            )
        return Proof(
            slot=name,
            proved=not reason,
            reason=reason,
            subject=certificate.subject.rfc4514_string(),
            serial_hex=f"{certificate.serial_number:x}",
        )

    def _signs(
        self, slot: SLOT, algorithm: KEY_TYPE, certified: bytes, key: KeyState | None
    ) -> str:
        """Why the key is not the one that it should be; empty if it is."""
        if algorithm is KEY_TYPE.X25519:
            return CANNOT_SIGN
        challenge = self._random(CHALLENGE_SIZE)
        self._unlock(slot, key.pin_policy if key else None)
        touch = key.touch_policy if key else None
        try:
            signature = _signature(self._token, slot, algorithm, challenge, touch)
        except (TokenRefused, TouchTimeout, NotSupported) as error:
            return f"it did not sign: {error.message}"
        if not verify_signature(certified, signature, challenge):
            return "the signature is by another key"
        return ""

    def _unlock(self, slot: SLOT, policy: PIN_POLICY | None) -> None:
        """Verify the PIN as the key wants it; what does not tell gets it each time."""
        if policy is PIN_POLICY.NEVER or (policy is None and slot is SLOT.CARD_AUTH):
            return
        piv = self._token.piv()
        if policy is not None and policy not in _ALWAYS and piv.pin_verified:
            return
        if self._pin is None:
            self._pin = ask_for(self._token, self._ask)
        else:
            piv.verify_pin(self._pin.reveal_text())


def ask_for(token: Token, ask_pin: Callable[[], Secret]) -> Secret:
    """The PIV PIN, asked for and verified. Raises `AuthenticationFailed`."""
    piv = token.piv()
    left = piv.pin_tries().remaining
    if not affordable(left):
        raise AuthenticationFailed(
            f"token {token.id.label}: {left} tries of its PIN are left, which are the holder's",
            remedy="Have the holder use it, or unblock it: tokenprov unblock",
            retries_left=left,
        )
    pin = ask_pin()
    piv.verify_pin(pin.reveal_text())
    return pin


def _key(token: Token, slot: SLOT) -> KeyState | None:
    try:
        return token.piv().key(slot)
    except NotSupported:
        return None  # a key that cannot be told; its certificate says what it should be


def _signature(
    token: Token, slot: SLOT, algorithm: KEY_TYPE, message: bytes, touch: TOUCH_POLICY | None
) -> bytes:
    # some do not tell; a card of the standard knows of no touch
    may_wait = touch is not TOUCH_POLICY.NEVER and token.piv().has_extensions
    wants = f"sign with the key in {slot:02x}{'' if touch else ', if it blinks'}"
    with token.touch(wants) if may_wait else nullcontext():
        return token.piv().sign(slot, algorithm, message)
