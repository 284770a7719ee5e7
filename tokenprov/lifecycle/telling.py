"""A token that is somebody's is told something again: sealed, journalled, written, read back.

Rules:
- Only the token that is meant, as it says or proves on the connection that writes; none that is
  never to be touched.
- The order that issued the token is told a further generation of its secrets; what was sealed
  before stays active until the entry is durable, and is kept.
- What is in force on the token comes out of escrow by a custodian's key, on the record, and is
  seen to be in force before anything is promised, where that can be seen.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec

from tokenprov.batch import StepProgress
from tokenprov.custody import AnyKey, Form, Opened, Reason, open_sealed, sealed
from tokenprov.device.sources import SMART_CARDS, Source
from tokenprov.device.token import AnyToken
from tokenprov.errors import EscrowError
from tokenprov.events import Listener
from tokenprov.home import Home
from tokenprov.issuance import step_read
from tokenprov.lifecycle.subject import Issued
from tokenprov.lifecycle.work import Work, record
from tokenprov.model import Json, Purpose, SecretKind
from tokenprov.plan import Planned
from tokenprov.promise import OrderJournal
from tokenprov.record.entry import Kind
from tokenprov.record.escrow import STATION, CustodianKey, KeyInMemory
from tokenprov.record.rows import EnvelopeRecord, EnvelopeState
from tokenprov.run import conflicts, look, provision, refuse_used
from tokenprov.sealed_view import NeedsSecret, sealed_view
from tokenprov.secret import RandomBytes, Secret
from tokenprov.step import Finding, Operator, State, Step
from tokenprov.token import Token
from tokenprov.unnumbered import only
from tokenprov.wipe import refuse_forbidden

MakeSteps = Callable[[Token, Mapping[str, Secret]], Sequence[Step]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Where it is done: the token's reader, who is at it, and what hears of it."""

    reader: str
    operator: Operator
    listener: Listener
    source: Source = SMART_CARDS  # what the reader is one of
    random: RandomBytes = field(default=secrets.token_bytes)

    def opened(
        self, expect: Callable[[AnyToken], None] | None = None
    ) -> AbstractContextManager[AnyToken]:
        """The token in the reader, exclusively. `expect` may refuse it. Raises `TokenError`."""
        return self.source.opened(self.reader, self.operator, expect)


def in_force(
    home: Home, token: Issued, kinds: Collection[SecretKind], key: AnyKey
) -> list[EnvelopeRecord]:
    """The envelopes of what the token holds now, of these kinds, that the key opens.

    What it held for somebody before it was given back stays sealed, and is none of it.
    """
    kid = recipient(key).kid
    found: dict[str, EnvelopeRecord] = {}
    for one in sealed(home, token=token.label):
        if one.order != token.order.id or one.state is not EnvelopeState.ACTIVE:
            continue
        if one.kid == kid and one.kind in kinds:
            found[one.name] = one
    return list(found.values())


def open_in_force(
    home: Home, work: Work, kinds: Collection[SecretKind], key: AnyKey
) -> dict[str, Secret]:
    """What the token holds now, by name; recorded. Raises `EscrowError` where nothing opens."""
    envelopes = in_force(home, work.token, kinds, key)
    if not envelopes:
        purposes = sorted({str(kind.purpose) for kind in kinds} | {str(Purpose.BREAK_GLASS)})
        raise EscrowError(
            f"nothing that token {work.token.label} holds opens with key {recipient(key).kid}",
            remedy=f"Give the key of {' or '.join(purposes)}. What is sealed: tokenprov escrow"
            f" list {work.token.label}",
        )

    def prepare(found: list[Opened]) -> dict[str, Secret]:
        return {one.context.name: one.value for one in found}

    text = f"{work.record.kind} of token {work.token.label}: {work.record.reason}"
    why = Reason(operator=work.record.operator, text=text)
    agreed = work.clearance
    return open_sealed(home, envelopes, key, why, form=Form.TOKEN, about=agreed, prepare=prepare)


def preview(
    home: Home, token: Issued, bench: Bench, names: Collection[str], make: MakeSteps
) -> list[Planned]:
    """The steps on the token that is here, as far as it shows without its secrets.

    Nothing is opened and nothing is changed; `names` are the secrets that would be opened.
    """
    found = []
    with bench.opened(only(home, token.token)) as there:
        view = sealed_view(there)
        for step in make(there, {name: Secret(b"\0") for name in names}):
            try:
                finding = step.observe(view, None)
            except NeedsSecret as error:
                finding = Finding(state=State.ABSENT, reason=error.message)
            found.append(Planned(step=step, finding=finding))
    return found


def tell(
    home: Home,
    work: Work,
    kind: Kind,
    bench: Bench,
    held: Mapping[str, Secret],
    make: MakeSteps,
    *,
    then: Callable[[], Mapping[str, Json]] = dict,
) -> int:
    """Take the token through the steps and record what was read back; the entry's index.

    `held` is what it holds, by name. `then` does what is left once the steps are read back, and
    gives further members of the entry. Raises every `TokenError` that it meets; the same command
    then goes on.
    """
    begun = work.record
    refuse_forbidden(home, work.token.token)
    journal = OrderJournal(
        home,
        begun.order,
        begun.label,
        random=bench.random,
        generation=begun.generation,
        key=begun.id,
    )
    with bench.opened(only(home, work.token.token)) as token:
        steps = make(token, held)

        def begin() -> Mapping[str, Finding]:
            findings = look(token, steps)
            refuse_used(token, conflicts(findings))
            return findings

        outcomes = provision(
            token,
            steps,
            journal,
            progress=StepProgress(reader=token.reader, listener=bench.listener),
            begin=begin,
        )
    fresh = [
        one
        for one in home.ledger.envelopes(token_label=begun.label, order=begun.order)
        if one.generation == begun.generation and one.purpose != STATION
    ]
    members: dict[str, Json] = {
        **then(),
        "steps": [step_read(outcome) for outcome in outcomes],
        "secrets": [one.to_json() for one in fresh],
    }
    evidence = [one.data for outcome in outcomes for one in outcome.finding.evidence]
    return record(home, kind, work, members, blobs=[*evidence, *(one.blob for one in fresh)])


def recipient(key: AnyKey) -> CustodianKey:
    """The public half of a custodian's private key."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        key = KeyInMemory(private=key)
    return key.recipient
