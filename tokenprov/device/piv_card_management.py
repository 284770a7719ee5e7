"""The management key (9B) of a PIV card: which algorithm it has, and showing that we know it.

SP 800-73-4 part 2, 3.2.4 and appendix A.1. Rules:
- The algorithm is what the card answers to: a witness (mutual authentication) or a challenge
  (single), of one block of that cipher. It is asked once, and assumed never. 3DES has two numbers
  there (SP 800-78-4 table 6-2), and a card may know either alone.
- Mutual before single; the card's own proof is checked. A key is tried by no algorithm that the
  card did not answer to, as some cards count tries of it.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from yubikit.core import Tlv
from yubikit.core.smartcard import SW, ApduError
from yubikit.piv import MANAGEMENT_KEY_TYPE

from tokenprov.device.iso7816 import Exchange
from tokenprov.errors import AuthenticationBlocked, AuthenticationFailed, NotSupported

INS_AUTHENTICATE, REF_MANAGEMENT = 0x87, 0x9B
TAG_DYNAMIC, TAG_WITNESS, TAG_CHALLENGE, TAG_RESPONSE = 0x7C, 0x80, 0x81, 0x82

REFERENCES = {MANAGEMENT_KEY_TYPE.TDES: (0x03, 0x00)}  # of an algorithm; its own for the others

_DOING = "authenticating with the management key"


class ManagementKey:
    """Of one card; `random` gives so many bytes."""

    def __init__(self, exchange: Exchange, random: Callable[[int], bytes] = os.urandom) -> None:
        self._exchange, self._random = exchange, random
        self._answered: dict[MANAGEMENT_KEY_TYPE, int] | None = None  # by which number
        self.authenticated = False

    @property
    def algorithm(self) -> MANAGEMENT_KEY_TYPE:
        """The first one that the card answers to. Raises `NotSupported` where there is none."""
        return next(iter(self._algorithms()))

    def authenticate(self, key: bytes) -> None:
        """Raises `AuthenticationFailed` for a key that is not the card's."""
        self.authenticated = False
        fitting = [one for one in self._algorithms() if one.key_len == len(key)]
        if not any(self._opens(one, key) for one in fitting):
            raise AuthenticationFailed(
                f"{_DOING}: refused",
                remedy="The card holds a management key that is not ours: ask its maker for the"
                " key, or use another card.",
            )
        self.authenticated = True

    def _algorithms(self) -> dict[MANAGEMENT_KEY_TYPE, int]:
        if self._answered is None:
            self._answered = {}
            for one in MANAGEMENT_KEY_TYPE:
                numbers = REFERENCES.get(one, (int(one),))
                known = next((n for n in numbers if self._answers(one, n)), None)
                if known is not None:
                    self._answered[one] = known
        if not self._answered:
            raise NotSupported(
                f"{_DOING}: the card answers to no algorithm of SP 800-78-5",
                remedy="It may be closed for good, or want a secure channel of its maker: use"
                " another card.",
            )
        return self._answered

    def _answers(self, algorithm: MANAGEMENT_KEY_TYPE, number: int) -> bool:
        return any(
            len(self._asked(number, tag)) == algorithm.challenge_len
            for tag in (TAG_WITNESS, TAG_CHALLENGE)
        )

    def _asked(self, number: int, tag: int) -> bytes:
        """The card's witness or challenge; empty where it gives none."""
        try:
            return self._step(number, Tlv(tag)).get(tag, b"")
        except ApduError:
            return b""

    def _opens(self, algorithm: MANAGEMENT_KEY_TYPE, key: bytes) -> bool:
        number = self._algorithms()[algorithm]
        try:
            witness = self._asked(number, TAG_WITNESS)
            if len(witness) == algorithm.challenge_len:
                return self._mutual(algorithm, key, witness)
            challenge = self._asked(number, TAG_CHALLENGE)
            if len(challenge) == algorithm.challenge_len:
                self._step(number, Tlv(TAG_RESPONSE, _encrypt(algorithm, key, challenge)))
                return True
        except ApduError as error:
            if error.sw == SW.AUTH_METHOD_BLOCKED:
                raise AuthenticationBlocked(
                    f"{_DOING}: the card has locked it",
                    remedy="Set the card aside: nothing can be written to it any more.",
                    retries_left=0,
                ) from error
        return False

    def _mutual(self, algorithm: MANAGEMENT_KEY_TYPE, key: bytes, witness: bytes) -> bool:
        challenge = self._random(algorithm.challenge_len)
        answer = self._step(
            self._algorithms()[algorithm],
            Tlv(TAG_WITNESS, _decrypt(algorithm, key, witness)) + Tlv(TAG_CHALLENGE, challenge),
        )
        expected = _encrypt(algorithm, key, challenge)
        return hmac.compare_digest(answer.get(TAG_RESPONSE, b""), expected)

    def _step(self, number: int, content: bytes) -> dict[int, bytes]:
        answer = self._exchange.send(
            INS_AUTHENTICATE,
            number,
            REF_MANAGEMENT,
            Tlv(TAG_DYNAMIC, content),
            answers=True,
        )
        try:
            return Tlv.parse_dict(Tlv.unpack(TAG_DYNAMIC, answer)) if answer else {}
        except (ValueError, IndexError):
            return {}


def _cipher(algorithm: MANAGEMENT_KEY_TYPE, key: bytes) -> Cipher[modes.ECB]:
    block = TripleDES if algorithm is MANAGEMENT_KEY_TYPE.TDES else AES
    return Cipher(block(key), modes.ECB())  # one block: SP 800-73-4 part 2, appendix A.1


def _encrypt(algorithm: MANAGEMENT_KEY_TYPE, key: bytes, block: bytes) -> bytes:
    encryptor = _cipher(algorithm, key).encryptor()
    return encryptor.update(block) + encryptor.finalize()


def _decrypt(algorithm: MANAGEMENT_KEY_TYPE, key: bytes, block: bytes) -> bytes:
    decryptor = _cipher(algorithm, key).decryptor()
    return decryptor.update(block) + decryptor.finalize()
