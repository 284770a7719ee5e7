"""What people and programs outside are told of a request. No secret is in it."""

from __future__ import annotations

import os

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tokenprov.issuer.protocol import CertificateRequest
from tokenprov.model import Json

_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ")


def environment() -> dict[str, str]:
    """What a program that is run for an authority sees of the environment: no proxy, no secret."""
    return {name: os.environ[name] for name in _KEPT if name in os.environ}


def told(request: CertificateRequest) -> dict[str, Json]:
    """As it stands in files and on pipes (docs/issuers.md)."""
    settings = request.settings
    document: dict[str, Json] = {
        "request": request.request_id,
        "holder": request.holder.to_json(),
        "subject": settings.subject,
        "days": settings.days,
        "usages": [str(usage) for usage in settings.usages],
        "encryption": settings.encryption,
        "csr": csr_pem(request.csr or b""),
        "attestation": [
            x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM).decode()
            for der in request.attestation_chain
        ],
    }
    if request.token_serial:
        document["token"] = request.token_serial
    if request.holder.last_day:
        document["lastDay"] = request.holder.last_day.isoformat()
    return document


def csr_pem(der: bytes) -> str:
    """A PKCS#10 request as text."""
    return x509.load_der_x509_csr(der).public_bytes(Encoding.PEM).decode()
