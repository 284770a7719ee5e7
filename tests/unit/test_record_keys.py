"""Keys of a log, one after another: whom they leave to be trusted, and what is no way to change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from tests.peers.test_verifier_script import faults
from tests.record_samples import ORIGIN, SIGNER, append, set_aside, small_manifest, station
from tests.unit.test_record_verify import write_log
from tokenprov.errors import ManifestError
from tokenprov.record.checkpoint import Checkpoint
from tokenprov.record.commit import Pending, read_pending
from tokenprov.record.entry import Entry
from tokenprov.record.handout import Handout, check_handout
from tokenprov.record.head import Held
from tokenprov.record.key_change import Era, lost_entry, rotated_entry
from tokenprov.record.key_list import KEY_LIST, KeyList
from tokenprov.record.kinds import Kind
from tokenprov.record.manifest import Addition, Manifest, verify_manifest
from tokenprov.record.note import sign_note
from tokenprov.record.signer import KeyInMemory, Signer
from tokenprov.record.tlog import RightEdge, leaf_hash

WHO: dict[str, Any] = {
    "time": datetime(2026, 2, 3, 4, 7, tzinfo=UTC),
    "station": "station-a",
    "operator": "olga",
    "reason": "yearly",
}


def a_signer(name: str = ORIGIN) -> Signer:
    """Another key for the same log."""
    return Signer(name, KeyInMemory(private=ed25519.Ed25519PrivateKey.generate()))


HARDWARE = Signer(ORIGIN, KeyInMemory(private=ec.generate_private_key(ec.SECP256R1())))
NEXT, AFTER_LOSS, STRANGER = a_signer(), a_signer(), a_signer()
ROOT = a_signer("root.example")


def rotate(manifest: Manifest, old: Signer, new: Signer) -> int:
    """The key in use vouches for the next."""
    return manifest.change_key(
        Addition(entry=rotated_entry(manifest.checkpoint, old, new, **WHO)), new
    )


def lose(manifest: Manifest, old: Signer, new: Signer) -> int:
    """The key is gone."""
    return manifest.change_key(
        Addition(entry=lost_entry(manifest.note(), old.verifier, new.verifier, **WHO)), new
    )


def long_log(folder: Path) -> Manifest:
    """Entries under four keys: rotated to P-256, rotated again, lost."""
    manifest = small_manifest(folder, tokens=1)
    assert rotate(manifest, SIGNER, HARDWARE) == 2
    append(manifest, 1)
    rotate(manifest, HARDWARE, NEXT)
    append(manifest, 2)
    lose(manifest, NEXT, AFTER_LOSS)
    append(manifest, 3)
    return manifest


def rules(folder: Path, *keys: Signer, **held: Any) -> list[str]:
    """What does not hold for who holds these keys."""
    asked = Held(keys=[key.verifier for key in keys], **held)
    return [finding.rule for finding in verify_manifest(folder, held=asked).findings]


def script(folder: Path, *keys: Signer) -> list[str]:
    """The same by the script."""
    found = faults(folder, [str(key.verifier) for key in keys])
    return [fault.partition(":")[0] for fault in found]


@pytest.mark.parametrize(
    ("held", "rule"),
    [
        ((), ""),
        ((AFTER_LOSS,), ""),
        ((NEXT, AFTER_LOSS), ""),
        ((SIGNER, AFTER_LOSS), ""),
        ((SIGNER,), "epoch"),
        ((HARDWARE, NEXT), "epoch"),
    ],
)
def test_who_holds_which_key(tmp_path: Path, held: tuple[Signer, ...], rule: str) -> None:
    """A key leads to those it vouched for, one after another, and into no new epoch."""
    long_log(tmp_path)
    assert rules(tmp_path, *held) == [rule] * bool(rule)
    assert script(tmp_path, *held) == [rule] * bool(rule)


def test_a_key_leads_over_two_rotations(tmp_path: Path) -> None:
    """The first key is enough for a log whose key was rotated twice; a stranger's is not."""
    manifest = small_manifest(tmp_path)
    rotate(manifest, SIGNER, HARDWARE)
    rotate(manifest, HARDWARE, NEXT)
    append(manifest, 5)
    for key in (SIGNER, HARDWARE, NEXT):
        assert rules(tmp_path, key) == script(tmp_path, key) == []
    assert rules(tmp_path, STRANGER) == ["verifier-key", "epoch"]
    assert script(tmp_path, STRANGER) == ["epoch"]
    assert rules(tmp_path, STRANGER, NEXT) == ["verifier-key"]


def test_the_log_goes_on_under_the_new_key_alone(tmp_path: Path) -> None:
    """The old key cannot be used any more, nor can a change be appended like another entry."""
    manifest = small_manifest(tmp_path)
    change = rotated_entry(manifest.checkpoint, SIGNER, NEXT, **WHO)
    with pytest.raises(ManifestError, match="change_key"):
        manifest.append(change)
    manifest.change_key(Addition(entry=change), NEXT)
    with pytest.raises(ManifestError, match="no signature by a known key"):
        Manifest.open(tmp_path, SIGNER)
    assert Manifest.open(tmp_path, NEXT).size == 5
    with pytest.raises(ManifestError, match="other keys"):
        rotate(manifest, SIGNER, HARDWARE)
    assert verify_manifest(tmp_path).holds


def forged(text: str, *signers: Signer) -> str:
    """A note over any text."""
    return sign_note(text, signers).to_bytes().decode()


def after(entries: int, origin: str = ORIGIN, next_key: Signer | None = NEXT) -> str:
    """The text of a handover after the first entries of ENTRIES."""
    edge = RightEdge()
    for entry in ENTRIES[:entries]:
        edge.append(leaf_hash(rfc8785.dumps(entry)))
    more = (f"next-key {next_key.verifier}",) if next_key else ()
    return Checkpoint(origin=origin, size=entries, root=edge.root(), extensions=more).text()


ENTRIES: list[Entry] = [station(), set_aside(0)]
OTHER_ROOT = Checkpoint(
    origin=ORIGIN, size=2, root=bytes(32), extensions=(f"next-key {NEXT.verifier}",)
).text()
BAD_ROTATIONS: dict[str, Callable[[], str]] = {
    "the new key did not sign": lambda: forged(after(2), SIGNER),
    "the old key did not sign": lambda: forged(after(2), NEXT),
    "a stranger signed for the old": lambda: forged(after(2), STRANGER, NEXT),
    "another key was vouched for": lambda: forged(after(2, next_key=STRANGER), SIGNER, NEXT),
    "none was vouched for": lambda: forged(after(2, next_key=None), SIGNER, NEXT),
    "at another size": lambda: forged(after(1), SIGNER, NEXT),
    "of another log": lambda: forged(after(2, origin="other.example"), SIGNER, NEXT),
    "of another tree": lambda: forged(OTHER_ROOT, SIGNER, NEXT),
    "no note": lambda: "next-key",
}


def dishonest(folder: Path, change: Entry, signer: Signer) -> None:
    """A log that has this change, and the next key's signature."""
    write_log(folder, [rfc8785.dumps(entry) for entry in (*ENTRIES, change)])
    text = (folder / "checkpoint").read_text().rpartition("\n\n")[0] + "\n"
    (folder / "checkpoint").write_bytes(sign_note(text, [signer]).to_bytes())
    (folder / "manifest.vkey").write_text(f"{signer.verifier}\n")


@pytest.mark.parametrize("name", BAD_ROTATIONS)
def test_rotations_that_prove_nothing(tmp_path: Path, name: str) -> None:
    """What the two keys must have signed, and did not, is refused and found by both verifiers."""
    manifest = small_manifest(tmp_path / "m", tokens=0)
    manifest.append(ENTRIES[1])
    change = rotated_entry(manifest.checkpoint, SIGNER, NEXT, **WHO)
    dishonest(tmp_path / "honest", change, NEXT)
    assert rules(tmp_path / "honest", SIGNER) == script(tmp_path / "honest", SIGNER) == []
    change["handover"] = BAD_ROTATIONS[name]()
    dishonest(tmp_path / "d", change, NEXT)
    assert rules(tmp_path / "d", SIGNER) == ["key"]
    assert script(tmp_path / "d", SIGNER)
    if name != "of another tree":  # which takes the tree to see
        with pytest.raises(ManifestError) as caught:
            manifest.change_key(Addition(entry=change), NEXT)
        assert caught.value.rule == "key"
        append(manifest, 1)  # the old key goes on
    assert verify_manifest(tmp_path / "m").holds


def test_an_epoch_commits_to_the_last_checkpoint(tmp_path: Path) -> None:
    """An epoch that leaves the last entries out, or begins elsewhere, is found."""
    manifest = small_manifest(tmp_path / "m", tokens=0)
    manifest.append(ENTRIES[1])
    change = lost_entry(manifest.note(), SIGNER.verifier, NEXT.verifier, **WHO)
    dishonest(tmp_path / "honest", change, NEXT)
    assert rules(tmp_path / "honest", NEXT) == script(tmp_path / "honest", NEXT) == []
    for text in (after(1, next_key=None), OTHER_ROOT, after(2, "other.example", None)):
        dishonest(tmp_path / "d", change | {"last": forged(text, SIGNER)}, NEXT)
        assert rules(tmp_path / "d", NEXT) == ["key"]
        assert script(tmp_path / "d", NEXT)
    dishonest(tmp_path / "d", change | {"last": forged(after(2, next_key=None), STRANGER)}, NEXT)
    assert rules(tmp_path / "d", NEXT) == ["key"]


def test_keys_follow_each_other(tmp_path: Path) -> None:
    """A change from a key that is not the one in use is refused."""
    manifest = small_manifest(tmp_path / "m")
    rotate(manifest, SIGNER, NEXT)
    change = rotated_entry(manifest.checkpoint, STRANGER, HARDWARE, **WHO)
    with pytest.raises(ManifestError):
        manifest.change_key(Addition(entry=change), HARDWARE)


@pytest.mark.parametrize("since", [1, 4, 7])
def test_pins_follow(tmp_path: Path, since: int) -> None:
    """A pin from before is by the key of then, and the log continues it; not by a later key."""
    manifest = small_manifest(tmp_path, tokens=0)
    pins = {manifest.size: manifest.note()}
    for step in (
        lambda: append(manifest, 0),
        lambda: rotate(manifest, SIGNER, HARDWARE),
        lambda: append(manifest, 1),
        lambda: lose(manifest, HARDWARE, NEXT),
        lambda: append(manifest, 2),
        lambda: append(manifest, 3),
    ):
        step()
        pins[manifest.size] = manifest.note()
    assert rules(tmp_path, NEXT, pin=pins[since]) == []
    text = pins[since].decode().rpartition("\n\n")[0] + "\n"
    other = NEXT if since < 5 else SIGNER
    assert rules(tmp_path, NEXT, pin=forged(text, other).encode()) == ["pin"]


def test_proofs_follow(tmp_path: Path) -> None:
    """A proof under a later key convinces who holds an earlier one, and nobody else."""
    manifest = small_manifest(tmp_path)
    rotate(manifest, SIGNER, HARDWARE)
    rotate(manifest, HARDWARE, NEXT)
    changes = tuple(map(manifest.entry, manifest.found_by(f"kind {Kind.KEY_ROTATED}")))
    assert len(changes) == 2
    proof = Handout(
        entry=manifest.entry(1),
        index=1,
        path=tuple(manifest.prover().inclusion(1)),
        note=manifest.note(),
        keys=changes,
    )

    def check(proof: Handout, *keys: Signer) -> None:
        check_handout(proof.to_bytes(), Held(keys=[key.verifier for key in keys]))

    for key in (SIGNER, HARDWARE, NEXT):
        check(proof, key)
    for bad in (replace(proof, keys=()), replace(proof, keys=changes[:1])):
        with pytest.raises(ManifestError, match="no signature by a known key"):
            check(bad, SIGNER)
    with pytest.raises(ManifestError, match="no signature by a known key"):
        check(proof, STRANGER)
    with pytest.raises(ManifestError, match="kind|canonical|schema"):
        check_handout(replace(proof, keys=({"kind": "promoted"},)).to_bytes(), Held())


def test_the_list_of_keys(tmp_path: Path) -> None:
    """Who trusts the root alone follows the log as far as its list leads, and rotations from it."""
    manifest = long_log(tmp_path)
    eras = [
        Era(key=key.verifier, since=since, vouched=vouched)
        for key, since, vouched in (
            (SIGNER, 0, False),
            (HARDWARE, 3, True),
            (NEXT, 5, True),
            (AFTER_LOSS, 7, False),
        )
    ]
    root = ROOT.verifier

    def found(data: bytes, *keys: Signer) -> list[str]:
        (tmp_path / KEY_LIST).write_bytes(data)
        return rules(tmp_path, *keys, root=root)

    whole = KeyList.of(ORIGIN, 4, eras)
    assert found(whole.sign(ROOT)) == []
    assert found(whole.sign(ROOT), SIGNER) == []
    assert found(whole.sign(ROOT), STRANGER) == ["verifier-key"]
    assert script(tmp_path, AFTER_LOSS) == []  # a file that it knows
    rotate(manifest, AFTER_LOSS, HARDWARE)  # back to it, and not on the list yet
    assert found(whole.sign(ROOT)) == []
    for bad in (
        KeyList.of(ORIGIN, 3, eras[:3]),  # the epoch is not on it
        KeyList.of("other.example", 4, eras),
        KeyList.of(ORIGIN, 4, [*eras[:1], replace(eras[1], since=2), *eras[2:]]),
        KeyList.of(ORIGIN, 4, [*eras[:1], replace(eras[1], key=STRANGER.verifier)]),
    ):
        assert found(bad.sign(ROOT)) == ["keys"]
    assert found(whole.sign(STRANGER)) == ["signature"]
    (tmp_path / KEY_LIST).unlink()
    assert rules(tmp_path, root=root) == ["missing"]


@pytest.mark.parametrize(
    "text",
    [
        "tokenprov/keys/v2\no\n1\n0 {key}\n",
        "tokenprov/keys/v1\no\n1\n",
        "tokenprov/keys/v1\no\n0\n0 {key}\n",
        "tokenprov/keys/v1\no\n01\n0 {key}\n",
        "tokenprov/keys/v1\no\n1\n1 {key}\n",
        "tokenprov/keys/v1\no\n1\n0 {key}\n0 {key}\n",
        "tokenprov/keys/v1\no\n1\n0 {key}\nx {key}\n",
        "tokenprov/keys/v1\no\n1\n0 no key\n",
        "tokenprov/keys/v1\n",
    ],
)
def test_lists_in_no_form(text: str) -> None:
    """A list is read strictly, whoever signed it."""
    note = sign_note(text.format(key=SIGNER.verifier), [ROOT])
    with pytest.raises(ManifestError):
        KeyList.open(note.to_bytes(), ROOT.verifier)


def test_a_change_that_was_cut_off(tmp_path: Path) -> None:
    """Between the two files the log has its new key for readers, and who writes next ends it."""
    manifest = small_manifest(tmp_path)
    old = (tmp_path / "manifest.vkey").read_bytes()
    rotate(manifest, SIGNER, NEXT)
    (tmp_path / "manifest.vkey").write_bytes(old)  # as a power cut leaves it
    pending = {"files": [], "key": str(NEXT.verifier), "size": 4}
    (tmp_path / "pending").write_bytes(rfc8785.dumps(pending))
    assert read_pending(tmp_path) == Pending(size=4, key=str(NEXT.verifier))
    assert Manifest.open(tmp_path).size == 5
    assert set(rules(tmp_path, SIGNER)) == {"pending", "verifier-key"}
    Manifest.open(tmp_path, NEXT)
    assert (tmp_path / "manifest.vkey").read_text() == f"{NEXT.verifier}\n"
    assert rules(tmp_path, SIGNER) == []


def test_a_change_that_never_came_to_be(tmp_path: Path) -> None:
    """Before the checkpoint is replaced the log has its old key, and keeps it."""
    small_manifest(tmp_path)
    pending = {"files": [], "key": str(NEXT.verifier), "size": 4}
    (tmp_path / "pending").write_bytes(rfc8785.dumps(pending))
    assert Manifest.open(tmp_path).size == 4
    Manifest.open(tmp_path, SIGNER)
    assert (tmp_path / "manifest.vkey").read_text() == f"{SIGNER.verifier}\n"
    assert rules(tmp_path, SIGNER) == []
