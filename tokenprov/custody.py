"""Sealed secrets in the hands of their custodians: listed, and opened on the record.

Rules:
- What is listed is what envelopes say of themselves; no key is needed and no secret is seen.
- Opening is an event: an entry `opened` for each token names who, why, which secrets, and who
  agreed where the policy asks for it. It is durable before anything opened leaves this module.
- Nothing is recorded where nothing was opened: with a wrong key, or a damaged envelope among
  those that were asked for, there is no entry and no secret.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric import ec

from tokenprov.errors import EscrowError, InputError
from tokenprov.home import Home
from tokenprov.model import Json, Purpose
from tokenprov.policy import NOBODY, Act, Action, Agreement, Clearance, enforce
from tokenprov.record.entry import Entry, Kind, entry_head
from tokenprov.record.escrow import STATION, PrivateKey, SealContext, open_envelope
from tokenprov.record.manifest import Addition
from tokenprov.record.request import About
from tokenprov.record.rows import EnvelopeRecord, EnvelopeState
from tokenprov.secret import Secret

_T = TypeVar("_T")
AnyKey = ec.EllipticCurvePrivateKey | PrivateKey


class Form(StrEnum):
    """How opened secrets are handed out; the word stands in the entry."""

    SHOWN = "shown"  # to the person at the station
    YUBICO_CSV = "yubico-csv"  # these four as files for authentication servers
    OKTA_CSV = "okta-csv"
    KSM = "ksm"
    PSKC = "pskc"
    PIN_LETTER = "pin-letter"  # PDF for the holders
    TOKEN = "token"  # to tell it to a token, and to nobody
    DRILL = "drill"  # to try it, and to nobody


SERVERS = (Form.YUBICO_CSV, Form.OKTA_CSV, Form.KSM, Form.PSKC)  # files of seeds


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Who opens, why, and who agreed to it: all of it is recorded."""

    operator: str
    text: str
    agreement: Agreement = NOBODY

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise InputError(
                "nothing is opened without a reason",
                remedy="Give --reason, as in --reason 'PUK for Ada, ticket 4711'.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A secret with what its envelope proved of it, and the state in which the ledger has it."""

    context: SealContext
    state: EnvelopeState
    value: Secret


def sealed(
    home: Home,
    *,
    token: str | None = None,
    purpose: Purpose | None = None,
    superseded: bool = False,
) -> list[EnvelopeRecord]:
    """The envelopes of custodians that fit, the oldest first; `token` is the token's label."""
    return [
        envelope
        for envelope in home.ledger.envelopes(token_label=token, purpose=purpose)
        if envelope.purpose != STATION
        and (superseded or envelope.state is not EnvelopeState.SUPERSEDED)
    ]


def open_sealed(
    home: Home,
    envelopes: Sequence[EnvelopeRecord],
    key: AnyKey,
    reason: Reason,
    *,
    form: Form = Form.SHOWN,
    about: About | Clearance,
    prepare: Callable[[list[Opened]], _T],
) -> _T:
    """Open them with a custodian's key; what `prepare` makes of them is given out once recorded.

    `about` is what a request for it says, or the clearance of the act that it is part of. Raises
    PolicyError, ApprovalError: it may not be done; EscrowError: none was named, or one does not
    open with that key; StationBusy; DurabilityError; and what `prepare` does. Nothing is then
    recorded, and nothing given out.
    """
    if not envelopes:
        raise EscrowError("there is nothing to open", remedy="See: tokenprov escrow list")
    if isinstance(about, Clearance):
        clearance = about
    else:
        action = Action.OPEN if form is Form.SHOWN else Action.EXPORT
        act = Act(action=action, operator=reason.operator, about=about)
        clearance = enforce(home, act, reason.agreement)
    prepared = prepare(
        [
            Opened(context=context, state=envelope.state, value=value)
            for envelope in envelopes
            for context, value in [open_envelope(envelope.blob, key)]
        ]
    )
    by_token = sorted(envelopes, key=lambda envelope: envelope.token_label)
    with home.recording():
        home.manifest.append_many(
            [
                clearance.cover(_addition(home, label, list(mine), reason, form))
                for label, mine in groupby(by_token, lambda envelope: envelope.token_label)
            ]
        )
    return prepared


def _addition(
    home: Home, label: str, envelopes: Sequence[EnvelopeRecord], reason: Reason, form: Form
) -> Addition:
    entry: Entry = {
        **entry_head(Kind.OPENED, time=home.clock(), station=home.name, operator=reason.operator),
        "token": describe_token(home, label, envelopes[-1].order),
        "reason": reason.text,
        "form": str(form),
        "secrets": [envelope.to_json() for envelope in envelopes],
    }
    return Addition(entry=entry, blobs=tuple(envelope.blob for envelope in envelopes))


def describe_token(home: Home, label: str, order: str) -> dict[str, Json]:
    """The token as its order's entry has it; before that, as the ledger does."""
    found = home.ledger.order(order)
    if found is None or found.token is None or found.token.label != label:
        return {"serial": label}  # of an order that went on with another token
    if found.entry_index is not None:
        issued: dict[str, Json] = home.manifest.entry(found.entry_index)["token"]
        return issued
    return found.token.to_json()
