"""What the PIV application of a model knows, by firmware.

Firmware history of the YubiKey's PIV application (YubiKey Technical Manual, "PIV"; release notes
of yubico-piv-tool): cached touch 4.3; attestation 4.3; serial number 5.0; metadata 5.3; AES
management keys 5.4; RSA 3072 and 4096, Ed25519, X25519, MOVE KEY, PIN length in characters and
an AES-192 management key by default 5.7. FIPS keys: no RSA 1024, no X25519, no PIN policy "never";
from 5.7 also no 3DES and PINs of eight characters. A card of another maker knows SP 800-73-4 only.
"""

from __future__ import annotations

from dataclasses import dataclass

from tokenprov.sim.applet import Version
from tokenprov.sim.applets.piv_wire import Algorithm, Cipher, Instruction
from tokenprov.sim.models import Kind, Model

_OLD_ALGORITHMS = frozenset({Algorithm.RSA1024, Algorithm.RSA2048, Algorithm.P256, Algorithm.P384})
_STANDARD_ALGORITHMS = _OLD_ALGORITHMS - {Algorithm.RSA1024}  # SP 800-78-4, table 3-1
_NOT_FIPS = frozenset({Algorithm.RSA1024, Algorithm.X25519})
_AES = frozenset({Cipher.AES128, Cipher.AES192, Cipher.AES256})

_VENDOR_SINCE: dict[Instruction, Version] = {
    Instruction.SET_MANAGEMENT_KEY: (1, 0, 0),
    Instruction.IMPORT_KEY: (1, 0, 0),
    Instruction.GET_VERSION: (1, 0, 0),
    Instruction.RESET: (1, 0, 0),
    Instruction.SET_PIN_RETRIES: (1, 0, 0),
    Instruction.ATTEST: (4, 3, 0),
    Instruction.GET_SERIAL: (5, 0, 0),
    Instruction.GET_METADATA: (5, 3, 0),
    Instruction.MOVE_KEY: (5, 7, 0),
}

# Bytes of all objects together with their directory entries: the maker documents 24 certificates
# of 2,084 bytes (firmware 5), 2,079 (FIPS) and 2,075 (firmware 4), each in a container of 9 bytes.
OBJECT_ENTRY = 32
_CONTAINER = 9
_CERTIFICATES = 24
OBJECT_MAXIMUM = 3052 + _CONTAINER  # the largest certificate, in its container


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """The abilities and limits of one model. Sizes in bytes."""

    vendor: bool
    instructions: frozenset[Instruction]
    algorithms: frozenset[Algorithm]
    ciphers: frozenset[Cipher]
    default_cipher: Cipher
    cached_touch: bool
    pin_policy_never: bool
    pin_in_characters: bool
    pin_minimum: int
    pin_complexity: bool
    object_space: int


def features_of(model: Model, version: Version) -> Features:
    """The features of a model at the firmware that the token's body has."""
    if model.kind is Kind.PIV_CARD:
        return Features(
            vendor=False,
            instructions=frozenset(Instruction) - _VENDOR_SINCE.keys(),
            algorithms=_STANDARD_ALGORITHMS,
            ciphers=frozenset({Cipher.AES128}),
            default_cipher=Cipher.AES128,
            cached_touch=False,
            pin_policy_never=False,
            pin_in_characters=False,
            pin_minimum=6,
            pin_complexity=False,
            object_space=_space(2084),
        )
    later = version >= (5, 7, 0)
    known = {ins for ins, since in _VENDOR_SINCE.items() if version >= since}
    algorithms = frozenset(Algorithm) if later else _OLD_ALGORITHMS
    ciphers = frozenset({Cipher.TDES}) | (_AES if version >= (5, 4, 0) else frozenset())
    return Features(
        vendor=True,
        instructions=(frozenset(Instruction) - _VENDOR_SINCE.keys()) | known,
        algorithms=algorithms - _NOT_FIPS if model.fips else algorithms,
        ciphers=_AES if model.fips and later else ciphers,
        default_cipher=Cipher.AES192 if later else Cipher.TDES,
        cached_touch=version >= (4, 3, 0),
        pin_policy_never=not model.fips,
        pin_in_characters=later,
        pin_minimum=8 if model.fips and later else 6,
        pin_complexity=model.pin_complexity and later,
        object_space=_space(2075 if version < (5, 0, 0) else 2079 if model.fips else 2084),
    )


def _space(certificate: int) -> int:
    return _CERTIFICATES * (certificate + _CONTAINER + OBJECT_ENTRY)
