"""The durable side of one order on one token: seal first, journal, and find it again.

Each drawn secret is sealed, in one transaction with its intent, to the custodian whose kind it is,
to break-glass where that is another one, and to the order's own key, which the station destroys
when the token is issued.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date

from tokenprov.home import Home
from tokenprov.model import Purpose
from tokenprov.record.escrow import STATION, CustodianKey, SealContext, open_envelope, seal
from tokenprov.record.rows import EnvelopeRecord, IntentRecord
from tokenprov.step import Drawn, DrawnSecret, Intent


class OrderJournal:
    """Implements `run.Journal` on a station home."""

    def __init__(
        self, home: Home, order: str, token: str, *, generation: int = 1, key: str = ""
    ) -> None:
        """`token` is the label of the token that the order is bound to.

        A token that is told something again is told a further `generation`, and `key` then names
        the station's own key to it.
        """
        self._home, self._order, self._token = home, order, token
        self._generation, self._key = generation, key or order
        self._own: CustodianKey | None = None  # that key, once it is known to be on the disk
        self._begun = [one for one in home.ledger.intents(order) if one.generation == generation]
        self.day = (  # of issue: that on which the first promise of the order was made
            date.fromisoformat(self._begun[0].parameters["day"])
            if self._begun
            else home.clock().date()
        )

    def intents(self) -> Mapping[str, Intent]:
        """What was promised to this token before this journal was made, the secrets reopened.

        Raises `EscrowError` where the order's key is gone.
        """
        if not self._begun:
            return {}
        private = self._home.resume_keys.private(self._key)
        drawn: dict[str, DrawnSecret] = {}
        envelopes = self._home.ledger.envelopes(
            token_label=self._token, order=self._order, purpose=STATION
        )
        mine = (one for one in envelopes if one.generation == self._generation)
        for envelope in mine:
            context, value = open_envelope(envelope.blob, private)
            drawn[context.name] = DrawnSecret(kind=context.kind, value=value)
        return {
            record.step: Intent(
                step=record.step,
                drawn={name: drawn[name] for name in record.parameters["secrets"]},
                public=record.parameters["public"],
            )
            for record in self._begun
        }

    def promise(self, step: str, drawn: Drawn) -> Intent:
        """Durable when it returns; only then may the token be told."""
        if self._own is None:
            self._own = self._home.resume_keys.create(self._key)
        envelopes = [
            self._seal(name, secret, purpose, self._home.custodians[purpose])
            for name, secret in drawn.secrets.items()
            for purpose in dict.fromkeys((secret.kind.purpose, Purpose.BREAK_GLASS))
        ] + [self._seal(name, secret, STATION, self._own) for name, secret in drawn.secrets.items()]
        self._home.ledger.journal(
            IntentRecord(
                order=self._order,
                step=step,
                generation=self._generation,
                parameters={
                    "public": dict(drawn.public),
                    "secrets": sorted(drawn.secrets),
                    "day": self.day.isoformat(),
                },
                at=self._home.clock(),
            ),
            envelopes,
        )
        return Intent(step=step, drawn=drawn.secrets, public=drawn.public)

    def _seal(
        self, name: str, secret: DrawnSecret, purpose: str, key: CustodianKey
    ) -> EnvelopeRecord:
        context = SealContext(
            kind=secret.kind,
            name=name,
            token=self._token,
            order=self._order,
            generation=self._generation,
            purpose=purpose,
            station=self._home.name,
        )
        blob = seal(secret.value, key, context)
        return EnvelopeRecord(
            order=self._order,
            token_label=self._token,
            name=name,
            kind=secret.kind,
            purpose=purpose,
            kid=key.kid,
            generation=self._generation,
            sha256=hashlib.sha256(blob).hexdigest(),
            blob=blob,
        )
