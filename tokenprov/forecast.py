"""What a plan comes to: what each setting will be, what goes for it, who is asked, and how long.

The words of what will be are the profile's own. Durations are an **estimate** for a YubiKey 5 on
USB, from the tables below: a write with its read-back by applet, the making of a key by its
algorithm (RSA keys vary by a factor of three from key to key), and the person's part. They promise
nothing and are there to tell a minute from an hour.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tokenprov.model import Holder, Json
from tokenprov.plan import Planned
from tokenprov.profile import Profile
from tokenprov.profile.fields import Template

LOOK = 1.5  # seconds to see what is on a token
TOUCH, REINSERT = 3.0, 12.0  # seconds that a person takes
RESTART = 3.0  # seconds until a token whose interfaces changed is back
WRITES: Mapping[str, float] = {  # seconds for one setting, by applet
    "secure-channel": 0.5,
    "device": 0.5,
    "otp": 0.4,
    "piv": 0.2,
    "fido2": 0.4,
    "oath": 0.2,
    "openpgp": 0.4,
    "hsmauth": 0.3,
    "pkcs11": 0.5,
    "fips": 0.1,
}
GENERATIONS: Mapping[str, float] = {  # seconds to make a key; all others are on a curve
    "rsa1024": 1.5,
    "rsa2048": 5.0,
    "rsa3072": 20.0,
    "rsa4096": 60.0,
}
ON_A_CURVE = 0.3  # seconds
RESETS: Mapping[str, float] = {"openpgp": 3.0, "fido2": 1.0}  # seconds; others take 0.5

_GOES = ("replaces", "deletes", "moves")  # facts that say what a write does to what is there
_ATTESTS_SINCE = (4, 3, 0)  # firmware; before, a request is signed by the key, with its touch


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One setting: as it is, as it will be, and what that takes."""

    planned: Planned
    wanted: dict[str, Json]
    destroys: tuple[str, ...] = ()
    touches: int = 0
    seconds: float = 0.0

    def to_json(self) -> dict[str, Json]:
        """For programs."""
        document = self.planned.to_json()
        if self.wanted:
            document["wanted"] = self.wanted
        if self.destroys:
            document["destroys"] = list(self.destroys)
        if self.touches:
            document["touches"] = self.touches
        return document


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """All of them; `destroyed` also has what a wipe takes."""

    changes: tuple[Change, ...]
    destroyed: tuple[str, ...]
    touches: int
    reinsertions: int
    seconds: float

    @property
    def writes(self) -> int:
        """How many settings are written."""
        return sum(one.planned.verdict == "write" for one in self.changes)


def forecast(
    profile: Profile,
    holder: Holder,
    steps: Sequence[Planned],
    *,
    firmware: tuple[int, int, int],
    wiped: Sequence[str] = (),
    resets: Sequence[str] = (),
) -> Forecast:
    """`wiped` is what is on a token that is emptied first, `resets` the applications for that."""
    document = _rendered(profile.to_json(), holder)
    changes = tuple(_change(document, one, firmware) for one in steps)
    by_hand = int("fido2" in resets)  # put in again, and touched
    touches = by_hand + sum(one.touches for one in changes)
    took = sum(one.seconds for one in changes) + sum(RESETS.get(name, 0.5) for name in resets)
    return Forecast(
        changes=changes,
        destroyed=(*wiped, *(text for one in changes for text in one.destroys)),
        touches=touches,
        reinsertions=by_hand,
        seconds=LOOK + took + touches * TOUCH + by_hand * REINSERT,
    )


def _change(document: Json, planned: Planned, firmware: tuple[int, int, int]) -> Change:
    name = planned.step.id
    wanted = _wanted(document, name)
    if planned.verdict != "write":
        return Change(planned=planned, wanted={} if planned.verdict == "skip" else wanted)
    facts = planned.finding.facts
    return Change(
        planned=planned,
        wanted=wanted,
        destroys=tuple(
            f"{planned.step.title}: {facts[word]} is {_past(word)}"
            for word in _GOES
            if word in facts
        ),
        touches=_touches(document, name, wanted, firmware),
        seconds=_seconds(name, wanted),
    )


def _past(word: str) -> str:
    return {"replaces": "overwritten", "deletes": "deleted", "moves": "moved"}[word]


# --- what a setting will be -----------------------------------------------------------------


def _wanted(document: Json, name: str) -> dict[str, Json]:
    """The part of the resolved profile that a step is made of."""
    applet, _, rest = name.partition("/")
    section = document.get(applet)
    if not isinstance(section, dict):
        return {}
    match rest.split("/"):
        case ["tries"]:
            return {
                f"{key} tries": value["retries"]
                for key, value in section.items()
                if isinstance(value, dict) and "retries" in value
            }
        case ["pin" | "puk" | "user-pin" | "admin-pin" | "reset-code" | "password" as key]:
            given = section.get(key)
            return {
                "drawn": True,
                **{k: v for k, v in (given or {}).items() if k in ("length", "alphabet")},
            }
        case ["management-key" | "lock-code" | "scp03-keys" | "chuid" | "ccc" as key]:
            given = section.get(key)
            return {"drawn": True, **(given if isinstance(given, dict) else {})}
        case [slot, "key"]:
            return {
                k: v for k, v in _item(section, "keys", slot=slot).items() if k != "certificate"
            }
        case [slot, "certificate"]:
            return dict(_item(section, "keys", slot=slot).get("certificate", {}))
        case ["1" | "2" as number]:
            return dict(section.get(f"slot{number}", {}))
        case ["credential", *which] if applet == "fido2":
            return _item(section, "credentials", **{"rp-id": "/".join(which)})
        case ["credential", *which]:
            return _item(section, "credentials", label="/".join(which))
        case ["account", number]:
            return dict(section["accounts"][int(number) - 1])
        case ["object", number]:
            return _item(section, "objects", id=number)
        case ["configuration"]:
            return {key: value for key, value in section.items() if key != "lock-code"}
        case ["force-pin-change"]:
            return {"forced": True}
        case [key]:
            value = section.get(key, True)
            return dict(value) if isinstance(value, dict) else {key: value}
    return {}


def _item(section: Mapping[str, Any], key: str, **fields: str) -> dict[str, Json]:
    for item in section.get(key, ()):
        if all(item.get(name) == value for name, value in fields.items()):
            return {name: value for name, value in item.items() if name not in fields}
    return {}


def _rendered(value: Json, holder: Holder) -> Json:
    """With the holder in every text; what belongs to the token stays as it is written."""
    if isinstance(value, dict):
        return {key: _rendered(item, holder) for key, item in value.items()}
    if isinstance(value, list):
        return [_rendered(item, holder) for item in value]
    if isinstance(value, str) and "{holder." in value:
        template = Template.parse(value)
        if template.fields:
            return template.render(holder)
    return value


# --- what it takes --------------------------------------------------------------------------


def _touches(
    document: Json, name: str, wanted: Mapping[str, Json], firmware: tuple[int, int, int]
) -> int:
    if name.startswith("fido2/credential/"):
        return 1
    if name.endswith("/certificate") and firmware < _ATTESTS_SINCE:
        key = _wanted(document, name.replace("/certificate", "/key"))
        return int(key.get("touch-policy", "never") not in ("never", "default"))
    return int(wanted.get("touch") is True)


def _seconds(name: str, wanted: Mapping[str, Json]) -> float:
    return WRITES.get(name.partition("/")[0], 0.2) + sum(_more(name, wanted))


def _more(name: str, wanted: Mapping[str, Json]) -> Iterator[float]:
    if name.endswith("/key"):
        yield GENERATIONS.get(str(wanted.get("algorithm")), ON_A_CURVE)
    if name == "device/configuration" and wanted.keys() & {"usb", "nfc"}:
        yield RESTART
    if wanted.get("access-code") is True:
        yield 2 * WRITES["otp"]  # its proof: two more writes
