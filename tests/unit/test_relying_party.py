"""The local relying party: ceremonies with a virtual authenticator, and what it refuses."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2.cose import ES256, RS256
from fido2.ctap2.base import AssertionResponse
from fido2.ctap2.credman import CredentialManagement
from fido2.ctap2.pin import ClientPin
from fido2.server import Fido2Server
from fido2.webauthn import (
    AttestationObject,
    AttestedCredentialData,
    AuthenticationResponse,
    AuthenticatorAssertionResponse,
    AuthenticatorData,
    CollectedClientData,
    PublicKeyCredentialRpEntity,
    UserVerificationRequirement,
)

import tokenprov.directory.credential
from tests.unit.sim_fido2_device import World
from tokenprov.attestation import Anchors, FidoGrade
from tokenprov.directory import Assertion, CredentialRecord, Registration, RelyingParty
from tokenprov.errors import (
    AttestationError,
    DurabilityError,
    EvidenceError,
    InputError,
    StationError,
)
from tokenprov.sim.attestation import bench_roots

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
RP_ID = "login.example.test"
ORDER = "ab12cd34-0007"
FLAG = AuthenticatorData.FLAG


@pytest.fixture(scope="module")
def anchors() -> Anchors:
    """The anchors of a station that knows the virtual roots."""
    roots = bench_roots()
    return Anchors.vendor().with_pem(roots.root_pem + roots.chain_pem, where="trust/virtual.pem")


@pytest.fixture
def party(tmp_path: Path, anchors: Anchors) -> RelyingParty:
    """A relying party without credentials."""
    return RelyingParty(tmp_path / "rp", RP_ID, "Example login", anchors=anchors)


@pytest.fixture
def world() -> World:
    """A virtual YubiKey with a PIN."""
    world = World()
    world.set_pin()
    return world


def begin(party: RelyingParty) -> Registration:
    """A registration for the order."""
    return party.registration(ORDER, user_name="zoe@example.test", display_name="Zoë Åkesson")


def make(world: World, registration: Registration, **changes: Any) -> bytes:
    """What the authenticator makes of a registration: an attestation object."""
    protocol, token = world.token(ClientPin.PERMISSION.MAKE_CREDENTIAL, registration.rp["id"])
    given: dict[str, Any] = {
        "client_data_hash": registration.client_data_hash,
        "rp": registration.rp,
        "user": registration.user,
        "key_params": registration.parameters,
        "options": {"rk": True},
        "pin_uv_param": protocol.authenticate(token, registration.client_data_hash),
        "pin_uv_protocol": protocol.VERSION,
    }
    made = world.ctap.make_credential(**given | changes)
    return bytes(AttestationObject.create(made.fmt, made.auth_data, made.att_stmt))


def register(party: RelyingParty, world: World) -> CredentialRecord:
    """A whole registration."""
    registration = begin(party)
    return party.complete_registration(registration, make(world, registration), now=NOW)


def use(world: World, assertion: Assertion) -> AssertionResponse:
    """What the authenticator answers to an assertion, with PIN and presence as asked for."""
    given: dict[str, Any] = {"options": {"up": assertion.presence}}
    if assertion.verification:
        protocol, token = world.token(ClientPin.PERMISSION.GET_ASSERTION, assertion.rp_id)
        given["pin_uv_param"] = protocol.authenticate(token, assertion.client_data_hash)
        given["pin_uv_protocol"] = protocol.VERSION
    return world.ctap.get_assertion(
        assertion.rp_id,
        assertion.client_data_hash,
        [{"type": "public-key", "id": assertion.credential_id}],
        **given,
    )


def test_a_credential_is_registered_and_asserts(party: RelyingParty, world: World) -> None:
    """A virtual YubiKey makes a credential, which is attested, kept and found, and then works."""
    record = register(party, world)
    assert party.find(ORDER) == record
    assert list(party.credentials()) == [record]
    assert record.attestation.grade is FidoGrade.ATTESTED
    assert record.attestation.virtual
    assert record.attestation.aaguid == str(world.ctap.info.aaguid)
    assert (record.user_name, record.display_name) == ("zoe@example.test", "Zoë Åkesson")
    assertion = party.assertion(record)
    answer = use(world, assertion)
    after = party.complete_assertion(assertion, answer.auth_data, answer.signature, now=LATER)
    assert after.sign_count > record.sign_count
    assert after.asserted == LATER
    assert party.find(ORDER) == after


def test_records_survive_a_restart(
    party: RelyingParty, world: World, tmp_path: Path, anchors: Anchors
) -> None:
    """Another process finds the same record, in one file of the relying party's folder."""
    record = register(party, world)
    again = RelyingParty(tmp_path / "rp", RP_ID, "Example login", anchors=anchors)
    assert again.find(ORDER) == record
    assert again.user_handle(ORDER) == record.user_handle
    assert [p.name for p in (tmp_path / "rp" / RP_ID).iterdir()] == [f"{ORDER}.json"]
    assert again.find("ab12cd34-0008") is None


def test_a_repeated_registration_overwrites(party: RelyingParty, world: World) -> None:
    """After a second registration token and relying party hold one credential, the same."""
    first = register(party, world)
    second = register(party, world)
    assert first.credential_id != second.credential_id
    assert first.user_handle == second.user_handle
    assert list(party.credentials()) == [second]
    protocol, token = world.token(ClientPin.PERMISSION.CREDENTIAL_MGMT)
    manager = CredentialManagement(world.ctap, protocol, token)
    held = manager.enumerate_creds(hashlib.sha256(RP_ID.encode()).digest())
    fields = CredentialManagement.RESULT
    assert [one[fields.CREDENTIAL_ID]["id"] for one in held] == [second.credential_id]


def test_handles_tell_nothing_and_differ(party: RelyingParty, tmp_path: Path) -> None:
    """Handles are 32 bytes, differ by order and relying party, and hold no name."""
    other = RelyingParty(tmp_path / "rp", "example.test", "Other", anchors=Anchors())
    handles = {party.user_handle(ORDER), party.user_handle("x"), other.user_handle(ORDER)}
    assert len(handles) == 3
    assert {len(handle) for handle in handles} == {32}
    assert begin(party).user_handle == party.user_handle(ORDER)


def test_challenges_are_drawn_for_each_ceremony(party: RelyingParty, tmp_path: Path) -> None:
    """The challenge is what the random source gives, and stands in client data of our origin."""
    drawn = RelyingParty(
        tmp_path / "rp", RP_ID, "Example", anchors=Anchors(), random=lambda n: b"\x2a" * n
    )
    client_data = begin(drawn).client_data
    assert client_data.challenge == b"\x2a" * 32
    assert (client_data.type, client_data.origin) == ("webauthn.create", f"https://{RP_ID}")
    assert begin(party).client_data.challenge != begin(party).client_data.challenge


def test_long_names_are_cut_at_a_character(party: RelyingParty) -> None:
    """An authenticator need not keep more than 64 bytes; no character is halved."""
    registration = party.registration(ORDER, user_name="a" * 63 + "éé", display_name="ß" * 40)
    assert registration.user["name"] == "a" * 63
    assert registration.user["displayName"] == "ß" * 32


def test_silent_assertions_prove_the_key_alone(party: RelyingParty, world: World) -> None:
    """Without a touch an assertion is accepted only where it was asked for so."""
    record = register(party, world)
    silent = party.assertion(record, presence=False, verification=False)
    touches = world.touches
    answer = use(world, silent)
    assert world.touches == touches
    assert not answer.auth_data.is_user_present()
    after = party.complete_assertion(silent, answer.auth_data, answer.signature, now=LATER)
    with pytest.raises(EvidenceError, match="nobody touched"):
        party.complete_assertion(
            replace(silent, presence=True), answer.auth_data, answer.signature, now=LATER
        )
    assert party.find(ORDER) == after


def test_fido2s_own_server_agrees(party: RelyingParty, world: World) -> None:
    """What is accepted here is accepted by the maker's server too."""
    record = register(party, world)
    server = Fido2Server(PublicKeyCredentialRpEntity(id=RP_ID, name="Example login"))
    credential = AttestationObject(record.attestation_object).auth_data.credential_data
    assert credential is not None
    assertion = party.assertion(record)
    _, state = server.authenticate_begin(
        [credential],
        user_verification=UserVerificationRequirement.REQUIRED,
        challenge=assertion.client_data.challenge,
    )
    answer = use(world, assertion)
    response = AuthenticationResponse(
        raw_id=record.credential_id,
        response=AuthenticatorAssertionResponse(
            client_data=assertion.client_data,
            authenticator_data=answer.auth_data,
            signature=answer.signature,
        ),
    )
    assert server.authenticate_complete(state, [credential], response) == credential
    party.complete_assertion(assertion, answer.auth_data, answer.signature, now=LATER)


def test_a_replayed_or_copied_assertion_is_refused(party: RelyingParty, world: World) -> None:
    """The same answer twice is refused by its counter, an answer to another challenge by name."""
    record = register(party, world)
    assertion = party.assertion(record)
    answer = use(world, assertion)
    after = party.complete_assertion(assertion, answer.auth_data, answer.signature, now=LATER)
    again = replace(assertion, credential=after)
    with pytest.raises(EvidenceError, match="may have been copied"):
        party.complete_assertion(again, answer.auth_data, answer.signature, now=LATER)
    with pytest.raises(EvidenceError, match="not by the registered key"):
        party.complete_assertion(
            party.assertion(after), answer.auth_data, answer.signature, now=LATER
        )
    assert party.find(ORDER) == after


class Software:
    """An authenticator of a few lines, to make what a good one would not."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())

    def made(
        self,
        rp_id: str = RP_ID,
        flags: int = FLAG.UP | FLAG.UV,
        counter: int = 0,
        key: dict[int, Any] | None = None,
    ) -> bytes:
        """An attestation object of format none."""
        cose = ES256.from_cryptography_key(self.key.public_key()) if key is None else key
        data = AttestedCredentialData.create(bytes(16), b"id", cose)  # type: ignore[arg-type]  # also what is no CoseKey
        auth_data = AuthenticatorData.create(
            hashlib.sha256(rp_id.encode()).digest(), FLAG(flags | FLAG.AT), counter, data
        )
        return bytes(AttestationObject.create("none", auth_data, {}))

    def asserted(
        self, assertion: Assertion, rp_id: str = RP_ID, flags: int = 5, counter: int = 0
    ) -> tuple[bytes, bytes]:
        """Authenticator data and signature."""
        data = hashlib.sha256(rp_id.encode()).digest() + struct.pack(">BI", flags, counter)
        signed = data + assertion.client_data_hash
        return data, self.key.sign(signed, ec.ECDSA(hashes.SHA256()))


def test_an_authenticator_that_does_not_count_is_taken(party: RelyingParty) -> None:
    """A counter that stays zero is no sign of a copy; one that falls back to zero is."""
    software = Software()
    record = party.complete_registration(begin(party), software.made(), now=NOW)
    assert record.attestation.grade is FidoGrade.NONE
    for _ in range(2):
        assertion = party.assertion(record)
        record = party.complete_assertion(assertion, *software.asserted(assertion), now=LATER)
    assertion = party.assertion(record)
    answer = software.asserted(assertion, counter=7)
    record = party.complete_assertion(assertion, *answer, now=LATER)
    assertion = party.assertion(record)
    with pytest.raises(EvidenceError, match="counter 0 is not above the last one, 7"):
        party.complete_assertion(assertion, *software.asserted(assertion), now=LATER)


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


def test_an_attestation_for_another_ceremony_is_refused(party: RelyingParty, world: World) -> None:
    """What was made for an earlier challenge does not complete a later one."""
    made = make(world, begin(party))
    with pytest.raises(AttestationError, match="does not hold"):
        party.complete_registration(begin(party), made, now=NOW)


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
