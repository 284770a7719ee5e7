"""Virtual tokens come and go: what PC/SC clients see of pulls, returns, faults and restarts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from smartcard import scard

from tests import other_client
from tokenprov.sim.bench import VirtualBench
from tokenprov.sim.faults import FaultKind

SELECT_MANAGEMENT = bytes.fromhex("00a4040008a000000527471117")
READ_CONFIG = bytes.fromhex("001d000000")
NOTICE_SECONDS = 10.0


class Client:
    """A plain PC/SC client with a context and one card handle."""

    def __init__(self) -> None:
        code, self.context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
        assert code == scard.SCARD_S_SUCCESS
        self.card = 0

    def readers(self) -> list[str]:
        """The readers there are."""
        code, names = scard.SCardListReaders(self.context, [])
        return [] if code == scard.SCARD_E_NO_READERS_AVAILABLE else list(names)

    def connect(self, reader: str) -> int:
        """Connect exclusively; the PC/SC code."""
        code, self.card, _ = scard.SCardConnect(
            self.context, reader, scard.SCARD_SHARE_EXCLUSIVE, scard.SCARD_PROTOCOL_T1
        )
        return code & 0xFFFFFFFF

    def transmit(self, raw: bytes) -> tuple[int, bytes]:
        """The PC/SC code and the response."""
        code, answer = scard.SCardTransmit(self.card, scard.SCARD_PCI_T1, list(raw))
        return code & 0xFFFFFFFF, bytes(answer or ())

    def present(self, reader: str) -> bool:
        """Whether pcscd sees a card in that reader."""
        code, states = scard.SCardGetStatusChange(
            self.context, 0, [(reader, scard.SCARD_STATE_UNAWARE)]
        )
        return code == scard.SCARD_S_SUCCESS and bool(states[0][1] & scard.SCARD_STATE_PRESENT)


@pytest.fixture
def client(bench: VirtualBench) -> Iterator[Client]:
    """A client of the shared bench."""
    client = Client()
    yield client
    scard.SCardReleaseContext(client.context)


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait some seconds for something that pcscd does in its own time."""
    deadline = time.monotonic() + NOTICE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "pcscd did not notice"
        time.sleep(0.01)


def reader_of(bench: VirtualBench, serial: int) -> str:
    """The name of a token's reader."""
    return str(bench.control.token(serial)["reader"])


def test_readers_are_named_as_usb_keys_name_them(bench: VirtualBench, client: Client) -> None:
    """Each token sits in a reader with the name that its own would have, and no other is there."""
    assert client.readers() == [
        "Yubico YubiKey OTP+FIDO+CCID 00 00",
        "Yubico YubiKey OTP+FIDO+CCID 01 00",
    ]
    assert [line["reader"] for line in bench.control.tokens()] == client.readers()


def test_a_pull_and_a_return_are_seen_at_once(bench: VirtualBench, client: Client) -> None:
    """A pulled token leaves an empty reader; put back, it answers; the old handle stays dead."""
    serial = bench.serials[0]
    reader = reader_of(bench, serial)
    assert client.connect(reader) == scard.SCARD_S_SUCCESS
    started = time.monotonic()
    bench.control.remove(serial)
    wait_until(lambda: not client.present(reader))
    assert time.monotonic() - started < 0.5
    bench.control.insert(serial)
    wait_until(lambda: client.present(reader))
    code, _ = client.transmit(SELECT_MANAGEMENT)
    assert code in (0x80100068, 0x80100069)  # reset, or removed: never an answer
    scard.SCardDisconnect(client.card, scard.SCARD_LEAVE_CARD)
    assert client.connect(reader) == scard.SCARD_S_SUCCESS
    assert client.transmit(SELECT_MANAGEMENT)[1].endswith(b"\x90\x00")


def test_a_quick_pull_is_never_missed(bench: VirtualBench, client: Client) -> None:
    """Ten pulls with the token back within microseconds: each one costs the client its handle."""
    serial = bench.serials[0]
    reader = reader_of(bench, serial)
    for _ in range(10):
        wait_until(lambda: client.connect(reader) == scard.SCARD_S_SUCCESS)
        assert client.transmit(SELECT_MANAGEMENT)[0] == scard.SCARD_S_SUCCESS
        bench.control.remove(serial)
        bench.control.insert(serial)
        assert client.transmit(READ_CONFIG)[0] != scard.SCARD_S_SUCCESS
        scard.SCardDisconnect(client.card, scard.SCARD_LEAVE_CARD)


def test_a_reader_vanishes_and_comes_back_under_another_name(
    bench: VirtualBench, client: Client
) -> None:
    """Unplugging takes the reader away; it may return with another name and the same token."""
    bench.control.unplug_reader(1)
    wait_until(lambda: len(client.readers()) == 1)
    bench.control.plug_reader(1, name="Yubico YubiKey CCID")
    wait_until(lambda: "Yubico YubiKey CCID 01 00" in client.readers())
    assert client.connect("Yubico YubiKey CCID 01 00") == scard.SCARD_S_SUCCESS
    assert bench.control.token(30_000_002)["reader"] == "Yubico YubiKey CCID 01 00"


def test_a_token_is_ready_when_the_bench_says_so(bench: VirtualBench, client: Client) -> None:
    """A client connects at once after `replace`, `insert` and `restore`, and not after `remove`."""
    reader = reader_of(bench, bench.serials[0])
    state = bench.control.snapshot(30_000_001)
    for _ in range(10):
        bench.control.replace(0, serial=30_000_001)
        assert client.connect(reader) == scard.SCARD_S_SUCCESS
        scard.SCardDisconnect(client.card, scard.SCARD_LEAVE_CARD)
        bench.control.restore(30_000_001, state)
        assert client.connect(reader) == scard.SCARD_S_SUCCESS
        scard.SCardDisconnect(client.card, scard.SCARD_LEAVE_CARD)
        bench.control.remove(30_000_001)
        assert client.connect(reader) == 0x8010000C  # no smart card
        bench.control.insert(30_000_001)
        assert client.connect(reader) == scard.SCARD_S_SUCCESS
        scard.SCardDisconnect(client.card, scard.SCARD_LEAVE_CARD)


def test_another_token_takes_the_same_reader(bench: VirtualBench, client: Client) -> None:
    """A replaced token answers under the reader's old name with a serial of its own."""
    bench.control.replace(0, serial=7_654_321)
    assert client.connect("Yubico YubiKey OTP+FIDO+CCID 00 00") == scard.SCARD_S_SUCCESS
    client.transmit(SELECT_MANAGEMENT)
    assert (7_654_321).to_bytes(4, "big") in client.transmit(READ_CONFIG)[1]


@pytest.mark.parametrize(
    ("kind", "carried_out", "stays"),
    [
        (FaultKind.UNPLUG_BEFORE, 1, False),
        (FaultKind.UNPLUG_DURING, 2, False),
        (FaultKind.ANSWER_LOST, 2, True),
    ],
)
def test_a_command_is_cut_off(
    bench: VirtualBench, client: Client, kind: FaultKind, carried_out: int, stays: bool
) -> None:
    """The second command fails for the client, whether or not the token carried it out."""
    serial = bench.serials[0]
    reader = reader_of(bench, serial)
    client.connect(reader)
    before = int(bench.control.token(serial)["apdus"])
    bench.control.fault(serial, kind, at=2)
    assert client.transmit(SELECT_MANAGEMENT)[0] == scard.SCARD_S_SUCCESS
    assert client.transmit(READ_CONFIG)[0] in (0x80100016, 0x80100069)
    line = bench.control.token(serial)
    assert (line["apdus"] - before, line["present"]) == (carried_out, stays)


def test_unplugged_after_the_answer(bench: VirtualBench, client: Client) -> None:
    """The answer arrives whole, and then the token is gone."""
    serial = bench.serials[0]
    reader = reader_of(bench, serial)
    client.connect(reader)
    bench.control.fault(serial, FaultKind.UNPLUG_AFTER)
    code, answer = client.transmit(SELECT_MANAGEMENT)
    assert (code, answer[-2:]) == (scard.SCARD_S_SUCCESS, b"\x90\x00")
    wait_until(lambda: not client.present(reader))


def test_answers_are_spoiled(bench: VirtualBench, client: Client) -> None:
    """Truncated, garbage, late and memory-full answers, each once, each for its instruction."""
    serial = bench.serials[0]
    client.connect(reader_of(bench, serial))
    client.transmit(SELECT_MANAGEMENT)
    whole = client.transmit(READ_CONFIG)[1]
    bench.control.fault(serial, FaultKind.TRUNCATED)
    assert client.transmit(READ_CONFIG)[1] == whole[: len(whole) // 2]
    bench.control.fault(serial, FaultKind.GARBAGE)
    assert client.transmit(READ_CONFIG)[1] != whole
    bench.control.fault(serial, FaultKind.MEMORY_FULL, ins=0x1D)
    assert client.transmit(SELECT_MANAGEMENT)[1].endswith(b"\x90\x00")
    assert client.transmit(READ_CONFIG)[1] == b"\x6a\x84"
    bench.control.fault(serial, FaultKind.DELAY, seconds=0.3)
    started = time.monotonic()
    assert client.transmit(READ_CONFIG)[1] == whole
    assert time.monotonic() - started >= 0.3


def test_a_pull_ends_a_wait(bench: VirtualBench, client: Client) -> None:
    """A token that would answer in a minute is pulled: the client hears of it at once."""
    serial = bench.serials[0]
    client.connect(reader_of(bench, serial))
    bench.control.fault(serial, FaultKind.DELAY, seconds=60)
    puller = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time; from tokenprov.sim.control import SimControl; time.sleep(0.2); "
            "SimControl(sys.argv[1]).remove(int(sys.argv[2]))",
            bench.control.path,
            str(serial),
        ],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    started = time.monotonic()
    assert client.transmit(SELECT_MANAGEMENT)[0] in (0x80100016, 0x80100069)
    assert time.monotonic() - started < 5
    assert puller.wait(10) == 0


def test_pcscd_is_killed_and_started_again(bench: VirtualBench, client: Client) -> None:
    """A context dies with pcscd; a new one finds the same tokens in the same readers."""
    reader = reader_of(bench, bench.serials[0])
    client.connect(reader)
    bench.control.restart_pcscd()
    assert client.transmit(SELECT_MANAGEMENT)[0] == 0x8010001D  # no service
    again = Client()
    assert again.readers() == [line["reader"] for line in bench.control.tokens()]
    assert again.connect(reader) == scard.SCARD_S_SUCCESS
    assert again.transmit(SELECT_MANAGEMENT)[1].endswith(b"\x90\x00")
    scard.SCardReleaseContext(again.context)


def test_nothing_outlives_a_killed_bench(new_bench: Callable[..., VirtualBench]) -> None:
    """When the process with the tokens is killed, its pcscd goes too."""
    bench = new_bench(tokens=1)
    socket = Path(bench.environment["PCSCLITE_CSOCK_NAME"])
    pcscd = int(socket.with_name("pcscd.pid").read_text().strip("\n\0"))
    assert Path(f"/proc/{pcscd}").exists()
    os.kill(bench.pid, signal.SIGKILL)

    def gone() -> bool:
        stat = Path(f"/proc/{pcscd}/stat")
        return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"

    wait_until(gone)


def test_sixteen_readers(new_bench: Callable[..., VirtualBench]) -> None:
    """Pcscd has room for sixteen readers; all of them are there, none twice."""
    bench = new_bench(tokens=16)
    listed = subprocess.run(
        ["opensc-tool", "--list-readers"],
        env={**os.environ, **bench.environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()[2:]
    assert [line.split("  ")[-1].strip() for line in listed] == [
        f"Yubico YubiKey OTP+FIDO+CCID {number:02X} 00" for number in range(16)
    ]


def test_another_client_resets_the_card(bench: VirtualBench, client: Client) -> None:
    """A shared client hears that its card was reset (0x80100068), and what it selected is gone."""
    reader = reader_of(bench, bench.serials[0])
    code, client.card, _ = scard.SCardConnect(
        client.context, reader, scard.SCARD_SHARE_SHARED, scard.SCARD_PROTOCOL_T1
    )
    assert client.transmit(SELECT_MANAGEMENT)[0] == scard.SCARD_S_SUCCESS
    other_client.reset(reader, bench.environment)
    assert client.transmit(READ_CONFIG)[0] == 0x80100068
    scard.SCardReconnect(
        client.card, scard.SCARD_SHARE_SHARED, scard.SCARD_PROTOCOL_T1, scard.SCARD_LEAVE_CARD
    )
    assert client.transmit(READ_CONFIG) == (scard.SCARD_S_SUCCESS, b"\x6d\x00")


def test_another_client_holds_the_reader(bench: VirtualBench, client: Client) -> None:
    """While another program has the reader, connecting is a sharing violation, and only then."""
    reader = reader_of(bench, bench.serials[0])
    with other_client.holding(reader, bench.environment):
        assert client.connect(reader) == 0x8010000B
    assert client.connect(reader) == scard.SCARD_S_SUCCESS


def test_a_long_answer_and_a_long_command(bench: VirtualBench, client: Client) -> None:
    """Extended APDUs pass in both directions, longer than 256 bytes."""
    client.connect(reader_of(bench, bench.serials[0]))
    assert client.transmit(bytes.fromhex("00a4040005a000000308"))[1].endswith(b"\x90\x00")
    attestation = client.transmit(bytes.fromhex("00cb3fff0000055c035fff010000"))[1]
    assert len(attestation) > 700
    assert attestation.endswith(b"\x90\x00")
    too_long = bytes.fromhex("00cb3fff000bb8") + bytes(3000)
    assert len(client.transmit(too_long)[1]) == 2
