"""Another key for a station's manifest: vouched for by the one in use, or after its loss.

Rules:
- Whether it may be, the policy says before anything is drawn or kept. What was agreed to is about
  the key in use (`old`), and about the next one (`new`) where it is there already.
- The new key is durable, or proved to be in its token, before the old one says a word about it.
- The checkpoint is the commit (`record.commit`). Cut off before it, the old key goes on; after it,
  the new one: `keys/` holds both until the last step, which destroys all but the one in use. The
  same request again then does the rest, and needs no other agreement.
- After a loss nobody vouches for the new key: an epoch begins, and whoever checks the manifest
  must be told the new key, or trust the root that lists it (`record.key_list`).
"""

from __future__ import annotations

from tokenprov.home import Home
from tokenprov.policy import NOBODY, Act, Action, Agreement, Clearance, enforce
from tokenprov.record.key_change import CHANGES, lost_entry, rotated_entry
from tokenprov.record.lock import StationLock
from tokenprov.record.manifest import Addition
from tokenprov.record.verifier_key import VerifierKey
from tokenprov.signing import StationSigner


def rotate(
    home: Home, *, operator: str, reason: str, to: str | None, agreement: Agreement = NOBODY
) -> VerifierKey:
    """The key in use vouches for another: one drawn into a file, or the one that a URI names.

    Gives the new one. Raises PolicyError, ApprovalError, StationBusy, StationError, InputError,
    TokenError.
    """
    with home.working():
        if _is_done(home, agreement):
            home.keys.leave_only(home.signer.verifier)
            return home.signer.verifier
        clearance, found = _cleared(home, Action.ROTATE_KEY, operator, to, agreement)
        home.keys.leave_only(home.signer.verifier)
        new = _kept(home, found, to)
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
            home.manifest.change_key(clearance.cover(Addition(entry=entry)), new)
        home.keys.leave_only(new.verifier)
    return new.verifier


def begin_epoch(
    home: Home, *, operator: str, reason: str, to: str | None, agreement: Agreement = NOBODY
) -> VerifierKey:
    """The key in use is lost, or not to be trusted: another one signs, and nobody vouches for it.

    Gives the new one. Raises as `rotate` does.
    """
    with StationLock(home.path):  # without the key in use, which may be nowhere
        home.manifest.take_up()
        if _is_done(home, agreement):
            home.keys.leave_only(home.signer.verifier)
            return home.signer.verifier
        clearance, found = _cleared(home, Action.BEGIN_EPOCH, operator, to, agreement)
        new = _kept(home, found, to)
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
            home.manifest.change_key(clearance.cover(Addition(entry=entry)), new)
        home.keys.leave_only(new.verifier)
    return new.verifier


def _is_done(home: Home, agreement: Agreement) -> bool:
    """Whether the key in use came by what was agreed to here: the change was cut off after it."""
    numbers = {n for one in agreement.requests() for n in home.manifest.found_by(f"request {one}")}
    entries = map(home.manifest.entry, sorted(numbers))
    mine = str(home.signer.verifier)
    return any(entry["kind"] in CHANGES and entry["new"] == mine for entry in entries)


def _cleared(
    home: Home, action: Action, operator: str, to: str | None, agreement: Agreement
) -> tuple[Clearance, VerifierKey | None]:
    """That the key may be changed, and the one that a URI names."""
    old = home.signer.verifier
    found = home.keys.find(home.manifest.origin, to, other_than=old) if to is not None else None
    about = {"old": str(old)} | ({"new": str(found)} if found else {})
    act = Act(action=action, operator=operator, about=about)
    return enforce(home, act, agreement), found


def _kept(home: Home, found: VerifierKey | None, to: str | None) -> StationSigner:
    if found is None or to is None:
        return home.keys.draw(home.manifest.origin)
    return home.keys.keep(found, to)
