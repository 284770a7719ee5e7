"""An act that the station is asked to do, and the clearance that lets it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tokenprov.model import Json
from tokenprov.record.approval import APPROVAL, Approval
from tokenprov.record.manifest import Addition
from tokenprov.record.request import About, Action


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What is to be done, about what (as a request for it would say), and who is at the station.

    `about` has the members that docs/formats.md lists for the action, as in
    `{"token": "12345678", "purpose": "help-desk"}`.
    """

    action: Action
    operator: str
    about: About = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clearance:
    """That an act may be done: what the entries that it causes say of why."""

    act: Act
    approvals: tuple[Approval, ...] = ()  # of one request

    @property
    def approvers(self) -> Mapping[str, str]:
        """Who agreed, by name, with the digest of the approval that each signed."""
        return {name: one.sha256 for one in self.approvals for name in one.approvers}

    def cover(self, addition: Addition) -> Addition:
        """An addition to the manifest whose entry says who agreed, with what they signed."""
        if not self.approvals:
            return addition
        request = self.approvals[0].request
        clearance: dict[str, Json] = {"request": request.digest, "requester": request.requester}
        entry = {
            **addition.entry,
            "approvers": [
                {"name": name, "evidence": [{"type": APPROVAL, "sha256": digest}]}
                for name, digest in sorted(self.approvers.items())
            ],
            "clearance": clearance,
        }
        signed = {*self.approvers.values()}
        notes = [one.note for one in self.approvals if one.sha256 in signed]
        return replace(addition, entry=entry, blobs=(*addition.blobs, *notes))
