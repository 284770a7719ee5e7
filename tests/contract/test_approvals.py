"""People and approvals, by the commands: an opening that another person agreed to, and those that
nobody did.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.people import Somebody, added, agreed, approved, requested, somebody
from tests.softhsm import SOFTHSM, SoftHsm
from tests.stations import Said, Station
from tests.token_under_test import TokenUnderTest
from tokenprov.errors import ApprovalError

PUK = ("purpose=help-desk",)


@pytest.fixture
def issued(station: Station, token: TokenUnderTest) -> Station:
    """A station that has issued one token."""
    assert station.tell(*station.batch()).code == 0
    return station


@pytest.fixture
def rita(issued: Station) -> Somebody:
    """Who requests."""
    return added(issued, "rita", "requester")


@pytest.fixture
def pavel(issued: Station) -> Somebody:
    """Who approves, by a key on P-256."""
    return added(issued, "pavel", "approver", p256=True)


def open_with(station: Station, serial: str, *approvals: Path, operator: str = "olga") -> Said:
    """Open the help desk's secrets of a token, with these approvals."""
    key = station.home / "custodians" / "private" / "help-desk.pem"
    return station.tell(
        *("escrow", "open", serial, "--purpose", "help-desk", "--key", key, "--json"),
        *("--reason", "ticket 4711", "--operator", operator),
        *(f"--approval={file}" for file in approvals),
    )


def test_an_approved_opening(
    issued: Station, token: TokenUnderTest, rita: Somebody, pavel: Somebody
) -> None:
    """The entry names who agreed, with what they signed; it verifies, and serves once."""
    file = approved(issued, rita, pavel, "open", f"token={token.serial}", *PUK)
    shown = issued.tell("approve", "show", file, "--json").document
    assert (shown["requester"], shown["approvers"]) == ("rita", ["pavel"])
    said = open_with(issued, token.serial, file)
    assert said.code == 0, said.err
    (entry,) = issued.entries("opened")
    (approver,) = entry["approvers"]
    assert (approver["name"], entry["clearance"]["requester"]) == ("pavel", "rita")
    assert entry["clearance"]["request"] == shown["digest"]
    assert issued.blob(approver["evidence"][0]["sha256"]) == file.read_bytes()
    assert issued.tell("manifest", "verify").code == 0
    again = open_with(issued, token.serial, file)
    assert (again.code, again.out) == (ApprovalError.exit_code, "")
    assert "was used already" in again.err


def test_approvals_that_do_not_fit(
    issued: Station, token: TokenUnderTest, rita: Somebody, pavel: Somebody
) -> None:
    """For another serial or action, expired, or by the operator: refused, nothing recorded."""
    token_named = f"token={token.serial}"
    other = approved(issued, rita, pavel, "open", "token=1", *PUK, name="other")
    export = approved(issued, rita, pavel, "export", token_named, *PUK, name="export")
    late = requested(issued, rita, "open", token_named, *PUK, hours=-1, name="late")
    assert agreed(issued, late, pavel).code == 0
    own = approved(issued, rita, pavel, "open", token_named, *PUK, name="own")
    for file, operator, why in (
        (other, "olga", "approved is purpose=help-desk, token=1"),
        (export, "olga", "approved is export"),
        (late, "olga", "held until"),
        (own, "pavel", "pavel approved it"),
    ):
        said = open_with(issued, token.serial, file, operator=operator)
        assert (said.code, said.out) == (ApprovalError.exit_code, "")
        assert why in said.err
    assert issued.entries("opened") == []


def test_strangers_and_oneself(issued: Station, rita: Somebody, pavel: Somebody) -> None:
    """Nobody signs their own request twice, and a stranger's request is nobody's."""
    file = requested(issued, rita, "open", "token=1", *PUK)
    assert agreed(issued, file, rita).code == 2
    eve = somebody(issued.home.parent, "eve")
    false = requested(issued, eve, "open", "token=1", *PUK, name="false")
    assert agreed(issued, false, pavel).code == 0
    said = issued.tell("approve", "show", false)
    assert said.code == ApprovalError.exit_code
    assert "eve did not sign" in said.err


def test_people_come_and_go(issued: Station, rita: Somebody, pavel: Somebody) -> None:
    """They stand in the manifest with key and roles; who was removed is listed no more."""
    listed = issued.tell("people", "list", "--json").document
    assert [(one["name"], one["roles"]) for one in listed] == [
        ("pavel", ["approver"]),
        ("rita", ["requester"]),
    ]
    assert "pavel" in issued.tell("people", "list").out
    said = issued.tell("people", "remove", "pavel", "--reason", "has left")
    assert said.code == 0, said.err
    assert [one["name"] for one in issued.tell("people", "list", "--json").document] == ["rita"]
    (*_, last) = issued.entries("person-changed")
    assert (last["person"], last["roles"], last["reason"]) == ("pavel", [], "has left")
    assert issued.tell("people", "remove", "pavel", "--reason", "again").code == 2
    assert issued.tell("manifest", "verify").code == 0


def test_seeds_for_a_server_are_approved_by_form(
    issued: Station, token: TokenUnderTest, rita: Somebody, pavel: Somebody, tmp_path: Path
) -> None:
    """An export goes by a request for that form and purpose, and its entry names who agreed."""
    file = approved(issued, rita, pavel, "export", "form=yubico-csv", "purpose=break-glass")
    said = issued.tell(
        *("escrow", "export", "--for", "yubico-csv", "--out", tmp_path / "seeds.csv"),
        *("--key", issued.home / "custodians" / "private" / "break-glass.pem"),
        *("--purpose", "break-glass", "--reason", "new server", "--approval", file),
    )
    assert said.code == 0, said.err
    (entry,) = issued.entries("opened")
    assert [one["name"] for one in entry["approvers"]] == ["pavel"]
    assert issued.tell("manifest", "verify").code == 0


def test_an_approver_with_an_hsm(
    issued: Station, rita: Somebody, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An approver's key may be in a PKCS#11 token, where the module signs with it."""
    hsm = SoftHsm.create(tmp_path / "hsm")
    hsm.deliver("people", "12345678", "1234")
    tool = ("pkcs11-tool", "--module", str(SOFTHSM), "--token-label", "people", "--pin", "1234")
    hsm.run(*tool, "--keypairgen", "--key-type", "EC:prime256v1", "--label", "pavel", "--id", "01")
    der, pem, pin = (tmp_path / name for name in ("pavel.der", "pavel.pem", "pin"))
    read = ("--read-object", "--type", "pubkey", "--label", "pavel", "--output-file", str(der))
    hsm.run(*tool, *read)
    hsm.run("openssl", "pkey", "-pubin", "-inform", "DER", "-in", str(der), "-out", str(pem))
    pin.write_text("1234\n")
    monkeypatch.setenv("SOFTHSM2_CONF", hsm.environment["SOFTHSM2_CONF"])
    said = issued.tell(
        *("people", "add", "pavel", "--key", pem, "--role", "approver", "--reason", "new"),
    )
    assert said.code == 0, said.err
    file = requested(issued, rita, "open", "token=1", *PUK)
    uri = f"pkcs11:token=people;object=pavel?module-path={SOFTHSM}&pin-source={pin}"
    said = issued.tell("approve", "sign", file, "--yes", "--as", "pavel", "--key", uri)
    assert said.code == 0, said.err
    assert issued.tell("approve", "show", file, "--json").document["approvers"] == ["pavel"]
