"""The keys that somebody who verifies holds: of logs and witnesses, and roots of time stamps."""

from __future__ import annotations

from pathlib import Path

import click
from cryptography import x509

from tokenprov.attestation.anchors import certificates_in
from tokenprov.record.verifier_key import VerifierKey

tsa_root = click.option(
    "--tsa-root",
    "roots",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A root of time-stamp authorities that you trust (PEM).",
)


def verifier_key(given: str) -> VerifierKey:
    """The key itself, or what is in the file of that name. Raises ManifestError."""
    if Path(given).is_file():
        return VerifierKey.in_file(Path(given).read_bytes())
    return VerifierKey.parse(given)


def load_roots(paths: tuple[Path, ...]) -> list[x509.Certificate]:
    """The certificates in these files. Raises InputError."""
    return [one for path in paths for one in certificates_in(path.read_bytes(), where=str(path))]
