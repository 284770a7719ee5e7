"""The durable side of one order on one token: seal first, journal, and find it again.

Each drawn secret is sealed, in one transaction with its intent, to the custodian whose kind it is,
to break-glass where that is another one, and to the order's own key, which the station destroys
when the token is issued.

It may be drawn and sealed before the promise, while the token is looked at (`prepare`). It is then
in memory alone, and of a token that is refused nothing is left.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import date

from cryptography.hazmat.primitives.asymmetric import ec

from tokenprov.home import Home
from tokenprov.meanwhile import Meanwhile
from tokenprov.model import Json, Purpose, TokenId
from tokenprov.record.escrow import STATION, CustodianKey, SealContext, open_envelope, seal
from tokenprov.record.rows import Claim, EnvelopeRecord, IntentRecord
from tokenprov.secret import RandomBytes
from tokenprov.step import DrawnSecret, Intent, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sealed:
    """What a step draws, and its envelopes; not promised yet."""

    intent: Intent
    envelopes: Sequence[EnvelopeRecord]


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
        self._pair: tuple[ec.EllipticCurvePrivateKey, CustodianKey] | None = None  # that key
        self._kept = False  # whether it is known to be on the disk
        self._prepared: Future[Mapping[str, _Sealed]] | None = None
        self._begun = [one for one in home.ledger.intents(order) if one.generation == generation]
        self.day = (  # of issue: that on which the first promise of the order was made
            date.fromisoformat(self._begun[0].parameters["day"])
            if self._begun
            else home.clock().date()
        )

    @property
    def begun(self) -> bool:
        """Whether anything was promised to this token before this journal was made."""
        return bool(self._begun)

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

    def prepare(self, steps: Sequence[Step], meanwhile: Meanwhile) -> None:
        """Begin to draw and seal for these steps, in memory: which are promised is not known yet.

        It goes on while the token is looked at; what it raises, `promise` raises.
        """

        def seal_all() -> Mapping[str, _Sealed]:
            keys = self._keys()
            return {step.id: self._sealed(step, keys) for step in steps}

        self._prepared = meanwhile(seal_all)

    def promise(
        self, *, ahead: Sequence[Step] = (), due: Sequence[Step] = ()
    ) -> Mapping[str, Intent]:
        """Durable when it returns; only then may the token be told."""
        prepared = self._prepared.result() if self._prepared is not None else {}
        keys = self._keys()
        sealed = [
            _still(prepared.get(step.id), keys) or self._sealed(step, keys)
            for step in (*ahead, *due)
        ]
        if sealed and not self._kept:
            self._home.resume_keys.keep(self._key, self._own[0])
            self._kept = True
        intents = [
            replace(one.intent, ahead=number < len(ahead)) for number, one in enumerate(sealed)
        ]
        promises = [
            (self._record(intent), one.envelopes)
            for intent, one in zip(intents, sealed, strict=True)
        ]
        claim, self._claim = self._claim, None
        if promises or claim:
            self._home.ledger.promise(self._order, promises, claim)
        return {intent.step: intent for intent in intents}

    @property
    def _own(self) -> tuple[ec.EllipticCurvePrivateKey, CustodianKey]:
        if self._pair is None:
            private = self._home.resume_keys.draw(self._key)
            self._pair = private, CustodianKey(public=private.public_key())
        return self._pair

    def _keys(self) -> Mapping[str, CustodianKey]:
        """What is sealed to, as it is now: by purpose."""
        custodians = {str(purpose): key for purpose, key in self._home.custodians.items()}
        return {**custodians, STATION: self._own[1]}

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

    def _sealed(self, step: Step, keys: Mapping[str, CustodianKey]) -> _Sealed:
        """What it draws, for each who may open it: the station's own copies last."""
        drawn = step.draw(self._random)
        intent = Intent(step=step.id, drawn=drawn.secrets, public=drawn.public)
        envelopes = [
            self._envelope(name, secret, purpose, keys[purpose])
            for name, secret in drawn.secrets.items()
            for purpose in dict.fromkeys((secret.kind.purpose, Purpose.BREAK_GLASS))
        ]
        mine = drawn.secrets.items()
        envelopes += [self._envelope(name, one, STATION, keys[STATION]) for name, one in mine]
        return _Sealed(intent=intent, envelopes=envelopes)

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


def _still(sealed: _Sealed | None, keys: Mapping[str, CustodianKey]) -> _Sealed | None:
    """It, unless a custodian's key was replaced since."""
    if sealed is None or any(one.kid != keys[one.purpose].kid for one in sealed.envelopes):
        return None
    return sealed
