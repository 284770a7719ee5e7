"""Settings under `if-supported`, and texts that name the token and the day."""

from __future__ import annotations

from datetime import date

import pytest

from tokenprov.errors import ProfileError, RosterError
from tokenprov.model import Holder
from tokenprov.profile import Profile, Template, TokenKind, check_firmware, check_roster
from tokenprov.profile import parse_profile as parse
from tokenprov.profile.faults import Faults
from tokenprov.profile.firmware import fit_to
from tokenprov.profile.settle import settled
from tokenprov.roster import parse_roster

KEYS = """[[piv.keys]]
slot = "9a"
algorithm = "eccp256"
touch-policy = "cached"
[[piv.keys]]
slot = "9c"
algorithm = "ed25519"
"""
FIDO = '[fido2]\nalways-uv = "required"\npin = { force-change = "required" }\n'
DAY = date(2026, 3, 2)
HOLDER = Holder(id="E1", name="Zoë {M}", email="zoe@example.test")


def profile(optional: str, text: str) -> Profile:
    """A profile with these paths under if-supported."""
    return parse(f'name = "test"\nif-supported = [{optional}]\n{text}'.encode(), "my.toml")


def test_a_setting_is_left_out_on_firmware_that_lacks_it() -> None:
    """Below its firmware it goes, with the reason; from it on nothing is left out."""
    wanted = profile('"fido2.always-uv", "fido2.pin.force-change"', FIDO)
    assert check_firmware(wanted, (5, 7, 4)) == []
    fitted = fit_to(wanted, (5, 4, 3))
    assert [one.setting for one in fitted.left_out] == [
        "fido2.pin.force-change",
        "fido2.always-uv",
    ]
    assert "needs firmware 5.6, this token has 5.4.3" in fitted.left_out[0].reason
    assert fitted.profile.fido2 is not None
    assert fitted.profile.fido2.always_uv == "no"
    said = check_firmware(wanted, (5, 4, 3))
    assert said[0].startswith("fido2.pin.force-change: a forced change of the PIN needs firmware")


def test_the_innermost_goes_and_else_the_table() -> None:
    """A key that is listed goes alone; where the table is listed, the table goes."""
    both = profile('"piv.keys[9c]", "piv.keys[9a].touch-policy"', KEYS)
    old = fit_to(both, (4, 2, 8)).left_out
    assert {one.setting for one in old} == {"piv.keys[9c]", "piv.keys[9a].touch-policy"}
    fitted = fit_to(profile('"piv.keys[9c]"', KEYS), (5, 4, 3))
    assert fitted.profile.piv is not None
    assert [key.slot for key in fitted.profile.piv.keys] == ["9a"]
    assert fitted.limits == ()


def test_a_section_goes_on_a_token_without_the_applet() -> None:
    """Where the token has no such applet at all, a section under if-supported is left out."""
    wanted = profile('"piv"', KEYS + "[fido2]\n")
    fitted = fit_to(wanted, (5, 7, 4), TokenKind.SECURITY_KEY)
    assert fitted.profile.piv is None
    assert [one.setting for one in fitted.left_out] == ["piv"]
    (reason,) = check_firmware(wanted, (5, 7, 4), TokenKind.SECURITY_KEY)
    assert reason == "piv: a Security Key has no such applet"


def test_what_is_not_listed_stays_refused() -> None:
    """The list is no blanket: another setting that the firmware lacks is an error as before."""
    with pytest.raises(ProfileError, match="fido2.always-uv: alwaysUv needs firmware 5.6"):
        check_firmware(profile('"fido2.pin.force-change"', FIDO), (5, 4, 3))
    with pytest.raises(ProfileError, match="FIDO2 needs firmware 5.0"):
        check_firmware(profile('"fido2.always-uv"', FIDO), (4, 3, 7))


def test_nothing_is_not_a_profile() -> None:
    """A token that could take nothing of it is refused, whatever is listed."""
    wanted = profile('"piv", "fido2"', KEYS + "[fido2]\n")
    with pytest.raises(ProfileError, match="a PIV card attests nothing"):
        check_firmware(wanted, None, TokenKind.PIV_CARD)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("fido2.always_uv", "is not a path"),
        ("fido2.credentials", "cannot be left out"),
        ("otp", "is not set by this profile"),
        ("piv.keys[9d]", "is not set by this profile"),
        ("piv.keys[9a].algorithm", "cannot be left out: it is needed"),
        ("piv.keys[9a].slot", "cannot be left out: it is needed"),
    ],
)
def test_paths_that_are_refused(path: str, says: str) -> None:
    """A path that leads nowhere, or to what a profile needs, is refused at its line."""
    text = KEYS + FIDO
    if path == "fido2.credentials":
        path, text = "piv", KEYS  # then the profile would set nothing
    with pytest.raises(ProfileError) as caught:
        profile(f'"{path}"', text)
    (problem,) = caught.value.problems
    assert (problem.line, problem.field) == (2, "if-supported[0]")
    assert says in problem.message
    assert problem.remedy


def test_the_list_belongs_to_the_digest() -> None:
    """What may be left out is part of what a token must look like."""
    assert profile('"fido2.always-uv"', FIDO).digest != profile("", FIDO).digest
    assert profile("", FIDO).digest == parse(f'name = "test"\n{FIDO}'.encode(), "x").digest


def test_serial_and_day_are_put_in() -> None:
    """The token's serial, the day and its year go in once they are known; the holder's stays."""
    text = Template.parse("{{{holder.name}}} {token.serial} {date}/{year}")
    assert text.fields == {"name"}
    made = text.settle(serial="12345678", day=DAY)
    assert made.render(HOLDER) == "{Zoë {M}} 12345678 2026-03-02/2026"
    assert str(made) == "{{{holder.name}}} 12345678 2026-03-02/2026"
    plain = Template.parse("{holder.id}")
    assert plain.settle(serial=None, day=DAY) is plain


def test_serial_of_a_token_without_one() -> None:
    """A text that names the serial is refused for a token whose serial cannot be read."""
    with pytest.raises(ProfileError, match="needs the token's serial"):
        Template.parse("{token.serial}").settle(serial=None, day=DAY)


def test_unknown_fields_name_the_near_one() -> None:
    """A misspelt field of the token or the day is answered with the right one."""
    for wrong, right in (("token.serail", "token.serial"), ("yaer", "year"), ("Date", "date")):
        with pytest.raises(Faults) as caught:
            Template.parse(f"{{{wrong}}}")
        assert f"Did you mean {{{right}}}?" in caught.value.faults[0].remedy


CREDENTIAL = """[[fido2.credentials]]
rp-id = "login.example.test"
rp-name = "Login"
user-name = "{holder.id} {token.serial}"
display-name = "{holder.name} ({date})"
"""


def test_a_profile_is_settled_in_every_text() -> None:
    """Texts anywhere in a profile get serial and day; all else is the same."""
    wanted = parse(f'name = "test"\n{FIDO}{CREDENTIAL}'.encode(), "x")
    made = settled(wanted, serial="777", day=DAY)
    assert made.fido2 is not None
    (credential,) = made.fido2.credentials
    assert credential.user_name.render(HOLDER) == "E1 777"
    assert credential.display_name.render(HOLDER) == "Zoë {M} (2026-03-02)"
    assert made.fido2.pin is wanted.fido2.pin if wanted.fido2 else False
    again = settled(made, serial=None, day=DAY)
    assert again is made


def test_room_is_counted_with_serial_and_day() -> None:
    """A text that fits only while serial and day are not in it yet is refused with the roster."""
    wanted = parse(f'name = "test"\n{FIDO}{CREDENTIAL}'.encode(), "x")

    def roster(name: str) -> bytes:
        return f"id,name,email\n1,{name},a@example.test\n".encode()

    check_roster(wanted, parse_roster(roster("x" * 51), "r", today=DAY))
    with pytest.raises(RosterError, match="display-name comes to 65 bytes, 64 fit"):
        check_roster(wanted, parse_roster(roster("x" * 52), "r", today=DAY))
