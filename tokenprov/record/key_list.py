"""The list of a log's keys, signed by a root that is kept offline: which key signs from where.

    tokenprov/keys/v1
    <origin of the log>
    <number of this list, from 1>
    <size of the first checkpoint that it signs> <verifier key>
    …                                            one line a key, the first from 0

A signed note (https://c2sp.org/signed-note). In a manifest's folder it is `manifest.keys`.

Rules:
- Who trusts the root needs no other key: the keys of the log begin with those on the list, at the
  same sizes. What follows them must be vouched for, key by key (`key_change`).
- A later list has a higher number and all that the one before it has. An auditor who keeps the last
  one they saw is shown none that is older: an epoch that it does not have yet would be missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tokenprov.errors import ManifestError
from tokenprov.record.key_change import Era
from tokenprov.record.note import open_note, sign_note
from tokenprov.record.signer import NoteSigner
from tokenprov.record.verifier_key import VerifierKey

KEY_LIST = "manifest.keys"
_HEADER = "tokenprov/keys/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyList:
    """Which key signs checkpoints from which size on."""

    origin: str
    number: int
    keys: tuple[tuple[int, VerifierKey], ...]

    @classmethod
    def of(cls, origin: str, number: int, eras: Sequence[Era]) -> KeyList:
        """The list of all keys of a log."""
        return cls(origin=origin, number=number, keys=tuple((era.since, era.key) for era in eras))

    def sign(self, root: NoteSigner) -> bytes:
        """The file."""
        lines = [f"{since} {key}" for since, key in self.keys]
        text = "".join(f"{x}\n" for x in (_HEADER, self.origin, str(self.number), *lines))
        return sign_note(text, [root]).to_bytes()

    @classmethod
    def open(cls, data: bytes, root: VerifierKey) -> KeyList:
        """Read a list that this root signed. Raises ManifestError (rule `keys`, or a note's)."""
        text = open_note(data, [root]).text
        header, origin, number, *lines = [*text[:-1].split("\n"), *[""] * 3]
        lines = lines[:-3]
        keys = [line.partition(" ") for line in lines]
        digits = [number, *(since for since, _, _ in keys)]
        if header != _HEADER or not keys or not all(map(_is_number, digits)):
            raise _refused("it is not in its form")
        sizes = [int(since) for since, _, _ in keys]
        if sizes[0] != 0 or sizes != sorted(set(sizes)) or int(number) < 1:
            raise _refused("its keys do not follow each other from 0 on")
        found = tuple((int(since), VerifierKey.parse(key)) for since, _, key in keys)
        return cls(origin=origin, number=int(number), keys=found)

    def check(self, origin: str, eras: Sequence[Era]) -> None:
        """Whether a log's keys are these, and what follows is vouched for. Raises ManifestError."""
        if self.origin != origin:
            raise _refused(f"it is of log {self.origin}")
        mine = [(era.since, era.key) for era in eras]
        if tuple(mine[: len(self.keys)]) != self.keys:
            raise _refused("the keys that signed this log are others")
        for era in eras[len(self.keys) :]:
            if not era.vouched:
                raise _refused(f"the epoch from entry {era.since - 1} on is not on it")

    def follow(self, seen: KeyList) -> None:
        """Whether it is the list that was seen last, or a later one. Raises ManifestError."""
        if self.number < seen.number:
            raise _refused(f"it is the list of number {self.number}, and {seen.number} was seen")
        if self.origin != seen.origin or self.keys[: len(seen.keys)] != seen.keys:
            raise _refused(f"it has other keys than the list of number {seen.number} that was seen")
        if self.number == seen.number and self.keys != seen.keys:
            raise _refused(f"there are two lists of number {self.number}")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and str(int(text[:20])) == text


def _refused(what: str) -> ManifestError:
    return ManifestError(
        f"list of keys: {what}",
        remedy="Ask the holder of the root for the list of this log as it is now; where its keys"
        " are others, ask the station.",
        rule="keys",
    )
