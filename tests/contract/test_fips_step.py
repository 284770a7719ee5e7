"""FIPS approved mode as the token says it, at the end of a profile."""

from __future__ import annotations

from pathlib import Path

import pytest
from yubikit.management import CAPABILITY, ManagementSession

from tests.in_process import Desk
from tokenprov.errors import NotVerified, TokenConflict
from tokenprov.sim.models import Capability

APPROVED = "\n[fips]\napproved = true\n"
ALL = f"""[piv]
[fido2]
pin = {{ length = 8, force-change = "no" }}
[oath]
password = {{ length = 16 }}
[openpgp]
[hsmauth]
[otp.slot2]
kind = "hmac-sha1"
{APPROVED}"""


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A station with a fresh token of the FIPS series."""
    return Desk(tmp_path, "yubikey-5.7.4-fips")


def test_all_applications_end_in_approved_mode(desk: Desk) -> None:
    """The last step reads it from the token, which the maker's library reads the same."""
    entry = desk.run(ALL)
    last = entry["steps"][-1]
    assert (last["id"], last["state"]) == ("fips/approved", "match")
    assert last["facts"] == {
        "approved": ["fido2", "oath", "piv", "openpgp", "hsmauth"],
        "notApproved": [],
    }
    info = ManagementSession(desk.connect()).read_device_info()
    assert info.fips_approved == info.fips_capable
    assert CAPABILITY.PIV in info.fips_approved


def test_what_the_profile_leaves_alone_is_named(desk: Desk) -> None:
    """An application that is not set is not counted, and stands in the entry as not approved."""
    entry = desk.run("[piv]" + APPROVED)
    assert entry["steps"][-1]["facts"] == {
        "approved": ["piv"],
        "notApproved": ["fido2", "oath", "openpgp", "hsmauth"],
    }


def test_a_token_that_does_not_get_there_is_not_issued(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where everything was set and the token still says no, the order fails with the reason."""
    assert desk.token.device is not None
    monkeypatch.setattr(desk.token.device, "fips_approved", lambda: Capability.FIDO2)
    with pytest.raises(NotVerified, match="not in approved mode: piv"):
        desk.run("[piv]\n[fido2]" + APPROVED)
    monkeypatch.undo()
    entry = desk.run("[piv]\n[fido2]" + APPROVED)
    assert entry["steps"][-1]["state"] == "match"


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("yubikey-5.7.4", "it is not of the FIPS series"),
        ("yubikey-5.4.3-fips", "it does not say whether it is approved"),
    ],
)
def test_a_token_that_cannot_tell_is_refused(tmp_path: Path, model: str, says: str) -> None:
    """Before anything is written, even where nobody checked the firmware."""
    desk = Desk(tmp_path, model)
    with pytest.raises(TokenConflict, match=says):
        desk.run("[piv]" + APPROVED)
    assert desk.sealed() == {}
