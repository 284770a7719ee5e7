"""`tokenprov ca ssh`: certificates by which sshd lets people in, and the list of those revoked."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path

import click
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key, load_ssh_public_key

from tokenprov.cli.ca_authority import authority, opened
from tokenprov.cli.day import DAY
from tokenprov.cli.output import as_json, print_json, print_table
from tokenprov.errors import InputError
from tokenprov.home import Home, now
from tokenprov.issuer.ca.folder import CaFolder
from tokenprov.issuer.choose import local_folder
from tokenprov.issuer.possession import Demand
from tokenprov.issuer.ssh import SshAuthority, SshIssued, SshRequest
from tokenprov.issuer.ssh.authority import PublicKey
from tokenprov.lifecycle.subject import find_token, the_one
from tokenprov.model import Holder, Json
from tokenprov.record.files import write_durable
from tokenprov.record.history import State


@click.group()
def ssh() -> None:
    """SSH certificates, by a key of their own in the authority's folder."""


@ssh.command()
@authority
@click.pass_obj
def public(home_path: Path, name: str) -> None:
    """The authority's public key, for TrustedUserCAKeys of sshd_config."""
    click.echo(_opened(home_path, name).public_line)


@ssh.command()
@click.argument("key", required=False, type=click.Path(exists=True, path_type=Path))
@click.option("--token", "serial", help="In place of KEY: the token with this serial, issued here.")
@click.option("--slot", default="9a", show_default=True, help="With --token: which of its keys.")
@click.option("--id", "holder_id", help="With KEY: the holder, as on a roster.")
@click.option("--last-day", type=DAY, help="With KEY: the holder's.")
@click.option("--principal", multiple=True, required=True, help="An account to log in to.")
@click.option("--days", type=int, default=1, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="As id_x-cert.pub; else stdout.")
@authority
@click.pass_obj
def sign(
    home_path: Path,
    key: Path | None,
    serial: str | None,
    slot: str,
    holder_id: str | None,
    last_day: date | None,
    principal: tuple[str, ...],
    days: int,
    out: Path | None,
    name: str,
) -> None:
    """Sign a certificate for the public key in KEY (OpenSSH, PEM, or a certificate).

    With --token it is for the key that was read back from that token, and its holder.
    """
    if (key is None) is (serial is None) or (key is None) is (holder_id is not None):
        raise InputError(
            "say whose key it is", remedy="Give KEY and --id, or --token SERIAL without them."
        )
    if serial is not None:
        public_key, holder = _of_token(Home.open(home_path), serial, slot)
    else:
        assert key is not None
        demand = opened(home_path, name).signer.settings.attestation
        if demand is Demand.REQUIRED:
            raise InputError(
                "this authority wants keys that a token attests",
                remedy="Use --token SERIAL: what it attested is in the manifest.",
            )
        last = date(last_day.year, last_day.month, last_day.day) if last_day else None
        whose = holder_id or ""
        public_key, holder = _read(key), Holder(id=whose, name=whose, email="", last_day=last)
    request = SshRequest(
        key=public_key,
        holder=holder,
        principals=principal,
        days=days,
        token_serial=serial or "",
    )
    line = f"{_opened(home_path, name).sign(request, now()).certificate}\n"
    if out is not None:
        write_durable(out, line.encode())
    else:
        click.echo(line, nl=False)


@ssh.command("list")
@authority
@as_json
@click.pass_obj
def list_(home_path: Path, name: str, as_json: bool) -> None:
    """What it signed."""
    rows = [_row(one) for one in _opened(home_path, name).all()]
    if as_json:
        print_json(rows)
        return
    print_table(
        ("serial", "of", "until", "revoked"),
        [(row["serial"], row["keyId"], row["until"], row["revoked"] or "") for row in rows],
    )


@ssh.command()
@click.argument("serial")
@authority
@click.pass_obj
def revoke(home_path: Path, serial: str, name: str) -> None:
    """Revoke the certificate of that serial number (hex); publish it with `revoked`."""
    try:
        number = int(serial, 16)
    except ValueError as error:
        raise InputError(
            f"{serial!r} is no serial number", remedy="Write it in hex: tokenprov ca ssh list"
        ) from error
    _opened(home_path, name).revoke(number, now())


@ssh.command()
@click.option("--out", type=click.Path(path_type=Path), help="A file; left out: standard output.")
@authority
@click.pass_obj
def revoked(home_path: Path, out: Path | None, name: str) -> None:
    """The list of what is revoked, for RevokedKeys of sshd_config.

    Certificates for a token are on it, too, while the token is suspended, and once it was revoked,
    replaced or given back.
    """
    home = Home.open(home_path)

    def is_not_held(one: SshIssued) -> bool:
        return bool(one.token) and find_token(home, one.token).state is not State.HELD

    data = _opened(home_path, name).revoked(now(), is_not_held)
    if out is not None:
        write_durable(out, data)
    else:
        sys.stdout.buffer.write(data)


def _opened(home_path: Path, name: str) -> SshAuthority:
    """That of an authority that is whole. Raises `StationError`, `IssuerError`."""
    opened(home_path, name)
    return SshAuthority(CaFolder(path=local_folder(home_path, name)))


def _of_token(home: Home, serial: str, slot: str) -> tuple[PublicKey, Holder]:
    """The certified key that was read back from a token, and whose it is."""
    token = the_one(home, serial, State.HELD)
    step = token.steps.get(f"piv/{slot}/certificate")
    if step is None:
        raise InputError(
            f"token {serial} was issued without a certificate in {slot}",
            remedy="Choose another with --slot, or give its public key and --id.",
        )
    (der,) = [
        home.manifest.blob(one["sha256"])
        for one in step["evidence"]
        if one["type"] == "certificate"
    ]
    return _usable(x509.load_der_x509_certificate(der).public_key(), serial), token.holder


def _read(path: Path) -> PublicKey:
    """The key in a file. Raises `InputError`."""
    data = path.read_bytes()
    for read in (
        load_ssh_public_key,
        load_pem_public_key,
        lambda pem: x509.load_pem_x509_certificate(pem).public_key(),
    ):
        try:
            return _usable(read(data), str(path))
        except (ValueError, UnsupportedAlgorithm, NotImplementedError, x509.InvalidVersion):
            continue
    raise InputError(
        f"{path} holds no public key", remedy="Give one as OpenSSH has it, PEM, or a certificate."
    )


def _usable(key: object, where: str) -> PublicKey:
    if isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey):
        return key
    raise InputError(
        f"the key of {where} is of a kind that does not log in",
        remedy="Use RSA, a NIST curve or Ed25519.",
    )


def _row(one: SshIssued) -> dict[str, Json]:
    return {
        "serial": f"{one.serial:x}",
        "keyId": one.key_id,
        "issued": f"{one.issued:%Y-%m-%dT%H:%M:%SZ}",
        "until": f"{one.until:%Y-%m-%dT%H:%M:%SZ}",
        "revoked": f"{one.revoked:%Y-%m-%dT%H:%M:%SZ}" if one.revoked else None,
    }
