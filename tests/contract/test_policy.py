"""The rules of a station, by the commands: what they refuse, let through, and report."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.people import Somebody, added, approved, requested
from tests.stations import Said, Station, tell
from tests.token_under_test import TokenUnderTest
from tokenprov.errors import ApprovalError, InputError, PolicyError

RULES = """
name = "desk"
description = "the rules of a test"
[separation]
acts = { open = 1, policy = 1, people = 1 }
operator-signs = ["suspend"]
[authenticated-holder]
acts = ["resume"]
proofs = ["identity-check"]
[waivers]
days = 10
most = 1
[two-authenticators]
"""


@pytest.fixture
def ruled(station: Station, token: TokenUnderTest) -> Station:
    """A station with one token issued, which goes by these rules."""
    assert station.tell(*station.batch()).code == 0
    said = use(station, RULES)
    assert said.code == 0, said.err
    return station


def use(station: Station, rules: str, *options: str) -> Said:
    """Have a station go by these rules."""
    file = station.home.with_name("rules.toml")
    file.write_text(rules)
    return station.tell("policy", "use", file, "--reason", "from today on", *options)


def open_puk(station: Station, serial: str, *options: str | Path) -> Said:
    """Open the help desk's secrets of a token."""
    key = station.home / "custodians" / "private" / "help-desk.pem"
    return station.tell(
        *("escrow", "open", serial, "--purpose", "help-desk", "--key", key),
        *("--reason", "a call", "--operator", "olga", *options),
    )


def test_nobody_opens_alone(ruled: Station, token: TokenUnderTest) -> None:
    """Refused with the rule, its source and the way; by approval it goes, and the policy stands
    with it.
    """
    said = open_puk(ruled, token.serial)
    assert (said.code, said.out) == (PolicyError.exit_code, "")
    assert "separation (SP 800-53 AC-5)" in said.err
    request = f"tokenprov approve request open 'purpose=help-desk' 'token={token.serial}'"
    assert request in said.err
    assert ruled.entries("opened") == []
    rita, pavel = added(ruled, "rita", "requester"), added(ruled, "pavel", "approver")
    about = ("open", f"token={token.serial}", "purpose=help-desk")
    said = open_puk(ruled, token.serial, "--approval", approved(ruled, rita, pavel, *about))
    assert said.code == 0, said.err
    (entry,) = ruled.entries("opened")
    assert entry["clearance"]["policy"]["name"] == "desk"
    assert ruled.tell("manifest", "verify").code == 0


def test_who_asks_does_not_do_it(ruled: Station, token: TokenUnderTest) -> None:
    """The requester is not the operator, whoever agreed."""
    olga, pavel = added(ruled, "olga", "requester"), added(ruled, "pavel", "approver")
    file = approved(ruled, olga, pavel, "open", f"token={token.serial}", "purpose=help-desk")
    said = open_puk(ruled, token.serial, "--approval", file)
    assert said.code == PolicyError.exit_code
    assert "olga requested it" in said.err


def test_rules_and_people_are_changed_by_agreement(ruled: Station) -> None:
    """While there is nobody to ask nobody is asked; from then on whoever is."""
    rita, pavel = added(ruled, "rita", "requester"), added(ruled, "pavel", "approver")
    weaker = RULES.replace("open = 1, ", "")
    said = use(ruled, weaker)
    assert said.code == PolicyError.exit_code
    said = ruled.tell("people", "remove", "pavel", "--reason", "in the way")
    assert said.code == PolicyError.exit_code
    digest = ruled.tell("policy", "show", ruled.home.with_name("rules.toml"), "--json").document
    assert "open" not in digest["separation"]["acts"]
    refused = said.err
    assert "tokenprov approve request people" in refused
    wanted = use(ruled, weaker).err.split("approve request ")[1].split(";")[0].replace("'", "")
    agreed = approved(ruled, rita, pavel, *wanted.split())
    said = use(ruled, weaker, "--approval", str(agreed))
    assert said.code == 0, said.err
    assert [one["policy"]["name"] for one in ruled.entries("policy-changed")] == ["desk", "desk"]
    assert ruled.tell("manifest", "verify").code == 0


def test_a_waiver_lets_through_what_it_is_for(ruled: Station, token: TokenUnderTest) -> None:
    """Granted by agreement, for one token and rule, up to the longest day, and no second of it."""
    rita, pavel = added(ruled, "rita", "requester"), added(ruled, "pavel", "approver")
    today = ruled.tell("people", "list", "--json")  # the clock is the station's
    assert today.code == 0
    until = ruled.entries("person-changed")[0]["time"][:10]
    options = ("--until", until, "--token", token.serial, "--reason", "help desk of one")
    said = ruled.tell("waiver", "grant", "separation", *options)
    assert said.code == PolicyError.exit_code
    about = ("waive", "rule=separation", f"until={until}", f"token={token.serial}")
    file = approved(ruled, rita, pavel, *about)
    far = ruled.tell("waiver", "grant", "separation", "--until", "2099-01-01", "--reason", "x")
    assert "longer than the 10 days" in far.err or "needs one other person" in far.err
    said = ruled.tell("waiver", "grant", "separation", *options, "--approval", file)
    assert said.code == 0, said.err
    (waiver,) = ruled.tell("waiver", "list", "--json").document
    assert (waiver["rule"], waiver["token"], waiver["approvers"]) == (
        "separation",
        token.serial,
        ["pavel"],
    )
    assert open_puk(ruled, token.serial).code == 0
    (entry,) = ruled.entries("opened")
    assert entry["clearance"]["waivers"] == [waiver["waiver"]]
    assert waiver["waiver"] in ruled.tell("waiver", "list").out
    assert ruled.tell("manifest", "verify").code == 0


def test_the_operator_signs(ruled: Station, token: TokenUnderTest) -> None:
    """Where the policy asks for it an act goes only under the operator's own key, kept as such."""
    desk = ("--reason", "in a drawer", "--operator", "olga")
    said = ruled.tell("suspend", token.serial, *desk)
    assert said.code == PolicyError.exit_code
    assert "--operator-key" in said.err
    olga, eve = added(ruled, "olga", "operator"), added(ruled, "eve", "requester")
    said = ruled.tell("suspend", token.serial, *desk, "--operator-key", eve.private)
    assert said.code == ApprovalError.exit_code
    said = ruled.tell("suspend", token.serial, *desk, "--operator-key", olga.private)
    assert said.code == 0, said.err
    (entry,) = ruled.entries("suspended")
    (evidence,) = entry["clearance"]["evidence"]
    assert evidence["type"] == "operator-signature"
    assert "tokenprov/operation/v1" in ruled.blob(evidence["sha256"]).decode()
    assert ruled.tell("manifest", "verify").code == 0


def identified(station: Station, witness: Somebody, serial: str, name: str = "seen") -> Path:
    """A witness's statement that they saw the holder of a token."""
    return requested(station, witness, "identify", f"token={serial}", name=name)


def test_a_callers_word_is_no_proof(ruled: Station, token: TokenUnderTest) -> None:
    """A token is resumed for a holder whom a witness saw: not another's, not oneself's, once."""
    olga = added(ruled, "olga", "operator", "witness")
    walt = added(ruled, "walt", "witness")
    desk = ("--reason", "a call", "--operator", "olga")
    suspended = ruled.tell("suspend", token.serial, *desk, "--operator-key", olga.private)
    assert suspended.code == 0, suspended.err
    said = ruled.tell("resume", token.serial, *desk)
    assert said.code == PolicyError.exit_code
    assert "authenticated by identity-check" in said.err
    for proof, why in (
        (identified(ruled, walt, "1", "other"), "identified was the holder of token=1"),
        (identified(ruled, olga, token.serial, "own"), "olga identified the holder"),
    ):
        said = ruled.tell("resume", token.serial, *desk, "--proof", proof)
        assert said.code == ApprovalError.exit_code
        assert why in said.err
    seen = identified(ruled, walt, token.serial)
    said = ruled.tell("resume", token.serial, *desk, "--proof", seen)
    assert said.code == 0, said.err
    (entry,) = ruled.entries("resumed")
    assert [one["type"] for one in entry["clearance"]["evidence"]] == ["identity-check"]
    again = ruled.tell("suspend", token.serial, *desk, "--operator-key", olga.private)
    assert again.code == 0, again.err
    said = ruled.tell("resume", token.serial, *desk, "--proof", seen)
    assert said.code == ApprovalError.exit_code
    assert "used already" in said.err


ALL = """
name = "all"
description = "whatever can be asked for"
[separation]
acts.issue = 1
acts.export = 1
acts.reseal = 1
acts.rotate-custodian = 1
acts.split = 1
acts.erase = 1
acts.suspend = 1
acts.revoke = 1
acts.unblock = 1
acts.rotate = 1
acts.replace = 1
"""


def test_every_act_is_asked_for(station: Station, token: TokenUnderTest, tmp_path: Path) -> None:
    """Each command that acts is refused without agreement, before it has done anything."""
    assert station.tell(*station.batch()).code == 0
    rita, pavel = added(station, "rita", "requester"), added(station, "pavel", "approver")
    assert use(station, ALL).code == 0
    keys = station.home / "custodians" / "private"
    public = station.home / "custodians" / "break-glass.pem"
    desk, out = ("--reason", "a test", "--operator", "olga"), tmp_path / "out"
    help_desk = ("--key", keys / "help-desk.pem")
    commands: dict[str, tuple[str | Path, ...]] = {
        "reseal": (
            *("escrow", "reseal", "--from-key", keys / "help-desk.pem"),
            *("--to", f"help-desk={public}"),
        ),
        "rotate-custodian": ("escrow", "rotate", f"help-desk={public}"),
        "split": (
            *("escrow", "split", *help_desk, "--shares", "3", "--threshold", "2"),
            *("--out", out),
        ),
        "export": (
            *("escrow", "export", "--for", "yubico-csv", "--out", out),
            *("--key", keys / "authentication-server.pem"),
        ),
        "erase": ("holder", "erase", "E1", "--yes"),
        "suspend": ("suspend", token.serial),
        "unblock": ("unblock", token.serial, *help_desk),
        "rotate": ("rotate", token.serial, "--key", keys / "token-administration.pem"),
    }
    before = len(station.tell("manifest", "show", "--json").document)
    for action, command in commands.items():
        said = station.tell(*command, *desk)
        assert (said.code, said.out) == (PolicyError.exit_code, ""), (action, said.err)
        assert f"tokenprov approve request {action}" in said.err
    for action, command in {
        "revoke": ("revoke", token.serial, "--reason", "stolen", "--operator", "olga"),
        "replace": ("replace", token.serial, "--reason", "stolen", "--operator", "olga"),
    }.items():
        said = station.tell(*command)
        assert said.code == PolicyError.exit_code, (action, said.err)
        assert f"tokenprov approve request {action}" in said.err
    assert not out.exists()
    assert len(station.tell("manifest", "show", "--json").document) == before
    suspend = approved(station, rita, pavel, "suspend", f"token={token.serial}")
    said = station.tell("suspend", token.serial, *desk, "--approval", suspend)
    assert said.code == 0, said.err
    erasure = approved(station, rita, pavel, "erase", "holder=E1", name="erasure")
    said = station.tell("holder", "erase", "E1", "--yes", *desk, "--approval", erasure)
    assert said.code == 0, said.err
    assert station.tell("manifest", "verify").code == 0


def test_a_batch_by_agreement(station: Station, token: TokenUnderTest) -> None:
    """Issuing waits for somebody else, who then stands in the entry of each token."""
    rules = 'name = "issue"\ndescription = "x"\n[separation]\nacts = { issue = 1 }\n'
    assert use(station, rules).code == 0
    rita, pavel = added(station, "rita", "requester"), added(station, "pavel", "approver")
    said = station.tell(*station.batch())
    assert said.code == PolicyError.exit_code
    batch = said.err.split("'batch=")[1].split("'")[0]
    file = approved(station, rita, pavel, "issue", f"batch={batch}")
    said = station.tell("batch", "run", batch, "--approval", file)
    assert said.code == 0, said.err
    entry = station.entry_of(token.serial)
    assert [one["name"] for one in entry["approvers"]] == ["pavel"]
    assert entry["clearance"]["policy"]["name"] == "issue"
    assert station.tell("manifest", "verify").code == 0


def test_a_profile_that_breaks_a_rule_is_not_issued(
    station: Station, token: TokenUnderTest
) -> None:
    """A PIN shorter than the policy's stops the batch before a token is touched."""
    rules = 'name = "long"\ndescription = "long PINs"\n[pin]\nlength = 12\n'
    assert use(station, rules).code == 0
    said = station.tell(*station.batch())
    assert said.code == PolicyError.exit_code
    assert "pin (FIPS 201-3 4.3.1)" in said.err
    assert station.entries() == []


def test_the_report(ruled: Station, token: TokenUnderTest) -> None:
    """`policy check` names what does not hold with its source, and exits with 9."""
    said = ruled.tell("policy", "check", "--json")
    assert said.code == PolicyError.exit_code
    assert said.document["policy"] == "desk"
    (finding,) = said.document["findings"]
    assert finding["rule"] == "two-authenticators"
    assert "holder E1 has 1 of 2 tokens" in finding["what"]
    shown = ruled.tell("policy", "check")
    assert "SP 800-63B 4.1.2" in shown.out
    assert "desk: 4 rules, 1 findings" in shown.out
    other = ruled.tell("policy", "check", "office", "--json")
    assert {one["rule"] for one in other.document["findings"]} == {
        *("two-authenticators", "independence"),
    }


def test_explaining(ruled: Station) -> None:
    """Every rule says what it asks for and where that is from; those here with their level."""
    rows = ruled.tell("policy", "explain", "--json").document
    assert all(row["says"] and row["source"] for row in rows)
    levels = {row["rule"]: row["level"] for row in rows}
    assert levels["separation"] == "refuse"
    assert levels["parity"] is None
    assert "operator-signs" in ruled.tell("policy", "explain", "separation").out
    assert ruled.tell("policy", "explain", "nonsense").code == 2
    assert {"office", "small-team", "high-assurance"} == {
        one["name"] for one in ruled.tell("policy", "list", "--json").document
    }


def test_without_a_policy(station: Station) -> None:
    """Nothing is refused for a rule, and the check says that there are none."""
    assert station.tell("policy", "check").code == 2
    said = station.tell("waiver", "grant", "pin", "--until", "2099-01-01", "--reason", "x")
    assert "no rule 'pin' holds here" in said.err


def test_a_station_begins_with_its_rules(tmp_path: Path) -> None:
    """They hold from the second entry on; rules that cannot be read leave no home behind."""
    home, rules = tmp_path / "home", tmp_path / "rules.toml"
    rules.write_text(RULES.replace("days = 10", "days = 1000"))
    said = tell("init", home, "--name", "bench", "--policy", rules)
    assert said.code == InputError.exit_code
    assert "line 11" in said.err
    assert not home.exists()
    rules.write_text(RULES)
    said = tell("init", home, "--name", "bench", "--policy", rules, "--operator", "olga")
    assert said.code == 0, said.err
    station = Station(home=home)
    (entry,) = station.entries("policy-changed")
    assert (entry["policy"]["name"], entry["operator"]) == ("desk", "olga")
    assert station.tell("policy", "show", "--json").document["waivers"]["days"] == 10
    assert station.tell("manifest", "verify").code == 0
    assert use(station, RULES.replace("days = 10", "days = 20")).code == 0  # nobody is to ask yet
