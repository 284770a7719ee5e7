"""The people of a station, changed on the record."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from tokenprov.errors import InputError, ManifestError
from tokenprov.home import Home
from tokenprov.policy import NOBODY, Act, Action, Agreement, enforce
from tokenprov.record.entry import Kind, entry_head
from tokenprov.record.manifest import Addition
from tokenprov.record.people import Person, Role
from tokenprov.record.verifier_key import VerifierKey


def change_person(
    home: Home,
    key: VerifierKey,
    roles: Iterable[Role],
    *,
    operator: str,
    reason: str,
    agreement: Agreement = NOBODY,
) -> Person:
    """Say what a person may do from now on; without a role, nothing any more.

    Raises ManifestError where the key is somebody else's, ApprovalError, StationBusy.
    """
    person = Person(key=key, roles=frozenset(roles))
    about = {
        "person": person.name,
        "key": str(key),
        "roles": ",".join(sorted(person.roles)) or "none",
    }
    act = Act(action=Action.PEOPLE, operator=operator, about=about)
    with home.recording():
        clearance = enforce(home, act, agreement)
        entry = {
            **entry_head(
                Kind.PERSON_CHANGED, time=home.clock(), station=home.name, operator=operator
            ),
            "person": person.name,
            "roles": sorted(map(str, person.roles)),
            "key": str(key),
            "reason": reason,
        }
        home.manifest.append_many([clearance.cover(Addition(entry=entry))])
    return person


def person_of(home: Home, name: str) -> Person:
    """Somebody who has a role here. Raises InputError."""
    person = home.manifest.people().get(name)
    if person is None or not person.roles:
        raise InputError(f"nobody is called {name!r} here", remedy="See: tokenprov people list")
    return person


def load_public_key(name: str, path: Path) -> VerifierKey:
    """The public key of a person in a PEM file. Raises InputError."""
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except OSError as exc:
        raise InputError(
            f"{path} cannot be read: {exc.strerror}", remedy="Check the path."
        ) from exc
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise InputError(
            f"{path} is no public key in PEM form",
            remedy="Ask for the file that begins with BEGIN PUBLIC KEY.",
        ) from exc
    if not isinstance(key, ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey):
        raise _other(path)
    try:
        return VerifierKey.of(name, key)
    except ManifestError as exc:
        if exc.rule == "verifier-key":
            raise _other(path) from exc
        raise InputError(
            exc.message, remedy="Choose a name of letters, digits, dots and hyphens."
        ) from exc


def _other(path: Path) -> InputError:
    return InputError(
        f"{path} is neither Ed25519 nor on P-256",
        remedy="Have them make one: openssl genpkey -algorithm ed25519 -out me.key; chmod 600"
        " me.key; openssl pkey -in me.key -pubout -out me.pem",
    )
