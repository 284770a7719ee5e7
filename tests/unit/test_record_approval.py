"""Approvals judged: what a request allows, by whom, until when; and what an entry says of it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from tests.record_samples import about, append, set_aside, small_manifest
from tokenprov.errors import ApprovalError, ManifestError
from tokenprov.record.approval import Approval, read_approval, require_allowed
from tokenprov.record.entry import Entry
from tokenprov.record.manifest import Manifest
from tokenprov.record.note import sign_note
from tokenprov.record.people import Person, Role
from tokenprov.record.request import CAUSES, MANY, REQUEST, Action, Request
from tokenprov.record.signer import KeyInMemory, PrivateKey, Signer
from tokenprov.record.verify import verify_manifest

NOON = datetime(2026, 2, 3, 4, 0, tzinfo=UTC)
ASKED = Request(
    action=Action.OPEN,
    about={"token": "10000000", "purpose": "help-desk"},
    reason="PUK for Zoë",
    requester="rita",
    station="station-a",
    made=NOON,
    expires=NOON + timedelta(hours=8),
    nonce=bytes(16),
)


def signer(name: str, key: PrivateKey) -> Signer:
    """Somebody's key, under their name."""
    return Signer(name, KeyInMemory(private=key))


KEYS = {
    name: signer(name, ed25519.Ed25519PrivateKey.generate())
    for name in ("rita", "pavel", "paula", "olga", "nobody")
} | {"pavel": signer("pavel", ec.generate_private_key(ec.SECP256R1()))}
ROLES = {
    "rita": {Role.REQUESTER},
    "pavel": {Role.APPROVER},
    "paula": {Role.APPROVER, Role.OPERATOR},
    "olga": {Role.OPERATOR},
}
PEOPLE = {
    name: Person(key=KEYS[name].verifier, roles=frozenset(roles)) for name, roles in ROLES.items()
}


FORMATS = Path(__file__).resolve().parents[2] / "docs" / "formats.md"


def test_the_table_of_actions() -> None:
    """docs/formats.md has every action with its entries, the one that ends it first."""
    text = FORMATS.read_text("utf-8").partition("| action | `about` |")[2].partition("\n\n")[0]
    found: dict[str, list[str]] = {}
    for row in text.splitlines()[2:]:
        actions, _, caused = (re.findall("`([a-z-]+)`", cell) for cell in row.split("|")[1:-1])
        found |= dict.fromkeys(actions, caused)
        assert ("none ends it" in row) is bool({*actions} & {*map(str, MANY)}), row
    assert found.keys() == {*map(str, Action)}
    for action, causes in CAUSES.items():
        told = found[str(action)]
        assert (told[:1], sorted(told)) == (list(map(str, causes[:1])), sorted(map(str, causes)))


def signed(*names: str, asked: Request = ASKED) -> bytes:
    """A request signed by these."""
    return sign_note(asked.text(), [KEYS[name] for name in names]).to_bytes()


def read(*names: str, asked: Request = ASKED) -> Approval:
    """The same, judged."""
    return read_approval(signed(*names, asked=asked), PEOPLE.get)


def allowed(approval: Approval, **changes: Any) -> None:
    """Whether it allows what it was asked for, or something else."""
    act: dict[str, Any] = {
        "action": Action.OPEN,
        "about": ASKED.about,
        "operator": "olga",
        "station": "station-a",
        "at": NOON + timedelta(hours=1),
        **changes,
    }
    require_allowed(approval, **act)


def test_a_request_that_another_agreed_to() -> None:
    """Whoever signed and did not ask is an approver; strangers' signatures count for nothing."""
    approval = read("rita", "pavel", "nobody")
    assert approval.approvers == ("pavel",)
    assert approval.request == ASKED
    allowed(approval)


@pytest.mark.parametrize(
    ("names", "rule"),
    [
        (["pavel"], "requester"),  # who asks did not sign
        (["rita", "olga"], "approver"),  # an operator approves nothing
        (["nobody"], "signature"),
    ],
)
def test_signatures_that_do_not_do(names: list[str], rule: str) -> None:
    """A request that its requester did not sign, or somebody did who may not, is refused."""
    with pytest.raises(ApprovalError) as caught:
        read(*names)
    assert caught.value.rule == rule


def test_who_may_not_request() -> None:
    """An approver's request is nobody's request."""
    with pytest.raises(ApprovalError, match="may not request"):
        read("paula", "pavel", asked=replace(ASKED, requester="paula"))


def test_a_word_changed_after_signing() -> None:
    """A request with another token in it is not what was signed."""
    with pytest.raises(ApprovalError, match="does not verify"):
        read_approval(signed("rita", "pavel").replace(b"10000000", b"10000001"), PEOPLE.get)


def test_a_key_of_the_same_name() -> None:
    """Somebody who calls their own key pavel has signed nothing."""
    false = signer("pavel", ed25519.Ed25519PrivateKey.generate())
    note = sign_note(ASKED.text(), [KEYS["rita"], false]).to_bytes()
    assert read_approval(note, PEOPLE.get).approvers == ()


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"action": Action.EXPORT}, "action"),
        ({"station": "station-b"}, "action"),
        ({"about": {"token": "10000001", "purpose": "help-desk"}}, "about"),
        ({"about": {"token": "10000000"}}, "about"),
        ({"at": NOON + timedelta(hours=9)}, "expired"),
        ({"at": NOON - timedelta(hours=1)}, "expired"),
        ({"operator": "pavel"}, "apart"),
    ],
)
def test_an_act_that_is_another(changes: dict[str, Any], rule: str) -> None:
    """Another action, station, token or time, and an operator who approves himself, are refused."""
    with pytest.raises(ApprovalError) as caught:
        allowed(read("rita", "pavel"), **changes)
    assert caught.value.rule == rule


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"{REQUEST}\n",
        f"{REQUEST}\n{{}}\n",
        ASKED.text().replace("v1", "v2"),
        ASKED.text().replace('"open"', '"close"'),
        ASKED.text().replace('"10000000"', "10000000"),
        ASKED.text().replace('"about"', ' "about"'),
        ASKED.text() + "more\n",
    ],
)
def test_requests_that_are_none(text: str) -> None:
    """What is not the one spelling of a request is refused."""
    with pytest.raises(ApprovalError):
        Request.parse(text)
    assert Request.parse(ASKED.text()) == ASKED


# in a manifest


def person_entry(name: str, *roles: Role, key: str = "") -> Entry:
    """Somebody made known."""
    roles = roles or tuple(ROLES[name])
    return about(
        "person-changed",
        person=name,
        key=key or str(KEYS[name].verifier),
        roles=sorted(map(str, roles)),
    )


def opened(approval: bytes, *approvers: str, **changes: Any) -> Entry:
    """An opening that says it was approved."""
    digest = hashlib.sha256(approval).hexdigest()
    evidence = [{"type": "approval", "sha256": digest}]
    return {
        **about("opened", secrets=[]),
        "approvers": [{"name": name, "evidence": evidence} for name in approvers],
        "clearance": {"request": ASKED.digest, "requester": "rita"},
        **changes,
    }


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """A manifest in which these people and one token are."""
    made = small_manifest(tmp_path / "m", tokens=1)
    for name in ROLES:
        made.append(person_entry(name))
    return made


def judged(manifest: Manifest, folder: Path) -> list[tuple[str, int | None]]:
    """What verifying the folder finds, by rule and entry."""
    return [(f.rule, f.index) for f in verify_manifest(folder / "m").findings]


def test_an_approved_entry_holds(manifest: Manifest, tmp_path: Path) -> None:
    """The approval is kept, found by its request, and holds when it is verified."""
    note = signed("rita", "pavel")
    index = manifest.append(opened(note, "pavel"), [note])
    assert manifest.found_by(f"request {ASKED.digest}") == [index]
    assert manifest.people()["pavel"] == PEOPLE["pavel"]
    assert judged(manifest, tmp_path) == []


@pytest.mark.parametrize(
    ("make", "names", "changes"),
    [
        (lambda: signed("rita"), ["pavel"], {}),  # he did not sign
        (lambda: signed("rita", "pavel"), ["pavel"], {"token": {"serial": "10000001"}}),
        (lambda: signed("rita", "pavel"), ["pavel"], {"time": "2026-02-03T12:00:01Z"}),
        (lambda: signed("rita", "pavel"), ["pavel"], {"kind": "resealed", "from": "00" * 8}),
        (lambda: b"pavel agrees", ["pavel"], {}),
    ],
)
def test_an_approval_that_is_not_of_the_entry(
    manifest: Manifest,
    tmp_path: Path,
    make: Callable[[], bytes],
    names: list[str],
    changes: dict[str, Any],
) -> None:
    """A station that recorded an approval of something else is found out by who verifies."""
    note = make()
    entry = opened(note, *names, **changes)
    if "from" in changes:
        del entry["form"]
    index = manifest.append(entry, [note])
    assert judged(manifest, tmp_path) == [("approval", index)]


@pytest.mark.parametrize(
    ("names", "changes", "why"),
    [
        (["paula"], {"operator": "paula"}, "is the operator"),
        (["pavel", "pavel"], {}, "named twice"),
        (["olga"], {"operator": "paula"}, "olga was no approver"),
        (["nobody"], {}, "nobody was no approver"),
        (["pavel"], {"clearance": {}}, "no request"),
    ],
)
def test_approvers_who_are_none(
    manifest: Manifest, names: list[str], changes: dict[str, Any], why: str
) -> None:
    """An entry whose approver is its operator, twice the same, or nobody is not written."""
    note = signed("rita", "pavel")
    with pytest.raises(ManifestError, match=why) as caught:
        manifest.append({**opened(note, *names), **changes}, [note])
    assert caught.value.rule == "approval"


def test_a_request_is_used_once(manifest: Manifest) -> None:
    """The second opening of a token by one request is refused, however it was signed again."""
    first, again = signed("rita", "pavel"), signed("rita", "paula")
    manifest.append(opened(first, "pavel"), [first])
    with pytest.raises(ManifestError, match="was used by entry"):
        manifest.append(opened(again, "paula"), [again])


def test_people_who_were_removed_approve_nothing(manifest: Manifest) -> None:
    """From the entry on that takes their role away."""
    note = signed("rita", "pavel")
    manifest.append({**person_entry("pavel"), "roles": []})
    with pytest.raises(ManifestError, match="pavel was no approver"):
        manifest.append(opened(note, "pavel"), [note])


def test_one_key_is_one_persons(manifest: Manifest) -> None:
    """Nobody gets a second name for their key, nor an entry under another one's name."""
    twin = replace(KEYS["olga"].verifier, name="olaf")
    with pytest.raises(ManifestError, match="is that of olga") as caught:
        manifest.append(person_entry("olaf", Role.APPROVER, key=str(twin)))
    assert caught.value.rule == "person"
    with pytest.raises(ManifestError, match="is named olga"):
        manifest.append(person_entry("rita", key=str(KEYS["olga"].verifier)))


def test_a_missing_approval_is_named_as_missing(manifest: Manifest, tmp_path: Path) -> None:
    """Where the blob is gone, the finding is that, once."""
    note = signed("rita", "pavel")
    index = manifest.append(opened(note, "pavel"), [note])
    digest = hashlib.sha256(note).hexdigest()
    next((tmp_path / "m").rglob(digest)).unlink()
    assert judged(manifest, tmp_path) == [("missing", index)]


def test_without_approvals_nothing_is_asked(manifest: Manifest, tmp_path: Path) -> None:
    """An entry that names no approver is none of this rule's concern."""
    append(manifest, 5)
    manifest.append(set_aside(5))
    assert judged(manifest, tmp_path) == []
