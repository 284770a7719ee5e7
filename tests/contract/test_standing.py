"""A token is suspended, resumed and revoked: where it is accepted, and on the record.

What relies on the token is looked at where it is accepted: the authority's list of what it revoked,
and the relying party's answer to an assertion.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509

from tests.stations import Station
from tests.token_under_test import TokenUnderTest
from tokenprov.home import Home
from tokenprov.issuer import LocalCa
from tokenprov.record.works import WorkBook

RP = "login.example.test"
WHY = ("--reason", "told at the desk", "--operator", "olga")


@pytest.fixture
def issued(station: Station, token: TokenUnderTest) -> str:
    """A token of Ada's; gives its serial."""
    said = station.tell(*station.batch())
    assert said.code == 0, said.out + said.err
    return token.serial


def certificate_of(station: Station, serial: str) -> str:
    """The serial number of the certificate in 9a."""
    steps = {step["id"]: step for step in station.entry_of(serial)["steps"]}
    return str(steps["piv/9a/certificate"]["facts"]["serialNumber"])


def revoked(station: Station) -> dict[str, str]:
    """What the authority's list has, by serial number in hex: why."""
    ca = LocalCa.open(station.home / "ca")
    found = x509.load_der_x509_crl(ca.publish(datetime.now(UTC), whole=True).whole)
    return {
        f"{one.serial_number:x}": one.extensions.get_extension_for_class(
            x509.CRLReason
        ).value.reason.value
        for one in found
    }


def passkey(station: Station, serial: str) -> Any:
    """What the relying party has of the token's credential."""
    home = Home.open(station.home)
    return home.relying_party(RP, RP).find(station.entry_of(serial)["order"])


def test_a_lost_token_is_accepted_nowhere(station: Station, issued: str) -> None:
    """Its certificate is revoked for the reason, its passkey gone, the rest listed; it verifies."""
    said = station.tell("revoke", issued, "--reason", "lost", "--note", "on a train", "--json")
    assert said.code == 0, said.err
    assert said.document["state"] == "revoked"
    assert revoked(station) == {certificate_of(station, issued): "keyCompromise"}
    assert passkey(station, issued) is None
    (entry,) = station.entries("revoked")
    assert (entry["reason"], entry["cause"]) == ("lost: on a train", "lost")
    outcomes = {one["id"]: one["outcome"] for one in entry["credentials"]}
    assert outcomes["piv/9a/certificate"] == outcomes[f"fido2/credential/{RP}"] == "done"
    assert outcomes["otp/1"] == "elsewhere"
    assert station.tell("manifest", "verify").code == 0
    again = station.tell("revoke", issued, "--reason", "lost")
    assert again.code == 4
    assert "is revoked since entry" in again.err


def test_a_suspended_token_comes_back(station: Station, issued: str) -> None:
    """Its certificate is on hold and its passkey refused; both are as before when it is resumed."""
    serial = certificate_of(station, issued)
    assert station.tell("suspend", "E1", *WHY).code == 0
    assert revoked(station) == {serial: "certificateHold"}
    assert passkey(station, issued).suspended is not None
    assert station.tell("resume", issued, *WHY).code == 0
    assert revoked(station) == {}
    assert passkey(station, issued).suspended is None
    assert [entry["kind"] for entry in station.entries("resumed")] == ["resumed"]
    assert station.tell("revoke", issued, "--reason", "damaged").code == 0
    assert revoked(station) == {serial: "superseded"}
    assert station.tell("resume", issued, *WHY).code == 4
    assert station.tell("manifest", "verify").code == 0


def test_a_dry_run_changes_nothing(station: Station, issued: str) -> None:
    """It says what would be done, and neither manifest nor authority has anything of it."""
    before = len(station.tell("manifest", "show", "--json").document)
    said = station.tell("revoke", issued, "--reason", "stolen", "--dry-run", "--json")
    assert said.code == 0, said.err
    verdicts = {one["step"]: one["verdict"] for one in said.document["steps"]}
    assert verdicts["piv/9a/certificate"] == "do"
    assert verdicts["otp/1"] == "elsewhere"
    assert revoked(station) == {}
    assert len(station.tell("manifest", "show", "--json").document) == before


class Cut(BaseException):
    """The power fails."""


@pytest.mark.parametrize("place", [(WorkBook, "finish"), (LocalCa, "status")])
def test_a_revocation_that_was_cut_off_is_finished(
    station: Station, issued: str, monkeypatch: pytest.MonkeyPatch, place: tuple[type, str]
) -> None:
    """Cut before the authority was asked or after the entry: one entry, with the first reason."""

    def fail(*_: object, **__: object) -> None:
        raise Cut

    with monkeypatch.context() as patch:
        patch.setattr(*place, fail)
        with pytest.raises(Cut):
            station.tell("revoke", issued, "--reason", "stolen", "--note", "first")
    again = station.tell("revoke", issued, "--reason", "lost", "--note", "second")
    assert again.code in (0, 4), again.err
    (entry,) = station.entries("revoked")
    assert entry["reason"] == "stolen: first"
    assert revoked(station) == {certificate_of(station, issued): "keyCompromise"}
    assert station.tell("manifest", "verify").code == 0


def test_a_token_found_again_is_named_and_left_alone(station: Station, issued: str) -> None:
    """Put into a reader of the next batch, it is told as revoked and gets no order."""
    assert station.tell("revoke", issued, "--reason", "lost").code == 0
    said = station.tell(*station.batch(holders=2, name="next"))
    assert said.code == 8
    reason = said.only("TokenPassedOver")["reason"]
    assert "is revoked by entry" in reason
    assert len(station.entries()) == 1


def test_who_is_meant(station: Station, issued: str) -> None:
    """A holder is found by id, name or mail address; nobody and a stranger's token are refused."""
    for name in ("E1", "Ada Okonkwo", "e1@example.test"):
        said = station.tell("suspend", name, *WHY, "--dry-run", "--json")
        assert said.document["serial"] == issued
    said = station.tell("suspend", "12345", *WHY)
    assert said.code == 2
    assert "nobody is known here as '12345'" in said.err
