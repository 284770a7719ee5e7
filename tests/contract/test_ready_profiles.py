"""Every ready profile on every model: made whole on those that can, refused with the reason on all
others.

The tokens are in this process, each taken through the product's own way from an order to its entry;
the whole command, over a private pcscd, is told of two of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from yubikit.piv import PivSession

from tests.contract.conftest import fresh_token
from tests.in_process import Desk, Line
from tests.stations import Station
from tokenprov.errors import NotSupported, ProfileError
from tokenprov.plan import check_token
from tokenprov.profile import load_profile, ready_folders
from tokenprov.sim.assembly import make_token
from tokenprov.sim.bench import VirtualBench
from tokenprov.sim.models import MODELS
from tokenprov.sim.presence import TouchPolicy

READY = sorted(path.stem for folder in ready_folders() for path in folder.glob("*.toml"))
HEADER = "id,name,email,upn,sid,last_day\n"

NEW = ("yubikey-5.7.4", "yubikey-5.7.4-nfc", "yubikey-5.7.4-fips")
OLD = ("yubikey-5.4.3", "yubikey-5.4.3-fips", "yubikey-5.2.7")
FIVE = (*NEW, *OLD)
SECURITY_KEYS = ("security-key-5.7", "security-key-5.7-hid")
CARDS = ("piv-card", "piv-card-t0")
UNNUMBERED = "yubikey-5.7.4-no-serial"  # of which test_marked_keys.py tells

# profile -> the models that get all of it, those that get it but for what is named, and what each
# of the others is refused for
WHOLE = {
    "contractor": NEW,
    "developer": NEW,
    "fips": ("yubikey-5.7.4-fips",),
    "otp-server": (*FIVE, "yubikey-4.3.7"),
    "piv-card": (*FIVE, "yubikey-4.3.7"),  # and cards, of which test_piv_cards.py tells
    "privileged-administrator": NEW,
    "security-key": NEW,
    "shared-workstation": NEW,
    "standard-employee": NEW,
    "windows-logon": (*FIVE, "yubikey-4.3.7"),
}
FORCED_CHANGE = ("fido2/force-pin-change",)
BUT_FOR = {
    "contractor": FORCED_CHANGE,
    "developer": FORCED_CHANGE,
    "security-key": (*FORCED_CHANGE, "left-out/fido2.minimum-pin-length"),
    "shared-workstation": (
        *FORCED_CHANGE,
        "left-out/fido2.always-uv",
        "left-out/fido2.minimum-pin-length",
    ),
    "standard-employee": FORCED_CHANGE,
}
NO_FIDO2 = "FIDO2 needs firmware 5.0, this token has 4.3.7"
NO_APPLET = "a Security Key has no such applet"
NO_SERIAL = "a token without a serial, and none was announced"
NOT_FIPS = "not of the FIPS series"
NEEDS_5_6 = "needs firmware 5.6, this token has"
REFUSED = {
    "contractor": {"yubikey-4.3.7": NO_FIDO2},
    "developer": {"yubikey-4.3.7": "a key for ed25519 needs firmware 5.2, this token has 4.3.7"},
    "fips": {
        **dict.fromkeys(("yubikey-5.7.4", "yubikey-5.7.4-nfc"), NOT_FIPS),
        **dict.fromkeys(("yubikey-5.4.3", "yubikey-5.2.7", "yubikey-4.3.7"), NOT_FIPS),
        "yubikey-5.4.3-fips": "needs firmware 5.7, this token has 5.4.3",
    },
    "privileged-administrator": {
        **dict.fromkeys(OLD, NEEDS_5_6),
        "yubikey-4.3.7": "[device] needs firmware 5.0",
    },
    "security-key": {"yubikey-4.3.7": NO_FIDO2},
    "shared-workstation": {"yubikey-4.3.7": NO_FIDO2},
    "standard-employee": {"yubikey-4.3.7": NO_FIDO2},
}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """One station for all of them."""
    return Desk(tmp_path_factory.mktemp("desk"), "yubikey-5.7.4")


_NUMBERS = itertools.count(1)


def roster() -> str:
    """A holder of their own, with everything that a ready profile may ask for."""
    number = next(_NUMBERS)
    holder = f"E{number},Ada Example,a{number}@example.test,a{number}@corp.example.test"
    return f"{HEADER}{holder},S-1-5-21-1-2-3-{1000 + number},2099-12-31\n"


def test_every_profile_and_model_is_told_of() -> None:
    """No ready profile and no model is forgotten in the tables above."""
    assert set(WHOLE) == set(READY)
    for profile in READY:
        told = {*WHOLE[profile], *(OLD if profile in BUT_FOR else ()), *REFUSED.get(profile, {})}
        assert set(MODELS) - told <= {*SECURITY_KEYS, *CARDS, UNNUMBERED}, profile


CASES = [
    (profile, model)
    for profile in READY
    for model in MODELS
    if model != UNNUMBERED
    and not (profile == "security-key" and model in SECURITY_KEYS)  # a test of its own
    and not (profile == "piv-card" and model in CARDS)  # nor are these
]


@pytest.mark.parametrize(("profile", "model"), CASES)
def test_made_whole_or_refused_with_the_reason(desk: Desk, profile: str, model: str) -> None:
    """A token gets every step of the profile, or nothing and the words that say why."""
    serial = 32_000_000 + next(_NUMBERS)
    desk.token = make_token(model, serial, touch=TouchPolicy(patience=0.01))
    before = desk.token.dump()
    if model in WHOLE[profile] or (model in OLD and profile in BUT_FOR):
        entry = desk.run(f'extends = "{profile}"\n', roster=roster())
        states = {step["id"]: step["state"] for step in entry["steps"]}
        skipped = [step for step, state in states.items() if state == "skipped"]
        assert set(states.values()) <= {"match", "skipped"}
        assert sorted(skipped) == sorted(BUT_FOR.get(profile, ()) if model in OLD else ())
        assert entry["token"]["serial"] == str(serial)
        return
    with pytest.raises((NotSupported, ProfileError)) as caught:
        check_token(load_profile(profile), desk.connected(Line(desk.token)))
    default = "PIV card" if model in CARDS else NO_APPLET
    assert REFUSED.get(profile, {}).get(model, default) in str(caught.value)
    assert caught.value.remedy
    assert desk.token.dump() == before


def test_a_security_key_fits_and_has_no_serial(desk: Desk) -> None:
    """The profile for FIDO alone fits a Security Key whole; what it lacks is a serial to bind."""
    token = desk.yubikey(Line(make_token("security-key-5.7", None)))
    assert check_token(load_profile("security-key"), token) == []
    assert token.id.serial is None


@pytest.mark.parametrize(
    ("profile", "model"),
    [("privileged-administrator", "yubikey-5.7.4"), ("fips", "yubikey-5.7.4-fips")],
)
def test_the_whole_command(
    station: Station, one_reader: VirtualBench, profile: str, model: str
) -> None:
    """`batch run` makes what the token in the reader is told to be, and the manifest holds."""
    token = fresh_token(one_reader, model)
    path = station.home.with_name("roster.csv")
    path.write_text(roster(), encoding="utf-8")
    said = station.tell("batch", "run", path, "--profile", profile, "--json")
    assert said.code == 0, said.out + said.err
    entry = station.entry_of(token.serial)
    assert {step["state"] for step in entry["steps"]} == {"match"}
    assert entry["profile"] == {"name": profile, "digest": load_profile(profile).digest}
    assert station.tell("manifest", "verify").code == 0


@pytest.mark.parametrize(
    ("profile", "model", "reason"),
    [
        ("security-key", "security-key-5.7", NO_SERIAL),
        ("standard-employee", "security-key-5.7", NO_SERIAL),
        ("privileged-administrator", "yubikey-5.4.3", NEEDS_5_6),
    ],
)
def test_the_whole_command_refuses(
    station: Station, one_reader: VirtualBench, profile: str, model: str, reason: str
) -> None:
    """`batch run` passes over what cannot be made, says why, and leaves the order open."""
    one_reader.control.replace(0, model=model, serial=32_900_000 + next(_NUMBERS))
    path = station.home.with_name("roster.csv")
    path.write_text(roster(), encoding="utf-8")
    said = station.tell("batch", "run", path, "--profile", profile, "--json")
    assert said.code == 8, said.out + said.err
    passed = said.only("TokenPassedOver")
    assert reason in passed["reason"]
    assert said.document["counts"]["open"] == 1


def test_a_template_names_token_and_day(desk: Desk) -> None:
    """Serial and day of issue stand on the token as the profile says, and in its entry."""
    desk.token = make_token("yubikey-5.7.4", 32_555_777, touch=TouchPolicy(patience=0.01))
    entry = desk.run(
        '[[piv.objects]]\nid = "5fc122"\ntext = "{holder.id} {token.serial} {date} {year}"\n'
        "[piv]\n",
        roster=roster(),
    )
    assert {step["state"] for step in entry["steps"]} == {"match"}
    today = desk.home.clock().date()
    text = PivSession(desk.connect()).get_object(0x5FC122).decode()
    assert text.split()[1:] == ["32555777", today.isoformat(), str(today.year)]
