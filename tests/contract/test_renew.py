"""Certificates that end soon are listed, and made anew beside the keys that are there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from tests.contract.test_replace import ENCRYPTING
from tests.contract.test_standing import revoked
from tests.contract.test_unblock import key_of
from tests.stations import Said, Station
from tests.token_under_test import TokenUnderTest
from tokenprov.issuer.ca.issued import IssuedFolder
from tokenprov.model import Purpose
from tokenprov.sim.bench import VirtualBench
from tokenprov.steps.piv.renewed import RenewedCertificateStep


@pytest.fixture
def issued(station: Station, token: TokenUnderTest) -> str:
    """A token of Ada's with a certificate in 9a; gives its serial."""
    said = station.tell(*station.batch())
    assert said.code == 0, said.out + said.err
    return token.serial


def renew(station: Station, serial: str, *options: str) -> Said:
    """By token administration."""
    key = key_of(station, Purpose.TOKEN_ADMINISTRATION)
    return station.tell("renew", serial, "--key", key, "--operator", "olga", *options, "--json")


def test_what_ends_soon_is_listed_and_renewed(
    station: Station, token: TokenUnderTest, issued: str
) -> None:
    """The new certificate is for the same key; the old one is revoked; no secret changes."""
    assert station.tell("renew", "--json").document == []
    (due,) = station.tell("renew", "--within", "400", "--json").document
    assert (due["serial"], due["step"]) == (issued, "piv/9a/certificate")
    assert renew(station, issued).code == 2
    planned = renew(station, issued, "--within", "400", "--dry-run")
    assert [one["verdict"] for one in planned.document["steps"]] == ["write"]
    before = {s["id"]: s for s in station.entry_of(issued)["steps"]}["piv/9a/certificate"]

    said = renew(station, issued, "--within", "400")
    assert said.code == 0, said.err
    (entry,) = station.entries("rotated")
    (step,) = entry["steps"]
    assert step["facts"]["serialNumber"] != before["facts"]["serialNumber"]
    old, new = (
        x509.load_der_x509_certificate(station.blob(one["evidence"][0]["sha256"]))
        for one in (before, step)
    )
    assert old.public_key() == new.public_key()
    assert revoked(station) == {before["facts"]["serialNumber"]: "superseded"}
    assert entry["credentials"][0]["outcome"] == "done"
    assert entry["secrets"] == []
    assert station.tell("token", "audit", issued).code == 0
    assert station.tell("manifest", "verify").code == 0

    assert station.tell("revoke", issued, "--reason", "stolen").code == 0
    assert revoked(station)[step["facts"]["serialNumber"]] == "keyCompromise"


class Cut(BaseException):
    """The power fails."""


def test_a_renewal_that_was_cut_off_asks_for_no_second_certificate(
    station: Station, issued: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut when the issuer had answered, it goes on with the certificate that there is."""
    apply = RenewedCertificateStep.apply

    def fail(*arguments: object) -> None:
        apply(*arguments)  # type: ignore[arg-type]  # whatever it was called with
        raise Cut

    with monkeypatch.context() as patch:
        patch.setattr(RenewedCertificateStep, "apply", fail)
        with pytest.raises(Cut):
            renew(station, issued, "--within", "400")
    said = renew(station, issued, "--within", "400")
    assert said.code == 0, said.err
    requests = IssuedFolder(station.home / "ca" / "requests")
    assert len(list(requests.all())) == 2
    assert len(revoked(station)) == 1
    assert station.tell("manifest", "verify").code == 0


def test_an_encryption_key_keeps_its_messages(
    station: Station, token: TokenUnderTest, tmp_path: Path
) -> None:
    """A key that was imported is not attested: its request is signed, with the holder's PIN."""
    profile = tmp_path / "encrypting.toml"
    profile.write_text(ENCRYPTING, encoding="utf-8")
    assert station.tell(*station.batch(profile=profile)).code == 0
    said = renew(station, token.serial, "--within", "400")
    assert said.code == 4
    pin = station.secrets(token.serial)["piv/pin"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("getpass.getpass", lambda prompt: pin)
        said = renew(station, token.serial, "--within", "400", "--pin")
    assert said.code == 0, said.err
    (entry,) = station.entries("rotated")
    assert {one["id"] for one in entry["steps"]} == {"piv/9a/certificate", "piv/9d/certificate"}
    ends = {datetime.fromisoformat(one["facts"]["notAfter"]) for one in entry["steps"]}
    assert min(ends) > datetime.now(UTC) + timedelta(days=360)
    assert len(revoked(station)) == 2
    assert station.tell("manifest", "verify").code == 0


@pytest.mark.parametrize("model", ["piv-card", "piv-card-t0"])
def test_a_card_of_another_maker_lives_on(
    station: Station, one_reader: VirtualBench, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    """By the standard alone its PIN is unblocked, its PUK made anew, its certificate renewed."""
    one_reader.control.replace(0, model=model)
    assert station.tell("token", "name", "--all").code == 0
    assert station.tell(*station.batch(profile="piv-card")).code == 0
    (entry,) = station.entries()
    serial = entry["token"]["serial"]
    before = station.secrets(serial)
    key = key_of(station, Purpose.HELP_DESK)
    for what in ("unblock", "rotate"):
        said = station.tell(what, serial, "--key", key, "--reason", "a test")
        assert said.code == 0, said.err
    after = station.secrets(serial)
    assert {name for name in after if after[name] != before[name]} == {"piv/pin", "piv/puk"}
    monkeypatch.setattr("getpass.getpass", lambda prompt: after["piv/pin"])
    said = station.tell("renew", serial, "--within", "4000", "--pin")
    assert said.code == 0, said.err
    assert set(revoked(station).values()) == {"superseded"}
    assert station.tell("manifest", "verify").code == 0
