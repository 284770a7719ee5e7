"""A key in SIG, DEC or AUT: generated on the token, dated, named, and attested.

Rules:
- The time of generation is drawn with the promise; fingerprint and time on the card say that a key
  is this order's. One that was made and not named yet is made again: nobody has used it.
- The touch policy is set before the key is attested, as the attestation names it.
- The maker puts the attestation where the key's certificate goes. There it stays, and is read
  without a PIN. A certificate that is there before is somebody's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_der_x509_certificate
from yubikit.openpgp import (
    KEY_REF,
    KEY_STATUS,
    OID,
    RSA_SIZE,
    UIF,
    DiscretionaryDataObjects,
    EcAttributes,
    PublicKey,
    RsaAttributes,
)

from tokenprov.attestation import Anchors, NoAnchor
from tokenprov.attestation.openpgp import verify_openpgp_attestation
from tokenprov.errors import NotSupported
from tokenprov.model import Json
from tokenprov.secret import RandomBytes
from tokenprov.step import Drawn, Evidence, Finding, Intent, State, conflict
from tokenprov.steps.openpgp.access import verify_admin, verify_user
from tokenprov.steps.openpgp.fingerprint import fingerprint
from tokenprov.token import Token

SPKI = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


class KeyStep:
    """One key."""

    def __init__(
        self,
        *,
        slot: KEY_REF,
        algorithm: RSA_SIZE | OID,
        touch: UIF,
        attestation_required: bool,
        anchors: Anchors,
        clock: Callable[[], datetime],
    ) -> None:
        self._slot, self._algorithm, self._touch = slot, algorithm, touch
        self._required = attestation_required
        self._anchors, self._clock = anchors, clock
        self._name = slot.name.lower()
        self.id = f"openpgp/{self._name}/key"
        self.title = f"OpenPGP key {slot.name}"

    def draw(self, random: RandomBytes) -> Drawn:
        """The token draws the key itself; the time of generation is now."""
        return Drawn(public={"time": int(self._clock().timestamp())})

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """The key that is there against the one that is wanted."""
        openpgp = token.openpgp()
        state = openpgp.state()
        if intent is None:
            if self._holds_key(token, state):
                return conflict(f"slot {self._slot.name} of OpenPGP holds a key")
            if not self._certificate_is_of(token, None):
                return conflict(f"slot {self._slot.name} of OpenPGP holds a certificate")
            return Finding(state=State.ABSENT)
        key = openpgp.public_key(self._slot)
        if key is None:
            return Finding(state=State.ABSENT)
        if state.key_information.get(self._slot) is KEY_STATUS.IMPORTED:
            return conflict(f"the {self.title} was imported, not generated on the token")
        time = int(intent.public["time"])
        if not self._is_named(state, key, time):
            if any(state.fingerprints[self._slot]):
                return conflict(f"the {self.title} has a fingerprint that is not ours")
            return Finding(state=State.UNKNOWN, reason=f"the {self.title} was made and not named")
        if not self._is_algorithm(state):
            return conflict(f"the {self.title} has another algorithm")
        if self._touch_there(state) is not self._touch:
            return Finding(state=State.UNKNOWN, reason=f"the {self.title} has another touch policy")
        return self._observe_attestation(token, key, time)

    def apply(self, token: Token, intent: Intent) -> None:
        """Make, date and name the key, unless it is; then touch policy and attestation."""
        verify_admin(token)
        openpgp, time = token.openpgp(), int(intent.public["time"])
        key = openpgp.public_key(self._slot)
        if key is None or not self._is_named(openpgp.state(), key, time):
            key = openpgp.generate(self._slot, self._algorithm)
            openpgp.set_time(self._slot, time)
            openpgp.set_fingerprint(self._slot, fingerprint(self._slot, key, time))
        if self._touch_there(openpgp.state()) is not self._touch:
            openpgp.set_touch(self._slot, self._touch)
        if not self._certificate_is_of(token, key):
            verify_user(token)
            openpgp.attest(self._slot)

    def _observe_attestation(self, token: Token, key: PublicKey, time: int) -> Finding:
        public = key.public_bytes(*SPKI)
        named = fingerprint(self._slot, key, time)
        facts: dict[str, Json] = {
            "algorithm": self._algorithm.name.lower(),
            "publicKey": hashlib.sha256(public).hexdigest(),
            "fingerprint": named.hex(),
            "time": time,
            "touchPolicy": self._touch.name.lower().replace("_", "-"),
        }
        try:
            documents = token.openpgp().attestation(self._slot)
            if documents is None:
                return Finding(state=State.UNKNOWN, reason=f"the {self.title} is not attested yet")
            attestation = verify_openpgp_attestation(*documents, self._anchors, now=self._clock())
        except (NotSupported, NoAnchor):
            if self._required:
                raise
            return Finding(state=State.MATCH, facts=facts, unread=("attestation",))
        attestation.require(
            slot=self._name,
            serial=token.id.serial,
            public_key=public,
            fingerprint=named,
            time=time,
            touch=self._touch,
        )
        leaf, device = documents
        return Finding(
            state=State.MATCH,
            facts={**facts, "attestation": attestation.to_json(), "virtual": attestation.virtual},
            evidence=(
                Evidence(type="openpgp-attestation", data=leaf),
                Evidence(type="openpgp-attestation-device", data=device),
            ),
        )

    def _holds_key(self, token: Token, state: DiscretionaryDataObjects) -> bool:
        """Key information says so (OPGP 3.4); older cards are asked for the key itself."""
        status = state.key_information.get(self._slot)
        if status is not None:
            return status is not KEY_STATUS.NONE
        return token.openpgp().public_key(self._slot) is not None

    def _certificate_is_of(self, token: Token, key: PublicKey | None) -> bool:
        """Whether the certificate in the slot is of that key; with None, whether there is none.

        Also where the token attests nothing: then nothing is overwritten. Raises `NotSupported`
        there if the profile wants an attestation, before anything is written.
        """
        try:
            documents = token.openpgp().attestation(self._slot)
        except NotSupported:
            if self._required:
                raise
            return True
        if documents is None or key is None:
            return documents is None and key is None
        there = load_der_x509_certificate(documents[0]).public_key()
        return there.public_bytes(*SPKI) == key.public_bytes(*SPKI)

    def _is_named(self, state: DiscretionaryDataObjects, key: PublicKey, time: int) -> bool:
        there = (state.fingerprints[self._slot], state.generation_times[self._slot])
        return there == (fingerprint(self._slot, key, time), time)

    def _is_algorithm(self, state: DiscretionaryDataObjects) -> bool:
        there = state.get_algorithm_attributes(self._slot)
        if isinstance(self._algorithm, RSA_SIZE):
            return isinstance(there, RsaAttributes) and there.n_len == self._algorithm
        return isinstance(there, EcAttributes) and there.oid == self._algorithm.value

    def _touch_there(self, state: DiscretionaryDataObjects) -> UIF:
        return state.get_uif(self._slot) or UIF.OFF
