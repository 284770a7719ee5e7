"""PIV attestation: the statement that a key was generated here, and f9 as from the factory.

Rules ("PIV Attestation OID Arc", docs.yubico.com/hardware/oid): random 16-byte serial number;
issuer and validity are subject and validity of the f9 certificate; the subject is "YubiKey PIV
Attestation " and the slot; SHA-256 with PKCS#1 v1.5, or ECDSA; one statement only for a key that
was generated on the token. Extensions under 1.3.6.1.4.1.41482.3 hold raw bytes, not DER, except
for the serial number; there is a form factor from firmware 5 on.
"""

from __future__ import annotations

import functools
import os

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from tokenprov.sim.apdu import SW, Refusal
from tokenprov.sim.applet import Body, Version
from tokenprov.sim.applets.piv_keys import PUBLIC_EXPONENT, PivKey
from tokenprov.sim.applets.piv_wire import (
    Algorithm,
    Origin,
    PinPolicy,
    Tag,
    TouchPolicy,
    read_distinct,
    tlv,
)
from tokenprov.sim.attestation import OID_FIRMWARE, VirtualRoots, bench_roots
from tokenprov.sim.certificate import (
    certificate_builder,
    common_name,
    der_integer,
    raw_extension,
)
from tokenprov.sim.models import Model

OID_SERIAL = x509.ObjectIdentifier("1.3.6.1.4.1.41482.3.7")
OID_POLICY = x509.ObjectIdentifier("1.3.6.1.4.1.41482.3.8")  # PIN policy, touch policy
OID_FORM_FACTOR = x509.ObjectIdentifier("1.3.6.1.4.1.41482.3.9")
FORM_FACTOR_FIPS = 0x80


def factory_attestation(
    body: Body, model: Model, roots: VirtualRoots | None
) -> tuple[PivKey, bytes]:
    """The f9 key of a new token, and the content of its certificate object.

    As with real ones, many tokens have the same: one for a firmware under one hierarchy.
    """
    private, certificate = _batch(roots or bench_roots(), body.version, model.fips)
    key = PivKey(
        algorithm=Algorithm.RSA2048,
        private=private,
        pin_policy=PinPolicy.ONCE,
        touch_policy=TouchPolicy.NEVER,
        origin=Origin.IMPORTED,
    )
    content = (
        tlv(Tag.CERTIFICATE, certificate)
        + tlv(Tag.CERTIFICATE_INFO, b"\0")
        + tlv(Tag.ERROR_DETECTION)
    )
    return key, content


@functools.lru_cache(maxsize=32)
def _batch(roots: VirtualRoots, version: Version, fips: bool) -> tuple[rsa.RSAPrivateKey, bytes]:
    private = rsa.generate_private_key(PUBLIC_EXPONENT, 2048)
    certificate = roots.certify_f9(
        private.public_key(), version=version, fips=fips, random=os.urandom
    )
    return private, certificate.public_bytes(Encoding.DER)


def statement(
    key: PivKey, slot: int, body: Body, model: Model, attesting: PivKey, object_content: bytes
) -> bytes:
    """The attestation statement for `key`, DER. `object_content` is f9's certificate object.

    Raises `Refusal` 6A80 when the certificate object or the f9 key cannot attest.
    """
    signing = attesting.private
    if not isinstance(signing, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise Refusal(SW.INCORRECT_PARAMETERS)
    try:
        encoded = read_distinct(object_content)[Tag.CERTIFICATE]
        template = x509.load_der_x509_certificate(encoded)
    except (KeyError, ValueError):
        raise Refusal(SW.INCORRECT_PARAMETERS) from None
    extensions = [(OID_FIRMWARE, bytes(body.version))]
    if body.serial is not None:
        extensions.append((OID_SERIAL, der_integer(body.serial)))
    extensions.append((OID_POLICY, bytes([key.pin_policy, key.touch_policy])))
    if body.version >= (5, 0, 0):
        form_factor = model.form_factor | (FORM_FACTOR_FIPS if model.fips else 0)
        extensions.append((OID_FORM_FACTOR, bytes([form_factor])))
    builder = certificate_builder(
        subject=common_name(f"YubiKey PIV Attestation {slot:02x}"),
        issuer=template.subject,
        key=key.private.public_key(),
        serial=int.from_bytes(b"\x01" + body.random(15)),
        validity=(
            template.not_valid_before_utc.replace(tzinfo=None),
            template.not_valid_after_utc.replace(tzinfo=None),
        ),
    )
    for oid, value in extensions:
        builder = builder.add_extension(raw_extension(oid, value), critical=False)
    return builder.sign(signing, hashes.SHA256()).public_bytes(Encoding.DER)
