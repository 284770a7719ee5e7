#!/usr/bin/env python3
"""Checks who agreed to what in a tokenprov manifest, and that its keys are those of a root.

    python3 verify_approvals.py [--root VKEY | --key VKEY] FOLDER

Needs verify_manifest.py beside it, whose checks it makes too, and nothing more than that does;
written from formats.md alone. With --root the list of keys in the folder is by that root, and the
log's keys are those on it; whether the root has signed a later list since, only that root can tell.

Judged: people and their keys, requests, approvals, and what operators signed. Not judged: whether a
policy asked for more than was agreed to, and what holders were known by. Exit code 6: it does not
hold.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from verify_manifest import ED25519, LATE, MALFORMED, Record, Wrong, need, parse, sha256, unbase64

ALLOWS = {  # action: the kinds of entry that it may cause
    **{"open": "opened", "export": "opened", "reseal": "resealed", "erase": "erased"},
    **{"rotate-custodian": "custodian-changed", "split": "custodian-split", "wipe": "wiped"},
    **{"issue": "batch-closed issued wiped set-aside", "set-aside": "set-aside"},
    **{"replace": "replaced suspended revoked opened wiped issued", "drill": "drill opened"},
    **{"unblock": "unblocked opened", "rotate": "rotated opened", "renew": "rotated opened"},
    **{"suspend": "suspended", "resume": "resumed", "revoke": "revoked suspended"},
    **{"return": "wiped revoked opened", "retire": "retired revoked wiped opened"},
    **{"leave": "revoked suspended", "recovery-codes": "recovery-codes", "waive": "waiver"},
    **{"people": "person-changed", "policy": "policy-changed", "rotate-key": "key-rotated"},
    **{"begin-epoch": "key-lost", "identify": ""},
}


def signers(note: bytes, *keys: str) -> tuple[list[str], set[str]]:
    """The lines of a note, and those of these verifier keys that signed it; none may be wrong."""
    text, _, signed = note.decode().rpartition("\n\n")
    made = re.findall("\N{EM DASH} ([^ \n]+) ([^ \n]+)\n", signed)
    need(made and signed.count("\n") == len(made), "note", "not signed as a note is")
    found = set()
    for key in keys:
        name, given, encoded = key.split("+", 2)
        kind, raw = (whole := unbase64(encoded))[0], whole[1:]  # Ed25519, or ECDSA on P-256
        of = sha256(raw if kind == 2 else name.encode() + b"\n" + whole)[:4]
        holds = of.hex() == given and len(raw) == {1: 32, 2: 91}.get(kind)
        need(holds, "verifier-key", f"{name}'s is of no kind that is known, or not what it says")
        public: Any = serialization.load_der_public_key(raw if kind == 2 else ED25519 + raw)
        for who, line in made:
            if who == name and (signature := unbase64(line))[:4] == of:
                how = [ec.ECDSA(hashes.SHA256())] * (kind == 2)
                public.verify(signature[4:], f"{text}\n".encode(), *how)
                found.add(key)
    return text.split("\n"), found


class Agreed(Record):
    """A manifest's folder with its people; `root` signs the list of the log's keys."""

    def __init__(self, path: Path, root: str) -> None:
        super().__init__(path)
        self.root, self.since = root, [0]  # of each key, the size of its first checkpoint
        self.people, self.owners = dict[str, tuple[str, list[str]]](), dict[str, str]()
        self.used = set[tuple[str, str, str]]()

    def trusted(self, note: bytes, held: list[str]) -> tuple[int, bytes, list[str]]:
        """By the list of the root where there is one: each key that is not on it is vouched for."""
        if self.root:
            self.keys = self.keys or [(held[0], False)]
            (form, origin, number, *listed), by = signers(
                (self.path / "manifest.keys").read_bytes(), self.root
            )
            need(by and form == "tokenprov/keys/v1", "keys", "no list by this root")
            need(re.fullmatch("[1-9][0-9]*", number) and listed, "keys", "not in its form")
            mine = [f"{n} {key}" for n, (key, _) in zip(self.since, self.keys, strict=True)]
            later = self.keys[len(listed) :]
            need(mine[: len(listed)] == listed, "keys", "other keys signed this log")
            need(all(vouched for _, vouched in later), "keys", "an epoch is not on the list")
            need(origin == self.keys[-1][0].partition("+")[0], "keys", f"the list is of {origin}")
            held = [self.keys[-1][0]]
        return super().trusted(note, held)

    def change(self, entry: dict[str, Any], index: int, root: bytes | None = None) -> None:
        """The next key signs from here on."""
        super().change(entry, index, root)
        self.since.append(index + 1)

    def entry(self, data: bytes, index: int) -> None:
        """What others agreed to is what is reported; then, who is who from now on."""
        super().entry(data, index)
        entry = parse(data)
        self.faults += [f"approval: entry {index}: {what}" for what in self.agreed(entry)]
        if entry["kind"] == "person-changed":
            name, key = entry["person"], entry["key"]
            owner = self.owners.setdefault(key.partition("+")[2], name)
            need(owner == name == key.partition("+")[0], "person", f"the key is that of {owner}")
            self.people[name] = key, entry["roles"]

    def agreed(self, entry: dict[str, Any]) -> Iterator[str]:
        """What does not hold of who agreed to an entry."""
        clearance = entry.get("clearance", {})
        names = [one["name"] for one in entry["approvers"]]
        request, requester = clearance.get("request"), clearance.get("requester")
        if (request is None) != (requester is None) or (names and request is None):
            yield "it names no request that was approved"
        if len({*names} - {entry["operator"], requester}) < len(names):
            yield "who approved is the operator, the requester, or named twice"
        yield from (f"{name} was no approver" for name in names if not self.may(name, "approver"))
        token, holder = entry.get("token"), entry.get("holder", {}).get("commitment", "")
        about = (token.get("serial") or token.get("mark") or "") if token else holder
        if request is not None and (use := (request, entry["kind"], about)) in self.used:
            yield f"its request was used before, for {about or 'the station'}"
        elif request is not None:
            self.used.add(use)
        for one in entry["approvers"]:
            shown = [e["sha256"] for e in one["evidence"] if e["type"] == "approval"]
            if not shown:
                yield f"{one['name']} is named, and signed nothing"
            for digest in shown:
                told = {"requester": requester, "digest": request, "role": "requester"}
                yield from self.signed(entry, digest, "request", one["name"], told)
        for shown in clearance.get("evidence", ()):
            if shown["type"] == "operator-signature":
                who = {"requester": entry["operator"], "digest": None, "role": "operator"}
                yield from self.signed(entry, shown["sha256"], "operation", entry["operator"], who)

    def signed(
        self, entry: dict[str, Any], digest: str, form: str, name: str, told: dict[str, Any]
    ) -> Iterator[str]:
        """What does not hold of a document that is to be signed by `name` and its requester."""
        file = self.path / "blobs" / "sha256" / digest[:2] / digest
        if not file.exists():
            return  # which is named as missing
        try:
            keys = [key for key, _ in self.people.values()]
            lines, by = signers(file.read_bytes(), *keys)
            need(len(lines) == 2 and lines[0] == f"tokenprov/{form}/v1", form, "not in its form")
            asked = parse(lines[1].encode())
            whole = sha256("".join(f"{line}\n" for line in lines).encode()).hex()
            need(told["digest"] in (None, whole), form, "not the one that the entry names")
            need(asked["requester"] == told["requester"], form, "by another than the entry names")
            for who, role in ((told["requester"], told["role"]), (name, "")):
                need(self.may(who, role), form, f"{who} may not have signed it")
                need(self.people[who][0] in by, form, f"{who} did not sign it")
            kinds = ALLOWS[asked["action"]].split()
            holds = entry["kind"] in kinds and asked["station"] == entry["station"]
            need(holds, form, f"it was to {asked['action']} at {asked['station']}")
            of = datetime.fromisoformat
            at, made, expires = of(entry["time"]), of(asked["made"]), of(asked["expires"])
            need(made - LATE <= at <= expires, form, f"it held from {made} until {expires}")
            for member, wanted in asked["about"].items():
                found = said(member, entry)
                several = wanted.split(",") if member in ("tokens", "holder") else [wanted]
                need(found is None or found in several, form, f"it was about {member} {wanted}")
        except (Wrong, InvalidSignature, *MALFORMED) as error:
            yield f"{error.args[1] if isinstance(error, Wrong) else 'a signature is wrong'}"

    def may(self, name: str, role: str) -> bool:
        """Whether somebody of that name had the role then, or was anybody at all."""
        return name in self.people and (not role or role in self.people[name][1])


def said(member: str, entry: dict[str, Any]) -> str | None:
    """What an entry has of a member of `about`; None where it says nothing of it."""
    if member in ("token", "tokens"):
        token = entry.get("token") if entry["kind"] != "issued" else None
        return token and (token["serial"] or token.get("mark"))
    if member == "holder":
        commitment: str | None = entry.get("holder", {}).get("commitment")
        return commitment
    value = entry.get(member)
    return value if isinstance(value, str) else None


def main() -> int:
    """The command."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--key", action="append", default=[], help="name+id+base64")
    arguments.add_argument("--root", default="", help="name+id+base64 of the root of keys")
    record = Agreed((asked := arguments.parse_args()).folder, asked.root)
    record.attempt("it", record.folder, asked.key)
    print("\n".join(record.faults) or "it holds")
    return 6 if record.faults else 0


if __name__ == "__main__":
    sys.exit(main())
