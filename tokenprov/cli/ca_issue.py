"""`tokenprov ca issue`: a certificate for a request that somebody brings."""

from __future__ import annotations

import hashlib
from pathlib import Path

import click
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tokenprov.attestation import PivAttestation, verify_piv_attestation
from tokenprov.cli.ca_authority import authority, opened
from tokenprov.errors import InputError
from tokenprov.home import Home, now
from tokenprov.issuer import CertificateRequest, CertificateSettings, Usage
from tokenprov.model import Holder

pem_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("csr", type=pem_file)
@click.option("--id", "holder_id", required=True, help="The holder, as on a roster.")
@click.option("--name", "holder_name", required=True, help="The certificate's common name.")
@click.option("--email", default="", help="Mail address, as an alternative name.")
@click.option("--upn", default="", help="User principal name, as an alternative name.")
@click.option("--sid", default="", help="Security identifier of the Windows account.")
@click.option(
    "--usage", type=click.Choice([usage.value for usage in Usage]), multiple=True, required=True
)
@click.option("--policy", multiple=True, metavar="OID", help="A certificate policy.")
@click.option("--encryption", is_flag=True, help="For a key that decrypts, and signs nothing.")
@click.option("--days", type=click.IntRange(1, 3650), default=365, show_default=True)
@click.option("--attestation", type=pem_file, help="PEM: the key's, then the token's own, f9.")
@click.option("--serial", "token_serial", help="Of the token that holds the key.")
@authority
@click.pass_obj
def issue(
    home_path: Path,
    csr: Path,
    holder_id: str,
    holder_name: str,
    email: str,
    upn: str,
    sid: str,
    usage: tuple[str, ...],
    policy: tuple[str, ...],
    encryption: bool,
    days: int,
    attestation: Path | None,
    token_serial: str | None,
    name: str,
) -> None:
    """Issue a certificate for the request in CSR (PEM); it goes to stdout with its chain.

    The names are those given here: the request's own count for nothing. The same request gets the
    same certificate again.
    """
    request = read_csr(csr)
    key = request.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    home = Home.open(home_path)
    issued = opened(home_path, name).issue(
        CertificateRequest(
            request_id=f"by-hand/{holder_id}/{hashlib.sha256(key).hexdigest()[:32]}",
            holder=Holder(id=holder_id, name=holder_name, email=email, upn=upn),
            public_key=key,
            csr=request.public_bytes(Encoding.DER),
            attestation=_attestation(attestation, home) if attestation else None,
            token_serial=token_serial,
            settings=CertificateSettings(
                days=days,
                subject=holder_name,
                upn=bool(upn),
                email=bool(email),
                usages=tuple(map(Usage, usage)),
                encryption=encryption,
                sid=sid,
                policies=policy,
            ),
        ),
        now(),
    )
    for der in (issued.der, *issued.chain):
        pem = x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)
        click.echo(pem.decode(), nl=False)


def read_csr(path: Path) -> x509.CertificateSigningRequest:
    """A request (PEM) whose signature holds. Raises `InputError`."""
    try:
        request = x509.load_pem_x509_csr(path.read_bytes())
        holds = request.is_signature_valid
    except (ValueError, TypeError, x509.InvalidVersion) as error:
        raise InputError(f"{path} holds no request", remedy="Give a PKCS#10 in PEM.") from error
    except UnsupportedAlgorithm as error:
        raise InputError(
            f"the key in {path} is of a kind that is not known here",
            remedy="Use eccp256, eccp384, ed25519 or RSA.",
        ) from error
    if not holds:
        raise InputError(f"the signature of {path} does not verify", remedy="Make it again.")
    return request


def _attestation(path: Path, home: Home) -> PivAttestation:
    """The verified one. Raises `InputError`, `AttestationError`."""
    try:
        leaf, device = x509.load_pem_x509_certificates(path.read_bytes())
    except ValueError as error:
        raise InputError(
            f"{path} does not hold an attestation and the token's own certificate",
            remedy="Put both into it, as PEM: that of the key, then that of slot f9.",
        ) from error
    return verify_piv_attestation(
        leaf.public_bytes(Encoding.DER),
        device.public_bytes(Encoding.DER),
        home.anchors,
        now=now(),
    )
