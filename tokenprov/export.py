"""What a batch's tokens go out with: a list for the service desk, labels, letters with PINs.

Rules:
- Only tokens that are issued are in any of them, and no secret but in the letters.
- Letters are made with the private key of a custodian who opens PINs; each opening is on the
  record before a letter is written. The file is readable by its maker alone.
- No file that is there is written over. Where one of several is there as it would be made, the
  others are made: it was cut off.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from tokenprov.custody import AnyKey, Form, Opened, Reason, open_sealed
from tokenprov.errors import EscrowError, InputError
from tokenprov.home import Home
from tokenprov.model import OrderState, Purpose, SecretKind
from tokenprov.papers import Kit, Packed, labels, letters
from tokenprov.record.file_set import ANOTHER, create_files
from tokenprov.record.files import create_durable, make_folder, refuse_there
from tokenprov.record.rows import Batch, EnvelopeState, OrderRecord
from tokenprov.secret import Secret

COLUMNS = (
    *("holder_id", "name", "email", "place", "kit", "serial", "model", "firmware"),
    *("profile", "issued", "batch", "order", "entry"),
)
PINS = {
    SecretKind.PIV_PIN: "PIN (smart card)",
    SecretKind.FIDO_PIN: "PIN (FIDO2)",
    SecretKind.OPENPGP_USER_PIN: "PIN (OpenPGP)",
    SecretKind.PKCS11_USER_PIN: "PIN (smart card)",
}


def export(home: Home, batch: Batch, folder: Path) -> tuple[Path, ...]:
    """Write `tokens.csv` and `labels.pdf`; gives their paths. Raises `InputError`."""
    issued = _issued(home, batch)
    files = {
        "tokens.csv": _table(home, issued).encode(),
        "labels.pdf": labels(list(_kits(issued, {}))),
    }
    return create_files(folder, files)


def export_letters(
    home: Home, batch: Batch, folder: Path, key: AnyKey, reason: Reason, *, purpose: Purpose
) -> Path:
    """Write `pin-letters.pdf`, opened with a custodian's key and recorded; gives its path.

    Raises `InputError`; `EscrowError` where there are no PINs or the key does not open them.
    """
    issued = _issued(home, batch)
    path = folder / "pin-letters.pdf"
    refuse_there(path, ANOTHER)
    orders = {record.id for record in issued}
    envelopes = [
        envelope
        for envelope in home.ledger.envelopes(purpose=purpose, state=EnvelopeState.ACTIVE)
        if envelope.order in orders and envelope.kind in PINS
    ]
    if not envelopes:
        raise EscrowError(
            f"no PIN of batch {batch.id} is sealed to {purpose}",
            remedy="Name the custodian who opens PINs; a profile without PINs has no letters.",
        )

    def draw(opened: list[Opened]) -> Secret:
        pins: dict[str, list[Opened]] = defaultdict(list)
        for one in opened:
            pins[one.context.order].append(one)
        return Secret(letters(list(_kits(issued, pins)), home.name))

    form = Form.PIN_LETTER
    about = {"form": str(form), "purpose": str(purpose), "batch": batch.id}
    drawn = open_sealed(home, envelopes, key, reason, form=form, about=about, prepare=draw)
    make_folder(folder)
    create_durable(path, drawn.reveal(), 0o600)
    return path


def kit_of(record: OrderRecord) -> str:
    """The name of a holder's kit within all batches: the batch and the row in its roster."""
    return f"{record.order.batch}-K{record.row + 1:04d}"


def place_of(record: OrderRecord) -> str:
    """The token's place in its kit, in words."""
    return "primary" if record.order.position == 0 else f"spare {record.order.position}"


def _issued(home: Home, batch: Batch) -> list[OrderRecord]:
    found = list(home.ledger.orders(batch.id, OrderState.ISSUED))
    if not found:
        raise InputError(
            f"no token of batch {batch.id} is issued", remedy="There is nothing to hand out yet."
        )
    return found


def _table(home: Home, issued: Sequence[OrderRecord]) -> str:
    """RFC 4180, UTF-8."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for record in issued:
        assert record.token is not None, "it is issued"
        assert record.entry_index is not None, "it is issued"
        order, entry = record.order, home.manifest.entry(record.entry_index)
        writer.writerow(
            (
                *(order.holder.id, order.holder.name, order.holder.email),
                *(place_of(record), kit_of(record), record.token.label),
                *(record.token.model, record.token.firmware, order.profile, entry["time"]),
                *(order.batch, order.id, record.entry_index),
            )
        )
    return text.getvalue()


def _kits(issued: Sequence[OrderRecord], pins: dict[str, list[Opened]]) -> Iterator[Kit]:
    """By holder in the roster's order."""
    kits: dict[int, list[OrderRecord]] = defaultdict(list)
    for record in issued:
        kits[record.row].append(record)
    for records in kits.values():
        yield Kit(
            kit=kit_of(records[0]),
            name=records[0].order.holder.name,
            tokens=tuple(
                Packed(
                    place=place_of(record),
                    serial=record.token.label if record.token else "",
                    pins=tuple(
                        (PINS[one.context.kind], one.value.reveal_text())
                        for one in pins.get(record.id, ())
                    ),
                )
                for record in records
            ),
        )
