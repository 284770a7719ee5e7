"""A virtual token in this process, and the OTP part of a profile made so on it.

What is real: the profile language, the steps, the loop, the driver and the maker's library. The
journal is in memory; a cut is an exception at a command, before or after the token carries it out.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

from yubikit.core import TRANSPORT
from yubikit.core.smartcard import SmartCardConnection
from yubikit.yubiotp import YubiOtpSession

from tests.promised import promises
from tokenprov.device.pcsc import PcscConnection
from tokenprov.device.token import YubiKey
from tokenprov.errors import TokenGone
from tokenprov.inventory.otp import otp_inventory
from tokenprov.model import Holder, Order
from tokenprov.profile import check_firmware, parse_profile
from tokenprov.run import Outcome, conflicts, look, provision, refuse_used
from tokenprov.sim.applets.otp import OtpApplet
from tokenprov.sim.applets.otp_frame import SlotConfig
from tokenprov.sim.assembly import make_token
from tokenprov.sim.models import MODELS, Model
from tokenprov.step import Finding, Intent, Step
from tokenprov.steps.otp import otp_steps

MODEL_NAMES = (
    *("yubikey-5.7.4", "yubikey-5.7.4-fips", "yubikey-5.4.3", "yubikey-5.2.7", "yubikey-4.3.7"),
)
HOLDER = Holder(
    id="E1", name="Ada Example", email="ada@example.test", extra={"public_id": "vvcdcdcdcdcd"}
)
INS_OTP = 0x01
_SERIALS = itertools.count(32_000_001)


class Contact(SmartCardConnection):
    """The library's connection to a virtual token; hears what is written, and can be cut.

    `spoil` may change a command on its way, as a broken token would take it.
    """

    transport = TRANSPORT.USB
    reader = "in this process"
    watch = None  # nobody counts its time

    def __init__(self, model: str | Model = MODEL_NAMES[0]) -> None:
        self.model = MODELS[model] if isinstance(model, str) else model
        self.serial = next(_SERIALS)
        self.token = make_token(self.model, self.serial)
        self.token.plug()
        self.otp_writes: list[int] = []  # P1 of each command that may write
        self.commands = 0
        self.cut_at: tuple[int, bool] | None = None  # the command's number; whether it arrives
        self.spoil: Callable[[bytes], bytes] = lambda apdu: apdu

    def send_and_receive(self, apdu: bytes) -> tuple[bytes, int]:
        """One exchange, or the token is gone."""
        self.commands += 1
        if self.cut_at == (self.commands, False):
            raise TokenGone("cut before", remedy="")
        if apdu[1] == INS_OTP and apdu[2] < 0x10:
            self.otp_writes.append(apdu[2])
        answer = self.token.transmit(self.spoil(bytes(apdu)))
        if self.cut_at == (self.commands, True):
            raise TokenGone("cut after", remedy="")
        return answer[:-2], int.from_bytes(answer[-2:])

    def close(self) -> None:
        """Nothing to do."""

    @property
    def applet(self) -> OtpApplet:
        """The simulator's applet."""
        found = self.token.applet("otp")
        assert isinstance(found, OtpApplet)
        return found

    def session(self) -> YubiOtpSession:
        """A new session of the maker's library."""
        return YubiOtpSession(self)

    def slot(self, number: int) -> SlotConfig | None:
        """What a slot holds, as the simulator keeps it."""
        frame = self.applet.dump()["slots"][number - 1]
        return SlotConfig.parse(bytes.fromhex(frame)) if frame else None

    def replug(self) -> None:
        """Power it off and on."""
        self.token.pull()
        self.token.plug()


class Robot:
    """An operator who touches at once; counts how often that was asked."""

    def __init__(self) -> None:
        self.touches = 0

    def touch(self, reader: str, label: str, reason: str) -> AbstractContextManager[None]:
        """A touch is wanted."""
        self.touches += 1
        return nullcontext()


class Journal:
    """Implements `run.Journal` in memory: what was promised survives a cut."""

    def __init__(self) -> None:
        self.promised: dict[str, Intent] = {}

    def intents(self) -> Mapping[str, Intent]:
        """What was promised."""
        return dict(self.promised)

    def promise(
        self, *, ahead: Sequence[Step] = (), due: Sequence[Step] = ()
    ) -> Mapping[str, Intent]:
        """Draw and keep it."""
        assert not self.promised.keys() & {step.id for step in (*ahead, *due)}, "drawn twice"
        made = promises(ahead, due)
        self.promised |= made
        return made

    @property
    def secrets(self) -> dict[str, bytes]:
        """Every secret by its name."""
        return {
            name: drawn.value.reveal()
            for intent in self.promised.values()
            for name, drawn in intent.drawn.items()
        }


class _Quiet:
    def step_started(self, step: Step, number: int, total: int) -> None:
        """Nobody looks."""


@dataclasses.dataclass(slots=True, kw_only=True)
class Work:
    """One order on one token; `run` again goes on with it."""

    contact: Contact
    section: str  # TOML of [otp] and its tables
    journal: Journal = dataclasses.field(default_factory=Journal)
    robot: Robot = dataclasses.field(default_factory=Robot)

    def steps(self) -> tuple[Step, ...]:
        """The steps of the profile. Raises `ProfileError` where the firmware has not all."""
        profile = parse_profile(f'name = "otp"\n{self.section}'.encode(), "otp.toml")
        check_firmware(profile, self.contact.model.version, fips=self.contact.model.fips)
        assert profile.otp is not None
        order = Order(
            id="b-0001",
            batch="b",
            holder=HOLDER,
            position=0,
            profile=profile.name,
            profile_digest=profile.digest,
        )
        return tuple(otp_steps(profile.otp, order))

    def token(self) -> YubiKey:
        """The token, as a run begins with it."""
        return YubiKey(cast(PcscConnection, self.contact), cast(Any, self.robot))

    def run(self) -> dict[str, Outcome]:
        """Make it so; the outcomes by step."""
        token, steps = self.token(), self.steps()

        def begin() -> Mapping[str, Finding]:
            used: list[str] = []
            otp_inventory(token, used)
            refuse_used(token, used)
            findings = look(token, steps)
            refuse_used(token, conflicts(findings))
            return findings

        outcomes = provision(
            token,
            steps,
            self.journal,
            progress=_Quiet(),
            begin=begin,
        )
        return {outcome.step.id: outcome for outcome in outcomes}
