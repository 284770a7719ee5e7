"""What the local relying party refuses, and that it then keeps nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from fido2.cose import RS256
from fido2.webauthn import (
    AttestationObject,
    AuthenticatorData,
    CollectedClientData,
)

import tokenprov.directory.credential
from tests.ceremonies import FLAG, LATER, NOW, ORDER, RP_ID, Software, begin
from tokenprov.attestation import Anchors
from tokenprov.directory import Assertion, RelyingParty
from tokenprov.errors import (
    AttestationError,
    DurabilityError,
    EvidenceError,
    InputError,
    StationError,
)


@pytest.fixture
def party(tmp_path: Path) -> RelyingParty:
    """A relying party without credentials."""
    return RelyingParty(tmp_path / "rp", RP_ID, "Example login", anchors=Anchors.vendor())


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A registration that is refused, and words of the reason."""

    name: str
    made: Callable[[Software], bytes]
    reason: str
    error: type[EvidenceError] = EvidenceError


RS256_KEY = RS256({1: 3, 3: -257, -1: bytes([0x80]) * 256, -2: b"\1\0\1"})

REFUSALS = [
    Refusal(name="other party", made=lambda s: s.made(rp_id="evil.test"), reason="Wrong RP ID"),
    Refusal(name="no touch", made=lambda s: s.made(flags=FLAG.UV), reason="User Present"),
    Refusal(name="no PIN", made=lambda s: s.made(flags=FLAG.UP), reason="User Verified"),
    Refusal(name="not offered", made=lambda s: s.made(key=RS256_KEY), reason="not offered"),
    Refusal(
        name="no credential",
        made=lambda s: bytes(
            AttestationObject.create(
                "none", AuthenticatorData.create(bytes(32), FLAG(FLAG.UP | FLAG.UV), 0), {}
            )
        ),
        reason="made no credential",
    ),
    Refusal(
        name="garbage", made=lambda s: b"\xa0", reason="cannot be read", error=AttestationError
    ),
    Refusal(
        name="wrong attestation",
        made=lambda s: bytes(
            AttestationObject.create(
                "packed", AttestationObject(s.made()).auth_data, {"alg": -7, "sig": b"\x30\x00"}
            )
        ),
        reason="does not hold",
        error=AttestationError,
    ),
]


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.name)
def test_refused_registrations_keep_nothing(party: RelyingParty, case: Refusal) -> None:
    """Each rule of registration refuses what breaks it, and nothing is on the disk."""
    with pytest.raises(case.error, match=case.reason) as caught:
        party.complete_registration(begin(party), case.made(Software()), now=NOW)
    assert caught.value.remedy
    assert list(party.credentials()) == []


@dataclass(frozen=True, kw_only=True)
class BadAssertion:
    """An assertion that is refused, and words of the reason."""

    name: str
    answer: Callable[[Software, Assertion], tuple[bytes, bytes]]
    reason: str


BAD_ASSERTIONS = [
    BadAssertion(
        name="other party",
        answer=lambda s, a: s.asserted(a, rp_id="evil.test"),
        reason="another relying party",
    ),
    BadAssertion(name="no touch", answer=lambda s, a: s.asserted(a, flags=4), reason="touched"),
    BadAssertion(name="no PIN", answer=lambda s, a: s.asserted(a, flags=1), reason="PIN"),
    BadAssertion(
        name="other key", answer=lambda s, a: Software().asserted(a), reason="registered key"
    ),
    BadAssertion(name="short", answer=lambda s, a: (b"\0" * 10, b""), reason="malformed"),
]


@pytest.mark.parametrize("case", BAD_ASSERTIONS, ids=lambda case: case.name)
def test_bad_assertions_are_refused(party: RelyingParty, case: BadAssertion) -> None:
    """Each rule of assertion refuses what breaks it, and the record stays."""
    software = Software()
    record = party.complete_registration(begin(party), software.made(), now=NOW)
    assertion = party.assertion(record)
    with pytest.raises(EvidenceError, match=case.reason):
        party.complete_assertion(assertion, *case.answer(software, assertion), now=LATER)
    assert party.find(ORDER) == record


def test_client_data_of_another_origin_is_refused(party: RelyingParty) -> None:
    """The server's check is on: client data that was not made here does not pass."""
    registration = begin(party)
    elsewhere = CollectedClientData.create(
        "webauthn.create", registration.client_data.challenge, "https://evil.test"
    )
    forged = replace(registration, client_data=elsewhere)
    with pytest.raises(EvidenceError, match="Invalid origin"):
        party.complete_registration(forged, Software().made(), now=NOW)


@pytest.mark.parametrize(
    "rp_id", ["", "https://a.test", "a.test/x", "A.test", "a..test", "../up", "a.test:443", "-a"]
)
def test_what_is_no_domain_is_refused(rp_id: str, tmp_path: Path) -> None:
    """A relying party is identified by a domain, which also names its folder."""
    with pytest.raises(InputError, match="not a domain"):
        RelyingParty(tmp_path, rp_id, "x", anchors=Anchors())


def test_damaged_records_are_named(party: RelyingParty, tmp_path: Path) -> None:
    """A record that was changed by hand is refused by its path."""
    party.complete_registration(begin(party), Software().made(), now=NOW)
    path = tmp_path / "rp" / RP_ID / f"{ORDER}.json"
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(StationError, match=f"{ORDER}.json is not a record"):
        party.find(ORDER)
    with pytest.raises(InputError, match="cannot name an order"):
        party.find("../up")


def test_nothing_is_handed_out_that_is_not_kept(
    party: RelyingParty, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the disk refuses, the registration fails and can be repeated."""

    def full(path: Path, data: bytes, mode: int = 0o644) -> None:
        raise DurabilityError("the disk is full", remedy="Free some space.")

    with monkeypatch.context() as patched:
        patched.setattr(tokenprov.directory.credential, "write_durable", full)
        with pytest.raises(DurabilityError):
            party.complete_registration(begin(party), Software().made(), now=NOW)
    assert party.find(ORDER) is None
    party.complete_registration(begin(party), Software().made(), now=NOW)
    assert party.find(ORDER) is not None
