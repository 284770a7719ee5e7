"""A station with work of all kinds in hand, and one command in it: recorded, cut off, run again.

What a command makes for people lies in `out` of the home here, so that it is recorded, too: there
it is whole, or as it was, or not there, and in the end nothing is left beside it.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.crash.program import Run
from tests.crash.station import NAMES, PROFILE, Station
from tests.faults.power import CUT_OFF, Log, contents
from tests.issued import openssl
from tests.people import added, approved
from tests.stations import Station as Told
from tests.time_authority import Authority
from tests.token_under_test import Ins
from tokenprov import home
from tokenprov.attestation.anchors import certificates_in, fingerprint
from tokenprov.record.manifest import Manifest, verify_manifest
from tokenprov.sim.attestation import ROOTS_FOLDER
from tokenprov.sim.faults import FaultKind

WAITING, FAILED = 42_000_001, 42_000_002  # tokens of orders that are not issued
WHY = ("--reason", "a test", "--operator", "olga")
ASK = "approve request "
RULES = """
name = "agreed"
description = "little is done alone"
[separation]
acts = { people = 1, export = 1, set-aside = 1, split = 1 }
[waivers]
days = 30
[two-authenticators]
[recovery-codes]
codes = 1
"""
OFFLINE = """
name = "offline"
[[piv.keys]]
slot = "9a"
algorithm = "eccp256"
[piv.keys.certificate]
issuer = "file:vault"
usages = ["client-auth"]
"""
ROOT = "req -x509 -newkey rsa:2048 -nodes -days 9 -keyout root.key -out root.pem -subj /CN=Vault"
SIGN = "x509 -req -CA root.pem -CAkey root.key -copy_extensions copyall -days 9 -out answer.pem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """A command, and the kind of its entry if it has one.

    `makes` are files in the home that are there at the end. `again`: what it may say when it is run
    once more and was done; `given_up`: even where the files are not there then, since somebody may
    have seen what they were to hold. `twice`: it does it once more, which harms nobody.
    `cut_off` is what may be found in the manifest while it is at it. `harmless` is how files
    begin that may be left, and hold nothing that is not public. `shows` is a command, and what it
    says in the end. `ahead`: the clock was ahead when the last entry was made.
    """

    command: Sequence[str]
    kind: str = ""
    makes: Sequence[str] = ()
    before: Sequence[Sequence[str]] = ()  # commands
    agreed: bool = False
    again: Sequence[str] = ()
    given_up: bool = False
    twice: bool = False
    cut_off: frozenset[str] = frozenset(CUT_OFF)
    harmless: str = ""
    shows: tuple[Sequence[str], str] = ((), "")
    ahead: bool = False


class Desk:
    """The station, with its home as it was before each command."""

    def __init__(self, made: Station, log: Log, time: Authority) -> None:
        self.made, self.home, self.folder = made, made.home, made.folder
        self._desk = Told(home=made.home)
        made.fresh()
        issued = made.issue()
        assert issued.status == 0, issued.said
        self._words = {"home": str(log.there / "station"), "folder": str(self.folder)}
        self._words |= {"tsa": time.url, "tsa_root": str(time.root)}
        self._words["issued"] = self._batch()
        self._wait()
        self._fail()
        self._trust()
        self._people()
        (self.home / "out").mkdir()
        self._words["size"] = str(verify_manifest(self.home / "manifest").size)
        self.keep()

    def run(self, command: Sequence[str]) -> Run:
        """A command in the home."""
        words = [word.format(**self._words) for word in command]
        return self.made.run("--home", self._words["home"], *words)

    def fresh(self) -> None:
        """Everything as it was before."""
        shutil.rmtree(self.home)
        shutil.copytree(self.folder / "before", self.home)

    def keep(self) -> None:
        """As it is now is how it was before, from now on."""
        shutil.rmtree(self.folder / "before", ignore_errors=True)
        shutil.copytree(self.home, self.folder / "before")

    def named(self, path: str) -> Path:
        """A file in the home."""
        return self.home / path.format(**self._words)

    def entries(self, kind: str) -> int:
        """How many there are."""
        log = Manifest.open(self.home / "manifest")
        kinds = [str(entry["kind"]) for entry in log.entries()]
        log.close()
        return kinds.count(kind)

    def ahead(self) -> None:
        """Record something by a clock that is a year ahead."""

        class Clock(datetime):
            """The time of day, and so much more."""

            @classmethod
            def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # no subclass is given back
                return datetime.now(tz) + timedelta(days=365)

        (self.folder / "packing.txt").write_text("1001\n")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(home, "datetime", Clock)
            said = self._desk.tell("stock", "import", self.folder / "packing.txt")
        assert said.code == 0, said.err

    def approval(self, command: Sequence[str]) -> tuple[str, str]:
        """Have others agree to what it is refused for; gives the option for it."""
        name = f"agreed-{len(list(self.folder.glob('*.request')))}"
        refused = self.run(command).stderr
        asked = shlex.split(refused.split(ASK)[1].split(";")[0])
        return "--approval", str(approved(self._desk, self._rita, self._pavel, *asked, name=name))

    def _batch(self) -> str:
        return str(self.made.rows("SELECT id FROM batches ORDER BY created DESC, id")[0]["id"])

    def _begin(self, token: int, holder: str, profile: str) -> str:
        """Begin an order with a token that does not come to its end; gives the batch."""
        roster = self.folder / f"{holder}.csv"
        roster.write_text(f"id,name,email,upn\n{holder},{NAMES[1]},b@example.test,b@example.test\n")
        self.made.control.set_touch(token, "auto")
        command = ("batch", "run", str(roster), "--profile", profile, "--wait", "0", *WHY[2:])
        left = self.run(command)
        assert left.status == 8, left.said
        (batch,) = self.made.rows("SELECT batch FROM orders WHERE token_label = ?", str(token))
        return str(batch["batch"])

    def _wait(self) -> None:
        """A token waits for a certificate, which is brought."""
        openssl(*ROOT.split(), folder=self.folder)
        (self.folder / "offline.toml").write_text(OFFLINE)
        (self.home / "issuers").mkdir(exist_ok=True)
        settings = f'uri = "file:vault"\nabove = "{self.folder}/root.pem"\n'
        (self.home / "issuers" / "vault.toml").write_text(settings)
        self.made.control.replace(0, serial=WAITING)
        self._begin(WAITING, "e2", str(self.folder / "offline.toml"))
        out = self.folder / "requests"
        assert self._desk.tell("issuer", "export-requests", out).code == 0
        (request,) = out.glob("*.csr")
        openssl(*SIGN.split(), "-in", str(request), folder=self.folder)

    def _fail(self) -> None:
        """A token is no good."""
        self.made.control.replace(0, serial=FAILED)
        self.made.control.fault(FAILED, FaultKind.MEMORY_FULL, ins=Ins.GENERATE)
        self._words["failed"] = self._begin(FAILED, "e3", PROFILE)

    def _trust(self) -> None:
        """Two roots that could be trusted."""
        folder = Path(self.made.bench.environment[ROOTS_FOLDER])
        pem = b"".join((folder / name).read_bytes() for name in ("root.pem", "chain.pem"))
        roots = certificates_in(pem, where="roots.pem")[:2]
        pem = b"".join(one.public_bytes(Encoding.PEM) for one in roots)
        (self.folder / "roots.pem").write_bytes(pem)
        first, second = map(fingerprint, roots)
        self._words |= {"first": first, "second": second}

    def _people(self) -> None:
        """Somebody who requests, one who agrees, one who goes; and rules that ask for them."""
        split = ("escrow", "split", *WHY, "--shares", "3", "--threshold", "2")
        key = self.home / "custodians" / "private" / "help-desk.pem"
        shares = ("--key", key, "--out", self.folder / "shares")
        assert self._desk.tell(*split, *shares).code == 0
        self._rita = added(self._desk, "rita", "requester")
        self._pavel = added(self._desk, "pavel", "approver")
        added(self._desk, "walter", "witness")
        rules = self.folder / "rules.toml"
        rules.write_text(RULES)
        assert self._desk.tell("policy", "use", rules, *WHY).code == 0
        until = datetime.now(UTC).date() + timedelta(days=9)
        vkey = (self.home / "manifest" / "manifest.vkey").read_text().strip()
        (issued,) = self._desk.tell("ca", "list", "--json").document
        self._words["certificate"] = issued["serial"]
        self._words |= {"until": str(until), "vkey": vkey}


class Trial:
    """One command in a fresh home: recorded; then its states are judged, and gone on from."""

    def __init__(self, desk: Desk, log: Log, deed: Deed) -> None:
        self._desk, self._deed = desk, deed
        desk.fresh()
        for command in deed.before:
            said = desk.run(command)
            assert said.status == 0, said.said
        if deed.ahead:
            desk.ahead()
        agreed = desk.approval(deed.command) if deed.agreed else ()
        self._command = (*deed.command, *agreed)
        self._before, self._entries = contents(desk.home), desk.entries(deed.kind)
        self.recorded = log.record(desk.made, {}, lambda: desk.run(self._command))
        self._made = desk.entries(deed.kind) - self._entries
        assert bool(self._made) is bool(deed.kind)

    def breaches(self, *, told: bool) -> Iterator[str]:
        """What is wrong with the home as it lies there; `told`: the command had ended well."""
        report = verify_manifest(self._desk.home / "manifest")
        but = CUT_OFF if told else self._deed.cut_off
        yield from (f"manifest: {one}" for one in report.findings if one.rule not in but)
        wanted = self.recorded.left
        for name, data in contents(self._desk.home).items():
            if self._is_for_people(name) and data not in (self._before.get(name), wanted.get(name)):
                yield f"{name} is torn: {data!r}"
        if told:
            yield from self._lacking()
            if self._count() != self._made:
                yield f"it was told as done, and {self._count()} entries say so"

    def gone_on(self) -> Iterator[str]:
        """Run it again: what is wrong at the end."""
        desk, deed = self._desk, self._deed
        run = desk.run(self._command)
        said = run.status != 0 and any(words in run.stderr for words in deed.again)
        if run.status != 0 and not said:
            yield f"the same command again: {run.said}"
        if not (said and deed.given_up):
            yield from self._lacking()
        if self._count() not in (self._made, self._made * (1 + deed.twice)):
            yield f"{self._count()} entries {deed.kind} were made"
        show, shown = deed.shows
        if show and shown not in (found := desk.run(show)).stdout:
            yield f"it does not show {shown}: {found.said}"
        but = CUT_OFF if said else ()  # it was refused before it would have appended
        findings = verify_manifest(desk.home / "manifest").findings
        yield from (f"manifest: {one}" for one in findings if one.rule not in but)
        left = contents(desk.home).keys() - self._before.keys() - self.recorded.left.keys()
        for name in sorted(left):
            if deed.harmless and name.startswith(deed.harmless):
                continue
            if self._is_for_people(name) or "/." in f"/{name}":
                yield f"{name} is left"

    @staticmethod
    def _is_for_people(name: str) -> bool:
        return name.startswith("out/") and "/." not in name

    def _lacking(self) -> Iterator[str]:
        for path in map(self._desk.named, self._deed.makes):
            if not path.exists():
                yield f"{path.name} is not there"

    def _count(self) -> int:
        return self._desk.entries(self._deed.kind) - self._entries
