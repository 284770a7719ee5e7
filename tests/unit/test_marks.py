"""A mark is proved by the token that made it, and by no other."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fido2 import cbor

from tests.in_process import Desk, Line
from tokenprov.directory.marks import RP_ID, Marks, proved
from tokenprov.errors import EvidenceError
from tokenprov.token import FidoApplet

NOW = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
MODEL = "security-key-5.7"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A blank Security Key."""
    return Desk(tmp_path, MODEL)


def marked(desk: Desk) -> tuple[Marks, FidoApplet, str]:
    """Its FIDO2 application, and the name of the mark that was made on it."""
    marks, fido = desk.home.marks(), desk.yubikey(Line(desk.token)).fido2()
    marking = marks.begin(str(fido.info.aaguid))
    made = fido.make_mark(
        marking.client_data.hash, marking.rp, marking.user, marking.parameters, "mark it"
    )
    return marks, fido, marks.keep(marking, made, now=NOW).order_id


def test_only_the_token_that_made_it_has_it(desk: Desk, tmp_path: Path) -> None:
    """Another token of the same model answers nothing, and the one that made it signs."""
    marks, fido, name = marked(desk)
    record = marks.find(name)
    assert record is not None
    assert record.attestation.virtual
    challenge = marks.challenge()
    other = desk.anew(tmp_path / "other")
    stranger = other.yubikey(Line(other.token)).fido2()
    assert stranger.proof_of_mark(RP_ID, challenge.hash, [record.credential_id]) is None
    answer = fido.proof_of_mark(RP_ID, challenge.hash, [record.credential_id])
    assert answer is not None
    assert proved([record], challenge, None, answer.auth_data, answer.signature) == record


def test_a_proof_that_does_not_hold(desk: Desk) -> None:
    """An old challenge, another key, another credential and a changed answer prove nothing."""
    marks, fido, name = marked(desk)
    _, _, another = marked(desk)
    record, other = marks.find(name), marks.find(another)
    assert record is not None
    assert other is not None
    challenge = marks.challenge()
    answer = fido.proof_of_mark(RP_ID, challenge.hash, [record.credential_id])
    assert answer is not None
    data, signature = bytes(answer.auth_data), answer.signature
    wrong_key = replace(record, public_key=other.public_key)
    no_key = replace(record, public_key=cbor.encode({1: 2, 3: -7}))
    for asked, challenged, named, given in (
        ([record], marks.challenge(), None, data),
        ([wrong_key], challenge, None, data),
        ([no_key], challenge, None, data),
        ([record, other], challenge, None, data),
        ([record, other], challenge, other.credential_id, data),
        ([record], challenge, b"unknown", data),
        ([record], challenge, None, data[:-1] + bytes([data[-1] ^ 1])),
    ):
        with pytest.raises(EvidenceError):
            proved(asked, challenged, named, given, signature)


def test_a_mark_takes_no_room(desk: Desk) -> None:
    """It is not discoverable, needs no PIN, and a reset takes it away."""
    _, _, name = marked(desk)
    state = desk.token.dump()["applets"]["fido2"]
    assert state["pin_hash"] is None
    assert state["credentials"] == []
    assert name.startswith("e77e3c64-")
