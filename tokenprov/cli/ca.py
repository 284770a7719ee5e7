"""`tokenprov ca …`: an authority of the station's own, made, used by hand, and published."""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime
from pathlib import Path

import click
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tokenprov.attestation.anchors import certificates_in
from tokenprov.cli.ca_authority import authority, opened
from tokenprov.cli.ca_issue import issue, read_csr
from tokenprov.cli.ca_serve import serve_ocsp
from tokenprov.cli.ca_ssh import ssh
from tokenprov.cli.output import as_json, print_json, print_table
from tokenprov.errors import InputError
from tokenprov.home import Home, now
from tokenprov.issuer import LocalCa
from tokenprov.issuer.ca.certificate import build_subordinate
from tokenprov.issuer.ca.folder import CaFolder
from tokenprov.issuer.ca.issued import Issued
from tokenprov.issuer.ca.keys import KeyKind
from tokenprov.issuer.ca.making import make_request, make_root, take_in
from tokenprov.issuer.choose import local_folder
from tokenprov.model import Json
from tokenprov.record.files import create_durable, make_folder, write_durable

_REASONS = {
    flag.value: flag
    for flag in x509.ReasonFlags
    if flag is not x509.ReasonFlags.remove_from_crl  # that is `release`
}


@click.group()
def ca() -> None:
    """Authorities of the station's own: `local`, and others by name."""


ca.add_command(issue)
ca.add_command(serve_ocsp)
ca.add_command(ssh)


@ca.command()
@click.argument("name")
@click.option("--common-name", required=True, help="Its name in certificates.")
@click.option(
    "--key", type=click.Choice([kind.value for kind in KeyKind]), default="p256", show_default=True
)
@click.option("--key-uri", metavar="PKCS11-URI", help="In its place, a key in a PKCS#11 token.")
@click.option("--days", type=click.IntRange(1, 36500), default=3650, show_default=True)
@click.option("--csr-out", type=click.Path(path_type=Path), help="Another authority signs it.")
@click.option("--signs-authorities", is_flag=True, help="A root for others below it.")
@click.option("--url", help="http://… below which its lists, certificate and responder are found.")
@click.option("--attestation", is_flag=True, help="Only keys that a token attests.")
@click.pass_obj
def init(
    home_path: Path,
    name: str,
    common_name: str,
    key: str,
    key_uri: str | None,
    days: int,
    csr_out: Path | None,
    signs_authorities: bool,
    url: str | None,
    attestation: bool,
) -> None:
    """Make an authority; a profile names it as issuer = "local:NAME".

    With --csr-out it is to be signed by another one, which may be offline: bring what that gives
    back with `tokenprov ca import NAME`.
    """
    folder = CaFolder(path=local_folder(Home.open(home_path).path, name))
    if csr_out is not None and signs_authorities:
        raise InputError(
            "an authority below another signs holders only", remedy="Leave one of the options out."
        )
    settings = _settings(url, attestation, key_uri)
    folder.parse_settings(settings)  # a URL that is none is told before anything is made
    if csr_out is not None:
        _write_settings(folder, settings)
        pem = make_request(folder, common_name, KeyKind(key))
        write_durable(csr_out, pem)
        click.echo(f"Have {csr_out} signed, then: tokenprov ca import {name} SIGNED ROOT", err=True)
        return
    _write_settings(folder, settings)
    make_root(
        folder,
        common_name,
        now(),
        days=days,
        random=os.urandom,
        kind=KeyKind(key),
        path_length=1 if signs_authorities else 0,
    )
    click.echo(f"Made {folder.path}; trust it by {folder.certificate}", err=True)


@ca.command("import")
@click.argument("name")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.pass_obj
def import_(home_path: Path, name: str, files: tuple[Path, ...]) -> None:
    """Take in the certificate of authority NAME, and those above it up to the root (PEM)."""
    found = list[x509.Certificate]()
    for file in files:
        found += certificates_in(file.read_bytes(), where=str(file))
    take_in(CaFolder(path=local_folder(Home.open(home_path).path, name)), found, now())
    click.echo(f'Ready; a profile names it as issuer = "local:{name}".', err=True)


@ca.command("sign-authority")
@click.argument("csr", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--days", type=click.IntRange(1, 36500), default=1825, show_default=True)
@authority
@click.pass_obj
def sign_authority(home_path: Path, csr: Path, days: int, name: str) -> None:
    """Sign another authority's request (PEM), as a root does; the certificate goes to stdout."""
    above = opened(home_path, name)
    request = read_csr(csr)
    length = above.certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    if length.path_length == 0:
        raise InputError(
            "this authority issues to holders, not to authorities (RFC 5280, 4.2.1.9)",
            remedy="Use one that was made with --signs-authorities.",
        )
    made = build_subordinate(request, above.signer, days=days, now=now(), random=os.urandom)
    above.record(f"authority/{made.serial_number:x}", made, now())
    click.echo(made.public_bytes(Encoding.PEM).decode(), nl=False)


@ca.command("list")
@click.option("--revoked", "only_revoked", is_flag=True, help="Those that are revoked.")
@authority
@as_json
@click.pass_obj
def list_(home_path: Path, only_revoked: bool, name: str, as_json: bool) -> None:
    """What it issued."""
    issued = opened(home_path, name).issued.all()
    rows = [_row(one) for one in issued if one.revocation or not only_revoked]
    if as_json:
        print_json(rows)
        return
    print_table(
        ("serial", "subject", "until", "revoked"),
        [
            (
                row["serial"],
                row["subject"],
                row["notAfter"],
                f"{row['revoked']['reason']}, {row['revoked']['at']}" if row["revoked"] else "",
            )
            for row in rows
        ],
    )


@ca.command()
@click.argument("serial")
@click.option("--reason", type=click.Choice(sorted(_REASONS)), required=True)
@authority
@click.pass_obj
def revoke(home_path: Path, serial: str, reason: str, name: str) -> None:
    """Revoke the certificate of that serial number (hex), and publish it.

    This is for certificates that were issued by hand: `tokenprov revoke` ends those of a token, and
    keeps it on the record. With --reason certificateHold it can be released again.
    """
    found = opened(home_path, name)
    found.revoke(serial_hex(serial), _REASONS[reason], now())
    _say_status(found, serial)


@ca.command()
@click.argument("serial")
@authority
@click.pass_obj
def release(home_path: Path, serial: str, name: str) -> None:
    """End the hold on the certificate of that serial number (hex), and publish it."""
    found = opened(home_path, name)
    found.release(serial_hex(serial), now())
    _say_status(found, serial)


@ca.command()
@click.option("--delta", is_flag=True, help="What changed since the last whole list.")
@click.option("--out", type=click.Path(path_type=Path), help="A file; left out: standard output.")
@authority
@click.pass_obj
def crl(home_path: Path, delta: bool, out: Path | None, name: str) -> None:
    """Publish the list of what is revoked (DER), whole or delta, under a new number."""
    lists = opened(home_path, name).publish(now(), whole=not delta)
    data = lists.delta if delta else lists.whole
    if out is not None:
        write_durable(out, data)
    else:
        sys.stdout.buffer.write(data)


def serial_hex(text: str) -> str:
    """A serial number as people write it: hex, perhaps with colons. Raises `InputError`."""
    try:
        return f"{int(text.replace(':', ''), 16):x}"
    except ValueError as error:
        raise InputError(
            f"{text!r} is no serial number", remedy="Write it in hex: tokenprov ca list"
        ) from error


def _settings(url: str | None, attestation: bool, key_uri: str | None) -> str:
    base = url.rstrip("/") if url else ""
    lines = ['attestation = "required"'] if attestation else []
    if key_uri:
        lines.append(f"key = {json.dumps(key_uri)}")  # a TOML string is written so, too
    if base:
        lines += [
            f'crl-url = "{base}/whole.crl"',
            f'delta-crl-url = "{base}/delta.crl"',
            f'certificate-url = "{base}/ca.cer"',
            f'ocsp-url = "{base}/ocsp"',
        ]
    return "".join(f"{line}\n" for line in lines)


def _write_settings(folder: CaFolder, settings: str) -> None:
    """Unless they are there: of a making that was cut off, or of an authority that is whole."""
    make_folder(folder.path)
    if settings and not folder.settings_file.exists():
        create_durable(folder.settings_file, settings.encode())


def _say_status(found: LocalCa, serial: str) -> None:
    status = found.status(serial_hex(serial), now())
    reason = f" ({status.reason.value})" if status.reason else ""
    click.echo(
        f"{serial_hex(serial)} is {status.standing}{reason}, by the published list.", err=True
    )


def _row(one: Issued) -> dict[str, Json]:
    certificate = x509.load_der_x509_certificate(one.certificate)
    return {
        "serial": one.serial_hex,
        "subject": certificate.subject.rfc4514_string(),
        "notBefore": _moment(certificate.not_valid_before_utc),
        "notAfter": _moment(certificate.not_valid_after_utc),
        "revoked": {"at": _moment(one.revocation.at), "reason": one.revocation.reason.value}
        if one.revocation
        else None,
    }


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
