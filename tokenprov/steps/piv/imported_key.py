"""A private key that is not made on the token: drawn at the station, or given from escrow.

It is for decrypting: what was encrypted to a key that only a lost token held is lost with it.

Rules:
- The key is sealed to break-glass before it is imported, and stands nowhere else.
- A token cannot attest it. What it holds is compared by its public half where metadata shows that
  (firmware 5.3), and else by a signature.
- A cut-off import is done again: the promise to import is only given after the slot was seen empty.
"""

from __future__ import annotations

import os

from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)
from yubikit.piv import KEY_TYPE, PIN_POLICY, SLOT, TOUCH_POLICY

from tokenprov.attestation import PivAttestation
from tokenprov.attestation.signature import verify_signature
from tokenprov.errors import NotSupported, NotVerified, TokenRefused
from tokenprov.model import Json, SecretKind
from tokenprov.secret import RandomBytes, Secret
from tokenprov.step import Drawn, DrawnSecret, Evidence, Finding, Intent, State, conflict
from tokenprov.steps.piv.access import authenticate
from tokenprov.steps.piv.slot_key import SlotKey, digest
from tokenprov.token import Token
from tokenprov.token.piv import PrivateKey

_EXPONENT = 65537  # the only one that the maker's tokens import
_CURVES: dict[KEY_TYPE, ec.EllipticCurve] = {
    KEY_TYPE.ECCP256: ec.SECP256R1(),
    KEY_TYPE.ECCP384: ec.SECP384R1(),
}
_ORDERS = {  # of the curves' groups: FIPS 186-4, D.1.2.3 and D.1.2.4
    KEY_TYPE.ECCP256: 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    KEY_TYPE.ECCP384: int(
        "ffffffffffffffffffffffffffffffffffffffffffffffff"
        "c7634d81f4372ddf581a0db248b0a77aecec196accc52973",
        16,
    ),
}


class ImportedKeyStep(SlotKey):
    """A private key that is imported into a slot, and that break-glass can open."""

    def __init__(
        self,
        *,
        slot: SLOT,
        algorithm: KEY_TYPE,
        pin_policy: PIN_POLICY = PIN_POLICY.DEFAULT,
        touch_policy: TOUCH_POLICY = TOUCH_POLICY.DEFAULT,
        given: Secret | None = None,
    ) -> None:
        """`given`: a key from escrow (PKCS#8, DER) for this algorithm; None: drawn."""
        super().__init__(
            slot=slot, algorithm=algorithm, pin_policy=pin_policy, touch_policy=touch_policy
        )
        self._given = given
        self._read: bytes | None = None  # the public key as it was last read back, in this process

    def draw(self, random: RandomBytes) -> Drawn:
        """The private key, PKCS#8 in DER. RSA primes are found by the library's generator."""
        value = self._given if self._given is not None else draw_private_key(self.algorithm, random)
        kind = SecretKind.ENCRYPTION_KEY
        return Drawn(secrets={self.id: DrawnSecret(kind=kind, value=value)})

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """The key that is there against the sealed one."""
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
        if found.generated or found.public_key != _public_half(intent.secret(self.id)):
            return conflict(f"the key in {self.slot:02x} is not the sealed one")
        wrong = self.wrong_policy(found)
        if wrong:
            return conflict(f"the key in {self.slot:02x} {wrong}")
        self._read = found.public_key
        return Finding(state=State.MATCH, facts=self._facts(found.public_key))

    def apply(self, token: Token, intent: Intent) -> None:
        """Import it, in one command. Needs the management key."""
        authenticate(token)
        self._read = None
        private = load_private(intent.secret(self.id))
        token.piv().import_key(self.slot, private, self._pin_policy, self._touch_policy)

    def public_key(self, token: Token) -> bytes:
        """As the token shows it, or the sealed key's where it shows none."""
        if self._read is not None:
            return self._read
        try:
            found = token.piv().key(self.slot)
        except NotSupported:
            sealed = token.keyring.named(SecretKind.ENCRYPTION_KEY, self.id)
            if sealed is not None:
                return _public_half(sealed)
            found = None
        if found is None:
            raise NotVerified(
                f"token {token.id.label}: the key in {self.slot:02x} cannot be read",
                remedy="Run it again; if it stays so, set the token aside.",
            )
        return found.public_key

    def attestation(self, token: Token) -> tuple[PivAttestation, tuple[Evidence, ...]] | None:
        """None: only keys that were made on the token are attested."""
        return None

    def _observe_unseen(self, token: Token, intent: Intent | None) -> Finding:
        """A key is there that cannot be read: the sealed one if a signature says so."""
        if intent is None:
            return conflict(f"slot {self.slot:02x} holds a key that cannot be read")
        public_key, challenge = _public_half(intent.secret(self.id)), os.urandom(32)
        try:
            signature = self.sign(token, challenge, f"prove the key in {self.slot:02x}")
        except TokenRefused:
            return conflict(f"the key in {self.slot:02x} is of another kind than the sealed one")
        if not verify_signature(public_key, signature, challenge):
            return conflict(f"the key in {self.slot:02x} is not the sealed one")
        self._read = public_key
        return Finding(
            state=State.MATCH,
            facts=self._facts(public_key),
            unread=("PIN policy", "touch policy"),
        )

    def _facts(self, public_key: bytes) -> dict[str, Json]:
        return {
            "algorithm": self.algorithm.name.lower(),
            "publicKey": digest(public_key),
            "origin": "imported",
        }


def draw_private_key(algorithm: KEY_TYPE, random: RandomBytes) -> Secret:
    """A private key for encryption, PKCS#8 in DER. Raises `NotSupported` for one that only signs.

    A scalar is uniform in 1 to n-1 (FIPS 186-4, B.4.2: testing candidates).
    """
    key: PrivateKey
    if algorithm.name.startswith("RSA"):
        key = rsa.generate_private_key(_EXPONENT, algorithm.bit_len)
    elif algorithm is KEY_TYPE.X25519:
        key = x25519.X25519PrivateKey.from_private_bytes(random(32))
    elif algorithm in _CURVES:
        order, scalar = _ORDERS[algorithm], 0
        while not 0 < scalar < order:
            scalar = int.from_bytes(random(algorithm.bit_len // 8))
        key = ec.derive_private_key(scalar, _CURVES[algorithm])
    else:
        raise NotSupported(
            f"a key for {algorithm.name.lower()} does not encrypt",
            remedy="Choose eccp256, eccp384 or RSA for an escrowed key in the profile.",
        )
    return Secret(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))


def load_private(secret: Secret) -> PrivateKey:
    """The key that a secret is. Raises `NotSupported` where a token takes no such key."""
    key = load_der_private_key(secret.reveal(), None)
    if not isinstance(key, PrivateKey):
        raise NotSupported(
            "the key from escrow is of a kind that no PIV slot takes",
            remedy="Leave it out, and read old messages with another program.",
        )
    return key


def _public_half(secret: Secret) -> bytes:
    return (
        load_private(secret)
        .public_key()
        .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    )
