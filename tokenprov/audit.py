"""A token compared with the manifest's last entry for it, and with the profile it was made by.

Rules:
- Nothing is written, no try is spent, no touch is asked for, and no secret is known: what each step
  can see without is compared, the rest is said to be unknown.
- Drift is what the entry says and the token does not, and what is on the token and not in the
  entry. What a holder is meant to change (a PIN that had to be changed) is none.
- Factory values that are still in force are listed, whether the profile set them or not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from tokenprov.errors import NotSupported, ProfileError, TokenprovError
from tokenprov.home import Home
from tokenprov.inventory import Inventory, take_inventory
from tokenprov.model import Json, TokenId
from tokenprov.plan import steps_on
from tokenprov.profile import Profile
from tokenprov.record.entry import Entry, Kind
from tokenprov.record.journal import BROUGHT_IN
from tokenprov.record.lives import entries_of
from tokenprov.record.rows import IntentRecord, OrderRecord
from tokenprov.sealed_view import NeedsSecret, SealedIntent, sealed_view
from tokenprov.step import Finding, State, Step
from tokenprov.token import Token

UNKNOWN = "unknown"
_CHANGED_BY_HOLDER = {
    "fido2/force-pin-change": "the PIN was changed, as it had to be",
    "device/nfc-restricted": "it was lifted by the first power over USB, as it had to be",
}
_TOLD_AGAIN = (Kind.UNBLOCKED, Kind.ROTATED)
_STATES = (Kind.ISSUED, Kind.SET_ASIDE, Kind.WIPED, Kind.REVOKED, Kind.REPLACED, Kind.RETIRED)
_TRIES_LEFT = "pinTriesLeft"  # all that a token without metadata tells of its tries
_WORDS = {"pin": "PIN", "puk": "PUK", "managementKey": "management key"}


class Standing(StrEnum):
    """How a setting stands to the entry."""

    SAME = "same"
    DRIFT = "drift"
    UNKNOWN = UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One setting: what the entry has, what was seen now, and in words what it comes to."""

    id: str
    standing: Standing
    reason: str = ""
    recorded: Json = None
    now: Json = None

    def to_json(self) -> dict[str, Json]:
        """For programs."""
        document: dict[str, Json] = {"setting": self.id, "standing": str(self.standing)}
        if self.reason:
            document["reason"] = self.reason
        if self.recorded is not None:
            document["recorded"] = self.recorded
        if self.now is not None:
            document["now"] = self.now
        return document


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What came of it. `index` is None for a token that the manifest does not have."""

    token: TokenId
    reader: str
    index: int | None = None
    kind: str = ""
    holder: str = ""
    profile: str = ""
    settings: tuple[Compared, ...] = ()
    added: tuple[str, ...] = ()
    defaults: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def drifted(self) -> bool:
        """Whether the token is not what the entry says."""
        return bool(self.added) or any(one.standing is Standing.DRIFT for one in self.settings)

    def to_json(self) -> dict[str, Json]:
        """For programs."""
        return {
            "serial": self.token.serial,
            **({"mark": self.token.mark} if self.token.mark else {}),
            "model": self.token.model,
            "firmware": self.token.firmware,
            "reader": self.reader,
            "entry": self.index,
            "kind": self.kind or None,
            "holder": self.holder or None,
            "profile": self.profile or None,
            "drift": self.drifted,
            "settings": [one.to_json() for one in self.settings],
            "added": list(self.added),
            "defaults": list(self.defaults),
            "unknown": list(self.unknown),
        }


def audit(home: Home, token: Token) -> Audit:
    """Look at a token. Raises a `TokenError` when it cannot be read."""
    inventory = take_inventory(token)
    defaults, unknown = _factory_values(inventory)
    index, entry = _last_entry(home, token.id)
    made = Audit(
        token=token.id,
        reader=token.reader,
        index=index,
        defaults=defaults,
        unknown=unknown,
    )
    if entry is None or index is None:
        return made
    if entry["kind"] != Kind.ISSUED:
        return _replaced(made, kind=entry["kind"], added=_leftover(entry, inventory))
    found = home.ledger.order(entry["order"])
    settings, missing = _settings(home, token, entry, found)
    return _replaced(
        made,
        kind=entry["kind"],
        holder=found.order.holder.name if found is not None else "",
        profile=entry["profile"]["name"],
        settings=settings,
        added=tuple(_added(entry, inventory)),
        unknown=(*unknown, *missing),
    )


def _replaced(made: Audit, **changes: object) -> Audit:
    fields = {name: getattr(made, name) for name in Audit.__dataclass_fields__}
    return Audit(**{**fields, **changes})


def _last_entry(home: Home, token: TokenId) -> tuple[int | None, Entry | None]:
    """The last entry about a token's state; what was read back from it since is laid over it."""
    since: dict[str, Json] = {}
    for index, entry in entries_of(home.manifest, token.named, token.maker):
        if entry["kind"] in _TOLD_AGAIN:
            since = {step["id"]: step for step in entry.get("steps", ())} | since
        elif entry["kind"] in _STATES:
            if entry["kind"] == Kind.ISSUED:
                steps = [since.get(step["id"], step) for step in entry["steps"]]
                entry = {**entry, "steps": steps}
            return index, entry
    return None, None


def _leftover(entry: Entry, inventory: Inventory) -> tuple[str, ...]:
    """What is on a token that was wiped."""
    return inventory.used if entry["kind"] == Kind.WIPED else ()


# --- the settings of the profile -----------------------------------------------------------


def _settings(
    home: Home, token: Token, entry: Entry, found: OrderRecord | None
) -> tuple[tuple[Compared, ...], tuple[str, ...]]:
    """Each step of the entry against the token; and what could not be compared at all."""
    recorded = {step["id"]: step for step in entry["steps"]}
    intents = {one.step: one for one in home.ledger.intents(entry["order"])}
    steps, missing = _steps(home, token, entry, found, intents)
    view = sealed_view(token)
    settings = []
    for name, was in recorded.items():
        step = steps.get(name)
        if step is None:
            settings.append(_unknown(name, was, "the ledger has nothing to compare it by"))
            continue
        record = intents.get(name)
        if record is None and BROUGHT_IN in intents and len(intents) == 1:
            settings.append(_unknown(name, was, "what it was promised is in no backup"))
            continue
        intent = SealedIntent(step=name, public=record.parameters["public"] if record else {})
        try:
            now = step.observe(view, intent)
        except NeedsSecret as error:
            settings.append(_unknown(name, was, error.message))
        except NotSupported as error:
            settings.append(_drift(name, was, error.message))
        except TokenprovError as error:
            settings.append(_unknown(name, was, error.message))
        else:
            settings.append(_compared(name, was, now, home.clock()))
    return tuple(settings), missing


def _steps(
    home: Home,
    token: Token,
    entry: Entry,
    found: OrderRecord | None,
    intents: dict[str, IntentRecord],
) -> tuple[dict[str, Step], tuple[str, ...]]:
    """The steps that made the token, from the profile as the ledger keeps it."""
    batch = home.ledger.batch(entry["batch"]) if found is not None else None
    if found is None or batch is None:
        return {}, (f"order {entry['order']} is not in the ledger",)
    try:
        profile = Profile.model_validate(
            json.loads(batch.profile_source), by_alias=True, by_name=False
        )
        steps = steps_on(token, profile, found.order, home, day=_day(entry, intents))
    except (ValueError, ProfileError) as error:
        return {}, (f"the profile that the ledger keeps is not taken any more: {error}",)
    return {step.id: step for step in steps}, ()


def _day(entry: Entry, intents: dict[str, IntentRecord]) -> date:
    """Of issue: that of the first promise."""
    for record in intents.values():
        if "day" in record.parameters:
            return date.fromisoformat(record.parameters["day"])
    return datetime.fromisoformat(entry["time"]).date()


def _compared(name: str, was: Json, now: Finding, clock: datetime) -> Compared:
    facts = {key: value for key, value in now.facts.items() if key != "virtual"}
    differing = {
        key for key in {**was["facts"], **facts} if was["facts"].get(key) != facts.get(key)
    }
    differs = facts and differing and _TRIES_LEFT not in facts
    if now.state is State.UNKNOWN and differs:
        return _drift(name, was, now.reason, facts)
    if now.state is State.UNKNOWN or (now.state is State.ABSENT and _TRIES_LEFT in facts):
        return _unknown(name, was, now.reason or "this firmware does not tell")
    if now.state is State.ABSENT:
        if name in _CHANGED_BY_HOLDER:
            return Compared(id=name, standing=Standing.SAME, reason=_CHANGED_BY_HOLDER[name])
        return _drift(name, was, now.reason or "it is as it leaves the factory")
    if now.state is State.CONFLICT:
        return _drift(name, was, now.reason)
    if differs:
        return _drift(name, was, f"{', '.join(sorted(differing))} differ", facts)
    expired = facts.get("notAfter")
    if expired is not None and datetime.fromisoformat(expired) < clock:
        return _drift(name, was, f"it ended on {expired}", facts)
    reason = f"not to be read: {', '.join(now.unread)}" if now.unread else ""
    return Compared(id=name, standing=Standing.SAME, reason=reason)


def _drift(name: str, was: Json, reason: str, now: Json = None) -> Compared:
    return Compared(id=name, standing=Standing.DRIFT, reason=reason, recorded=was["facts"], now=now)


def _unknown(name: str, was: Json, reason: str) -> Compared:
    return Compared(id=name, standing=Standing.UNKNOWN, reason=reason, recorded=was["facts"])


# --- the token as a whole -------------------------------------------------------------------


def _added(entry: Entry, inventory: Inventory) -> Iterator[str]:
    """What is on the token and not in the entry."""
    made = {step["id"] for step in entry["steps"] if step["state"] == "match"}
    applets = {name.split("/")[0] for name in made}
    for applet, texts in inventory.contents.items():
        if applet not in applets:
            yield from texts
    if "piv" in applets:
        for slot, there in inventory.facts["piv"].get("slots", {}).items():
            if there["key"] and f"piv/{slot}/key" not in made:
                yield f"slot {slot} holds a key ({there['key']})"
            if there.get("certificate") and f"piv/{slot}/certificate" not in made:
                yield f"slot {slot} holds a certificate"
    if "otp" in applets:
        slot2 = inventory.facts["otp"].get("slots", {}).get("2", {})
        if slot2.get("configured") and not made & {"otp/2", "otp/swap"}:
            yield "OTP slot 2 holds a credential"
    for applet, key, prefix, what in (
        ("oath", "accounts", "oath/account/", "OATH accounts"),
        ("hsmauth", "credentials", "hsmauth/credential/", "YubiHSM Auth credentials"),
    ):
        there = inventory.facts.get(applet, {}).get(key)
        ours = sum(name.startswith(prefix) for name in made)
        if applet in applets and isinstance(there, int) and there > ours:
            yield f"it holds {there} {what}, and {ours} were made"


def _factory_values(inventory: Inventory) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Values of the factory's that are in force, and those of which the token does not tell."""
    defaults, unknown = [], []
    for applet, facts in inventory.facts.items():
        for name, value in facts.items():
            factory = value.get("factory") if isinstance(value, dict) else None
            text = f"{applet} {_WORDS.get(name, name)}"
            if factory is True:
                defaults.append(f"{text} is the factory's")
            elif factory == UNKNOWN:
                unknown.append(f"whether the {text} is the factory's")
    return tuple(defaults), tuple(unknown)
