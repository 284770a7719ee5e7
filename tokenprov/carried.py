"""Requests carried to an authority that no network leads to, and certificates carried back.

Rules:
- Requests are those of orders that are not issued, for keys on the tokens that they are bound to.
- Each certificate goes to the request for its key; what is wrong with one is told, and the others
  are taken in. Authorities' certificates that come along are no answers and no faults.
- A certificate that is there already is not taken in a second time.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from tokenprov.errors import InputError, IssuerError
from tokenprov.home import Home
from tokenprov.issuer.answers import certificates_in_file, is_authority, spki
from tokenprov.issuer.offline import Offline, Waiting, offline_authorities
from tokenprov.model import Json, OrderState
from tokenprov.record.file_set import create_files
from tokenprov.record.files import temporary_of

LIST = "requests.csv"
_COLUMNS = ("file", "request", "authority", "token", "holder", "name", "subject", "days", "usages")


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """A request and what became of it."""

    request: str
    authority: str
    holder: str
    token: str
    file: str = ""  # that it was written to
    serial: str = ""  # of the certificate that was taken in, hex

    def to_json(self) -> dict[str, Json]:
        """For programs."""
        document: dict[str, Json] = {
            "request": self.request,
            "authority": self.authority,
            "holder": self.holder,
            "token": self.token or None,
        }
        if self.file:
            document["file"] = self.file
        if self.serial:
            document["serialNumber"] = self.serial
        return document


def export_requests(home: Home, folder: Path, batch: str = "") -> list[Carried]:
    """Write the requests that wait (of a batch) into `folder`, and a list of them when all are.

    The same again goes on where it was cut off. Raises `InputError` where the folder holds a list
    or something else, `DurabilityError`.
    """
    found = [
        one
        for _, one in _open(home)
        if not one.is_answered and (not batch or one.request_id.startswith(f"{batch}-"))
    ]
    written = [_carried(one, file=f"{one.request_id.replace('/', '-')}.csr") for one in found]
    files = {
        carried.file: one.document["csr"].encode()
        for one, carried in zip(found, written, strict=True)
    }
    _refuse_other(folder, files)
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(_COLUMNS)
    lines.writerows(_row(one, carried) for one, carried in zip(found, written, strict=True))
    create_files(folder, {**files, LIST: text.getvalue().encode()})
    return written


def _refuse_other(folder: Path, names: Collection[str]) -> None:
    """Raises `InputError` for what is no export of these that was cut off before its list."""
    made = [folder / name for name in names]
    cut_off = {*made, *map(temporary_of, (*made, folder / LIST))}
    if folder.exists() and not (folder.is_dir() and cut_off.issuperset(folder.iterdir())):
        raise InputError(
            f"{folder} is there and not empty", remedy="Name a folder that is not there yet."
        )


def import_certificates(
    home: Home, files: Sequence[Path]
) -> tuple[list[Carried], list[IssuerError]]:
    """Take the certificates in files for the requests that wait; gives what was and was not taken.

    Raises `InputError` for a file without certificates, or with one that nobody asked for.
    """
    given = {file: _read(file) for file in files}
    waiting = list(_open(home))
    _refuse_strangers(given, {one.public_key for _, one in waiting})
    everything = [one for found in given.values() for one in found]
    taken, refused = list[Carried](), list[IssuerError]()
    for authority, one in waiting:
        if one.is_answered or not any(spki(found) == one.public_key for found in everything):
            continue
        try:
            made = authority.take(one, everything, home.clock())
        except IssuerError as error:
            refused.append(error)
            continue
        taken.append(_carried(one, serial=made.serial_hex))
    return taken, refused


def _open(home: Home) -> Iterator[tuple[Offline, Waiting]]:
    """The requests of orders that are begun and not issued."""
    for authority in offline_authorities(home.path):
        for one in authority.requests():
            record = home.ledger.order(one.request_id.partition("/")[0])
            if record is not None and record.state in (OrderState.WORKING, OrderState.FAILED):
                yield authority, one


def _read(file: Path) -> list[x509.Certificate]:
    try:
        return certificates_in_file(file.read_bytes())
    except OSError as exc:
        raise InputError(f"{file} cannot be read: {exc.strerror}", remedy="Name a file.") from exc
    except IssuerError as error:
        raise InputError(
            error.message, remedy="Name certificates in PEM, DER or PKCS#7.", where=str(file)
        ) from error


def _refuse_strangers(given: dict[Path, list[x509.Certificate]], keys: set[bytes]) -> None:
    for file, found in given.items():
        for one in found:
            if spki(one) not in keys and not is_authority(one):
                raise InputError(
                    f"no request waits for the certificate of {one.subject.rfc4514_string()}",
                    remedy="Nothing was taken in. Leave it out, or find out for which key it is.",
                    where=str(file),
                )


def _carried(one: Waiting, *, file: str = "", serial: str = "") -> Carried:
    return Carried(
        request=one.request_id,
        authority=one.authority,
        holder=one.document["holder"]["id"],
        token=one.document.get("token", ""),
        file=file,
        serial=serial,
    )


def _row(one: Waiting, carried: Carried) -> tuple[str, ...]:
    document = one.document
    return (
        carried.file,
        one.request_id,
        one.authority,
        carried.token,
        carried.holder,
        document["holder"]["name"],
        document["subject"],
        str(document["days"]),
        " ".join(document["usages"]),
    )
