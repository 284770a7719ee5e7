"""The rules changed, and exceptions to them granted: both on the record, by agreement."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import date, datetime

from tokenprov.errors import InputError
from tokenprov.home import Home
from tokenprov.model import Json
from tokenprov.policy.act import Act, Agreement, Clearance, Evidence
from tokenprov.policy.enforce import NOBODY, enforce
from tokenprov.policy.language import Policy
from tokenprov.policy.load import EVIDENCE, policy_of
from tokenprov.policy.waivers import Waiver
from tokenprov.record.entry import Entry, Kind, entry_head
from tokenprov.record.manifest import Addition
from tokenprov.record.request import Action


def use_policy(
    home: Home, policy: Policy, *, operator: str, reason: str, agreement: Agreement = NOBODY
) -> int:
    """Have a station go by these rules from now on; gives the entry's index.

    The rules that hold now say who has to agree. Raises PolicyError, ApprovalError, StationBusy.
    """
    act = Act(
        action=Action.POLICY,
        operator=operator,
        about={"policy": policy.name, "digest": policy.digest},
    )
    with home.recording():
        addition = of_policy(
            policy, station=home.name, operator=operator, reason=reason, at=home.clock()
        )
        return _append(home, enforce(home, act, agreement), addition)


def of_policy(
    policy: Policy, *, station: str, operator: str, reason: str, at: datetime
) -> Addition:
    """The entry by which these rules hold, with the policy beside it."""
    kept = Evidence(type=EVIDENCE, data=policy.to_bytes())
    entry: Entry = {
        **entry_head(Kind.POLICY_CHANGED, time=at, station=station, operator=operator),
        "policy": {"name": policy.name, "digest": policy.digest},
        "evidence": [kept.to_json()],
        "reason": reason,
    }
    return Addition(entry=entry, blobs=(kept.data,))


def grant(
    home: Home,
    rule: str,
    until: date,
    *,
    operator: str,
    reason: str,
    narrowed: Mapping[str, str],
    token: Mapping[str, Json] | None = None,
    agreement: Agreement = NOBODY,
) -> Waiver:
    """Let a rule be broken until a last day, for what `narrowed` names (token, holder, batch).

    `token` is the token as its entries name it. Raises InputError: no such rule holds here;
    PolicyError, ApprovalError, StationBusy.
    """
    policy = policy_of(home)
    if policy is None or rule not in policy.in_force:
        raise InputError(
            f"no rule {rule!r} holds here",
            remedy="See: tokenprov policy explain",
        )
    about = {"rule": rule, "until": until.isoformat(), **narrowed}
    act = Act(action=Action.WAIVE, operator=operator, about=about)
    with home.recording():
        clearance = enforce(home, act, agreement)
        entry: Entry = {
            **entry_head(Kind.WAIVER, time=home.clock(), station=home.name, operator=operator),
            "reason": reason,
            "waiver": f"W{home.clock():%Y%m%d}-{secrets.token_hex(3)}",
            "policy": rule,
            "until": until.isoformat(),
        }
        if token is not None:
            entry["token"] = dict(token)
        if "holder" in narrowed:
            entry["holder"] = {"commitment": narrowed["holder"]}
        if "batch" in narrowed:
            entry["batch"] = narrowed["batch"]
        index = _append(home, clearance, Addition(entry=entry))
    return Waiver.of_entry(index, home.manifest.entry(index))


def _append(home: Home, clearance: Clearance, addition: Addition) -> int:
    return home.manifest.append_many([clearance.cover(addition)])
