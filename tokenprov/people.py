"""The people of a station, changed on the record."""

from __future__ import annotations

from collections.abc import Iterable

from tokenprov.errors import InputError
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
    with home.working():
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
