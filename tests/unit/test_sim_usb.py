"""Virtual tokens on a USB bus, in the hands of the maker's libraries over a port's socket."""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue

import pytest
from fido2.ctap import CtapError
from fido2.ctap1 import Ctap1
from fido2.ctap2 import Ctap2
from fido2.hid import CtapHidDevice
from fido2.hid.base import HidDescriptor
from yubikit.core import TRANSPORT
from yubikit.core.otp import CommandRejectedError
from yubikit.management import CAPABILITY, DeviceConfig, ManagementSession
from yubikit.piv import OBJECT_ID, PivSession
from yubikit.yubiotp import SLOT, HmacSha1SlotConfiguration, YubiOtpSession

from tests.usb_cable import (
    CAPABILITIES,
    CardCable,
    FidoCable,
    Machine,
    OtpCable,
    Stalled,
    nothing_came,
)
from tokenprov.sim.faults import FaultKind
from tokenprov.sim.pcscd import make_folder
from tokenprov.sim.simulation import Simulation
from tokenprov.sim.specs import TokenSpec
from tokenprov.sim.usb.keyboard import strokes
from tokenprov.sim.usb.wiring import UsbWiring

SERIAL = 31_313_131
KEY = bytes(range(20))
DEVICE, CONFIGURATION, STRING, REPORT = 0x0100, 0x0200, 0x0300, 0x2200
GET, IN, IN_INTERFACE = 6, 0x80, 0x81


class Bench:
    """One token on one port, and a machine there."""

    def __init__(self, folder: Path, model: str, capabilities: int) -> None:
        self.simulation = Simulation(
            lambda contacts: UsbWiring(folder, contacts), [TokenSpec(model=model, serial=SERIAL)]
        )
        self.simulation.start()
        self.machine = Machine(folder / "usb0", capabilities)
        self.said = self.machine.configure()

    @property
    def product(self) -> int:
        """The product number that the token came with."""
        return int.from_bytes(self.said[6:8], "little")

    def fido(self) -> CtapHidDevice:
        """The FIDO interface, opened by fido2."""
        descriptor = HidDescriptor("port", 0x1050, self.product, 64, 64, "YubiKey", None)
        return CtapHidDevice(descriptor, FidoCable(self.machine))


@contextmanager
def plugged(model: str = "yubikey-5.7.4", capabilities: int = CAPABILITIES) -> Iterator[Bench]:
    """A token of a model on a bus, with a machine that uses it."""
    folder = make_folder()
    bench = Bench(folder, model, capabilities)
    try:
        yield bench
    finally:
        bench.machine.close()
        bench.simulation.close()
        folder.rmdir()


@pytest.fixture
def bench() -> Iterator[Bench]:
    """A factory-fresh YubiKey 5.7.4."""
    with plugged() as made:
        yield made


@pytest.mark.parametrize(
    ("model", "product", "interfaces"),
    [
        ("yubikey-5.7.4", 0x0407, 3),
        ("security-key-5.7", 0x0406, 2),
        ("security-key-5.7-hid", 0x402, 1),
    ],
)
def test_descriptors_follow_the_interfaces(model: str, product: int, interfaces: int) -> None:
    """Product number, configuration, strings and report descriptors are those of its interfaces."""
    with plugged(model) as bench:
        assert bench.product == product
        device = bench.machine.control(IN, GET, DEVICE, 0, length=64)
        assert device[8:14] == b"\x50\x10" + product.to_bytes(2, "little") + b"\x74\x05"
        configuration = bench.machine.control(IN, GET, CONFIGURATION, 0, length=255)
        assert int.from_bytes(configuration[2:4], "little") == len(configuration)
        assert configuration[4] == interfaces
        assert bench.machine.control(IN, GET, CONFIGURATION, 0, length=9) == configuration[:9]
        text = bench.machine.control(IN, GET, STRING | 2, 0x0409, length=255)
        assert text[2:].decode("utf-16-le").startswith("YubiKey ")
        with pytest.raises(Stalled):
            bench.machine.control(IN, GET, STRING | 9, 0x0409, length=255)
        first = 1 if interfaces == 3 else 0  # the number of the FIDO interface
        reports = bench.machine.control(IN_INTERFACE, GET, REPORT, first, length=255)
        assert reports.startswith(bytes.fromhex("06d0f1"))


def test_a_machine_of_narrow_words_is_served_too() -> None:
    """Without 64-bit ids and wide lengths the packets are the older ones."""
    with plugged(capabilities=0) as bench:
        assert ManagementSession(CardCable(bench.machine)).read_device_info().serial == SERIAL
        assert len(bench.machine.endpoints) == 96


def test_three_interfaces_are_one_token(bench: Bench) -> None:
    """Keyboard, FIDO and smart card give the same serial, and the same configuration."""
    infos = [
        ManagementSession(connection).read_device_info()
        for connection in (OtpCable(bench.machine), bench.fido(), CardCable(bench.machine))
    ]
    assert {info.serial for info in infos} == {SERIAL}
    assert infos[0].config == infos[1].config == infos[2].config


def test_slots_are_written_and_asked_over_the_keyboard(bench: Bench) -> None:
    """A challenge-response slot is written, answers after its touch, and refuses a wrong code."""
    session = YubiOtpSession(OtpCable(bench.machine))
    assert session.get_serial() == SERIAL
    slot = HmacSha1SlotConfiguration(KEY).require_touch(True)
    session.put_configuration(SLOT.TWO, slot, b"access", None)
    assert session.get_config_state().is_configured(SLOT.TWO)
    bench.simulation.set_touch(SERIAL, "after 0.3")
    seen: list[int] = []
    response = session.calculate_hmac_sha1(SLOT.TWO, b"hello", on_keepalive=seen.append)
    assert response == hmac.new(KEY, b"hello", hashlib.sha1).digest()
    assert 2 in seen, "it said that it waits for a touch"
    with pytest.raises(CommandRejectedError):
        session.delete_slot(SLOT.TWO)
    assert session.get_config_state().is_configured(SLOT.TWO)


def test_a_frame_that_is_broken_is_dropped(bench: Bench) -> None:
    """A wrong checksum is no command, and a reset report begins anew."""
    cable = OtpCable(bench.machine)
    for number in range(10):
        cable.send(bytes(7) + bytes([0x80 | number]))
        if number == 4:
            cable.send(bytes(7) + b"\xff")
    assert cable.receive()[7] == 0
    frame = bytes(64) + b"\x10" + b"\x00\x00" + bytes(3)
    for number in range(10):
        cable.send(frame[number * 7 :][:7] + bytes([0x80 | number]))
    assert cable.receive()[7] == 0
    assert YubiOtpSession(cable).get_serial() == SERIAL


def test_a_touched_slot_types(bench: Bench) -> None:
    """The keystrokes on the wire are the one-time password, each key down and up."""
    bench.machine.listen(0x81)
    text = bench.simulation.type_slot(SERIAL, 1)
    assert text.endswith("\n")
    typed = [bench.machine.reports[0x81].get(timeout=5) for _ in range(2 * len(text))]
    assert typed == strokes(text)
    small, large, sign = (report for report in strokes("aB!") if any(report))
    assert (small[0], small[2]) == (0, 0x04)
    assert (large[0], large[2]) == (0x02, 0x05), "with the left shift key"
    assert (sign[0], sign[2]) == (0x02, 0x1E)


def test_reports_wait_for_whoever_listens(bench: Bench) -> None:
    """What is typed before the machine reads the keyboard comes when it does."""
    text = bench.simulation.type_slot(SERIAL, 1)
    assert nothing_came(bench.machine.reports[0x81])
    bench.machine.listen(0x81)
    assert bench.machine.reports[0x81].get(timeout=5) == strokes(text)[0]


def test_a_touch_is_kept_alive_and_may_be_cancelled(bench: Bench) -> None:
    """While the token blinks its client hears so; CANCEL ends that, and the next is served."""
    bench.simulation.set_touch(SERIAL, "never")
    ctap = Ctap2(bench.fido())
    cancel, seen = threading.Event(), []

    def alive(status: int) -> None:
        seen.append(status)
        cancel.set()

    with pytest.raises(CtapError) as refused:
        ctap.selection(event=cancel, on_keepalive=alive)
    assert refused.value.code == CtapError.ERR.KEEPALIVE_CANCEL
    assert seen
    bench.simulation.set_touch(SERIAL, "after 0.4")
    states: list[int] = []
    ctap.selection(on_keepalive=states.append)
    assert 2 in states, "it said that it waits for a touch"


def test_u2f_goes_over_the_same_reports(bench: Bench) -> None:
    """A U2F key is registered over HID."""
    digest = bytes(32)
    Ctap1(bench.fido()).register(digest, digest).verify(digest, digest)


def test_cards_are_asked_in_messages_of_any_size(bench: Bench) -> None:
    """Long commands and answers are chained, and a slow command asks for more time."""
    small = CardCable(bench.machine, room=500)
    assert small.atr.endswith(b"YubiKey" + small.atr[-1:])
    piv = PivSession(small)
    piv.authenticate(bytes.fromhex("010203040506070801020304050607080102030405060708"))
    content = bytes(index % 251 for index in range(2800))
    piv.put_object(OBJECT_ID.AUTHENTICATION, content)
    assert piv.get_object(OBJECT_ID.AUTHENTICATION) == content
    bench.simulation.fault(SERIAL, FaultKind.DELAY.value, seconds=0.8)
    piv.get_pin_attempts()
    assert small.extensions >= 1


def test_a_card_that_is_not_powered_is_mute(bench: Bench) -> None:
    """After power-off a command fails, an unknown message is refused, power-on mends it."""
    card = CardCable(bench.machine)
    card.close()
    state, _ = card.message(0x6F, bytes.fromhex("00a4040000"))
    assert state[0] == 0x41
    assert card.message(0x69, b"")[0][0] & 0x40
    assert card.message(0x62, b"")[1] == card.atr


def test_a_read_that_is_given_up_takes_nothing_away(bench: Bench) -> None:
    """A cancelled read ends as that; the next one gets the answer."""
    number = bench.machine.bulk(0x82, length=64)
    bench.machine.send(21, number=number)
    assert bench.machine.bulk_answer(number) == (1, b"")
    assert CardCable(bench.machine).atr


def test_switching_interfaces_makes_it_leave_and_come_back(bench: Bench) -> None:
    """Without CCID it comes back as another product; over FIDO the rest can be switched, too."""
    fido = ManagementSession(bench.fido())
    enabled = {TRANSPORT.USB: CAPABILITY.OTP | CAPABILITY.U2F | CAPABILITY.FIDO2}
    fido.write_device_config(DeviceConfig(enabled, None, None, None), reboot=True)
    assert bench.machine.gone.get(timeout=5)
    bench.said = bench.machine.configure()
    assert bench.product == 0x0403
    assert ManagementSession(bench.fido()).read_device_info().serial == SERIAL
    with pytest.raises(Stalled):
        bench.machine.control(IN, GET, CONFIGURATION | 1, 0, length=9)


def _over_keyboard(bench: Bench) -> None:
    YubiOtpSession(OtpCable(bench.machine)).get_serial()


def _over_fido(bench: Bench) -> None:
    Ctap2(bench.fido()).get_info()


def _over_card(bench: Bench) -> None:
    ManagementSession(CardCable(bench.machine)).read_device_info()


@pytest.mark.parametrize("use", [_over_keyboard, _over_fido, _over_card])
def test_faults_strike_on_every_interface(bench: Bench, use: Callable[[Bench], None]) -> None:
    """A token that is pulled at a command leaves the bus, whichever way the command came."""
    bench.simulation.fault(SERIAL, FaultKind.UNPLUG_DURING.value)
    with pytest.raises((Stalled, CommandRejectedError)):
        use(bench)
    assert bench.machine.gone.get(timeout=5)
    inserted = threading.Thread(target=bench.simulation.insert, args=(SERIAL,))
    inserted.start()
    bench.machine.configure()
    inserted.join()
    use(bench)


def test_pulled_tokens_are_found_by_the_next_machine() -> None:
    """A machine that leaves and comes again finds what is plugged in, and nothing else."""
    with plugged() as bench:
        path = Path(bench.simulation.environment["TOKENPROV_SIM_USB"]) / "usb0"
        bench.machine.close()
        bench.machine = Machine(path)
        assert bench.machine.configure()[4:6] == b"\x50\x10"
        bench.simulation.remove(SERIAL)
        assert bench.machine.gone.get(timeout=5)
        empty: Queue[bytes] = bench.machine.connected
        assert nothing_came(empty)
