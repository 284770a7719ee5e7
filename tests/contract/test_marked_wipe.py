"""A token without a serial is emptied: by the mark that it proves, and the mark goes with it.

Cut off between the reset and its entry, nothing tells which token it was: the same command takes a
blank one like it, and the record says that the reset was not seen.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.contract.test_marked_life import MODEL, Keys, keys, made
from tests.peers.test_verifier_script import run_script
from tests.stations import Said, Station
from tests.stations import tell as plain
from tokenprov import unnumbered, wipe
from tokenprov.device.fido2 import Fido2
from tokenprov.directory.marks import Marks

__all__ = ["keys", "made"]

WHY = ("--reason", "moved to another department", "--operator", "olga")


class Cut(BaseException):
    """The power fails."""


class Hands(io.StringIO):
    """Hears that a key is to be put in again, and moves keys as the test says."""

    def __init__(self, keys: Keys, move: Callable[[], None] | None = None) -> None:
        super().__init__()
        self._keys, self._move, self.asked = keys, move or self._again, 0

    def write(self, text: str) -> int:
        """Do it beside the program, as a person does."""
        if '"event": "ReinsertWanted"' in text:
            self.asked += 1
            threading.Thread(target=self._move).start()
        return super().write(text)

    def _again(self) -> None:
        self._keys.bench.control.remove(0)
        self._keys.bench.control.insert(0)


def tell(keys: Keys, *command: str | Path, move: Callable[[], None] | None = None) -> Said:
    """The command, with somebody at the reader."""
    return keys.station.tell(*command, "--json", listener=Hands(keys, move))


def give_back(keys: Keys, mark: str, move: Callable[[], None] | None = None) -> Said:
    """`return` of a key."""
    return tell(keys, "return", mark, *WHY, move=move)


def fido2(keys: Keys) -> Any:
    """What is in the FIDO2 application of the key in the reader, but for how often it signed."""
    return unsigned(keys.bench.control.snapshot(0))


def unsigned(inside: dict[str, Any]) -> dict[str, Any]:
    """Of what is on a key, FIDO2 without the counter of signatures."""
    return {name: value for name, value in inside["applets"]["fido2"].items() if name != "counter"}


def is_blank(keys: Keys) -> bool:
    """Whether it has neither a PIN nor a credential."""
    inside = fido2(keys)
    return not inside["pin_hash"] and not inside["credentials"]


def issue(keys: Keys, *options: str, holders: int = 1) -> Said:
    """A batch of one further key, or more."""
    profile = keys.station.home.with_name("passkeys.toml")
    profile.write_text('name = "pin"\ndescription = "a PIN"\n[fido2]\n', encoding="utf-8")
    return tell(
        keys, *keys.station.batch(profile=profile, holders=holders, name="further"), *options
    )


def cut(monkeypatch: pytest.MonkeyPatch, owner: object, name: str, run: Callable[[], Said]) -> None:
    """Run it until it comes to that, where the power fails."""

    def fail(*_: object, **__: object) -> None:
        raise Cut

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, fail)
        with pytest.raises(Cut):
            run()


def verified(keys: Keys) -> bool:
    """Whether both verifiers hold the manifest for whole."""
    script = run_script(keys.station.home / "manifest")
    return keys.holds() and script.returncode == 0


def test_it_is_given_back_and_issued_anew(keys: Keys) -> None:
    """It proves its mark in the insertion of its reset, is blank, and is a new key from then on."""
    keys.put_in(keys.primary)
    planned = keys.station.tell("return", keys.primary, *WHY, "--dry-run")
    assert planned.code == 0, planned.err
    said = give_back(keys, keys.primary)
    assert said.code == 0, said.err
    assert said.document["state"] == "unmarked"
    assert is_blank(keys)
    (entry,) = keys.station.entries("wiped")
    assert (entry["token"]["serial"], entry["token"]["mark"]) == (None, keys.primary)
    assert entry["token"]["virtual"] is True
    assert (entry["reset"], "unseen" in entry) == (["fido2"], False)
    assert "has a FIDO2 PIN" in str(entry["found"]["used"])
    assert entry["left"]["fido2"] != entry["found"]["inventory"]["fido2"]
    (here,) = keys.station.tell("token", "list", "--json").document
    assert here["mark"] is None
    again = issue(keys)
    assert "--without-serial" in again.only("TokenPassedOver")["remedy"]
    new = issue(keys, "--without-serial", "1")
    assert new.code == 0, new.err
    label = new.only("TokenIssued")["label"]
    assert label != keys.primary
    for command in (("manifest", "history"), ("trace",)):
        assert keys.station.tell(*command, keys.primary).code == 0
    assert [one["kind"] for one in keys.station.entries("issued")] == ["issued"] * 3
    assert verified(keys)


def test_it_is_retired_before_a_witness(keys: Keys) -> None:
    """Emptied first; then nothing follows, and the same command again does nothing."""
    keys.put_in(keys.spare)
    said = tell(keys, "retire", keys.spare, "--witness", "walter", *WHY)
    assert said.code == 0, said.err
    assert said.document["state"] == "retired"
    assert is_blank(keys)
    assert verified(keys)


def test_another_key_is_not_reset_in_its_place(keys: Keys) -> None:
    """The spare is put in instead: it is asked for its mark and left alone."""
    keys.put_in(keys.spare)
    wrong = give_back(keys, keys.primary)
    assert wrong.code == 4
    assert "no such token" in wrong.err
    assert keys.station.entries("revoked") == []
    keys.put_in(keys.primary)
    control, seen = keys.bench.control, []

    def swap() -> None:
        primary = control.snapshot(0)
        keys.put_in(keys.spare)
        threading.Event().wait(1.0)
        seen.append(fido2(keys) == unsigned(keys.inside[keys.spare]))
        keys.blank()
        threading.Event().wait(1.0)
        seen.append(is_blank(keys))
        control.replace(0, model=MODEL)
        control.restore(0, primary)

    said = give_back(keys, keys.primary, swap)
    assert said.code == 0, said.err
    assert seen == [True, True]
    assert is_blank(keys)
    assert keys.station.entries("wiped")[0]["reset"] == ["fido2"]


def test_cut_off_before_its_reset(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    """It still proves its mark, and is given back as if nothing had been."""
    keys.put_in(keys.primary)
    cut(monkeypatch, Fido2, "reset", lambda: give_back(keys, keys.primary))
    assert not is_blank(keys)
    said = give_back(keys, keys.primary)
    assert said.code == 0, said.err
    (entry,) = keys.station.entries("wiped")
    assert (entry["reset"], "unseen" in entry) == (["fido2"], False)
    assert verified(keys)


def test_cut_off_behind_its_reset(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blank key in the reader is taken for it: the entry says that it was not seen."""
    keys.put_in(keys.primary)
    cut(monkeypatch, wipe, "emptied", lambda: give_back(keys, keys.primary))
    assert is_blank(keys)
    keys.put_in(keys.spare)
    other = give_back(keys, keys.primary)
    assert other.code == 4
    keys.bench.control.replace(0, model="yubikey-5.7.4")
    assert give_back(keys, keys.primary).code == 4
    keys.blank()
    before = keys.bench.control.snapshot(0)
    hands = Hands(keys)
    said = keys.station.tell("return", keys.primary, *WHY, "--json", listener=hands)
    assert said.code == 0, said.err
    assert (hands.asked, keys.bench.control.snapshot(0)) == (0, before)
    (entry,) = keys.station.entries("wiped")
    assert (entry["reset"], entry["unseen"]) == ([], ["fido2"])
    assert entry["token"]["mark"] == keys.primary
    assert verified(keys)


def test_one_that_was_not_touched(keys: Keys) -> None:
    """It said so, each time: it was not reset, and no blank key is taken for it."""
    keys.put_in(keys.primary)
    keys.bench.control.set_touch(0, "never", patience=0.1)
    said = give_back(keys, keys.primary)
    keys.bench.control.set_touch(0, "auto")
    assert said.code == 4, said.err
    assert [one["event"] for one in said.events].count("ReinsertWanted") == 3
    keys.blank()
    gone = give_back(keys, keys.primary)
    assert "no such token" in gone.err
    keys.put_in(keys.primary)
    assert give_back(keys, keys.primary).code == 0
    assert keys.station.entries("wiped")[0]["reset"] == ["fido2"]
    assert verified(keys)


def test_one_that_was_not_reset_after_all(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    """It turns up and proves its mark: it is refused by that, and emptied once it is named."""
    keys.put_in(keys.primary)
    cut(monkeypatch, Fido2, "reset", lambda: give_back(keys, keys.primary))
    keys.blank()
    assert give_back(keys, keys.primary).code == 0
    keys.put_in(keys.primary)
    refused = issue(keys, "--without-serial", "1")
    assert "is unmarked by entry" in refused.only("TokenPassedOver")["reason"]
    assert not is_blank(keys)
    said = issue(keys, "--wipe", keys.primary, *WHY)
    assert said.code == 0, said.err
    assert said.only("TokenWiped")["label"] == keys.primary
    assert said.only("TokenIssued")["label"] not in {keys.primary, keys.spare}
    first, second = keys.station.entries("wiped")
    assert (first["unseen"], second["reset"]) == (["fido2"], ["fido2"])
    assert verified(keys)


def test_in_a_batch_it_goes_on_with_a_blank_one(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named again after a cut, the blank key is taken for it, recorded, marked anew and issued."""
    keys.put_in(keys.primary)
    cut(monkeypatch, Fido2, "reset", lambda: give_back(keys, keys.primary))
    keys.blank()
    assert give_back(keys, keys.primary).code == 0
    keys.put_in(keys.primary)
    cut(monkeypatch, wipe, "emptied", lambda: issue(keys, "--wipe", keys.primary, *WHY))
    assert is_blank(keys)
    left_alone = issue(keys)
    assert "none was announced" in left_alone.only("TokenPassedOver")["reason"]
    said = issue(keys, "--wipe", keys.primary, *WHY)
    assert said.code == 0, said.err
    assert said.only("TokenWiped")["label"] == keys.primary
    assert said.only("TokenIssued")["label"] != keys.primary
    assert [one["unseen"] for one in keys.station.entries("wiped")] == [["fido2"]] * 2
    assert verified(keys)


def test_cut_off_between_its_wipe_and_its_next_mark(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was recorded as emptied: named again it goes on, once, and is not emptied again."""
    keys.put_in(keys.primary)
    assert give_back(keys, keys.primary).code == 0
    named = ("--wipe", keys.primary, *WHY)
    cut(monkeypatch, unnumbered, "mark", lambda: issue(keys, *named))
    cut(monkeypatch, Fido2, "make_mark", lambda: issue(keys, *named))
    said = issue(keys, *named)
    assert said.code == 0, said.err
    assert said.only("TokenIssued")["label"] not in {keys.primary, keys.spare}
    keys.blank()
    more = issue(keys, *named, holders=2)
    assert "none was announced" in more.only("TokenPassedOver")["reason"]
    assert len(keys.station.entries("wiped")) == 1
    assert verified(keys)


def test_cut_off_right_after_its_next_mark(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has a mark and no order yet: no other blank key comes in its place, and it goes on."""
    keys.put_in(keys.primary)
    assert give_back(keys, keys.primary).code == 0
    named = ("--wipe", keys.primary, *WHY)
    kept, keep = [], Marks.keep

    def cut_off(marks: Marks, *given: Any, **more: Any) -> None:
        kept.append(keep(marks, *given, **more).order_id)
        raise Cut

    with monkeypatch.context() as patch:
        patch.setattr(Marks, "keep", cut_off)
        with pytest.raises(Cut):
            issue(keys, *named)
    keys.take_out(kept[0])
    keys.blank()
    another = issue(keys, *named, holders=2)
    assert "none was announced" in another.only("TokenPassedOver")["reason"]
    keys.put_in(kept[0])
    said = issue(keys, *named)
    assert said.only("TokenIssued")["label"] == kept[0]
    assert verified(keys)


def test_a_holders_key_and_one_that_is_never_touched(keys: Keys) -> None:
    """Named in a batch, a holder's is refused; one on the list is not reset by any command."""
    keys.put_in(keys.primary)
    before = fido2(keys)
    said = issue(keys, "--wipe", keys.primary, *WHY)
    assert "was issued to Ada Okonkwo" in said.only("TokenPassedOver")["reason"]
    never = keys.station.tell("stock", "never", keys.primary, "--reason", "evidence")
    assert never.code == 0, never.err
    told = tell(keys, "unblock", keys.primary, "--fido2", *WHY)
    assert told.code == 4
    assert "is never to be touched" in told.err
    refused = give_back(keys, keys.primary)
    assert refused.code == 4
    assert "is never to be touched" in refused.err
    assert fido2(keys) == before
    assert keys.station.entries("wiped") == []


def test_a_backup_from_before_it_was_marked(keys: Keys, tmp_path: Path) -> None:
    """What came since is brought in from the manifest, and the marks that are in none are named."""
    file, home = tmp_path / "station.backup", tmp_path / "elsewhere"
    assert keys.station.tell("backup", file).code == 0
    new = str(keys.replace(keys.primary, "lost", "--without-serial").document["new"]["serial"])
    keys.put_in(keys.spare)
    again = tell(keys, "unblock", keys.spare, "--fido2", *WHY)
    assert again.code == 0, again.err
    manifest = keys.station.home / "manifest"
    key = keys.station.home / "custodians" / "private" / "break-glass.pem"
    command = ("restore", file, home, "--key", key, "--manifest", manifest)
    said = plain(*command, "--checkpoint", manifest / "checkpoint", "--json")
    assert said.code == 0, said.err
    lost = [one for one in said.document["lost"] if "the mark of token" in one]
    assert [new in lost[0], keys.spare in lost[1]] == [True, True]
    assert len(lost) == 2
    restored = Station(home=home, environment=keys.station.environment)
    assert restored.tell("revoke", new, "--reason", "lost").code == 0
    assert restored.tell("manifest", "verify").code == 0
