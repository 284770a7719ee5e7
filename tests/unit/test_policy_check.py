"""Each rule against a record that keeps it and one that does not, and waivers that cover it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.record_samples import about, blobs, issued
from tokenprov.home import Home, create_home
from tokenprov.model import Holder, Order
from tokenprov.policy.check import _CHECKS, check
from tokenprov.policy.finding import Finding
from tokenprov.policy.language import Policy, catalogue
from tokenprov.record.entry import Entry
from tokenprov.record.opening import Opening, commit_holder
from tokenprov.record.works import WorkKind, WorkRecord

NOON = datetime(2026, 2, 3, 12, 0, tzinfo=UTC)
SPARE = {"position": 1, "size": 2}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty home of the samples' station."""
    path = tmp_path_factory.mktemp("policy") / "station"
    made = datetime(2026, 1, 1, tzinfo=UTC)
    create_home(path, name="station-a", operator="olga", custodians={}, clock=lambda: made)
    for key in (path / "custodians" / "private").iterdir():
        key.unlink()
    return path


@pytest.fixture
def home(template: Path, tmp_path: Path) -> Home:
    """A copy of it, at noon."""
    shutil.copytree(template, tmp_path / "station")
    return replace(Home.open(tmp_path / "station"), clock=lambda: NOON)


def holder(number: int, **members: Any) -> Opening:
    """Somebody with these members."""
    base: dict[str, Any] = {"name": f"P {number}", "email": f"p{number}@example.org"}
    return commit_holder(Holder(id=f"p{number}", **{**base, **members}), bytes(32))


def issue(home: Home, number: int, opening: Opening | None = None, **changes: Any) -> int:
    """Issue token number so-and-so to a holder."""
    to = opening or holder(number)
    entry = issued(number, holder={"commitment": to.commitment}, **changes)
    return home.manifest.append(entry, blobs(number), to)


def act(home: Home, entry: Entry) -> int:
    """Record an act without blobs."""
    return home.manifest.append({**entry, "secrets": []} if "secrets" in entry else entry)


def found(home: Home, **rules: dict[str, Any]) -> list[Finding]:
    """What does not hold of these rules."""
    names = {name.replace("_", "-"): settings for name, settings in rules.items()}
    policy = Policy.model_validate(
        {"name": "test", "description": "a test", **names}, by_alias=True, by_name=False
    )
    return check(home, policy)


def texts(findings: Sequence[Finding]) -> str:
    """What they say, a line each."""
    return "\n".join(f"{one.rule}: {one.what}" for one in findings)


def steps(*made: str, **facts: Any) -> list[dict[str, Any]]:
    """Steps that matched; the last one with these facts."""
    found = [{"id": one, "state": "match", "facts": {}} for one in made]
    return [*found[:-1], {**found[-1], "facts": facts}]


def test_every_rule_is_checked() -> None:
    """No rule of the language goes without a check."""
    assert set(_CHECKS) == set(catalogue())


def test_two_authenticators(home: Home) -> None:
    """A holder with a primary and no spare is listed; with a spare they are not."""
    issue(home, 0)
    assert "holder p0 has 1 of 2 tokens" in texts(found(home, two_authenticators={}))
    issue(home, 2, holder(0), kit=SPARE)
    assert found(home, two_authenticators={}) == []
    assert len(found(home, two_authenticators={"least": 3})) == 1
    act(home, about("revoked", 2, holder={"commitment": holder(0).commitment}))
    assert len(found(home, two_authenticators={})) == 1


def test_recorded_bindings(home: Home) -> None:
    """What is known of a serial must be enough."""
    token = issued(0)["token"]
    issue(home, 0, token={**token, "grade": "partly"})
    assert found(home, recorded_bindings={"grade": "partly"}) == []
    assert "is partly, and attested" in texts(found(home, recorded_bindings={"grade": "attested"}))


def test_old_token(home: Home) -> None:
    """Of two tokens in one place of a kit the older one is named, once its time is up."""
    issue(home, 0, time="2026-02-01T08:00:00Z")
    issue(home, 2, holder(0), order="b1-again", time="2026-02-02T08:00:00Z")
    (finding,) = found(home, old_token={"hours": 24})
    assert (finding.token, finding.index) == ("10000000", 1)
    assert found(home, old_token={"hours": 48}) == []


@pytest.mark.parametrize(("outcome", "broken"), [("done", False), ("elsewhere", True)])
def test_revocation(home: Home, outcome: str, broken: bool) -> None:
    """A certificate of a lost token whose revocation nobody read back is named."""
    issue(home, 0)
    part = {"id": "piv/9a/certificate", "kind": "certificate", "outcome": outcome, "facts": {}}
    lost = about("revoked", 0, holder={"commitment": holder(0).commitment}, cause="lost")
    act(home, {**lost, "credentials": [part]})
    assert bool(found(home, revocation={})) is broken


def test_leaving(home: Home) -> None:
    """A token of somebody whose last day is past is named after the time that is given."""
    issue(home, 0, holder(0, last_day=date(2026, 2, 1)))
    assert "left on 2026-02-01" in texts(found(home, leaving={"hours": 24}))
    assert found(home, leaving={"hours": 48}) == []


@pytest.mark.parametrize(
    ("made", "facts", "broken"),
    [
        ("piv/pin", {"length": 6}, False),
        ("piv/pin", {"length": 5}, True),
        ("fido2/pin", {"length": 4}, True),
        ("piv/tries", {"pinTries": 10}, False),
        ("piv/tries", {"pinTries": 15}, True),
        ("otp/1", {"length": 4}, False),
    ],
)
def test_pin(home: Home, made: str, facts: dict[str, int], broken: bool) -> None:
    """What was read back of PINs is measured."""
    issue_bare(home, steps(made, **facts))
    assert bool(found(home, pin={})) is broken


def issue_bare(home: Home, made: list[dict[str, Any]], **changes: Any) -> int:
    """Issue token 0 with these steps, and no evidence of them."""
    entry = issued(0, steps=made, holder={"commitment": holder(0).commitment}, **changes)
    return home.manifest.append(entry, blobs(0)[1:], holder(0))


@pytest.mark.parametrize(
    ("made", "broken"),
    [
        (["piv/9a/key"], True),
        (["piv/9a/key", "piv/pin", "piv/puk"], True),
        (["piv/9a/key", "piv/pin", "piv/puk", "piv/management-key"], False),
        (["openpgp/signature/key", "openpgp/user-pin"], True),
        (["fido2/credential/a.test"], True),
        (["fido2/credential/a.test", "fido2/pin"], False),
        (["pkcs11/01/key", "pkcs11/token"], True),
        (["pkcs11/01/key", "pkcs11/token", "pkcs11/user-pin"], False),
        (["otp/1"], False),
    ],
)
def test_no_defaults(home: Home, made: list[str], broken: bool) -> None:
    """Keys whose guard was not set are named."""
    issue_bare(home, steps(*made))
    assert bool(found(home, no_defaults={})) is broken


def test_one_identity(home: Home) -> None:
    """Two holders of one account are named, however it is written."""
    issue(home, 0, holder(0, upn="Ada@corp.test"))
    issue(home, 1, holder(1, upn="ada@corp.test"))
    assert "ada@corp.test is that of holders p0 and p1" in texts(found(home, one_identity={}))


def test_apart(home: Home) -> None:
    """A PIN letter printed by whoever made the token is named, another's is not."""
    issue(home, 0)
    act(home, about("opened", 0, form="pin-letter", operator="hana"))
    assert found(home, apart={}) == []
    act(home, about("opened", 0, form="pin-letter"))
    assert "olga made token 10000000" in texts(found(home, apart={}))


def test_acts_before_the_rules_are_not_judged(home: Home) -> None:
    """An opening that nobody agreed to counts from the entry on that brought the rules."""
    issue(home, 0)
    act(home, about("opened", 0))
    rules = {"separation": {"acts": {"open": 1}}}
    (finding,) = found(home, **rules)
    assert "opened by olga: 0 of 1 agreed" in finding.what
    entry = about("policy-changed")
    home.manifest.append(entry)
    assert found(home, **rules) == []


def test_replacing_without_proof(home: Home) -> None:
    """A token replaced for a caller of whom nothing is known is named."""
    to = {"commitment": holder(0).commitment}
    issue(home, 0)
    issue(home, 2, holder(0), order="b1-new")
    act(home, about("replaced", 0, holder=to, by=issued(2)["token"]))
    (finding,) = found(home, authenticated_holder={})
    assert (finding.rule, finding.token) == ("authenticated-holder", "10000000")


PRIVILEGED = {"profiles": ["admin"], "tokens": 2, "phishing-resistant": True, "last-day": True}


def test_parity(home: Home) -> None:
    """Who is in a group and has another profile, no spare, no passkey or no last day is listed."""
    issue_to(home, holder(0, groups=("privileged",)), steps("otp/1"))
    said = texts(found(home, parity={"groups": {"privileged": PRIVILEGED}}))
    assert "1 of 2 tokens" in said
    assert "is employee, not admin" in said
    assert "neither a passkey nor a certificate" in said
    assert "no last day" in said
    assert found(home, parity={"groups": {"others": PRIVILEGED}}) == []


@pytest.mark.parametrize(
    ("made", "resists"),
    [
        ("fido2/credential/a.test", True),
        ("piv/9a/certificate", True),
        ("pkcs11/01/certificate", True),
        ("piv/9a/key", False),
        ("otp/1", False),
    ],
)
def test_what_resists_phishing(home: Home, made: str, resists: bool) -> None:
    """A passkey, or a key with a certificate, on whatever kind of token."""
    issue_to(home, holder(0, groups=("privileged",)), steps(made))
    said = texts(found(home, parity={"groups": {"privileged": {"phishing-resistant": True}}}))
    assert ("neither a passkey nor a certificate" in said) is not resists


def issue_to(home: Home, to: Opening, made: list[dict[str, Any]]) -> None:
    """Issue token 0 to a holder with these steps."""
    entry = issued(0, steps=made, holder={"commitment": to.commitment})
    home.manifest.append(entry, blobs(0)[1:], to)


@pytest.mark.parametrize(
    ("extra", "why"),
    [
        ({"place": "desk", "spare-place": "Desk"}, "keeps the spare where the primary is"),
        ({"recovery": "P0@example.org"}, "which the token itself opens"),
        ({"place": "desk", "spare-place": "safe", "recovery": "aunt@home.test"}, ""),
    ],
)
def test_kept_together(home: Home, extra: dict[str, str], why: str) -> None:
    """By the roster's columns: a spare with its primary, and a recovery on the same factor."""
    issue(home, 0, holder(0, extra=extra))
    said = texts(found(home, independence={}))
    assert why in said
    assert bool(said) is bool(why)


def test_custodians_apart(home: Home) -> None:
    """One key for two purposes, a key in the home, and a custodian who operates are named."""
    issue(home, 0)
    assert found(home, independence={}) == []
    names = {"help-desk": "olga", "break-glass": "hana", "token-administration": "hana"}
    said = texts(found(home, independence={"custodians": names}))
    assert "olga is the custodian help-desk, and operates" in said
    assert "hana is the custodian of break-glass and of token-administration" in said
    folder = home.path / "custodians"
    (folder / "private" / "break-glass.pem").write_text("a key")
    (folder / "help-desk.pem").write_bytes((folder / "break-glass.pem").read_bytes())
    again = replace(Home.open(home.path), clock=home.clock)
    said = texts(found(again, independence={}))
    assert "opens what is sealed to break-glass and to help-desk" in said
    assert "the private key of break-glass lies in the station home" in said


def waive(home: Home, number: int, rule: str, **members: Any) -> None:
    """Grant a waiver."""
    act(home, about("waiver", number, policy=rule, **{"until": "2026-03-01", **members}))


@pytest.mark.parametrize(
    ("members", "covers"),
    [
        ({}, True),
        ({"until": "2026-02-03"}, True),  # its last day is today
        ({"until": "2026-02-02"}, False),
        ({"token": issued(0)["token"]}, True),
        ({"token": issued(1)["token"]}, False),
        ({"holder": {"commitment": holder(0).commitment}}, True),
        ({"holder": {"commitment": holder(1).commitment}}, False),
        ({"batch": "b1"}, True),
        ({"batch": "b2"}, False),
    ],
)
def test_what_a_waiver_covers(home: Home, members: dict[str, Any], covers: bool) -> None:
    """A finding is waived for the rule, the time and the token, holder or batch that it names."""
    issue_bare(home, steps("piv/pin", length=4))
    waive(home, 0, "pin", **members)
    waive(home, 1, "no-defaults")
    (finding,) = found(home, pin={})
    assert finding.waiver == ("w-0" if covers else "")


def test_too_many_waivers(home: Home) -> None:
    """Many of one kind, and one that lasts too long, are findings that no waiver covers."""
    for number in range(3):
        waive(home, number, "pin")
    waive(home, 9, "waivers", until="2027-01-01")
    said = texts(found(home, waivers={"most": 2, "days": 30}))
    assert "3 waivers of pin hold at a time" in said
    assert "waiver w-9 of waivers lasts until 2027-01-01" in said
    assert not any(one.waiver for one in found(home, waivers={"most": 2, "days": 30}))


@pytest.mark.parametrize("hours", [1, 3])
def test_a_report_that_nothing_came_of(home: Home, hours: int) -> None:
    """A work begun for a loss that has not ended the token is named when its time is up."""
    issue(home, 0)
    order = Order(
        id="b1-0000",
        batch="b1",
        holder=Holder(id="p0", name="P 0", email="p0@example.org"),
        position=0,
        profile="employee",
        profile_digest="5a" * 32,
    )
    home.ledger.create_batch("b1", "r", "employee", "5a" * 32, "{}", 2, [order], NOON, "olga")
    begun = WorkRecord(
        id="w1",
        kind=WorkKind.REPLACE,
        label="10000000",
        order="b1-0000",
        parameters={"cause": "stolen"},
        reason="stolen",
        operator="olga",
        began=NOON - timedelta(hours=2),
    )
    home.ledger.works.begin(begun)
    assert bool(found(home, compromise={"hours": hours})) is (hours < 2)


def test_recovery_codes(home: Home) -> None:
    """Codes that hold longer than the rule allows are named."""
    issue(home, 0)
    to = {"commitment": holder(0).commitment}
    act(home, about("recovery-codes", 0, holder=to, until="2026-03-31"))
    assert found(home, recovery_codes={"days": 60}) == []
    assert "hold until 2026-03-31" in texts(found(home, recovery_codes={"days": 30}))


def test_findings_as_json(home: Home) -> None:
    """A finding is a document of what is not empty."""
    issue(home, 0)
    (finding,) = found(home, two_authenticators={})
    document = json.loads(json.dumps(finding.to_json()))
    assert set(document) == {"rule", "what", "remedy", "holder"}
