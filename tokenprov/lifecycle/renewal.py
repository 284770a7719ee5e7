"""Certificates made anew before they end: a list by date, done when the token is next seen.

Rules:
- The key stays: what was encrypted to it can be read, and a cut leaves one certificate or the
  other.
- The old certificate is revoked as superseded once the new one was read back; then it is recorded.
- Token administration's key opens the management key. The PIN is the holder's, and is asked for
  only where the issuer wants a request that the key signs; behind a PKCS#11 module always, where it
  is all that a write needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tokenprov.errors import InputError
from tokenprov.home import Home
from tokenprov.lifecycle import work
from tokenprov.lifecycle.credentials import credentials_of
from tokenprov.lifecycle.ending import Part, settle
from tokenprov.lifecycle.standing import issued_by
from tokenprov.lifecycle.subject import Issued, find_token, require
from tokenprov.lifecycle.telling import Bench, MakeSteps, tell
from tokenprov.lifecycle.work import Order, Work
from tokenprov.model import Cause, Json, OrderState, SecretKind
from tokenprov.plan import steps_on
from tokenprov.profile.lifecycle import Fate
from tokenprov.record.entry import Kind
from tokenprov.record.history import HELD, State
from tokenprov.record.works import WorkKind
from tokenprov.secret import Secret
from tokenprov.step import Step
from tokenprov.steps.piv.certificate import CertificateStep
from tokenprov.steps.piv.renewed import RenewedCertificateStep
from tokenprov.steps.pkcs11.certificate import CertificateStep as ModuleCertificateStep
from tokenprov.steps.pkcs11.renewed import RenewedModuleCertificateStep
from tokenprov.token import Token

NEEDS = frozenset({SecretKind.PIV_MANAGEMENT_KEY})  # out of escrow
PIN, USER_PIN = "piv/pin", "pkcs11/user-pin"  # the holder's
_KINDS = {PIN: SecretKind.PIV_PIN, USER_PIN: SecretKind.PKCS11_USER_PIN}


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiring:
    """A certificate on a token, and when it ends."""

    token: Issued
    step: str  # "piv/9a/certificate"
    ends: datetime


def expiring(home: Home, within: timedelta) -> list[Expiring]:
    """The certificates of tokens in force that end so soon, the first one first."""
    found = []
    for batch in home.ledger.batches():
        for record in home.ledger.orders(batch.id, OrderState.ISSUED):
            assert record.token is not None, "what is issued has its token"
            token = find_token(home, record.token.label)
            if token.order.id == record.id and token.state in HELD:
                found += [one for one in _of(home, token) if one.ends <= home.clock() + within]
    return sorted(found, key=lambda one: (one.ends, one.token.label, one.step))


def due(home: Home, token: Issued, within: timedelta) -> list[str]:
    """The steps whose certificates end so soon; none where a renewal is gone on with.

    Raises `InputError` where nothing does that can be renewed.
    """
    require(token, State.HELD)
    ending = [one.step for one in _of(home, token) if one.ends <= home.clock() + within]
    works = home.ledger.works.unfinished(token.label)
    if ending or any(one.kind is WorkKind.RENEW for one in works):
        return ending
    raise InputError(
        f"no certificate of token {token.label} ends within {within.days} days",
        remedy="See when they do: tokenprov renew. --within DAYS renews them earlier.",
    )


def begin(home: Home, token: Issued, within: timedelta, order: Order) -> Work:
    """Promise it for what ends so soon. Raises `InputError` as `due`."""
    return work.begin(home, WorkKind.RENEW, token, order.with_(steps=due(home, token, within)))


def needs_key(token: Issued) -> bool:
    """Whether escrow has the management key; a card that kept its maker's needs none."""
    return any(one["kind"] == str(SecretKind.PIV_MANAGEMENT_KEY) for one in token.entry["secrets"])


def needs_pin(token: Issued) -> bool:
    """Whether nothing is renewed on it without its holder's PIN."""
    return USER_PIN in token.steps


def make(home: Home, issued: Issued, due: Sequence[str], generation: int) -> MakeSteps:
    """A step for each certificate that is due."""

    def steps(token: Token, held: Mapping[str, Secret]) -> Sequence[Step]:
        for name, value in held.items():
            token.keyring.put(_KINDS.get(name, SecretKind.PIV_MANAGEMENT_KEY), name, value)
        piv = issued_by(home, issued).piv
        given = piv.management_key.given if piv is not None else None
        if given is not None and not needs_key(issued):
            token.keyring.put(SecretKind.PIV_MANAGEMENT_KEY, given, home.card_key(given))
        return list(_steps(home, issued, token, due, generation))

    return steps


def renew(home: Home, begun: Work, bench: Bench, held: Mapping[str, Secret]) -> int:
    """Put new certificates beside the keys; the entry's index. Raises what token and issuer do.

    `held` is the management key, and the PIN where the holder gave it.
    """
    due: list[str] = begun.record.parameters["steps"]
    old = [
        Part(credential=one, fate=Fate.END, cause=Cause.UPGRADE)
        for one in credentials_of(begun.token, issued_by(home, begun.token))
        if one.id in due
    ]

    def then() -> Mapping[str, Json]:
        return {"credentials": settle(home, old)}

    steps = make(home, begun.token, due, begun.record.generation)
    return tell(home, begun, Kind.ROTATED, bench, held, steps, then=then)


def _of(home: Home, token: Issued) -> Iterator[Expiring]:
    for one in credentials_of(token, issued_by(home, token)):
        if "notAfter" in one.facts:
            ends = datetime.fromisoformat(one.facts["notAfter"])
            yield Expiring(token=token, step=one.id, ends=ends)


def _steps(
    home: Home, issued: Issued, token: Token, due: Sequence[str], generation: int
) -> Iterator[Step]:
    profile, order, day = issued_by(home, issued), issued.order.order, home.clock().date()
    for one in steps_on(token, profile, order, home, day=day):
        if isinstance(one, CertificateStep) and one.id in due:
            slot = one.id.split("/")[1]
            yield RenewedCertificateStep(one, f"{order.id}/{slot}/{generation}")
        elif isinstance(one, ModuleCertificateStep) and one.id in due:
            key = one.id.split("/")[1]
            yield RenewedModuleCertificateStep(one, f"{order.id}/{key}/{generation}")
