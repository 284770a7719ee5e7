"""`tokenprov approve`: requests for acts, signed by who asks and by who agrees."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import click

from tokenprov.cli.output import as_json, print_json
from tokenprov.cli.signing import signing_as, signs
from tokenprov.cli.waiver import commitment_of
from tokenprov.errors import InputError
from tokenprov.home import Home, now
from tokenprov.record.approval import read_approval, said
from tokenprov.record.canonical import timestamp
from tokenprov.record.erasure import as_requested
from tokenprov.record.files import create_durable, refuse_there, write_durable
from tokenprov.record.note import Note, parse_note, sign_note
from tokenprov.record.request import Action, Request

_request_file = click.argument(
    "file", metavar="REQUEST", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)


@click.group()
def approve() -> None:
    """Ask for an act, and agree to one: documents that the keys of people sign."""


@approve.command()
@click.argument("action", type=click.Choice([action.value for action in Action]))
@click.argument("about", nargs=-1, metavar="[NAME=VALUE]...")
@click.option("--reason", required=True, help="Why, for who is to agree.")
@click.option("--hours", default=8.0, show_default=True, help="How long it holds.")
@click.option("--station", help="The station that acts.  [default: that of the home]")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The file to make.")
@signs
@click.pass_obj
def request(
    home_path: Path,
    action: str,
    about: tuple[str, ...],
    reason: str,
    hours: float,
    station: str | None,
    out: Path,
    name: str,
    key_given: str,
) -> None:
    """Ask for ACTION about what is named, as in: request open token=12345678 purpose=help-desk.

    A command that is refused says what its request has to be about. holder=ID is turned into what
    the manifest has instead of the holder.
    """
    refuse_there(out)
    said_about = dict(map(_pair, about))
    if "holder" in said_about:
        said_about["holder"] = _commitments(home_path, action, said_about["holder"])
    asked = Request.new(
        Action(action),
        said_about,
        reason=reason,
        requester=name,
        station=station or Home.open(home_path).name,
        made=now(),
        lasts=timedelta(hours=hours),
    )
    Request.parse(asked.text())  # what could not be read is refused before it is signed
    with signing_as(name, key_given) as signer:
        note = sign_note(asked.text(), [signer])
    create_durable(out, note.to_bytes())
    _tell(asked)


@approve.command()
@_request_file
@click.option("--yes", is_flag=True, help="Do not ask.")
@signs
def sign(file: Path, yes: bool, name: str, key_given: str) -> None:
    """Agree to REQUEST: your signature comes into its file, after you have seen what it says."""
    note = parse_note(file.read_bytes())
    asked = Request.parse(note.text)
    _tell(asked)
    if name == asked.requester or any(one.name == name for one in note.signatures):
        raise InputError(
            f"{name} has signed it already", remedy="Another person has to agree to it."
        )
    if not yes:
        click.confirm("Do you agree?", abort=True, err=True)
    with signing_as(name, key_given) as signer:
        mine = sign_note(note.text, [signer])
    both = Note(text=note.text, signatures=(*note.signatures, *mine.signatures))
    write_durable(file, both.to_bytes())


@approve.command()
@_request_file
@as_json
@click.pass_obj
def show(home_path: Path, file: Path, as_json: bool) -> None:
    """What REQUEST asks for, who signed it, and whether they may."""
    approval = read_approval(file.read_bytes(), Home.open(home_path).manifest.people().get)
    asked = approval.request
    if as_json:
        print_json(
            {
                "action": str(asked.action),
                "about": dict(asked.about),
                "reason": asked.reason,
                "requester": asked.requester,
                "approvers": list(approval.approvers),
                "station": asked.station,
                "made": timestamp(asked.made),
                "expires": timestamp(asked.expires),
                "digest": asked.digest,
            }
        )
        return
    _tell(asked, err=False)
    click.echo(f"  approved by {', '.join(approval.approvers) or 'nobody'}")


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not value:
        raise InputError(
            f"{text!r} is not NAME=VALUE", remedy="As in token=12345678 or purpose=help-desk."
        )
    return name, value


def _commitments(home_path: Path, action: str, holder: str) -> str:
    """Of a holder by their id: the last one, or all that an erasure takes."""
    if re.fullmatch(r"[0-9a-f]{64}(,[0-9a-f]{64})*", holder):
        return holder
    home = Home.open(home_path)
    if action == Action.ERASE:
        return as_requested(home.manifest, holder) or "none"
    return commitment_of(home, holder)


def _tell(asked: Request, *, err: bool = True) -> None:
    click.echo(
        f"{asked.requester} requests {asked.action} of {said(asked.about)} at {asked.station}\n"
        f"  {asked.reason}\n"
        f"  until {timestamp(asked.expires)}, as {asked.digest[:16]}",
        err=err,
    )
