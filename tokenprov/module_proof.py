"""Proof that the keys of a token behind a PKCS#11 module do what their certificates say.

Each private key signs 32 random bytes, checked against the certificate of its id, which must be in
force now, or without one against the public key that the token shows. The PIN is tried once, and
never where the token says that few tries are left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tokenprov.attestation.signature import verify_signature
from tokenprov.errors import AuthenticationFailed, TokenError
from tokenprov.pkcs11 import Found
from tokenprov.pkcs11.values import PublicKey
from tokenprov.proof import CANNOT_SIGN, CHALLENGE_SIZE, Proof
from tokenprov.secret import RandomBytes, Secret
from tokenprov.steps.pkcs11.user_pin import FEW_TRIES
from tokenprov.token import Token


def prove_keys(
    token: Token, ask_pin: Callable[[], Secret], *, now: datetime, random: RandomBytes
) -> list[Proof]:
    """Prove each key, by its id. Raises `AuthenticationFailed`, `TokenError`."""
    applet = token.pkcs11()
    if applet.info().flags & FEW_TRIES:
        raise AuthenticationFailed(
            f"token {token.id.label}: its user PIN has too few tries left to be tried",
            remedy="Have its holder log in once, which gives the tries back.",
        )
    pin = ask_pin()
    found = applet.objects(pin)
    return list(_proofs(token, pin, found, now, random))


def _proofs(
    token: Token, pin: Secret, found: Found, now: datetime, random: RandomBytes
) -> Iterator[Proof]:
    for private in found.of("PRIVATE_KEY"):
        name = private.id.hex()
        certificates = found.of("CERTIFICATE", private.id)
        certificate = _certificate(certificates[0].value) if certificates else None
        if certificates and certificate is None:
            yield Proof(slot=name, proved=False, reason="what it holds is no certificate")
            continue
        public = _shown(found, private.id) if certificate is None else certificate.public_key()
        reason = CANNOT_SIGN
        if isinstance(
            public, rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
        ):
            reason = _signs(token, pin, public, private.id, random(CHALLENGE_SIZE))
        if certificate is None:
            yield Proof(slot=name, proved=not reason, reason=reason)
            continue
        reason = reason or _out_of_date(certificate, now)
        yield Proof(
            slot=name,
            proved=not reason,
            reason=reason,
            subject=certificate.subject.rfc4514_string(),
            serial_hex=f"{certificate.serial_number:x}",
        )


def _certificate(der: bytes) -> x509.Certificate | None:
    try:
        return x509.load_der_x509_certificate(der)
    except ValueError:
        return None


def _shown(found: Found, id: bytes) -> PublicKey | None:
    keys = found.of("PUBLIC_KEY", id)
    return keys[0].public if keys else None


def _signs(token: Token, pin: Secret, public: PublicKey, id: bytes, challenge: bytes) -> str:
    """Why the key is not the one that it should be; empty if it is."""
    try:
        signature = token.pkcs11().sign(pin, public, id, challenge)
    except TokenError as error:
        return f"it did not sign: {error.message}"
    spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    verifies = verify_signature(spki, signature, challenge)
    return "" if verifies else "the signature is by another key"


def _out_of_date(certificate: x509.Certificate, now: datetime) -> str:
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if begins <= now <= ends:
        return ""
    return f"the certificate is good from {begins:%Y-%m-%d} until {ends:%Y-%m-%d}"
