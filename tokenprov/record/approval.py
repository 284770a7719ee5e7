"""A request that people agreed to, judged: who signed it, and whether it allows an act.

Rules (SP 800-53 AC-5, separation of duties):
- A request counts where its requester signed it; an approver is whoever else signed it. Each is
  a person of the station with that role, by the key that the manifest has for them.
- Who approved neither requested it nor carries it out. That the requester does not carry it out
  either is for the policy to ask.
- It allows one act: that action, about exactly that, at that station, from when it was made until
  it expires. An act is over with the entry that ends it (`request.CAUSES`).
- Signatures by keys that nobody has here count for nothing; a wrong one refuses the whole.

Nothing is read or written here: `person` gives a person of a name, as they are at that moment.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tokenprov.errors import ApprovalError, ManifestError
from tokenprov.record.holder_proof import OTHER_TOKEN, RECOVERY_CODE, HolderProof
from tokenprov.record.note import open_note, parse_note
from tokenprov.record.people import Person, Role
from tokenprov.record.request import CAUSES, OPERATION, REQUEST, About, Action, Request

APPROVAL = "approval"  # the types of evidence in an entry
OPERATOR_SIGNATURE = "operator-signature"
_LISTS = ("tokens", "holder")  # members of `about` that may name several
SKEW = timedelta(minutes=5)  # by which the clock of who made it may be ahead

FindPerson = Callable[[str], Person | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A request with who signed it; `note` is the file."""

    request: Request
    approvers: tuple[str, ...]
    note: bytes

    @property
    def sha256(self) -> str:
        """What names the file."""
        return hashlib.sha256(self.note).hexdigest()


def read_approval(note: bytes, person: FindPerson) -> Approval:
    """The request in a note, and who agreed to it. Raises ApprovalError."""
    request, names = _read(note, person, REQUEST, Role.REQUESTER)
    approvers = sorted(names - {request.requester})
    for name in approvers:
        _require_role(person, name, Role.APPROVER, "approve")
    return Approval(request=request, approvers=tuple(approvers), note=note)


def read_statement(note: bytes, person: FindPerson) -> Request:
    """That somebody saw who a holder is: a request to `identify` by a witness.

    Raises ApprovalError.
    """
    request, _ = _read(note, person, REQUEST, Role.WITNESS)
    if request.action != Action.IDENTIFY:
        raise _refused("action", f"it is a request to {request.action}, and says of no identity")
    return request


def read_operation(note: bytes, person: FindPerson) -> Request:
    """What an operator signed that they carry out. Raises ApprovalError."""
    return _read(note, person, OPERATION, Role.OPERATOR)[0]


def _read(note: bytes, person: FindPerson, domain: str, role: Role) -> tuple[Request, set[str]]:
    """What stands in a note, signed by whom it names first, and by whom it is signed."""
    try:
        parsed = parse_note(note)
        request = Request.parse(parsed.text, domain)
        signers = [found for s in parsed.signatures if (found := person(s.name)) is not None]
        verified = open_note(note, [one.key for one in signers])
    except ManifestError as exc:
        raise _refused("signature", f"the request cannot be relied on: {exc.message}") from exc
    names = {signature.name for signature in verified.signatures}
    if request.requester not in names:
        raise _refused(role, f"{request.requester} did not sign what they {_MAY[role]}")
    _require_role(person, request.requester, role, _MAY[role])
    return request, names


_MAY = {Role.REQUESTER: "request", Role.WITNESS: "witness", Role.OPERATOR: "carry out"}


def _require_role(person: FindPerson, name: str, role: Role, what: str) -> None:
    found = person(name)
    if found is None or role not in found.roles:
        raise _refused(role, f"{name} may not {what} anything here")


def require_allowed(
    approval: Approval,
    *,
    action: Action,
    about: About,
    operator: str,
    station: str,
    at: datetime,
) -> None:
    """Whether it allows this act. Raises ApprovalError with what it allows instead."""
    request = approval.request
    if request.action != action or request.station != station:
        raise _refused(
            "action",
            f"approved is {request.action} at {request.station}, and not {action} at {station}",
        )
    if dict(request.about) != dict(about):
        raise _refused(
            "about", f"approved is {said(request.about)}, and what is to be done is {said(about)}"
        )
    _require_time(request, at)
    _require_apart(approval, operator)


def judge_entry(approval: Approval, entry: Mapping[str, Any]) -> None:
    """Whether it allows what an entry reports. Raises ApprovalError.

    What `about` says and the entry says too must be the same; `token`, or one of `tokens`, is the
    serial that the entry is about, but for a token that is issued in its place.
    """
    request = approval.request
    _require_about(request, entry)
    clearance = entry["clearance"]
    if (clearance["request"], clearance["requester"]) != (request.digest, request.requester):
        raise _refused("request", "the approval is of another request than the entry names")
    missing = {approver["name"] for approver in entry["approvers"]} - {*approval.approvers}
    if missing:
        raise _refused("approver", f"{', '.join(sorted(missing))} did not sign it")
    _require_time(request, datetime.fromisoformat(entry["time"]))
    _require_apart(approval, entry["operator"])


def judge_operation(request: Request, entry: Mapping[str, Any]) -> None:
    """Whether what an operator signed is what an entry reports. Raises ApprovalError."""
    if request.requester != entry["operator"]:
        raise _refused("operator", f"{entry['operator']} did not sign what they carried out")
    _require_about(request, entry)
    _require_time(request, datetime.fromisoformat(entry["time"]))


def judge_holder(
    proof: HolderProof, entry: Mapping[str, Any], blob: Callable[[str], bytes]
) -> None:
    """Whether what a holder was known by is for what an entry reports. Raises ApprovalError."""
    _require_about(proof.request, entry)
    _require_time(proof.request, datetime.fromisoformat(entry["time"]))
    proof.require_signed(blob)


def judge_approvals(
    index: int, entry: Mapping[str, Any], blob: Callable[[str], bytes], person: FindPerson
) -> None:
    """Judge what an entry names as signed by people; what is missing is another rule's.

    `blob` reads one by its digest. Raises ManifestError (rule `approval`).
    """
    if not entry["approvers"] and "clearance" not in entry:
        return
    signed = {(APPROVAL, e["sha256"]) for a in entry["approvers"] for e in a["evidence"]}
    signed |= {(e["type"], e["sha256"]) for e in entry.get("clearance", {}).get("evidence", ())}
    for kind, digest in sorted(signed):
        try:
            if kind == APPROVAL:
                judge_entry(read_approval(blob(digest), person), entry)
            elif kind == OPERATOR_SIGNATURE:
                judge_operation(read_operation(blob(digest), person), entry)
            elif kind in (OTHER_TOKEN, RECOVERY_CODE):
                judge_holder(HolderProof.parse(blob(digest)), entry, blob)
        except ApprovalError as exc:
            raise ManifestError(
                f"entry {index}: {exc.message}",
                remedy="Ask the station's operator and the approver what happened.",
                rule="approval",
                index=index,
            ) from exc
        except ManifestError as exc:
            if exc.rule != "missing":
                raise


def said(about: About) -> str:
    """What a request is about, for people."""
    return ", ".join(f"{name}={value}" for name, value in sorted(about.items())) or "the station"


def _require_about(request: Request, entry: Mapping[str, Any]) -> None:
    if entry["kind"] not in CAUSES[request.action] or request.station != entry["station"]:
        raise _refused("action", f"signed was {request.action} at {request.station}")
    for name, wanted in request.about.items():
        found = _found(name, entry)
        if found is not None and found not in (wanted.split(",") if name in _LISTS else [wanted]):
            raise _refused("about", f"signed was {said(request.about)}, and not {name} {found}")


def _found(name: str, entry: Mapping[str, Any]) -> str | None:
    if name in ("token", "tokens"):
        if entry["kind"] == "issued" or "token" not in entry:
            return None
        token: Mapping[str, Any] = entry["token"]
        return token["serial"] or token.get("mark")
    if name == "holder":
        commitment: str | None = entry.get("holder", {}).get("commitment")
        return commitment
    value = entry.get(name)
    return value if isinstance(value, str) else None


def _require_time(request: Request, at: datetime) -> None:
    if at + SKEW < request.made:
        raise _refused("expired", f"the approval is from {request.made}, which is to come")
    if at > request.expires:
        raise _refused("expired", f"the approval held until {request.expires}")


def _require_apart(approval: Approval, operator: str) -> None:
    if operator in approval.approvers:
        raise _refused("apart", f"{operator} approved it, and cannot carry it out too")


def _refused(rule: str, what: str) -> ApprovalError:
    return ApprovalError(
        what,
        remedy="Have it requested and approved anew, by people other than who carries it out.",
        rule=rule,
    )
