"""The whole life of a token behind a PKCS#11 module, after its issue: SoftHSM's, and a balky one.

Unblocked, rotated, renewed, returned, retired, wiped; each time the token is looked at afterwards
through its module, with what the custodians have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.contract.test_pkcs11_tokens import objects
from tests.contract.test_standing import revoked
from tests.module_station import (
    PUBLISHED,
    ModuleStation,
    issued_behind_a_module,
    profile_for,
    seeing,
)
from tests.softhsm import SOFTHSM
from tests.stations import Said
from tokenprov.errors import AuthenticationFailed
from tokenprov.model import Purpose
from tokenprov.pkcs11 import Module, TokenInfo
from tokenprov.secret import Secret

WHY = ("--reason", "a test", "--operator", "olga", "--json")
SO_PIN_LOCKED, SO_PIN_COUNT_LOW, USER_PIN_LOCKED, KEYPAD = 0x400000, 0x100000, 0x40000, 0x100
INIT_TOKEN, INIT_PIN, LOGIN = 9, 10, 18  # places in CK_FUNCTION_LIST
NOT_SUPPORTED, PIN_LOCKED, SESSION_EXISTS = 0x54, 0xA4, 0xB6  # CKR_


@pytest.fixture(scope="module")
def issued_once(tmp_path_factory: pytest.TempPathFactory) -> ModuleStation:
    """A station whose one token is Ada's."""
    return issued_behind_a_module(tmp_path_factory.mktemp("issued"))


@pytest.fixture
def made(issued_once: ModuleStation, tmp_path: Path) -> Iterator[ModuleStation]:
    """A copy of it, which this process sees."""
    copy = issued_once.copied(tmp_path)
    with seeing(copy):
        yield copy


def tell(made: ModuleStation, what: str, *options: str | Path, by: Purpose | None = None) -> Said:
    """A command about the token, with a custodian's key."""
    key = () if by is None else ("--key", made.key(by))
    return made.station.tell(what, made.serial, *key, *options, *WHY)


def there(made: ModuleStation) -> TokenInfo:
    """The token, as its module tells of it."""
    with Module(SOFTHSM) as module:
        (token,) = [one for one in module.tokens() if one.serial == made.serial]
        return token


def certificates(made: ModuleStation) -> list[x509.Certificate]:
    """Those beside the first key."""
    with Module(SOFTHSM) as module:
        found = module.objects(there(made)).of("CERTIFICATE", b"\1")
    return [x509.load_der_x509_certificate(one.value) for one in found]


def opens(made: ModuleStation) -> None:
    """What is sealed now is what the token takes."""
    secrets = made.station.secrets(made.serial)
    with Module(SOFTHSM) as module:
        module.log_in_officer(made.serial, Secret(secrets["pkcs11/token"]))
        module.log_in(made.serial, Secret(secrets["pkcs11/user-pin"]))


def typed(monkeypatch: pytest.MonkeyPatch, pin: str) -> None:
    """Its holder types that."""
    monkeypatch.setattr("getpass.getpass", lambda prompt: pin)


def test_a_new_user_pin_by_the_so_pin(made: ModuleStation) -> None:
    """The help desk opens it; the old one is refused, and the keys stay and sign."""
    before = made.station.secrets(made.serial)
    said = tell(made, "unblock", by=Purpose.TOKEN_ADMINISTRATION)
    assert said.code == 0, said.err
    (entry,) = made.station.entries("unblocked")
    assert [(one["id"], one["state"]) for one in entry["steps"]] == [("pkcs11/user-pin", "match")]
    after = made.station.secrets(made.serial)
    assert {name for name in after if after[name] != before[name]} == {"pkcs11/user-pin"}
    with Module(SOFTHSM) as module, pytest.raises(AuthenticationFailed):
        module.log_in(made.serial, Secret(before["pkcs11/user-pin"]))
    opens(made)
    key = made.key(Purpose.HELP_DESK)
    prove = ("token", "prove", made.serial, "--module", SOFTHSM, "--key", key, "--reason", "a test")
    proved = made.station.tell(*prove, "--json")
    assert [one["proved"] for one in proved.document["keys"]] == [True, True]
    assert made.station.tell("manifest", "verify").code == 0


def test_a_locked_user_pin_is_set_anew(made: ModuleStation) -> None:
    """That it is locked keeps nobody from it, and the new one is tried once it was set."""
    with seeing(made, f"flags {USER_PIN_LOCKED}"):
        said = tell(made, "unblock", by=Purpose.TOKEN_ADMINISTRATION)
    assert said.code == 0, said.err
    opens(made)


def test_the_help_desk_has_no_so_pin(made: ModuleStation) -> None:
    """It erases a token, too: whose key opens it is said, and nothing is promised."""
    said = tell(made, "unblock", by=Purpose.HELP_DESK)
    assert said.code == 7
    assert "Give the key of break-glass or token-administration" in said.err
    assert made.station.entries("unblocked") == []
    opens(made)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        (f"flags {SO_PIN_LOCKED}", "its SO PIN is locked"),
        (f"flags {SO_PIN_COUNT_LOW}", "its SO PIN has too few tries left to be tried"),
        (f"refuse {LOGIN} {PIN_LOCKED:x}", "the PIN is locked"),
        (f"flags {KEYPAD}", "its PINs are typed on a keypad"),
        ("pins 6", "its PINs have 4 to 6 characters, and its user PIN is to have 8"),
        (f"crash {INIT_PIN} 0", "the PKCS#11 module shim.so crashed (signal 11)"),
        (f"refuse {INIT_PIN} {NOT_SUPPORTED:x}", "Its user PIN is as it was. Replace the token"),
        (f"refuse {LOGIN} {SESSION_EXISTS:x}", "another program has a session with it"),
    ],
    ids=[
        "locked",
        "few tries",
        "locked, and not shown",
        "keypad",
        "short PINs",
        "crash",
        "no C_InitPIN",
        "in use",
    ],
)
def test_what_keeps_a_pin_from_being_set_is_told(made: ModuleStation, how: str, says: str) -> None:
    """The token is as it was, and the same command does it once that is mended."""
    before = made.station.secrets(made.serial)
    with seeing(made, how):
        said = tell(made, "unblock", by=Purpose.TOKEN_ADMINISTRATION)
    assert said.code == 4
    assert says in said.err
    with Module(SOFTHSM) as module:
        module.log_in(made.serial, Secret(before["pkcs11/user-pin"]))
        module.log_in_officer(made.serial, Secret(before["pkcs11/token"]))
    again = tell(made, "unblock", by=Purpose.TOKEN_ADMINISTRATION)
    assert again.code == 0, again.err
    assert len(made.station.entries("unblocked")) == 1
    opens(made)


def test_a_new_so_pin(made: ModuleStation) -> None:
    """It is sealed anew and in force; one token of all that the module sees is as good as named."""
    before = made.station.secrets(made.serial)
    key = made.key(Purpose.TOKEN_ADMINISTRATION)
    options = ("--all", "--module", made.module, "--what", "so-pin", "--key", key, *WHY)
    said = made.station.tell("rotate", *options)
    assert said.code == 0, said.err
    (entry,) = made.station.entries("rotated")
    assert [one["id"] for one in entry["steps"]] == ["pkcs11/token"]
    after = made.station.secrets(made.serial)
    assert {name for name in after if after[name] != before[name]} == {"pkcs11/token"}
    opens(made)
    assert tell(made, "unblock", by=Purpose.TOKEN_ADMINISTRATION).code == 0
    assert made.station.tell("manifest", "verify").code == 0


def test_the_so_pin_is_rehearsed(made: ModuleStation) -> None:
    """It opens and the token takes it; another one, or few tries left, is a drill that failed."""

    def drill(by: Purpose, how: str = "") -> Said:
        options = ("--seed", "spring", "--key", made.key(by), "--operator", "olga", "--json")
        with seeing(made, how):
            return made.station.tell("drill", "so-pin", *options)

    said = drill(Purpose.TOKEN_ADMINISTRATION)
    assert said.code == 0, said.err
    assert said.document["facts"]["tokens"] == [made.serial]
    few = drill(Purpose.TOKEN_ADMINISTRATION, f"flags {SO_PIN_COUNT_LOW}")
    assert "its SO PIN has too few tries left to be tried" in few.document["facts"]["why"]
    assert drill(Purpose.HELP_DESK).code == 7
    so_pin = made.station.secrets(made.serial)["pkcs11/token"]
    with Module(SOFTHSM) as module:
        module.change_so_pin(made.serial, Secret(so_pin), Secret("31415926"))
    wrong = drill(Purpose.TOKEN_ADMINISTRATION)
    assert wrong.code == 4
    assert "its SO PIN is not the one in escrow" in wrong.document["facts"]["why"]
    outcomes = [one["outcome"] for one in made.station.entries("drill")]
    assert outcomes == ["passed", "failed", "failed", "failed"]
    assert so_pin not in said.out + said.err + wrong.out + wrong.err
    none = made.station.tell("drill", "puk", "--key", made.key(Purpose.HELP_DESK))
    assert none.code == 2
    assert "nobody has a token in force with piv/puk" in none.err
    assert made.station.tell("manifest", "verify").code == 0


def test_a_new_certificate_beside_the_key(
    made: ModuleStation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the key that stays; the old one is off the token and superseded at its authority."""
    (old,) = certificates(made)
    shown = tell(made, "renew", "--within", "5000")
    assert shown.code == 2
    assert "write --pin" in shown.err
    typed(monkeypatch, "00000000")
    wrong = tell(made, "renew", "--within", "5000", "--pin")
    assert wrong.code == 4
    assert "the PIN was refused" in wrong.err
    assert certificates(made) == [old]
    typed(monkeypatch, made.station.secrets(made.serial)["pkcs11/user-pin"])
    said = tell(made, "renew", "--within", "5000", "--pin")
    assert said.code == 0, said.err
    (new,) = certificates(made)
    assert new.public_key() == old.public_key()
    assert new.serial_number != old.serial_number
    (entry,) = made.station.entries("rotated")
    (step,) = entry["steps"]
    assert step["facts"]["serialNumber"] == f"{new.serial_number:x}"
    assert [one["outcome"] for one in entry["credentials"]] == ["done"]
    assert revoked(made.station) == {f"{old.serial_number:x}": "superseded"}
    audit = ("token", "audit", made.serial, "--module", made.module, "--json")
    audited = made.station.tell(*audit)
    assert audited.code == 0, audited.out
    assert tell(made, "renew", "--within", "5000", "--pin").code == 0  # and once more
    assert len(certificates(made)) == 1
    assert made.station.tell("manifest", "verify").code == 0


def test_a_dry_run_opens_and_changes_nothing(made: ModuleStation) -> None:
    """Each command shows what it would do, without a PIN of the token."""
    before = objects(made.hsm)
    for what, by, shows in (
        ("unblock", Purpose.TOKEN_ADMINISTRATION, "PKCS#11 user PIN, by the SO PIN"),
        ("rotate", Purpose.TOKEN_ADMINISTRATION, "PKCS#11 SO PIN"),
        ("renew", None, "certificate of login"),
        ("return", None, "open its SO PIN, by token administration's key"),
    ):
        within = ("--within", "5000") if what == "renew" else ()
        said = tell(made, what, *within, "--dry-run", by=by)
        assert said.code == 0, said.err
        assert shows in said.out
    assert made.station.entries("opened") == []
    assert objects(made.hsm) == before


def test_given_back_it_is_the_next_holders(made: ModuleStation) -> None:
    """Erased, with the SO PIN that its maker published, in stock, and issued like a new one."""
    previous = {f"{one.serial_number:x}" for one in certificates(made)}
    without = tell(made, "return")
    assert without.code == 7
    assert "with --key KEY" in without.err
    assert there(made).has_pin
    said = tell(made, "return", by=Purpose.TOKEN_ADMINISTRATION)
    assert said.code == 0, said.err
    assert said.document["state"] == "stock"
    assert set(revoked(made.station)) == previous
    assert not there(made).has_pin
    with Module(SOFTHSM) as module:
        module.log_in_officer(made.serial, Secret(PUBLISHED))
        assert module.objects(there(made)).objects == ()
    (entry,) = made.station.entries("wiped")
    assert entry["reset"] == ["pkcs11"]
    again = made.station.tell(
        *("batch", "run", made.station.roster(2), "--profile", made.profile, "--json")
    )
    assert again.code == 8  # there is no token for one of the two
    assert [one["token"]["serial"] for one in made.station.entries()] == [made.serial] * 2
    opens(made)
    assert made.station.tell("manifest", "verify").code == 0


def test_retired_before_a_witness(made: ModuleStation) -> None:
    """It is empty, and out of use for good."""
    said = tell(made, "retire", "--witness", "walter", by=Purpose.TOKEN_ADMINISTRATION)
    assert said.code == 0, said.err
    assert said.document["state"] == "retired"
    assert not there(made).has_pin
    assert made.station.tell("manifest", "verify").code == 0


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (NOT_SUPPORTED, "its module does not erase"),
        (SESSION_EXISTS, "has a session with it"),
    ],
)
def test_a_module_that_erases_nothing(made: ModuleStation, code: int, says: str) -> None:
    """Nothing is lost: the SO PIN is in escrow, the token is as it was, and can be destroyed."""
    secrets = made.station.secrets(made.serial)
    with seeing(made, f"refuse {INIT_TOKEN} {code:x}"):
        said = tell(made, "return", by=Purpose.TOKEN_ADMINISTRATION)
    assert said.code == 4
    assert says in said.err
    with Module(SOFTHSM) as module:
        module.log_in(made.serial, Secret(secrets["pkcs11/user-pin"]))
    assert made.station.secrets(made.serial) == secrets
    assert made.station.entries("wiped") == []
    destroyed = tell(made, "retire", "--witness", "walter", "--means", "destroyed")
    assert destroyed.code == 0, destroyed.err


def test_a_token_that_came_blank(tmp_path: Path) -> None:
    """Its maker published no SO PIN: it gets one that stands on it, and is issued again by that."""
    made = issued_behind_a_module(tmp_path, "serial")
    with seeing(made, "serial"):
        said = tell(made, "return", by=Purpose.TOKEN_ADMINISTRATION)
        assert said.code == 0, said.err
        with Module(made.module) as module:
            (token,) = [one for one in module.tokens() if one.serial == made.serial]
        assert token.label == "given back, SO PIN 12345678"
        again = made.station.tell(
            *("batch", "run", made.station.roster(2), "--profile", made.profile, "--json")
        )
        assert len(made.station.entries()) == 2, again.err
        secrets = made.station.secrets(made.serial)
        with Module(made.module) as module:
            module.log_in_officer(made.serial, Secret(secrets["pkcs11/token"]))


@pytest.fixture
def used(made: ModuleStation) -> Callable[..., dict[str, Any]]:
    """Another token, with somebody's user PIN; runs a batch of two that may wipe it."""
    made.hsm.deliver("somebody's", PUBLISHED, "55555555")
    with Module(SOFTHSM) as module:
        (serial,) = {one.serial for one in module.tokens() if one.label == "somebody's"}

    def run(published: str = PUBLISHED) -> dict[str, Any]:
        profile = profile_for(made.profile.parent, made.module, published)
        options = ("--wipe", serial, "--reason", "found in a drawer", "--json")
        batch = ("batch", "run", made.station.roster(2, published or "none"), "--profile", profile)
        return {"serial": serial, "said": made.station.tell(*batch, *options)}

    return run


def test_a_used_token_is_wiped_on_the_line(
    made: ModuleStation, used: Callable[..., dict[str, Any]]
) -> None:
    """By the SO PIN that its maker published; it is then made like a new one."""
    done = used()
    (wiped,) = made.station.entries("wiped")
    assert wiped["token"]["serial"] == done["serial"]
    assert "it has a user PIN" in wiped["found"]["used"]
    assert {one["token"]["serial"] for one in made.station.entries()} == {
        *(made.serial, done["serial"])
    }, done["said"].err


def test_a_used_token_whose_so_pin_nobody_knows(
    made: ModuleStation, used: Callable[..., dict[str, Any]]
) -> None:
    """It stays as it is, and what helps is told."""
    done = used("87654321")
    assert made.station.entries("wiped") == []
    (passed,) = [
        one
        for one in done["said"].events
        if one["event"] == "TokenPassedOver" and one["label"] == done["serial"]
    ]
    assert "its SO PIN is none that is known here" in passed["reason"]
    with Module(SOFTHSM) as module:
        module.log_in(done["serial"], Secret("55555555"))
