"""The station against its rules: all that does not hold, and which waiver covers it.

Rules:
- A finding is waived where the entry that it is about says that a waiver was used, or where one
  holds now that is for that rule and that token, holder or batch.
- What a rule cannot see, it says nothing of: a missing opening hides a holder's last day.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from tokenprov.home import Home
from tokenprov.policy import check_people as people
from tokenprov.policy import check_tokens as tokens
from tokenprov.policy.finding import Finding
from tokenprov.policy.language import Policy
from tokenprov.policy.survey import Survey, survey

_CHECKS: Mapping[str, Callable[[Any, Survey], Iterator[Finding]]] = {
    "separation": people.separation,
    "authenticated-holder": people.authenticated_holder,
    "apart": people.apart,
    "independence": people.independence,
    "one-identity": people.one_identity,
    "waivers": people.waivers,
    "parity": people.parity,
    "recorded-bindings": tokens.recorded_bindings,
    "two-authenticators": tokens.two_authenticators,
    "recovery-codes": tokens.recovery_codes,
    "old-token": tokens.old_token,
    "compromise": tokens.compromise,
    "revocation": tokens.revocation,
    "leaving": tokens.leaving,
    "pin": tokens.pin,
    "no-defaults": tokens.no_defaults,
}


def check(home: Home, policy: Policy) -> list[Finding]:
    """What does not hold, rule by rule; nothing is changed. Raises ManifestError."""
    seen = survey(home)
    return [
        _covered(finding, seen)
        for name, rule in policy.in_force.items()
        for finding in _CHECKS[name](rule, seen)
    ]


def _covered(finding: Finding, seen: Survey) -> Finding:
    if finding.rule == "waivers":
        return finding
    used = seen.home.manifest.entry(finding.index) if finding.index is not None else {}
    ids = used.get("clearance", {}).get("waivers", ())
    for waiver in seen.waivers:
        now = waiver.holds(seen.now.date()) and waiver.covers(
            finding.rule, token=finding.token, holder=finding.holder, batch=finding.batch
        )
        if now or (waiver.id in ids and waiver.rule == finding.rule):
            return replace(finding, waiver=waiver.id)
    return finding
