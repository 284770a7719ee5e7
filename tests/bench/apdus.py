"""Commands that a token gets for each ready profile, against the least that could be.

Measured on a virtual token in this process, through the product's own way from an order to its
entry; deterministic, so there is nothing to repeat. A command here is a whole exchange: parts of a
chained command and GET RESPONSE belong to what they continue, as their number follows from sizes
and they would only flatter the ratio.

The least is, for a token that must not be overwritten by surprise:

- one SELECT of each application that is looked at or written;
- one look at each place that must be seen before the first write (`looks`: the distinct reads of
  the dry run, which writes nothing);
- one authentication for each application that is written (`AUTHENTICATIONS`);
- for each step its one write and its one read-back (`STEPS`, by the step's id). A proof that takes
  commands is a read-back: an access code is refused and accepted, a management key authenticates,
  a credential asserts. The maker's commands set some things one by one (an OpenPGP key's
  fingerprint, time and touch policy): each is a write.

The target of the ratio is 1.25 for each profile.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.figures import Figure
from tests.in_process import Desk
from tokenprov.profile import load_profile, ready_folders
from tokenprov.profile.load import find_profile

MODEL, FIPS_MODEL = "yubikey-5.7.4", "yubikey-5.7.4-fips"
AT_MOST = 1.25
SELECT, GET_RESPONSE, OATH_MORE, CHAINED = 0xA4, 0xC0, 0xA5, 0x10

# Commands that authenticate once, by application. CTAP: getKeyAgreement and the PIN's token.
AUTHENTICATIONS = {"piv": 3, "fido2": 2, "openpgp": 2}  # PIV: PIN, and two for the key

# Writes and read-backs of a step, by its id; the first expression that fits counts.
STEPS: Sequence[tuple[str, int, int]] = (
    (r"secure-channel/.*", 1, 1),
    (r"device/configuration|device/nfc-restricted", 2, 3),  # SELECT, write; SELECT, two pages
    (r"device/lock-code", 2, 3),
    (r"fips/approved", 0, 3),
    (r"piv/tries", 1, 2),  # tries of PIN and PUK
    (r"piv/(pin|puk)", 1, 1),
    (r"piv/management-key", 1, 2),  # by authenticating
    (r"piv/\w\w/key", 1, 2),  # metadata and attestation
    (r"piv/.*", 1, 1),
    (r"otp/.*", 1, 0),  # the answer to a write is the status
    (r"fido2/pin", 2, 2),  # setPIN after getKeyAgreement; getInfo, and a token by the PIN
    (r"fido2/credential/.*", 1, 3),  # the touch took the token's rights: another one to assert
    (r"fido2/.*", 1, 1),  # getInfo
    (r"oath/.*", 1, 1),
    (r"openpgp/(sig|dec|aut)/key", 4, 3),  # key, fingerprint, time, touch; state, attestation
    (r"openpgp/tries", 1, 1),
    (r"openpgp/.*", 1, 1),
    (r"hsmauth/.*", 1, 2),
)
ACCESS_CODE_PROOF, HMAC_PROOF = 2, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """One profile on one token."""

    commands: Sequence[bytes]
    looks: int
    entry: Mapping[str, Any]

    @property
    def used(self) -> int:
        """What the token got."""
        return len(self.commands)

    @property
    def least(self) -> int:
        """What it had to get."""
        done = [step for step in self.entry["steps"] if step["state"] == "match"]
        applications = {step["id"].partition("/")[0] for step in done}
        return (
            len({apdu for apdu in self.commands if apdu[1] == SELECT})
            + self.looks
            + sum(AUTHENTICATIONS.get(name, 0) for name in applications)
            + sum(_of_step(step) for step in done)
        )

    @property
    def ratio(self) -> float:
        """How many times the least."""
        return self.used / self.least


def _of_step(step: Mapping[str, Any]) -> int:
    name, facts = step["id"], step["facts"]
    writes, reads = next((w, r) for expression, w, r in STEPS if re.fullmatch(expression, name))
    proof = ACCESS_CODE_PROOF if facts.get("accessCode") == "proved" else 0
    return writes + reads + proof + (HMAC_PROOF if facts.get("kind") == "hmac-sha1" else 0)


def whole(commands: Sequence[bytes]) -> list[bytes]:
    """Without what continues another command."""
    found, chained = [], False
    for apdu in commands:
        continues = chained or apdu[1] in (GET_RESPONSE, OATH_MORE)
        chained = bool(apdu[0] & CHAINED) and apdu[1] != SELECT
        if not continues:
            found.append(apdu)
    return found


def count(name: str, folder: Path) -> Counted:
    """Take a fresh token through a ready profile, after a dry run that tells the looks."""
    text = find_profile(name, ready_folders()).read_text(encoding="utf-8")
    text = re.sub(r"^name = .*$", "", text, count=1, flags=re.MULTILINE)
    fips = load_profile(name).fips is not None
    desk = Desk(folder, FIPS_MODEL if fips else MODEL)
    roster = (
        "id,name,email,upn,sid,last_day\n"
        "E1,Ada Example,ada@example.test,ada@corp.example.test,S-1-5-21-1-2-3-1105,2099-12-31\n"
    )
    desk.plan(text, roster=roster)
    looks = {apdu for apdu in whole(desk.commands) if apdu[1] != SELECT}
    entry = desk.run(text, roster=roster)
    return Counted(commands=whole(desk.commands), looks=len(looks), entry=entry)


def names() -> Iterator[str]:
    """The ready profiles."""
    for folder in ready_folders():
        yield from sorted(path.stem for path in folder.glob("*.toml"))


def measure(folder: Path) -> dict[str, Figure]:
    """Each profile's commands and their ratio to the least."""
    figures = {}
    for name in names():
        counted = count(name, folder / name)
        figures[f"commands.{name}"] = Figure(value=counted.used, unit="commands")
        figures[f"commands.{name}.ratio"] = Figure(
            value=counted.ratio, unit="times", at_most=AT_MOST
        )
    return figures


if __name__ == "__main__":
    shown = count(sys.argv[1], Path(sys.argv[2]))
    for command in shown.commands:
        print(command[:8].hex(" "))
    print(f"{shown.used} commands, {shown.least} are the least, {shown.looks} of them looks")
