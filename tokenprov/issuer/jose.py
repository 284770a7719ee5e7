"""What ACME wants of JOSE: requests signed by an account's key (RFC 7515, RFC 7638, RFC 8555, 6.2).

An account's key is on P-256 and signs with ES256. A shared secret that an authority gave binds the
account to somebody it knows, by HS256.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tokenprov.model import Json
from tokenprov.secret import Secret

_COORDINATE = 32  # bytes, RFC 7518, 6.2.1.2


def base64url(data: bytes) -> str:
    """Without padding (RFC 7515, 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jwk(key: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    """The public half of an account's key (RFC 7517)."""
    numbers = key.public_key().public_numbers()
    return {
        "crv": "P-256",
        "kty": "EC",
        "x": base64url(numbers.x.to_bytes(_COORDINATE)),
        "y": base64url(numbers.y.to_bytes(_COORDINATE)),
    }


def thumbprint(key: ec.EllipticCurvePrivateKey) -> str:
    """What names an account's key in a key authorization (RFC 7638, RFC 8555, 8.1)."""
    canonical = json.dumps(jwk(key), sort_keys=True, separators=(",", ":"))
    return base64url(hashlib.sha256(canonical.encode()).digest())


def signed(
    key: ec.EllipticCurvePrivateKey, protected: Mapping[str, Json], payload: Json
) -> dict[str, str]:
    """A flattened JWS (RFC 7515, 7.2.2); `payload` None is ACME's POST-as-GET."""
    message = _message({"alg": "ES256", **protected}, payload)
    r, s = decode_dss_signature(key.sign(_input(message), ec.ECDSA(hashes.SHA256())))
    signature = r.to_bytes(_COORDINATE) + s.to_bytes(_COORDINATE)  # RFC 7518, 3.4
    return {**message, "signature": base64url(signature)}


def bound(key: ec.EllipticCurvePrivateKey, kid: str, secret: Secret, url: str) -> dict[str, str]:
    """An external account binding (RFC 8555, 7.3.4)."""
    message = _message({"alg": "HS256", "kid": kid, "url": url}, jwk(key))
    digest = hmac.digest(secret.reveal(), _input(message), "sha256")
    return {**message, "signature": base64url(digest)}


def _message(protected: Mapping[str, Json], payload: Json) -> dict[str, str]:
    body = b"" if payload is None else json.dumps(payload).encode()
    return {
        "protected": base64url(json.dumps(dict(protected)).encode()),
        "payload": base64url(body),
    }


def _input(message: Mapping[str, str]) -> bytes:
    return f"{message['protected']}.{message['payload']}".encode()
