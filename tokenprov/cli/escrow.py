"""`tokenprov escrow open`: a custodian opens what was sealed to them."""

from __future__ import annotations

import getpass
from pathlib import Path

import click

from tokenprov.cli.output import as_json, print_json, print_table
from tokenprov.errors import EscrowError
from tokenprov.home import Home
from tokenprov.model import Json, Purpose, SecretKind
from tokenprov.record.escrow import SealContext, load_private, open_envelope
from tokenprov.record.rows import EnvelopeState
from tokenprov.secret import Secret

_TEXTS = {
    *(SecretKind.PIV_PIN, SecretKind.PIV_PUK, SecretKind.FIDO_PIN),
    SecretKind.STATIC_PASSWORD,
    *(SecretKind.OPENPGP_USER_PIN, SecretKind.OPENPGP_ADMIN_PIN, SecretKind.OPENPGP_RESET_CODE),
    *(SecretKind.OATH_PASSWORD, SecretKind.HSMAUTH_PASSWORD),
}


@click.group()
def escrow() -> None:
    """Sealed secrets."""


@escrow.command("open")
@click.argument("serial")
@click.option(
    "--purpose",
    required=True,
    type=click.Choice([purpose.value for purpose in Purpose]),
    help="Which custodian.",
)
@click.option(
    "--key",
    "key_file",
    required=True,
    type=click.Path(path_type=Path),
    help="The custodian's private key (PKCS#8 PEM).",
)
@click.option("--passphrase", is_flag=True, help="Ask for the key's passphrase.")
@click.option("--name", help="Only the secret of this name, as in piv/puk.")
@click.option(
    "--all", "with_superseded", is_flag=True, help="Also those that a later one has replaced."
)
@as_json
@click.pass_obj
def open_(
    home_path: Path,
    serial: str,
    purpose: str,
    key_file: Path,
    passphrase: bool,
    name: str | None,
    with_superseded: bool,
    as_json: bool,
) -> None:
    """Show the secrets of a token that this custodian may see."""
    home = Home.open(home_path)
    key = load_private(key_file, Secret(getpass.getpass("Passphrase: ")) if passphrase else None)
    envelopes = [
        envelope
        for envelope in home.ledger.envelopes(token_label=serial, purpose=purpose)
        if (name is None or envelope.name == name)
        and (with_superseded or envelope.state is not EnvelopeState.SUPERSEDED)
    ]
    if not envelopes:
        raise EscrowError(
            f"nothing is sealed to {purpose} for token {serial}",
            remedy="Check the serial (tokenprov manifest show) and the purpose.",
        )
    opened = [(envelope, *open_envelope(envelope.blob, key)) for envelope in envelopes]
    if as_json:
        print_json([_to_json(e.state, context, secret) for e, context, secret in opened])
        return
    print_table(
        ("secret", "state", "value"),
        [(c.name, str(e.state), _value(c.kind, secret)) for e, c, secret in opened],
    )


def _to_json(state: EnvelopeState, context: SealContext, secret: Secret) -> dict[str, Json]:
    return {
        "name": context.name,
        "kind": str(context.kind),
        "order": context.order,
        "generation": context.generation,
        "state": str(state),
        "value": _value(context.kind, secret),
    }


def _value(kind: SecretKind, secret: Secret) -> str:
    """A PIN as its digits, a key in hexadecimal."""
    return secret.reveal_text() if kind in _TEXTS else secret.reveal().hex()
