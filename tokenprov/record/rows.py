"""What the ledger hands out and takes: frozen records, and their way from and to rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from tokenprov.model import Holder, Json, Order, OrderState, SecretKind, TokenId
from tokenprov.record.canonical import timestamp

Row = Mapping[str, Any]


class EnvelopeState(StrEnum):
    """Whether the token is known to hold the secret."""

    PREPARED = "prepared"  # sealed; the token may or may not have been told
    ACTIVE = "active"  # the token's entry is durable
    SUPERSEDED = "superseded"  # no more: a later generation or order is, or it was wiped


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The orders of one roster."""

    id: str
    roster_digest: str  # SHA-256, hex
    profile_name: str
    profile_digest: str
    profile_source: str  # the profile's text, so that a resume does not depend on the file
    kit_size: int
    created: datetime
    operator: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRecord:
    """An order and where it stands."""

    order: Order
    row: int  # the holder's place in the roster, from 0
    state: OrderState
    token: TokenId | None = None
    inventory: Json = None
    reason: str = ""
    station: str = ""
    entry_index: int | None = None
    changed: datetime | None = None

    @property
    def id(self) -> str:
        """The order's."""
        return self.order.id


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentRecord:
    """The journalled promise to write: made before the write."""

    order: str
    step: str
    generation: int = 1  # counts up when the step is drawn anew for the same token
    parameters: Json = field(default_factory=dict)  # public values only
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """That an order is this token's: what was on the token, and when that was seen."""

    token: TokenId
    inventory: Json
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvelopeRecord:
    """A sealed secret; `sha256` (hex) is that of `blob`."""

    order: str
    token_label: str
    name: str
    kind: SecretKind
    purpose: str  # a Purpose, or escrow.STATION
    kid: str
    generation: int = 1
    sha256: str
    blob: bytes = field(repr=False)
    state: EnvelopeState = EnvelopeState.PREPARED

    def to_json(self) -> dict[str, Json]:
        """As it stands under `secrets` of an entry."""
        return {
            "name": self.name,
            "kind": str(self.kind),
            "purpose": self.purpose,
            "generation": self.generation,
            "kid": self.kid,
            "sha256": self.sha256,
        }


def from_timestamp(text: str) -> datetime:
    """The inverse of `canonical.timestamp`."""
    return datetime.fromisoformat(text)


def to_text(document: Json) -> str:
    """A JSON column."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def batch_to_row(batch: Batch) -> dict[str, Any]:
    """A row of `batches`."""
    return {
        name: getattr(batch, name)
        for name in (
            "id",
            "roster_digest",
            "profile_name",
            "profile_digest",
            "profile_source",
            "kit_size",
            "operator",
        )
    } | {"created": timestamp(batch.created)}


def batch_from_row(row: Row) -> Batch:
    """The inverse."""
    return Batch(**{**row, "created": from_timestamp(row["created"])})


def order_to_row(order: Order, row: int) -> dict[str, Any]:
    """A row of `orders` for an order that nobody has begun."""
    return {
        "id": order.id,
        "batch": order.batch,
        "row": row,
        "position": order.position,
        "holder_id": order.holder.id,
        "holder": to_text(order.holder.to_json()),
        "profile": order.profile,
        "profile_digest": order.profile_digest,
        "state": OrderState.OPEN.value,
    }


def order_from_row(row: Row) -> OrderRecord:
    """An order and where it stands."""
    return OrderRecord(
        order=Order(
            id=row["id"],
            batch=row["batch"],
            holder=Holder.from_json(json.loads(row["holder"])),
            position=row["position"],
            profile=row["profile"],
            profile_digest=row["profile_digest"],
        ),
        row=row["row"],
        state=OrderState(row["state"]),
        token=token_from_text(row["token"]),
        inventory=json.loads(row["inventory"]) if row["inventory"] else None,
        reason=row["reason"] or "",
        station=row["station"] or "",
        entry_index=row["entry_index"],
        changed=from_timestamp(row["changed"]) if row["changed"] else None,
    )


def token_to_text(token: TokenId) -> str:
    """The token column."""
    return to_text(
        {
            "maker": token.maker,
            "model": token.model,
            "firmware": token.firmware,
            "serial": token.serial,
            "mark": token.mark,
        }
    )


def token_from_text(text: str | None) -> TokenId | None:
    """The inverse."""
    return TokenId(**json.loads(text)) if text else None


def intent_from_row(row: Row) -> IntentRecord:
    """A journalled intent."""
    return IntentRecord(
        order=row["order_id"],
        step=row["step"],
        generation=row["generation"],
        parameters=json.loads(row["parameters"]),
        at=from_timestamp(row["at"]),
    )


def envelope_to_row(envelope: EnvelopeRecord, intent: IntentRecord) -> dict[str, Any]:
    """A row of `envelopes`, under the intent that it is journalled with."""
    return {
        "order_id": envelope.order,
        "token_label": envelope.token_label,
        "step": intent.step,
        "intent_generation": intent.generation,
        "name": envelope.name,
        "kind": envelope.kind.value,
        "purpose": str(envelope.purpose),
        "kid": envelope.kid,
        "generation": envelope.generation,
        "sha256": envelope.sha256,
        "state": EnvelopeState.PREPARED.value,
        "blob": envelope.blob,
    }


def envelope_from_row(row: Row) -> EnvelopeRecord:
    """A sealed secret."""
    return EnvelopeRecord(
        order=row["order_id"],
        token_label=row["token_label"],
        name=row["name"],
        kind=SecretKind(row["kind"]),
        purpose=row["purpose"],
        kid=row["kid"],
        generation=row["generation"],
        sha256=row["sha256"],
        blob=row["blob"],
        state=EnvelopeState(row["state"]),
    )
