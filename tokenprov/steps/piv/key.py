"""A key generated on the token, with its policies and its attestation (SP 800-73-4 part 2, 3.3.2).

What says that a key is there, best first: metadata, its attestation, and where the token has
neither, a signature that verifies by what the token gave when it made the key, or by the
certificate beside it. A key is ours when the journal holds the promise to make it:
the promise is only given after the slot was seen empty.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from yubikit.piv import KEY_TYPE, PIN_POLICY, SLOT, TOUCH_POLICY

from tokenprov.attestation import Anchors, NoAnchor, PivAttestation, verify_piv_attestation
from tokenprov.attestation.signature import verify_signature
from tokenprov.errors import AttestationError, NotSupported, NotVerified
from tokenprov.model import Json
from tokenprov.secret import RandomBytes
from tokenprov.step import Drawn, Evidence, Finding, Intent, State, conflict
from tokenprov.steps.piv.access import authenticate
from tokenprov.steps.piv.slot_key import SlotKey, certified_key, digest
from tokenprov.token import KeyState, Token

Clock = Callable[[], datetime]
Attested = tuple[PivAttestation, tuple[Evidence, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """A key that was read back right."""

    public_key: bytes
    attested: Attested | None


class KeyStep(SlotKey):
    """A private key that the token makes in a slot."""

    def __init__(
        self,
        *,
        slot: SLOT,
        algorithm: KEY_TYPE,
        pin_policy: PIN_POLICY,
        touch_policy: TOUCH_POLICY,
        attestation_required: bool,
        anchors: Anchors,
        clock: Clock,
    ) -> None:
        super().__init__(
            slot=slot, algorithm=algorithm, pin_policy=pin_policy, touch_policy=touch_policy
        )
        self._required = attestation_required
        self._anchors, self._clock = anchors, clock
        self._generated: bytes | None = None  # in this process, for tokens that cannot show it
        self._read: _Read | None = None  # the key as it was last read back, in this process

    def draw(self, random: RandomBytes) -> Drawn:
        """The token draws the key itself."""
        return Drawn()

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """The key that is there against the one that is wanted."""
        if intent is None:
            self.require_reader(token)
        try:
            found = token.piv().key(self.slot)
        except NotSupported:
            return self._observe_unseen(token, intent)
        if found is None:
            return Finding(state=State.ABSENT)
        if intent is None:
            return conflict(f"slot {self.slot:02x} holds a key")
        attested = self._attest(token)
        wrong = self._differences(found, attested)
        if wrong:
            return conflict(f"the key in {self.slot:02x} {wrong}")
        self._read = _Read(public_key=found.public_key, attested=attested)
        facts: dict[str, Json] = {
            "algorithm": found.algorithm.name.lower(),
            "publicKey": digest(found.public_key),
        }
        if attested is None:
            return Finding(state=State.MATCH, facts=facts, unread=("attestation",))
        attestation, documents = attested
        facts |= {"attestation": attestation.to_json(), "virtual": attestation.virtual}
        return Finding(state=State.MATCH, facts=facts, evidence=documents)

    def apply(self, token: Token, intent: Intent) -> None:
        """Generate the key. Needs the management key."""
        authenticate(token)
        self._read = None
        self._generated = token.piv().generate_key(
            self.slot, self.algorithm, self._pin_policy, self._touch_policy
        )

    def public_key(self, token: Token) -> bytes:
        """The public key (SubjectPublicKeyInfo, DER) of the key in the slot."""
        if self._read is not None:
            return self._read.public_key
        try:
            found = token.piv().key(self.slot)
        except NotSupported:
            found = None
        public_key = found.public_key if found is not None else self._generated
        if public_key is None:
            raise NotVerified(
                f"token {token.id.label}: the key in {self.slot:02x} cannot be read",
                remedy="Use a token whose firmware attests its keys (4.3 or later).",
            )
        return public_key

    def take_from_certificate(self, token: Token) -> None:
        """Believe the certificate beside it, on a token that shows no keys: a signature follows."""
        self._generated = self._generated or self._certified(token)

    def attestation(self, token: Token) -> Attested | None:
        """The verified attestation of the key, and the documents; None where there is none.

        Raises `NotSupported` and `NoAnchor` where the profile wants one, `AttestationError` for
        a wrong one.
        """
        return self._read.attested if self._read is not None else self._attest(token)

    def _attest(self, token: Token) -> Attested | None:
        try:
            leaf, device = token.piv().attest(self.slot)
            attestation = verify_piv_attestation(leaf, device, self._anchors, now=self._clock())
        except (NotSupported, NoAnchor):
            if self._required:
                raise
            return None
        attestation.require(slot=f"{self.slot:02x}", serial=token.id.serial)
        documents = (
            Evidence(type="piv-attestation", data=leaf),
            Evidence(type="piv-attestation-device", data=device),
        )
        return attestation, documents

    def _differences(self, found: KeyState, attested: Attested | None) -> str:
        if found.algorithm is not self.algorithm:
            return f"is {found.algorithm.name.lower()}, not {self.algorithm.name.lower()}"
        if found.generated is False:
            return "was imported, not generated on the token"
        wrong = self.wrong_policy(found)
        if wrong:
            return wrong
        if attested is not None:
            try:
                attested[0].require(
                    public_key=found.public_key,
                    pin_policy=self.pin_policy,
                    touch_policy=self.touch_policy,
                )
            except AttestationError as error:
                return f"is not what its attestation says: {error.message}"
        return ""

    def _observe_unseen(self, token: Token, intent: Intent | None) -> Finding:
        """A key is there that cannot be read: ours if a signature says so."""
        if intent is None:
            return conflict(f"slot {self.slot:02x} holds a key that cannot be read")
        if self._generated is None:
            self._generated = self._certified(token)
        if self._generated is None:
            return Finding(state=State.UNKNOWN, reason="the key was made, but its half was lost")
        challenge = os.urandom(32)
        signature = self.sign(token, challenge, f"prove the key in {self.slot:02x}")
        if not verify_signature(self._generated, signature, challenge):
            return conflict(f"the key in {self.slot:02x} is not the one that was generated")
        return Finding(
            state=State.MATCH,
            facts={
                "algorithm": self.algorithm.name.lower(),
                "publicKey": digest(self._generated),
            },
            unread=("PIN policy", "touch policy", "attestation"),
        )

    def _certified(self, token: Token) -> bytes | None:
        """The public key of the certificate beside it, written when it was in this process."""
        certificate = token.piv().certificate(self.slot)
        try:
            return certified_key(certificate) if certificate is not None else None
        except ValueError:
            return None
