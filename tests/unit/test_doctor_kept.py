"""Readers of YubiKeys that pcscd lists, beside the keys that the kernel has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.unit.test_device_usb import Sysfs
from tokenprov.doctor import State, kept
from tokenprov.errors import PcscUnavailable
from tokenprov.sim.usb.descriptors import FIDO_REPORTS, KEYBOARD_REPORTS

KEY = "Yubico YubiKey OTP+FIDO+CCID"
NEO = "Yubico Yubikey NEO OTP+CCID"


@pytest.fixture
def sysfs(tmp_path: Path) -> Sysfs:
    """Two YubiKeys with a smart card, one without, and another maker's reader."""
    made = Sysfs(tmp_path / "sys")
    made.plug("1-1", 0x1050, KEYBOARD_REPORTS, FIDO_REPORTS, None)
    made.plug("1-2", 0x1050, None)
    made.plug("1-3", 0x1050, FIDO_REPORTS)
    made.plug("2-1", 0x08E6, None)
    return made


@pytest.mark.parametrize(
    ("names", "too_many"),
    [
        ((), 0),
        ((f"{KEY} 00 00", f"{NEO} 01 00"), 0),
        ((f"{KEY} 00 00",), 0),  # one that pcscd does not have yet
        ((f"{KEY} 00 00", f"{KEY} 01 00", f"{KEY} 02 00"), 1),
        ((f"{KEY} 00 00", f"{NEO} 01 00", f"{KEY} 02 00", f"{KEY} 03 00"), 2),
        ((f"{KEY} 00 00", "Gemalto PC Twin Reader 00 00", "Gemalto PC Twin Reader 01 00"), 0),
        ((f"{KEY} 00 00", f"{KEY} 01 00", f"{KEY} 0 00 00"), 0),  # the last one is configured
    ],
)
def test_what_is_listed_beyond_what_is_plugged_in(
    sysfs: Sysfs, tmp_path: Path, names: Sequence[str], too_many: int
) -> None:
    """Only YubiKeys count, and none that stands in pcscd's configuration."""
    configuration = tmp_path / "reader.conf.d"
    configuration.mkdir()
    (configuration / "vpcd").write_text(f'# FRIENDLYNAME "{KEY}"\nFRIENDLYNAME "{KEY} 0"\n')
    found = kept.surplus(names, sys=sysfs.folder, configuration=configuration)
    assert found == too_many


def test_where_it_cannot_be_told(tmp_path: Path) -> None:
    """Where the kernel shows no USB at all, nothing is said of readers."""
    names = [f"{KEY} 00 00"]
    assert kept.surplus(names, sys=tmp_path, configuration=tmp_path / "none") is None


@pytest.mark.parametrize(("looks", "state"), [((1, 1), State.BAD), ((1, 0), State.GOOD)])
def test_a_second_look_decides(
    monkeypatch: pytest.MonkeyPatch, looks: Sequence[int], state: State
) -> None:
    """A key that was pulled a moment ago was not kept; a reader that stays was, with the cure."""
    answers = iter(looks)
    monkeypatch.delenv("PCSCLITE_CSOCK_NAME", raising=False)
    monkeypatch.setattr(kept, "SETTLED", 0.0)
    monkeypatch.setattr(kept, "surplus", lambda names: next(answers))
    monkeypatch.setattr(kept, "_names_now", list)
    (found,) = kept.look([f"{KEY} 00 00"])
    assert found.state is state
    assert ("restart pcscd" in found.mend) is (state is State.BAD)


def test_pcscd_that_ends_meanwhile_kept_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is said of its readers, and doctor goes on."""

    def gone() -> list[str]:
        raise PcscUnavailable("it has ended", remedy="Start it.")

    monkeypatch.delenv("PCSCLITE_CSOCK_NAME", raising=False)
    monkeypatch.setattr(kept, "SETTLED", 0.0)
    monkeypatch.setattr(kept, "surplus", lambda names: 1)
    monkeypatch.setattr(kept, "_names_now", gone)
    assert list(kept.look([f"{KEY} 00 00"])) == []
