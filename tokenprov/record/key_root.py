"""The root of a log's keys: signs the list of them, on a machine that is kept offline.

    signed/<SHA-256 of origin>   the last list of a log that it signed

Rules:
- It takes the keys as the log's own entries have them (`key_change`), and no key that nobody
  vouches for unless it is named: the first key of a log, and that of an epoch.
- A list holds all that the one before it has. It is durable here before it is handed out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path

from tokenprov.errors import InputError, ManifestError
from tokenprov.record.checkpoint import Checkpoint
from tokenprov.record.entry import decode_entry
from tokenprov.record.files import clear_left, make_folder, write_durable
from tokenprov.record.folder import CHECKPOINT, VERIFIER_KEY, ManifestFolder
from tokenprov.record.key_change import CHANGES, eras
from tokenprov.record.key_list import KEY_LIST, KeyList
from tokenprov.record.note import parse_note
from tokenprov.record.signer import Signer
from tokenprov.record.verifier_key import VerifierKey
from tokenprov.record.verify import verify_manifest


class KeyRoot:
    """A root with its folder; its key is in `signing.own`."""

    def __init__(self, folder: Path, signer: Signer) -> None:
        """`signer` signs for it; `folder` has what it signed."""
        self._folder, self._signer = folder, signer

    def sign(self, manifest: Path, named: Collection[VerifierKey]) -> KeyList:
        """Sign the list of the keys of the log in a manifest's folder, and lay it there.

        `named` are the keys that this root was told of by other ways. Raises ManifestError: the
        log does not hold, or its keys are not those of the last list; InputError: a key in it
        that nobody vouches for was not named.
        """
        folder = ManifestFolder(manifest)
        head = Checkpoint.parse(parse_note(folder.read(CHECKPOINT)).text)
        clear_left(manifest / KEY_LIST)  # which would be a stray
        report = verify_manifest(manifest)
        if not report.holds:
            raise ManifestError(
                f"the manifest does not hold: {report.findings[0]}",
                remedy="Verify it, and sign nothing of it before it holds.",
                rule=report.findings[0].rule,
            )
        stored = VerifierKey.parse(folder.read(VERIFIER_KEY).decode().removesuffix("\n"))
        changes = [
            (number, entry)
            for number, entry in enumerate(map(decode_entry, folder.entries(0, head.size)))
            if entry["kind"] in CHANGES
        ]
        keys = eras(changes, stored)
        path = self._folder / "signed" / hashlib.sha256(head.origin.encode()).hexdigest()
        before = KeyList.open(path.read_bytes(), self._signer.verifier) if path.exists() else None
        known = set(named)
        if before is not None:
            before.check(head.origin, keys[: len(before.keys)])
            known |= {key for _, key in before.keys}
        for era in keys:
            if not era.vouched and era.key not in known:
                raise InputError(
                    f"nobody vouches for {era.key}, which signs from {era.since} entries on",
                    remedy="Ask the station for its key by another way, and name it with --key.",
                )
        made = KeyList.of(head.origin, before.number + 1 if before else 1, keys)
        make_folder(path.parent, 0o700)
        write_durable(path, made.sign(self._signer))
        write_durable(manifest / KEY_LIST, path.read_bytes())
        return made
