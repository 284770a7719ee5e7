"""Seeds handed over to authentication servers: opened, put into the server's form, recorded.

Rules:
- Only of tokens that are issued, and only what is active: a server that knew the seed of a token
  which nobody has would accept whoever found it.
- What stands beside a seed (public id, digits, counter) is what the token's entry says.
- KSM files are signed and encrypted with OpenPGP, PSKC files encrypted by a passphrase; each form
  may be encrypted as a whole.
- The file is whole in memory before the opening is recorded, and recorded before it is given out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tokenprov import seeds
from tokenprov.custody import AnyKey, Form, Opened, Reason, open_sealed, sealed
from tokenprov.errors import EscrowError, InputError
from tokenprov.home import Home
from tokenprov.model import Purpose, SecretKind
from tokenprov.record.entry import Entry
from tokenprov.record.rows import EnvelopeRecord, EnvelopeState
from tokenprov.secret import Secret
from tokenprov.seeds import Seed

_KINDS = {
    Form.YUBICO_CSV: {SecretKind.OTP_SEED},
    Form.OKTA_CSV: {SecretKind.OTP_SEED},
    Form.KSM: {SecretKind.OTP_SEED},
    Form.PSKC: {SecretKind.OTP_SEED, SecretKind.HOTP_SEED},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What to write, and of how many seeds and tokens it is."""

    content: Secret
    count: int
    tokens: int


def export_seeds(
    home: Home,
    serials: Sequence[str],
    key: AnyKey,
    reason: Reason,
    *,
    purpose: Purpose,
    form: Form,
    recipient: Path | None = None,
    sign_with: str | None = None,
    passphrase: Secret | None = None,
) -> Exported:
    """The seeds of these tokens (of none: of all) in a server's form; recorded when it returns.

    `recipient` is a file with an OpenPGP public key, `sign_with` a key that gpg knows; `passphrase`
    protects a PSKC file.

    Raises InputError where the form lacks what encrypts or signs it; EscrowError where a token has
    no such seed, where one does not open, and where gpg does not encrypt or sign.
    """
    if form is Form.KSM and recipient is None:
        raise InputError(
            "a KSM file is encrypted, and no recipient is named",
            remedy="Give the server's OpenPGP public key: --recipient FILE",
        )
    if form is Form.KSM and sign_with is None:
        raise InputError(
            "a KSM file is signed, and no key is named: ykksm-import takes no other",
            remedy="Name yours, as gpg --list-secret-keys shows it: --sign-with KEY",
        )
    if sign_with is not None and recipient is None:
        raise InputError(
            "what is signed with OpenPGP is encrypted too, and no recipient is named",
            remedy="Give the server's OpenPGP public key: --recipient FILE",
        )
    if form is Form.PSKC and passphrase is None:
        raise InputError("a PSKC file needs a passphrase", remedy="Give one.")
    found = [
        envelope
        for envelope in sealed(home, purpose=purpose)
        if envelope.state is EnvelopeState.ACTIVE
        and envelope.kind in _KINDS[form]
        and (not serials or envelope.token_label in serials)
    ]
    there = {envelope.token_label for envelope in found}
    missing = [serial for serial in serials if serial not in there]
    if missing or not found:
        raise EscrowError(
            f"no seed for {form} is sealed to {purpose} for "
            + (f"token {', '.join(missing)}" if missing else "any token that is issued"),
            remedy="See what is: tokenprov escrow list",
        )
    beside = [_beside(home, envelope) for envelope in found]

    def prepare(opened: list[Opened]) -> Secret:
        content = _write(
            [_seed(one, entry) for one, entry in zip(opened, beside, strict=True)],
            form,
            passphrase,
            whole=recipient is not None,
        )
        return content if recipient is None else seeds.encrypt_to(recipient, content, sign_with)

    about = {"form": str(form), "purpose": str(purpose)}
    if serials:
        about["tokens"] = ",".join(sorted(serials))
    content = open_sealed(home, found, key, reason, form=form, about=about, prepare=prepare)
    return Exported(content=content, count=len(found), tokens=len(there))


def _beside(home: Home, envelope: EnvelopeRecord) -> Entry:
    order = home.ledger.order(envelope.order)
    if order is None or order.entry_index is None:
        raise EscrowError(
            f"order {envelope.order} of token {envelope.token_label} is not issued",
            remedy="Finish it first: run its batch again.",
        )
    return home.manifest.entry(order.entry_index)


def _seed(one: Opened, entry: Entry) -> Seed:
    """The seed `otp/1/seed` with the facts of the step `otp/1`."""
    step = one.context.name.rpartition("/")[0]
    facts = next(found["facts"] for found in entry["steps"] if found["id"] == step)
    return Seed(
        serial=one.context.token,
        slot=step.rpartition("/")[2],
        kind=one.context.kind,
        value=one.value,
        made=datetime.fromisoformat(entry["time"]),
        public_id=facts.get("publicId", facts.get("tokenId", "")),
        digits=facts.get("digits", 0),
        counter=facts.get("counter", 0),
    )


def _write(found: list[Seed], form: Form, passphrase: Secret | None, *, whole: bool) -> Secret:
    if form is Form.PSKC:
        assert passphrase is not None, "asked for above"
        return seeds.pskc(found, passphrase, whole=whole)
    return seeds.ksm_lines(found) if form is Form.KSM else seeds.log_lines(found)
