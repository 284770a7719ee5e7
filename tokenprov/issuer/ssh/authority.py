"""An OpenSSH authority: certificates that let users in (OpenSSH, PROTOCOL.certkeys).

    ssh/ca.key              its private key, Ed25519, PKCS#8 PEM, mode 0600; never the X.509 one
    ssh/ca.pub              what servers name in TrustedUserCAKeys
    ssh/issued/<serial>.json   canonical JSON (RFC 8785), one a certificate
    {"v": 1, "serial": hex, "keyId": "1001 12345678", "certificate": "ecdsa-…", "issued": "…Z",
     "until": "…Z", "token": "12345678", "revoked": "…Z"}
    ssh/number              the number of the last list of what is revoked

Rules:
- Serial numbers are 63 random bits, and none is used twice. What is signed is on the disk before it
  is handed out.
- Valid from five minutes ago until the days that are asked for, or the end of the holder's last
  day.
- It names whom one may log in as (principals, one at least): a certificate without is for all.
- Keys: P-256, P-384, P-521, Ed25519, RSA from 2048 bits.
- Lists of what is revoked are numbered as those of `ca.lists` are; what ended is left out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    SSHCertificateBuilder,
    SSHCertificateType,
)

from tokenprov.errors import EvidenceError, InputError, IssuerError, StationError
from tokenprov.issuer.ca.certificate import BACKDATED
from tokenprov.issuer.ca.folder import CaFolder
from tokenprov.issuer.ca.keys import KeyKind, generate, read_key, write_key
from tokenprov.issuer.ca.numbers import next_number
from tokenprov.issuer.ssh.revoked import revoked_list
from tokenprov.model import Holder, Json
from tokenprov.record.canonical import canonical, parse_canonical, timestamp
from tokenprov.record.files import clear_left, create_durable, make_folder, write_durable
from tokenprov.secret import RandomBytes

PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey

SERIAL_SIZE = 8  # bytes; the uppermost bit is left out, as some readers take them for signed
MAX_DAYS = 3650
# What a login may do unless its certificate says otherwise (PROTOCOL.certkeys, "Extensions")
EXTENSIONS = (
    *("permit-X11-forwarding", "permit-agent-forwarding", "permit-port-forwarding"),
    *("permit-pty", "permit-user-rc"),
)
_VERSION = 1
_MIN_RSA = 2048  # bits
_FORM = "%Y-%m-%dT%H:%M:%S%z"
_PRINCIPAL = re.compile(r"[!-+\--~]{1,64}", re.ASCII)  # printable, without a space or a comma


@dataclass(frozen=True, slots=True, kw_only=True)
class SshRequest:
    """Who may log in as what, with which key, for how long."""

    key: PublicKey
    holder: Holder  # nothing outlives their last day
    principals: tuple[str, ...]  # names of accounts, or what servers map to them
    days: int
    token_serial: str = ""  # of the token that holds the key, for servers' logs


@dataclass(frozen=True, slots=True, kw_only=True)
class SshIssued:
    """A certificate that was signed."""

    serial: int
    key_id: str  # what servers log of a login: the holder, and the token
    certificate: str  # one line, as in id_ecdsa-cert.pub
    issued: datetime
    until: datetime
    token: str = ""  # serial of the one that holds the key
    revoked: datetime | None = None


def _none(issued: SshIssued) -> bool:
    return False


class SshAuthority:
    """The OpenSSH authority in a folder; it is made when it is first opened."""

    def __init__(self, folder: CaFolder) -> None:
        """Raises `StationError` where its key cannot be used, `DurabilityError`."""
        self._folder, self._ssh = folder, folder.path / "ssh"
        with folder.writing():
            make_folder(self._ssh / "issued")
            clear_left(self._ssh / "ca.key")
            if not (self._ssh / "ca.key").exists():
                write_key(self._ssh / "ca.key", generate(KeyKind.ED25519))
            key = read_key(self._ssh / "ca.key")
            if not isinstance(key, ed25519.Ed25519PrivateKey):
                raise StationError(
                    f"{self._ssh / 'ca.key'} is not an Ed25519 key",
                    remedy="Restore it from a backup.",
                )
            self._key = key
            if not (self._ssh / "ca.pub").exists():
                create_durable(self._ssh / "ca.pub", f"{self.public_line}\n".encode())

    @property
    def public_line(self) -> str:
        """Its public key, as servers take it in TrustedUserCAKeys."""
        line = self._key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        return line.decode()

    def sign(
        self, request: SshRequest, now: datetime, random: RandomBytes = os.urandom
    ) -> SshIssued:
        """A certificate. Raises `IssuerError` for what is not given one, `DurabilityError`."""
        _check_key(request.key)
        until = _end(request, now)
        key_id = " ".join(filter(None, [request.holder.id, request.token_serial]))
        serial = int.from_bytes(random(SERIAL_SIZE)) >> 1
        builder = (
            SSHCertificateBuilder()
            .public_key(request.key)
            .serial(serial)
            .type(SSHCertificateType.USER)
            .key_id(key_id.encode())
            .valid_principals([name.encode() for name in _principals(request)])
            .valid_after(int((now - BACKDATED).timestamp()))
            .valid_before(int(until.timestamp()))
        )
        for name in EXTENSIONS:
            builder = builder.add_extension(name.encode(), b"")
        issued = SshIssued(
            serial=serial,
            key_id=key_id,
            certificate=builder.sign(self._key).public_bytes().decode(),
            issued=now,
            until=until,
            token=request.token_serial,
        )
        try:
            create_durable(self._path(serial), _dump(issued))
        except FileExistsError as exc:
            raise IssuerError(
                f"the serial number {serial:x} was drawn before",
                remedy="Run it again; if it comes twice, look at the computer's randomness.",
            ) from exc
        return issued

    def all(self) -> Iterator[SshIssued]:
        """What it signed, by serial number."""
        for path in sorted((self._ssh / "issued").glob("[!.]*.json")):
            yield _parse(path)

    def revoke(self, serial: int, now: datetime) -> SshIssued:
        """Revoke a certificate; a second time changes nothing. Raises `IssuerError` if unknown."""
        path = self._path(serial)
        if not path.exists():
            raise IssuerError(
                f"this authority signed no SSH certificate {serial:x}",
                remedy="Look it up: tokenprov ca ssh list",
            )
        with self._folder.writing():
            issued = _parse(path)
            if issued.revoked is None:
                issued = replace(issued, revoked=now)
                write_durable(path, _dump(issued))
        return issued

    def revoked(self, now: datetime, also: Callable[[SshIssued], bool] = _none) -> bytes:
        """The list of what is revoked and has not ended, under a new number, for sshd.

        `also` tells of a certificate that is not to let anybody in for another reason.
        """
        serials = [
            one.serial for one in self.all() if one.until > now and (one.revoked or also(one))
        ]
        with self._folder.writing():
            number = next_number(self._ssh / "number", now)
        return revoked_list(serials, self._key.public_key(), number=number, now=now)

    def _path(self, serial: int) -> Path:
        return self._ssh / "issued" / f"{serial:016x}.json"


def _check_key(key: PublicKey) -> None:
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < _MIN_RSA:
        raise IssuerError(
            f"the key has {key.key_size} bits only", remedy="Use a key of 2048 bits or more."
        )


def _principals(request: SshRequest) -> tuple[str, ...]:
    if not request.principals:
        raise InputError(
            "a certificate that names nobody lets anybody in as anybody",
            remedy="Name the accounts, as in --principal ada.",
        )
    for name in request.principals:
        if not _PRINCIPAL.fullmatch(name):
            raise InputError(
                f"{name!r} is no name to log in by",
                remedy="Use up to 64 printable characters without spaces and commas.",
            )
    return tuple(dict.fromkeys(request.principals))


def _end(request: SshRequest, now: datetime) -> datetime:
    if not 1 <= request.days <= MAX_DAYS:
        raise InputError(
            f"{request.days} days are not a term for a certificate",
            remedy=f"Write from 1 to {MAX_DAYS}.",
        )
    until, last_day = now + timedelta(days=request.days), request.holder.last_day
    if last_day is not None:
        until = min(until, datetime.combine(last_day, time(23, 59, 59), UTC))
    if until <= now:
        raise IssuerError(
            f"the last day of {request.holder.id} was {last_day}",
            remedy="Correct last_day in the roster, or leave them out.",
        )
    return until


def _dump(issued: SshIssued) -> bytes:
    document: dict[str, Json] = {
        "v": _VERSION,
        "serial": f"{issued.serial:016x}",
        "keyId": issued.key_id,
        "certificate": issued.certificate,
        "issued": timestamp(issued.issued),
        "until": timestamp(issued.until),
    }
    if issued.token:
        document["token"] = issued.token
    if issued.revoked:
        document["revoked"] = timestamp(issued.revoked)
    return canonical(document)


def _parse(path: Path) -> SshIssued:
    try:
        document = parse_canonical(path.read_bytes())
        if document["v"] != _VERSION:
            raise ValueError("not a record of this version")
        moments = {
            name: datetime.strptime(document[name], _FORM)
            for name in ("issued", "until", "revoked")
            if name in document
        }
        return SshIssued(
            serial=int(document["serial"], 16),
            key_id=document["keyId"],
            certificate=document["certificate"],
            issued=moments["issued"],
            until=moments["until"],
            token=document.get("token", ""),
            revoked=moments.get("revoked"),
        )
    except (EvidenceError, KeyError, TypeError, ValueError) as exc:
        raise StationError(
            f"{path} is not a record of an SSH certificate", remedy="Restore it from a backup."
        ) from exc
