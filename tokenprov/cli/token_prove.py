"""`tokenprov token prove`: each key of a token signs, and its certificate says it is the one."""

from __future__ import annotations

import getpass
import secrets
import sys
from contextlib import closing
from pathlib import Path

import click

from tokenprov.cli.custodians import custodian_key
from tokenprov.cli.lifecycle import Place, bench_at
from tokenprov.cli.output import as_json, print_json, print_table
from tokenprov.cli.readers import choose_reader, known_here, module_option
from tokenprov.custody import Form, Opened, Reason, open_sealed, sealed
from tokenprov.device.sources import source_of
from tokenprov.errors import EscrowError, InputError, TokenError
from tokenprov.home import Home, now
from tokenprov.model import Purpose, SecretKind
from tokenprov.module_proof import prove_keys
from tokenprov.proof import Proof, prove
from tokenprov.secret import Secret
from tokenprov.signing import ask_unseen


@click.command("prove")
@click.argument("serial")
@click.option(
    "--key",
    "key_given",
    metavar="KEY",
    help="Take the PIN out of escrow with this custodian's key; left out: the PIN is asked for.",
)
@module_option
@click.option("--passphrase", is_flag=True, help="Ask for the key's passphrase.")
@click.option("--reason", help="With --key: why; it is recorded in the manifest.")
@click.option("--operator", default=getpass.getuser, help="Who you are.  [default: your login]")
@as_json
@click.pass_obj
def prove_(
    home_path: Path,
    serial: str,
    key_given: str | None,
    module: str | None,
    passphrase: bool,
    reason: str | None,
    operator: str,
    as_json: bool,
) -> None:
    """Have each PIV key sign, and check it against the certificate in its slot.

    With --module, each key that the module has.

    Nothing is written to the token. Exit code 4: a key is not proved.
    """
    if key_given is not None and not (reason and reason.strip()):
        raise InputError("nothing is opened without a reason", remedy="Give --reason.")

    def pin() -> Secret:
        if key_given is None:
            return ask_unseen(f"{'PIV' if module is None else 'User'} PIN of token {serial}: ")
        why = Reason(operator=operator, text=reason or "")
        kind = SecretKind.PIV_PIN if module is None else SecretKind.PKCS11_USER_PIN
        return _pin_in_escrow(Home.open(home_path), serial, kind, key_given, passphrase, why)

    with closing(source_of(module)) as source:
        reader = choose_reader(None, serial, source, known_here(home_path))
        proving = prove if module is None else prove_keys
        place = Place(reader=reader, source=source)
        with bench_at(place, as_json) as bench, bench.opened() as token:
            proofs = proving(token, pin, now=now(), random=secrets.token_bytes)
    if as_json:
        print_json({"serial": serial, "keys": [one.to_json() for one in proofs]})
    else:
        _print(proofs)
    if not proofs or not all(one.proved for one in proofs):
        sys.exit(TokenError.exit_code)


def _pin_in_escrow(
    home: Home, serial: str, kind: SecretKind, given: str, passphrase: bool, why: Reason
) -> Secret:
    """The PIN as it was sealed; its opening is on the record. Raises `EscrowError`."""

    def only(found: list[Opened]) -> Secret:
        return found[-1].value

    with custodian_key(given, passphrase) as key:
        envelopes = [
            one
            for one in sealed(home, token=serial)
            if one.kind is kind and one.kid == key.recipient.kid
        ]
        if not envelopes:
            raise EscrowError(
                f"no PIN of token {serial} is sealed to that key",
                remedy=f"See: tokenprov escrow list {serial}",
            )
        about = {"token": serial, "purpose": Purpose.HELP_DESK.value}
        return open_sealed(
            home, envelopes[-1:], key, why, form=Form.TOKEN, about=about, prepare=only
        )


def _print(proofs: list[Proof]) -> None:
    print_table(
        ("slot", "", "certificate of", "serial number"),
        [
            (one.slot, "proved" if one.proved else one.reason, one.subject, one.serial_hex)
            for one in proofs
        ],
    )
    if not proofs:
        click.echo("There is no PIV key on it.", err=True)
