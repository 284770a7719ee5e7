"""A holder leaves, and what still lives is named; and the chain of control with its weak links."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.conftest import fresh_token
from tests.contract.test_standing import certificate_of, passkey, revoked
from tests.contract.test_unblock import key_of
from tests.people import added, approved
from tests.stations import Station
from tests.token_under_test import TokenUnderTest
from tokenprov.errors import IssuerUnanswered, PolicyError, StationError, TokenprovError
from tokenprov.issuer import LocalCa
from tokenprov.model import Purpose
from tokenprov.sim.bench import VirtualBench

WHY = ("--reason", "her contract ended", "--operator", "olga")


@pytest.fixture
def kit(station: Station, bench: VirtualBench) -> list[str]:
    """Ada's primary and spare; gives their serials by position."""
    for reader in (0, 1):
        fresh_token(bench, "yubikey-5.7.4", reader)
    said = station.tell(*station.batch(kit=2))
    assert said.code == 0, said.out + said.err
    issued = sorted(station.entries(), key=lambda entry: int(entry["kit"]["position"]))
    return [entry["token"]["serial"] for entry in issued]


def test_everything_that_a_holder_has_ends(station: Station, kit: list[str]) -> None:
    """Both tokens are revoked, their certificates and passkeys ended, the rest named with where."""
    shown = station.tell("holder", "show", "E1", "--json").document
    assert [one["serial"] for one in shown["tokens"]] == kit
    accepted = {one["step"] for one in shown["relying"] if one["accepted"]}
    assert accepted == {"piv/9a/certificate", "fido2/credential/login.example.test"}
    before = station.tell("holder", "leave", "E1", *WHY, "--dry-run", "--json").document
    assert before["ended"] == []
    assert revoked(station) == {}

    said = station.tell("holder", "leave", "Ada Okonkwo", *WHY, "--json")
    assert said.code == 0, said.err
    assert said.document["ended"] == kit
    assert revoked(station) == {
        certificate_of(station, serial): "affiliationChanged" for serial in kit
    }
    assert [passkey(station, serial) for serial in kit] == [None, None]
    assert {one["accepted"] for one in said.document["living"]} == {None}
    assert {one["where"] for one in said.document["living"]} == {
        "the authentication server",
        "whatever was set up with it",
    }
    states = station.tell("holder", "tokens", "E1", "--json").document
    assert [one["state"] for one in states] == ["revoked", "revoked"]
    assert station.tell("holder", "leave", "E1", *WHY, "--json").document["ended"] == []
    assert station.tell("manifest", "verify").code == 0


@pytest.mark.parametrize(
    "error",
    [
        IssuerUnanswered("the authority does not answer", remedy="Try again later."),
        StationError("issuers/est.password cannot be read", remedy="Write the password into it."),
    ],
    ids=["unanswered", "settings"],
)
def test_an_issuer_that_does_not_answer_keeps_nothing_else_from_ending(
    station: Station, kit: list[str], monkeypatch: pytest.MonkeyPatch, error: TokenprovError
) -> None:
    """The passkeys go, what is left is named, and the same command ends it later."""

    def silent(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(LocalCa, "revoke", silent)
        said = station.tell("holder", "leave", "E1", *WHY, "--json")
    assert said.code == error.exit_code
    assert said.document["ended"] == []
    assert [passkey(station, serial) for serial in kit] == [None, None]
    assert {one["step"] for one in said.document["living"] if one["accepted"]} == {
        "piv/9a/certificate"
    }
    again = station.tell("holder", "leave", "E1", *WHY, "--json")
    assert again.code == 0, again.err
    assert again.document["ended"] == kit
    assert len(revoked(station)) == 2


def test_leaving_by_agreement_goes_on_with_the_same(
    station: Station, kit: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One approval is for all tokens of the holder, and for the rest where it stopped halfway."""
    rita, pavel = added(station, "rita", "requester"), added(station, "pavel", "approver")
    rules = station.home.with_name("rules.toml")
    rules.write_text('name = "l"\ndescription = "x"\n[separation]\nacts = { leave = 1 }\n')
    assert station.tell("policy", "use", rules, "--reason", "a test").code == 0
    command = ("holder", "leave", "E1", *WHY, "--json")
    refused = station.tell(*command)
    tokens = f"tokens={','.join(sorted(kit))}"
    assert (refused.code, refused.out) == (PolicyError.exit_code, "")
    assert f"tokenprov approve request leave '{tokens}'" in refused.err
    assert revoked(station) == {}
    file = approved(station, rita, pavel, "leave", tokens)
    calls, revoke = 0, LocalCa.revoke

    def once(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise IssuerUnanswered("the authority does not answer", remedy="Try again later.")
        return revoke(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(LocalCa, "revoke", once)
        said = station.tell(*command, "--approval", file)
    assert (said.code, said.document["ended"]) == (5, kit[:1]), said.err
    again = station.tell(*command, "--approval", file)
    assert (again.code, again.document["ended"]) == (0, kit[1:]), again.err
    ends = station.entries("revoked")
    assert [[one["name"] for one in entry["approvers"]] for entry in ends] == [["pavel"]] * 2
    assert station.tell("manifest", "verify").code == 0


def test_the_chain_names_its_weak_links(
    station: Station, token: TokenUnderTest, one_reader: VirtualBench
) -> None:
    """Approved and shown evidence stand in it; a way back in that asks for less is told."""
    assert station.tell(*station.batch()).code == 0
    help_desk = key_of(station, Purpose.HELP_DESK)
    rita, pavel = added(station, "rita", "requester"), added(station, "pavel", "approver")
    agreed = approved(station, rita, pavel, "unblock", f"token={token.serial}")
    unblock = ("unblock", token.serial, "--key", help_desk, *WHY)
    assert station.tell(*unblock, "--approval", agreed).code == 0
    assert station.tell(*unblock).code == 0
    chain = station.tell("trace", "E1", "--json").document
    assert [link["what"] for link in chain if link["what"] != "opened"] == [
        *("enrolled", "issued", "unblocked", "unblocked"),
    ]
    issued = next(link for link in chain if link["what"] == "issued")
    assert issued["grade"] in ("attested", "partly")
    assert "piv-attestation" in issued["evidence"]
    assert set(issued["faults"]) == {
        "where the token came from is not recorded",
        "how its PIN came to the holder is not recorded",
    }
    first, second = (link for link in chain if link["what"] == "unblocked")
    assert (first["requester"], first["approvers"]) == ("rita", ["pavel"])
    assert "approval" in first["evidence"]
    assert second["approvers"] == []
    assert all(
        "nothing shows that the holder was authenticated (SP 800-63B 4.1.2.1)" in link["faults"]
        for link in (first, second)
    )
    opened = ("escrow", "open", token.serial, "--purpose", "help-desk", "--key", help_desk)
    made_by = chain[0]["operator"]
    assert station.tell(*opened, "--reason", "letter", "--operator", made_by).code == 0
    last = station.tell("trace", token.serial, "--json").document[-1]
    assert last["faults"] == [f"{made_by} made the token, and opened its PIN"]
    for_people = station.tell("trace", token.serial)
    assert "made the token, and opened its PIN" in for_people.out
