"""Whether the station lets an act be done: asked before the act, once.

Rules:
- What people signed is judged as it stands, whether or not a rule asks for it: an approval that
  does not fit is refused, never passed over.
- A request that ended in its entry is used up. An act that was cut off before it may go on with
  the same request, as long as that holds.
- The clearance goes into every entry that the act causes (`Clearance.cover`).
"""

from __future__ import annotations

from collections.abc import Sequence

from tokenprov.errors import ApprovalError
from tokenprov.home import Home
from tokenprov.policy.act import Act, Clearance
from tokenprov.record.approval import Approval, read_approval, require_allowed
from tokenprov.record.request import CAUSES


def enforce(home: Home, act: Act, approvals: Sequence[bytes] = ()) -> Clearance:
    """Let an act be done, or say what it lacks. `approvals` are files that people signed.

    Raises ApprovalError: one does not hold, or not for this.
    """
    people = home.manifest.people()
    agreed = tuple(read_approval(note, people.get) for note in approvals)
    for approval in agreed:
        require_allowed(
            approval,
            action=act.action,
            about=act.about,
            operator=act.operator,
            station=home.name,
            at=home.clock(),
        )
        _require_unused(home, approval)
    if len({approval.request.digest for approval in agreed}) > 1:
        raise ApprovalError(
            "the approvals are of different requests",
            remedy="Give those of one request.",
            rule="request",
        )
    return Clearance(act=act, approvals=agreed)


def _require_unused(home: Home, approval: Approval) -> None:
    last = CAUSES[approval.request.action][0]
    for index in home.manifest.found_by(f"request {approval.request.digest}"):
        if home.manifest.entry(index)["kind"] == last:
            raise ApprovalError(
                f"the approval was used already, by entry {index} of the manifest",
                remedy="An approval is for one act: have this one requested and approved anew.",
                rule="used",
            )
