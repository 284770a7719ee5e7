"""`tokenprov escrow`: what is sealed to whom, its opening by a custodian, and their keys."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from tokenprov.cli.custodians import custodian_key, new_passphrase, passphrase_of, recorded
from tokenprov.cli.escrow_keys import join, new_key, reseal, rotate, split
from tokenprov.cli.output import as_json, print_json, print_table
from tokenprov.cli.signing import agreed
from tokenprov.custody import SERVERS, Form, Opened, Reason, open_sealed, sealed
from tokenprov.errors import EscrowError, InputError
from tokenprov.handover import export_seeds
from tokenprov.home import Home
from tokenprov.model import HOLDER_PINS, Json, Purpose, SecretKind
from tokenprov.policy import Agreement
from tokenprov.record.files import create_durable, refuse_there
from tokenprov.record.rows import EnvelopeRecord
from tokenprov.secret import Secret

_TEXTS = {
    *HOLDER_PINS,
    *(SecretKind.PIV_PUK, SecretKind.STATIC_PASSWORD, SecretKind.PKCS11_SO_PIN),
    *(SecretKind.OPENPGP_ADMIN_PIN, SecretKind.OPENPGP_RESET_CODE),
    *(SecretKind.OATH_PASSWORD, SecretKind.HSMAUTH_PASSWORD),
}
_F = TypeVar("_F", bound=Callable[..., object])

_purpose = click.Choice([purpose.value for purpose in Purpose])
_with_superseded = click.option(
    "--all",
    "with_superseded",
    is_flag=True,
    help="Also what the token holds no more: replaced, or wiped.",
)


def _opening(command: _F) -> _F:
    """The options of whatever opens envelopes."""
    for option in (
        recorded,
        agreed,
        click.option("--passphrase", is_flag=True, help="Ask for the key's passphrase."),
        click.option(
            "--key",
            "key_given",
            required=True,
            metavar="KEY",
            help="The custodian's private key: a file (PKCS#8 PEM), a PKCS#11 URI,"
            " piv:SERIAL, or words: for shares.",
        ),
    ):
        command = option(command)
    return command


@click.group()
def escrow() -> None:
    """Sealed secrets."""


for command in (reseal, rotate, split, join, new_key):
    escrow.add_command(command)


@escrow.command("list")
@click.argument("serial", required=False)
@click.option("--purpose", type=_purpose, help="Only what this custodian opens.")
@_with_superseded
@as_json
@click.pass_obj
def list_(
    home_path: Path, serial: str | None, purpose: str | None, with_superseded: bool, as_json: bool
) -> None:
    """What is sealed, of all tokens or one; no key is needed, and no secret is shown."""
    found = sealed(
        Home.open(home_path),
        token=serial,
        purpose=Purpose(purpose) if purpose else None,
        superseded=with_superseded,
    )
    if as_json:
        print_json([_listed(envelope) for envelope in found])
        return
    print_table(
        ("token", "secret", "kind", "who opens it", "state", "generation", "key"),
        [
            (one.token_label, one.name, str(one.kind), one.purpose, str(one.state))
            + (str(one.generation), one.kid)
            for one in found
        ],
    )


@escrow.command("open")
@click.argument("serial")
@click.option("--purpose", required=True, type=_purpose, help="Which custodian.")
@_opening
@click.option("--name", help="Only the secret of this name, as in piv/puk.")
@_with_superseded
@as_json
@click.pass_obj
def open_(
    home_path: Path,
    serial: str,
    purpose: str,
    key_given: str,
    passphrase: bool,
    agreement: Agreement,
    reason: str,
    operator: str,
    name: str | None,
    with_superseded: bool,
    as_json: bool,
) -> None:
    """Show the secrets of a token that this custodian may see; the opening is recorded first."""
    why = Reason(operator=operator, text=reason, agreement=agreement)
    home = Home.open(home_path)
    with custodian_key(key_given, passphrase) as key:
        envelopes = [
            envelope
            for envelope in sealed(
                home, token=serial, purpose=Purpose(purpose), superseded=with_superseded
            )
            if name is None or envelope.name == name
        ]
        if not envelopes:
            raise EscrowError(
                f"nothing is sealed to {purpose} for token {serial}",
                remedy="Check serial, purpose and name: tokenprov escrow list. What the token holds"
                " no more: --all.",
            )
        kid = key.recipient.kid
        mine = [envelope for envelope in envelopes if envelope.kid == kid]
        about = {"token": serial, "purpose": purpose}
        opened = open_sealed(home, mine or envelopes, key, why, about=about, prepare=list)
    if as_json:
        print_json([_shown(one) for one in opened])
        return
    print_table(
        ("secret", "state", "value"),
        [(one.context.name, str(one.state), _value(one)) for one in opened],
    )


@escrow.command()
@click.argument("serials", nargs=-1)
@click.option(
    "--for",
    "form",
    required=True,
    type=click.Choice([form.value for form in SERVERS]),
    help="The form of the file.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, allow_dash=True),
    help="The file to make (mode 0600), or - for standard output, which may be no terminal.",
)
@click.option(
    "--recipient",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The server's OpenPGP public key (a file): what is written is encrypted to it.",
)
@click.option(
    "--sign-with",
    metavar="KEY",
    help="Your OpenPGP key, as gpg knows it: what is encrypted is signed with it.",
)
@click.option(
    "--pskc-passphrase",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file whose first line protects the PSKC file.  [default: it is asked for]",
)
@click.option(
    "--purpose",
    type=_purpose,
    default=Purpose.AUTHENTICATION_SERVER.value,
    show_default=True,
    help="Which custodian.",
)
@_opening
@click.pass_obj
def export(
    home_path: Path,
    serials: tuple[str, ...],
    form: str,
    out: Path,
    recipient: Path | None,
    sign_with: str | None,
    pskc_passphrase: Path | None,
    purpose: str,
    key_given: str,
    passphrase: bool,
    agreement: Agreement,
    reason: str,
    operator: str,
) -> None:
    """Write the OTP seeds of SERIALS (of none: of all tokens) for an authentication server."""
    why = Reason(operator=operator, text=reason, agreement=agreement)
    if str(out) == "-" and sys.stdout.isatty():
        raise InputError(
            "seeds are not written to a terminal", remedy="Name a file: --out FILE, or a pipe."
        )
    refuse_there(out)
    home = Home.open(home_path)
    protection = None
    if form == Form.PSKC:
        protection = _pskc_passphrase(pskc_passphrase)
    with custodian_key(key_given, passphrase) as key:
        exported = export_seeds(
            home,
            serials,
            key,
            why,
            purpose=Purpose(purpose),
            form=Form(form),
            recipient=recipient,
            sign_with=sign_with,
            passphrase=protection,
        )
    if str(out) == "-":
        sys.stdout.buffer.write(exported.content.reveal())
    else:
        create_durable(out, exported.content.reveal(), 0o600)
    click.echo(f"{exported.count} seeds of {exported.tokens} tokens, as {form}.", err=True)


def _pskc_passphrase(file: Path | None) -> Secret:
    if file is not None:
        return passphrase_of(file)
    return new_passphrase("Passphrase for the PSKC file: ")


def _listed(envelope: EnvelopeRecord) -> dict[str, Json]:
    return {
        "token": envelope.token_label,
        "name": envelope.name,
        "kind": str(envelope.kind),
        "purpose": envelope.purpose,
        "order": envelope.order,
        "generation": envelope.generation,
        "state": str(envelope.state),
        "kid": envelope.kid,
        "sha256": envelope.sha256,
    }


def _shown(one: Opened) -> dict[str, Json]:
    return {
        "name": one.context.name,
        "kind": str(one.context.kind),
        "order": one.context.order,
        "generation": one.context.generation,
        "state": str(one.state),
        "value": _value(one),
    }


def _value(one: Opened) -> str:
    """A PIN as its digits, a key in hexadecimal."""
    if one.context.kind in _TEXTS:
        return one.value.reveal_text()
    return one.value.reveal().hex()
