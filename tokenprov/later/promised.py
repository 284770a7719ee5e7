"""An entry, told to the ledger: what the station would have promised before it."""

from __future__ import annotations

from datetime import datetime

from tokenprov.errors import EvidenceError, ManifestError, ProfileError
from tokenprov.home import Home
from tokenprov.model import Holder, Order, SecretKind, TokenId
from tokenprov.ordering import profile_of
from tokenprov.profile import Profile
from tokenprov.record.canonical import canonical
from tokenprov.record.entry import Entry, Kind
from tokenprov.record.escrow import read_context
from tokenprov.record.journal import BROUGHT_IN
from tokenprov.record.rows import EnvelopeRecord, IntentRecord
from tokenprov.record.wipes import WipeRecord
from tokenprov.record.works import WorkKind, WorkRecord

_WORKS = {
    Kind.SUSPENDED: WorkKind.SUSPEND,
    Kind.RESUMED: WorkKind.RESUME,
    Kind.REVOKED: WorkKind.REVOKE,
    Kind.REPLACED: WorkKind.REPLACE,
    Kind.UNBLOCKED: WorkKind.UNBLOCK,
    Kind.ROTATED: WorkKind.ROTATE,
    Kind.RETIRED: WorkKind.RETIRE,
}


class Promised:
    """One entry; `lost` is what it could not give back."""

    def __init__(
        self, *, home: Home, index: int, entry: Entry, profiles: dict[str, Profile]
    ) -> None:
        self._home, self._index, self._entry, self._profiles = home, index, entry, profiles
        self._at = datetime.fromisoformat(entry["time"])
        self.lost: list[str] = []

    def tell(self) -> None:
        """Tell it. Raises EvidenceError, ProfileError, StationError."""
        entry = self._entry
        self._miss_mark()
        match entry["kind"]:
            case Kind.ISSUED:
                self._order()
                self._seal(entry["order"], 1)
            case Kind.WIPED:
                self._wipe()
            case Kind.RECEIVED:
                serial = entry["token"]["serial"]
                stock = self._home.ledger.stock
                stock.receive(
                    [serial] if serial else [], entry["source"], entry["operator"], self._at
                )
            case kind if kind in _WORKS and "work" in entry:
                self._work(_WORKS[Kind(kind)])

    def _miss_mark(self) -> None:
        """What a token's mark is proved by is in no entry."""
        entry = self._entry
        mark = entry.get("token", {}).get("mark")
        steps = entry.get("steps", ()) if entry["kind"] == Kind.UNBLOCKED else ()
        again = any(step["id"].startswith("fido2/") for step in steps)
        new = entry["kind"] == Kind.ISSUED and mark and self._home.marks().find(mark) is None
        if mark and (new or again):
            self.lost.append(
                f"entry {self._index}: the mark of token {mark}, which is not known again when it"
                " is put in"
            )

    def _order(self) -> None:
        """The order, bound to its token; with its batch, where that was made after the backup."""
        ledger, entry = self._home.ledger, self._entry
        if ledger.batch(entry["batch"]) is None:
            self._batch()
        found = ledger.order(entry["order"])
        if found is None:
            raise EvidenceError(
                f"entry {self._index} issues an order that its batch does not have",
                remedy="Ask the station's operator: the backup and the manifest do not fit.",
            )
        there = found.token.label if found.token is not None else None
        if there not in (None, self._token.label):
            ledger.release(found.id)
        ledger.claim(found.id, self._token, {}, self._at)

    def _batch(self) -> None:
        """Its orders are those that were issued: what else was ordered, nobody here can tell."""
        home, entry = self._home, self._entry
        profile = self._profile(entry["profile"]["name"], entry["profile"]["digest"])
        entries = home.manifest.entries(self._index)
        issued = [one for one in entries if one["kind"] == Kind.ISSUED]
        mine = [one for one in issued if one["batch"] == entry["batch"]]
        home.ledger.create_batch(
            id=entry["batch"],
            roster_digest=f"{'0' * 56}{self._index:08x}",  # of no file
            profile_name=profile.name,
            profile_digest=profile.digest,
            profile_source=canonical(profile.to_json()).decode(),
            kit_size=entry["kit"]["size"],
            orders=[self._ordered(one) for one in mine],
            created=self._at,
            operator=entry["operator"],
        )
        self.lost.append(
            f"batch {entry['batch']}: orders that were not issued are not known; order them anew"
        )

    def _ordered(self, entry: Entry) -> Order:
        opening = self._home.manifest.opening(entry["holder"]["commitment"])
        if opening is None:
            raise ManifestError(
                f"order {entry['order']}: who its holder is stands in no opening that is here",
                remedy="Bring a copy of the manifest that has its folder openings/.",
                rule="opening",
            )
        return Order(
            id=entry["order"],
            batch=entry["batch"],
            holder=Holder.from_json(dict(opening.holder)),
            position=entry["kit"]["position"],
            profile=entry["profile"]["name"],
            profile_digest=entry["profile"]["digest"],
        )

    def _profile(self, name: str, digest: str) -> Profile:
        if digest not in self._profiles:
            for batch in self._home.ledger.batches():
                if batch.profile_digest == digest:
                    self._profiles[digest] = profile_of(batch)
        if digest not in self._profiles:
            raise ProfileError(
                f"tokens were issued by profile {name}, digest {digest[:16]}…, which the backup"
                " does not have",
                remedy=f"Give its file: --profile FILE. Its digest: tokenprov profile show {name}",
            )
        return self._profiles[digest]

    def _seal(self, order: str, generation: int) -> None:
        """The envelopes that the entry names and the ledger does not have."""
        ledger = self._home.ledger
        there = {one.sha256 for one in ledger.envelopes(order=order)}
        missing = [one for one in self._entry.get("secrets", ()) if one["sha256"] not in there]
        envelopes = []
        for one in missing:
            blob = self._home.manifest.blob(one["sha256"])
            envelopes.append(
                EnvelopeRecord(
                    order=order,
                    token_label=self._token.label,
                    name=one["name"],
                    kind=SecretKind(one["kind"]),
                    purpose=one["purpose"],
                    kid=one.get("kid") or read_context(blob)[1],
                    generation=one["generation"],
                    sha256=one["sha256"],
                    blob=blob,
                )
            )
        if envelopes:
            intent = IntentRecord(order=order, step=BROUGHT_IN, generation=generation, at=self._at)
            ledger.journal(intent, envelopes)

    def _work(self, kind: WorkKind) -> None:
        ledger, entry = self._home.ledger, self._entry
        order = ledger.order_of_token(None, self._token.label)
        assert order is not None, "what is done to a token follows its issue"
        found = ledger.works.find(entry["work"])
        if found is None:
            ledger.works.end(self._token.label, [kind], f"entry {self._index} is of another one")
            cause = {"cause": entry["cause"]} if "cause" in entry else {}
            found = ledger.works.begin(
                WorkRecord(
                    id=entry["work"],
                    kind=kind,
                    label=self._token.label,
                    order=order.id,
                    parameters=cause,
                    reason=entry["reason"],
                    operator=entry["operator"],
                    began=self._at,
                )
            )
        self._seal(order.id, found.generation)

    def _wipe(self) -> None:
        entry = self._entry
        self._home.ledger.wipes.begin(
            WipeRecord(
                id=entry["wipe"],
                token=self._token,
                reason=entry["reason"],
                operator=entry["operator"],
                found=entry["found"],
                began=datetime.fromisoformat(entry["began"]),
            )
        )

    @property
    def _token(self) -> TokenId:
        said = self._entry["token"]
        return TokenId(
            maker=said["maker"],
            model=said["model"],
            firmware=said["firmware"],
            serial=said["serial"],
            mark=said.get("mark", ""),
        )
