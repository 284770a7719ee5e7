"""PIV attestation: a token's word that it made a key itself, checked up to the maker's root.

A YubiKey (4.3 and later) signs, with the key in slot f9, a certificate for a key that it generated
in another slot; it does not attest imported keys. Rules, beside those of `chain`:

- the leaf is issued by the f9 certificate that the token gave, and is no CA;
- its subject is "YubiKey PIV Attestation " and the slot;
- its extensions under 1.3.6.1.4.1.41482.3 are read strictly: .3 firmware, three raw bytes; .7
  serial, a positive DER INTEGER, absent where the token shows none; .8 PIN policy and touch
  policy, two raw bytes; .9 form factor, one raw byte (absent on a YubiKey 4), FIPS in bit 0x80;
- the leaf's dates are not compared with the clock: the token has none and copies those of f9.
  They are old on old tokens, 2016 to 2052, and end in the year 9999 on new ones;
- RSA keys of firmware 4.2.6 to 4.3.4 are refused: they can be factored (YSA-2017-01, ROCA).

Source: "PIV attestation" and "PIV Attestation OID Arc" in the maker's documentation, and the
certificates of a real key (tests/vectors).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from yubikit.management import FORM_FACTOR
from yubikit.piv import PIN_POLICY, TOUCH_POLICY

from tokenprov.attestation.anchors import AnchorKind, Anchors, Use
from tokenprov.attestation.chain import (
    build_chain,
    extension,
    load_certificate,
    raw_extension,
    refused,
)
from tokenprov.errors import AttestationError
from tokenprov.model import Json

_ARC = "1.3.6.1.4.1.41482.3"  # Yubico, PIV attestation
OID_FIRMWARE = x509.ObjectIdentifier(f"{_ARC}.3")
OID_SERIAL = x509.ObjectIdentifier(f"{_ARC}.7")
OID_POLICIES = x509.ObjectIdentifier(f"{_ARC}.8")
OID_FORM_FACTOR = x509.ObjectIdentifier(f"{_ARC}.9")

_SUBJECT = re.compile(r"CN=YubiKey PIV Attestation ([0-9a-f]{2})")
_FIPS = 0x80  # in the form factor
_FORM_FACTOR = 0x0F
_ROCA = ((4, 2, 6), (4, 3, 4))  # first and last firmware, YSA-2017-01
_DER_INTEGER = 0x02


@dataclass(frozen=True, slots=True, kw_only=True)
class PivAttestation:
    """What a token said about one of its keys, and whose root vouches for the token."""

    slot: str  # "9a"
    public_key: bytes  # SubjectPublicKeyInfo, DER
    firmware: tuple[int, int, int]
    serial: int | None  # None: the token shows none
    pin_policy: PIN_POLICY
    touch_policy: TOUCH_POLICY
    form_factor: FORM_FACTOR | None  # None: firmware 4 does not say
    fips: bool
    generated: bool  # on the token: nothing else is attested
    chain: tuple[str, ...]  # names from the leaf to the anchor, RFC 4514
    anchor_fingerprint: str  # SHA-256, hex
    anchor_kind: AnchorKind
    certificates: tuple[bytes, ...] = field(default=(), repr=False)  # DER: what the names name

    @property
    def virtual(self) -> bool:
        """Whether a virtual token attested: never evidence about a real one."""
        return self.anchor_kind is AnchorKind.VIRTUAL

    @property
    def firmware_text(self) -> str:
        """ "5.7.4"."""
        return ".".join(map(str, self.firmware))

    def require(
        self,
        *,
        slot: str | None = None,
        serial: str | None = None,
        public_key: bytes | None = None,
        pin_policy: PIN_POLICY | None = None,
        touch_policy: TOUCH_POLICY | None = None,
    ) -> None:
        """Compare with what the token and the request say; None is not compared.

        A serial is compared where both have one. Raises `AttestationError` naming the difference.
        """
        if slot is not None and slot.lower() != self.slot:
            raise refused(f"the attestation is for slot {self.slot}, not {slot}")
        if serial and self.serial is not None and serial != str(self.serial):
            raise refused(f"the attestation is by token {self.serial}, not {serial}")
        if public_key is not None and public_key != self.public_key:
            raise refused(f"the attestation is for another key than the one in slot {self.slot}")
        if pin_policy is not None and pin_policy is not self.pin_policy:
            raise refused(
                f"the key's PIN policy is {self.pin_policy.name.lower()}, "
                f"not {pin_policy.name.lower()}"
            )
        if touch_policy is not None and touch_policy is not self.touch_policy:
            raise refused(
                f"the key's touch policy is {self.touch_policy.name.lower()}, "
                f"not {touch_policy.name.lower()}"
            )

    def to_json(self) -> dict[str, Json]:
        """Public facts for the manifest; what the token does not say is left out."""
        facts: dict[str, Json] = {
            "slot": self.slot,
            "firmware": self.firmware_text,
            "pinPolicy": self.pin_policy.name.lower(),
            "touchPolicy": self.touch_policy.name.lower(),
            "fips": self.fips,
            "generated": self.generated,
            "anchor": self.anchor_fingerprint,
            "anchorKind": self.anchor_kind.value,
        }
        if self.serial is not None:
            facts["serial"] = str(self.serial)
        if self.form_factor is not None:
            facts["formFactor"] = str(self.form_factor)
        return facts


def verify_piv_attestation(
    leaf: bytes, intermediate: bytes, anchors: Anchors, *, now: datetime
) -> PivAttestation:
    """Check an attestation: `leaf` as the token made it, `intermediate` from its slot f9, both DER.

    `now` is aware of its zone. Raises `AttestationError` with the rule that does not hold,
    `chain.NoAnchor` where only a trusted root is missing.
    """
    statement = load_certificate(leaf, "the attestation")
    device = load_certificate(intermediate, "the certificate in slot f9")
    constraints = extension(statement, x509.BasicConstraints)
    if constraints is not None and constraints.ca:
        raise refused("the attestation is the certificate of an authority, not of a key")
    if statement.issuer != device.subject:
        raise refused("the attestation was not issued by this token's slot f9")
    named = _SUBJECT.fullmatch(statement.subject.rfc4514_string())
    if named is None:
        raise refused("the attestation's subject names no slot")
    chain = build_chain(statement, [device], anchors, use=Use.PIV, now=now)
    if chain.certificates[1] != device:
        raise refused("the attestation was not issued by this token's slot f9")
    firmware = _firmware(statement)
    if _ROCA[0] <= firmware <= _ROCA[1] and isinstance(statement.public_key(), rsa.RSAPublicKey):
        raise AttestationError(
            f"RSA keys made by firmware {'.'.join(map(str, firmware))} can be factored "
            "(YSA-2017-01)",
            remedy="Use an elliptic-curve key in the profile, or a token of newer firmware.",
        )
    pin_policy, touch_policy = _policies(statement)
    form_factor, fips = _form_factor(statement)
    return PivAttestation(
        slot=named[1],
        public_key=statement.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        ),
        firmware=firmware,
        serial=serial_of(statement),
        pin_policy=pin_policy,
        touch_policy=touch_policy,
        form_factor=form_factor,
        fips=fips,
        generated=True,  # the firmware attests no other keys
        chain=chain.subjects,
        certificates=tuple(one.public_bytes(Encoding.DER) for one in chain.certificates),
        anchor_fingerprint=chain.anchor.fingerprint,
        anchor_kind=chain.kind,
    )


def _firmware(statement: x509.Certificate) -> tuple[int, int, int]:
    value = raw_extension(statement, OID_FIRMWARE)
    if value is None or len(value) != 3:
        raise refused("the attestation does not tell the firmware in three bytes")
    return value[0], value[1], value[2]


def _policies(statement: x509.Certificate) -> tuple[PIN_POLICY, TOUCH_POLICY]:
    value = raw_extension(statement, OID_POLICIES)
    if value is None or len(value) != 2:
        raise refused("the attestation does not tell PIN and touch policy in two bytes")
    try:
        policies = PIN_POLICY(value[0]), TOUCH_POLICY(value[1])
    except ValueError as exc:
        raise refused(
            f"the attestation has an unknown PIN or touch policy ({value.hex()})"
        ) from exc
    if 0 in policies:  # a key has a policy; DEFAULT is a way to ask for one
        raise refused("the attestation leaves PIN or touch policy open")
    return policies


def is_virtual_token(device_certificate: bytes, anchors: Anchors, *, now: datetime) -> bool:
    """Whether f9's certificate (DER) is a virtual token's; False where nobody vouches for it."""
    try:
        certificate = load_certificate(device_certificate, "the certificate in f9")
        chain = build_chain(certificate, (), anchors, use=Use.PIV, now=now)
    except AttestationError:
        return False
    return chain.kind is AnchorKind.VIRTUAL


def _form_factor(statement: x509.Certificate) -> tuple[FORM_FACTOR | None, bool]:
    value = raw_extension(statement, OID_FORM_FACTOR)
    if value is None:
        return None, False
    if len(value) != 1:
        raise refused("the attestation does not tell the form factor in one byte")
    return FORM_FACTOR.from_code(value[0] & _FORM_FACTOR), bool(value[0] & _FIPS)


def serial_of(statement: x509.Certificate) -> int | None:
    """The serial that a certificate names; None without. Raises `AttestationError`."""
    value = raw_extension(statement, OID_SERIAL)
    if value is None:
        return None
    content = value[2:]
    serial = int.from_bytes(content)
    shortest = serial.to_bytes(serial.bit_length() // 8 + 1)  # X.690, 8.3.2; positive
    if value[:2] != bytes([_DER_INTEGER, len(content)]) or content != shortest or not serial:
        raise refused("the attestation's serial number is not a positive DER INTEGER")
    return serial
