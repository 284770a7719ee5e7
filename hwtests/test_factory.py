"""A token as it left the factory, or was emptied to that state: what its firmware is known for."""

from __future__ import annotations

from typing import Any

import pytest

from hwtests.bench import Bench
from hwtests.conditions import application, card, firmware, form_factor, numbered
from hwtests.judges import fields

pytestmark = [numbered()]
PIV_TRIES = 3  # SP 800-73-4 leaves the number to the maker; the maker's manual says three


@pytest.fixture
def inventory(nobodys: Bench) -> dict[str, Any]:
    """What `token show` finds on it."""
    found: dict[str, Any] = nobodys.document("token", "show", nobodys.serial)["inventory"]
    return found


@card(False)
def test_it_is_who_ykman_says(nobodys: Bench) -> None:
    """`token list` and the maker's program agree on who it is; nothing is on it."""
    (here,) = [one for one in nobodys.document("token", "list") if one["serial"] == nobodys.serial]
    said = fields(nobodys.ykman("info"))
    assert (said["Device type"], said["Firmware version"], said["Serial number"]) == (
        here["model"],
        here["firmware"],
        here["serial"],
    )
    assert nobodys.used() == []


@form_factor("usb-a-keychain", "usb-a-nano", "usb-c-keychain", "usb-c-nano", "usb-c-lightning")
def test_its_form_is_known(nobodys: Bench) -> None:
    """The maker's program names the same form."""
    said = fields(nobodys.ykman("info"))["Form factor"].lower()
    _, plug, form = nobodys.subject.form_factor.split("-")
    assert form in said
    assert f"usb-{plug}" in said


@application("piv")
def test_piv_has_its_first_tries(inventory: dict[str, Any]) -> None:
    """Three tries for PIN and PUK, nothing in the slots, no CHUID."""
    piv = inventory["piv"]
    assert piv["pin"]["left"] == PIV_TRIES
    assert not any(slot["key"] or slot["certificate"] for slot in piv["slots"].values())
    assert piv["chuid"] is False


@application("piv")
@firmware(">=5.3")
def test_piv_tells_its_defaults(inventory: dict[str, Any]) -> None:
    """PIN, PUK and management key are told to be the factory's."""
    assert inventory["piv"]["pin"]["factory"] is True
    assert inventory["piv"]["defaults"]["left"] == ["PIN", "PUK", "management key"]


@application("piv")
@firmware("<5.3")
def test_piv_does_not_tell_its_defaults(inventory: dict[str, Any]) -> None:
    """Whether they are the factory's is unknown, and so is it said."""
    assert inventory["piv"]["defaults"]["unknown"]


@application("piv")
@firmware(">=5.7")
def test_the_management_key_is_aes(inventory: dict[str, Any]) -> None:
    """AES-192 is the default from this firmware on."""
    assert inventory["piv"]["managementKey"]["algorithm"] == "aes192"


@application("piv")
@firmware(">=5.3, <5.7")
def test_the_management_key_is_triple_des(inventory: dict[str, Any]) -> None:
    """3DES is the default before."""
    assert inventory["piv"]["managementKey"]["algorithm"] == "tdes"


@application("fido2")
@firmware(">=5.7")
def test_there_is_room_for_a_hundred(inventory: dict[str, Any]) -> None:
    """A hundred discoverable credentials fit."""
    assert inventory["fido2"]["roomForCredentials"] == 100


@application("fido2")
@firmware(">=5.2, <5.7")
def test_there_is_room_for_twenty_five(inventory: dict[str, Any]) -> None:
    """Twenty-five fit, as far as the firmware counts them."""
    assert inventory["fido2"]["roomForCredentials"] in {25, "unknown"}


@application("openpgp")
def test_openpgp_has_its_first_tries(inventory: dict[str, Any]) -> None:
    """Three for the user PIN and the admin PIN, no reset code, no keys."""
    openpgp = inventory["openpgp"]
    assert (openpgp["userPin"]["left"], openpgp["adminPin"]["left"]) == (3, 3)
    assert openpgp["resetCode"] is False
    assert not any(openpgp["keys"].values())


@application("hsmauth")
@firmware(">=5.4.3")
def test_hsm_auth_has_its_first_tries(inventory: dict[str, Any]) -> None:
    """Eight for its management key, no credentials."""
    assert inventory["hsmauth"]["managementKey"]["left"] == 8
    assert inventory["hsmauth"]["credentials"] == 0
