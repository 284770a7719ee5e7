"""The rules about tokens, against the record: how each was made, and whether it should have ended.

One function a rule, each giving what does not hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta

from tokenprov.model import Cause, OrderState
from tokenprov.policy.finding import Finding
from tokenprov.policy.survey import Done, Made, Survey
from tokenprov.policy.token_rules import (
    Compromise,
    Leaving,
    NoDefaults,
    OldToken,
    Pin,
    RecordedBindings,
    RecoveryCodes,
    Revocation,
    TwoAuthenticators,
)
from tokenprov.record.kinds import Grade, Kind

_GRADES = (Grade.ASSERTED, Grade.PARTLY, Grade.ATTESTED)  # from the weakest
_ENDS = (Kind.SUSPENDED, Kind.REVOKED)
_GONE = (Cause.LOST, Cause.STOLEN)
# What guards the keys of an application, by the beginning of the steps that make them.
_GUARDS = {
    ("piv/", "/key"): ("piv/pin", "piv/puk", "piv/management-key"),
    ("openpgp/", "/key"): ("openpgp/user-pin", "openpgp/admin-pin"),
    ("hsmauth/credential/", ""): ("hsmauth/management-key",),
    ("fido2/credential/", ""): ("fido2/pin",),
    ("pkcs11/", "/key"): ("pkcs11/token", "pkcs11/user-pin"),
}


def recorded_bindings(rule: RecordedBindings, seen: Survey) -> Iterator[Finding]:
    """Every order that the ledger has as issued is in the manifest, known well enough."""
    least = _GRADES.index(rule.grade)
    for made in seen.made.values():
        grade = Grade(made.grade) if made.grade else Grade.ASSERTED
        if _GRADES.index(grade) < least:
            yield _of(
                made,
                "recorded-bindings",
                f"its serial is {grade}, and {rule.grade} is the least",
                "Issue it by a profile that has its keys attested, or waive it.",
            )
    recorded = {made.token[1]: made for made in seen.made.values()}
    for batch in seen.home.ledger.batches():
        for order in seen.home.ledger.orders(batch.id, OrderState.ISSUED):
            label = order.token.label if order.token else ""
            serial = order.token.serial if order.token else None
            if order.entry_index is None or (serial and serial not in recorded):
                yield Finding(
                    rule="recorded-bindings",
                    what=f"token {label} of order {order.id} was issued, and no entry says so",
                    remedy="Restore the manifest from its last copy: tokenprov manifest verify",
                    token=serial or "",
                    batch=batch.id,
                )


def two_authenticators(rule: TwoAuthenticators, seen: Survey) -> Iterator[Finding]:
    """A holder with one token is one loss away from none."""
    for who, kit in sorted(seen.kits.items()):
        if len(kit) < rule.least:
            yield Finding(
                rule="two-authenticators",
                what=f"holder {who} has {len(kit)} of {rule.least} tokens"
                f" ({', '.join(made.serial for made in kit)})",
                remedy="Issue a spare: run a batch with --kit 2, or replace what was lost.",
                holder=kit[0].commitment,
            )


def recovery_codes(rule: RecoveryCodes, seen: Survey) -> Iterator[Finding]:
    """Codes that hold for longer than the rule allows, or are shorter."""
    for done in seen.done:
        if done.entry["kind"] == Kind.RECOVERY_CODES:
            until = datetime.combine(
                datetime.fromisoformat(done.entry["until"]).date(), time.max, UTC
            )
            faults = []
            if until.date() > (done.at + timedelta(days=rule.days)).date():
                faults.append(f"hold until {until:%Y-%m-%d}")
            if done.entry["bits"] < rule.bits:
                faults.append(f"have {done.entry['bits']} bits")
            if faults:
                yield Finding(
                    rule="recovery-codes",
                    what=f"codes given out on {done.at:%Y-%m-%d} {' and '.join(faults)}",
                    remedy="Give out new ones: tokenprov holder recovery-codes HOLDER",
                    holder=done.entry["holder"]["commitment"],
                    index=done.index,
                )


def old_token(rule: OldToken, seen: Survey) -> Iterator[Finding]:
    """Of two tokens in one place of a kit, the older one should have ended."""
    for who, kit in sorted(seen.kits.items()):
        places: dict[int, Made] = {}
        for made in sorted(kit, key=lambda made: made.index):
            older = places.get(made.position)
            places[made.position] = made
            if older and seen.now > made.at + timedelta(hours=rule.hours):
                yield _of(
                    older,
                    "old-token",
                    f"holder {who} has {made.serial} in its place since {made.at:%Y-%m-%d %H:%M},"
                    " and it is still in force",
                    f"End it: tokenprov revoke {older.serial} --reason upgrade",
                )


def compromise(rule: Compromise, seen: Survey) -> Iterator[Finding]:
    """From the report of a loss to the end of the token, and reports that nothing came of."""
    limit = timedelta(hours=rule.hours)
    for done in _lost(seen):
        if done.reported is not None and done.at > done.reported + limit:
            yield Finding(
                rule="compromise",
                what=f"token {done.serial} was reported {done.entry['cause']} at"
                f" {done.reported:%Y-%m-%d %H:%M} and ended at {done.at:%Y-%m-%d %H:%M}",
                remedy="Find out what kept it in force, and write that into the waiver.",
                token=done.serial,
                index=done.index,
            )
    yield from _begun(seen, limit, "compromise")


def revocation(rule: Revocation, seen: Survey) -> Iterator[Finding]:
    """Certificates of lost tokens: revoked, read back as revoked, and in time."""
    limit = timedelta(hours=rule.hours)
    for done in _lost(seen):
        for one in done.entry.get("credentials", ()):
            if "certificate" not in one["kind"]:
                continue
            late = done.reported is not None and done.at > done.reported + limit
            if one["outcome"] != "done" or late:
                how = "late" if one["outcome"] == "done" else one["outcome"]
                yield Finding(
                    rule="revocation",
                    what=f"the certificate {one['id']} of lost token {done.serial}: {how}",
                    remedy="See that its issuer has revoked it, and read that back.",
                    token=done.serial,
                    index=done.index,
                )


def leaving(rule: Leaving, seen: Survey) -> Iterator[Finding]:
    """Tokens of holders whose last day is past."""
    for made in seen.held():
        holder = seen.holders.get(made.commitment)
        if holder is None or holder.last_day is None:
            continue
        end = datetime.combine(holder.last_day, time.max, UTC) + timedelta(hours=rule.hours)
        if seen.now > end:
            yield _of(
                made,
                "leaving",
                f"its holder {holder.id} left on {holder.last_day}",
                f"End it: tokenprov revoke {made.serial} --reason left",
            )


def pin(rule: Pin, seen: Survey) -> Iterator[Finding]:
    """What was read back of PINs and their tries."""
    for made in seen.held():
        for step, facts in made.steps.items():
            length, tries = facts.get("length"), facts.get("pinTries")
            if step.endswith("pin") and isinstance(length, int) and length < rule.length:
                what = f"{step} has {length} characters, and {rule.length} are the least"
                yield _of(made, "pin", what, "Replace it, or have its PIN set anew.")
            if isinstance(tries, int) and tries > rule.tries:
                what = f"{step}: {tries} tries, and {rule.tries} are the most"
                yield _of(made, "pin", what, "Replace it by a profile with fewer tries.")


def no_defaults(rule: NoDefaults, seen: Survey) -> Iterator[Finding]:
    """Keys whose guard nobody set."""
    for made in seen.held():
        for (start, end), guards in _GUARDS.items():
            keys = [id for id in made.steps if id.startswith(start) and id.endswith(end)]
            missing = [guard for guard in guards if guard not in made.steps]
            if keys and missing:
                what = f"it has {keys[0]}, and {', '.join(missing)} was not set"
                yield _of(made, "no-defaults", what, f"Look: tokenprov token audit {made.serial}")


def _of(made: Made, rule: str, what: str, remedy: str) -> Finding:
    return Finding(
        rule=rule,
        what=f"token {made.serial}: {what}",
        remedy=remedy,
        token=made.serial,
        holder=made.commitment,
        batch=made.batch,
        index=made.index,
    )


def _lost(seen: Survey) -> Iterator[Done]:
    """The entries that ended a token which was lost or stolen."""
    for done in seen.done:
        if done.entry["kind"] in _ENDS and done.entry.get("cause") in _GONE:
            yield done


def _begun(seen: Survey, limit: timedelta, rule: str) -> Iterator[Finding]:
    """Works for a loss that were begun and did not end the token."""
    held = {made.serial: made for made in seen.held()}
    for work in seen.home.ledger.works.unfinished():
        made, cause = held.get(work.label), work.parameters.get("cause")
        if made is not None and cause in _GONE and seen.now > work.began + limit:
            yield _of(
                made,
                rule,
                f"reported {cause} at {work.began:%Y-%m-%d %H:%M}, and it is still in force",
                f"Go on: tokenprov {work.kind} {made.serial} --reason {cause}",
            )
