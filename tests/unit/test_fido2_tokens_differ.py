"""The FIDO2 steps on authenticators that lack or differ: said, left out or refused, not guessed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from fido2.ctap2.base import Ctap2

from tests.ceremonies import NOW, ORDER
from tests.fido2_applet import World
from tests.fido2_device import Differing, Held, Notes, party
from tokenprov.attestation import Anchors
from tokenprov.directory.marks import Marks
from tokenprov.errors import (
    AttestationError,
    AuthenticationBlocked,
    NotSupported,
    NotVerified,
    TokenConflict,
    TokenError,
    TokenRefused,
)
from tokenprov.model import Holder, Order
from tokenprov.profile import parse_profile
from tokenprov.run import Outcome, provision
from tokenprov.step import State, Step
from tokenprov.steps.fido2 import fido2_steps
from tokenprov.token import Token

HOLDER = Holder(id="E1", name="Ada", email="ada@example.test", upn="ada@corp.example.test")
CREDENTIAL = '[[fido2.credentials]]\nrp-id = "login.example.test"\nrp-name = "L"\nuser-name = "u"\n'
PLAIN_OPTIONS = {"alwaysUv": None, "setMinPINLength": None, "authnrCfg": None, "ep": None}
PLAIN_MEMBERS = {0x0D: None, 0x10: None, 0x14: None}  # least PIN length, readers, room


class Services:
    """Implements `steps.Services` for FIDO2 alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = lambda: NOW

    def relying_party(self, rp_id: str, rp_name: str) -> Any:
        """The one of the test."""
        return party(self.folder)


def steps_of(folder: Path, profile: str) -> tuple[Step, ...]:
    """The FIDO2 steps of a profile."""
    section = parse_profile(f'name = "test"\n[fido2]\n{profile}'.encode(), "test").fido2
    assert section is not None
    order = Order(id=ORDER, batch="b", holder=HOLDER, position=0, profile="test", profile_digest="")
    return tuple(fido2_steps(section, order, cast(Any, Services(folder))))


def made(held: Held, steps: Sequence[Step], notes: Notes | None = None) -> dict[str, Outcome]:
    """Take the token through the steps."""
    notes, token = notes or Notes(), cast(Token, held)

    def begin() -> dict[str, Any]:
        findings = {step.id: step.observe(token, None) for step in steps}
        refusing = [one for one in findings.values() if one.state is State.CONFLICT]
        if refusing:
            raise TokenConflict(refusing[0].reason, remedy="")
        return findings

    outcomes = provision(token, steps, notes, progress=notes, begin=begin)
    return {outcome.step.id: outcome for outcome in outcomes}


def test_a_token_with_nothing_but_the_standard(tmp_path: Path) -> None:
    """No AAGUID, certificate, serial, alwaysUv or PIN policy: issued, and the record says so."""
    device = Differing(
        World(), options=PLAIN_OPTIONS, members=PLAIN_MEMBERS, unattested=True, no_aaguid=True
    )
    steps = steps_of(
        tmp_path,
        'always-uv = "if-supported"\nenterprise-attestation = "if-supported"\n'
        f'minimum-pin-length = {{ length = 6, support = "if-supported" }}\n{CREDENTIAL}',
    )
    outcomes = made(Held(device, serial=None), steps)
    states = {name: outcome.finding.state for name, outcome in outcomes.items()}
    credential = "fido2/credential/login.example.test"
    assert {name for name, state in states.items() if state is State.MATCH} == {
        "fido2/pin",
        credential,
    }
    left = [o.finding for o in outcomes.values() if o.finding.state is State.SKIPPED]
    assert len(left) == 4
    assert all(finding.reason.startswith("the token cannot") for finding in left)
    attestation = outcomes[credential].finding.facts["attestation"]
    assert attestation == {
        "grade": "none",
        "format": "none",
        "aaguid": "00000000-0000-0000-0000-000000000000",
    }


def test_an_aaguid_of_zeros_is_on_no_list(tmp_path: Path) -> None:
    """A token that does not name its model is refused where the profile names models."""
    steps = steps_of(tmp_path, 'aaguids = ["a25342c0-3cdc-4414-8e46-f4807fca511c"]\n')
    with pytest.raises(TokenConflict, match="AAGUID 00000000-0000-0000-0000-000000000000"):
        made(Held(Differing(World(), no_aaguid=True)), steps)


def test_the_credential_must_be_of_the_model_in_hand(tmp_path: Path) -> None:
    """The token and the credential name two models: nothing is registered."""
    device = Differing(World(), members={3: bytes(16)})
    with pytest.raises(AttestationError, match="attests AAGUID a25342c0"):
        made(Held(device), steps_of(tmp_path, CREDENTIAL))
    assert party(tmp_path).find(ORDER) is None


ENTERPRISE = f'enterprise-attestation = "required"\n{CREDENTIAL}enterprise = true\n'


def test_the_attested_serial_must_be_the_tokens(tmp_path: Path) -> None:
    """An enterprise attestation with another serial registers nothing; with the right one, does."""
    with pytest.raises(AttestationError, match="attests serial 31415926, the token says 27182818"):
        made(Held(Differing(World()), serial="27182818"), steps_of(tmp_path, ENTERPRISE))
    assert party(tmp_path).find(ORDER) is None
    outcomes = made(Held(Differing(World())), steps_of(tmp_path / "right", ENTERPRISE))
    facts = outcomes["fido2/credential/login.example.test"].finding.facts
    assert facts["attestation"]["serial"] == "31415926"


def test_an_enterprise_attestation_without_serial_is_refused(tmp_path: Path) -> None:
    """The profile wants the serial in the attestation, and the token attests nothing."""
    device = Differing(World(), unattested=True)
    with pytest.raises(AttestationError, match=r"\(none\) names none"):
        made(Held(device), steps_of(tmp_path, ENTERPRISE))
    assert party(tmp_path).find(ORDER) is None


def test_an_extension_that_the_token_only_claims(tmp_path: Path) -> None:
    """The token lists credProtect and the credential comes without it: nothing is registered."""
    world = World(model="yubikey-5.7.4")
    world.applet.authenticator._core.features = _without(world, "credProtect")
    device = Differing(world, members={2: ["credProtect", "hmac-secret"]})
    with pytest.raises(NotVerified, match="made without credProtect"):
        made(Held(device), steps_of(tmp_path, f'{CREDENTIAL}protection = "required"\n'))
    assert party(tmp_path).find(ORDER) is None


def _without(world: World, extension: str) -> Any:
    features = world.applet.authenticator._core.features
    kept = tuple(name for name in features.extensions if name != extension)
    return dataclasses.replace(features, extensions=kept)


def test_a_blocked_token_asks_for_no_pin(tmp_path: Path) -> None:
    """Going on with a token that somebody tried PINs on: re-insert it, and no try is spent."""
    world, notes = World(), Notes()
    steps = steps_of(tmp_path, "")
    made(Held(Differing(world)), steps, notes)
    held = Held(Differing(world))
    for _ in range(3):
        with pytest.raises(TokenError):
            held.fido2().check_pin("wrong-pin")
    left = held.fido2().pin_retries()
    with pytest.raises(AuthenticationBlocked, match="re-inserted"):
        made(held, steps, notes)
    assert held.fido2().pin_retries() == left
    world.reinsert()
    assert made(Held(Differing(world)), steps, notes)["fido2/pin"].written is False


def test_the_last_tries_are_not_spent(tmp_path: Path) -> None:
    """With two tries left nobody's PIN is tried, and the order stops in words."""
    world, notes = World(), Notes()
    steps = steps_of(tmp_path, "")
    made(Held(Differing(world)), steps, notes)
    for _ in range(6):
        with pytest.raises(TokenError):
            Held(Differing(world)).fido2().check_pin("wrong-pin")
        world.reinsert()
    held = Held(Differing(world))
    with pytest.raises(TokenConflict, match="too few tries left"):
        made(held, steps, notes)
    assert held.fido2().pin_retries() == (2, False)


@pytest.mark.parametrize(
    ("options", "members", "says"),
    [
        ({"clientPin": None}, {}, "takes no FIDO2 PIN"),
        ({}, {6: None}, "takes no FIDO2 PIN"),  # no PIN protocol
        ({}, {6: [3]}, "takes no FIDO2 PIN"),  # one of a later standard
        ({"noMcGaPermissionsWithClientPin": True}, {}, "by fingerprint alone"),
    ],
)
def test_a_token_whose_pin_is_of_no_use(
    tmp_path: Path, options: dict[str, bool | None], members: dict[int, Any], says: str
) -> None:
    """It is refused by what getInfo says, before a PIN is drawn."""
    notes, device = Notes(), Differing(World(), options=options, members=members)
    with pytest.raises(TokenConflict, match=says):
        made(Held(device), steps_of(tmp_path, CREDENTIAL), notes)
    assert not notes.kept


class Senseless(Differing):
    """Its answer to one command is well-formed, and has nothing in it that the standard wants."""

    command, answer = 0, b""

    def call(self, cmd: int, data: bytes = b"", *more: Any) -> bytes:
        """As the token below, but for that command."""
        if data[:1] == bytes([self.command]):
            return self.answer
        return super().call(cmd, data, *more)


@pytest.mark.parametrize("answer", ["00", "0080", "00a0", "00a101", "00ffff"])
@pytest.mark.parametrize("command", [Ctap2.CMD.GET_INFO, Ctap2.CMD.CLIENT_PIN, 1, 2])
def test_an_answer_without_sense_is_told_as_one(tmp_path: Path, command: int, answer: str) -> None:
    """Empty, a list, an empty map, one that is cut off: the token is named, nothing breaks."""
    device = Senseless(World())
    held, steps = Held(device), steps_of(tmp_path, CREDENTIAL)
    device.command, device.answer = command, bytes.fromhex(answer)

    def looked_at_and_made() -> None:
        held.fido2().refresh()
        made(held, steps)

    with pytest.raises(TokenRefused, match="answer makes no sense"):
        looked_at_and_made()


@pytest.mark.parametrize("status", [0x35, 0x36])
def test_a_token_that_takes_no_mark_without_a_pin(tmp_path: Path, status: int) -> None:
    """AlwaysUv is on and no PIN set: it cannot be told from another one, and that is said."""
    device = Senseless(World())
    device.command, device.answer = 1, bytes([status])
    held, marking = Held(device), Marks(tmp_path, anchors=Anchors.load(None)).begin("0" * 32)
    with pytest.raises(NotSupported, match=r"no credential without a PIN.*alwaysUv"):
        held.fido2().make_mark(
            marking.client_data.hash, marking.rp, marking.user, marking.parameters, "know it again"
        )


def test_a_second_run_writes_nothing(tmp_path: Path) -> None:
    """Every setting is found set; nothing flips, nothing is made or asked for again."""
    world, notes = World(), Notes()
    profile = (
        'pin = { length = 8, force-change = "required" }\nalways-uv = "required"\n'
        'enterprise-attestation = "required"\n'
        'minimum-pin-length = { length = 8, rp-ids = ["login.example.test"] }\n'
        f'{CREDENTIAL}protection = "required"\n'
    )
    first = made(Held(Differing(world)), steps_of(tmp_path, profile), notes)
    assert all(outcome.written for outcome in first.values())
    before = world.applet.dump()
    device = Differing(world)
    second = made(Held(device), steps_of(tmp_path, profile), notes)
    assert not any(outcome.written for outcome in second.values())
    assert [o.finding.state for o in second.values()] == [State.MATCH] * len(second)
    assert world.applet.dump() == before
    unread = second["fido2/credential/login.example.test"].finding.unread
    assert unread == ("that it signs now",)  # only with a PIN that must be changed first
