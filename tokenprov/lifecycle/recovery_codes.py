"""Recovery codes: given to a holder, and used by them to be known.

Rules:
- What a policy says of codes holds for those that are made; without one, its defaults do.
- The digests are on the disk before the entry, and the entry before a code is shown: cut off, the
  same command gives others, and those that nobody saw end.
- Codes end when others are given, when their last day is past, and when their holder leaves.
- A code is used up by its entry, for one act about one token, whether or not that is then done. Cut
  off behind it, the same code for the same gives the same proof.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import date, timedelta

from tokenprov.errors import ApprovalError, InputError
from tokenprov.home import Home
from tokenprov.lifecycle.subject import Issued, tokens_of
from tokenprov.lifecycle.work import Order
from tokenprov.policy import Act, Action, Evidence, enforce
from tokenprov.policy.load import policy_of
from tokenprov.policy.proofs import codes_in_force, codes_used
from tokenprov.policy.token_rules import RecoveryCodes
from tokenprov.record.entry import Entry, Kind, entry_head
from tokenprov.record.holder_proof import HOLDER_PROOF, RECOVERY_CODE, HolderProof
from tokenprov.record.manifest import Addition
from tokenprov.record.recovery import CodeFolder, draw_codes
from tokenprov.record.request import Request
from tokenprov.secret import RandomBytes, Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """Codes that a holder was given, and the entry that says so."""

    holder: str  # their name
    codes: tuple[Secret, ...] = field(repr=False)
    until: date
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What a holder has of their codes."""

    left: int
    until: date
    index: int


def give(
    home: Home, holder: str, order: Order, *, random: RandomBytes = secrets.token_bytes
) -> Given:
    """Give the holder of that id new codes; earlier ones end. For a home that is worked on.

    Raises `InputError` for one who has no token here, PolicyError, ApprovalError.
    """
    tokens = tokens_of(home, holder)
    if not tokens:
        raise InputError(
            f"nothing was issued to holder {holder!r}", remedy="Give the id of the roster."
        )
    last = max(tokens, key=lambda one: one.index)
    act = Act(
        action=Action.RECOVERY_CODES,
        operator=order.operator,
        about={"holder": last.commitment},
        holder=last.commitment,
        groups=last.holder.groups,
    )
    clearance = enforce(home, act, order.agreement)
    policy = policy_of(home)
    rule = (policy.recovery_codes if policy is not None else None) or RecoveryCodes()
    until = home.clock().date() + timedelta(days=rule.days)
    codes, kept = draw_codes(rule.codes, rule.bits, random)
    folder = CodeFolder(home.path)
    folder.keep(kept)
    entry: Entry = {
        **entry_head(
            Kind.RECOVERY_CODES, time=home.clock(), station=home.name, operator=order.operator
        ),
        "holder": {"commitment": last.commitment},
        "list": kept.name,
        "codes": len(codes),
        "bits": rule.bits,
        "until": until.isoformat(),
        "reason": order.reason,
    }
    index = home.manifest.append_many([clearance.cover(Addition(entry=entry))])
    drop_ended(home)
    return Given(holder=last.holder.name, codes=tuple(codes), until=until, index=index)


def use(
    home: Home,
    token: Issued,
    action: Action,
    code: Secret,
    *,
    operator: str,
    lasts: timedelta,
) -> HolderProof:
    """Use a code up, to prove who the holder of a token is for one act about it.

    For a home that is worked on. Raises ApprovalError where it is none, or was used.
    """
    given = codes_in_force(home, token.commitment)
    now = home.clock()
    if given is None or now.date() > date.fromisoformat(given[1]["until"]):
        raise _refused(f"{token.holder.name} has no recovery codes that are in force")
    name = given[1]["list"]
    number = CodeFolder(home.path).get(name).number_of(code)
    if number is None:
        raise _refused(f"that is none of the recovery codes of {token.holder.name}")
    used = codes_used(home, name).get(number)
    if used is not None:
        return _same_again(home, used, token, action)
    request = Request.new(
        action,
        {"token": token.label, "code": f"{name}/{number}"},
        reason=f"the holder gave recovery code {number}",
        requester=token.commitment,
        station=home.name,
        made=now,
        lasts=lasts,
        domain=HOLDER_PROOF,
    )
    proof = HolderProof(request=request)
    shown = Evidence(type=RECOVERY_CODE, data=proof.to_bytes())
    entry: Entry = {
        **entry_head(Kind.RECOVERY_CODE_USED, time=now, station=home.name, operator=operator),
        "holder": {"commitment": token.commitment},
        "code": f"{name}/{number}",
        "evidence": [shown.to_json()],
        "reason": f"to {action} token {token.label}",
    }
    home.manifest.append_many([Addition(entry=entry, blobs=(shown.data,))])
    return proof


def left(home: Home, commitment: str) -> Left | None:
    """The codes that a holder may still use; None for none."""
    given = codes_in_force(home, commitment)
    if given is None:
        return None
    index, entry = given
    until = date.fromisoformat(entry["until"])
    count = entry["codes"] - len(codes_used(home, entry["list"]))
    if not count or home.clock().date() > until:
        return None
    return Left(left=count, until=until, index=index)


def drop_ended(home: Home) -> None:
    """Keep no digests but those of the last codes of each holder who is known here.

    So go those of codes that others took the place of, of a holder who was erased, and of a giving
    that was cut off before its entry.
    """
    last: dict[str, str] = {}  # a holder's id and their list
    for index in home.manifest.found_by(f"kind {Kind.RECOVERY_CODES}"):
        entry = home.manifest.entry(index)
        opening = home.manifest.opening(entry["holder"]["commitment"])
        if opening is not None:
            last[opening.holder["id"]] = entry["list"]
    folder, kept = CodeFolder(home.path), set(last.values())
    folder.drop([name for name in folder.names() if name not in kept])


def _same_again(home: Home, used: tuple[int, Entry], token: Issued, action: Action) -> HolderProof:
    index, entry = used
    (shown,) = entry["evidence"]
    before = HolderProof.parse(home.manifest.blob(shown["sha256"]))
    about = (before.request.action, before.request.about["token"])
    if about != (action, token.label) or home.clock() > before.request.expires:
        raise _refused(f"that recovery code was used already, by entry {index}")
    return before


def _refused(what: str) -> ApprovalError:
    return ApprovalError(
        what, remedy="Identify the holder by other means, or ask for another code.", rule="code"
    )
