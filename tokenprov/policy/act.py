"""An act that the station is asked to do, and the clearance that lets it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tokenprov.errors import ApprovalError, ManifestError
from tokenprov.model import Json
from tokenprov.policy.language import Policy
from tokenprov.profile import Profile
from tokenprov.record.approval import APPROVAL, Approval
from tokenprov.record.manifest import Addition
from tokenprov.record.note import parse_note
from tokenprov.record.request import About, Action, Request
from tokenprov.record.signer import NoteSigner


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was shown: a document that is kept beside the manifest, and what type of one it is."""

    type: str  # a `people_rules.Proof`, or another word of docs/formats.md
    data: bytes

    @property
    def sha256(self) -> str:
        """What names it."""
        return hashlib.sha256(self.data).hexdigest()

    def to_json(self) -> dict[str, Json]:
        """As it stands in an entry."""
        return {"type": str(self.type), "sha256": self.sha256}


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What is to be done, about what (as a request for it would say), and who is at the station.

    `about` has the members that docs/formats.md lists for the action, as in
    `{"token": "12345678", "purpose": "help-desk"}`. `holder` is the commitment of whose token it
    is, `groups` theirs; `profile` what is to be issued.
    """

    action: Action
    operator: str
    about: About = field(default_factory=dict)
    holder: str = ""
    groups: Sequence[str] = ()
    profile: Profile | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What people have put their names to: files that others signed, and the operator's own key."""

    approvals: Sequence[bytes] = ()
    proofs: Sequence[Evidence] = ()  # how the holder was authenticated
    signer: NoteSigner | None = None

    def meant_for(self, action: Action, about: About) -> Agreement:
        """The part of it that is for one act of several: without requests for others."""

        def fits(note: bytes) -> bool:
            request = _request(note)
            if request is None:
                return True  # which is then refused for what it is
            return (request.action, dict(request.about)) == (action, dict(about))

        return replace(self, approvals=[note for note in self.approvals if fits(note)])

    def requests(self) -> set[str]:
        """What the requests in it are named by, whether or not they were agreed to."""
        return {request.digest for note in self.approvals if (request := _request(note))}


def _request(note: bytes) -> Request | None:
    try:
        return Request.parse(parse_note(note).text)
    except (ApprovalError, ManifestError):
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Clearance:
    """That an act may be done: what the entries that it causes say of why."""

    act: Act
    policy: Policy | None = None
    approvals: tuple[Approval, ...] = ()  # of one request
    waivers: tuple[str, ...] = ()  # ids of those that were needed
    evidence: tuple[Evidence, ...] = ()

    @property
    def approvers(self) -> Mapping[str, str]:
        """Who agreed, by name, with the digest of the approval that each signed."""
        return {name: one.sha256 for one in self.approvals for name in one.approvers}

    def cover(self, addition: Addition) -> Addition:
        """An addition to the manifest whose entry says who agreed, with what they signed."""
        clearance = self._said()
        if not clearance:
            return addition
        agreed = self.approvers
        entry = {
            **addition.entry,
            "approvers": [
                {"name": name, "evidence": [{"type": APPROVAL, "sha256": agreed[name]}]}
                for name in sorted(agreed)
            ],
            "clearance": clearance,
        }
        signed = {*agreed.values()}
        kept = [one.note for one in self.approvals if one.sha256 in signed]
        kept += [one.data for one in self.evidence]
        return replace(addition, entry=entry, blobs=(*addition.blobs, *kept))

    def _said(self) -> dict[str, Json]:
        said: dict[str, Json] = {}
        if self.policy is not None:
            said["policy"] = {"name": self.policy.name, "digest": self.policy.digest}
        if self.approvals:
            request = self.approvals[0].request
            said |= {"request": request.digest, "requester": request.requester}
        if self.waivers:
            said["waivers"] = list(self.waivers)
        if self.evidence:
            said["evidence"] = [one.to_json() for one in self.evidence]
        return said
