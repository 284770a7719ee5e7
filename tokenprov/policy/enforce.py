"""Whether the station lets an act be done: asked before the act, once.

Rules:
- What people signed is judged as it stands, whether or not a rule asks for it: an approval or a
  proof that does not fit is refused, never passed over.
- A request that ended in its entry is used up. An act that was cut off before it may go on with
  the same request, as long as that holds.
- A broken rule refuses the act, unless its level is to report it or a waiver covers it; which
  waiver it was stands in the entry.
- The clearance goes into every entry that the act causes (`Clearance.cover`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta

from tokenprov.errors import ApprovalError, PolicyError
from tokenprov.home import Home
from tokenprov.policy.act import Act, Agreement, Clearance, Evidence
from tokenprov.policy.acting import Circumstances, Objection, objections_to
from tokenprov.policy.language import Policy, catalogue
from tokenprov.policy.load import policy_of
from tokenprov.policy.proofs import require_proof
from tokenprov.policy.rule import Level
from tokenprov.policy.waivers import waivers_of
from tokenprov.record.approval import (
    OPERATOR_SIGNATURE,
    Approval,
    read_approval,
    read_operation,
    require_allowed,
)
from tokenprov.record.kinds import Kind
from tokenprov.record.note import sign_note
from tokenprov.record.people import Person
from tokenprov.record.request import CAUSES, MANY, OPERATION, Action, Request
from tokenprov.record.signer import NoteSigner

_SIGNED = timedelta(hours=12)  # how long an act may take that its operator signed


NOBODY = Agreement()


def enforce(home: Home, act: Act, agreement: Agreement = NOBODY) -> Clearance:
    """Let an act be done by what people agreed to, or say what it lacks.

    Raises ApprovalError: one does not hold, or not for this; PolicyError: a rule forbids it.
    """
    people = home.manifest.people()
    agreed = tuple(_agreed(home, act, people, note) for note in agreement.approvals)
    if len({approval.request.digest for approval in agreed}) > 1:
        raise ApprovalError(
            "the approvals are of different requests",
            remedy="Give those of one request.",
            rule="request",
        )
    for proof in agreement.proofs:
        require_proof(home, act, people, proof)
    evidence = [*agreement.proofs]
    if agreement.signer is not None:
        evidence.append(_signed(home, act, people, agreement.signer))
    cleared = Clearance(act=act, approvals=agreed, evidence=tuple(evidence))
    policy = policy_of(home)
    return cleared if policy is None else _by_policy(home, policy, people, cleared)


def _by_policy(
    home: Home, policy: Policy, people: Mapping[str, Person], cleared: Clearance
) -> Clearance:
    act = cleared.act
    given = Circumstances(
        policy=policy,
        approvals=cleared.approvals,
        proofs={one.type for one in cleared.evidence},
        people=people,
        signed=any(one.type == OPERATOR_SIGNATURE for one in cleared.evidence),
        today=home.clock().date(),
        makers=frozenset(_makers(home, act)) if policy.apart else frozenset(),
    )
    used = []
    for objection in objections_to(act, given):
        waiver = _waived(home, act, objection)
        if waiver:
            used.append(waiver)
        elif act.action is Action.WAIVE or policy.in_force[objection.rule].level is Level.REFUSE:
            source = catalogue()[objection.rule].source
            raise PolicyError(
                f"policy {policy.name}, {objection.rule} ({source}): {objection.what}",
                remedy=objection.remedy,
                rule=objection.rule,
                source=source,
            )
    return replace(cleared, policy=policy, waivers=tuple(dict.fromkeys(used)))


def _agreed(home: Home, act: Act, people: Mapping[str, Person], note: bytes) -> Approval:
    approval = read_approval(note, people.get)
    require_allowed(
        approval,
        action=act.action,
        about=act.about,
        operator=act.operator,
        station=home.name,
        at=home.clock(),
    )
    last = () if act.action in MANY else CAUSES[act.action][:1]
    for index in home.manifest.found_by(f"request {approval.request.digest}"):
        if home.manifest.entry(index)["kind"] in last:
            raise ApprovalError(
                f"the approval was used already, by entry {index} of the manifest",
                remedy="An approval is for one act: have this one requested and approved anew.",
                rule="used",
            )
    return approval


def _signed(home: Home, act: Act, people: Mapping[str, Person], signer: NoteSigner) -> Evidence:
    """The operator's signature under what they are about to do. Raises ApprovalError."""
    operation = Request.new(
        act.action,
        act.about,
        reason=f"carried out by {act.operator}",
        requester=act.operator,
        station=home.name,
        made=home.clock(),
        lasts=_SIGNED,
        domain=OPERATION,
    )
    note = sign_note(operation.text(), [signer]).to_bytes()
    read_operation(note, people.get)
    return Evidence(type=OPERATOR_SIGNATURE, data=note)


def _waived(home: Home, act: Act, objection: Objection) -> str:
    """The id of a waiver that covers it, or nothing: a waiver is not granted by a waiver."""
    if act.action is Action.WAIVE:
        return ""
    for waiver in waivers_of(home):
        if waiver.holds(home.clock().date()) and waiver.covers(
            objection.rule,
            token=act.about.get("token", ""),
            holder=act.holder,
            batch=act.about.get("batch", ""),
        ):
            return waiver.id
    return ""


def _makers(home: Home, act: Act) -> Iterator[str]:
    """Who operated when the tokens that an act is about were issued."""
    for order in home.ledger.orders(act.about["batch"]) if "batch" in act.about else ():
        if order.entry_index is not None:
            yield home.manifest.entry(order.entry_index)["operator"]
    tokens = [act.about.get("token", ""), *act.about.get("tokens", "").split(",")]
    for serial in filter(None, tokens):
        for index in home.manifest.found_by(f"serial {serial}"):
            entry = home.manifest.entry(index)
            if entry["kind"] == Kind.ISSUED:
                yield entry["operator"]
