"""SCP03: a channel from static keys that both sides know (Amendment D 1.2).

Rules
- INITIALIZE UPDATE gives a random challenge and the token's cryptogram, and uses up one of the
  tries of its key set; EXTERNAL AUTHENTICATE with the right cryptogram of the host gives them back.
- The maker has one security level, with all of C-MAC, C-ENC, R-MAC and R-ENC.
- EXTERNAL AUTHENTICATE comes right after INITIALIZE UPDATE and carries a C-MAC, but nothing of it
  is encrypted and its answer is plain (5.4, 6.2.5).
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from tokenprov.sim.apdu import SW, Command, Refusal
from tokenprov.sim.scp.channel import SecureChannel, SessionKeys
from tokenprov.sim.scp.keys import KeySet, KeyStore
from tokenprov.sim.scp.primitives import BLOCK, Derived, derive
from tokenprov.sim.scp.wire import Status

CHALLENGE_BYTES = 8  # Amendment D 6.2.2.1, mode S8
CRYPTOGRAM_BYTES = 8
IMPLEMENTATION = 0x60  # "i", table 5-1: random challenge, R-MAC and R-ENC
SCP03_IDENTIFIER = 0x03
ALL_PROTECTION = 0x33  # table 7-6: C-DECRYPTION, R-ENCRYPTION, C-MAC and R-MAC
_DIVERSIFICATION_BYTES = 10  # table 7-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """A channel that waits for the host's cryptogram."""

    key_set: KeySet = field(repr=False)
    channel: SecureChannel = field(repr=False)
    host_cryptogram: bytes = field(repr=False)


def initialize_update(store: KeyStore, command: Command) -> tuple[bytes, Opening]:
    """Answer INITIALIZE UPDATE (7.1.1). Raises `Refusal` 6700, 6A86, 6A88 or 6983."""
    if command.p2:
        raise Refusal(SW.WRONG_P1P2)
    if len(command.data) != CHALLENGE_BYTES:
        raise Refusal(SW.WRONG_LENGTH)
    key_set = store.key_set(command.p1)
    store.spend(key_set)
    challenge = store.body.random(CHALLENGE_BYTES)
    context = command.data + challenge
    keys = SessionKeys(
        enc=derive(key_set.enc, Derived.ENC, context),
        mac=derive(key_set.mac, Derived.MAC, context),
        rmac=derive(key_set.mac, Derived.RMAC, context),
        dek=key_set.dek,
    )
    answer = (
        _diversification(store)
        + bytes([key_set.kvn, SCP03_IDENTIFIER, IMPLEMENTATION])
        + challenge
        + derive(keys.mac, Derived.CARD_CRYPTOGRAM, context, CRYPTOGRAM_BYTES)
    )
    return answer, Opening(
        key_set=key_set,
        channel=SecureChannel(keys, bytes(BLOCK), authenticated=True),
        host_cryptogram=derive(keys.mac, Derived.HOST_CRYPTOGRAM, context, CRYPTOGRAM_BYTES),
    )


def external_authenticate(store: KeyStore, opening: Opening, command: Command) -> SecureChannel:
    """Answer EXTERNAL AUTHENTICATE (7.1.2) with the open channel.

    Raises `Refusal` 6A86 for another security level, 6982 for a wrong C-MAC, 6300 for a wrong
    cryptogram.
    """
    if command.p1 != ALL_PROTECTION or command.p2:
        raise Refusal(SW.WRONG_P1P2)
    given = opening.channel.verify(command)
    if not hmac.compare_digest(given, opening.host_cryptogram):
        raise Refusal(Status.CRYPTOGRAM_WRONG)
    store.restore(opening.key_set)
    return opening.channel


def _diversification(store: KeyStore) -> bytes:
    """What a host derives a token's static keys from: its serial number."""
    return (store.body.serial or 0).to_bytes(_DIVERSIFICATION_BYTES)
