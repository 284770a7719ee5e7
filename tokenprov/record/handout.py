"""One entry with all that proves it, in one small file: a C2SP tlog-proof.

    c2sp.org/tlog-proof@v1
    extra <base64 of {"entry":…,"keys"?:…,"opening"?:…}, RFC 8785>
    index <number of the entry>
    <hashes of the inclusion proof, base64, a line each>
    <blank line>
    <the checkpoint, a signed note, as it is>

Rules (https://c2sp.org/tlog-proof):
- The extra data is not authenticated by itself: the entry in it is what is hashed, and the opening
  must open the entry's commitment.
- The file has no key of trust in it. Who checks it has a verifier key of the log from elsewhere;
  from that one the entries under `keys` (kind `key-rotated`) lead to the key in use.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

from tokenprov.errors import ManifestError
from tokenprov.model import Json
from tokenprov.record.canonical import CanonicalError, canonical, parse_canonical
from tokenprov.record.checkpoint import Checkpoint
from tokenprov.record.entry import Entry, Kind, commitment_of, decode_entry, encode_entry
from tokenprov.record.head import Held, check_quorum
from tokenprov.record.key_change import follow
from tokenprov.record.note import open_note, parse_note
from tokenprov.record.opening import Opening
from tokenprov.record.proof import verify_inclusion
from tokenprov.record.tlog import HASH_SIZE, leaf_hash
from tokenprov.record.verifier_key import strict_base64

HEADER = "c2sp.org/tlog-proof@v1"
SUFFIX = ".tlog-proof"

_MEMBERS = {"entry", "keys", "opening"}

_HEAD = re.compile(
    rf"{re.escape(HEADER)}\nextra ([^\n]+)\nindex (0|[1-9][0-9]{{0,18}})((?:\n[^\n]+)*)", re.ASCII
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Handout:
    """An entry, where it stands, and the checkpoint of the tree that it is in."""

    entry: Entry
    index: int
    path: tuple[bytes, ...]  # hashes from the leaf's sibling to the root's child
    note: bytes  # the checkpoint with its signatures
    opening: Opening | None = None
    keys: tuple[Entry, ...] = ()  # changes of the log's key that were vouched for

    def to_bytes(self) -> bytes:
        """The file."""
        extra: dict[str, Json] = {"entry": self.entry}
        if self.keys:
            extra["keys"] = list(self.keys)
        if self.opening is not None:
            extra["opening"] = parse_canonical(self.opening.to_bytes())
        lines = [
            HEADER,
            f"extra {base64.b64encode(canonical(extra)).decode()}",
            f"index {self.index}",
            *(base64.b64encode(step).decode() for step in self.path),
        ]
        return "\n".join(lines).encode() + b"\n\n" + self.note

    @classmethod
    def parse(cls, data: bytes) -> Handout:
        """Read the form, nothing verified. Raises ManifestError (rule `proof`, or the entry's)."""
        head, _, note = data.partition(b"\n\n")
        match = _HEAD.fullmatch(head.decode("utf-8", "replace"))
        if not match:
            raise _refused("proof", f"not of the form {HEADER} with an entry in it")
        encoded = strict_base64(match[1])
        path = [strict_base64(line) for line in match[3].split("\n")[1:]]
        if encoded is None or any(step is None or len(step) != HASH_SIZE for step in path):
            raise _refused("proof", "a line is not base64 in its only spelling")
        try:
            extra = parse_canonical(encoded)
        except CanonicalError as exc:
            raise _refused("proof", exc.message) from exc
        if not isinstance(extra, dict) or not {"entry"} <= extra.keys() <= _MEMBERS:
            raise _refused("proof", "other members than entry, keys and opening")
        keys = extra.get("keys", [])
        if not isinstance(keys, list):
            raise _refused("proof", "its keys are no list of entries")
        opening = Opening.parse(canonical(extra["opening"])) if "opening" in extra else None
        return cls(
            entry=decode_entry(canonical(extra["entry"])),
            index=int(match[2]),
            path=tuple(step for step in path if step is not None),
            note=note,
            opening=opening,
            keys=tuple(decode_entry(canonical(change)) for change in keys),
        )


def check_handout(data: bytes, held: Held) -> tuple[Handout, Checkpoint]:
    """The entry that the file proves to who holds keys of its log, and the checkpoint.

    A pin of the same size must be of the same tree; another one cannot be compared without the
    log. Raises ManifestError with the rule.
    """
    handout = Handout.parse(data)
    changes = [entry for entry in handout.keys if entry["kind"] == Kind.KEY_ROTATED]
    note = open_note(handout.note, [follow(key, changes) for key in held.keys])
    check_quorum(handout.note, held)
    checkpoint = Checkpoint.parse(note.text)
    if checkpoint.origin != note.signatures[0].name:
        raise _refused("origin", f"of {checkpoint.origin}, not of {note.signatures[0].name}")
    if held.pin is not None:
        pinned = Checkpoint.parse(parse_note(held.pin).text)
        if pinned.origin != checkpoint.origin:
            raise _refused("pin", f"the pinned checkpoint is of {pinned.origin}")
        if pinned.size == checkpoint.size and pinned.root != checkpoint.root:
            raise _refused("fork", "the pinned checkpoint of as many entries has another root")
    leaf = leaf_hash(encode_entry(handout.entry))
    if not verify_inclusion(leaf, handout.index, checkpoint.size, handout.path, checkpoint.root):
        raise _refused("inclusion", "the entry is not in the tree that was signed")
    if handout.opening and handout.opening.commitment != commitment_of(handout.entry):
        raise _refused("opening", "it does not open the entry's commitment")
    return handout, checkpoint


def _refused(rule: str, what: str) -> ManifestError:
    return ManifestError(
        f"proof: {what}",
        remedy="Ask whoever handed it out for another; do not rely on this one.",
        rule=rule,
    )
