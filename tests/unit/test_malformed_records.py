"""Files of the record, of escrow and of people, made bad in every way: refused, by a reason.

Where a signature or a hash would refuse a changed file before it is read, it is made anew: that is
what somebody who holds the key could hand in.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import io
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric import ec

from tests.attestation_leaves import NOW, real
from tests.malformed import PLACES, Read, damaged, faults, retyped
from tests.record_samples import (
    ORIGIN,
    SIGNER,
    about,
    issued,
    opening,
    set_aside,
    small_manifest,
    station,
)
from tests.unit.test_record_approval import ASKED, KEYS, NOON, PEOPLE
from tests.unit.test_record_verify import write_log
from tokenprov.attestation import Anchors, verify_piv_attestation
from tokenprov.errors import ManifestError
from tokenprov.model import Json, Purpose, SecretKind
from tokenprov.record.approval import (
    judge_entry,
    read_approval,
    read_operation,
    read_statement,
    require_allowed,
)
from tokenprov.record.attested import judge_attestations
from tokenprov.record.checkpoint import Checkpoint
from tokenprov.record.cosigned import add_cosignatures
from tokenprov.record.entry import Kind, blobs_of, decode_entry
from tokenprov.record.escrow import (
    KeyInMemory,
    SealContext,
    open_envelope,
    read_context,
    seal,
)
from tokenprov.record.folder import ManifestFolder
from tokenprov.record.handout import Handout, check_handout
from tokenprov.record.head import Held
from tokenprov.record.key_change import Era, rotated_entry
from tokenprov.record.key_list import KeyList
from tokenprov.record.manifest import verify_manifest
from tokenprov.record.note import open_note, parse_note, sign_note
from tokenprov.record.opening import Opening
from tokenprov.record.request import OPERATION, REQUEST, Action
from tokenprov.record.sealed_file import DOMAIN, SealedReader, SealedWriter
from tokenprov.record.signer import Cosigner, Signer
from tokenprov.record.signer import KeyInMemory as SignersKey
from tokenprov.record.submission import Submission
from tokenprov.record.verifier_key import VerifierKey
from tokenprov.record.witness import Witness
from tokenprov.secret import Secret

PRIVATE = KeyInMemory(private=ec.generate_private_key(ec.SECP256R1()))
HELD = Held(keys=(SIGNER.verifier,))
ROTATED = rotated_entry(
    Checkpoint(origin=ORIGIN, size=4, root=bytes(32)),
    SIGNER,
    Signer(ORIGIN, SignersKey.draw()),
    time=NOON,
    station="station-a",
    operator="olga",
    reason="yearly",
)
CONTEXT = SealContext(
    kind=SecretKind.PIV_PUK,
    name="piv/puk",
    token="10000001",
    order="ab12cd34-0007",
    generation=1,
    purpose=Purpose.HELP_DESK,
    station="station-a",
)


def canonical_forms(document: Json) -> Iterator[bytes]:
    """The document retyped, as files."""
    for changed in retyped(document):
        yield rfc8785.dumps(changed)


@functools.cache
def judging() -> Held:
    """What an auditor holds who judges attestations too."""
    return Held(keys=HELD.keys, anchors=Anchors.vendor())


def test_envelopes() -> None:
    """An envelope with any member another, cut or changed."""
    good = seal(Secret("48151623"), PRIVATE.recipient, CONTEXT)

    def read(data: bytes) -> None:
        read_context(data)
        open_envelope(data, PRIVATE)

    assert not faults(read, [*canonical_forms(json.loads(good)), *damaged(good)])


def sealed_file(about_: dict[str, Json]) -> bytes:
    """A sealed file with a little in it."""
    out = io.BytesIO()
    with SealedWriter(out, PRIVATE.recipient, about_) as writer:
        writer.write(b"content" * 20_000)
    return out.getvalue()


def read_sealed(data: bytes) -> None:
    """To its end."""
    SealedReader(io.BytesIO(data), PRIVATE).read()


def test_sealed_files() -> None:
    """A sealed file with any member of its second line another, cut or changed."""
    good = sealed_file({"what": "station home", "size": 3})
    header, body = good.split(b"\n", 2)[1:]
    changed = [DOMAIN + line + b"\n" + body for line in canonical_forms(json.loads(header))]
    short = [
        DOMAIN + rfc8785.dumps(json.loads(header) | {"ciphertext": made}) + b"\n" + body
        for made in sealed_keys(json.loads(header))
    ]
    assert not faults(read_sealed, [*changed, *short, *damaged(good), *damaged(good[:600])])


def sealed_keys(header: dict[str, Json]) -> Iterator[str]:
    """What only the custodian's key opens, and is no key of 32 bytes."""
    head = {name: value for name, value in header.items() if name != "ciphertext"}
    for size in (0, 3, 16, 31, 33):
        sealed = PRIVATE.recipient.encrypt(bytes(size), DOMAIN + rfc8785.dumps(head))
        yield base64.b64encode(sealed).decode()


def test_proofs(tmp_path: Path) -> None:
    """A proof file with any member of its entry, keys and opening another, cut or changed."""
    with closing(small_manifest(tmp_path)) as manifest:
        good = Handout(
            entry=manifest.entry(1),
            index=1,
            path=tuple(manifest.prover().inclusion(1)),
            note=manifest.note(),
            opening=opening(0),
        ).to_bytes()
    first, extra, rest = good.split(b"\n", 2)
    document = json.loads(base64.b64decode(extra.removeprefix(b"extra ")))
    document["keys"] = [ROTATED, about(Kind.KEY_LOST)]
    changed = (
        b"\n".join([first, b"extra " + base64.b64encode(data), rest])
        for data in canonical_forms(document)
    )

    def read(data: bytes) -> None:
        check_handout(data, HELD)

    read(good)
    assert not faults(read, [*changed, *damaged(good)])


def test_requests_and_approvals() -> None:
    """A request with any member another, signed by all whom it concerns; and a damaged one."""
    everybody = [KEYS[name] for name in ("rita", "pavel", "olga")]
    document = json.loads(ASKED.text().splitlines()[1])
    acts = [{**document, "action": action} for action in (Action.IDENTIFY, Action.RESEAL)]
    texts = [
        f"{domain}\n{data.decode()}\n"
        for domain in (REQUEST, OPERATION)
        for data in [*canonical_forms(document), *map(rfc8785.dumps, acts)]
    ]
    whole = [sign_note(text, everybody).to_bytes() for text in texts if "\n\n" not in text]
    good = sign_note(ASKED.text(), everybody).to_bytes()
    entry = {**about(Kind.OPENED, 0), "clearance": {"request": "5a" * 32, "requester": "rita"}}

    def read(data: bytes) -> None:
        approval = read_approval(data, PEOPLE.get)
        act = {"action": approval.request.action, "about": approval.request.about}
        at = NOON + timedelta(hours=1)
        require_allowed(approval, **act, operator="olga", station="station-a", at=at)
        judge_entry(approval, entry)

    for reader in (
        read,
        lambda data: read_statement(data, PEOPLE.get),
        lambda data: read_operation(data, PEOPLE.get),
    ):
        assert not faults(reader, [*whole, *damaged(good)])


def test_key_lists() -> None:
    """A root's list of keys, any line another, signed by the root; and a damaged one."""
    good = KeyList(origin=ORIGIN, number=1, keys=((0, SIGNER.verifier),)).sign(SIGNER)
    texts = {data.decode("utf-8", "replace") for data in damaged(parse_note(good).text.encode())}
    signed = [signed_note(text) for text in texts]

    def read(data: bytes) -> None:
        found = KeyList.open(data, SIGNER.verifier)
        found.check(ORIGIN, [Era(key=SIGNER.verifier, since=0, vouched=False)])

    assert not faults(read, [*filter(None, signed), *damaged(good)])


def signed_note(text: str) -> bytes | None:
    """The text signed; None where no note can have it."""
    try:
        return sign_note(text, [SIGNER]).to_bytes()
    except ManifestError:
        return None


def test_checkpoints_and_verifier_keys() -> None:
    """A checkpoint any line another, signed by the log; its key, cut or changed."""
    good = Checkpoint(origin=ORIGIN, size=3, root=bytes(32)).text()
    texts = {data.decode("utf-8", "replace") for data in damaged(good.encode())}
    signed = [
        *filter(None, map(signed_note, texts)),
        *damaged(signed_note(good) or b""),
    ]
    assert not faults(lambda data: Checkpoint.parse(open_note(data, HELD.keys).text), signed)
    texts = {data.decode("utf-8", "replace") for data in damaged(str(SIGNER.verifier).encode())}
    assert not faults(VerifierKey.parse, texts)


def test_submissions_to_witnesses(tmp_path: Path) -> None:
    """What a witness is shown, damaged anywhere; and what they give back."""
    with closing(small_manifest(tmp_path / "m")):
        good = Submission.of(ManifestFolder(tmp_path / "m"), 3)
    (tmp_path / "w").mkdir()
    cosigner = Cosigner("w.example", SignersKey.draw(), lambda: NOON)
    witness = Witness(tmp_path / "w", cosigner)

    def answer(data: bytes) -> None:
        submission = Submission.parse(data)
        shutil.rmtree(tmp_path / "w" / "seen", ignore_errors=True)
        witness.answer(replace(submission, old=0), SIGNER.verifier)

    answer(good.to_bytes())
    assert not faults(answer, damaged(good.to_bytes()))
    shutil.rmtree(tmp_path / "w" / "seen", ignore_errors=True)
    made = witness.answer(replace(good, old=0, proof=()), SIGNER.verifier)

    def add(data: bytes) -> None:
        add_cosignatures(tmp_path / "m", data, made.log_key, [made.witness_key])

    assert not faults(add, damaged(made.note))


def test_openings() -> None:
    """An opening with any member another, cut or changed."""
    good = opening(1).to_bytes()
    assert not faults(Opening.parse, [*canonical_forms(json.loads(good)), *damaged(good)])


@pytest.mark.parametrize("kind", Kind)
def test_entries_in_a_signed_log(tmp_path: Path, kind: Kind) -> None:
    """A station that signs any entry is told of: the auditor gets a report, whatever it signed."""
    first = [station(), issued(0), issued(1), about(Kind.SUSPENDED, 1)]
    good = {Kind.STATION: station(), Kind.ISSUED: issued(2), Kind.SET_ASIDE: set_aside(0)}
    entry = good[kind] if kind in good else about(kind)

    def read(data: bytes) -> None:
        decode_entry(data)  # as who writes one
        judge(data)

    def judge(data: bytes) -> None:
        write_log(tmp_path / "m", [*map(rfc8785.dumps, first), data])
        assert verify_manifest(tmp_path / "m", held=judging()).size == len(first) + 1

    candidates = list(canonical_forms(entry))
    assert not faults(read, candidates)
    for data in candidates[::29]:  # which are mostly no entries
        judge(data)


def test_attestations_and_what_entries_say_of_them(tmp_path: Path) -> None:
    """Any member of a step with an attestation, and the attestation itself, another."""
    leaf, device = real("9a")
    named = verify_piv_attestation(leaf, device, Anchors.vendor(), now=NOW)
    blobs = {hashlib.sha256(blob).hexdigest(): blob for blob in (leaf, device)}
    first, second = blobs
    step = {
        "id": "piv/9a/key",
        "state": "match",
        "facts": {
            "attestation": named.to_json(),
            "publicKey": hashlib.sha256(named.public_key).hexdigest(),
        },
        "evidence": [
            {"type": "piv-attestation", "sha256": first},
            {"type": "piv-attestation-device", "sha256": second},
        ],
    }
    certificate = {
        "id": "piv/9a/certificate",
        "state": "match",
        "facts": {},
        "evidence": [{"type": "certificate", "sha256": "c" * 64}],
    }
    entry = issued(1, steps=[step, certificate], time="2026-11-24T12:00:00Z")
    entry["token"] |= {"serial": str(named.serial), "virtual": False, "grade": "attested"}

    def read(data: bytes) -> None:
        judge_attestations(decode_entry(data), lambda digest: blobs[digest], Anchors.vendor())

    blobs["c" * 64] = leaf  # for the attested key
    read(rfc8785.dumps(entry))
    changed = [
        rfc8785.dumps({**entry, "steps": steps})
        for steps in retyped(entry["steps"])
        if not isinstance(steps, list) or "5a" * 32 not in str(steps)
    ]
    assert not faults(read, [data for data in changed if names_blobs(data, blobs)])

    def swapped(digest: str) -> Read:
        def read_swapped(data: bytes) -> None:
            entries = decode_entry(rfc8785.dumps(entry))
            judge_attestations(entries, (blobs | {digest: data}).__getitem__, Anchors.vendor())

        return read_swapped

    for digest, good in ((first, leaf), (second, device), ("c" * 64, leaf)):
        assert not faults(
            swapped(digest), damaged(good, places=len(good) if digest == "c" * 64 else PLACES)
        )


def names_blobs(data: bytes, blobs: Mapping[str, bytes]) -> bool:
    """Whether the blobs that an entry names are there: what is not, is another rule's."""
    try:
        return blobs.keys() >= set(blobs_of(decode_entry(data))) - {
            secret["sha256"] for secret in decode_entry(data)["secrets"]
        }
    except ManifestError:
        return True


def test_files_of_a_manifest(tmp_path: Path) -> None:
    """Each file of the folder damaged: the auditor gets a report, and it says so."""
    small_manifest(tmp_path / "m").close()
    files = [path for path in (tmp_path / "m").rglob("*") if path.is_file()]
    assert len(files) > 8
    for path in files:
        good = path.read_bytes()
        for data in [*damaged(good[:200]), *damaged(good)][::7]:
            path.write_bytes(data)
            report = verify_manifest(tmp_path / "m", held=HELD)
            assert report.findings or data == good, path
        path.write_bytes(good)
    assert verify_manifest(tmp_path / "m", held=HELD).holds
