"""Custodians' keys changed: what is sealed moves to a new one, and what comes is sealed to it.

Rules:
- No secret is shown: each is opened in memory with the old key and sealed to the new one at once,
  with the same context. Generations and states stay; the old envelopes are superseded and kept.
- A token's move is an entry `resealed` that holds its new envelopes. It is durable first, then the
  ledger follows: cut off anywhere, the same command takes up what is on record, and goes on.
- One process changes custodians' keys at a time. While another works on tokens, what is prepared
  for them is left: the same command moves it afterwards.
- Another key for what comes (`rotate`) is an entry `custodian-changed`, then the file in the home.
  Cut off between the two, the same command writes the file, and needs no other agreement.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import islice

from tokenprov.custody import AnyKey, Reason, describe_token
from tokenprov.errors import EscrowError, InputError, StationBusy
from tokenprov.home import Home
from tokenprov.model import Purpose
from tokenprov.policy import Act, Action, enforce
from tokenprov.record.entry import Entry, Kind, entry_head
from tokenprov.record.escrow import CustodianKey, open_envelope, read_context, seal
from tokenprov.record.files import write_durable
from tokenprov.record.lock import StationLock
from tokenprov.record.manifest import Addition
from tokenprov.record.rows import EnvelopeRecord, EnvelopeState
from tokenprov.record.sealed import Move

PAGE = 50  # tokens under one checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Resealed:
    """How much was moved in this run; none of it where all was moved before."""

    secrets: int
    tokens: int


def reseal(
    home: Home, purpose: Purpose, old_kid: str, old: AnyKey, new: CustodianKey, reason: Reason
) -> Resealed:
    """Move all that is sealed to a custodian's old key to a new one; recorded and durable.

    `old_kid` names the public half of `old`. Raises EscrowError: nothing is sealed to the old key,
    or an envelope does not open; StationBusy; DurabilityError. What was moved before it stays so.
    """
    if new.kid == old_kid:
        raise InputError(
            f"the new key is the old one, {new.kid}",
            remedy="Name the public key of the custodian's new pair.",
        )
    act = Act(
        action=Action.RESEAL,
        operator=reason.operator,
        about={"purpose": str(purpose), "from": old_kid, "to": new.kid},
    )
    done, tokens, found = 0, 0, False
    with _changing(home) as beside:
        clearance = enforce(home, act, reason.agreement)
        take_up(home)
        for labels in _pages(home.ledger.sealed.tokens(purpose, old_kid)):
            found = True
            todo = [_todo(home, purpose, label, old_kid, new.kid, beside) for label in labels]
            moves = [[_move(envelope, old, new) for envelope in token] for token in todo if token]
            if moves:
                additions = [_addition(home, token, old_kid, reason) for token in moves]
                home.manifest.append_many([clearance.cover(addition) for addition in additions])
                home.ledger.sealed.move([move for token in moves for move in token])
            done += sum(map(len, moves))
            tokens += len(moves)
    if not found:
        raise EscrowError(
            f"nothing is sealed to key {old_kid} for {purpose}",
            remedy="See which keys are in use: tokenprov escrow list",
        )
    return Resealed(secrets=done, tokens=tokens)


@contextmanager
def _changing(home: Home) -> Iterator[bool]:
    """Be the one who changes custodians' keys; whether another process works on tokens meanwhile.

    Raises StationBusy where somebody else changes them.
    """
    with StationLock(home.path, "custody.lock"), home.recording(), ExitStack() as alone:
        beside = False
        try:
            alone.enter_context(home.working())
        except StationBusy:
            beside = True
        yield beside


def _todo(
    home: Home, purpose: Purpose, label: str, old_kid: str, new_kid: str, beside: bool
) -> list[EnvelopeRecord]:
    """What of a token is to be moved; not what another process may be telling it right now.

    Of each secret the last envelope says to which key it has come. Raises InputError where the new
    key had it before: a key that was taken over from is over.
    """
    there = home.ledger.envelopes(token_label=label, purpose=purpose)
    todo = [
        envelope
        for envelope in {_secret(envelope): envelope for envelope in there}.values()
        if envelope.kid == old_kid and not (beside and envelope.state is EnvelopeState.PREPARED)
    ]
    before = {_secret(envelope) for envelope in there if envelope.kid == new_kid}
    if before & set(map(_secret, todo)):
        raise InputError(
            f"what is sealed for token {label} was moved away from key {new_kid} before",
            remedy="Have the custodian make a new pair: tokenprov escrow new-key",
        )
    return todo


def take_up(home: Home) -> None:
    """Tell the ledger of moves that are on record and that it does not have: they were cut off.

    Only the last append can be: it goes back from there to the first one that is known.
    """
    for index in reversed(home.manifest.found_by(f"kind {Kind.RESEALED}")):
        entry = home.manifest.entry(index)
        missing = [
            one["sha256"] for one in entry["secrets"] if not home.ledger.sealed.has(one["sha256"])
        ]
        if not missing:
            return
        home.ledger.sealed.move(
            [_found_again(home, home.manifest.blob(digest), entry) for digest in missing]
        )


def rotate(home: Home, purpose: Purpose, new: CustodianKey, reason: Reason) -> str:
    """Seal what comes to another key of a custodian; gives the kid of the one before.

    Raises InputError: it is that key already; StationBusy; DurabilityError, after which the same
    call does the rest.
    """
    old = home.custodians[purpose]
    if old.kid == new.kid:
        raise InputError(
            f"{purpose} has the key {new.kid} already",
            remedy="Name the public key of the custodian's new pair.",
        )
    act = Act(
        action=Action.ROTATE_CUSTODIAN,
        operator=reason.operator,
        about={"purpose": str(purpose), "to": new.kid},
    )
    with _changing(home):
        if _last_change(home, purpose) != (old.kid, new.kid):
            clearance = enforce(home, act, reason.agreement)
            entry: Entry = {
                **_head(home, Kind.CUSTODIAN_CHANGED, reason),
                "purpose": str(purpose),
                "from": old.kid,
                "to": new.kid,
            }
            home.manifest.append_many([clearance.cover(Addition(entry=entry))])
        write_durable(home.path / "custodians" / f"{purpose}.pem", new.to_pem())
    return old.kid


def record_split(home: Home, kid: str, threshold: int, shares: int, reason: Reason) -> int:
    """That a custodian's key is made into shares: before the first of them is.

    Raises PolicyError, ApprovalError, StationBusy; DurabilityError.
    """
    act = Act(
        action=Action.SPLIT,
        operator=reason.operator,
        about={"kid": kid, "shares": f"{threshold} of {shares}"},
    )
    with home.recording():
        clearance = enforce(home, act, reason.agreement)
        entry: Entry = {
            **_head(home, Kind.CUSTODIAN_SPLIT, reason),
            "kid": kid,
            "threshold": threshold,
            "shares": shares,
        }
        return home.manifest.append_many([clearance.cover(Addition(entry=entry))])


def record_joined(home: Home, kid: str, shares: int, operator: str) -> int:
    """That shares were tried and gave a key, as a drill. Raises StationBusy, DurabilityError."""
    with home.recording():
        entry: Entry = {
            **entry_head(Kind.DRILL, time=home.clock(), station=home.name, operator=operator),
            "drill": "shares",
            "outcome": "passed",
            "facts": {"kid": kid, "shares": shares},
        }
        return home.manifest.append(entry)


def _last_change(home: Home, purpose: Purpose) -> tuple[str, str] | None:
    for index in reversed(home.manifest.found_by(f"kind {Kind.CUSTODIAN_CHANGED}")):
        entry = home.manifest.entry(index)
        if entry["purpose"] == purpose:
            return entry["from"], entry["to"]
    return None


def _head(home: Home, kind: Kind, reason: Reason) -> Entry:
    return {
        **entry_head(kind, time=home.clock(), station=home.name, operator=reason.operator),
        "reason": reason.text,
    }


def _secret(envelope: EnvelopeRecord) -> tuple[str, str, str, int]:
    return envelope.order, envelope.token_label, envelope.name, envelope.generation


def _pages(labels: Iterator[str]) -> Iterator[list[str]]:
    """So many tokens at a time."""
    while page := list(islice(labels, PAGE)):
        yield page


def _move(envelope: EnvelopeRecord, old: AnyKey, new: CustodianKey) -> Move:
    context, secret = open_envelope(envelope.blob, old)
    blob = seal(secret, new, context)
    digest = hashlib.sha256(blob).hexdigest()
    return Move(old=envelope.sha256, new=replace(envelope, kid=new.kid, sha256=digest, blob=blob))


def _addition(home: Home, moves: Sequence[Move], old_kid: str, reason: Reason) -> Addition:
    new = [move.new for move in moves]
    entry: Entry = {
        **_head(home, Kind.RESEALED, reason),
        "token": describe_token(home, new[0].token_label, new[-1].order),
        "from": old_kid,
        "secrets": [envelope.to_json() for envelope in new],
    }
    return Addition(entry=entry, blobs=tuple(envelope.blob for envelope in new))


def _found_again(home: Home, blob: bytes, entry: Entry) -> Move:
    """The move that an entry records, by what the new envelope says of itself."""
    context, kid = read_context(blob)
    wanted = (context.order, context.token, context.name, context.generation)
    for old in reversed(home.ledger.envelopes(token_label=context.token, order=context.order)):
        if (_secret(old), old.purpose, old.kid) == (wanted, context.purpose, entry["from"]):
            digest = hashlib.sha256(blob).hexdigest()
            return Move(old=old.sha256, new=replace(old, kid=kid, sha256=digest, blob=blob))
    raise EscrowError(
        f"the manifest has an envelope of {context.name} for token {context.token} that replaces"
        " one which the ledger does not have",
        remedy="The ledger is older than the manifest: restore it from its last copy.",
    )
