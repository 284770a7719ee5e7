"""The local relying party: ceremonies with a virtual authenticator."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from fido2.ctap2.credman import CredentialManagement
from fido2.ctap2.pin import ClientPin
from fido2.server import Fido2Server
from fido2.webauthn import (
    AttestationObject,
    AuthenticationResponse,
    AuthenticatorAssertionResponse,
    PublicKeyCredentialRpEntity,
    UserVerificationRequirement,
)

from tests.ceremonies import LATER, NOW, ORDER, RP_ID, Software, begin, make, register, use
from tests.fido2_applet import World
from tokenprov.attestation import Anchors, FidoGrade
from tokenprov.directory import RelyingParty
from tokenprov.errors import (
    AttestationError,
    EvidenceError,
)
from tokenprov.sim.attestation import bench_roots


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
    with pytest.raises(EvidenceError, match="counter is 0 after 7"):
        party.complete_assertion(assertion, *software.asserted(assertion), now=LATER)


def test_an_attestation_for_another_ceremony_is_refused(party: RelyingParty, world: World) -> None:
    """What was made for an earlier challenge does not complete a later one."""
    made = make(world, begin(party))
    with pytest.raises(AttestationError, match="does not hold"):
        party.complete_registration(begin(party), made, now=NOW)


def test_a_silent_assertion_may_leave_the_counter(party: RelyingParty) -> None:
    """Without presence a counter that stands still is taken, one that falls is not."""
    software = Software()
    made = software.made(counter=7)
    record = party.complete_registration(begin(party), made, now=NOW)
    for counter, accepted in ((7, True), (8, True), (7, False)):
        assertion = party.assertion(record, presence=False, verification=False)
        answer = software.asserted(assertion, flags=0, counter=counter)
        if accepted:
            record = party.complete_assertion(assertion, *answer, now=LATER)
        else:
            with pytest.raises(EvidenceError, match="counter is 7 after 8"):
                party.complete_assertion(assertion, *answer, now=LATER)
    assertion = party.assertion(record)
    with pytest.raises(EvidenceError, match="counter is 8 after 8"):
        party.complete_assertion(assertion, *software.asserted(assertion, counter=8), now=LATER)
