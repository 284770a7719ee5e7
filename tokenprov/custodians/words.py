"""A custodian's key that no one holds alone: split m-of-n into SLIP-39 words, joined in memory.

Rules (https://github.com/satoshilabs/slips/blob/master/slip-0039.md):
- The master secret is the private key's number, 32 bytes big endian; one group, no passphrase,
  extendable. A share is 33 words; any `threshold` of them give the key, fewer give nothing.
- A share names how many are needed and has a checksum: a mistyped word is found, and so is a share
  of another set.
- A joined key is in memory for as long as it is used, and never written.
- A share's file has the words on one line; lines that begin with # are for people.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from shamir_mnemonic import MnemonicError, Share, combine_mnemonics, generate_mnemonics

from tokenprov.errors import EscrowError, InputError
from tokenprov.record.escrow import KeyInMemory
from tokenprov.secret import Secret

SECRET_SIZE = 32  # bytes of a private key on P-256
MOST = 16  # shares in a group (SLIP-39, "Format of the share mnemonic": 4 bits)


def split(private: ec.EllipticCurvePrivateKey, threshold: int, shares: int) -> list[Secret]:
    """The shares' words, of which `threshold` give the key. Raises InputError for other numbers."""
    if not 2 <= threshold <= shares <= MOST:
        raise InputError(
            f"{threshold} of {shares} is no way to split a key",
            remedy=f"Need at least 2 of the shares, and make {MOST} at the most, as in 3 of 5.",
        )
    number = private.private_numbers().private_value.to_bytes(SECRET_SIZE, "big")
    (group,) = generate_mnemonics(1, [(threshold, shares)], number)
    return list(map(Secret, group))


def join(shares: Sequence[Secret]) -> KeyInMemory:
    """The key of these shares. Raises EscrowError: too few, a wrong word, or of different keys."""
    try:
        number = int.from_bytes(combine_mnemonics([_words(share) for share in shares]), "big")
        return KeyInMemory(private=ec.derive_private_key(number, ec.SECP256R1()))
    except (MnemonicError, ValueError) as error:
        raise EscrowError(
            f"these {len(shares)} shares do not give a key: {_why(error)}",
            remedy="Check each word, and that all shares are of one splitting.",
        ) from None  # the library's error may quote words


def ask_shares(ask: Callable[[str], Secret]) -> list[Secret]:
    """Ask for as many shares as the first one says. Raises EscrowError for one that is none."""
    first = ask("Share 1, its words: ")
    return [first, *(ask(f"Share {n}: ") for n in range(2, needed(first) + 1))]


def needed(share: Secret) -> int:
    """How many shares it takes, as one of them says. Raises EscrowError."""
    try:
        return int(Share.from_mnemonic(_words(share)).member_threshold)
    except MnemonicError as error:
        raise EscrowError(
            f"not a share: {_why(error)}", remedy="Type its 33 words with a space between them."
        ) from None


def read_share(path: Path) -> Secret:
    """The words in a share's file. Raises EscrowError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise EscrowError(f"{path} cannot be read", remedy="Check the path.") from error
    return Secret(" ".join(line for line in lines if not line.startswith("#")))


def _words(share: Secret) -> str:
    return " ".join(share.reveal_text().lower().split())


def _why(error: Exception) -> str:
    """In words of ours: the library's own may quote a share."""
    text = str(error).lower()
    if "checksum" in text:
        return "a word is wrong, by its checksum"
    if "word" in text and "invalid mnemonic word" in text:
        return "a word is not on the list"
    if "length" in text:
        return "it has too few words"
    if "threshold" in text or "insufficient" in text or "wrong number" in text:
        return "more are needed"
    return "they are not of one set"
