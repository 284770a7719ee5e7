"""Another key for a station's manifest: vouched for by the one in use, or after its loss.

Rules:
- The new key is durable, or proved to be in its token, before the old one says a word about it.
- The checkpoint is the commit (`record.commit`). Cut off before it, the old key goes on; after it,
  the new one: `keys/` holds both until the last step, which destroys all but the one in use.
- After a loss nobody vouches for the new key: an epoch begins, and whoever checks the manifest
  must be told the new key, or trust the root that lists it (`record.key_list`).
"""

from __future__ import annotations

from tokenprov.home import Home
from tokenprov.record.files import StationLock
from tokenprov.record.key_change import lost_entry, rotated_entry
from tokenprov.record.verifier_key import VerifierKey


def rotate(home: Home, *, operator: str, reason: str, to: str | None) -> VerifierKey:
    """The key in use vouches for another: one drawn into a file, or the one that a URI names.

    Gives the new one. Raises StationBusy, StationError, InputError, TokenError.
    """
    with home.working():
        home.keys.leave_only(home.signer.verifier)
        new = home.keys.add(home.manifest.origin, to, other_than=home.signer.verifier)
        with new.unlocked():
            entry = rotated_entry(
                home.manifest.checkpoint,
                home.signer,
                new,
                time=home.clock(),
                station=home.name,
                operator=operator,
                reason=reason,
            )
            home.manifest.change_key(entry, new)
        home.keys.leave_only(new.verifier)
    return new.verifier


def begin_epoch(home: Home, *, operator: str, reason: str, to: str | None) -> VerifierKey:
    """The key in use is lost, or not to be trusted: another one signs, and nobody vouches for it.

    Gives the new one. Raises as `rotate` does.
    """
    with StationLock(home.path):  # without the key in use, which may be nowhere
        home.manifest.take_up()
        new = home.keys.add(home.manifest.origin, to, other_than=home.signer.verifier)
        with new.unlocked():
            entry = lost_entry(
                home.manifest.note(),
                home.signer.verifier,
                new.verifier,
                time=home.clock(),
                station=home.name,
                operator=operator,
                reason=reason,
            )
            home.manifest.change_key(entry, new)
        home.keys.leave_only(new.verifier)
    return new.verifier
