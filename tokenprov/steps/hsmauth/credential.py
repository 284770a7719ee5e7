"""A YubiHSM Auth credential, proved by a session that it opens with an HSM of our own.

Rules:
- A symmetric one has two drawn AES-128 keys, sealed for whoever sets up the HSM; one for P-256 is
  made on the token, and its public key stands in the entry.
- Its password is drawn and sealed for the help desk. A wrong one is counted and the last wrong one
  deletes the credential, so it is tried only while three or more are left.
- A label that is taken is refused by the token; nothing is overwritten.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from contextlib import nullcontext

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from yubikit.hsmauth import ALGORITHM

from tokenprov.errors import AuthenticationFailed, TokenReset, TouchTimeout
from tokenprov.model import Json, SecretKind
from tokenprov.profile.hsmauth import MAX_CREDENTIALS
from tokenprov.secret import LETTERS_AND_DIGITS, RandomBytes, draw_bytes, draw_text
from tokenprov.step import (
    PROBE_RESERVE,
    Drawn,
    DrawnSecret,
    Evidence,
    Finding,
    Intent,
    State,
    conflict,
)
from tokenprov.steps.hsmauth.hsm import CONTEXT_SIZE, KEY_SIZE, Hsm, session_keys
from tokenprov.steps.hsmauth.management_key import in_force
from tokenprov.token import Token


class CredentialStep:
    """One credential; `still` counts it and those to come."""

    def __init__(
        self, *, label: str, algorithm: ALGORITHM, password_length: int, touch: bool, still: int
    ) -> None:
        self._label, self._algorithm, self._touch = label, algorithm, touch
        self._password_length, self._still = password_length, still
        self.id = f"hsmauth/credential/{label}"
        self.title = f"YubiHSM Auth credential {label!r}"
        self.password_name, self.keys_name = f"{self.id}/password", f"{self.id}/keys"

    @property
    def _symmetric(self) -> bool:
        return self._algorithm is ALGORITHM.AES128_YUBICO_AUTHENTICATION

    def draw(self, random: RandomBytes) -> Drawn:
        """A password, and K-ENC and K-MAC where the token does not make the key."""
        password = draw_text(self._password_length, LETTERS_AND_DIGITS, random)
        secrets = {
            self.password_name: DrawnSecret(kind=SecretKind.HSMAUTH_PASSWORD, value=password)
        }
        if self._symmetric:
            keys = draw_bytes(2 * KEY_SIZE, random)
            secrets[self.keys_name] = DrawnSecret(kind=SecretKind.HSMAUTH_CREDENTIAL, value=keys)
        return Drawn(secrets=secrets)

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """Listed as it is wanted, and opening a session with our password."""
        listed = token.hsmauth().credentials()
        found = next((one for one in listed if one.label == self._label), None)
        if found is None:
            room = MAX_CREDENTIALS - len(listed)
            if room < self._still:
                return conflict(
                    f"there is room for {room} YubiHSM Auth credentials, not for {self._still}"
                )
            return Finding(state=State.ABSENT)
        if intent is None:
            return conflict(f"{self.title} is there already: it is somebody's")
        if (found.algorithm, found.touch) != (self._algorithm, self._touch):
            return conflict(f"{self.title} is not what was written")
        if found.tries <= PROBE_RESERVE:
            return Finding(
                state=State.UNKNOWN,
                reason=f"{self.title} has too few tries left for its password to be tried",
            )
        facts: dict[str, Json] = {
            "algorithm": "aes128" if self._symmetric else "eccp256",
            "touch": self._touch,
        }
        try:
            opens = self._opens(token, intent)
        except AuthenticationFailed:
            return conflict(f"{self.title} has a password that is not ours")
        if not opens:
            return conflict(f"{self.title} does not hold our keys")
        if self._symmetric:
            return Finding(state=State.MATCH, facts=facts)
        key = (
            token.hsmauth()
            .public_key(self._label)
            .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        )
        return Finding(
            state=State.MATCH,
            facts={**facts, "publicKey": hashlib.sha256(key).hexdigest()},
            evidence=(Evidence(type="hsmauth-public-key", data=key),),
        )

    def apply(self, token: Token, intent: Intent) -> None:
        """One command, with the management key."""
        hsmauth, key = token.hsmauth(), in_force(token)
        password = intent.secret(self.password_name).reveal_text()
        if self._symmetric:
            keys = intent.secret(self.keys_name).reveal()
            hsmauth.put_symmetric(key, self._label, keys, password, touch=self._touch)
        else:
            hsmauth.generate(key, self._label, password, touch=self._touch)

    def _opens(self, token: Token, intent: Intent) -> bool:
        prompt = token.touch(f"prove {self.title}") if self._touch else nullcontext()
        try:
            with prompt:
                return self._proof(token, intent.secret(self.password_name).reveal_text(), intent)
        except TokenReset as error:
            if not self._touch:
                raise
            raise TouchTimeout(
                f"token {token.id.label}: nobody touched it to prove {self.title}",
                remedy="Run it again and touch the token when it blinks.",
            ) from error

    def _proof(self, token: Token, password: str, intent: Intent) -> bool:
        """Whether token and HSM come to the same session keys."""
        hsmauth = token.hsmauth()
        if self._symmetric:
            context = os.urandom(CONTEXT_SIZE)
            expected = session_keys(intent.secret(self.keys_name).reveal(), context)
            keys = hsmauth.session_keys(self._label, context, password)
        else:
            hsm, host = Hsm(), hsmauth.public_key(self._label)
            answer = hsm.answer(hsmauth.challenge(self._label, password), host)
            expected = answer.keys
            keys = hsmauth.session_keys(
                self._label, answer.context, password, hsm=hsm.public_key, receipt=answer.receipt
            )
        return hmac.compare_digest(keys, expected)
