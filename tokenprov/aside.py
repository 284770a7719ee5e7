"""A token taken out of the line: recorded, never taken again, its order given to the next one.

Rules:
- Only a token that an order was begun with and not finished: what ends the binding of a token that
  is a holder's is another thing.
- First its certificates are revoked at their issuers, and its passkeys removed where the station is
  the relying party: they are for keys that nobody answers for. An issuer that does not answer stops
  it, and the same command goes on; one that takes no revocation is named as `elsewhere`.
- Then comes the entry, with the envelopes of what the token was told, or was going to be; then the
  station forgets its own copies and the order is open again. The custodians keep theirs, under the
  old serial.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from cryptography import x509

from tokenprov.errors import InputError
from tokenprov.home import Home
from tokenprov.model import Json, OrderState
from tokenprov.policy import NOBODY, Act, Action, Agreement, enforce
from tokenprov.record.aside import AsideRecord
from tokenprov.record.entry import Entry, Kind, entry_head
from tokenprov.record.escrow import STATION
from tokenprov.record.manifest import Addition
from tokenprov.record.rows import Batch, OrderRecord

LOCAL = "local"  # the authority of orders that were begun before their journal named it
UNUSED = x509.ReasonFlags.cessation_of_operation  # RFC 5280, 5.3.1
UNFINISHED = (OrderState.WORKING, OrderState.FAILED)


def set_aside(
    home: Home, serial: str, *, reason: str, operator: str, agreement: Agreement = NOBODY
) -> AsideRecord:
    """Take the token of an unfinished order out of the line; durable on return.

    Raises `PolicyError`, `ApprovalError` where it may not be done; `InputError` where no order was
    begun with it, or it is a holder's.
    """
    known = home.ledger.aside(serial)
    if known is not None:
        raise InputError(
            f"token {serial} was set aside already, {known.at:%Y-%m-%d}: {known.reason}",
            remedy="Its order went to the next token; there is nothing more to do.",
        )
    found = home.ledger.order_of_token(None, serial)
    if found is None:
        raise InputError(
            f"no order was begun with token {serial}",
            remedy="To keep the line from it: tokenprov stock never SERIAL --reason TEXT.",
        )
    if found.state not in UNFINISHED:
        raise InputError(
            f"token {serial} was issued to {found.order.holder.name} (order {found.id})",
            remedy="What it is in use for ends first; only an unfinished token is set aside.",
        )
    return _record(home, found, reason=reason, operator=operator, agreement=agreement)


def retry(
    home: Home, batch: Batch, *, reason: str, operator: str, agreement: Agreement = NOBODY
) -> list[AsideRecord]:
    """Set the token of every failed order of a batch aside, so that others take their place.

    `reason` stands for the one that each order failed with, where it is given.
    """
    return [
        _record(home, found, reason=reason or found.reason, operator=operator, agreement=agreement)
        for found in list(home.ledger.orders(batch.id, OrderState.FAILED))
    ]


def settle(home: Home, entry: Entry, index: int) -> AsideRecord:
    """What follows the entry: the station's copies go, the order is open again."""
    order = entry.get("order", "")
    record = AsideRecord(
        label=entry["token"]["serial"] or entry["token"].get("mark", ""),
        order=order,
        batch=entry.get("batch", ""),
        reason=entry["reason"],
        operator=entry["operator"],
        at=datetime.fromisoformat(entry["time"]),
        entry_index=index,
    )
    if order:
        bound = home.ledger.order(order)
        if bound is not None and bound.token is not None and bound.token.label == record.label:
            home.resume_keys.destroy(order)
    home.ledger.set_aside(record)
    return record


def _record(
    home: Home, found: OrderRecord, *, reason: str, operator: str, agreement: Agreement
) -> AsideRecord:
    assert found.token is not None, "an order that was begun is bound to a token"
    label = found.token.label
    act = Act(action=Action.SET_ASIDE, operator=operator, about={"token": label})
    clearance = enforce(home, act, agreement.meant_for(act.action, act.about))
    ended = list(_ended(home, found.id))
    envelopes = [
        envelope
        for envelope in home.ledger.envelopes(token_label=label, order=found.id)
        if envelope.purpose != STATION
    ]
    entry: Entry = {
        **entry_head(Kind.SET_ASIDE, time=home.clock(), station=home.name, operator=operator),
        "token": _token(found),
        "reason": reason,
        "batch": found.order.batch,
        "order": found.id,
        "secrets": [envelope.to_json() for envelope in envelopes],
    }
    if ended:
        entry["credentials"] = ended
    addition = Addition(entry=entry, blobs=[envelope.blob for envelope in envelopes])
    index = home.manifest.append_many([clearance.cover(addition)])
    return settle(home, entry, index)


def _ended(home: Home, order: str) -> Iterator[Json]:
    """What relied on the token of an unfinished order, ended; as it stands in the entry."""
    for intent in home.ledger.intents(order):
        _, _, rest = intent.step.partition("/")
        public = intent.parameters["public"]
        if "request" in public:  # of an issuer, for a certificate
            issuer = home.issuer(public.get("authority", LOCAL))
            issued = issuer.find(public["request"])
            if issued is not None:
                facts = {"serialNumber": issued.serial_hex, "issuer": issuer.uri}
                if issuer.abilities.revokes:
                    issuer.revoke(issued.serial_hex, UNUSED, home.clock())
                    yield _outcome(intent.step, "certificate", "done", facts)
                else:
                    facts["at"] = issuer.uri
                    yield _outcome(intent.step, "certificate", "elsewhere", facts)
        elif intent.step.startswith("fido2/credential/"):
            party = home.relying_party(rest.removeprefix("credential/"), "")
            if party.find(order) is not None:
                party.remove(order)
                yield _outcome(intent.step, "passkey", "done", {"rpId": party.rp_id})


def _outcome(step: str, kind: str, outcome: str, facts: Json) -> Json:
    return {"id": step, "kind": kind, "outcome": outcome, "facts": facts}


def _token(found: OrderRecord) -> dict[str, Json]:
    """The token as it said itself when the order was begun with it."""
    assert found.token is not None, "an order that was begun is bound to a token"
    return {**found.token.to_json(), "virtual": bool(found.inventory.get("virtual"))}
