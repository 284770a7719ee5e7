"""An authority that no network leads to, file:NAME: requests go out in files, certificates come in.

    uri = "file:offline-root"
    above = "chain.pem"         # what certificates must lead to: the authorities, up to a root
    crl = "offline.crl"

    issuers/offline/<NAME>/     in the station home
        <quoted request>.json   what is asked for (`told`), for a key on a token
        <quoted request>.pem    the certificate that came, once it was checked

An order whose certificate has not come waits, and so does its token. A certificate is taken in when
it is for the key of a request that waits, names its holder as was asked and nobody else, is in
force, and leads by its signatures to a root in `above`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from tokenprov.errors import EvidenceError, IssuerError, IssuerPending, StationError
from tokenprov.issuer.answers import certificates_above, certificates_in_pem, certified, spki
from tokenprov.issuer.choose import IssuerSettings, read_settings
from tokenprov.issuer.journalled import Mark
from tokenprov.issuer.listed import read_status
from tokenprov.issuer.protocol import Abilities, CertificateRequest, CertificateStatus
from tokenprov.issuer.requests import Certified, request_file
from tokenprov.issuer.settings import File, read
from tokenprov.issuer.told import told
from tokenprov.issuer.web import WebSettings
from tokenprov.model import Json
from tokenprov.record.canonical import canonical, parse_canonical
from tokenprov.record.files import make_folder, write_durable

SCHEME = "file"
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}", re.ASCII)
_TAKE_ANOTHER = (
    "Nothing was taken in. Have the authority make one by the request as it was exported."
)


class OfflineSettings(WebSettings):
    """What the station's file says of an authority that files are carried to."""

    above: File | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A request as it lies there, and the certificate for it, if it came."""

    authority: str  # its URI
    document: dict[str, Json]  # as `told` makes it
    certificate: Path  # where it lies or will lie

    @property
    def request_id(self) -> str:
        """Order and slot."""
        return str(self.document["request"])

    @property
    def is_answered(self) -> bool:
        """Whether the certificate is there."""
        return self.certificate.exists()

    @property
    def csr(self) -> x509.CertificateSigningRequest:
        """The PKCS#10 request."""
        return x509.load_pem_x509_csr(self.document["csr"].encode())

    @property
    def public_key(self) -> bytes:
        """The key that is to be certified (SubjectPublicKeyInfo, DER)."""
        return self.csr.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def offline_authorities(home: Path) -> list[Offline]:
    """Those that this station asked something of. Raises `StationError` for wrong settings."""
    folder = home / "issuers"
    names = sorted(path.name for path in (folder / "offline").glob("*") if path.is_dir())
    uris = [f"{SCHEME}:{name}" for name in names]
    return [connect(uri, read_settings(uri, folder)) for uri in uris]


def connect(uri: str, settings: IssuerSettings) -> Offline:
    """The authority of that name. Raises `StationError` for settings that cannot be used."""
    name = uri.partition(":")[2]
    if not _NAME.fullmatch(name):
        raise IssuerError(
            f"{uri!r} names no authority", remedy="Write file: and a name in small letters."
        )
    found = read(OfflineSettings, settings)
    if found.above is None:
        raise StationError(
            f"{settings.file or settings.folder}: nobody says what certificates of {uri} lead to",
            remedy='Write above = "…" for it: its authorities up to the root, in PEM.',
        )
    return Offline(uri, found, settings.folder / "offline" / name)


class Offline:
    """Implements `Authority` by files that somebody carries."""

    def __init__(self, uri: str, settings: OfflineSettings, folder: Path) -> None:
        self._uri, self._settings, self._folder = uri, settings, folder
        make_folder(folder)

    @property
    def abilities(self) -> Abilities:
        """Certificates; their status where the station has the list."""
        return Abilities(
            revokes=False,
            holds=False,
            tells_status=self._settings.publishes,
            takes_attestation=True,
            needs_csr=True,
            repeatable=True,
        )

    def enroll(self, request: CertificateRequest, mark: Mark, now: datetime) -> Certified:
        """The certificate that came for the request's key; else the request is laid out."""
        there = self._find(request.request_id)
        if there is None or there.public_key != request.public_key:
            there = self._lay_out(request)
        if there.is_answered:
            given = certificates_in_pem(there.certificate.read_bytes())
            return certified(request.public_key, given)
        raise IssuerPending(
            f"the certificate for {request.request_id} has not come from {self._uri}",
            remedy="Export the requests (tokenprov issuer export-requests), have them answered,"
            " import the certificates, and put the token in again.",
        )

    def revoke(self, issued: Certified, reason: x509.ReasonFlags, now: datetime) -> None:
        """Never called: `abilities` says so."""
        raise IssuerError(
            f"{self._uri} takes no revocations", remedy="Have it revoked at the authority."
        )

    def status(self, issued: Certified, now: datetime) -> CertificateStatus:
        """By the authority's list."""
        return read_status(self._settings, issued, now)

    def requests(self) -> Iterator[Waiting]:
        """All that were laid out, answered or not. Raises `StationError` for a damaged one."""
        for path in sorted(self._folder.glob("[!.]*.json")):
            yield self._read(path)

    def take(self, waiting: Waiting, given: list[x509.Certificate], now: datetime) -> Certified:
        """Take the certificate among `given` for a request; durable on return.

        Raises `IssuerError` where it is not what was asked for, `DurabilityError`.
        """
        above = certificates_above(self._settings.above)
        found = certified(waiting.public_key, [*given, *above])
        leaf = x509.load_der_x509_certificate(found.der)
        _check_names(leaf, waiting)
        if not leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc:
            raise _refused(waiting, "is not in force now")
        roots = {spki(one) for one in above if one.subject == one.issuer}
        if not found.chain or spki(x509.load_der_x509_certificate(found.chain[-1])) not in roots:
            raise _refused(waiting, f"leads to no root in {self._settings.above}")
        chain = [x509.load_der_x509_certificate(der) for der in (found.der, *found.chain)]
        pem = b"".join(one.public_bytes(Encoding.PEM) for one in chain)
        write_durable(waiting.certificate, pem)
        return found

    def _lay_out(self, request: CertificateRequest) -> Waiting:
        path = self._path(request.request_id)
        path.with_suffix(".pem").unlink(missing_ok=True)  # for a former key
        write_durable(path, canonical(told(request)))
        return self._read(path)

    def _find(self, request_id: str) -> Waiting | None:
        path = self._path(request_id)
        return self._read(path) if path.exists() else None

    def _read(self, path: Path) -> Waiting:
        try:
            document = parse_canonical(path.read_bytes())
            waiting = Waiting(
                authority=self._uri, document=document, certificate=path.with_suffix(".pem")
            )
            _ = waiting.request_id, waiting.public_key
        except (OSError, EvidenceError, ValueError, KeyError, TypeError) as exc:
            raise StationError(
                f"{path} is not a request as it was laid out", remedy="Restore it from a backup."
            ) from exc
        return waiting

    def _path(self, request_id: str) -> Path:
        return request_file(self._folder, request_id)


def _check_names(leaf: x509.Certificate, waiting: Waiting) -> None:
    wanted, found = waiting.csr.subject, leaf.subject
    if _common_names(wanted) != _common_names(found):
        raise _refused(
            waiting, f"is for {found.rfc4514_string()}, not for {wanted.rfc4514_string()}"
        )
    try:
        asked, given = _names(waiting.csr.extensions), _names(leaf.extensions)
    except (ValueError, x509.DuplicateExtension) as exc:
        raise _refused(waiting, "has extensions that cannot be read") from exc
    for name in given - asked:
        raise _refused(waiting, f"names {_shown(name)}, which was not asked for")
    for name in asked - given:
        raise _refused(waiting, f"does not name {_shown(name)}")


def _common_names(name: x509.Name) -> list[str | bytes]:
    return [one.value for one in name.get_attributes_for_oid(NameOID.COMMON_NAME)]


def _names(extensions: x509.Extensions) -> frozenset[x509.GeneralName]:
    try:
        found = extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(found.value)


def _shown(name: x509.GeneralName) -> str:
    if isinstance(name, x509.OtherName):
        return name.value[2:].decode(errors="replace")
    return str(name.value)


def _refused(waiting: Waiting, why: str) -> IssuerError:
    return IssuerError(f"the certificate for {waiting.request_id} {why}", remedy=_TAKE_ANOTHER)
