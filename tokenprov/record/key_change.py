"""How the key that signs a log changes, and whom that leaves to be trusted.

    key-rotated   the key in use vouches for the next: `handover` is the checkpoint before the
                  entry with one more line, signed by both:

                      <origin>
                      <number of entries before>
                      <their root, base64>
                      next-key <verifier key of the next>

    key-lost      the key is gone, or is not to be trusted: nobody vouches for the next, an epoch
                  begins. `last` is the last checkpoint under the old key, as it stood: the epoch
                  commits to it, and to every entry under it.

Rules:
- The entry is the last that the old key had a part in: the checkpoint with it is by the new one.
- Who holds a key of the log trusts each that was vouched for since. The key of an epoch must be
  held, or stand on the list that the root of keys signed (`key_list`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from tokenprov.errors import ManifestError
from tokenprov.record.checkpoint import Checkpoint
from tokenprov.record.entry import Entry, entry_head
from tokenprov.record.kinds import Kind
from tokenprov.record.note import open_note, parse_note, sign_note
from tokenprov.record.signer import NoteSigner
from tokenprov.record.verifier_key import VerifierKey

CHANGES = (Kind.KEY_ROTATED, Kind.KEY_LOST)
_NEXT_KEY = "next-key "


@dataclass(frozen=True, slots=True, kw_only=True)
class Era:
    """The time of one key: `since` is the size of the first checkpoint that it signs."""

    key: VerifierKey
    since: int
    vouched: bool  # by the key before; the first key of a log is not, nor that of an epoch


def rotated_entry(
    head: Checkpoint,
    old: NoteSigner,
    new: NoteSigner,
    *,
    time: datetime,
    station: str,
    operator: str,
    reason: str,
) -> Entry:
    """The key in use vouches for the next, at the head of the log."""
    text = Checkpoint(
        origin=head.origin,
        size=head.size,
        root=head.root,
        extensions=(f"{_NEXT_KEY}{new.verifier}",),
    ).text()
    return {
        **entry_head(Kind.KEY_ROTATED, time=time, station=station, operator=operator),
        "old": str(old.verifier),
        "new": str(new.verifier),
        "handover": sign_note(text, [old, new]).to_bytes().decode(),
        "reason": reason,
    }


def lost_entry(
    note: bytes,
    old: VerifierKey,
    new: VerifierKey,
    *,
    time: datetime,
    station: str,
    operator: str,
    reason: str,
) -> Entry:
    """An epoch begins after the checkpoint in `note`, under a key that nobody vouches for."""
    return {
        **entry_head(Kind.KEY_LOST, time=time, station=station, operator=operator),
        "old": str(old),
        "new": str(new),
        "last": note.decode(),
        "reason": reason,
    }


def key_faults(index: int, entry: Entry) -> Iterator[str]:
    """What is wrong with a change of keys as entry `index`, as far as it shows by itself."""
    try:
        old, new = VerifierKey.parse(entry["old"]), VerifierKey.parse(entry["new"])
        signed = signed_before(entry)
        note = open_note(signed, [old, new])
        text = Checkpoint.parse(note.text)
    except ManifestError as exc:
        yield exc.message
        return
    rotated = entry["kind"] == Kind.KEY_ROTATED
    signers = {(line.name, line.key_id) for line in note.signatures}
    needed = {(key.name, key.key_id) for key in ((old, new) if rotated else (old,))}
    if new == old or not {new.name, text.origin} <= {old.name}:
        yield "the next key is the same, or is not named after the log"
    elif not needed <= signers:
        yield "one of the two keys did not sign it"
    elif text.size != index:
        yield f"what the old key signed is of {text.size} entries"
    elif rotated and text.extensions != (f"{_NEXT_KEY}{new}",):
        yield "the old key vouched for another"


def signed_before(entry: Entry) -> bytes:
    """The note of the tree before a change of keys, by the old one."""
    signed: str = entry["handover" if entry["kind"] == Kind.KEY_ROTATED else "last"]
    return signed.encode()


def head_before(entry: Entry) -> Checkpoint:
    """The tree before it, as the old key signed it. Raises ManifestError."""
    return Checkpoint.parse(parse_note(signed_before(entry)).text)


def eras(changes: Iterable[tuple[int, Entry]], only: VerifierKey | None = None) -> list[Era]:
    """The keys of a log by its changes, each with its entry's number; `only`: where none is.

    Raises ManifestError where a key cannot be read.
    """
    found: list[Era] = []
    for index, entry in changes:
        if not found:
            found.append(Era(key=VerifierKey.parse(entry["old"]), since=0, vouched=False))
        found.append(
            Era(
                key=VerifierKey.parse(entry["new"]),
                since=index + 1,
                vouched=entry["kind"] == Kind.KEY_ROTATED,
            )
        )
    if not found and only is not None:
        found.append(Era(key=only, since=0, vouched=False))
    return found


def era_of(all_eras: Sequence[Era], size: int) -> Era:
    """Whose key signs the checkpoint of `size` entries."""
    return [era for era in all_eras if era.since <= size][-1]


def untrusted(all_eras: Sequence[Era], held: Collection[VerifierKey]) -> Era | None:
    """The epoch that none of the held keys leads to, or None: the key in use is trusted."""
    begun: Era | None = all_eras[0]
    for era in all_eras:
        if not era.vouched:
            begun = era
        if era.key in held:
            begun = None
    return begun


def follow(
    key: VerifierKey, changes: Iterable[Entry], held: Collection[VerifierKey] = ()
) -> VerifierKey:
    """The key that `key` leads to by changes that prove themselves; an epoch's must be held."""
    for entry in changes:
        new = VerifierKey.parse(entry["new"])
        vouched = entry["kind"] == Kind.KEY_ROTATED or new in held
        size = head_before(entry).size
        if entry["old"] == str(key) and vouched and not list(key_faults(size, entry)):
            key = new
    return key


def changes_in(entries: Iterable[bytes], decode: Callable[[bytes], Entry]) -> Iterator[Entry]:
    """The changes of keys among entries; those of other kinds are not even read."""
    for data in entries:
        if b'"kind":"key-' in data:
            entry = decode(data)
            if entry["kind"] in CHANGES:
                yield entry
