"""`tokenprov escrow reseal|rotate|split|join`: custodians' keys changed, and held by several."""

from __future__ import annotations

import getpass
from contextlib import suppress
from pathlib import Path

import click

from tokenprov import resealing
from tokenprov.cli.custodians import custodian_key, new_passphrase, parse_custodian, recorded
from tokenprov.cli.signing import agreed
from tokenprov.custodians import words
from tokenprov.custody import Reason
from tokenprov.errors import InputError
from tokenprov.home import Home, clear_cut_off, making
from tokenprov.policy import Agreement
from tokenprov.record.escrow import (
    CustodianKey,
    generate_custodian,
    generate_hybrid,
    load_key,
    load_private,
    load_public,
)
from tokenprov.record.files import create_durable, refuse_there
from tokenprov.signing import ask_unseen


@click.command()
@click.option(
    "--from-key",
    "key_given",
    required=True,
    metavar="KEY",
    help="The custodian's old private key, as in `escrow open`.",
)
@click.option("--passphrase", is_flag=True, help="Ask for the old key's passphrase.")
@click.option("--to", required=True, metavar="PURPOSE=FILE", help="The new public key (PEM).")
@agreed
@recorded
@click.pass_obj
def reseal(
    home_path: Path,
    key_given: str,
    passphrase: bool,
    to: str,
    agreement: Agreement,
    reason: str,
    operator: str,
) -> None:
    """Move all that is sealed to a custodian to their new key; again to go on. Shows no secret."""
    why = Reason(operator=operator, text=reason, agreement=agreement)
    purpose, new = parse_custodian(to, "--to")
    home = Home.open(home_path)
    with custodian_key(key_given, passphrase) as old:
        old_kid = old.recipient.kid
        done = resealing.reseal(home, purpose, old_kid, old, new, why)
    click.echo(
        f"{done.secrets} secrets of {done.tokens} tokens moved from key {old_kid} to {new.kid}.",
        err=True,
    )
    if home.custodians[purpose].kid != new.kid:
        click.echo(
            f"What comes is still sealed to {home.custodians[purpose].kid}:"
            f" tokenprov escrow rotate {to} changes that.",
            err=True,
        )


@click.command()
@click.argument("to", metavar="PURPOSE=FILE")
@agreed
@recorded
@click.pass_obj
def rotate(home_path: Path, to: str, agreement: Agreement, reason: str, operator: str) -> None:
    """Seal what comes to another public key (PEM) of a custodian."""
    why = Reason(operator=operator, text=reason, agreement=agreement)
    purpose, new = parse_custodian(to, "PURPOSE=FILE")
    old = resealing.rotate(Home.open(home_path), purpose, new, why)
    click.echo(
        f"What comes for {purpose} is sealed to key {new.kid}. What is sealed to {old} is not"
        " moved by this: tokenprov escrow reseal",
        err=True,
    )


@click.command()
@click.option(
    "--key",
    "key_file",
    required=True,
    type=click.Path(path_type=Path),
    help="The private key to split (PKCS#8 PEM).",
)
@click.option("--passphrase", is_flag=True, help="Ask for the key's passphrase.")
@click.option("--shares", required=True, type=int, help="How many people get one.")
@click.option("--threshold", required=True, type=int, help="How many of them give the key.")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="A folder to make, with a file (mode 0600) for each share, to be printed and removed.",
)
@agreed
@recorded
@click.pass_obj
def split(
    home_path: Path,
    key_file: Path,
    passphrase: bool,
    shares: int,
    threshold: int,
    out: Path,
    agreement: Agreement,
    reason: str,
    operator: str,
) -> None:
    """Split a custodian's key into SLIP-39 words, of which THRESHOLD shares open again.

    Who split which key, and into how many shares, is recorded before the first one is written. The
    folder is there with all of them or not at all.
    """
    clear_cut_off(out)
    if out.exists():
        raise InputError(f"{out} is there already", remedy="Name a folder that is not there yet.")
    phrase = ask_unseen("Passphrase: ") if passphrase else None
    private = load_private(key_file, phrase)
    kid = CustodianKey(public=private.public_key()).kid
    made = words.split(private, threshold, shares)
    why = Reason(operator=operator, text=reason, agreement=agreement)
    resealing.record_split(Home.open(home_path), kid, threshold, shares, why)
    with making(out) as folder:
        for number, share in enumerate(made, 1):
            head = f"# Share {number} of {shares} of key {kid}; {threshold} of them give the key.\n"
            content = head.encode() + share.reveal() + b"\n"
            create_durable(folder / f"share-{number}.txt", content, 0o600)
    click.echo(
        f"Key {kid} is in {shares} shares in {out}, {threshold} of which give it. Print each for"
        f" its holder, try them (tokenprov escrow join), then remove {out} and {key_file}.",
        err=True,
    )


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--operator", default=getpass.getuser, help="Who you are.  [default: your login]")
@click.pass_obj
def join(home_path: Path, files: tuple[Path, ...], operator: str) -> None:
    """Try shares, asked for or in FILES: say whose key they give, and record that they do.

    The key is written nowhere.
    """
    shares = [words.read_share(file) for file in files] or words.ask_shares(ask_unseen)
    kid = words.join(shares).recipient.kid
    home = Home.open(home_path)
    mine = [str(p) for p, key in home.custodians.items() if key.kid == kid]
    resealing.record_joined(home, kid, len(shares), operator)
    click.echo(
        f"{len(shares)} shares give key {kid}, "
        + (
            f"that of {', '.join(mine)}."
            if mine
            else "to which nothing is sealed here from now on."
        )
    )


@click.command("new-key")
@click.argument("private", type=click.Path(path_type=Path))
@click.option("--public", required=True, type=click.Path(path_type=Path), help="The public half.")
@click.option(
    "--hybrid",
    is_flag=True,
    help="ML-KEM-768 with X25519, which a quantum computer does not open; files only.",
)
@click.option("--passphrase", is_flag=True, help="Ask for one that encrypts the private key.")
def new_key(private: Path, public: Path, hybrid: bool, passphrase: bool) -> None:
    """Make a custodian's key pair in files: PRIVATE (mode 0600) stays with the custodian.

    Where PRIVATE is there and its public half is not, that is made of it.
    """
    phrase = new_passphrase("Passphrase: ") if passphrase else None
    refuse_there(public)
    made, _ = generate_hybrid(phrase) if hybrid else generate_custodian(phrase)
    with suppress(FileExistsError):  # cut off behind it, perhaps: then that one gets its half
        create_durable(private, made, 0o600)
    create_durable(public, load_key(private, phrase).recipient.to_pem())
    click.echo(f"Key {load_public(public).kid}; hand in {public}, and keep {private}.", err=True)
