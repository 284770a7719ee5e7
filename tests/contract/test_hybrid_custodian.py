"""A custodian whose key is post-quantum hybrid: from the pair to the secret, and not otherwise."""

from __future__ import annotations

import json
from pathlib import Path

from tests.stations import Station
from tests.token_under_test import TokenUnderTest
from tokenprov.errors import EscrowError
from tokenprov.record.escrow import EnvelopeSuite, load_key, open_envelope
from tokenprov.record.ledger import Ledger


def test_a_hybrid_custodian(station: Station, token: TokenUnderTest, tmp_path: Path) -> None:
    """What comes is sealed to both halves, opens with both, and not when a word was changed."""
    private, public = tmp_path / "new.key", tmp_path / "new.pem"
    made = station.tell("escrow", "new-key", private, "--public", public, "--hybrid")
    assert made.code == 0, made.err
    assert private.stat().st_mode & 0o777 == 0o600
    assert private.read_text().count("BEGIN PRIVATE KEY") == 2
    assert public.read_text().count("BEGIN PUBLIC KEY") == 2
    assert station.tell("escrow", "new-key", private, "--public", public).code == 2
    said = station.tell("escrow", "rotate", f"help-desk={public}", "--reason", "for the future")
    assert said.code == 0, said.err
    assert station.tell(*station.batch()).code == 0
    opening = ("escrow", "open", token.serial, "--purpose", "help-desk", "--reason", "a test")
    said = station.tell(*opening, "--key", private, "--json")
    assert said.code == 0, said.err
    known = station.secrets(token.serial)
    assert {one["name"]: one["value"] for one in said.document}.items() <= known.items()
    assert "piv/puk" in {one["name"] for one in said.document}
    old = station.home / "custodians" / "private" / "help-desk.pem"
    assert station.tell(*opening, "--key", old).code == 7
    assert station.tell("manifest", "verify").code == 0

    ledger = Ledger(f"sqlite:///{station.home / 'ledger.sqlite'}", station="bench")
    envelope = ledger.envelopes(token_label=token.serial, purpose="help-desk")[0]
    ledger.close()
    document = json.loads(envelope.blob)
    assert document["suite"] == EnvelopeSuite.HYBRID
    key = load_key(private)
    assert open_envelope(envelope.blob, key)[1].reveal()
    for changed in (
        envelope.blob.replace(token.serial.encode(), b"1" * len(token.serial)),
        envelope.blob.replace(b'"ciphertext":"', b'"ciphertext":"AAAA', 1),
    ):
        assert not opens(changed, private)


def opens(envelope: bytes, private: Path) -> bool:
    """Whether an envelope opens with the key in a file."""
    try:
        open_envelope(envelope, load_key(private))
    except EscrowError:
        return False
    return True
