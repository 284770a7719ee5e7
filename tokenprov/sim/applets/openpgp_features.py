"""What the OpenPGP application of a YubiKey knows, by firmware.

Sources: "YubiKey 5.2 Enhancements to OpenPGP 3.4 Support" (support.yubico.com) for what came with
5.2; yubikit's OpenPGP session for the firmware that a command or value needs; published readings
of the application related data of keys of firmware 4, 5.2, 5.4.3 and 5.7 for the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

from tokenprov.sim.applet import Version
from tokenprov.sim.applets.openpgp_algorithms import (
    Attributes,
    Curve,
    announced_before_561,
    offered,
)
from tokenprov.sim.applets.openpgp_wire import Instruction, Slot, Uif
from tokenprov.sim.models import Model

_SINCE: dict[Instruction, Version] = {
    Instruction.SET_PIN_RETRIES: (4, 3, 1),
    Instruction.GET_CHALLENGE: (5, 2, 0),
    Instruction.SELECT_DATA: (5, 2, 0),
    Instruction.GET_NEXT_DATA: (5, 2, 0),
    Instruction.ATTEST: (5, 2, 0),
}
_NOT_FIPS = frozenset({Curve.SECP256K1, Curve.X25519})


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """The abilities and limits of one model. Sizes in bytes.

    `extended_capabilities` and `historical_bytes` are DOs C0 and 5F52 (OPGP 4.4.3.7 and 6).
    `pin_policy` is the first byte of DO C4 as from the factory. `length_byte` says that SELECT
    DATA has a length before its data (yubikey-manager issue 403). `overlong` says that the length
    in DO FA is two too many. `needs_time` says that a key without time of generation is not used.
    """

    specification: bytes
    extended_capabilities: bytes
    historical_bytes: bytes
    instructions: frozenset[Instruction]
    slots: tuple[Slot, ...]
    later: bool  # 3.4: KDF, user interaction and key information in DO 6E, three certificates
    bits: tuple[int, ...]
    curves: tuple[Curve, ...]
    uifs: frozenset[Uif]
    certificate_maximum: int
    special_maximum: int
    challenge_maximum: int
    pin_policy: int
    forgets_passwords: bool  # VERIFY with P1 = FF
    length_byte: bool
    overlong: bool
    needs_time: bool
    pin_complexity: bool
    fips: bool

    def offered(self, slot: Slot) -> tuple[Attributes, ...]:
        """What a slot may be set to."""
        return offered(slot, self.bits, self.curves)

    def announced(self, slot: Slot) -> tuple[Attributes, ...]:
        """What DO FA says of a slot."""
        announce = announced_before_561 if self.overlong else offered
        return announce(slot, self.bits, self.curves)


def features_of(model: Model, version: Version) -> Features:
    """The features of a model at the firmware that the token's body has."""
    later = version >= (5, 2, 0)
    fips = model.fips and version >= (5, 7, 0)
    curves = tuple(Curve) if later else ()
    cached = version >= (5, 2, 1)
    certificate = 0x0800 if later else 0x04C0
    special = 0x00FF
    challenge = 0x0BFE if later else 0
    # Flags: challenge, import, changeable status, private use, attributes, KDF; no secure messaging
    capabilities = bytes([0x7D if later else 0x3C, 0x00])
    capabilities += challenge.to_bytes(2) + certificate.to_bytes(2) + special.to_bytes(2)
    capabilities += b"\0\0" if later else special.to_bytes(2)  # no PIN block 2, no MSE
    return Features(
        specification=b"\x03\x04" if later else b"\x02\x01",
        extended_capabilities=capabilities,
        historical_bytes=bytes.fromhex("00730000e0059000" if later else "0073000080059000"),
        instructions=frozenset(Instruction)
        - {instruction for instruction, since in _SINCE.items() if version < since},
        slots=tuple(Slot) if later else (Slot.SIG, Slot.DEC, Slot.AUT),
        later=later,
        bits=(2048, 3072, 4096),
        curves=tuple(curve for curve in curves if not (fips and curve in _NOT_FIPS)),
        uifs=frozenset(uif for uif in Uif if cached or not uif.is_cached),
        certificate_maximum=certificate,
        special_maximum=special,
        challenge_maximum=challenge,
        pin_policy=0x01 if version >= (5, 4, 0) else 0xFF,
        forgets_passwords=version >= (5, 6, 0),
        length_byte=version <= (5, 4, 3),
        overlong=version < (5, 6, 1),
        needs_time=version < (5, 0, 0),
        pin_complexity=model.pin_complexity and version >= (5, 7, 0),
        fips=fips,
    )
