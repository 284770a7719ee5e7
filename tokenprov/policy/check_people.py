"""The rules about people, against the record: who agreed, who is who, and what is kept apart.

One function a rule, each giving what does not hold. What was done before the rules came into force
is not judged by those about acts.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from cryptography.hazmat.primitives.asymmetric import ec

from tokenprov.model import Purpose
from tokenprov.policy.finding import Finding
from tokenprov.policy.parity import Group, Parity
from tokenprov.policy.people_rules import (
    Apart,
    AuthenticatedHolder,
    Independence,
    OneIdentity,
    Proof,
    Separation,
    Waivers,
)
from tokenprov.policy.survey import Done, Made, Survey
from tokenprov.record.kinds import Kind
from tokenprov.record.people import Role
from tokenprov.record.request import CAUSES, Action
from tokenprov.record.verifier_key import spki

_LETTER = "pin-letter"
_OPENINGS = {"shown": [Action.OPEN]} | dict.fromkeys(  # by the form; others are part of an act
    (_LETTER, "yubico-csv", "okta-csv", "ksm", "pskc"), [Action.EXPORT]
)
# Steps that make what resists phishing (SP 800-63B 3.2.5)
_PASSKEY, _CERTIFIED = "fido2/credential/", ("piv/", "pkcs11/")


def separation(rule: Separation, seen: Survey) -> Iterator[Finding]:
    """Acts that fewer agreed to than the rule asks for, or that their requester carried out."""
    for done in _since(seen):
        needed = min((rule.acts.get(one, 0) for one in _actions(done)), default=0)
        entry = done.entry
        count = len(entry["approvers"])
        if count < needed:
            what = f"{entry['kind']} by {entry['operator']}: {count} of {needed} agreed"
        elif needed and entry["clearance"].get("requester") == entry["operator"]:
            if rule.requester_operates:
                continue
            what = f"{entry['kind']}: {entry['operator']} requested it and carried it out"
        else:
            continue
        yield _at(done, "separation", what, "Ask those who were there, and write it down.")


def authenticated_holder(rule: AuthenticatedHolder, seen: Survey) -> Iterator[Finding]:
    """Tokens and PINs that were given to somebody of whom nothing shows that it was the holder."""
    for done in _since(seen):
        if not set(_actions(done)) & set(rule.acts):
            continue
        shown = _proofs(done)
        if not shown & set(rule.proofs):
            what = f"{done.entry['kind']} of token {done.serial}: no proof of who the holder was"
            remedy = "Ask the holder whether it was them, and revoke it where it was not."
            yield _at(done, "authenticated-holder", what, remedy)


def apart(rule: Apart, seen: Survey) -> Iterator[Finding]:
    """PIN letters that were printed by whoever made the token."""
    makers = {made.serial: made.operator for made in seen.made.values()}
    for done in seen.done:
        if done.entry["kind"] == Kind.OPENED and done.entry["form"] == _LETTER:
            operator = done.entry["operator"]
            if makers.get(done.serial) == operator:
                what = f"{operator} made token {done.serial}, and printed its PIN letter"
                yield _at(done, "apart", what, "Have the PIN changed, and others print letters.")


def one_identity(rule: OneIdentity, seen: Survey) -> Iterator[Finding]:
    """Two holders of one mail address or account."""
    owners: dict[str, set[str]] = defaultdict(set)
    for kit in seen.kits.values():
        holder = seen.holders.get(kit[0].commitment)
        if holder is not None:
            for value in filter(None, (holder.email, holder.upn)):
                owners[value.casefold()].add(holder.id)
    for value, ids in sorted(owners.items()):
        if len(ids) > 1:
            yield Finding(
                rule="one-identity",
                what=f"{value} is that of holders {' and '.join(sorted(ids))}",
                remedy="Find out who they are; mend the roster, and revoke what is a second one's.",
            )


def waivers(rule: Waivers, seen: Survey) -> Iterator[Finding]:
    """Exceptions that last too long, or are too many to be any."""
    today = seen.now.date()
    holding = [one for one in seen.waivers if one.holds(today)]
    for one in holding:
        if (one.until - one.granted).days > rule.days:
            yield Finding(
                rule="waivers",
                what=f"waiver {one.id} of {one.rule} lasts until {one.until}",
                remedy=f"An exception may last {rule.days} days: keep the rule, or change it.",
                index=one.index,
            )
    for name, count in sorted(Counter(one.rule for one in holding).items()):
        if count > rule.most:
            yield Finding(
                rule="waivers",
                what=f"{count} waivers of {name} hold at a time; {rule.most} are the most",
                remedy="A rule that is broken that often is the wrong rule, or not kept.",
            )


def parity(rule: Parity, seen: Survey) -> Iterator[Finding]:
    """Holders of a group who have less than their group must have."""
    for who, kit in sorted(seen.kits.items()):
        holder = seen.holders.get(kit[-1].commitment)
        for name in holder.groups if holder is not None else ():
            group = rule.groups.get(name)
            if group is None:
                continue
            lacks = list(_lacks(group, kit))
            if group.last_day and holder is not None and holder.last_day is None:
                lacks.append("no last day")
            for what in lacks:
                yield Finding(
                    rule="parity",
                    what=f"holder {who}, of {name}: {what}",
                    remedy="Issue what the group must have, or waive it for this holder.",
                    holder=kit[-1].commitment,
                )
    yield from _weaker_recoveries(rule, seen)


def _lacks(group: Group, kit: list[Made]) -> Iterator[str]:
    if len(kit) < group.tokens:
        yield f"{len(kit)} of {group.tokens} tokens"
    for made in kit:
        if group.profiles and made.profile not in group.profiles:
            yield f"token {made.serial} is {made.profile}, not {' or '.join(group.profiles)}"
        resists = any(
            step.startswith(_PASSKEY)
            or (step.startswith(_CERTIFIED) and step.endswith("/certificate"))
            for step in made.steps
        )
        if group.phishing_resistant and not resists:
            yield f"token {made.serial} has neither a passkey nor a certificate"


def _weaker_recoveries(rule: Parity, seen: Survey) -> Iterator[Finding]:
    """Replacements of a group's tokens on weaker proof than the group accepts."""
    for done in _since(seen):
        shown = _proofs(done)
        holder = seen.holders.get(done.entry.get("holder", {}).get("commitment", ""))
        for name in holder.groups if holder is not None and shown else ():
            group = rule.groups.get(name)
            if group is not None and group.proofs and not shown & set(group.proofs):
                what = f"{done.entry['kind']} of token {done.serial}, of {name}:"
                what += f" the holder was known by {', '.join(sorted(shown))}"
                yield _at(done, "parity", what, "See that it was the holder, by better proof.")


def independence(rule: Independence, seen: Survey) -> Iterator[Finding]:
    """Parts of the programme that stand or fall together."""
    keys: dict[str, list[Purpose]] = defaultdict(list)
    for purpose, key in seen.home.custodians.items():
        keys[key.kid].append(purpose)
    for kid, purposes in sorted(keys.items()):
        if len(purposes) > 1:
            yield Finding(
                rule="independence",
                what=f"key {kid} opens what is sealed to {' and to '.join(sorted(purposes))}",
                remedy="Give each custodian a key: tokenprov escrow rotate PURPOSE=FILE",
            )
    private = seen.home.path / "custodians" / "private"
    for path in sorted(private.glob("*.pem")):
        yield Finding(
            rule="independence",
            what=f"the private key of {path.stem} lies in the station home",
            remedy=f"Give it to its custodian, and remove {path}.",
        )
    yield from _custodians_who_operate(rule, seen)
    yield from _kept_together(rule, seen)


def _custodians_who_operate(rule: Independence, seen: Survey) -> Iterator[Finding]:
    """A custodian with the key, or under the name, of somebody who makes tokens."""
    operators = {made.operator for made in seen.made.values()}
    operators |= {one.name for one in seen.people.values() if Role.OPERATOR in one.roles}
    public = {one.key.key: name for name, one in seen.people.items() if one.roles}
    names = {Purpose(purpose): name for purpose, name in rule.custodians.items()}
    for purpose, key in seen.home.custodians.items():
        if isinstance(key.public, ec.EllipticCurvePublicKey):  # the kind that also signs
            names.setdefault(purpose, public.get(spki(key.public), ""))
    for purpose, name in sorted(names.items()):
        if name in operators:
            yield Finding(
                rule="independence",
                what=f"{name} is the custodian {purpose}, and operates the station",
                remedy="Let somebody else be the custodian, or operate.",
            )
    counted = Counter(name for name in names.values() if name)
    for name, count in sorted(counted.items()):
        if count > 1:
            theirs = sorted(purpose for purpose, one in names.items() if one == name)
            yield Finding(
                rule="independence",
                what=f"{name} is the custodian of {' and of '.join(theirs)}",
                remedy="Let each purpose have a custodian of its own.",
            )


def _kept_together(rule: Independence, seen: Survey) -> Iterator[Finding]:
    """By the roster's own columns: where each token is kept, and what a holder recovers by."""
    for who, kit in sorted(seen.kits.items()):
        holder = seen.holders.get(kit[-1].commitment)
        if holder is None:
            continue
        place, spare = holder.extra.get(rule.place), holder.extra.get(rule.spare_place)
        if place and spare and place.casefold() == spare.casefold():
            yield Finding(
                rule="independence",
                what=f"holder {who} keeps the spare where the primary is: {place}",
                remedy="Have the spare kept elsewhere.",
                holder=kit[-1].commitment,
            )
        recovery = holder.extra.get(rule.recovery, "").casefold()
        if recovery and recovery in (holder.email.casefold(), holder.upn.casefold()):
            yield Finding(
                rule="independence",
                what=f"holder {who} recovers by {recovery}, which the token itself opens",
                remedy="Have another address, or none.",
                holder=kit[-1].commitment,
            )


def _since(seen: Survey) -> Iterator[Done]:
    """What was done by the rules that hold."""
    return (done for done in seen.done if done.index > seen.since)


def _actions(done: Done) -> list[Action]:
    """The acts that such an entry ends."""
    ended = [one for one, causes in CAUSES.items() if causes[:1] == (done.entry["kind"],)]
    if done.entry["kind"] == Kind.OPENED:
        return _OPENINGS.get(done.entry["form"], [])
    return ended


def _proofs(done: Done) -> set[str]:
    shown = done.entry.get("clearance", {}).get("evidence", ())
    return {one["type"] for one in shown} & {*map(str, Proof)}


def _at(done: Done, rule: str, what: str, remedy: str) -> Finding:
    return Finding(
        rule=rule,
        what=f"entry {done.index}, {what}",
        remedy=remedy,
        token=done.serial,
        holder=done.entry.get("holder", {}).get("commitment", ""),
        batch=done.entry.get("batch", ""),
        index=done.index,
    )
