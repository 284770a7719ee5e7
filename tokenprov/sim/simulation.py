"""A bench: readers with tokens, and what a person at the bench can do with them.

Every public method takes and gives JSON-able data, because the control socket offers the same
(control.py). A token is named by its serial, or by its reader's number where it has none; a reader
by its number, from 0 on. Times are seconds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tokenprov.sim.applets.otp import OtpApplet
from tokenprov.sim.contact import Contact
from tokenprov.sim.faults import Fault, FaultKind
from tokenprov.sim.presence import TouchPolicy
from tokenprov.sim.specs import BenchError, TokenSpec
from tokenprov.sim.token import VirtualToken
from tokenprov.sim.wiring import Wiring

REBOOT_SECONDS = 0.3  # how long a rebooting token is away


class Simulation:
    """Readers and tokens; `wire` makes what the readers hang on, for their contacts."""

    def __init__(
        self, wire: Callable[[Mapping[int, Contact]], Wiring], specs: Sequence[TokenSpec]
    ) -> None:
        self._contacts = {number: Contact(number) for number in range(len(specs))}
        self._lock = threading.RLock()
        self._wiring = wire(self._contacts)
        for number, spec in enumerate(specs):
            self._contacts[number].put_aside(self._wire(number, spec.make()))
            self._contacts[number].insert()
            self._wiring.plug(number)

    def start(self) -> None:
        """Start what the readers hang on; wait until every token is powered.

        Raises `SimulatorUnavailable` where it cannot be had.
        """
        self._wiring.start()
        for number in self._contacts:
            self._wiring.await_power(number)

    def close(self) -> None:
        """Stop everything."""
        self._wiring.close()

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead a client here."""
        return self._wiring.environment

    # --- looking ---------------------------------------------------------------------------

    def list_tokens(self) -> list[dict[str, Any]]:
        """Every reader with its token: number, names, serial, model, whether it is there."""
        with self._lock:
            return [self._describe(number) for number in sorted(self._contacts)]

    def _describe(self, number: int) -> dict[str, Any]:
        token = self._token(number)
        return {
            "number": number,
            "reader": self._wiring.name_of(number) if self._wiring.plugged(number) else None,
            "plugged": self._wiring.plugged(number),
            "present": self._contacts[number].present,
            "model": token.model.name,
            "serial": token.serial,
            "apdus": token.count,
            "seconds": token.seconds,
            "waiting": token.finger.waiting,
            "touches": token.finger.asked,
        }

    def trace(self, token: int) -> list[tuple[int, int]]:
        """The last commands of a token: instruction and status word; never data."""
        return list(self._token(self._find(token)).trace)

    # --- tokens come and go ----------------------------------------------------------------

    def remove(self, token: int) -> None:
        """Pull a token; its reader stays. Waits until that is noticed, unless pcscd is busy."""
        number = self._find(token)
        self._contacts[number].remove()
        self._wiring.await_gone(number)

    def insert(self, token: int) -> None:
        """Put a pulled token back and wait until pcscd has noticed."""
        number = self._find(token)
        try:
            self._contacts[number].insert()
        except ValueError as exc:
            raise BenchError(str(exc)) from exc
        self._wiring.await_power(number)

    def replace(self, reader: int, model: str | None = None, serial: int | None = None) -> None:
        """Put a factory-fresh token in the place of the one in that reader.

        Without `model` or `serial` they are those of the token before. Its state file, if it has
        one, is not touched any more.
        """
        with self._lock:
            before = self._token(reader)
            spec = TokenSpec(
                model=model or before.model.name,
                serial=before.serial if serial is None else serial,
                touch=before.finger.policy,
                latency=before.latency,
            )
            contact = self._contacts[reader]
            fresh = spec.make()
            contact.remove()
            contact.faults.clear()
            contact.put_aside(self._wire(reader, fresh))
            self._wiring.plug(reader)
            contact.insert()
        self._wiring.await_power(reader)

    def unplug_reader(self, reader: int) -> None:
        """Pull token and reader at once, as pulling a USB token does, and wait until noticed."""
        self._contact(reader).remove()
        with self._lock:
            self._wiring.unplug(reader)

    def plug_reader(self, reader: int, name: str | None = None) -> None:
        """Plug a pulled reader in again, under another name if one is given."""
        contact = self._contact(reader)
        with self._lock:
            if self._wiring.plugged(reader):
                raise BenchError(f"reader {reader} is plugged in")
            contact.insert()
            try:
                self._wiring.plug(reader, name)
            except ValueError as exc:
                contact.remove()
                raise BenchError(str(exc)) from exc
        self._wiring.await_power(reader)

    def restart_pcscd(self) -> None:
        """Kill pcscd and start another: every client's context dies."""
        with self._lock:
            self._wiring.restart()
        for number, contact in self._contacts.items():
            if contact.present:
                self._wiring.await_power(number)

    # --- state, touch, faults --------------------------------------------------------------

    def snapshot(self, token: int) -> dict[str, Any]:
        """The whole lasting state of a token. It holds its secrets."""
        return self._token(self._find(token)).dump()

    def restore(self, token: int, state: dict[str, Any]) -> None:
        """Give a token the state of a snapshot, pulling it for that."""
        number = self._find(token)
        contact = self._contacts[number]
        contact.remove()
        try:
            self._token(number).load(state)
        except (KeyError, ValueError) as exc:
            raise BenchError(f"not a snapshot of this token: {exc}") from exc
        finally:
            contact.insert()
        self._wiring.await_power(number)

    def set_touch(self, token: int, policy: str, patience: float = 15.0) -> None:
        """Set when touches come: `auto`, `never` or `after SECONDS`."""
        try:
            parsed = TouchPolicy.parse(policy, patience=patience)
        except ValueError as exc:
            raise BenchError(f"{policy!r} is not a touch policy: {exc}") from exc
        self._token(self._find(token)).finger.policy = parsed

    def press(self, token: int) -> None:
        """Touch a token that blinks, once."""
        self._token(self._find(token)).finger.press()

    def type_slot(self, token: int, slot: int) -> str:
        """What the keyboard types when that OTP slot is touched; on a USB bus it does type it."""
        number = self._find(token)
        try:
            applet = self._token(number).applet("otp")
            assert isinstance(applet, OtpApplet)
            text = applet.type_slot(slot)
        except (KeyError, ValueError) as exc:
            raise BenchError(f"nothing is typed: {exc}") from exc
        self._wiring.type(number, text)
        return text

    def fault(
        self,
        token: int,
        kind: str,
        at: int = 1,
        seconds: float = 0.0,
        ins: int | None = None,
    ) -> None:
        """Have a fault happen at the `at`-th command from now (see faults.py for the kinds)."""
        try:
            fault = Fault(kind=FaultKind(kind), at=at, seconds=seconds, ins=ins)
        except ValueError as exc:
            raise BenchError(str(exc)) from exc
        self._contacts[self._find(token)].faults.add(fault)

    def clear_faults(self, token: int) -> None:
        """Forget the faults that wait at a token."""
        self._contacts[self._find(token)].faults.clear()

    # --- inside ----------------------------------------------------------------------------

    def _contact(self, number: int) -> Contact:
        if number not in self._contacts:
            raise BenchError(f"no reader {number}")
        return self._contacts[number]

    def _token(self, number: int) -> VirtualToken:
        token = self._contact(number).token
        if token is None:
            raise BenchError(f"reader {number} never held a token")
        return token

    def _find(self, token: int) -> int:
        """The reader of a token: by serial, or by the reader's number when it has no serial."""
        for number in self._contacts:
            if self._token(number).serial == token:
                return number
        if token in self._contacts and self._token(token).serial is None:
            return token
        raise BenchError(f"no token {token}")

    def _wire(self, number: int, token: VirtualToken) -> VirtualToken:
        contact = self._contacts[number]

        def reboot() -> None:
            thread = threading.Thread(target=self._reboot, args=(number,), daemon=True)
            contact.after_answer(thread.start)

        token.on_reboot = reboot
        return token

    def _reboot(self, number: int) -> None:
        """The token restarts; its interfaces, and so its reader's name, may be others after."""
        contact = self._contacts[number]
        contact.remove()
        time.sleep(REBOOT_SECONDS)
        with self._lock:
            self._wiring.plug(number)
            contact.insert()
