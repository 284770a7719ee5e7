"""The policy language: what is refused with file and line, and what rules have against an act."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from tokenprov.errors import InputError
from tokenprov.policy import Act, Action
from tokenprov.policy.acting import Circumstances, objections_to
from tokenprov.policy.language import Policy, catalogue
from tokenprov.policy.load import load_policy, parse_policy, ready_policies
from tokenprov.policy.made import objections
from tokenprov.profile import load_profile, parse_profile
from tokenprov.record.people import Person, Role
from tokenprov.record.verifier_key import VerifierKey

HEAD = 'name = "desk"\ndescription = "a test"\n'
PAGE = Path(__file__).resolve().parents[2] / "profiles" / "policy" / "README.md"
TODAY = date(2026, 2, 3)


def parse(text: str) -> Policy:
    """A policy with these tables."""
    return parse_policy(f"{HEAD}{text}".encode(), "desk.toml")


@pytest.mark.parametrize(
    ("text", "where", "says"),
    [
        ("", "desk.toml", "has no rule"),
        ("[seperation]", "desk.toml, line 3, seperation", "Did you mean 'separation'"),
        ("[separation]", "line 3", "'acts' is missing"),
        ("[separation]\nacts = { open = 0 }", "line 4", "0 people cannot agree"),
        ("[separation]\nacts = { open = '1' }", "line 4", "is not a whole number"),
        ("[separation]\nacts = { opn = 1 }", "line 4", "Did you mean 'open'"),
        ("[pin]\nlength = 5", "line 4", "6 are the least"),
        ("[pin]\ntries = 11", "line 4", "10 are the most"),
        ("[recovery-codes]\nbits = 60", "line 4", "64 are the least"),
        ("[revocation]\nhours = 19", "line 4", "18 are the most"),
        ("[waivers]\ndays = 400", "line 4", "no exception's time"),
        ("[parity.groups.x]\ntokens = 0", "line 4", "0 tokens a holder"),
        ("[authenticated-holder]\nproofs = []", "line 4", "nobody ever gets a token back"),
        ("[pin]\nlevel = 'maybe'", "line 4", "is not a value of this key"),
        ("[pin", "line 3", "not TOML"),
    ],
)
def test_refused(text: str, where: str, says: str) -> None:
    """What cannot be a rule, or is weaker than its source, is refused where it stands."""
    with pytest.raises(InputError) as caught:
        parse(text)
    assert where in str(caught.value)
    assert says in str(caught.value)


def test_names() -> None:
    """A policy's name is of small words."""
    with pytest.raises(InputError, match="not a name for a policy"):
        parse_policy(b'name = "My Rules"\ndescription = "x"\n[pin]\n', "x.toml")
    with pytest.raises(InputError, match="there is no policy"):
        load_policy("nonsense")


@pytest.mark.parametrize("name", ready_policies())
def test_ready_ones(name: str) -> None:
    """Each ready policy is called as its file, and comes back from what is kept of it."""
    policy = load_policy(name)
    assert policy.name == name
    again = Policy.model_validate(policy.to_json(), by_alias=True, by_name=False)
    assert (again, again.digest) == (policy, policy.digest)
    assert list(objections(policy, load_profile("privileged-administrator"), ["privileged"])) == []


def test_every_rule_names_its_source() -> None:
    """Together the ready policies have every rule, each with a sentence and a source."""
    rules = catalogue()
    used = {rule for name in ready_policies() for rule in load_policy(name).in_force}
    assert used == set(rules)
    assert all(kind.says and kind.source for kind in rules.values())


def person(name: str, *roles: Role) -> Person:
    """Somebody with a key that nobody signs with here."""
    public = ed25519.Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32)).public_key()
    return Person(key=VerifierKey.of(name, public), roles=frozenset(roles))


def against(text: str, act: Act, **given: Any) -> list[str]:
    """What the rules have against an act."""
    people: Mapping[str, Person] = given.pop("people", {})
    circumstances = Circumstances(
        **{
            "policy": parse(text),
            "approvals": (),
            "people": people,
            "proofs": (),
            "signed": False,
            "today": TODAY,
            **given,
        }
    )
    return [f"{one.rule}: {one.what}" for one in objections_to(act, circumstances)]


CHANGES = "[separation]\nacts = { people = 2, policy = 2 }\n"


@pytest.mark.parametrize(
    ("approvers", "requesters", "asked"),
    [(0, 0, False), (1, 1, False), (2, 0, False), (2, 1, True)],
)
def test_while_there_is_nobody_to_ask(approvers: int, requesters: int, asked: bool) -> None:
    """People are named without agreement until there are enough of them to agree."""
    named = [person(f"a{n}", Role.APPROVER) for n in range(approvers)]
    named += [person(f"r{n}", Role.REQUESTER) for n in range(requesters)]
    act = Act(action=Action.PEOPLE, operator="olga")
    found = against(CHANGES, act, people={one.name: one for one in named})
    assert bool(found) is asked


@pytest.mark.parametrize(
    ("days", "says"),
    [(0, ""), (30, ""), (31, "longer than the 30 days"), (-1, "is past")],
)
def test_how_long_a_waiver_may_last(days: int, says: str) -> None:
    """Up to the policy's limit, and not in the past; never without somebody else."""
    until = (TODAY + timedelta(days=days)).isoformat()
    act = Act(action=Action.WAIVE, operator="olga", about={"rule": "pin", "until": until})
    found = against("[waivers]\ndays = 30\n", act)
    assert found[0].startswith("waivers: waive needs one other person")
    assert [says in one for one in found[1:]] == ([True] if says else [])
    assert "the policy knows no exceptions" in against("[pin]", act)[-1]


def test_proofs_of_a_group() -> None:
    """A group that accepts less than the policy does is not brought back by the rest."""
    text = '[authenticated-holder]\n[parity.groups.admins]\nproofs = ["identity-check"]\n'
    act = Act(action=Action.REPLACE, operator="olga", groups=("admins",))
    assert against(text, act, proofs=("recovery-code",)) != []
    assert against(text, act, proofs=("identity-check",)) == []
    plain = Act(action=Action.REPLACE, operator="olga")
    assert against(text, plain, proofs=("recovery-code",)) == []


def test_letters_by_who_made_the_tokens() -> None:
    """PINs are printed by somebody who has none of the tokens; other exports are not these."""
    about = {"form": "pin-letter", "batch": "b1"}
    act = Act(action=Action.EXPORT, operator="olga", about=about)
    assert "olga made these tokens" in against("[apart]", act, makers=frozenset({"olga"}))[0]
    assert against("[apart]", act, makers=frozenset({"hana"})) == []


def test_what_a_profile_makes() -> None:
    """A profile with a short PIN, many tries, an open slot, or not the group's own is named."""
    profile = parse_profile(
        b'name = "weak"\n[piv]\npin = { length = 6, retries = 10 }\n'
        b'[otp]\nslot2 = { kind = "hmac-sha1", access-code = false }\n',
        "weak.toml",
    )
    policy = parse(
        "[pin]\nlength = 8\ntries = 5\n[no-defaults]\n"
        '[parity.groups.admins]\nprofiles = ["admin"]\nphishing-resistant = true\n'
    )
    said = [what for _, what in objections(policy, profile, ["admins", "others"])]
    assert said == [
        "piv.pin has 6 characters; 8 are the least",
        "piv.pin has 10 tries; 5 are the most",
        "otp.slot2 has no access code",
        "weak is not what admins have: admin",
        "weak gives admins nothing that resists phishing",
    ]


def test_what_a_profile_for_a_module_makes() -> None:
    """Its user PIN has a length, too, and its certificates resist phishing."""
    profile = parse_profile(
        b'name = "hsm"\n[pkcs11]\nmodule = "softhsm2"\nuser-pin = { length = 6 }\n'
        b'[[pkcs11.keys]]\nid = "01"\nlabel = "login"\nalgorithm = "eccp256"\n'
        b'certificate = { usages = ["client-auth"] }\n',
        "hsm.toml",
    )
    policy = parse(
        "[pin]\nlength = 8\ntries = 5\n[parity.groups.admins]\nphishing-resistant = true\n"
    )
    said = [what for _, what in objections(policy, profile, ["admins"])]
    assert said == ["pkcs11.user-pin has 6 characters; 8 are the least"]
    assert profile.certified == {"pkcs11/01/certificate": "local"}


def test_the_page_has_every_rule() -> None:
    """profiles/policy/README.md lists every rule with its keys and source, and every action."""
    page = PAGE.read_text(encoding="utf-8")
    rows = {cells[0].strip(" `"): cells for cells in _rows(page)}
    assert set(catalogue()) <= set(rows)
    for name, kind in catalogue().items():
        keys = {field.alias for field in kind.model_fields.values()} - {"level"}
        assert all(f"`{key}" in rows[name][1] for key in keys), name
    assert all(f"`{action}`" in page for action in Action if action is not Action.IDENTIFY)
    assert all(f"[{name}]({name}.toml)" in page for name in ready_policies())


def _rows(page: str) -> list[list[str]]:
    return [line.strip("|").split(" | ") for line in page.splitlines() if line.startswith("| `")]
