"""What the rules of a policy have against an act, one sentence each."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from tokenprov.policy.act import Act
from tokenprov.policy.language import Policy
from tokenprov.policy.made import objections
from tokenprov.policy.people_rules import Proof
from tokenprov.record.approval import Approval
from tokenprov.record.people import Person, Role
from tokenprov.record.request import Action


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """A rule that an act would break."""

    rule: str
    what: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What is known when an act is judged."""

    policy: Policy
    approvals: Sequence[Approval]
    people: Mapping[str, Person]
    proofs: Collection[str]  # types of evidence that were shown
    signed: bool  # the operator signed it
    today: date
    makers: frozenset[str] = frozenset()  # who operated when the tokens concerned were issued

    @property
    def approvers(self) -> set[str]:
        """Who agreed."""
        return {name for one in self.approvals for name in one.approvers}


def objections_to(act: Act, given: Circumstances) -> Iterator[Objection]:
    """All that the rules have against it."""
    yield from _separation(act, given)
    yield from _holder(act, given)
    yield from _apart(act, given)
    yield from _waiver(act, given)
    if act.profile is not None:
        for rule, what in objections(given.policy, act.profile, act.groups):
            yield Objection(
                rule=rule, what=what, remedy="Issue it by a profile that keeps the rule."
            )


def _separation(act: Act, given: Circumstances) -> Iterator[Objection]:
    rule = given.policy.separation
    needed = rule.acts.get(act.action, 0) if rule else 0
    if act.action is Action.WAIVE:
        needed = max(needed, 1)
    if act.action in (Action.PEOPLE, Action.POLICY) and not _enough(act, given, needed):
        return  # there is nobody to ask yet
    name = "separation" if rule else "waivers"
    if len(given.approvers) < needed:
        yield Objection(
            rule=name,
            what=f"{act.action} needs {_people(needed)} to agree beside who carries it out, and"
            f" {len(given.approvers) or 'nobody'} did",
            remedy=f"Have it requested: {_request(act)}; approved: tokenprov approve sign FILE"
            " --as NAME --key KEY; then give --approval FILE.",
        )
    if rule is None:
        return
    requesters = {one.request.requester for one in given.approvals}
    if needed and act.operator in requesters and not rule.requester_operates:
        yield Objection(
            rule=name,
            what=f"{act.operator} requested it, and would carry it out too",
            remedy="Have somebody else carry it out.",
        )
    if act.action in rule.operator_signs and not given.signed:
        yield Objection(
            rule=name,
            what=f"{act.action} is signed by who carries it out",
            remedy="Give your own key: --operator-key KEY.",
        )


def _enough(act: Act, given: Circumstances, needed: int) -> bool:
    """Whether there are people who can request and approve it."""
    others = [one for name, one in given.people.items() if name != act.operator]
    approvers = sum(Role.APPROVER in one.roles for one in others)
    return approvers >= needed and any(Role.REQUESTER in one.roles for one in others)


def _people(number: int) -> str:
    return "one other person" if number == 1 else f"{number} other people"


def _request(act: Act) -> str:
    """The command that requests it."""
    about = " ".join(f"'{name}={value}'" for name, value in sorted(act.about.items()))
    return f"tokenprov approve request {act.action} {about}".rstrip()


def _holder(act: Act, given: Circumstances) -> Iterator[Objection]:
    rule = given.policy.authenticated_holder
    if rule is None or act.action not in rule.acts:
        return
    allowed = set(rule.proofs)
    parity = given.policy.parity
    for group in act.groups:
        wanted = parity.groups.get(group) if parity else None
        if wanted is not None and wanted.proofs:
            allowed &= set(wanted.proofs)
    shown = {*given.proofs} & {*Proof}
    if not shown & allowed:
        listed = " or ".join(map(str, sorted(allowed))) or "no proof that the policy accepts"
        yield Objection(
            rule="authenticated-holder",
            what=f"{act.action} needs a holder who was authenticated by {listed}"
            + (f", and not by {', '.join(sorted(shown))}" if shown else ""),
            remedy=" ".join(_PROVE[one] for one in Proof if one in allowed)
            or "See: tokenprov policy explain authenticated-holder",
        )


_PROVE = {
    Proof.IDENTITY_CHECK: "Have a witness who saw the holder and what identifies them sign it:"
    " tokenprov approve request identify token=SERIAL --as NAME --key KEY --out FILE; then give"
    " --proof FILE.",
    Proof.OTHER_TOKEN: "Or have them use another token of theirs: tokenprov holder prove SERIAL"
    " --for ACTION --with OTHER --out FILE.",
    Proof.RECOVERY_CODE: "Or a recovery code: tokenprov holder prove SERIAL --for ACTION"
    " --recovery-code --out FILE.",
}


def _apart(act: Act, given: Circumstances) -> Iterator[Objection]:
    letters = act.action is Action.EXPORT and act.about.get("form") == "pin-letter"
    if given.policy.apart and letters and act.operator in given.makers:
        yield Objection(
            rule="apart",
            what=f"{act.operator} made these tokens, and would print their PINs",
            remedy="Have somebody print the letters who has no tokens in hand.",
        )


def _waiver(act: Act, given: Circumstances) -> Iterator[Objection]:
    rule = given.policy.waivers
    if act.action is not Action.WAIVE:
        return
    if rule is None:
        yield Objection(
            rule="waivers",
            what="the policy knows no exceptions",
            remedy="Write a table [waivers] into it, or keep the rule.",
        )
        return
    until = date.fromisoformat(act.about["until"])
    if until > given.today + timedelta(days=rule.days):
        yield Objection(
            rule="waivers",
            what=f"until {until} is longer than the {rule.days} days that an exception may last",
            remedy=f"Name a last day up to {given.today + timedelta(days=rule.days)}.",
        )
    if until < given.today:
        yield Objection(rule="waivers", what=f"{until} is past", remedy="Name a day to come.")
