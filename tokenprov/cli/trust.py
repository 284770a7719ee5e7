"""`tokenprov trust list|import|check`: the roots of attestation that this station goes by."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import click
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from tokenprov.attestation.anchors import (
    AnchorKind,
    Anchors,
    certificates_in,
    fingerprint,
    is_self_signed,
    is_virtual,
)
from tokenprov.cli import entries
from tokenprov.cli.output import as_json, print_json, print_table
from tokenprov.errors import AttestationError, InputError
from tokenprov.home import Home, now
from tokenprov.model import Json
from tokenprov.record.entry import Grade, Kind
from tokenprov.record.files import clear_left, create_durable
from tokenprov.record.manifest import Manifest

BETWEEN = "between"  # the kind of a certificate that is no root


@click.group()
def trust() -> None:
    """Roots of attestation, by fingerprint."""


@trust.command("list")
@as_json
@click.pass_obj
def list_(home_path: Path, as_json: bool) -> None:
    """What attestations may end at, and what may stand in between."""
    anchors = Home.open(home_path).anchors
    rows = [
        (str(anchor.kind), sorted(map(str, anchor.uses)), anchor.certificate)
        for anchor in anchors.anchors
    ]
    rows += [(BETWEEN, [], certificate) for certificate in anchors.intermediates]
    if as_json:
        print_json([_document(*row) for row in rows])
        return
    print_table(
        ("fingerprint", "kind", "for", "until", "subject"),
        [
            (fingerprint(found), kind, ", ".join(uses), f"{_until(found):%Y-%m-%d}", _name(found))
            for kind, uses, found in rows
        ],
    )


@trust.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--fingerprint",
    "expected",
    multiple=True,
    required=True,
    metavar="SHA256",
    help="That of each certificate in FILE, which you got another way.",
)
@click.pass_obj
def import_(home_path: Path, file: Path, expected: tuple[str, ...]) -> None:
    """Trust the certificates in FILE (PEM), if they are those whose fingerprints you name."""
    home = Home.open(home_path)
    found = {fingerprint(c): c for c in certificates_in(file.read_bytes(), where=str(file))}
    named = {re.sub(r"[:\s]", "", text).lower() for text in expected}
    if found.keys() != named:
        raise InputError(
            f"{file} holds {', '.join(sorted(found))}, and you named {', '.join(sorted(named))}",
            remedy="Compare with the maker's own page; do not take the file's word for it.",
        )
    if any(map(is_virtual, found.values())):
        _refuse_beside_real(home)
    if not all(map(is_virtual, found.values())):
        _refuse_beside_virtual(home)
    with home.working():
        for digest, certificate in found.items():
            path = home.path / "trust" / f"{digest}.pem"
            clear_left(path)
            if not path.exists():
                create_durable(path, certificate.public_bytes(Encoding.PEM))
            click.echo(f"{digest} is trusted: {_name(certificate)}", err=True)


@trust.command()
@as_json
@click.pass_obj
def check(home_path: Path, as_json: bool) -> None:
    """Look for what no attestation can end at. Exit code 0: all is well; 6: it is not."""
    anchors = Anchors.read(home_path / "trust")  # a home with both kinds does not open
    log = Manifest.open(entries.folder(home_path, None))
    findings = [*_findings(anchors, now()), *_beside(anchors, log)]
    if as_json:
        print_json({"holds": not findings, "findings": findings})
    for finding in [] if as_json else findings:
        click.echo(f"{finding['fingerprint']}: {finding['what']}")
    if findings:
        sys.exit(AttestationError.exit_code)
    click.echo(f"{len(anchors.anchors)} roots hold.", err=True)


def _findings(anchors: Anchors, now: datetime) -> list[dict[str, Json]]:
    roots = [anchor.certificate for anchor in anchors.anchors]
    every = [*roots, *anchors.intermediates]
    found = [
        (
            certificate,
            f"valid from {certificate.not_valid_before_utc:%Y-%m-%d} until"
            f" {_until(certificate):%Y-%m-%d}",
        )
        for certificate in every
        if not certificate.not_valid_before_utc <= now <= _until(certificate)
    ]
    found += [
        (certificate, "no certificate here has signed it")
        for certificate in anchors.intermediates
        if not any(_signed(certificate, by) for by in every)
    ]
    return [_finding(certificate, what) for certificate, what in found]


def _beside(anchors: Anchors, log: Manifest) -> Iterator[dict[str, Json]]:
    """Real roots beside virtual ones, and virtual ones where makers vouched for real tokens."""
    for anchor in anchors.beside_virtual:
        yield _finding(anchor.certificate, "a real root beside virtual ones")
    virtual = [anchor for anchor in anchors.anchors if anchor.kind is AnchorKind.VIRTUAL]
    real = next(_vouched_for(log), None) if virtual else None
    for anchor in virtual:
        if anchors.beside_virtual:
            yield _finding(anchor.certificate, "a virtual root beside real ones")
        elif real is not None:
            what = f"a virtual root, and entry {real} issued a real token"
            yield _finding(anchor.certificate, what)


def _vouched_for(log: Manifest) -> Iterator[int]:
    """The entries that issued a token which its maker says is real."""
    for index, entry in enumerate(log.entries()):
        token = entry["token"] if entry["kind"] == Kind.ISSUED else {"virtual": True}
        if not token["virtual"] and token.get("grade") in (Grade.ATTESTED, Grade.PARTLY):
            yield index


def _finding(certificate: x509.Certificate, what: str) -> dict[str, Json]:
    return {"fingerprint": fingerprint(certificate), "subject": _name(certificate), "what": what}


def _signed(certificate: x509.Certificate, by: x509.Certificate) -> bool:
    if certificate.issuer != by.subject or is_self_signed(certificate):
        return False
    try:
        certificate.verify_directly_issued_by(by)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True


def _refuse_beside_real(home: Home) -> None:
    for index, entry in enumerate(home.manifest.entries()):
        if entry["kind"] == Kind.ISSUED and not entry["token"]["virtual"]:
            raise InputError(
                f"a virtual root is not trusted here: entry {index} issued a real token",
                remedy="Try virtual tokens out in a home of their own: tokenprov init.",
            )


def _refuse_beside_virtual(home: Home) -> None:
    if home.anchors.know_virtual:
        raise InputError(
            "a real root is not trusted here: this home trusts virtual tokens",
            remedy="Work with real tokens in a home of their own: tokenprov init.",
        )


def _until(certificate: x509.Certificate) -> datetime:
    return certificate.not_valid_after_utc


def _name(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string()


def _document(kind: str, uses: list[str], certificate: x509.Certificate) -> dict[str, Json]:
    return {
        "fingerprint": fingerprint(certificate),
        "kind": kind,
        "for": list(uses),
        "subject": _name(certificate),
        "until": f"{_until(certificate):%Y-%m-%dT%H:%M:%SZ}",
    }
