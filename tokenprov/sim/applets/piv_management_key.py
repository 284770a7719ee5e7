"""The management key (9B): challenge and response in both directions.

Rules (SP 800-73-4 part 2, 3.2.4 and appendix A.1)
- Single: the host asks for a challenge (empty tag 81) and sends it back encrypted (tag 82).
- Mutual: the host asks for a witness (empty tag 80), sends it back decrypted together with a
  challenge of its own (tags 80 and 81), and gets that one encrypted (tag 82).
- A challenge or witness serves once, whatever comes of it. A wrong answer is 6982.
- One block of the cipher, in ECB: 8 bytes for 3DES, 16 for AES.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher as BlockCipher
from cryptography.hazmat.primitives.ciphers import modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from tokenprov.sim.apdu import SW, Refusal
from tokenprov.sim.applets.piv_wire import CIPHER_KEY_SIZE, Cipher, Tag, TouchPolicy, tlv

_DEFAULT = bytes.fromhex("0102030405060708") * 4  # cut to the cipher's size; known to everybody


def default_key(cipher: Cipher) -> bytes:
    """The key that every card leaves the factory with: 01 to 08, repeated."""
    return _DEFAULT[: CIPHER_KEY_SIZE[cipher]]


@dataclass(slots=True, kw_only=True)
class ManagementKey:
    """The key, and what of an authentication is under way."""

    cipher: Cipher
    key: bytes = field(repr=False)
    touch: TouchPolicy = TouchPolicy.NEVER
    _challenge: bytes | None = field(default=None, repr=False)
    _witness: bytes | None = field(default=None, repr=False)

    @classmethod
    def from_factory(cls, cipher: Cipher) -> ManagementKey:
        """The key of a new card."""
        return cls(cipher=cipher, key=default_key(cipher))

    @property
    def is_default(self) -> bool:
        """Whether it still has the value from the factory."""
        return self.key == default_key(self.cipher)

    def forget(self) -> None:
        """Drop what is under way."""
        self._challenge = self._witness = None

    def authenticate(
        self, fields: dict[int, bytes], random: Callable[[int], bytes]
    ) -> tuple[bytes, bool]:
        """One step: the content of the answer's template, and whether the host has the key now.

        Raises `Refusal` 6982 for a wrong answer, 6A80 for fields that make no step.
        """
        block = self._block_size
        challenge, witness = self._challenge, self._witness
        self.forget()
        if fields in ({Tag.WITNESS: b""}, {Tag.WITNESS: b"", Tag.CHALLENGE: b""}):
            self._witness = random(block)
            return tlv(Tag.WITNESS, self._encrypt(self._witness)), False
        if fields == {Tag.CHALLENGE: b""}:
            self._challenge = random(block)
            return tlv(Tag.CHALLENGE, self._challenge), False
        if fields.keys() == {Tag.RESPONSE} and challenge is not None:
            if not hmac.compare_digest(fields[Tag.RESPONSE], self._encrypt(challenge)):
                raise Refusal(SW.SECURITY_NOT_SATISFIED)
            return b"", True
        mutual = {Tag.WITNESS, Tag.CHALLENGE}
        if fields.keys() - {Tag.RESPONSE} == mutual and not fields.get(Tag.RESPONSE):
            if len(fields[Tag.CHALLENGE]) != block:
                raise Refusal(SW.INCORRECT_PARAMETERS)
            if witness is None or not hmac.compare_digest(fields[Tag.WITNESS], witness):
                raise Refusal(SW.SECURITY_NOT_SATISFIED)
            return tlv(Tag.RESPONSE, self._encrypt(fields[Tag.CHALLENGE])), True
        raise Refusal(SW.INCORRECT_PARAMETERS)

    def dump(self) -> dict[str, Any]:
        """The lasting state."""
        return {"cipher": self.cipher.name, "key": self.key.hex(), "touch": self.touch.name}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> ManagementKey:
        """The key that `dump` gave."""
        return cls(
            cipher=Cipher[state["cipher"]],
            key=bytes.fromhex(state["key"]),
            touch=TouchPolicy[state["touch"]],
        )

    @property
    def _block_size(self) -> int:
        return 8 if self.cipher is Cipher.TDES else 16

    def _encrypt(self, block: bytes) -> bytes:
        algorithm = TripleDES(self.key) if self.cipher is Cipher.TDES else AES(self.key)
        encryptor = BlockCipher(algorithm, modes.ECB()).encryptor()
        return encryptor.update(block) + encryptor.finalize()
