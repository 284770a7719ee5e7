"""A station home of the bench's own, the token under test, and whoever moves it.

Rules:
- The token is named to every command that may write; the home's stock has its serial alone, so
  that no other token is taken, whatever is plugged in.
- The home is kept between runs: what a run that was cut off has sealed is what empties the token in
  the next one.
- What is on the token is judged by programs from elsewhere (`run`), with secrets out of escrow.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from secrets import token_hex
from typing import Any, TypeVar

from fido2.ctap import CtapError
from fido2.ctap2.base import Ctap2
from fido2.ctap2.pin import ClientPin
from yubikit.core import CommandError
from yubikit.yubiotp import YubiOtpSession

from hwtests.connections import ctap2, otp
from hwtests.ears import Ears, well
from hwtests.errors import BenchError
from hwtests.judges import asked
from hwtests.operators import LONG, SHORT, Operator
from hwtests.place import Place
from hwtests.subject import Subject, keyboards
from tests.stations import HEADER, Said, Station, tell

YKMAN = str(Path(sys.executable).with_name("ykman"))  # the stock one of this environment
REASON = "hwtests"
WHO = "hwtests"
ASKED = 2  # times that a touch is asked for
# By application, a profile that any token with it takes: what it sets is not what a test is about.
NOTHING_MUCH = {
    "piv": "[piv]\n",
    "fido2": "[fido2]\n",
    "otp": '[otp.slot2]\nkind = "hmac-sha1"\n',
    "oath": "[oath]\npassword = {}\n",
}
ORDERS_LEFT, CLOSED = 8, 2  # exit codes of a run: it did not take the token; it is closed
LEFT = ("open", "working", "failed")  # orders of a batch that is not done
_T = TypeVar("_T")
_QUIET = ("wiped", None)  # kinds of a last entry after which the token is nobody's


class Bench:
    """What tests ask of the bench. Methods raise `BenchError` where it is not as it should be."""

    def __init__(
        self,
        subject: Subject,
        operator: Operator,
        home: Path,
        trust: Sequence[Path],
        patience: float,
    ) -> None:
        """`patience`: seconds that the operator has to take the token out or put it in."""
        self.subject, self.operator = subject, operator
        self.place = Place(subject.serial, operator, patience)
        self._trust, self._patience = trust, patience
        self.station, self.folder = Station(home=home), home.parent
        if not (home / "station.toml").exists():
            home.parent.mkdir(parents=True, exist_ok=True)
            well(tell("init", home, "--name", "bench", *(f"--trust={path}" for path in trust)))
        self._stuck: BenchError | None = None  # what its order, not finished since, failed of first
        if subject.serial is not None:
            self.stock(subject.serial)

    def beside(self, name: str, subject: Subject | None) -> Bench:
        """A token at another station, in a folder beside this one's."""
        assert subject is not None
        home = self.folder / name / self.station.home.name
        return Bench(subject, self.operator, home, self._trust, self._patience)

    def stock(self, serial: str) -> None:
        """The station may take this token."""
        file = self.folder / "stock.txt"
        file.write_text(f"{serial}\n")
        self.tell("stock", "import", file)

    @property
    def serial(self) -> str:
        """The token's. Only for tests whose condition is that it has one."""
        assert self.subject.serial is not None
        return self.subject.serial

    @property
    def label(self) -> str:
        """What the station calls it: its serial, or the mark that it has since it was issued."""
        mark: str = self.subject.serial or self.entry()["token"]["mark"]
        return mark

    @property
    def reader(self) -> str:
        """Where the token is now; without a serial it must be the only one there."""
        return self.place.reader

    @property
    def behind(self) -> Sequence[str]:
        """What leads commands that look at it to its module, if it is behind one."""
        return ("--module", self.subject.module) if self.subject.module else ()

    @property
    def keyboards(self) -> Sequence[Path]:
        """The event nodes of what it types."""
        return keyboards(self.serial)

    def ctap2(self) -> AbstractContextManager[Ctap2]:
        """The maker's own library on its authenticator."""
        return ctap2(self.subject, self.reader)

    def otp(self) -> AbstractContextManager[YubiOtpSession]:
        """The maker's own library on its OTP application."""
        return otp(self.reader)

    def tell(
        self,
        *command: str | Path,
        code: int | None = 0,
        hook: Callable[[dict[str, Any]], None] = lambda event: None,
    ) -> Said:
        """A command of tokenprov, with the operator doing what it asks for; None: any exit code.

        Where a touch was asked for in vain it is told again, once: it goes on where it was.
        """
        for _ in range(ASKED):
            ears = Ears(self.operator, self.place.token, self.place.reinsert, hook)
            said = self.station.tell(*command, listener=ears)
            ears.ended()
            if said.code in (0, code) or not ears.in_vain:
                break
        else:
            self.place.abandon(
                f"{self.place.token} was not touched, asked twice to {ears.asked[-1]}"
            )
        if code not in (None, said.code) and not self.subject.module and not self.place.is_there():
            self.place.abandon(f"{self.place.token} is gone{self.place.instead()}")
        return well(said, code)

    def touched(self, reason: str, deed: Callable[[], _T], seconds: int = SHORT) -> _T:
        """What a deed gives that waits for a touch. Raises `BenchError` where it fails twice."""
        for _ in range(ASKED):
            try:
                with self.operator.touching(self.place.token, reason, seconds):
                    return deed()
            except (BenchError, CommandError, CtapError, TimeoutError) as error:
                last = error
        raise BenchError(f"asked twice for a touch to {reason}, and yet: {last}") from last

    def document(self, *command: str | Path, code: int | None = 0) -> Any:
        """What a command says in JSON."""
        said = self.tell(*command, "--json", code=code)
        return (said if said.out else well(said)).document

    def run(
        self,
        *command: str,
        code: int | None = 0,
        input: str = "",
        secrets: Mapping[str, str] | None = None,
    ) -> str:
        """A program from elsewhere; gives what it said on both channels. None: any exit code.

        Secrets go to it by `input`, or by its environment, where it takes them in no other way.
        """
        return asked(command, self.folder, code=code, input=input, secrets=secrets or {})

    def ykman(self, *command: str, code: int | None = 0, input: str = "") -> str:
        """The maker's program on this token; gives what it said. None: any exit code."""
        by_reader = "nfc" in self.subject.transports
        which = ("--reader", self.reader) if by_reader else ("--device", self.serial)
        return self.run(YKMAN, *which, *command, code=code, input=input)

    def key(self, purpose: str) -> Path:
        """The private key of a custodian, drawn for this bench."""
        return self.station.home / "custodians" / "private" / f"{purpose}.pem"

    # ---- the token's life ----

    def batch(self, name: str, profile: str) -> Sequence[str | Path]:
        """The arguments of `batch run` that issue this token to somebody new, invented."""
        folder = self.folder
        file, roster = folder / f"{name}.toml", folder / f"{name}.csv"
        file.write_text(f'name = "{name}"\n{profile}', encoding="utf-8")
        holder = f"{name}-{token_hex(4)}"  # the same roster would be an earlier run's batch
        roster.write_text(f"{HEADER}\n{holder},Ada Bench,ada@example.test,ada@example.test\n")
        return ("batch", "run", roster, "--profile", file, "--operator", WHO, "--json")

    @property
    def leave(self) -> Sequence[str]:
        """What allows the token to be wiped, or one without a serial to be taken."""
        if self.subject.serial is None:
            return ("--without-serial", "1")
        if self.subject.is_card:  # nothing empties it
            return ()
        return ("--wipe", self.serial, "--reason", REASON)

    def issue(self, name: str, profile: str) -> Said | None:
        """Issue it, emptied first whatever is on it; None for a card that was issued before."""
        self.clear()
        if self.subject.is_card and self.last_kind() == "issued":
            return None
        try:
            return self.tell(*self.batch(name, profile), *self.leave)
        except BenchError as error:
            self._stuck = error
            raise

    def make_nobodys(self) -> None:
        """Empty it as it left the factory; what is on it is wiped, whoever's it is."""
        self.clear()
        if self.used():
            has = self.subject.applications
            self.issue("wiped", next(text for name, text in NOTHING_MUCH.items() if name in has))
            self.give_back()

    def entry(self) -> dict[str, Any]:
        """The entry that issued it last."""
        serial = self.subject.serial
        found = [one for one in self.station.entries() if one["token"]["serial"] == serial]
        return found[-1]

    def secrets(self) -> dict[str, str]:
        """What is sealed for it and in force, by name; opened on the record."""
        return self.station.secrets(self.label)

    def clear(self) -> None:
        """End what was begun with it, unless it was abandoned: another may be there now."""
        if self.place.abandoned:
            return
        if self.subject.serial is None:
            self._reset()
            return
        for batch in self.document("batch", "status"):
            left = [state for state in LEFT if batch["counts"].get(state, 0)]
            if left:
                self._finish(batch["batch"], begun=left != ["open"])
        if not self.subject.is_card and self.last_kind() not in _QUIET:
            self.give_back()

    def _finish(self, batch: str, begun: bool) -> None:
        """End its order; a batch of which nothing is begun, and nothing can be, is closed."""
        said = self.tell("batch", "run", batch, *self.leave, "--json", code=None)
        if begun or said.code not in (ORDERS_LEFT, CLOSED):
            if said.code and self._stuck:
                raise self._stuck  # the same again
            well(said)
        self._stuck = None
        if said.code == ORDERS_LEFT:
            self.tell("batch", "close", batch, "--reason", REASON, "--operator", WHO, "--json")

    def used(self) -> list[str]:
        """What somebody put on it, in words."""
        found: list[str] = self.document("token", "show", self.serial, *self.behind)["used"]
        return found

    def facts(self, step: str) -> dict[str, Any]:
        """What the entry that issued it last says of a setting."""
        (one,) = [one for one in self.entry()["steps"] if one["id"] == step]
        facts: dict[str, Any] = one["facts"]
        return facts

    def last_kind(self) -> str | None:
        """What the manifest's last entry for it is."""
        (one,) = self.document("token", "audit", self.serial, *self.behind, code=None)["tokens"]
        kind: str | None = one["kind"]
        return kind

    def give_back(self) -> None:
        """Empty it with what escrow has."""
        why = ("--key", self.key("token-administration"), "--reason", REASON, "--operator", WHO)
        self.tell("return", self.serial, *why, "--json")

    def _reset(self) -> None:
        """Reset its FIDO2, all that a token without a serial has, where a PIN is set."""
        with self.ctap2() as ctap:
            if not ctap.info.options.get("clientPin"):
                return
        before = self._known_by()
        self.place.reinsert(self.reader)
        self.place.await_there()
        if self._known_by() != before:
            self.place.abandon("another token was put in, and was not reset")
        with self.ctap2() as ctap:
            seconds = LONG if ctap.info.long_touch_for_reset else SHORT
            with self.operator.touching(self.place.token, "reset FIDO2", seconds):
                ctap.reset()

    def _known_by(self) -> tuple[bytes, int, list[str]]:
        """What tells it from others without a serial: model, tries, and the mark that it proves."""
        audited = self.document("token", "audit", "--all", code=None)["tokens"]
        with self.ctap2() as ctap:
            tries = ClientPin(ctap).get_pin_retries()[0]
            return bytes(ctap.info.aaguid), tries, [one.get("mark", "") for one in audited]
