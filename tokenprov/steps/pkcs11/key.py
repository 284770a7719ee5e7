"""A key pair made on the token, with every attribute said (PKCS #11 3.1, 4.9 and 4.10).

It counts when it is there once, its module says that it cannot leave the token, and a signature by
it verifies with the public key beside it: what a module says is not enough.
"""

from __future__ import annotations

import hashlib
import os

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tokenprov.attestation.signature import verify_signature
from tokenprov.errors import NotVerified
from tokenprov.model import Json
from tokenprov.pkcs11 import Stored
from tokenprov.pkcs11.values import Algorithm, PublicKey, algorithm_of
from tokenprov.secret import RandomBytes
from tokenprov.step import Drawn, Finding, Intent, State, conflict
from tokenprov.steps.pkcs11.user_pin import USER_PIN, held
from tokenprov.token import Token

CHALLENGE = 32  # bytes that are signed as a proof
MUST = {  # attributes of a key that stays; None: the module does not say
    "sensitive": True,
    "extractable": False,
    "local": True,
    "always_sensitive": True,
    "never_extractable": True,
}


class KeyStep:
    """A private key on the token, found by its id."""

    def __init__(self, *, key_id: bytes, label: str, algorithm: Algorithm) -> None:
        self.key_id, self.label, self.algorithm = key_id, label, algorithm
        self.id = f"pkcs11/{key_id.hex()}/key"
        self.title = f"PKCS#11 key {label}"

    def draw(self, random: RandomBytes) -> Drawn:
        """The token draws the key itself."""
        return Drawn()

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """The pair with that id, its attributes, and a signature by it."""
        applet = token.pkcs11()
        if not applet.info().initialised:
            return Finding(state=State.ABSENT)
        if intent is None:
            there = applet.objects().objects
            mine = [one for one in there if one.id == self.key_id]
            return conflict(f"it holds a key {self.label}") if mine else _ABSENT
        found = applet.objects(held(token, USER_PIN))
        private = found.of("PRIVATE_KEY", self.key_id)
        if not private:
            return _ABSENT
        public = _public(found.of("PUBLIC_KEY", self.key_id))
        wrong = self._wrong(private, public)
        if wrong or public is None:
            return conflict(f"the key {self.label} {wrong}")
        challenge = os.urandom(CHALLENGE)
        if not verify_signature(_spki(public), self.sign(token, challenge), challenge):
            return conflict(f"the key {self.label} signs what does not verify")
        facts: dict[str, Json] = {
            "algorithm": str(self.algorithm),
            "publicKey": hashlib.sha256(_spki(public)).hexdigest(),
        }
        silent = [name for name in MUST if private[0].safe.get(name) is None]
        unread = ("attestation", *(name.replace("_", " ") for name in silent))
        return Finding(state=State.MATCH, facts=facts, unread=unread)

    def apply(self, token: Token, intent: Intent) -> None:
        """Make the pair."""
        pin = held(token, USER_PIN)
        token.pkcs11().generate(pin, self.algorithm, self.key_id, self.label)

    def public_key(self, token: Token) -> bytes:
        """SubjectPublicKeyInfo, DER, of the pair, which everybody may see."""
        return _spki(self._shown(token))

    def sign(self, token: Token, message: bytes) -> bytes:
        """A signature by the key, as X.509 has it."""
        pin = held(token, USER_PIN)
        return token.pkcs11().sign(pin, self._shown(token), self.key_id, message)

    def _shown(self, token: Token) -> PublicKey:
        public = _public(token.pkcs11().objects().of("PUBLIC_KEY", self.key_id))
        if public is None:
            raise NotVerified(
                f"token {token.id.label} does not show the public key of {self.label}",
                remedy="Run it again; if it stays so, use another token or another module.",
            )
        return public

    def _wrong(self, private: tuple[Stored, ...], public: PublicKey | None) -> str:
        if len(private) > 1:
            return "is there more than once"
        if public is None:
            return "has no public key beside it"
        algorithm = algorithm_of(public)
        if algorithm is not self.algorithm:
            return f"is {algorithm}, not {self.algorithm}"
        for name, wanted in MUST.items():
            said = private[0].safe.get(name)
            if said is not None and said is not wanted:
                return f"can leave the token: {name.replace('_', ' ')} is {str(said).lower()}"
        return ""


_ABSENT = Finding(state=State.ABSENT)


def _public(found: tuple[Stored, ...]) -> PublicKey | None:
    return found[0].public if len(found) == 1 else None


def _spki(public: PublicKey) -> bytes:
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
