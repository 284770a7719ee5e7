"""A second run of the same profile finds everything as it is: no setting flips, and nothing is
written but what the firmware cannot show.

The first run is cut off between the last read-back and the entry, so that the second one looks at
every setting again. Tokens are in this process; what they hold is compared as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.test_ready_profiles import BUT_FOR, READY, WHOLE
from tests.in_process import Cut, Desk
from tests.token_under_test import Wire
from tokenprov.issuance import Issuing
from tokenprov.profile import ready_folders
from tokenprov.profile.load import find_profile

ROSTER = (
    "id,name,email,upn,sid,last_day\n"
    "E1,Ada Example,ada@example.test,ada@corp.example.test,S-1-5-21-1-2-3-1105,2099-12-31\n"
)
MODELS = ("yubikey-5.7.4", "yubikey-5.7.4-fips", "yubikey-5.4.3", "yubikey-5.2.7", "yubikey-4.3.7")
# Slots that type by a touch, and access codes, can only be written again, with the same bytes; the
# relying parties that may read the minimum PIN length, too.
UNSEEN = re.compile(r"0001(01|03|08|09)00|80108000")
# A PUK, an OpenPGP reset code and a lock code are proved by changing them, or what they open, to
# itself.
PROOFS = re.compile(r"00240081|002c0081|001c0000")
# What every use moves: FIDO2's signature counter, and how often a token's OTP slots were written.
MOVING = ("fido2/counter", "otp/sequence")


def cases() -> Iterator[Any]:
    """The ready profiles on the models that take them."""
    for name in READY:
        for model in MODELS:
            whole = WHOLE[name]
            if model in whole or (model.startswith("yubikey-5") and name in BUT_FOR):
                yield pytest.param(name, model, id=f"{name}-{model}")


@pytest.mark.parametrize(("name", "model"), tuple(cases()))
def test_a_second_run_writes_nothing_that_can_be_seen(
    name: str, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token holds the same before and after it, and each write was one that cannot be seen."""
    profile = find_profile(name, ready_folders()).read_text(encoding="utf-8")
    profile = re.sub(r"^name = .*$", "", profile, count=1, flags=re.MULTILINE)
    desk = Desk(tmp_path, model)

    def fail(*_: object, **__: object) -> int:
        raise Cut

    with monkeypatch.context() as patch:
        patch.setattr(Issuing, "__call__", fail)
        with pytest.raises(Cut):
            desk.run(profile, roster=ROSTER)
    first = Wire(list(desk.commands)).writes
    before = held(desk)
    entry = desk.run(profile, roster=ROSTER)
    second = Wire(list(desk.commands)).writes
    assert moved(before, held(desk)) == []
    seen = [w for w in second if not UNSEEN.fullmatch(w) and not PROOFS.fullmatch(w)]
    assert seen == []
    assert len(second) < len(first)
    assert {step["state"] for step in entry["steps"]} <= {"match", "skipped"}
    if not any(word in profile for word in ("otp.slot", "rp-ids")):
        assert [w for w in second if not PROOFS.fullmatch(w)] == []


def held(desk: Desk) -> dict[str, Any]:
    """All that the token holds, by path."""
    return dict(_leaves(desk.token.dump(), ""))


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, f"{path}/{key}")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _leaves(item, f"{path}/{number}")
    else:
        yield path, value


def moved(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What is not as it was, without what every use moves."""
    paths = sorted(before.keys() | after.keys())
    return [
        path
        for path in paths
        if before.get(path) != after.get(path) and not any(map(path.endswith, MOVING))
    ]
