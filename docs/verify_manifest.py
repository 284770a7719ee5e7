#!/usr/bin/env python3
"""Checks a tokenprov manifest, or one proof out of it, without tokenprov and without a network.

    python3 verify_manifest.py --key VKEY FOLDER | FILE.tlog-proof    (6: it does not hold)

Needs Python 3.11 and `cryptography`. VKEY is the operator's: the folder's only shows it is whole.
Not checked: members, counts, cosignatures, stamps, certificates; verify_approvals.py: who agreed.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

ED25519 = bytes.fromhex("302a300506032b6570032100")  # before a key in SubjectPublicKeyInfo
HOLDER = b"tokenprov/holder/v1\n"  # before an opening
WIDTH, LATE = 256, timedelta(minutes=5)  # hashes in a full tile; that an entry may come late
FREE, HELD = ("new", "stock", "aside", "revoked", "unmarked"), ("held", "suspended")  # whose?
MOVES = {  # kind: the states that a token may be in before it, and the one it is in after it
    **{"received": (("new", "aside", "revoked"), "stock"), "wiped": (FREE, "stock")},
    **{"issued": (("new", "stock", "aside", "held"), "held"), "unblocked": (("held",), "held")},
    **{"rotated": (("held",), "held"), "suspended": (("held",), "suspended")},
    **{"resumed": (("suspended",), "held"), "revoked": (HELD, "revoked")},
    **{"replaced": ((*HELD, "revoked"), "revoked"), "retired": (FREE, "retired")},
    "set-aside": ((*FREE, *HELD), "aside"),
}
ONCE = {"issued": "order", "wiped": "wipe", "waiver": "waiver", "batch-closed": "batch"}
ONCE |= {"recovery-codes": "list", "recovery-code-used": "code"}
READ = re.compile("checkpoint|manifest[.](vkey|keys)|timestamps/[0-9]+-[0-9]+[.]tsr")  # or not
MALFORMED = (ValueError, TypeError, LookupError, AttributeError, RecursionError)
OTHERS = """station opened resealed custodian-changed erased waiver drill batch-closed key-rotated
key-lost person-changed policy-changed custodian-split recovery-codes recovery-code-used
clock-corrected"""


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


def head(note: bytes, *keys: str) -> tuple[int, bytes, list[str]]:
    """Size, root and further lines of a checkpoint that each of these verifier keys signed."""
    text, _, signed = note.decode(errors="surrogateescape").rpartition("\n\n")
    made = [(n, unbase64(e)) for n, e in re.findall("\N{EM DASH} ([^ \n]+) ([^ \n]+)\n", signed)]
    form: Any = re.fullmatch(r"([^\n]+)\n(0|[1-9][0-9]{0,18})\n([^\n]{44})((?:\n[^\n]+)*)", text)
    need(form and made and signed.count("\n") == len(made), "note", "no signed checkpoint")
    for name, given, encoded in ([*key.split("+", 2), "", ""][:3] for key in keys):
        kind, raw = (key := unbase64(encoded))[0], key[1:]  # Ed25519, or ECDSA on P-256
        of = sha256(raw if kind == 2 else name.encode() + b"\n" + key)[:4]
        holds = of.hex() == given and len(raw) == {1: 32, 2: 91}.get(kind)
        need(holds, "verifier-key", "of no kind that is known, or not what its id says")
        need(form[1] == name, "origin", f"of {form[1]}, not of {name}")
        public: Any = serialization.load_der_public_key(raw if kind == 2 else ED25519 + raw)
        ours = [line[4:] for who, line in made if (who, line[:4]) == (name, of)]
        need(ours, "signature", f"none by {name}, key {given}")
        for signature in ours:
            how = [ec.ECDSA(hashes.SHA256())] * (kind == 2)
            public.verify(signature, f"{text}\n".encode(errors="surrogateescape"), *how)
    return int(form[2]), unbase64(form[3]), form[4].split("\n")[1:]


def sha256(*parts: bytes) -> bytes:
    """Of these, one after another. After 0x00 a leaf, after 0x01 a node (RFC 6962, 2.1)."""
    return hashlib.sha256(b"".join(parts)).digest()


def root_of(row: list[bytes]) -> bytes:
    """The root over a row of hashes: an odd one out is carried up as it is."""
    while (n := len(row)) > 1:
        row = [sha256(b"\1", *row[i : i + 2]) if i + 1 < n else row[i] for i in range(0, n, 2)]
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
    document: dict[str, Any] = json.loads(data.decode(), parse_float=str, parse_constant=str)
    need(canonical({**document}).encode() == data, "canonical", "not in the canonical form")
    return document


def tile_name(level: object, number: int, width: int = WIDTH) -> str:
    """The file of a tile or bundle."""
    way = re.sub("(...)(?=.)", r"x\1/", f"{number:0{-len(str(number)) // 3 * -3}}")
    return f"tile/{level}/{way}" + f".p/{width}" * (width < WIDTH)


class Record:
    """A manifest's folder, or a proof; `faults` is what does not hold."""

    def __init__(self, path: Path) -> None:
        self.path, self.faults, self.row = path, list[str](), list[bytes]()  # hashes of entries
        self.keys = list[tuple[str, bool]]()  # one after another; vouched for by the last?
        self.station, self.latest, self.once = "", "", dict[tuple[str, str | int], int]()
        self.tokens, self.erased = dict[object, tuple[str, str]](), dict[str, bool]()
        self.blobs, self.tiles = set[str](), dict[str, list[bytes]]()  # tile: what it is made of

    def attempt(self, place: str, check: Callable[..., object], *arguments: object) -> None:
        try:
            check(*arguments)
        except (Wrong, InvalidSignature, OSError, *MALFORMED) as error:
            rule, what = error.args if isinstance(error, Wrong) else (type(error).__name__, error)
            self.faults.append(f"{rule}: {place}: {what}")

    def folder(self, held: list[str]) -> None:
        stored = (self.path / "manifest.vkey").read_text("utf-8", "replace")
        note = (self.path / "checkpoint").read_bytes()
        for first in range(0, size := head(note)[0], WIDTH):
            self.bundle(first // WIDTH, min(WIDTH, size - first))
        root, row = self.trusted(note, held or [stored.removesuffix("\n")])[1], self.row
        need(stored == f"{self.keys[-1][0]}\n", "verifier-key", "another signs, or not one line")
        self.attempt("checkpoint", need, root_of(row) == root, "root", "that of other entries")
        for level in range(64):
            tiles = [row[i : i + WIDTH] for i in range(0, len(row), WIDTH)]
            self.tiles |= {tile_name(level, n): tile for n, tile in enumerate(tiles)}
            row = [root_of(tile) for tile in tiles if len(tile) == WIDTH]
        self.files()

    def trusted(self, note: bytes, held: list[str]) -> tuple[int, bytes, list[str]]:
        self.keys, trust = self.keys or [(held[0], False)], False
        for key, vouched in self.keys:
            trust = key in held or (trust and vouched)
        need(trust and {*held} <= {k for k, _ in self.keys}, "epoch", "what is held leads away")
        return head(note, self.keys[-1][0])

    def change(self, entry: dict[str, Any], index: int, root: bytes | None = None) -> None:
        # the old key signed the tree before and, where it could, the next key, which signed too
        old, new, vouched = entry["old"], entry["new"], entry["kind"] == "key-rotated"
        self.keys = self.keys or [(old, False)]
        note = entry["handover" if vouched else "last"].encode()
        size, before, more = head(note, *[old, new][: 1 + vouched])
        holds = (root is None or (size, before) == (index, root)) and old == self.keys[-1][0] != new
        self.keys.append((new, vouched))
        need(holds and more == [f"next-key {new}"] * vouched, "key", "not the next one")

    def bundle(self, number: int, width: int) -> None:
        name, parts, at = tile_name("entries", number, width), list[bytes](), 0
        data = (self.path / name).read_bytes()
        while at < len(data):
            parts.append(data[at : at + 2 + int.from_bytes(data[at : at + 2])])
            at, index = at + len(parts[-1]), len(self.row)
            self.attempt(f"entry {index}", self.entry, parts[-1][2:], index)
            self.row.append(sha256(b"\0", parts[-1][2:]))
        need(len(parts) == width, "tile", f"{name}: not {width} entries")
        self.tiles[name.partition(".")[0]] = parts

    def entry(self, data: bytes, index: int) -> None:
        entry = parse(data)
        need(entry["v"] == 1 and entry["kind"] in {*MOVES, *OTHERS.split()}, "kind", "not known")
        self.faults += [f"{r}: entry {index}: {what}" for r, what in self.follow(index, entry)]
        if entry["kind"].startswith("key-"):
            self.change(entry, index, root_of(self.row))
        named = ("steps", "secrets", "approvers")
        parts = [entry.get("clearance", {}), *(p for n in named for p in entry.get(n, ()))]
        evidence = [e for part in (entry, *parts) for e in part.get("evidence", ())]
        self.blobs |= {item["sha256"] for item in (*parts, *evidence) if "sha256" in item}
        self.blobs -= {*entry.get("blobs", ())}  # which an erasure took

    def follow(self, index: int, entry: dict[str, Any]) -> Iterator[tuple[str, str]]:
        kind, who = entry["kind"], entry.get("holder", {}).get("commitment", "")
        self.station = self.station or entry["station"]
        if (index == 0) != (kind == "station") or entry["station"] != self.station:
            yield "station", "of another station, or not the first entry and only that names it"
        of, now, last = datetime.fromisoformat, entry["time"], self.latest or entry["time"]
        if entry["ahead"] != last if "ahead" in entry else of(last) - of(now) > LATE:
            yield "time", f"it does not follow {last}"
        self.latest = now if "ahead" in entry else max(last, now)
        first = self.once.setdefault((kind, entry.get(ONCE.get(kind, ""), index)), index)
        if first != index:
            yield ONCE[kind], f"{entry[ONCE[kind]]} is that of entry {first}"
        gone = [self.erased.get, self.erased.setdefault][kind == "issued"](who, kind != "issued")
        if kind == "issued" and (gone or ("batch-closed", entry["batch"]) in self.once):
            yield "order", "for a holder who was erased, or of a batch that was closed"
        self.erased |= {who: True} if kind == "erased" else {}
        if kind == "erased" and gone:
            yield "erased", "of nobody in this log, or a second time"
        if kind in MOVES and (entry["token"]["serial"] or entry["token"].get("mark")):
            yield from self.move(kind, entry, who)

    def move(self, kind: str, entry: dict[str, Any], who: str) -> Iterator[tuple[str, str]]:
        both = (token.get for token in (entry["token"], entry.get("by", {})))
        token, other = ((of("maker"), of("serial") or of("mark"), of("virtual")) for of in both)
        (state, owner), (before, after) = self.tokens.get(token, ("new", "")), MOVES[kind]
        after = "unmarked" if kind == "wiped" and entry["token"]["serial"] is None else after
        self.tokens[token] = after, who or owner
        another = "" not in (who, owner) and who != owner and (kind != "issued" or state in HELD)
        if another or (kind == "wiped" and state in HELD):
            yield "binding", f"token {token[1]} is another holder's"
        elif state not in before:
            yield "state", f"token {token[1]} is {state}, and cannot be {kind}"
        if kind == "replaced" and self.tokens.get(other) != ("held", who):
            yield "binding", "the token in its place is not this holder's"

    def files(self) -> None:
        needed = {f"blobs/sha256/{digest[:2]}/{digest}" for digest in self.blobs}
        needed |= {n + f".p/{len(t)}" * (len(t) < WIDTH) for n, t in self.tiles.items()}
        for path in self.path.rglob("*"):
            name = str(path.relative_to(self.path))
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                self.faults.append(f"stray: {name}: not an ordinary file")
            elif path.is_file() and not READ.fullmatch(name):
                needed.discard(name)
                self.attempt(name, self.file, name, path.read_bytes())
        self.faults += [f"missing: {name}" for name in sorted(needed)]

    def file(self, name: str, data: bytes) -> None:
        base, (tile, _, width) = Path(name).name, name.partition(".p/")
        if base in self.blobs and name == f"blobs/sha256/{base[:2]}/{base}":
            need(sha256(data).hex() == base, "blob", "not what its name says")
        elif base[:-5] in self.erased and name == f"openings/{base[:-5]}.json":
            need(sha256(HOLDER, data).hex() == base[:-5] and parse(data), "opening", "of another")
            need(not self.erased[base[:-5]], "erased", "the log says that it was erased")
        elif tile in self.tiles and re.fullmatch("|[1-9][0-9]*", width):
            parts, count = self.tiles[tile], int(width or WIDTH)
            need(count <= len(parts) and count != (width and WIDTH), "stray", "no tile of this log")
            need(data == b"".join(parts[:count]), "tile", "not what the entries make it")
        elif re.fullmatch("cosigned/(0|[1-9][0-9]*)", name):
            size, root, _ = head(data)
            need((size, root) == (int(base), root_of(self.row[:size])), "cosigned", "another tree")
        else:
            raise Wrong("pending" if name == "pending" else "stray", "no entry refers to it")

    def proof(self, held: list[str]) -> None:
        need(held, "verifier-key", "a proof has no key in it: --key")
        above, _, note = self.path.read_bytes().partition(b"\n\n")
        first, extra, index, *path = above.decode().split("\n")
        holds = (first, extra[:6], index[:6]) == ("c2sp.org/tlog-proof@v1", "extra ", "index ")
        need(holds and re.fullmatch("0|[1-9][0-9]*", index[6:]), "proof", "not in its form")
        told, number = parse(unbase64(extra[6:])), int(index[6:])
        need(told.keys() <= {"entry", "opening", "keys"}, "proof", "members that are not known")
        for change in told.pop("keys", []):
            self.change(change, 0)
        size, root, _ = self.trusted(note, held)
        start, steps = sha256(b"\0", canonical(told["entry"]).encode()), [*map(unbase64, path)]
        found = number < size and climb(start, number, size, steps) == root and not steps
        need(found, "inclusion", "the entry is not in the tree that was signed")
        opened = sha256(HOLDER, canonical(told.get("opening")).encode()).hex()
        holds = "opening" not in told or opened == told["entry"]["holder"]["commitment"]
        need(holds, "opening", "it does not open the commitment")
        print(json.dumps({"index": number, **told}, ensure_ascii=False, indent=2))


def main() -> int:
    """The command."""
    arguments = argparse.ArgumentParser(epilog="WHAT is a manifest's folder, or a proof.")
    arguments.add_argument("what", type=Path)
    arguments.add_argument("--key", action="append", default=[], help="name+id+base64")
    record = Record((asked := arguments.parse_args()).what)
    record.attempt("it", record.folder if asked.what.is_dir() else record.proof, asked.key)
    print("\n".join(record.faults) or "it holds")
    return 6 if record.faults else 0


if __name__ == "__main__":
    sys.exit(main())
