"""OpenPGP attestation: the statement that a key was generated here, and the factory's own key.

Rules ("OpenPGP Attestation", developers.yubico.com/PGP; "OpenPGP Attestation OID Arc",
docs.yubico.com/hardware/oid): issuer and validity are subject and validity of the attestation
certificate; the subject is "YubiKey OPGP Attestation " and the slot; only a key that was generated
on the token has a statement. Extensions under 1.3.6.1.4.1.41482.5 hold DER values (read off a
5.7.4), unlike those of PIV: cardholder's name, origin, firmware, fingerprint, time of generation,
signature counter (SIG alone), serial number, user interaction flag, form factor.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from os import urandom

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from tokenprov.sim.apdu import SW, Refusal
from tokenprov.sim.applet import Body, Version
from tokenprov.sim.applets.openpgp_keys import PUBLIC_EXPONENT, OpenPgpKey, rsa_fingerprint
from tokenprov.sim.applets.openpgp_wire import Origin, Slot, Uif
from tokenprov.sim.attestation import VirtualRoots, bench_roots
from tokenprov.sim.certificate import (
    certificate_builder,
    common_name,
    der_integer,
    der_octets,
    raw_extension,
)
from tokenprov.sim.models import Model

ARC = "1.3.6.1.4.1.41482.5"
OID_NAME, OID_ORIGIN, OID_FIRMWARE, OID_FINGERPRINT, OID_TIME, OID_COUNTER, OID_SERIAL = (
    x509.ObjectIdentifier(f"{ARC}.{number}") for number in range(1, 8)
)
OID_UIF = x509.ObjectIdentifier(f"{ARC}.8")
OID_FORM_FACTOR = x509.ObjectIdentifier(f"{ARC}.9")
FORM_FACTOR_FIPS = 0x80
_UTF8_STRING = 0x0C  # X.690, 8.23

# When the factory says that it made the attestation key, seconds since 1970: as read off a key of
# firmware 5.4.3 and one of 5.7; keys of 5.2 say nothing.
_FACTORY_TIMES: tuple[tuple[Version, int], ...] = (
    ((5, 7, 0), 0x683741CD),
    ((5, 4, 0), 0x624D7083),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FactoryAttestation:
    """The attestation key of a new token and what is said of it."""

    key: OpenPgpKey
    certificate: bytes = field(repr=False)
    fingerprint: bytes
    time: bytes


@functools.lru_cache(maxsize=32)
def _batch(roots: VirtualRoots, version: Version, fips: bool) -> FactoryAttestation:
    private = rsa.generate_private_key(PUBLIC_EXPONENT, 2048)
    certificate = roots.certify_openpgp(private.public_key(), version=version, random=urandom)
    made = next((time for since, time in _FACTORY_TIMES if version >= since), 0)
    return FactoryAttestation(
        key=OpenPgpKey(private=private, origin=Origin.IMPORTED),
        certificate=certificate.public_bytes(Encoding.DER),
        fingerprint=rsa_fingerprint(private.public_key(), made) if made else bytes(20),
        time=made.to_bytes(4),
    )


def factory_attestation(
    version: Version, fips: bool, roots: VirtualRoots | None
) -> FactoryAttestation:
    """The attestation key of a new token; as with real ones, those of a batch have the same."""
    return _batch(roots or bench_roots(), version, fips)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attested:
    """What a statement says of a key beside the key itself. `name` is the cardholder's."""

    slot: Slot
    key: OpenPgpKey
    name: bytes
    fingerprint: bytes
    time: bytes
    signature_counter: int
    uif: Uif


def statement(
    attested: Attested, attesting: OpenPgpKey, certificate: bytes, body: Body, model: Model
) -> bytes:
    """The DER certificate that says how a key came to be in this token.

    Raises `Refusal` 6985 when the attestation key or its certificate cannot sign one.
    """
    signing = attesting.private
    if not isinstance(signing, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise Refusal(SW.CONDITIONS_NOT_SATISFIED)
    try:
        template = x509.load_der_x509_certificate(certificate)
    except ValueError:
        raise Refusal(SW.CONDITIONS_NOT_SATISFIED) from None
    builder = certificate_builder(
        subject=common_name(f"YubiKey OPGP Attestation {attested.slot.name}"),
        issuer=template.subject,
        key=attested.key.private.public_key(),
        serial=int.from_bytes(b"\x01" + body.random(15)),
        validity=(
            template.not_valid_before_utc.replace(tzinfo=None),
            template.not_valid_after_utc.replace(tzinfo=None),
        ),
    )
    for oid, value in _extensions(attested, body, model):
        builder = builder.add_extension(raw_extension(oid, value), critical=False)
    return builder.sign(signing, hashes.SHA256()).public_bytes(Encoding.DER)


def _extensions(
    attested: Attested, body: Body, model: Model
) -> list[tuple[x509.ObjectIdentifier, bytes]]:
    form_factor = model.form_factor | (FORM_FACTOR_FIPS if model.fips else 0)
    found = [
        (OID_NAME, bytes([_UTF8_STRING, len(attested.name)]) + attested.name),
        (OID_ORIGIN, der_integer(attested.key.origin)),
        (OID_FIRMWARE, der_octets(bytes(body.version))),
        (OID_FINGERPRINT, der_octets(attested.fingerprint)),
        (OID_TIME, der_octets(attested.time)),
    ]
    if attested.slot is Slot.SIG:
        found.append((OID_COUNTER, der_integer(attested.signature_counter)))
    if body.serial is not None:
        found.append((OID_SERIAL, der_integer(body.serial)))
    found.append((OID_UIF, der_octets(bytes([attested.uif]))))
    found.append((OID_FORM_FACTOR, der_octets(bytes([form_factor]))))
    return found
