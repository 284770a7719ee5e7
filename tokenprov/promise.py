"""The durable side of one order on one token: seal first, journal, and find it again.

Each drawn secret is sealed, in one transaction with its intent, to the custodian whose kind it is,
to break-glass where that is another one, and to the order's own key, which the station destroys
when the token is issued.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date

from tokenprov.home import Home
from tokenprov.model import Json, Purpose, TokenId
from tokenprov.record.escrow import STATION, CustodianKey, SealContext, open_envelope, seal
from tokenprov.record.rows import Claim, EnvelopeRecord, IntentRecord
from tokenprov.secret import RandomBytes
from tokenprov.step import DrawnSecret, Intent, Step


class OrderJournal:
    """Implements `run.Journal` on a station home."""

    def __init__(
        self,
        home: Home,
        order: str,
        token: str,
        *,
        random: RandomBytes,
        generation: int = 1,
        key: str = "",
    ) -> None:
        """`token` is the label of the token that the order is bound to.

        A token that is told something again is told a further `generation`, and `key` then names
        the station's own key to it.
        """
        self._home, self._order, self._token = home, order, token
        self._random, self._generation, self._key = random, generation, key or order
        self._claim: Claim | None = None
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
                ahead=record.parameters.get("ahead", False),
            )
            for record in self._begun
        }

    def claim(self, token: TokenId, inventory: Json) -> None:
        """Bind the order to that token by the transaction of the promise that comes next."""
        self._claim = Claim(token=token, inventory=inventory, at=self._home.clock())

    def promise(self, steps: Sequence[Step], *, ahead: bool) -> Mapping[str, Intent]:
        """Durable when it returns; only then may the token be told."""
        intents = {step.id: self._draw(step, ahead) for step in steps}
        if intents and self._own is None:
            self._own = self._home.resume_keys.create(self._key)
        promises = [(self._record(intent), self._seal(intent)) for intent in intents.values()]
        claim, self._claim = self._claim, None
        if promises or claim:
            self._home.ledger.promise(self._order, promises, claim)
        return intents

    def _draw(self, step: Step, ahead: bool) -> Intent:
        drawn = step.draw(self._random)
        return Intent(step=step.id, drawn=drawn.secrets, public=drawn.public, ahead=ahead)

    def _record(self, intent: Intent) -> IntentRecord:
        return IntentRecord(
            order=self._order,
            step=intent.step,
            generation=self._generation,
            parameters={
                "public": dict(intent.public),
                "secrets": sorted(intent.drawn),
                "day": self.day.isoformat(),
                "ahead": intent.ahead,
            },
            at=self._home.clock(),
        )

    def _seal(self, intent: Intent) -> list[EnvelopeRecord]:
        """What it draws, for each who may open it: the station's own copies last."""
        assert self._own is not None, "an intent that draws comes after the order's key"
        envelopes = [
            self._envelope(name, secret, purpose, self._home.custodians[purpose])
            for name, secret in intent.drawn.items()
            for purpose in dict.fromkeys((secret.kind.purpose, Purpose.BREAK_GLASS))
        ]
        mine = intent.drawn.items()
        return envelopes + [self._envelope(name, one, STATION, self._own) for name, one in mine]

    def _envelope(
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
