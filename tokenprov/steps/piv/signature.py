"""Certification requests that a PIV key signs.

RFC 2986 for the request, assembled with asn1crypto because the key that signs is on the token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from asn1crypto import csr as asn1_csr
from asn1crypto.core import ParsableOctetString
from asn1crypto.keys import PublicKeyInfo
from asn1crypto.x509 import Name
from cryptography import x509
from yubikit.piv import KEY_TYPE

from tokenprov.issuer import CertificateRequest, Sign
from tokenprov.issuer.requested import requested_extensions

_SIGNATURE_ALGORITHMS = {
    KEY_TYPE.ECCP256: "sha256_ecdsa",
    KEY_TYPE.ECCP384: "sha384_ecdsa",
    KEY_TYPE.ED25519: "ed25519",
}


def with_csr(
    request: CertificateRequest, algorithm: KEY_TYPE, sign: Sign, *, names_token: bool
) -> CertificateRequest:
    """The request with a PKCS#10 request in it that asks for what its settings want."""
    extensions = requested_extensions(request, names_token=names_token)
    subject = request.settings.subject
    csr = certification_request(request.public_key, algorithm, subject, sign, extensions)
    return replace(request, csr=csr, sign=sign)


def certification_request(
    public_key: bytes,
    algorithm: KEY_TYPE,
    common_name: str,
    sign: Sign,
    extensions: Sequence[x509.Extension[x509.ExtensionType]] = (),
) -> bytes:
    """A PKCS#10 request, DER: `sign` gives the signature over the bytes that it is handed."""
    wanted = [
        {
            "extn_id": one.oid.dotted_string,
            "critical": one.critical,
            "extn_value": ParsableOctetString(one.value.public_bytes()),
        }
        for one in extensions
    ]
    info = asn1_csr.CertificationRequestInfo(
        {
            "version": "v1",
            "subject": Name.build({"common_name": common_name}),
            "subject_pk_info": PublicKeyInfo.load(public_key),
            "attributes": [{"type": "extension_request", "values": [wanted]}] if wanted else [],
        }
    )
    request = asn1_csr.CertificationRequest(
        {
            "certification_request_info": info,
            "signature_algorithm": {
                "algorithm": _SIGNATURE_ALGORITHMS.get(algorithm, "sha256_rsa")
            },
            "signature": sign(info.dump()),
        }
    )
    encoded: bytes = request.dump()
    return encoded
