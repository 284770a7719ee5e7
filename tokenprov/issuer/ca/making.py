"""An authority made: self-signed, or below another one that signs it elsewhere.

Rules:
- A key that is there is never replaced: a making that was cut off is finished with it. One in a
  PKCS#11 token is made there beforehand, by the token's own means.
- A certificate that is taken in is for this key, of an authority (RFC 5280, 4.2.1.9: cA; 4.2.1.3:
  keyCertSign and cRLSign), has a subject key identifier, is in force, and is signed by the first of
  the certificates above it, which lead to a self-signed one.
- It is asked for and taken in by way of files: the authority above may be offline.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from tokenprov.errors import InputError, StationError
from tokenprov.issuer.ca.certificate import build_authority_request, build_root
from tokenprov.issuer.ca.folder import CaFolder
from tokenprov.issuer.ca.keys import AuthorityKey, KeyKind, generate, read_key, write_key
from tokenprov.issuer.ca.module_key import key_in_token
from tokenprov.record.files import clear_left, create_durable, make_folder, write_durable
from tokenprov.secret import RandomBytes


def make_root(
    folder: CaFolder,
    name: str,
    now: datetime,
    *,
    days: int,
    random: RandomBytes,
    kind: KeyKind = KeyKind.P256,
    path_length: int = 0,
) -> None:
    """Make a self-signed authority; `path_length` 1 lets it sign others that issue to holders.

    Raises `StationError` where a whole one is there, `IssuerError` for a name that cannot be one.
    """
    key = _key(folder, kind)
    certificate = build_root(name, key, days=days, now=now, random=random, path_length=path_length)
    create_durable(folder.certificate, certificate.public_bytes(Encoding.PEM))


def make_request(folder: CaFolder, name: str, kind: KeyKind = KeyKind.P256) -> bytes:
    """Make an authority that another one is to sign; gives the request for it, PEM.

    Made again it is the same authority. Raises as `make_root`.
    """
    request = build_authority_request(name, _key(folder, kind))
    pem = request.public_bytes(Encoding.PEM)
    write_durable(folder.request, pem)
    return pem


def take_in(folder: CaFolder, certificates: Sequence[x509.Certificate], now: datetime) -> None:
    """Take in the authority's certificate and those above it, nearest first.

    Raises `InputError` where they are not what was asked for, `StationError` where there is a
    certificate already or no key.
    """
    _refuse_whole(folder)
    uri = folder.settings().key
    key = key_in_token(uri) if uri is not None else read_key(folder.key)
    if not certificates:
        raise InputError("there is no certificate in it", remedy="Give PEM files.")
    own, *above = certificates
    if own.public_key() != key.public_key():
        raise _refused(own, "is for another key", f"Have {folder.request} signed.")
    _check_authority(own, now)
    for lower, upper in zip(certificates, certificates[1:], strict=False):
        if not _signed(lower, upper):
            raise _refused(lower, f"is not signed by {_name(upper)}", "Give them nearest first.")
    if not _signed(certificates[-1], certificates[-1]):
        raise _refused(
            certificates[-1], "does not end the chain", "Give those above it too, up to the root."
        )
    write_durable(folder.chain, b"".join(one.public_bytes(Encoding.PEM) for one in above))
    create_durable(folder.certificate, own.public_bytes(Encoding.PEM))


def _key(folder: CaFolder, kind: KeyKind) -> AuthorityKey:
    make_folder(folder.path)
    _refuse_whole(folder)
    uri = folder.settings().key
    if uri is not None:
        return key_in_token(uri)
    clear_left(folder.key)
    if not folder.key.exists():
        write_key(folder.key, generate(kind))
    return read_key(folder.key)  # the one left by a making that was cut off, perhaps


def _refuse_whole(folder: CaFolder) -> None:
    if folder.certificate.exists():
        raise StationError(
            f"{folder.path} holds an authority already",
            remedy="Use it, or name another one: its key is never replaced.",
        )


def _check_authority(own: x509.Certificate, now: datetime) -> None:
    try:
        constraints = own.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = own.extensions.get_extension_for_class(x509.KeyUsage).value
        own.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except x509.ExtensionNotFound as exc:
        raise _refused(own, f"lacks {exc.oid._name}", "Have it signed as an authority.") from exc
    if not constraints.ca or not usage.key_cert_sign or not usage.crl_sign:
        raise _refused(
            own, "may not sign certificates and lists", "Have it signed as an authority."
        )
    if not own.not_valid_before_utc <= now <= own.not_valid_after_utc:
        raise _refused(own, "is not in force now", "Check the clocks of both computers.")


def _signed(lower: x509.Certificate, upper: x509.Certificate) -> bool:
    try:
        lower.verify_directly_issued_by(upper)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True


def _name(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string()


def _refused(certificate: x509.Certificate, why: str, remedy: str) -> InputError:
    return InputError(f"the certificate of {_name(certificate)} {why}", remedy=remedy)
