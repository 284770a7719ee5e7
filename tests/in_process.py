"""A virtual token and a station home in this process: a run costs the product's own time alone.

`Desk.run` takes the token through a profile as `batch run` does for each token, on a connection of
its own, and can be cut off before or after any command that the token gets.
"""

from __future__ import annotations

import contextlib
import copy
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from yubikit.core import TRANSPORT
from yubikit.core.smartcard import SmartCardConnection

from tokenprov.batch import BatchWork
from tokenprov.device.pcsc import PcscConnection
from tokenprov.device.token import AnyToken, YubiKey, recognised
from tokenprov.home import Home, create_home
from tokenprov.model import Purpose
from tokenprov.ordering import new_batch
from tokenprov.plan import Plan, plan_token, steps_on
from tokenprov.profile import parse_profile
from tokenprov.record.escrow import load_private, open_envelope
from tokenprov.record.files import write_durable
from tokenprov.roster import parse_roster
from tokenprov.sim.assembly import make_token
from tokenprov.sim.attestation import bench_roots
from tokenprov.sim.presence import TouchPolicy
from tokenprov.sim.token import VirtualToken

READER = "a reader in this process"
SERIAL = 28557046
HEADER = "id,name,email,upn,sid\n"
ADA = "E1,Ada Example,ada@example.test,ada@corp.example.test,S-1-5-21-1-2-3-1105\n"

SELECT = 0xA4  # ISO/IEC 7816-4, 11.2.2
PIV_AID = bytes.fromhex("a000000308")
PIV_WRITES = {0x24, 0x2C, 0x47, 0xDB, 0xF6, 0xFA, 0xFB, 0xFE, 0xFF}  # SP 800-73-4 and the maker's


class Cut(BaseException):
    """The power fails: nothing catches it."""


class Line(SmartCardConnection):
    """A connection to a virtual token, that hears the commands and may fail at one of them.

    `cut` is the number of the command at which it fails, counted from 0, and whether the token
    still carries that one out.
    """

    reader = READER
    watch = None  # nobody counts its time

    @property
    def atr(self) -> bytes:
        """The token's."""
        return self._token.atr

    @property
    def t0(self) -> bool:
        """Whether the token speaks T=0."""
        return self._token.model.t0

    def __init__(self, token: VirtualToken, cut: tuple[int, bool] | None = None) -> None:
        token.reset()
        self._token, self._cut = token, cut
        self.commands: list[bytes] = []

    @property
    def transport(self) -> TRANSPORT:
        """As if on USB."""
        return TRANSPORT.USB

    def send_and_receive(self, apdu: bytes) -> tuple[bytes, int]:
        """One exchange."""
        number = len(self.commands)
        self.commands.append(bytes(apdu))
        if self._cut == (number, False):
            raise Cut
        answer = self._token.transmit(bytes(apdu))
        if self._cut == (number, True):
            raise Cut
        return answer[:-2], int.from_bytes(answer[-2:])

    def close(self) -> None:
        """Nothing to do."""


@dataclass
class Finger:
    """An operator who touches what waits, and remembers for what."""

    asked: list[str] = field(default_factory=list)

    @contextlib.contextmanager
    def touch(self, reader: str, label: str, reason: str) -> Iterator[None]:
        """Note it."""
        self.asked.append(reason)
        yield

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the operator is asked for {name}")


class Desk:
    """A station home, and a factory-fresh token of a model."""

    def __init__(self, folder: Path, model: str, *, serial: int = SERIAL) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        trust = []
        for name, pem in (("root", bench_roots().root_pem), ("chain", bench_roots().chain_pem)):
            trust.append(folder / f"{name}.pem")
            write_durable(trust[-1], pem)
        self._home, self._fresh = folder / "station", folder / "fresh"
        create_home(self._fresh, name="desk", operator="tester", custodians={}, trust=trust)
        shutil.copytree(self._fresh, self._home)
        self._begin(model, serial)

    def _begin(self, model: str, serial: int) -> None:
        self._model, self._serial = model, serial
        self.token = make_token(model, serial, touch=TouchPolicy(patience=0.01))
        self.finger = Finger()
        self.commands: list[bytes] = []  # of the last run

    def anew(self, folder: Path) -> Desk:
        """The same station as it was made, in a folder of its own, and another fresh token."""
        made = copy.copy(self)
        made._home = folder / "station"
        shutil.copytree(self._fresh, made._home)
        made._begin(self._model, self._serial)
        return made

    @property
    def is_old(self) -> bool:
        """Whether its firmware has no metadata."""
        return self.token.model.version < (5, 3, 0)

    @property
    def home(self) -> Home:
        """The home, opened anew, as after a power failure."""
        return Home.open(self._home)

    def connect(self) -> SmartCardConnection:
        """A connection for other programs' libraries."""
        return Line(self.token)

    def yubikey(self, line: Line) -> YubiKey:
        """The product's view of the token."""
        return YubiKey(cast(PcscConnection, line), cast(Any, self.finger))

    def connected(self, line: Line) -> AnyToken:
        """The product's view of a token of any kind."""
        return recognised(cast(PcscConnection, line), cast(Any, self.finger))

    def run(
        self,
        profile: str,
        *,
        roster: str = HEADER + ADA,
        cut: tuple[int, bool] | None = None,
        issued: Callable[[int], None] = lambda entry: None,
    ) -> dict[str, Any]:
        """Take the token through a profile; gives its entry. `issued` is as in `BatchWork.make`."""
        home, line = self.home, Line(self.token, cut)
        parsed = parse_profile(f'name = "test"\n{profile}'.encode(), "test")
        rows = parse_roster(roster.encode(), "roster", today=datetime.now(UTC).date())
        self.finger.asked.clear()
        try:
            batch = new_batch(home, rows, parsed, kit_size=1, operator="tester")
            work = BatchWork(home, parsed, batch, operator="tester", listener=lambda event: None)
            token = self.connected(line)
            with work.order_for(token.id) as (order, _):
                index = work.make(token, order, issued)
            return dict(home.manifest.entry(index))
        finally:
            self.commands = line.commands
            home.ledger.close()

    def plan(self, profile: str, *, roster: str = HEADER + ADA) -> Plan:
        """What a profile would do to the token, before anything was promised to it."""
        home, line = self.home, Line(self.token)
        parsed = parse_profile(f'name = "test"\n{profile}'.encode(), "test")
        rows = parse_roster(roster.encode(), "roster", today=datetime.now(UTC).date())
        batch = new_batch(home, rows, parsed, kit_size=1, operator="tester")
        (record,) = home.ledger.orders(batch.id)
        try:
            token, day = self.connected(line), home.clock().date()
            return plan_token(token, steps_on(token, parsed, record.order, home, day=day))
        finally:
            self.commands = line.commands
            home.ledger.close()

    @property
    def piv_writes(self) -> list[str]:
        """The commands of the last run that write in the PIV application, without their data."""
        found, selected = [], False
        for apdu in self.commands:
            if apdu[1] == SELECT:
                selected = PIV_AID in apdu
            elif selected and apdu[1] in PIV_WRITES:
                found.append(apdu[:4].hex())
        return found

    def blob(self, digest: str) -> bytes:
        """A document of the manifest."""
        return self.home.manifest.blob(digest)

    def sealed(self, purpose: Purpose = Purpose.BREAK_GLASS) -> Mapping[str, bytes]:
        """Every secret by name, opened with a custodian's key from the ledger alone."""
        private = load_private(self._home / "custodians" / "private" / f"{purpose}.pem")
        home = self.home
        found = {}
        for envelope in home.ledger.envelopes(purpose=purpose):
            context, secret = open_envelope(envelope.blob, private)
            found[context.name] = secret.reveal()
        home.ledger.close()
        return found
