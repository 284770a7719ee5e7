"""A FIDO2 PIN that its holder cannot give: FIDO2 is reset, and set up anew by the profile.

Nothing opens a FIDO2 PIN: CTAP has no PUK, and a reset takes every passkey with it. PIV and all
else on the token stay. Rules:
- It is a work of unblocking: what a policy asks for before a PIN is given back is asked for here.
- The reset is noted once it was done, and promised nothing before: cut off until then, the token is
  reset once more. From then on a token that has a FIDO2 PIN again is refused.
- A token without a serial gets another mark of the same name on the connection of its reset. That
  it is about to be sent is noted before: cut off then, nothing proves which token it was. One like
  it that has no FIDO2 PIN, and all else as recorded, is taken for it; the entry says so (`unseen`).
- PIN, settings and passkeys are a further generation of the order that issued the token. A passkey
  at a relying party of the station takes the place of the one that ended, which is read back; those
  that the holder registered elsewhere are theirs to end, and the entry says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tokenprov import unseen
from tokenprov.audit import Standing, audit
from tokenprov.device.reinsertion import fido2_reset
from tokenprov.device.token import AnyToken
from tokenprov.errors import InputError, NotVerified
from tokenprov.home import Home
from tokenprov.lifecycle import work
from tokenprov.lifecycle.credentials import Credential, CredentialKind, credentials_of
from tokenprov.lifecycle.ending import Outcome
from tokenprov.lifecycle.standing import issued_by
from tokenprov.lifecycle.subject import Issued, require
from tokenprov.lifecycle.telling import Bench, MakeSteps, tell
from tokenprov.lifecycle.work import Order, Work
from tokenprov.model import Json
from tokenprov.plan import Planned, steps_on
from tokenprov.record.entry import Kind
from tokenprov.record.history import State
from tokenprov.record.works import WorkKind
from tokenprov.secret import Secret
from tokenprov.step import Finding, Step
from tokenprov.step import State as StepState
from tokenprov.token import Token
from tokenprov.unnumbered import mark, only
from tokenprov.wipe import FIDO2

PARAMETER = "fido2"  # of the work, by which it differs from unblocking a PIV PIN
_RESET, _SENT, _UNSEEN = "reset", "sent", "unseen"
_OURS = ("fido2/", "left-out/fido2")  # the steps, by the beginnings of their ids


def begin(home: Home, token: Issued, order: Order) -> Work:
    """Promise it. Raises `InputError` for a token without FIDO2 of ours, and as `work.begin`."""
    require(token, State.HELD)
    if issued_by(home, token).fido2 is None:
        raise InputError(
            f"token {token.label} was issued without FIDO2",
            remedy="Its holder set the PIN, and resets it: nothing of it is on the record.",
        )
    begun = work.begin(home, WorkKind.UNBLOCK, token, order.with_(**{PARAMETER: True}))
    if not begun.record.parameters.get(PARAMETER):
        raise InputError(
            f"unblock of the PIV PIN of token {token.label} is not finished",
            remedy=f"Finish it first: tokenprov unblock {token.label}, without --fido2.",
        )
    return begun


def make(home: Home, token: Issued, begun: Work | None = None) -> MakeSteps:
    """The steps of the profile that are about FIDO2."""
    day = (begun.record.began if begun is not None else home.clock()).date()

    def steps(there: Token, _: Mapping[str, Secret]) -> Sequence[Step]:
        profile, order = issued_by(home, token), token.order.order
        every = steps_on(there, profile, order, home, day=day)
        return [step for step in every if step.id.startswith(_OURS)]

    return steps


def after_reset(planned: Planned) -> Planned:
    """A step as it will be found then: what is there now is gone."""
    if planned.step.id.startswith("left-out/"):
        return planned
    return Planned(step=planned.step, finding=Finding(state=StepState.ABSENT))


def set_up_again(home: Home, begun: Work, bench: Bench) -> int:
    """Reset it, unless that was done, and set it up; the entry's index.

    Raises what the token does; the same command then goes on.
    """
    ended = _passkeys(home, begun.token)
    before = [_registered(home, one) for one in ended]
    if not begun.record.parameters.get(_RESET):
        bench = _reset(home, begun, bench, before)
    else:
        before = [one or None for one in begun.record.parameters[_RESET]]

    def then() -> dict[str, Json]:
        gone = [_ended(home, *pair) for pair in zip(ended, before, strict=True)]
        now = home.ledger.works.find(begun.record.id)
        blind = now is not None and now.parameters.get(_UNSEEN)
        return {"credentials": gone, **({"unseen": [FIDO2]} if blind else {})}

    steps = make(home, begun.token, begun)
    return tell(home, begun, Kind.UNBLOCKED, bench, {}, steps, then=then)


def is_sent(home: Home, token: Issued) -> bool:
    """Whether the reset of a token without a serial was sent, and not seen to its end."""
    works = home.ledger.works.unfinished(token.label)
    mine = [one.parameters for one in works if one.kind is WorkKind.UNBLOCK]
    return any(one.get(_SENT) and not one.get(_RESET) for one in mine)


def is_left(home: Home, token: Issued, there: AnyToken) -> bool:
    """Whether a token is that one with FIDO2 reset: without a PIN, and all else as recorded."""

    def is_so(there: AnyToken) -> bool:
        before, there.id = there.id, token.token
        try:
            made = audit(home, there)
        finally:
            there.id = before
        differ = [one.id for one in made.settings if one.standing is Standing.DRIFT]
        ours = all(id.startswith(_OURS) for id in differ) and not made.added
        return ours and not there.fido2().info.options.get("clientPin")

    return unseen.is_left(home, token.token, there, is_so)


def _reset(home: Home, begun: Work, bench: Bench, before: Sequence[str | None]) -> Bench:
    """Reset it and note that, with the passkeys of before; gives where it is then."""
    token, noted = begun.token.token, dict(begun.record.parameters)

    def note(**more: Json) -> None:
        noted.update(more)
        home.ledger.works.note(begun.record.id, noted)

    def sent(maybe: bool) -> None:
        if token.serial is None:
            note(**{_SENT: maybe})

    was = [one or "" for one in before]
    if noted.get(_SENT):
        with bench.opened() as here:
            if is_left(home, begun.token, here):
                mark(home, here, token.mark)
                note(**{_RESET: was, _UNSEEN: True})
                return bench
    with fido2_reset(
        token, bench.reader, bench.operator, expect=only(home, token), sent=sent
    ) as here:
        if token.serial is None:
            mark(home, here, token.mark)
        note(**{_RESET: was})
        return replace(bench, reader=here.reader)


def _passkeys(home: Home, token: Issued) -> list[Credential]:
    every = credentials_of(token, issued_by(home, token))
    return [one for one in every if one.kind is CredentialKind.PASSKEY]


def _registered(home: Home, passkey: Credential) -> str | None:
    """The credential that its relying party has for the order now, by its id, hex."""
    found = home.relying_party(passkey.where, passkey.where).find(passkey.order)
    return found.credential_id.hex() if found is not None else None


def _ended(home: Home, passkey: Credential, before: str | None) -> dict[str, Json]:
    """As it stands in the entry. Raises `NotVerified` for one that is still registered."""
    now = _registered(home, passkey)
    if now is not None and now == before:
        raise NotVerified(
            f"{passkey.where} still has the {passkey.title} that was reset",
            remedy="Run the same command again; it goes on where it was.",
        )
    return {
        "id": passkey.id,
        "kind": str(passkey.kind),
        "outcome": str(Outcome.DONE),
        "facts": {**passkey.facts, "registered": False},
    }
