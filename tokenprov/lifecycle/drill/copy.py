"""A copy of the home, as its backup restores, in which a twin is issued; then it is thrown away."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from tokenprov.backup import backup, restore
from tokenprov.batch import BatchWork
from tokenprov.errors import EvidenceError, IssuerError
from tokenprov.home import Home, clear_cut_off
from tokenprov.lifecycle import replacement
from tokenprov.lifecycle.standing import issued_by
from tokenprov.lifecycle.subject import Issued, find_token
from tokenprov.lifecycle.work import Order
from tokenprov.model import Cause, Json, Purpose
from tokenprov.ordering import clear_batch, profile_of
from tokenprov.policy import Agreement
from tokenprov.profile import Profile
from tokenprov.record.escrow import (
    CustodianKey,
    KeyInMemory,
    PrivateKey,
    generate_custodian,
    private_from_pem,
)
from tokenprov.record.lock import held
from tokenprov.record.verify import verify_manifest
from tokenprov.token import Token

LOCAL = "local"  # what the URI of an authority in the home begins with

Twin = Callable[[], AbstractContextManager[Token]]  # a factory-fresh token that is nobody's


@contextmanager
def copied(home: Home, key: PrivateKey | None, trust: Sequence[bytes]) -> Iterator[Home]:
    """The home as a backup of it restores, for a while; `trust` are the roots of the twin.

    It is sealed to break-glass and opened with `key`, or to a pair that is drawn for it.
    """
    recipient = home.custodians[Purpose.BREAK_GLASS]
    if key is None:
        private, public = generate_custodian()
        key, recipient = (
            KeyInMemory(private=private_from_pem(private)),
            CustodianKey.from_pem(public),
        )
    with _beside(home.path.absolute()) as folder:
        file, restored = folder / "backup", folder / "station"
        backup(home, file, recipient)
        with file.open("rb") as source:
            restore(source, restored, key, last=home.manifest.note())
        for number, pem in enumerate(trust):
            (restored / "trust" / f"drill-{number}.pem").write_bytes(pem)
        copy = Home.open(restored)
        try:
            yield copy
        finally:
            copy.ledger.close()
            copy.manifest.close()


@contextmanager
def _beside(home: Path) -> Iterator[Path]:
    """A folder that only its owner sees; one that a killed drill left is cleared away first."""
    clear_cut_off(home)
    folder = home.with_name(f".{home.name}.{os.getpid()}.new")
    folder.mkdir(0o700)
    try:
        with held(folder):
            yield folder
    finally:
        shutil.rmtree(folder)


def replace_lost(copy: Home, old: Issued, twin: Twin, order: Order) -> dict[str, Json]:
    """Replace a token as if it were lost, in a copy, by the twin. Raises what stands in the way."""
    _require_local(issued_by(copy, old))
    made = replacement.begin(copy, find_token(copy, old.label), Cause.LOST, order)
    replacement.end_at_once(copy, made)
    with twin() as token:
        work = BatchWork(
            *(copy, made.profile, made.batch),
            operator=order.operator,
            listener=lambda event: None,
            clearance=made.work.clearance,
        )
        _make(copy, work, token)
    new = replacement.finish(copy, made)
    _require_whole(copy)
    assert new is not None, "it was issued"
    state = find_token(copy, old.label).state
    return {"old": {"serial": old.label, "state": str(state)}}


def finish_open(copy: Home, old: Issued, twin: Twin, operator: str) -> dict[str, Json]:
    """Finish an order that is open in the copy, by the twin; where none is, replace a token."""
    for batch in copy.ledger.batches():
        if copy.ledger.closed_by(batch.id) is not None or not copy.ledger.open_orders(batch.id):
            continue
        profile = profile_of(batch)
        _require_local(profile)
        clearance = clear_batch(copy, batch, profile, operator, Agreement())
        with twin() as token:
            work = BatchWork(
                *(copy, profile, batch),
                operator=operator,
                listener=lambda event: None,
                clearance=clearance,
            )
            _make(copy, work, token)
        _require_whole(copy)
        return {"finished": batch.id}
    order = Order(operator=operator, reason="a drill")
    return replace_lost(copy, old, twin, order)


def _make(copy: Home, work: BatchWork, token: Token) -> None:
    stock = copy.ledger.stock
    if stock.is_kept():
        stock.receive([token.id.label], "a drill", "a drill", copy.clock())
    with work.order_for(token.id) as (order, _):
        work.make(token, order)


def _require_local(profile: Profile) -> None:
    """Raises `IssuerError` for a profile whose certificates come from outside: it is not asked."""
    for step, issuer in profile.certified.items():
        if issuer != LOCAL and not issuer.startswith(f"{LOCAL}:"):
            raise IssuerError(
                f"{step} comes from {issuer}, which a drill does not ask",
                remedy="Rehearse it with a profile of the station's own authority.",
            )


def _require_whole(copy: Home) -> None:
    report = verify_manifest(copy.path / "manifest")
    if report.findings:
        raise EvidenceError(
            f"the copy's manifest does not hold: {report.findings[0]}",
            remedy="Verify the manifest of the station itself.",
        )
