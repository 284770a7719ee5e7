"""The station home: one folder that holds what a station knows and may do.

    station.toml            name and day of making
    keys/<key id>.pem       signs checkpoints; 0600
    keys/<key id>.uri       or where the key is that does
    custodians/<purpose>.pem        public keys that secrets are sealed to
    custodians/private/             only where `init` made the pairs itself: move it away
    ca/                     the local authority
    issuers/*.toml          other authorities: how they let this station in
    issuers/requests/       what was asked of them, and what they answered
    card-keys/NAME.hex      management keys that cards came with, as their maker told them
    trust/*.pem             further roots of attestation
    recovery-codes/         digests of the codes that holders may still use
    marks/                  by what tokens without a serial are known again
    relying-parties/        credentials that were registered here
    open/<order>.key        the station's own key to an order that is not finished
    ledger.sqlite           batches, orders, intents, sealed secrets
    manifest/               the log that auditors get
    manifest.lock           held for the moment of an append
    manifest.index          which entry names whom; made again from the log where it is missing

Rules:
- A home is made beside its place and renamed into it: it is there whole or not at all.
- One process at a time works on tokens, orders and the home itself (`working`); any number may
  look, and record what people do beside it (`recording`).
"""

from __future__ import annotations

import os
import re
import shutil
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tokenprov.attestation import Anchors
from tokenprov.attestation.anchors import certificates_in
from tokenprov.card_keys import load_card_key
from tokenprov.directory import Marks, RelyingParty
from tokenprov.errors import InputError, StationError
from tokenprov.issuer import Issuer, LocalCa, choose_issuer
from tokenprov.model import Purpose
from tokenprov.record.canonical import timestamp
from tokenprov.record.commit import key_in_use
from tokenprov.record.database import sqlite_url
from tokenprov.record.entry import station_entry
from tokenprov.record.escrow import CustodianKey, CustodianKeys, generate_custodian
from tokenprov.record.files import create_durable, destroy, explained, make_folder, sync_each
from tokenprov.record.folder import ManifestFolder
from tokenprov.record.history import is_behind
from tokenprov.record.ledger import Ledger
from tokenprov.record.lock import StationLock, held, is_held
from tokenprov.record.manifest import Addition, Manifest
from tokenprov.record.resume import ResumeKeys
from tokenprov.record.verifier_key import VerifierKey
from tokenprov.secret import Secret
from tokenprov.signing import Ask, StationKeys, StationSigner, ask_unseen

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?", re.ASCII)  # also the log's origin


def now() -> datetime:
    """The clock of the program."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """An open station home."""

    path: Path
    name: str
    ledger: Ledger
    manifest: Manifest
    custodians: Mapping[Purpose, CustodianKey]
    resume_keys: ResumeKeys
    anchors: Anchors
    signer: StationSigner
    keys: StationKeys
    clock: Callable[[], datetime] = now

    @classmethod
    def open(cls, path: Path, ask: Ask = ask_unseen) -> Home:
        """Open a home; `ask` is called for the PIN of its signing key, once that is needed.

        Raises `StationError` where it is none, `EvidenceError` for its anchors or manifest.
        """
        name = _name_in(path / "station.toml")
        keys = StationKeys(path, ask)
        signer = keys.signer(key_in_use(ManifestFolder(path / "manifest")))
        return cls(
            path=path,
            name=name,
            ledger=Ledger(sqlite_url(path / "ledger.sqlite"), station=name),
            manifest=Manifest.open(path / "manifest", signer, alone=False),
            signer=signer,
            keys=keys,
            custodians=CustodianKeys(path / "custodians"),
            resume_keys=ResumeKeys(path),
            anchors=Anchors.load(path / "trust"),
        )

    @contextmanager
    def working(self, *, behind: bool = False) -> Iterator[None]:
        """Hold the home for writing, also where the clock is `behind` what is on the record.

        Raises `StationBusy` naming who holds it, `StationError` for a clock that is behind.
        """
        with StationLock(self.path), self.signer.unlocked():
            self.manifest.take_up()  # another process may have appended since it was opened
            self._forget_old_keys()
            if not behind:
                self.refuse_behind()
            yield

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Have the log's key open, to append while another process may be at work here.

        Raises `StationError` for a clock that is behind.
        """
        with self.signer.unlocked():
            self.refuse_behind()
            yield

    def refuse_behind(self) -> None:
        """Raises `StationError` where the clock is behind the manifest's latest entry."""
        time, latest = timestamp(self.clock()), self.manifest.latest()
        if is_behind(time, latest):
            raise StationError(
                f"the station's clock says {time}, and the manifest has an entry of {latest}",
                remedy="Set the clock right (`tokenprov doctor` looks at it). If it was ahead then"
                " and is right now, say so on the record: tokenprov manifest clock --reason TEXT.",
            )

    def _forget_old_keys(self) -> None:
        """Destroy keys that the manifest says another took over from: a rotation was cut off."""
        others = self.keys.others(self.signer.verifier)
        if others:
            changes = [entry for _, entry in self.manifest.key_changes()]
            gone = {VerifierKey.parse(entry["old"]).key_id.hex() for entry in changes}
            for path in others:
                if path.stem in gone:
                    destroy(path)

    def issuer(self, name: str) -> Issuer:
        """The authority that a profile names so. Raises `IssuerError`, `StationError`."""
        return choose_issuer(name, self.path)

    def card_key(self, name: str) -> Secret:
        """The management key of that name, from the home. Raises `StationError`."""
        return load_card_key(self.path / "card-keys", name)

    def relying_party(self, rp_id: str, rp_name: str) -> RelyingParty:
        """A relying party whose credentials are kept in this home."""
        return RelyingParty(self.path / "relying-parties", rp_id, rp_name, anchors=self.anchors)

    def marks(self) -> Marks:
        """The marks of tokens without a serial."""
        return Marks(self.path / "marks", anchors=self.anchors)


def create_home(
    path: Path,
    *,
    name: str,
    operator: str,
    custodians: Mapping[Purpose, CustodianKey],
    trust: Sequence[Path] = (),
    passphrase: Secret | None = None,
    signing_key: str | None = None,
    first: Sequence[Addition] = (),
    ask: Ask = ask_unseen,
    clock: Callable[[], datetime] = now,
) -> tuple[Purpose, ...]:
    """Make a home; a pair is drawn for each purpose without a key. Gives those purposes.

    `trust` are PEM files of further attestation roots; `passphrase` encrypts the pairs' private
    keys. `signing_key` is the PKCS#11 URI of the key that signs, where it is not drawn into a file;
    `ask` is called for its PIN. `first` comes into the manifest behind the station's own entry.

    Raises `StationError` where something is there already, `InputError` for a name that cannot
    be one, `DurabilityError`.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name!r} cannot name a station",
            remedy="Use small letters, digits, dots and hyphens, as in bench-1.example.com.",
        )
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise StationError(
            f"{path} is there and not empty", remedy="Name a folder that is not there yet."
        )
    path = path.absolute()
    clear_cut_off(path)
    with making(path) as made:
        drawn = tuple(purpose for purpose in Purpose if purpose not in custodians)
        keys = dict(custodians) | {
            purpose: _draw_custodian(made, purpose, passphrase) for purpose in drawn
        }
        make_folder(made / "custodians")
        for purpose, key in keys.items():
            create_durable(made / "custodians" / f"{purpose}.pem", key.to_pem())
        LocalCa.create(made / "ca", f"{name} test CA", clock())
        make_folder(made / "trust")
        for number, pem in enumerate(trust):
            content = pem.read_bytes()
            certificates_in(content, where=str(pem))  # one that holds none is refused now
            create_durable(made / "trust" / f"{number:02}-{pem.stem}.pem", content)
        Anchors.load(made / "trust")
        signer = StationKeys(made, ask).add(name, signing_key)
        with signer.unlocked():
            manifest = Manifest.create(made / "manifest", name, signer)
            manifest.append(
                station_entry(
                    time=clock(),
                    station=name,
                    operator=operator,
                    custodians=[(purpose, key.kid) for purpose, key in keys.items()],
                )
            )
            if first:
                manifest.append_many(first)
        manifest.close()
        Ledger(sqlite_url(made / "ledger.sqlite"), station=name).close()
        settings = f'version = 1\nname = "{name}"\ncreated = {clock():%Y-%m-%dT%H:%M:%SZ}\n'
        create_durable(made / "station.toml", settings.encode())
    return drawn


def _name_in(settings: Path) -> str:
    """The station's name. Raises StationError."""
    try:
        name = tomllib.loads(settings.read_text("utf-8"))["name"]
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StationError(
            f"{settings.parent} is not a station home",
            remedy=f"Make one with: tokenprov init {settings.parent}",
        ) from error
    except (OSError, ValueError, KeyError) as error:
        raise _unusable(settings, str(error)) from error
    if not isinstance(name, str):
        raise _unusable(settings, "its name is no text")
    return name


def _unusable(settings: Path, why: str) -> StationError:
    return StationError(
        f"{settings} cannot be used: {why}", remedy="Put it back as it was, from a backup."
    )


@contextmanager
def making(path: Path) -> Iterator[Path]:
    """A folder beside `path` that becomes it at the end, or is removed. Raises DurabilityError."""
    made = path.with_name(f".{path.name}.{os.getpid()}.new")
    make_folder(made, 0o700)
    try:
        with held(made):
            yield made
            with explained(path):
                if path.exists():
                    path.rmdir()
                os.rename(made, path)
                sync_each([], [path.parent])
    finally:
        shutil.rmtree(made, ignore_errors=True)


def clear_cut_off(path: Path) -> None:
    """Remove what makings that were cut off left beside `path`: private keys lie in it.

    Whether one still goes on, its lock says; its process id, which may be another's after a start,
    only where there are no locks.
    """
    for left in path.parent.glob(f".{path.name}.*.new"):
        maker = left.name.removesuffix(".new").rpartition(".")[2]
        if not maker.isdigit():
            continue
        going_on = is_held(left)
        if going_on is None:
            going_on = Path(f"/proc/{maker}").exists()
        if not going_on:
            with suppress(FileNotFoundError):  # another command cleared it away, or it was done
                shutil.rmtree(left)


def _draw_custodian(home: Path, purpose: Purpose, passphrase: Secret | None) -> CustodianKey:
    private, public = generate_custodian(passphrase)
    make_folder(home / "custodians" / "private", 0o700)
    create_durable(home / "custodians" / "private" / f"{purpose}.pem", private, 0o600)
    return CustodianKey.from_pem(public)
