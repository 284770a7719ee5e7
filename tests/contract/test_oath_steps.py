"""The OATH steps on every model that claims them, judged by the maker's library.

In this process, over the shipped run; `tests/peers/test_application_settings.py` has other programs
look at such tokens.
"""

from __future__ import annotations

import hmac
from pathlib import Path

import pytest
from yubikit.oath import HASH_ALGORITHM, OATH_TYPE, CredentialData, OathSession

from tests.applet_commands import OATH, sent_to
from tests.in_process import Cut, Desk, Line
from tokenprov.errors import AuthenticationFailed, TokenConflict, TouchTimeout
from tokenprov.model import Purpose
from tokenprov.profile.oath_limits import room_for_accounts
from tokenprov.sim.presence import TouchMode, TouchPolicy

MODELS = ("yubikey-5.7.4", "yubikey-5.7.4-fips", "yubikey-5.4.3", "yubikey-5.2.7", "yubikey-4.3.7")
WRITES = {0x01, 0x02, 0x03, 0x04, 0x05}  # put, delete, set code, reset, rename

EVERYTHING = """
[oath]
password = { length = 20 }
[[oath.accounts]]
issuer = "VPN"
[[oath.accounts]]
issuer = "Shop {holder.id}"
name = "till"
algorithm = "sha256"
digits = 8
period = 60
touch = true
[[oath.accounts]]
issuer = "Archive"
kind = "hotp"
algorithm = "sha512"
counter = 5
"""
NAMES = [b"VPN:ada@corp.example.test", b"60/Shop E1:till", b"Archive:ada@corp.example.test"]
HASHES = [HASH_ALGORITHM.SHA1, HASH_ALGORITHM.SHA256, HASH_ALGORITHM.SHA512]


def opened(desk: Desk) -> OathSession:
    """The maker's session, with the password from escrow given where one is asked for."""
    session = OathSession(desk.connect())
    if session.locked:
        password = desk.sealed(Purpose.HELP_DESK)["oath/password"].decode()
        session.validate(session.derive_key(password))
    return session


@pytest.mark.parametrize("model", MODELS)
def test_accounts_give_the_codes_of_the_sealed_seeds(model: str, tmp_path: Path) -> None:
    """Behind the sealed password stand the accounts, and each gives what its server expects."""
    desk = Desk(tmp_path, model)
    entry = desk.run(EVERYTHING)
    assert {step["state"] for step in entry["steps"]} == {"match"}
    assert OathSession(desk.connect()).locked
    session = opened(desk)
    accounts = session.list_credentials()
    assert [account.id for account in accounts] == NAMES
    seeds = desk.sealed(Purpose.AUTHENTICATION_SERVER)
    for number, (account, algorithm) in enumerate(zip(accounts, HASHES, strict=True), start=1):
        seed = seeds[f"oath/account/{number}/seed"]
        hotp = account.oath_type is OATH_TYPE.HOTP
        assert len(seed) == {"SHA1": 20, "SHA256": 32, "SHA512": 64}[algorithm.name]
        challenge = (5 if hotp else 12345).to_bytes(8)  # a server begins where the profile says
        answer = session.calculate(account.id, b"" if hotp else challenge)
        assert answer == hmac.digest(seed, challenge, algorithm.name.lower())
    codes = session.calculate_all(59)
    assert [account.touch_required for account in codes] == [False, True, False]
    assert [len(code.value) for code in codes.values() if code] == [6]


def test_facts_name_what_a_server_needs_and_no_holder(tmp_path: Path) -> None:
    """The entry has the parameters of each account; what is made of the roster is left out."""
    desk = Desk(tmp_path, "yubikey-5.7.4")
    steps = {step["id"]: step for step in desk.run(EVERYTHING)["steps"]}
    assert steps["oath/account/1"]["facts"] == {
        **{"kind": "totp", "algorithm": "sha1", "digits": 6, "period": 30},
        **{"touch": False, "issuer": "VPN", "proved": True},
    }
    assert "issuer" not in steps["oath/account/2"]["facts"]
    assert steps["oath/account/2"]["facts"]["name"] == "till"
    assert steps["oath/account/3"]["facts"]["counter"] == 5
    assert steps["oath/account/3"]["unread"] == ["seed", "digits", "counter", "touch"]
    assert desk.finger.asked == ["prove OATH account 2"]


def test_each_secret_goes_to_its_custodian(tmp_path: Path) -> None:
    """Seeds to the authentication server, the password to the help desk, all to break-glass."""
    desk = Desk(tmp_path, "yubikey-5.7.4")
    desk.run(EVERYTHING)
    seeds = {f"oath/account/{number}/seed" for number in (1, 2, 3)}
    assert set(desk.sealed(Purpose.AUTHENTICATION_SERVER)) == seeds
    assert set(desk.sealed(Purpose.HELP_DESK)) == {"oath/password"}
    assert set(desk.sealed()) == seeds | {"oath/password"}
    assert not desk.sealed(Purpose.TOKEN_ADMINISTRATION)


def test_a_plan_writes_nothing(tmp_path: Path) -> None:
    """Looking sends no command that writes."""
    desk = Desk(tmp_path, "yubikey-5.7.4")
    plan = desk.plan(EVERYTHING)
    assert not plan.refused
    assert {step.verdict for step in plan.steps} == {"write"}
    sent = {command[1] for _, command in sent_to(OATH, desk.commands)}
    assert sent
    assert not WRITES & sent


@pytest.mark.parametrize("what", ["password", "account"])
def test_somebody_elses_is_refused(what: str, tmp_path: Path) -> None:
    """A token with a password or an account is left as it is."""
    desk = Desk(tmp_path, "yubikey-5.7.4")
    session = OathSession(desk.connect())
    if what == "password":
        session.set_key(session.derive_key("theirs"))
    else:
        session.put_credential(
            CredentialData(
                name="theirs",
                oath_type=OATH_TYPE.TOTP,
                hash_algorithm=HASH_ALGORITHM.SHA1,
                secret=bytes(20),
            )
        )
    assert desk.plan(EVERYTHING).refused
    before = desk.token.dump()  # once looked at: some keys are made when they are first asked for
    with pytest.raises(TokenConflict, match="OATH"):
        desk.run(EVERYTHING)
    assert desk.token.dump() == before


def test_an_account_that_nobody_touches_is_not_counted(tmp_path: Path) -> None:
    """Without the touch there is no proof, and no entry; with it the same run finishes."""
    desk = Desk(tmp_path, "yubikey-5.7.4")
    desk.token.finger.policy = TouchPolicy(mode=TouchMode.NEVER, patience=0.01)
    with pytest.raises(TouchTimeout):
        desk.run(EVERYTHING)
    desk.token.finger.policy = TouchPolicy(patience=0.01)
    assert len(desk.run(EVERYTHING)["steps"]) == 4
    assert [account.id for account in opened(desk).list_credentials()] == NAMES


def test_another_seed_is_found_out(tmp_path: Path) -> None:
    """An account that was overwritten between two runs is a conflict, not a match."""
    desk = Desk(tmp_path, "yubikey-5.7.4")
    put = first_command(Desk(tmp_path / "whole", "yubikey-5.7.4"), bytes.fromhex("00010000"))
    with pytest.raises(Cut):
        desk.run(EVERYTHING, cut=(put, True))
    session = opened(desk)
    theirs = CredentialData(
        name="ada@corp.example.test",
        issuer="VPN",
        oath_type=OATH_TYPE.TOTP,
        hash_algorithm=HASH_ALGORITHM.SHA1,
        secret=bytes(20),
    )
    session.put_credential(theirs)
    with pytest.raises(TokenConflict, match="does not hold our seed"):
        desk.run(EVERYTHING)


def first_command(desk: Desk, header: bytes) -> int:
    """The number of the first command with that header, in a whole run."""
    desk.run(EVERYTHING)
    return next(n for n, one in sent_to(OATH, desk.commands) if one[:4] == header)


def test_cut_after_any_write_the_same_run_finishes(tmp_path: Path) -> None:
    """After any write the power fails; run again, the sealed seeds are on the token."""
    whole = Desk(tmp_path / "whole", "yubikey-5.7.4")
    whole.run(EVERYTHING)
    changing = WRITES | {0xA2, 0xA3}  # calculate counts, validate unlocks
    writes = [n for n, one in sent_to(OATH, whole.commands) if one[1] in changing]
    assert len(writes) > 8
    for number in writes:
        desk = Desk(tmp_path / str(number), "yubikey-5.7.4")
        with pytest.raises(Cut):
            desk.run(EVERYTHING, cut=(number, True))
        desk.run(EVERYTHING)
        session, seeds = opened(desk), desk.sealed()
        assert [account.id for account in session.list_credentials()] == NAMES
        hotp = session.calculate(NAMES[2], b"")
        seed = seeds["oath/account/3/seed"]
        assert hotp == hmac.digest(seed, (5).to_bytes(8), "sha512")


def test_room_is_what_the_token_has() -> None:
    """32 accounts before firmware 5.7, 64 from it."""
    assert room_for_accounts((5, 4, 3)) == 32
    assert room_for_accounts((5, 7, 0)) == 64


def test_a_wrong_password_is_a_refusal(tmp_path: Path) -> None:
    """The driver says that the password was refused, and the token still takes the right one."""
    desk = Desk(tmp_path, "yubikey-5.7.4")
    desk.run("[oath]\npassword = {}\n")
    oath = desk.yubikey(Line(desk.token)).oath()
    with pytest.raises(AuthenticationFailed):
        oath.unlock("wrong")
    oath.unlock(desk.sealed()["oath/password"].decode())
    assert oath.accounts() == ()
