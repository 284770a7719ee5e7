"""What a virtual token holds, from its own lasting state, and whether the custodians can open it.

The state is the token's memory: it is read behind the back of everything that programs tokens, and
says what a thief of the chip would find. Its form is that of tokenprov.sim.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tests.crash.on_disk import Sealed
from tests.crash.station import Station
from tokenprov.model import Purpose
from tokenprov.sim.applets.otp_frame import SlotConfig

FACTORY = {
    "piv/pin": b"123456",
    "piv/puk": b"12345678",
    "piv/management-key": bytes.fromhex("010203040506070801020304050607080102030405060708"),
}
NO_CODE = bytes(6)
PADDING = b"\xff"  # of PIV reference data (SP 800-73-4 part 2, 3.2.1)
PIN_HASH = 16  # bytes of SHA-256 that an authenticator keeps (CTAP 2.1, 6.5.5.5)
CERTIFICATE_9A = "5fc105"  # SP 800-73-4 part 1, table 3


def held(state: Mapping[str, Any], factory: Mapping[str, Any]) -> dict[str, bytes]:
    """The secrets in a token by their names in escrow, where they are not the factory's.

    The FIDO2 PIN is held as its hash alone: `is_held` compares it.
    """
    piv = state["applets"]["piv"]
    found = {
        "piv/pin": bytes.fromhex(piv["pin"]["value"]).rstrip(PADDING),
        "piv/puk": bytes.fromhex(piv["puk"]["value"]).rstrip(PADDING),
        "piv/management-key": bytes.fromhex(piv["management_key"]["key"]),
    }
    found = {name: value for name, value in found.items() if value != FACTORY[name]}
    for number, (frame, before) in enumerate(
        zip(state["applets"]["otp"]["slots"], factory["applets"]["otp"]["slots"], strict=True), 1
    ):
        if frame and frame != before:
            slot = SlotConfig.parse(bytes.fromhex(frame))
            found[f"otp/{number}/seed"] = _seed(number, slot)
            if slot.access != NO_CODE:
                found[f"otp/{number}/access-code"] = slot.access
    pin_hash = state["applets"]["fido2"]["pin_hash"]
    if pin_hash:
        found["fido2/pin"] = bytes.fromhex(pin_hash)
    return found


def _seed(number: int, slot: SlotConfig) -> bytes:
    """As escrow has it: private id and key of a Yubico OTP, or the 20 bytes of HMAC-SHA1."""
    return slot.secret20 if number == 2 else slot.uid + slot.key


def is_held(name: str, kept: bytes, value: bytes) -> bool:
    """Whether the token keeps that value."""
    if name == "fido2/pin":
        value = hashlib.sha256(value).digest()[:PIN_HASH]
    return kept == value


def not_openable(kept: Mapping[str, bytes], sealed: Iterable[Sealed]) -> list[str]:
    """What the token holds and a custodian or break-glass cannot open: (name, purpose) in words."""
    envelopes = list(sealed)
    missing = []
    for name, value in kept.items():
        matching = [
            one for one in envelopes if one.context.name == name and is_held(name, value, one.value)
        ]
        purposes = {one.context.purpose for one in matching}
        if Purpose.BREAK_GLASS not in purposes:
            missing.append(f"{name} by break-glass")
        if not any(one.context.purpose == one.context.kind.purpose for one in matching):
            missing.append(f"{name} by its custodian")
    return missing


def lost_secrets(station: Station, token: int, factory: Mapping[str, Any]) -> list[str]:
    """What a token holds now and its custodians cannot open from the ledger as it lies there."""
    return not_openable(held(station.control.snapshot(token), factory), station.sealed(token))


def certificate_on(state: Mapping[str, Any]) -> bytes:
    """The object of the certificate in 9a as the token holds it; empty where there is none."""
    return bytes.fromhex(state["applets"]["piv"]["objects"].get(CERTIFICATE_9A, ""))


def credentials_on(state: Mapping[str, Any]) -> Sequence[bytes]:
    """Ids of the discoverable credentials in the token."""
    return [bytes.fromhex(one["id"]) for one in state["applets"]["fido2"]["credentials"]]
