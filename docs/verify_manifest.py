#!/usr/bin/env python3
"""Checks a tokenprov manifest, or one proof out of it, without tokenprov and without a network.

    python3 verify_manifest.py --key VKEY FOLDER | FILE.tlog-proof

Needs Python 3.11 and `cryptography`; written from formats.md alone. VKEY is the station's verifier
key as its operator gave it to you; without it the one in the folder is used, which proves only that
the folder is whole. Not checked: members of each kind (entry.schema.json), counts of batches,
approvals, cosignatures, certificates. Exit code 0: it holds. 6: it does not, a line for each fault.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

WIDTH = 256  # hashes in a full tile
FREE, HELD = ("new", "stock", "aside", "revoked"), ("held", "suspended")  # whether somebody's
# kind: the states that a token may be in before it, and the one it is in after it
MOVES = {
    **{"received": (("new", "aside", "revoked"), "stock"), "wiped": (FREE, "stock")},
    "issued": (("new", "stock", "aside", "held"), "held"),
    **{"unblocked": (("held",), "held"), "rotated": (("held",), "held")},
    **{"suspended": (("held",), "suspended"), "resumed": (("suspended",), "held")},
    **{"revoked": (HELD, "revoked"), "replaced": ((*HELD, "revoked"), "revoked")},
    **{"set-aside": ((*FREE, *HELD), "aside"), "retired": (FREE, "retired")},
}
ONCE = {"issued": "order", "wiped": "wipe", "waiver": "waiver", "batch-closed": "batch"}
MALFORMED = (ValueError, TypeError, LookupError, AttributeError, RecursionError)
OTHERS = """station opened resealed custodian-changed erased waiver drill batch-closed key-rotated
person-changed policy-changed custodian-split recovery-codes"""


class Wrong(Exception):
    """A rule that does not hold, and how."""


def need(holds: object, rule: str, what: str) -> None:
    """Raise Wrong unless it holds."""
    if not holds:
        raise Wrong(rule, what)


def unbase64(text: str) -> bytes:
    """The bytes of base64 in its only spelling."""
    raw = base64.b64decode(text, validate=True)
    need(raw and base64.b64encode(raw).decode() == text, "base64", "not in its only spelling")
    return raw


class Key:
    """A verifier key: `name+<key id>+<base64 of 0x01 and the public key>`."""

    def __init__(self, text: str) -> None:
        self.text, (self.name, given, encoded) = text, [*text.split("+", 2), "", ""][:3]
        raw = unbase64(encoded)
        self.id = sha256(self.name.encode(), b"\n", raw)[:4]
        holds = raw[0] == 1 and len(raw) == 33 and self.id.hex() == given and self.name
        need(holds, "verifier-key", "not an Ed25519 verifier key")
        self.public = Ed25519PublicKey.from_public_bytes(raw[1:])

    def open(self, note: bytes) -> tuple[int, bytes]:
        body, _, signatures = note.decode("utf-8", "surrogateescape").rpartition("\n\n")
        form = re.fullmatch(r"([^\n]+)\n(0|[1-9][0-9]{0,18})\n([^\n]{44})(\n[^\n]+)*", body)
        if not form or signatures[-1:] != "\n":
            raise Wrong("note", "not a signed note with a checkpoint in it")
        ours = list[bytes]()
        for line in signatures[:-1].split("\n"):
            dash, name, encoded = line.split(" ")
            need(dash == "\N{EM DASH}" and name, "note", "a signature line is not in its form")
            raw = unbase64(encoded)
            ours += [raw[4:]] * ((name, raw[:4]) == (self.name, self.id))
        need(ours, "signature", f"none by {self.name}, key {self.id.hex()}")
        for signature in ours:
            self.public.verify(signature, f"{body}\n".encode("utf-8", "surrogateescape"))
        need(form[1] == self.name, "origin", f"of {form[1]}, not of {self.name}")
        return int(form[2]), unbase64(form[3])


def sha256(*parts: bytes) -> bytes:
    """Of these, one after another. After 0x00 a leaf, after 0x01 a node (RFC 6962, 2.1)."""
    return hashlib.sha256(b"".join(parts)).digest()


def root_of(row: list[bytes]) -> bytes:
    """The root over a row of hashes: an odd one out is carried up as it is."""
    while len(row) > 1:
        pairs = (row[i : i + 2] for i in range(0, len(row), 2))
        row = [sha256(b"\1", *pair) if pair[1:] else pair[0] for pair in pairs]
    return row[0] if row else sha256()


def climb(start: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """The root that an inclusion proof leads to; it takes its last step from `path` first."""
    if size == 1:
        return start
    half, step = 1 << ((size - 1).bit_length() - 1), path.pop()
    if index < half:
        return sha256(b"\1", climb(start, index, half, path), step)
    return sha256(b"\1", step, climb(start, index - half, size - half, path))


def canonical(value: Any) -> str:
    """RFC 8785, for documents whose numbers are whole."""
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be", "surrogatepass"))
        return "{" + ",".join(f"{canonical(n)}:{canonical(value[n])}" for n in names) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    need(not isinstance(value, int) or abs(value) < 2**53, "canonical", "too large a number")
    return json.dumps(value, ensure_ascii=False)


def parse(data: bytes) -> dict[str, Any]:
    """A JSON object in its only spelling: a fraction is not written as it was read."""
    document = json.loads(data.decode(), parse_float=str, parse_constant=str)
    holds = isinstance(document, dict) and canonical(document).encode() == data
    need(holds, "canonical", "not the canonical form of a JSON object")
    return dict(document)


def tile_name(level: object, number: int, width: int = WIDTH) -> str:
    """The file of a tile or bundle."""
    *groups, last = re.findall("...", f"{number:0{-len(str(number)) // 3 * -3}}")
    way = "".join(f"x{group}/" for group in groups) + last
    return f"tile/{level}/{way}" + f".p/{width}" * (width < WIDTH)


def check_opening(data: bytes, commitment: str) -> None:
    """Whether an opening is that of a commitment."""
    found = sha256(b"tokenprov/holder/v1\n", data).hex()
    need(parse(data) and found == commitment, "opening", "it does not open the commitment")


class Lives:
    """What may follow what (formats.md); `add` gives the rules that do not hold."""

    def __init__(self) -> None:
        self.size, self.station, self.once = 0, "", dict[tuple[str, str], int]()
        self.tokens = dict[object, tuple[str, str]]()  # state and commitment of each
        self.erased = dict[str, bool]()  # by commitment

    def add(self, entry: dict[str, Any]) -> Iterator[tuple[str, str]]:
        kind, who = entry["kind"], entry.get("holder", {}).get("commitment", "")
        self.station = self.station or entry["station"]
        if (self.size == 0) != (kind == "station") or entry["station"] != self.station:
            yield "station", "of another station, or not the first entry and only that names it"
        first = self.once.setdefault((kind, entry.get(ONCE.get(kind, ""), self.size)), self.size)
        if first != self.size:
            yield ONCE[kind], f"{entry[ONCE[kind]]} is that of entry {first}"
        known = self.erased.setdefault if kind == "issued" else self.erased.get
        gone = known(who, kind != "issued")
        if kind == "issued" and (gone or ("batch-closed", entry["batch"]) in self.once):
            yield "order", "for a holder who was erased, or of a batch that was closed"
        self.erased |= {who: True} if kind == "erased" else {}
        if kind == "erased" and gone:
            yield "erased", "of nobody in this log, or a second time"
        if kind in MOVES and entry["token"]["serial"] is not None:
            yield from self.move(kind, entry, who)

    def move(self, kind: str, entry: dict[str, Any], who: str) -> Iterator[tuple[str, str]]:
        both = (entry["token"], entry.get("by", {}))
        token, other = ((t.get("maker"), t.get("serial"), t.get("virtual")) for t in both)
        (state, owner), (before, after) = self.tokens.get(token, ("new", "")), MOVES[kind]
        self.tokens[token] = after, who or owner
        another = "" not in (who, owner) and who != owner and (kind != "issued" or state in HELD)
        if another or (kind == "wiped" and state in HELD):
            yield "binding", f"token {token[1]} is another holder's"
        elif state not in before:
            yield "state", f"token {token[1]} is {state}, and cannot be {kind}"
        if kind == "replaced" and self.tokens.get(other) != ("held", who):
            yield "binding", "the token in its place is not this holder's"


class Record:
    """A manifest's folder, or a proof; `faults` is what does not hold."""

    def __init__(self, path: Path) -> None:
        self.path, self.faults, self.lives = path, list[str](), Lives()
        self.blobs, self.tiles = set[str](), dict[str, list[bytes]]()  # tile: what it is made of

    def attempt(self, place: str, check: Callable[..., object], *arguments: object) -> None:
        try:
            check(*arguments)
        except Wrong as wrong:
            self.faults.append("{}: {place}: {}".format(*wrong.args, place=place))
        except (InvalidSignature, OSError, *MALFORMED) as error:
            self.faults.append(f"{type(error).__name__}: {place}: {error}")

    def folder(self, given: str | None) -> None:
        stored = (self.path / "manifest.vkey").read_text("utf-8", "replace")
        key = Key(given or stored.removesuffix("\n"))
        need(stored == f"{key.text}\n", "verifier-key", "another than was given, or not one line")
        (size, root), row = key.open((self.path / "checkpoint").read_bytes()), list[bytes]()
        for first in range(0, size, WIDTH):
            row += self.bundle(first // WIDTH, min(WIDTH, size - first))
        if root_of(row) != root:
            self.faults.append("root: the entries do not have the root that was signed")
        for level in range(64):
            tiles = [row[i : i + WIDTH] for i in range(0, len(row), WIDTH)]
            self.tiles |= {tile_name(level, n): tile for n, tile in enumerate(tiles)}
            row = [root_of(tile) for tile in tiles if len(tile) == WIDTH]
        self.files()

    def bundle(self, number: int, width: int) -> list[bytes]:
        name, entries, at = tile_name("entries", number, width), list[bytes](), 0
        data = (self.path / name).read_bytes()
        while at < len(data):
            end = at + 2 + int.from_bytes(data[at : at + 2])
            entries.append(data[at + 2 : end])
            self.attempt(f"entry {self.lives.size}", self.entry, entries[-1])
            self.lives.size, at = self.lives.size + 1, end
        need(at == len(data) and len(entries) == width, "tile", f"{name}: not {width} entries")
        self.tiles[name.partition(".")[0]] = [len(entry).to_bytes(2) + entry for entry in entries]
        return [sha256(b"\0", entry) for entry in entries]

    def entry(self, data: bytes) -> None:
        entry = parse(data)
        need(entry["v"] == 1 and entry["kind"] in {*MOVES, *OTHERS.split()}, "kind", "not known")
        for rule, what in self.lives.add(entry):
            self.faults.append(f"{rule}: entry {self.lives.size}: {what}")
        named = ("steps", "secrets", "approvers")
        parts = [entry.get("clearance", {}), *(p for n in named for p in entry.get(n, ()))]
        evidence = [e for part in (entry, *parts) for e in part.get("evidence", ())]
        self.blobs |= {item["sha256"] for item in (*parts, *evidence) if "sha256" in item}
        self.blobs -= {*entry.get("blobs", ())}  # which an erasure took

    def files(self) -> None:
        """Every file that must be there is, and what is there is accounted for."""
        needed = {f"blobs/sha256/{digest[:2]}/{digest}" for digest in self.blobs}
        needed |= {n + f".p/{len(t)}" * (len(t) < WIDTH) for n, t in self.tiles.items()}
        for top, folders, names in os.walk(self.path):
            for path in (Path(top, name) for name in [*names, *folders]):
                name = str(path.relative_to(self.path))
                if path.is_symlink() or not (path.is_file() or path.is_dir()):
                    self.faults.append(f"stray: {name}: not an ordinary file")
                elif path.is_file() and name not in ("checkpoint", "manifest.vkey"):
                    needed.discard(name)
                    self.attempt(name, self.file, name, path.read_bytes())
        self.faults += [f"missing: {name}" for name in sorted(needed)]

    def file(self, name: str, data: bytes) -> None:
        base, (tile, _, width) = Path(name).name, name.partition(".p/")
        if base in self.blobs and name == f"blobs/sha256/{base[:2]}/{base}":
            need(sha256(data).hex() == base, "blob", "not what its name says")
        elif base[:-5] in self.lives.erased and name == f"openings/{base[:-5]}.json":
            check_opening(data, base[:-5])
            need(not self.lives.erased[base[:-5]], "erased", "the log says that it was erased")
        elif tile in self.tiles and re.fullmatch("|[1-9][0-9]*", width):
            parts, count = self.tiles[tile], int(width or WIDTH)
            need(count <= len(parts) and count != (width and WIDTH), "stray", "no tile of this log")
            need(data == b"".join(parts[:count]), "tile", "not what the entries make it")
        else:
            raise Wrong("pending" if name == "pending" else "stray", "no entry refers to it")

    def proof(self, key: str | None) -> None:
        """Print the entry that is proved and, where it was handed out, who it is about."""
        need(key, "verifier-key", "a proof has no key in it: --key")
        head, _, note = self.path.read_bytes().partition(b"\n\n")
        size, root = Key(key or "").open(note)
        first, extra, index, *path = head.decode().split("\n")
        holds = (first, extra[:6], index[:6]) == ("c2sp.org/tlog-proof@v1", "extra ", "index ")
        need(holds and re.fullmatch("0|[1-9][0-9]*", index[6:]), "proof", "not in its form")
        told, number = parse(unbase64(extra[6:])), int(index[6:])
        need(told.keys() <= {"entry", "opening"}, "proof", "other members than entry and opening")
        start, steps = sha256(b"\0", canonical(told["entry"]).encode()), [*map(unbase64, path)]
        found = number < size and climb(start, number, size, steps) == root and not steps
        need(found, "inclusion", "the entry is not in the tree that was signed")
        opening = canonical(told.get("opening")).encode()
        if "opening" in told:
            check_opening(opening, told["entry"]["holder"]["commitment"])
        print(json.dumps({"index": number, **told}, ensure_ascii=False, indent=2))


def main() -> int:
    """The command."""
    arguments = argparse.ArgumentParser(epilog="WHAT is a manifest's folder, or a proof.")
    arguments.add_argument("what", type=Path)
    arguments.add_argument("--key", help="the verifier key, name+id+base64")
    asked = arguments.parse_args()
    record = Record(asked.what)
    record.attempt("it", record.folder if asked.what.is_dir() else record.proof, asked.key)
    print("\n".join(record.faults) or "it holds")
    return 6 if record.faults else 0


if __name__ == "__main__":
    sys.exit(main())
