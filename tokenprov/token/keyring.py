"""The secrets that a token at work may hold by now."""

from __future__ import annotations

from collections.abc import Iterator

from tokenprov.model import SecretKind
from tokenprov.secret import Secret


class Keyring:
    """The secrets that this token may hold by now: the journalled ones, by kind and name.

    The factory values are not here: they are in the standards, and steps know them. Where cards
    came with others, those are published, too.
    """

    def __init__(self) -> None:
        self._held: dict[tuple[SecretKind, str], Secret] = {}
        # what cards of this delivery came with, by kind, where it is not the usual factory value
        self.published: dict[SecretKind, str] = {}
        self.by_touch: set[SecretKind] = set()  # kinds whose use waits for a touch, where known

    def put(self, kind: SecretKind, name: str, value: Secret) -> None:
        """Remember a journalled secret under its name, for example "piv/pin"."""
        self._held[kind, name] = value

    def get(self, kind: SecretKind) -> Secret | None:
        """The one secret of that kind, if there is one (PIN, PUK, management key)."""
        return next((value for (held, _), value in self._held.items() if held is kind), None)

    def named(self, kind: SecretKind, name: str) -> Secret | None:
        """The secret of that kind and name; None where it was not promised."""
        return self._held.get((kind, name))

    def __iter__(self) -> Iterator[tuple[SecretKind, str]]:
        return iter(self._held)
