"""`tokenprov manifest verify|prove`: the record for auditors; `entries` has what people read."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from pathlib import Path

import click

from tokenprov.attestation import Anchors
from tokenprov.cli import entries
from tokenprov.cli.commands import Commands
from tokenprov.cli.known_keys import load_roots, tsa_root, verifier_key
from tokenprov.cli.output import as_json, print_json
from tokenprov.errors import InputError, ManifestError
from tokenprov.record.across import verify_together
from tokenprov.record.entry import Kind
from tokenprov.record.files import write_durable
from tokenprov.record.folder import CHECKPOINT, VERIFIER_KEY
from tokenprov.record.handout import SUFFIX, Handout, check_handout
from tokenprov.record.head import Held
from tokenprov.record.key_list import KEY_LIST
from tokenprov.record.manifest import Manifest, verify_manifest
from tokenprov.record.note import parse_note
from tokenprov.record.verdict import VerifyReport
from tokenprov.record.verifier_key import VerifierKey


@click.group(
    cls=Commands,
    elsewhere={
        "show": "entries:show",
        "history": "entries:history",
        "search": "entries:search",
        "export": "entries:export",
        "rotate-key": "manifest_key:rotate_key",
        "keys": "manifest_key:keys",
        "timestamp": "manifest_time:timestamp",
        "clock": "manifest_time:clock",
        "submit": "manifest_witness:submit",
        "add-cosignatures": "manifest_witness:add_cosignatures",
    },
)
def manifest() -> None:
    """The signed record of which serial belongs to whom."""


@manifest.command()
@click.argument("what", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--key",
    "given",
    multiple=True,
    help="The verifier key (name+id+base64) that you hold; or a file with it. One a log, or more"
    " where a new one is not vouched for by those before it.",
)
@click.option(
    "--root", help="The verifier key of the root that signs the list of the log's keys, or a file."
)
@click.option(
    "--pin",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Your file with the last checkpoint you saw: nothing may be gone or another since. It is"
    " made the first time, and moved on when the manifest holds; so is FILE.keys with --root, the"
    " last list of keys, and none that is older is taken.",
)
@click.option(
    "--trust",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A further root of attestation (PEM), beside the makers'; those of the station home count"
    " for its own manifest.",
)
@tsa_root
@click.option("--witness", multiple=True, help="A witness' verifier key, or a file with it.")
@click.option(
    "--quorum", type=click.IntRange(1), help="How many of them must have cosigned.  [default: all]"
)
@as_json
@click.pass_obj
def verify(
    home: Path,
    what: tuple[Path, ...],
    given: tuple[str, ...],
    root: str | None,
    pin: Path | None,
    trust: tuple[Path, ...],
    roots: tuple[Path, ...],
    witness: tuple[str, ...],
    quorum: int | None,
    as_json: bool,
) -> None:
    """Check every byte of a manifest, offline; or a proof; or several manifests together.

    WHAT is a manifest's folder, or a file that `manifest prove` handed out; by default the station
    home's manifest. Exit code 0: it holds; 6: it does not.
    """
    keys = [verifier_key(key) for key in given]
    seen = pin.with_name(f"{pin.name}.keys") if pin is not None and root else None
    held = Held(
        keys=keys,
        root=verifier_key(root) if root else None,
        pin=pin.read_bytes() if pin is not None and pin.exists() else None,
        seen=seen.read_bytes() if seen is not None and seen.exists() else None,
        witnesses=[verifier_key(key) for key in witness],
        quorum=quorum or len(witness),
        tsa_roots=load_roots(roots),
        anchors=_anchors(home, what, trust),
    )
    if len(what) == 1 and what[0].is_file():
        _verify_proof(home, what[0], held, as_json)
        return
    folders = [entries.folder(home, path) for path in what] or [entries.folder(home, None)]
    if len(folders) > 1:
        if pin is not None or root or witness or quorum:
            raise InputError(
                "--pin, --root, --witness and --quorum are for one manifest",
                remedy="Verify each alone.",
            )
        reports = verify_together(folders, held)
    else:
        (folder,) = folders
        report = verify_manifest(folder, held=held)
        reports = {folder: report}
        if pin is not None and reports[folder].holds:
            write_durable(pin, (folder / CHECKPOINT).read_bytes())
            if seen is not None:
                write_durable(seen, (folder / KEY_LIST).read_bytes())
            if held.pin is None:
                click.echo(f"{pin} is made: this is the first checkpoint in it.", err=True)
    if as_json:
        documents = [
            {"folder": str(folder), "holds": report.holds, **asdict(report)}
            for folder, report in reports.items()
        ]
        print_json(documents if len(documents) > 1 else documents[0])
    else:
        for folder, report in reports.items():
            _tell(folder, report)
        if not keys and not root:
            click.echo(
                "  checked with the key that lies in the folder: compare it with one that you"
                " got another way (--key)",
                err=True,
            )
    if not all(report.holds for report in reports.values()):
        sys.exit(ManifestError.exit_code)


def _tell(folder: Path, report: VerifyReport) -> None:
    if not report.holds:
        for finding in report.findings:
            click.echo(f"{finding}\n  {finding.remedy}")
        click.echo(f"{folder} does not hold: {len(report.findings)} findings", err=True)
        return
    click.echo(
        f"{folder} holds: {report.size} entries of station {report.station}, root"
        f" {report.root[:16]}…"
    )
    if report.stamps:
        last = report.stamps[-1]
        click.echo(f"  {last.size} of them by {last.time}, says a time-stamp authority")
    real = report.issued - report.virtual
    click.echo(
        f"  {report.issued} tokens issued ({real} real, {report.virtual} virtual) to"
        f" {report.identities} holders, {report.openings} of them named here"
    )


def _verify_proof(home: Path, path: Path, held: Held, as_json: bool) -> None:
    if held.root is not None:
        raise InputError(
            "--root is for a manifest: a proof has no list of keys in it",
            remedy="Take the key from the list, and give it with --key.",
        )
    if not held.keys:
        stored = home / "manifest" / VERIFIER_KEY
        if not stored.is_file():
            raise InputError(
                "a proof has no key in it", remedy="Give the station's verifier key with --key."
            )
        held = replace(held, keys=[VerifierKey.in_file(stored.read_bytes())])
    proof, head = check_handout(path.read_bytes(), held)
    holder = proof.opening.holder if proof.opening else None
    if as_json:
        print_json(
            {
                "holds": True,
                "origin": head.origin,
                "size": head.size,
                "index": proof.index,
                "entry": proof.entry,
                **({"holder": holder} if holder else {}),
            }
        )
        return
    click.echo(f"{path} holds: entry {proof.index} of {head.size} of {head.origin}")
    entries.print_entry(proof.index, {**proof.entry, **({"holder": holder} if holder else {})})


@manifest.command()
@click.argument("serial")
@click.option("--entry", "index", type=click.IntRange(0), help="Another entry than its last issue.")
@click.option("--name", "with_name", is_flag=True, help="Hand out who the holder is as well.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help=f"The file.  [default: SERIAL{SUFFIX}]",
)
@click.pass_obj
def prove(home: Path, serial: str, index: int | None, with_name: bool, out: Path | None) -> None:
    """Hand out one entry about a token in a small file that verifies alone (C2SP tlog-proof)."""
    log = Manifest.open(entries.folder(home, None))
    mentions = log.found_by(f"serial {serial}")
    if index is None:
        issued = [n for n in mentions if log.entry(n)["kind"] == Kind.ISSUED]
        if not issued:
            raise InputError(
                f"no entry issues token {serial}",
                remedy="Look for it: tokenprov manifest history SERIAL; or name an --entry.",
            )
        index = issued[-1]
    elif index not in mentions:
        raise InputError(
            f"entry {index} is not about token {serial}",
            remedy=f"Those that are: {', '.join(map(str, mentions)) or 'none'}.",
        )
    entry = log.entry(index)
    opening = None
    if with_name:
        opening = log.opening(entry["holder"]["commitment"]) if "holder" in entry else None
        if opening is None:
            raise InputError(
                f"who entry {index} is about is not held here",
                remedy="It was erased, or the entry is about no holder: leave --name out.",
            )
    note, size = _best_note(log, index)
    file = out or Path(f"{serial}{SUFFIX}")
    path = tuple(log.prover().inclusion(index, size))
    proof = Handout(
        entry=entry,
        index=index,
        path=path,
        note=note,
        opening=opening,
        keys=tuple(e for n, e in log.key_changes() if e["kind"] == Kind.KEY_ROTATED and n < size),
    )
    write_durable(file, proof.to_bytes(), 0o600 if opening else 0o644)
    click.echo(f"{file}: entry {index} of {size}, {entry['kind']} {entry['time']}")
    later = [n for n in mentions if n > index]
    if later:
        click.echo(
            f"  later entries about this token: {', '.join(map(str, later))}"
            " (tokenprov manifest history SERIAL)",
            err=True,
        )


def _best_note(log: Manifest, index: int) -> tuple[bytes, int]:
    """The last checkpoint that others cosigned and that has the entry, or the head; its size."""
    if len(parse_note(log.note()).signatures) == 1:
        for size in reversed(log.cosigned()):
            if size > index:
                return log.cosigned_note(size), size
    return log.note(), log.size


def _anchors(home: Path, what: tuple[Path, ...], trust: tuple[Path, ...]) -> Anchors:
    """The makers' roots, those that were given, and for a station's own manifest its own."""
    anchors = Anchors.vendor() if what else Anchors.load(home / "trust")
    for path in trust:
        anchors = anchors.with_pem(path.read_bytes(), where=str(path))
    return anchors
