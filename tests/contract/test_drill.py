"""Recovery is rehearsed: what works is recorded as passed, what does not as failed, with why."""

from __future__ import annotations

from pathlib import Path

import pytest
from yubikit.piv import PivSession

from tests.contract.conftest import fresh_token
from tests.contract.test_standing import revoked
from tests.contract.test_unblock import key_of
from tests.people import added, approved
from tests.softhsm import SOFTHSM, SoftHsm
from tests.stations import Said, Station
from tests.token_under_test import TokenUnderTest
from tokenprov.errors import PolicyError
from tokenprov.model import Purpose
from tokenprov.sim.bench import VirtualBench

SEED = ("--seed", "spring")


@pytest.fixture
def issued(station: Station, token: TokenUnderTest) -> str:
    """A token of Ada's; gives its serial."""
    said = station.tell(*station.batch())
    assert said.code == 0, said.out + said.err
    return token.serial


def drill(station: Station, what: str, *options: str | Path) -> Said:
    """The command, for programs."""
    return station.tell("drill", what, *SEED, "--operator", "olga", *options, "--json")


def recorded(station: Station) -> tuple[str, str]:
    """Kind and outcome of the last drill's entry; the manifest holds."""
    assert station.tell("manifest", "verify").code == 0
    entry = station.entries("drill")[-1]
    assert entry["facts"]["seed"] == "spring"
    return entry["drill"], entry["outcome"]


def test_the_puk_in_escrow_unblocks(station: Station, token: TokenUnderTest, issued: str) -> None:
    """On a twin, and on the real token, whose secrets stay as they are."""
    key = key_of(station, Purpose.HELP_DESK)
    before = token.state()
    said = drill(station, "puk", "--key", key)
    assert said.code == 0, said.err
    assert said.document["facts"]["tried"] == "a virtual twin"
    assert recorded(station) == ("puk", "passed")
    assert token.state() == before
    assert [one["form"] for one in station.entries("opened")] == ["drill"]
    real = drill(station, "puk", "--key", key, "--real")
    assert real.code == 0, real.err
    puk = station.secrets(issued)["piv/puk"]
    assert puk not in said.out + said.err + real.out + real.err
    with token.connection() as to:
        PivSession(to).change_puk(puk, "31415926")
    failed = drill(station, "puk", "--key", key, "--real")
    assert failed.code == 4
    assert failed.document["passed"] is False
    assert "is not the one in escrow" in failed.document["facts"]["why"]
    assert recorded(station) == ("puk", "failed")


def test_break_glass_opens_all_that_it_has(station: Station, issued: str) -> None:
    """Its key opens every envelope; another key is a drill that failed."""
    said = drill(station, "break-glass", "--key", key_of(station, Purpose.BREAK_GLASS))
    assert said.code == 0, said.err
    assert said.document["facts"]["opened"] == {issued: 8}
    assert recorded(station) == ("break-glass", "passed")
    wrong = drill(station, "break-glass", "--key", key_of(station, Purpose.HELP_DESK))
    assert wrong.code == 7
    assert recorded(station) == ("break-glass", "failed")


def test_a_replacement_is_rehearsed_and_leaves_no_trace(
    station: Station, issued: str, tmp_path: Path
) -> None:
    """In a copy the token is revoked and another issued; here nothing is, but the drill's entry."""
    said = drill(station, "replacement")
    assert said.code == 0, said.err
    assert said.document["facts"]["replaced"] == [{"old": {"serial": issued, "state": "revoked"}}]
    assert recorded(station) == ("replacement", "passed")
    assert revoked(station) == {}
    shown = station.tell("manifest", "show", "--json").document
    assert [entry["kind"] for entry in shown] == ["station", "issued", "drill"]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    assert station.tell("policy", "use", "office", "--reason", "a test").code == 0
    refused = drill(station, "replacement")
    assert refused.code != 0
    assert recorded(station) == ("replacement", "failed")


def test_drills_are_asked_for(station: Station, issued: str) -> None:
    """Under a policy nothing is opened for a drill that nobody agreed to; by approval it is."""
    rita, pavel = added(station, "rita", "requester"), added(station, "pavel", "approver")
    rules = station.home.with_name("rules.toml")
    rules.write_text('name = "d"\ndescription = "x"\n[separation]\nacts = { drill = 1 }\n')
    assert station.tell("policy", "use", rules, "--reason", "a test").code == 0
    puk = ("puk", "--key", key_of(station, Purpose.HELP_DESK))
    about = ("drill", "drill=puk", f"tokens={issued}")
    for real in ((), ("--real",)):
        refused = drill(station, *puk, *real)
        assert (refused.code, refused.out) == (PolicyError.exit_code, "")
        named = f"tokenprov approve request {about[0]} '{about[1]}' '{about[2]}'"
        assert named in refused.err
        assert station.entries("opened") == station.entries("drill") == []
    file = approved(station, rita, pavel, *about)
    said = drill(station, *puk, "--real", "--approval", file)
    assert said.code == 0, said.err
    entries = [*station.entries("opened"), *station.entries("drill")]
    assert [[one["name"] for one in entry["approvers"]] for entry in entries] == [["pavel"]] * 2
    assert station.tell("manifest", "verify").code == 0


def test_the_pin_of_the_signing_key_is_asked_once(
    station: Station, bench: VirtualBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many tokens are opened, and each opening recorded: the key stays open meanwhile."""
    hsm = SoftHsm.create(tmp_path / "hsm")
    hsm.deliver("station", "271828", "914736")
    tool = ("pkcs11-tool", "--module", str(SOFTHSM), "--token-label", "station", "--pin", "914736")
    hsm.run(*tool, "--keypairgen", "--key-type", "EC:prime256v1", "--label", "key", "--id", "01")
    monkeypatch.setenv("SOFTHSM2_CONF", hsm.environment["SOFTHSM2_CONF"])
    for reader in (0, 1):
        fresh_token(bench, "yubikey-5.7.4", reader)
    assert station.tell(*station.batch(holders=2)).code == 0
    asked: list[str] = []

    def typed(prompt: str) -> str:
        asked.append(prompt)
        return "914736"

    monkeypatch.setattr("getpass.getpass", typed)
    uri = f"pkcs11:token=station;object=key?module-path={SOFTHSM}"
    said = station.tell("manifest", "rotate-key", "--reason", "a test", "--to", uri)
    assert said.code == 0, said.err
    asked.clear()
    key = key_of(station, Purpose.BREAK_GLASS)
    said = drill(station, "break-glass", "--holders", "2", "--key", key)
    assert said.code == 0, said.err
    assert len(said.document["facts"]["opened"]) == 2
    assert len(asked) == 1
    assert recorded(station) == ("break-glass", "passed")


def test_a_backup_is_rehearsed(station: Station, issued: str) -> None:
    """Break-glass opens it, and an order that is open here is finished there, by a twin."""
    assert station.tell("batch", "new", station.roster(2, "next"), "--profile", "security-key")
    said = drill(station, "backup", "--key", key_of(station, Purpose.BREAK_GLASS))
    assert said.code == 0, said.err
    assert "finished" in said.document["facts"]
    assert recorded(station) == ("backup", "passed")
    wrong = drill(station, "backup", "--key", key_of(station, Purpose.HELP_DESK))
    assert wrong.code == 7
    assert recorded(station) == ("backup", "failed")


def test_the_spare_is_used(
    station: Station, bench: VirtualBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers at the relying party and signs; a spare that is not there fails the drill."""
    for reader in (0, 1):
        fresh_token(bench, "yubikey-5.7.4", reader)
    assert station.tell(*station.batch(kit=2)).code == 0
    (spare,) = [e["token"]["serial"] for e in station.entries() if e["kit"]["position"] == 1]
    pin = station.secrets(spare)["piv/pin"]
    monkeypatch.setattr("getpass.getpass", lambda prompt: pin)
    said = drill(station, "spare")
    assert said.code == 0, said.err
    assert said.document["facts"]["used"][spare] == {
        "asserted": ["login.example.test"],
        "signed": ["9a"],
    }
    assert recorded(station) == ("spare", "passed")
    bench.control.remove(int(spare))
    assert drill(station, "spare").code == 4
    assert recorded(station) == ("spare", "failed")


def test_the_seed_alone_picks(station: Station, bench: VirtualBench) -> None:
    """The same seed picks the same holder again, and another seed can pick another."""
    for reader in (0, 1):
        fresh_token(bench, "yubikey-5.7.4", reader)
    assert station.tell(*station.batch(holders=2)).code == 0
    key = key_of(station, Purpose.HELP_DESK)
    picked = {
        seed: [
            station.tell("drill", "puk", "--seed", seed, "--key", key, "--json").document["facts"][
                "tokens"
            ]
            for _ in range(2)
        ]
        for seed in ("1", "2", "3", "4", "5", "6")
    }
    assert all(first == second for first, second in picked.values())
    assert len({first[0] for first, _ in picked.values()}) == 2
