"""OpenPGP attestation: a token's word that it made a key itself, checked to the maker's root.

A YubiKey (5.2 and later) signs, with its attestation key, a certificate for a key that it generated
in SIG, DEC or AUT. Rules, beside those of `chain`:

- the leaf is issued by the attestation key's certificate that the token gave, and is no CA;
- its subject is "YubiKey OPGP Attestation " and the slot;
- its extensions under 1.3.6.1.4.1.41482.5 are DER and read strictly: .2 origin, INTEGER, 1 for a
  key generated on the token; .3 firmware, OCTET STRING of three bytes; .4 fingerprint, of 20; .5
  time of generation, of four, seconds since 1970; .7 serial, a positive INTEGER, absent where the
  token shows none; .8 user interaction flag and .9 form factor, OCTET STRINGs of one byte;
- the leaf's dates are those of the attestation certificate and are not compared with the clock.

Source: "OpenPGP Attestation" and "OpenPGP Attestation OID Arc" in the maker's documentation.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from yubikit.management import FORM_FACTOR
from yubikit.openpgp import UIF

from tokenprov.attestation.anchors import AnchorKind, Anchors, Use
from tokenprov.attestation.chain import (
    build_chain,
    extension,
    load_certificate,
    raw_extension,
    refused,
)
from tokenprov.model import Json

_ARC = "1.3.6.1.4.1.41482.5"  # Yubico, OpenPGP attestation
OID_ORIGIN = x509.ObjectIdentifier(f"{_ARC}.2")
OID_FIRMWARE = x509.ObjectIdentifier(f"{_ARC}.3")
OID_FINGERPRINT = x509.ObjectIdentifier(f"{_ARC}.4")
OID_TIME = x509.ObjectIdentifier(f"{_ARC}.5")
OID_SERIAL = x509.ObjectIdentifier(f"{_ARC}.7")
OID_TOUCH = x509.ObjectIdentifier(f"{_ARC}.8")
OID_FORM_FACTOR = x509.ObjectIdentifier(f"{_ARC}.9")

GENERATED = 1
_SUBJECT = re.compile(r"CN=YubiKey OPGP Attestation (SIG|DEC|AUT)")
_DER_INTEGER, _DER_OCTET_STRING = 0x02, 0x04
_FIPS = 0x80  # in the form factor
_FORM_FACTOR = 0x0F


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPgpAttestation:
    """What a token said about one of its keys, and whose root vouches for the token."""

    slot: str  # "sig"
    public_key: bytes  # SubjectPublicKeyInfo, DER
    firmware: tuple[int, int, int]
    serial: int | None  # None: the token shows none
    fingerprint: bytes
    time: int  # seconds since 1970
    touch: UIF
    form_factor: FORM_FACTOR
    fips: bool
    anchor_fingerprint: str  # SHA-256, hex
    anchor_kind: AnchorKind

    @property
    def virtual(self) -> bool:
        """Whether a virtual token attested: never evidence about a real one."""
        return self.anchor_kind is AnchorKind.VIRTUAL

    def require(
        self,
        *,
        slot: str,
        serial: str | None,
        public_key: bytes,
        fingerprint: bytes,
        time: int,
        touch: UIF,
    ) -> None:
        """Compare with what the token says. Raises `AttestationError` naming the difference."""
        if slot != self.slot:
            raise refused(f"the attestation is for slot {self.slot}, not {slot}")
        if serial and self.serial is not None and serial != str(self.serial):
            raise refused(f"the attestation is by token {self.serial}, not {serial}")
        if public_key != self.public_key:
            raise refused(f"the attestation is for another key than the one in slot {self.slot}")
        if (fingerprint, time) != (self.fingerprint, self.time):
            raise refused("the attestation names another fingerprint or time than the key has")
        if touch is not self.touch:
            raise refused(
                f"the key's touch policy is {self.touch.name.lower()}, not {touch.name.lower()}"
            )

    def to_json(self) -> dict[str, Json]:
        """Public facts for the manifest; what the token does not say is left out."""
        facts: dict[str, Json] = {
            "slot": self.slot,
            "firmware": ".".join(map(str, self.firmware)),
            "touchPolicy": self.touch.name.lower(),
            "formFactor": str(self.form_factor),
            "fips": self.fips,
            "generated": True,  # all others are refused
            "anchor": self.anchor_fingerprint,
            "anchorKind": self.anchor_kind.value,
        }
        if self.serial is not None:
            facts["serial"] = str(self.serial)
        return facts


def verify_openpgp_attestation(
    leaf: bytes, intermediate: bytes, anchors: Anchors, *, now: datetime
) -> OpenPgpAttestation:
    """Check an attestation: `leaf` as the token made it, `intermediate` its attestation key's.

    Both DER; `now` is aware of its zone. Raises `AttestationError` with the rule that does not
    hold, `chain.NoAnchor` where only a trusted root is missing.
    """
    statement = load_certificate(leaf, "the attestation")
    device = load_certificate(intermediate, "the attestation key's certificate")
    constraints = extension(statement, x509.BasicConstraints)
    if constraints is not None and constraints.ca:
        raise refused("the attestation is the certificate of an authority, not of a key")
    if statement.issuer != device.subject:
        raise refused("the attestation was not issued by this token's attestation key")
    named = _SUBJECT.fullmatch(statement.subject.rfc4514_string())
    if named is None:
        raise refused("the attestation's subject names no slot")
    chain = build_chain(statement, [device], anchors, use=Use.OPENPGP, now=now)
    if chain.certificates[1] != device:
        raise refused("the attestation was not issued by this token's attestation key")
    if _integer(statement, OID_ORIGIN, "origin") != GENERATED:
        raise refused("the attestation says that the key was not generated on the token")
    firmware = _octets(statement, OID_FIRMWARE, "firmware", 3)
    (flag,) = _octets(statement, OID_TOUCH, "user interaction flag", 1)
    (form_factor,) = _octets(statement, OID_FORM_FACTOR, "form factor", 1)
    try:
        touch = UIF(flag)
    except ValueError as exc:
        raise refused(f"the attestation has an unknown user interaction flag ({flag:02x})") from exc
    return OpenPgpAttestation(
        slot=named[1].lower(),
        public_key=statement.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        ),
        firmware=(firmware[0], firmware[1], firmware[2]),
        serial=_integer(statement, OID_SERIAL, "serial"),
        fingerprint=_octets(statement, OID_FINGERPRINT, "fingerprint", 20),
        time=int.from_bytes(_octets(statement, OID_TIME, "time of generation", 4)),
        touch=touch,
        form_factor=FORM_FACTOR.from_code(form_factor & _FORM_FACTOR),
        fips=bool(form_factor & _FIPS),
        anchor_fingerprint=chain.anchor.fingerprint,
        anchor_kind=chain.kind,
    )


def _octets(statement: x509.Certificate, oid: x509.ObjectIdentifier, what: str, size: int) -> bytes:
    value = raw_extension(statement, oid)
    if value is None or value[:2] != bytes([_DER_OCTET_STRING, size]) or len(value) != 2 + size:
        raise refused(f"the attestation does not tell the {what} in {size} bytes")
    return value[2:]


def _integer(statement: x509.Certificate, oid: x509.ObjectIdentifier, what: str) -> int | None:
    value = raw_extension(statement, oid)
    if value is None:
        return None
    content = value[2:]
    number = int.from_bytes(content)
    shortest = number.to_bytes(number.bit_length() // 8 + 1)  # X.690, 8.3.2; positive
    if value[:2] != bytes([_DER_INTEGER, len(content)]) or content != shortest or not number:
        raise refused(f"the attestation's {what} is not a positive DER INTEGER")
    return number
