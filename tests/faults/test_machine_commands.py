"""The machine is switched off in commands that are no batch run: keys, stock, tokens, the end.

Each is recorded once, one after another in one home, and put together as in `test_machine`, at
moments and in ways spread over it. Then the same command again: what it is for has happened, once
or, where a second time is harmless, twice; and the manifest holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.crash.held import held, not_openable
from tests.crash.judgement import State
from tests.crash.on_disk import Sealed
from tests.crash.station import Station, station
from tests.crash.test_kill_lifecycle import ISSUED, batch, settled
from tests.faults.power import CUT_OFF, MARKED, WAYS, Everything, Log, Moment, moments
from tests.stations import tell
from tokenprov.errors import EscrowError
from tokenprov.model import Purpose
from tokenprov.record.escrow import load_private, open_envelope
from tokenprov.record.manifest import Manifest, verify_manifest

NEW = 42_000_001  # the token in another's place
JUDGED = 16  # moments of each command, at the most; each in all ways
GONE_ON = 5  # of these, from which the command is run again
WHY = ("--operator", "tester", "--reason")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """A command, and the kind of entry that says what it did, so many of them.

    `cut_off` is what may be found in the manifest while it is at it. `again` is what it may say
    when it is run again and all was done before. `twice`: it may then do the same once more.
    `tokens`: it tells a token something.
    """

    arguments: Callable[[Station], Sequence[str]]
    kind: str
    entries: Callable[[Station], int] = lambda made: 1
    cut_off: frozenset[str] = frozenset(CUT_OFF)
    again: str = ""
    twice: bool = False
    tokens: bool = False


def key_of(made: Station, purpose: str) -> str:
    """The file with a custodian's private key."""
    return str(made.home / "custodians" / "private" / f"{purpose}.pem")


def old(made: Station) -> str:
    """The token that was issued by the batch."""
    return str(made.rows("SELECT token_label FROM orders ORDER BY changed")[0]["token_label"])


DEEDS: Mapping[str, Deed] = {
    "stock import": Deed(
        arguments=lambda made: ("stock", "import", str(made.folder / "packing.txt"), *WHY[:2]),
        kind="received",
        entries=lambda made: 3,
    ),
    "rotate": Deed(
        arguments=lambda made: (
            *("rotate", str(made.serial), *WHY, "a test"),
            *("--key", key_of(made, "break-glass")),
        ),
        kind="rotated",
        twice=True,
        tokens=True,
    ),
    "renew": Deed(
        arguments=lambda made: (
            *("renew", str(made.serial), "--within", "4000", *WHY, "a test"),
            *("--key", key_of(made, "token-administration")),
        ),
        kind="rotated",
        twice=True,
        tokens=True,
    ),
    "replace": Deed(
        arguments=lambda made: (*("replace", old(made), *WHY, "damaged", "--wait", "0"),),
        kind="replaced",
        again="was replaced by entry",
        tokens=True,
    ),
    "batch close": Deed(
        arguments=lambda made: ("batch", "close", batch(made), *WHY, "the end"),
        kind="batch-closed",
        again="was closed by entry",
    ),
    "manifest rotate-key": Deed(
        arguments=lambda made: ("manifest", "rotate-key", *WHY, "a test"),
        kind="key-rotated",
        cut_off=frozenset({*CUT_OFF, "verifier-key", "stray"}),  # the name of the key comes last
        twice=True,
    ),
    "escrow reseal": Deed(
        arguments=lambda made: (
            *("escrow", "reseal", "--from-key", key_of(made, "help-desk")),
            *("--to", f"help-desk={made.folder / 'new.pem'}", *WHY, "a test"),
        ),
        kind="resealed",
        entries=lambda made: len(made.rows("SELECT DISTINCT token_label FROM envelopes")),
    ),
}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Log:
    """Where calls to the disk are written down."""
    return Log(tmp_path_factory.mktemp("commands"))


@pytest.fixture(scope="module")
def made(log: Log) -> Iterator[Station]:
    """A station whose one token is somebody's."""
    with station(log.there, within=log.within) as found:
        found.fresh()
        run = found.issue()
        assert run.status == 0, run.said
        (found.folder / "packing.txt").write_text(f"{NEW}\n1001\n1002\n")
        new = (found.folder / "new.key", "--public", found.folder / "new.pem")
        assert tell("escrow", "new-key", *new).code == 0
        yield found


def count(found: Station, kind: str) -> int:
    """How many entries of a kind there are."""
    entries = Manifest.open(found.home / "manifest").entries()
    return sum(entry["kind"] == kind for entry in entries)


def sealed(found: Station, token: int) -> Iterator[Sealed]:
    """What custodians have of a token, by their old keys or new ones. Raises EscrowError."""
    for row in found.rows(
        "SELECT blob, purpose, state FROM envelopes WHERE token_label = ? AND purpose != 'station'",
        str(token),
    ):
        key = found.key_of(row["purpose"])
        if row["purpose"] == Purpose.HELP_DESK and not opens(key, row["blob"]):
            key = load_private(found.folder / "new.key")
        context, secret = open_envelope(row["blob"], key)
        yield Sealed(context=context, state=row["state"], value=secret.reveal())


def opens(key: ec.EllipticCurvePrivateKey, blob: bytes) -> bool:
    """Whether an envelope opens with that key."""
    try:
        open_envelope(blob, key)
    except EscrowError:
        return False
    return True


class Trial:
    """One command in one home: recorded, cut off, judged, and run again."""

    def __init__(self, found: Station, home: str, log: Log, deed: Deed) -> None:
        self._made, self._deed = found, deed
        self._command = ("--home", home, *deed.arguments(found))
        self._before, self._wanted = count(found, deed.kind), deed.entries(found)
        tokens = {serial: found.control.snapshot(serial) for serial in found.serials}
        self._known = {serial: tokens[serial] if serial == NEW else ISSUED for serial in tokens}
        self.recorded = log.record(found, tokens, lambda: found.run(*self._command, world=MARKED))

    def breaches(self, moment: Moment, *, told: bool) -> Iterator[str]:
        """What is wrong with the home as it lies there; `told`: the command had ended well."""
        for token, state in moment.tokens.items():
            for what in not_openable(held(state, self._known[token]), sealed(self._made, token)):
                yield f"token {token} holds {what}, which is lost"
        report = verify_manifest(self._made.home / "manifest")
        but = CUT_OFF if told else self._deed.cut_off
        yield from (f"manifest: {one}" for one in report.findings if one.rule not in but)
        if told and self._entries() != self._wanted:
            yield f"it was told as done, and {self._entries()} entries say so"

    def gone_on(self, tokens: Mapping[int, State]) -> Iterator[str]:
        """Run it again, with the tokens as they were then: what is wrong at the end."""
        made, deed = self._made, self._deed
        self.put_back(tokens)
        run = made.run(*self._command)
        if run.status != 0:
            if not deed.again or deed.again not in run.stderr:
                yield f"the same command again: {run.said}"
            made.run(*self._command[:2], "batch", "retry", batch(made))  # it catches up
        if self._entries() not in (self._wanted, self._wanted * (1 + deed.twice)):
            yield f"{self._entries()} entries {deed.kind} were made"
        report = verify_manifest(made.home / "manifest")
        yield from (f"manifest: {one}" for one in report.findings)
        if deed.tokens:
            yield from settled(made, made.serial)

    def put_back(self, tokens: Mapping[int, State]) -> None:
        """The tokens, as they were at some moment."""
        for place, (token, state) in enumerate(tokens.items()):
            self._made.control.replace(place, serial=token)
            self._made.control.restore(token, state)

    def _entries(self) -> int:
        return count(self._made, self._deed.kind) - self._before


@pytest.mark.parametrize("name", DEEDS)
def test_switched_off(
    made: Station, log: Log, name: str, record_property: pytest.RecordProperty
) -> None:
    """Nothing is lost, what was told is there, and the same command finishes it."""
    if name == "replace":
        made.control.replace(0, serial=NEW)
    trial = Trial(made, str(log.there / "station"), log, DEEDS[name])
    total = sum(1 for _ in moments(trial.recorded))
    judged, tried, found = 0, 0, list[str]()
    for turn, (number, machine, moment) in enumerate(moments(trial.recorded)):
        last = turn == total - 1
        if turn % (total // JUDGED + 1) and not last:
            continue
        for way in WAYS:
            machine.left(made.home, WAYS[way](number))
            judged += 1
            wrong = trial.breaches(moment, told=last)
            found += [f"{number} of {total}, {way}: {one}" for one in wrong]
        if judged // len(WAYS) % (JUDGED // GONE_ON) == 0 or last:
            way = list(WAYS)[tried % len(WAYS)]
            machine.left(made.home, WAYS[way](number))
            tried += 1
            wrong = trial.gone_on(moment.tokens)
            found += [f"{number} of {total}, {way}, gone on: {one}" for one in wrong]
        if last:  # the next command begins where this one ended
            machine.left(made.home, Everything())
            trial.put_back(moment.tokens)
    record_property(
        "faults",
        [f"power cut in {name}: {judged} states of {total} moments judged, {tried} gone on from"],
    )
    assert judged >= total or judged > JUDGED
    assert tried > 2
    assert not found, "\n".join(found)
