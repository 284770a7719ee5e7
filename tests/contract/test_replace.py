"""A holder gets another token: what is ended when, what comes along, and how the two are linked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.contract.conftest import fresh_token
from tests.contract.test_standing import certificate_of, passkey, revoked
from tests.stations import Said, Station
from tests.token_under_test import TokenUnderTest
from tokenprov.sim.bench import VirtualBench

ENCRYPTING = """name = "encrypting"
extends = "standard-employee"
without = ["otp", "fido2"]

[[piv.keys]]
slot = "9d"
algorithm = "eccp256"
origin = "escrowed"
[piv.keys.certificate]
issuer = "local"
email = true
subject = "{holder.name}"
usages = ["email-protection"]
"""


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    """A profile with an encryption key that break-glass can open."""
    path = tmp_path / "encrypting.toml"
    path.write_text(ENCRYPTING, encoding="utf-8")
    return path


def issue(station: Station, token: TokenUnderTest, **options: Any) -> str:
    """Issue it to Ada; gives its serial."""
    said = station.tell(*station.batch(**options))
    assert said.code == 0, said.out + said.err
    return token.serial


def replace(station: Station, subject: str, cause: str, *options: str | Path) -> Said:
    """The command, for programs."""
    return station.tell("replace", subject, "--reason", cause, *options, "--json")


def kinds(station: Station) -> list[str]:
    """Of all entries, in order."""
    return [entry["kind"] for entry in station.tell("manifest", "show", "--json").document]


def holds(station: Station) -> bool:
    """Whether the manifest verifies."""
    return station.tell("manifest", "verify").code == 0


def test_a_key_lost_on_friday_is_replaced_on_monday(
    station: Station, token: TokenUnderTest, one_reader: VirtualBench
) -> None:
    """Nothing of it is accepted from Friday on; on Monday the next token is in its place."""
    old = issue(station, token)
    serial = certificate_of(station, old)
    friday = replace(station, "E1", "lost", "--later", "--note", "in a taxi")
    assert friday.code == 8, friday.err
    assert revoked(station) == {serial: "keyCompromise"}
    assert passkey(station, old) is None
    assert station.tell("batch", "run", friday.document["batch"]).code == 2
    still_old = replace(station, "E1", "lost")
    assert still_old.code == 8
    assert "is revoked by entry" in still_old.only("TokenPassedOver")["reason"]

    new = fresh_token(one_reader, "yubikey-5.7.4").serial
    monday = replace(station, "E1", "lost")
    assert monday.code == 0, monday.err
    assert monday.document["new"]["serial"] == new
    before, after = station.entry_of(old), station.entry_of(new)
    assert after["holder"] == before["holder"]
    assert after["kit"] == before["kit"]
    (linked,) = station.entries("replaced")
    assert (linked["token"]["serial"], linked["by"]["serial"]) == (old, new)
    assert linked["reason"] == "lost: in a taxi"
    assert kinds(station) == ["station", "issued", "revoked", "issued", "replaced"]
    assert holds(station)
    again = replace(station, old, "lost")
    assert again.code == 4
    assert "was replaced by entry 4" in again.err


def test_a_dry_run_shows_the_whole(
    station: Station, token: TokenUnderTest, one_reader: VirtualBench, profile: Path
) -> None:
    """What ends, where and for which reason; what is issued, step by step; nothing is done."""
    old = issue(station, token, profile=profile)
    checkpoint = (station.home / "manifest" / "checkpoint").read_bytes()
    said = replace(station, old, "stolen", "--dry-run")
    assert said.code == 0, said.err
    shown = {one["step"]: one for one in said.document["steps"]}
    assert {one["where"] for one in shown.values()} == {"local"}
    assert shown["piv/9a/certificate"]["reason"] == "keyCompromise"
    acts = [one["title"] for one in said.document["acts"]]
    assert acts[0] == f"revoke the binding of token {old}, at once"
    assert acts[1] == "issue a token by profile encrypting to Ada Okonkwo, as the primary"
    assert acts[-1] == f"link the new token with token {old}"
    assert f"  piv/9d/key of token {old} into a retired slot, by break-glass" in acts
    planned = [one["step"] for one in said.document["acts"] if one["step"]]
    made = [one["id"] for one in station.entry_of(old)["steps"]]
    assert planned == [id for id in made if not id.startswith("left-out/")]
    for cause, word in (("damaged", "once the new token was issued"), ("lost", "at once")):
        people = station.tell("replace", old, "--reason", cause, "--dry-run").out
        assert word in people
        assert "local (superseded)" in people or cause == "lost"
    assert (station.home / "manifest" / "checkpoint").read_bytes() == checkpoint
    assert station.tell("batch", "status", "--json").document[0]["counts"]["issued"] == 1


def test_a_damaged_token_takes_its_encryption_keys_along(
    station: Station, token: TokenUnderTest, one_reader: VirtualBench, profile: Path
) -> None:
    """The old key is in the first retired slot of the new token, and the old one ends after it."""
    old = issue(station, token, profile=profile)
    before = station.entry_of(old)
    (first,) = (s for s in before["steps"] if s["id"] == "piv/9d/certificate")
    fresh_token(one_reader, "yubikey-5.7.4")
    refused = replace(station, old, "damaged")
    assert refused.code == 7
    assert "--key" in refused.err
    assert revoked(station) == {}

    key = station.home / "custodians" / "private" / "break-glass.pem"
    said = replace(station, old, "damaged", "--key", key)
    assert said.code == 0, said.err
    after = station.entry_of(said.document["new"]["serial"])
    facts = {step["id"]: step["facts"] for step in after["steps"] if step["state"] == "match"}
    assert facts["piv/82/certificate"]["sha256"] == first["facts"]["sha256"]
    assert facts["piv/key-history"]["onCard"] == 1
    assert facts["piv/9d/certificate"]["sha256"] != first["facts"]["sha256"]
    retired = x509.load_der_x509_certificate(station.blob(first["evidence"][0]["sha256"]))
    assert set(revoked(station).values()) == {"superseded"}
    assert f"{retired.serial_number:x}" in revoked(station)
    assert kinds(station)[2:] == ["opened", "issued", "revoked", "replaced"]
    assert holds(station)

    third = fresh_token(one_reader, "yubikey-5.7.4").serial
    assert replace(station, "E1", "upgrade", "--key", key).code == 0
    last = {step["id"]: step["facts"] for step in station.entry_of(third)["steps"]}
    assert last["piv/key-history"]["onCard"] == 2
    assert last["piv/82/certificate"]["sha256"] == facts["piv/9d/certificate"]["sha256"]
    assert last["piv/83/certificate"]["sha256"] == first["facts"]["sha256"]


def test_a_token_stands_in_for_one_that_was_forgotten(
    station: Station, token: TokenUnderTest, one_reader: VirtualBench
) -> None:
    """The old one is on hold and comes back; the other one ends by its last day at the latest."""
    old = issue(station, token)
    until = (datetime.now(UTC) + timedelta(days=2)).date()
    other = fresh_token(one_reader, "yubikey-5.7.4").serial
    assert replace(station, "E1", "forgotten").code == 2
    said = replace(station, "E1", "forgotten", "--until", until.isoformat())
    assert said.code == 0, said.err
    assert said.document["old"]["state"] == "suspended"
    assert revoked(station) == {certificate_of(station, old): "certificateHold"}
    steps = {step["id"]: step["facts"] for step in station.entry_of(other)["steps"]}
    assert steps["piv/9a/certificate"]["notAfter"][:10] <= (until + timedelta(days=1)).isoformat()
    desk = ("--reason", "found at home")
    assert station.tell("resume", old, *desk).code == 0
    assert station.tell("revoke", other, "--reason", "expired").code == 0
    assert revoked(station) == {certificate_of(station, other): "superseded"}
    assert kinds(station)[2:] == ["suspended", "issued", "resumed", "revoked"]
    assert holds(station)


def test_a_spare_keeps_its_place_in_the_kit(station: Station, bench: VirtualBench) -> None:
    """Of a kit of two the spare is replaced: position and size stay, the primary is untouched."""
    primary, spare = (fresh_token(bench, "yubikey-5.7.4", reader).serial for reader in (0, 1))
    assert station.tell(*station.batch(kit=2)).code == 0
    by_position = {e["kit"]["position"]: e["token"]["serial"] for e in station.entries()}
    assert set(by_position.values()) == {primary, spare}
    said = replace(station, "E1", "lost")
    assert said.code == 2
    assert "2 tokens of E1 are held or suspended" in said.err
    reader = 0 if by_position[1] == primary else 1
    new = fresh_token(bench, "yubikey-5.7.4", reader).serial
    said = replace(station, by_position[1], "lost")
    assert said.code == 0, said.err
    assert station.entry_of(new)["kit"] == {"position": 1, "size": 2}
    assert said.document["new"]["serial"] == new
    assert holds(station)
