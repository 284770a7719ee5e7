"""Certificates for the SCP11 keys that a token made itself, under the virtual attestation root.

A bundle is the certificate of the bench's security domain authority and that of the key, leaf
last: what GET DATA gives for a key from the factory. The authority stands under the bench's
attestation intermediate, beside those for PIV and FIDO, and is made when first asked for.
"""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from tokenprov.sim.applet import Body
from tokenprov.sim.attestation import NEW_VALIDITY, OID_FIRMWARE, VirtualRoots
from tokenprov.sim.certificate import (
    certificate_builder,
    common_name,
    der_integer,
    raw_extension,
)
from tokenprov.sim.scp.wire import KeyRef

OID_SERIAL = x509.ObjectIdentifier("1.3.6.1.4.1.41482.3.7")  # DER INTEGER
_AUTHORITY_NAME = "Virtual SD Attestation 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Authority:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def attest(
    key: ec.EllipticCurvePublicKey, ref: KeyRef, body: Body, roots: VirtualRoots
) -> tuple[bytes, ...]:
    """The certificates for a key that `body` generated, DER, leaf last."""
    authority = _authority(roots)
    builder = certificate_builder(
        subject=common_name(f"YubiKey SD Attestation {ref.kid:02X}:{ref.kvn:02X}"),
        issuer=authority.certificate.subject,
        key=key,
        serial=int.from_bytes(b"\x01" + body.random(15)),
        validity=NEW_VALIDITY,
    )
    extensions = [raw_extension(OID_FIRMWARE, bytes(body.version))]
    if body.serial is not None:
        extensions.append(raw_extension(OID_SERIAL, der_integer(body.serial)))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    builder = builder.add_extension(_usage(agreement=True), critical=True)
    leaf = builder.sign(authority.key, hashes.SHA256())
    return tuple(each.public_bytes(Encoding.DER) for each in (authority.certificate, leaf))


@functools.lru_cache(maxsize=8)
def _authority(roots: VirtualRoots) -> _Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = roots.intermediate
    builder = certificate_builder(
        subject=common_name(_AUTHORITY_NAME),
        issuer=issuer.certificate.subject,
        key=key.public_key(),
        serial=int.from_bytes(b"\x01" + os.urandom(15)),
        validity=NEW_VALIDITY,
    )
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(agreement=False), critical=True)
        .add_extension(identifier, critical=False)
        .sign(issuer.key, hashes.SHA256())
    )
    return _Authority(certificate=certificate, key=key)


def _usage(*, agreement: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=agreement,
        key_cert_sign=not agreement,
        crl_sign=not agreement,
        encipher_only=False,
        decipher_only=False,
    )
