"""Whether what was shown proves who a holder is, for one act.

    identity-check   a witness of the station saw them, and signed that (`record.approval`)
    other-token      another token of theirs signed (`record.holder_proof`)
    recovery-code    they gave a code, which was used up by it (the same)

Rules (SP 800-63B 4.1.2.1):
- It is of this holder, for this act about this token, at this station, and holds now; it serves
  once.
- The other token is in force, not the one that the act is about, and bound to the same person. What
  verifies its signature is what the manifest has of it, and nothing that came with the proof.
- A recovery code is of the last list that the holder was given, and the manifest says that it was
  used for this.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cryptography import x509

from tokenprov.errors import ApprovalError
from tokenprov.home import Home
from tokenprov.model import Cause
from tokenprov.policy.act import Act, Evidence
from tokenprov.policy.people_rules import Proof
from tokenprov.record.approval import read_statement, said
from tokenprov.record.entry import Entry, Kind, commitment_of
from tokenprov.record.history import State
from tokenprov.record.holder_proof import HolderProof, is_holder_proof
from tokenprov.record.lives import entries_of
from tokenprov.record.people import Person
from tokenprov.record.request import CAUSES

_EVIDENCE = {"piv": "certificate", "fido2": "fido2-attestation"}  # by the applet of the key


def proof_in(data: bytes) -> Evidence:
    """What a document that was given as a proof is evidence of. Raises ApprovalError."""
    if is_holder_proof(data):
        return Evidence(type=HolderProof.parse(data).type, data=data)
    return Evidence(type=Proof.IDENTITY_CHECK, data=data)


def require_proof(home: Home, act: Act, people: Mapping[str, Person], proof: Evidence) -> None:
    """That a proof is of this holder, holds now, and was not shown for another act.

    Raises ApprovalError.
    """
    for index in home.manifest.found_by(f"evidence {proof.sha256}"):
        if home.manifest.entry(index)["kind"] in CAUSES[act.action][:1]:
            raise _refused(
                "used",
                f"the proof of who the holder is was used already, by entry {index}",
            )
    if proof.type == Proof.IDENTITY_CHECK:
        _require_seen(home, act, people, proof)
        return
    shown = HolderProof.parse(proof.data)
    asked = shown.request
    if (asked.action, asked.about["token"]) != (act.action, act.about.get("token")):
        raise _refused(
            "about",
            f"the holder was known for {asked.action} of token {asked.about['token']}, and not for"
            f" {act.action} of {said(act.about)}",
        )
    if asked.station != home.name or not asked.made <= home.clock() <= asked.expires:
        raise _refused(
            "expired",
            f"the holder was known at {asked.station}, for use until {asked.expires}",
        )
    if shown.type == Proof.OTHER_TOKEN:
        _require_token(home, act, shown)
    else:
        _require_code(home, act, shown, proof.sha256)


def same_person(home: Home, one: str, other: str) -> bool:
    """Whether two commitments are to one holder, as far as the openings that are held tell."""
    if one == other:
        return True
    openings = (home.manifest.opening(one), home.manifest.opening(other))
    ids = {opening.holder.get("id") if opening is not None else None for opening in openings}
    return len(ids) == 1 and None not in ids


def key_on_record(home: Home, serial: str, step: str) -> str | None:
    """The digest of the certificate or registration that the manifest has of a token's key."""
    for entry in _life(home, serial):
        for one in entry.get("steps", ()):
            if one["id"] == step and one["state"] == "match":
                wanted = _EVIDENCE.get(step.partition("/")[0])
                kept = [e["sha256"] for e in one.get("evidence", ()) if e["type"] == wanted]
                return kept[0] if kept else None
    return None


def codes_in_force(home: Home, commitment: str) -> tuple[int, Entry] | None:
    """The last recovery codes that a holder was given, unless they left since; with their index."""
    last: tuple[int, Entry] | None = None
    for index in home.manifest.found_by(f"kind {Kind.RECOVERY_CODES}"):
        entry = home.manifest.entry(index)
        if same_person(home, commitment_of(entry) or "", commitment):
            last = index, entry
    if last is None or home.manifest.opening(commitment) is None or _erased(home, commitment):
        return None  # none were given, or their holder was erased
    if _left_since(home, last[0], commitment):
        return None
    return last


def _erased(home: Home, commitment: str) -> bool:
    numbers = home.manifest.found_by(f"holder {commitment}")
    return any(home.manifest.entry(number)["kind"] == Kind.ERASED for number in numbers)


def codes_used(home: Home, name: str) -> dict[int, tuple[int, Entry]]:
    """The entries by which codes of a list were used, by the code's number."""
    found = {}
    for index in home.manifest.found_by(f"kind {Kind.RECOVERY_CODE_USED}"):
        entry = home.manifest.entry(index)
        given, _, number = entry["code"].partition("/")
        if given == name:
            found[int(number)] = (index, entry)
    return found


def _require_seen(home: Home, act: Act, people: Mapping[str, Person], proof: Evidence) -> None:
    stated = read_statement(proof.data, people.get)
    token = act.about.get("token", "")
    theirs = {"token": token} if token else {"holder": act.holder}
    if not theirs.items() <= dict(stated.about).items():
        raise _refused(
            "about",
            f"identified was the holder of {said(stated.about)}, and not of {said(theirs)}",
        )
    if stated.requester == act.operator:
        raise ApprovalError(
            f"{act.operator} identified the holder, and would carry it out too",
            remedy="Have somebody else carry it out, or identify them.",
            rule="apart",
        )
    if stated.station != home.name or not stated.made <= home.clock() <= stated.expires:
        raise _refused(
            "expired",
            f"the holder was identified at {stated.station}, for use until {stated.expires}",
        )


def _require_token(home: Home, act: Act, shown: HolderProof) -> None:
    about = shown.request.about
    by, serial = about["by"], about["token"]
    if by == serial:
        raise _refused("same-token", f"token {by} cannot prove whose it is itself")
    life = next(_life(home, by), None)
    standing = home.manifest.life(life["token"]) if life is not None else None
    if life is None or standing is None or standing.state is not State.HELD:
        where = standing.state if standing is not None else "not of this station"
        raise _refused("state", f"token {by} is {where}, and proves nothing")
    if not same_person(home, commitment_of(life) or "", act.holder):
        raise _refused("holder", f"token {by} is another holder's than token {serial}")
    if key_on_record(home, by, about["key"]) != about["evidence"]:
        raise _refused("key", f"the key of token {by} is another one on the record")
    shown.require_signed(home.manifest.blob)
    if about["key"].startswith("piv/"):
        certificate = x509.load_der_x509_certificate(home.manifest.blob(about["evidence"]))
        if home.clock() > certificate.not_valid_after_utc:
            raise _refused("expired", f"the certificate of token {by} has ended")


def _require_code(home: Home, act: Act, shown: HolderProof, digest: str) -> None:
    name, _, number = shown.request.about["code"].partition("/")
    used = codes_used(home, name).get(int(number)) if number.isdigit() else None
    if used is None or digest not in {one["sha256"] for one in used[1]["evidence"]}:
        raise _refused("code", "no recovery code was used for this proof")
    given = codes_in_force(home, act.holder)
    if given is None or given[1]["list"] != name:
        raise _refused("code", "the recovery code is of a list that is not in force for the holder")


def _life(home: Home, serial: str) -> Iterator[Entry]:
    """What is recorded of a token, the last first, back to when it was issued."""
    for _, entry in entries_of(home.manifest, serial):
        if "holder" in entry:
            yield entry
            if entry["kind"] == Kind.ISSUED:
                return


def _left_since(home: Home, index: int, commitment: str) -> bool:
    """Whether the holder left after that entry."""
    return any(
        number > index
        and (entry := home.manifest.entry(number))["kind"] == Kind.REVOKED
        and entry.get("cause") == Cause.LEFT
        for held in home.manifest.held_openings()
        if same_person(home, held, commitment)
        for number in home.manifest.found_by(f"holder {held}")
    )


def _refused(rule: str, what: str) -> ApprovalError:
    return ApprovalError(what, remedy="Have the holder identified anew.", rule=rule)
