"""Which entry may follow which: the life of a station, of its orders, of its tokens.

Rules:
- The first entry names the station, no later one does, and all are that station's.
- An order is issued once.
- A token that was issued is its holder's until an entry ends that (`set-aside`): before that it is
  not issued for another commitment. A token is its maker, its serial, and whether it is virtual;
  one without a serial is nobody's.
- Nor is such a token wiped (`wiped`) while it is its holder's; a wipe has an id of its own.
"""

from __future__ import annotations

from tokenprov.errors import ManifestError
from tokenprov.record.entry import Entry, Kind

_Token = tuple[str, str, bool]


class History:
    """Takes entries one after another; memory grows with the orders and tokens seen."""

    def __init__(self) -> None:
        self.size = 0
        self.station = ""
        self._orders: dict[str, int] = {}
        self._bindings: dict[_Token, tuple[str, int]] = {}
        self._wipes: dict[str, int] = {}

    def add(self, entry: Entry) -> None:
        """Take the next entry. Raises ManifestError with the rule; it counts as taken anyway."""
        index = self.size
        self.size += 1
        if index == 0:
            self.station = entry["station"]
        if (index == 0) != (entry["kind"] == Kind.STATION):
            raise _refused("first-entry", index, "only the first entry names the station")
        if entry["station"] != self.station:
            raise _refused(
                "station", index, f"of station {entry['station']} in the log of {self.station}"
            )
        if entry["kind"] == Kind.ISSUED:
            self._issued(index, entry)
        elif entry["kind"] == Kind.SET_ASIDE:
            self._bindings.pop(_token(entry), None)
        elif entry["kind"] == Kind.WIPED:
            self._wiped(index, entry)

    def skip(self) -> None:
        """Count an entry that could not be read."""
        self.size += 1

    def _issued(self, index: int, entry: Entry) -> None:
        token = _token(entry)
        commitment = entry["holder"]["commitment"]
        before = self._bindings.get(token)
        first = self._orders.setdefault(entry["order"], index)
        if entry["token"]["serial"] is not None:
            self._bindings[token] = (commitment, index)
        if first != index:
            raise _refused("order", index, f"order {entry['order']} was issued by entry {first}")
        if before is not None and before[0] != commitment:
            raise _refused(
                "binding",
                index,
                f"token {token[1]} is another holder's since entry {before[1]}",
            )

    def _wiped(self, index: int, entry: Entry) -> None:
        first = self._wipes.setdefault(entry["wipe"], index)
        before = self._bindings.get(_token(entry))
        if first != index:
            raise _refused("wipe", index, f"wipe {entry['wipe']} was finished by entry {first}")
        if before is not None:
            raise _refused(
                "binding",
                index,
                f"token {entry['token']['serial']} is a holder's since entry {before[1]}, and was"
                " wiped",
            )


def _token(entry: Entry) -> _Token:
    token = entry["token"]
    return token["maker"], token["serial"] or "", token["virtual"]


def _refused(rule: str, index: int, what: str) -> ManifestError:
    return ManifestError(
        f"entry {index}: {what}",
        remedy="Ask the station's operator what happened; the log itself cannot be mended.",
        rule=rule,
        index=index,
    )
