"""The contact of a virtual token: SELECT, chaining, classes, lengths, reset and state."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tokenprov.sim.apdu import Command, Refusal
from tokenprov.sim.applet import Applet, Body
from tokenprov.sim.assembly import make_token
from tokenprov.sim.latency import REAL_KEY
from tokenprov.sim.models import MODELS
from tokenprov.sim.specs import make_specs
from tokenprov.sim.token import VirtualToken

MANAGEMENT = bytes.fromhex("a000000527471117")
OTP = bytes.fromhex("a0000005272001")
ECHO = bytes.fromhex("f000000001aabb")


class Echo:
    """An applet that gives back what it got, and remembers what was done to it."""

    name = "echo"
    aid = ECHO

    def __init__(self, body: Body) -> None:
        self._body = body
        self.happened: list[str] = []
        self.commands: list[Command] = []

    def select(self) -> bytes:
        """Selected."""
        self.happened.append("select")
        return b"hello"

    def deselect(self) -> None:
        """Deselected."""
        self.happened.append("deselect")

    def power_up(self) -> None:
        """Powered."""
        self.happened.append("power_up")

    def process(self, command: Command) -> bytes:
        """Give the data back."""
        self.commands.append(command)
        if command.ins == 0xEE:
            raise Refusal(0x6F42, b"why")
        self._body.save()
        return command.data

    def dump(self) -> dict[str, Any]:
        """Nothing lasts."""
        return {}

    def load(self, state: dict[str, Any]) -> None:
        """Nothing lasts."""


@pytest.fixture
def echo() -> tuple[VirtualToken, Echo]:
    """A token with an echoing applet, selected."""
    made: list[Echo] = []

    def applets(body: Body, token: VirtualToken) -> list[Applet]:
        made.append(Echo(body))
        return [*made]

    token = VirtualToken(MODELS["yubikey-5.7.4"], 5, applets=applets)
    assert token.transmit(select(ECHO)) == b"hello\x90\x00"
    return token, made[0]


def select(aid: bytes, p2: int = 0) -> bytes:
    """SELECT by name, short."""
    return bytes([0x00, 0xA4, 0x04, p2, len(aid)]) + aid + b"\x00"


def test_nothing_is_answered_before_select() -> None:
    """A fresh token knows no instruction until an applet is selected, whatever it is."""
    token = make_token("yubikey-5.7.4", 5)
    for raw in ("00cb3fff00", "001d000000", "00200080", "0003000000"):
        assert token.transmit(bytes.fromhex(raw)) == b"\x6d\x00"


@pytest.mark.parametrize(
    ("aid", "p2", "sw"),
    [
        (MANAGEMENT, 0, 0x9000),
        (MANAGEMENT[:5], 0, 0x9000),  # the provider's identifier alone: its first applet
        (OTP, 0, 0x9000),
        (OTP, 0x0C, 0x9000),
        (MANAGEMENT[:4], 0, 0x6A82),  # shorter than any registered identifier
        (MANAGEMENT + b"\x00", 0, 0x6A82),  # longer than the applet's own
        (b"\xf0\x00\x00\x00\x99", 0, 0x6A82),
        (OTP, 2, 0x6A82),  # no next occurrence
        (OTP, 1, 0x6A86),
    ],
)
def test_select(aid: bytes, p2: int, sw: int) -> None:
    """SELECT takes whole names and beginnings from five bytes on, and nothing else."""
    token = make_token("yubikey-5.7.4", 5)
    assert int.from_bytes(token.transmit(select(aid, p2))[-2:], "big") == sw


def test_a_refused_select_changes_nothing(echo: tuple[VirtualToken, Echo]) -> None:
    """The current applet stays current when another cannot be found."""
    token, applet = echo
    assert token.transmit(select(b"\xf0\x00\x00\x00\x99")) == b"\x6a\x82"
    assert token.transmit(bytes.fromhex("00010000 01 42")) == b"\x42\x90\x00"
    assert "deselect" not in applet.happened


@pytest.mark.parametrize(
    ("cla", "sw"),
    [
        (0x01, 0x6881),
        (0x03, 0x6881),
        (0x40, 0x6881),
        (0x81, 0x6881),
        (0x04, 0x6882),
        (0x0C, 0x6882),
        (0x20, 0x6E00),
        (0xA0, 0x6E00),
        (0xFF, 0x6E00),
        (0x80, 0x9000),
    ],
)
def test_classes(echo: tuple[VirtualToken, Echo], cla: int, sw: int) -> None:
    """Logical channels, secure messaging and unknown classes are refused each in its own way."""
    token, _ = echo
    assert token.transmit(bytes([cla, 0x01, 0, 0]))[-2:] == sw.to_bytes(2, "big")


@pytest.mark.parametrize(
    "raw",
    ["00", "000100", "0001000002aa", "0001000001aabbcc", "0001000000000200"],
)
def test_lengths_that_lie(echo: tuple[VirtualToken, Echo], raw: str) -> None:
    """A command whose length fields do not fit is refused with 6700."""
    token, _ = echo
    assert token.transmit(bytes.fromhex(raw)) == b"\x67\x00"


def test_command_chaining(echo: tuple[VirtualToken, Echo]) -> None:
    """Parts with the chaining bit are one command; another command breaks the chain."""
    token, applet = echo
    assert token.transmit(bytes.fromhex("10010203 02 aabb")) == b"\x90\x00"
    assert token.transmit(bytes.fromhex("00010203 01 cc")) == b"\xaa\xbb\xcc\x90\x00"
    assert applet.commands[-1].data == b"\xaa\xbb\xcc"
    token.transmit(bytes.fromhex("10010203 02 aabb"))
    token.transmit(bytes.fromhex("00020203 01 dd"))
    assert token.transmit(bytes.fromhex("00010203 01 cc")) == b"\xcc\x90\x00"


def test_a_chain_has_an_end(echo: tuple[VirtualToken, Echo]) -> None:
    """A chain longer than the token's buffer is refused."""
    token, _ = echo
    part = bytes([0x10, 0x01, 0, 0, 0xFF]) + bytes(255)
    answers = [token.transmit(part) for _ in range(20)]
    assert b"\x67\x00" in answers


def test_response_chaining(echo: tuple[VirtualToken, Echo]) -> None:
    """A short command gets 256 bytes and 61xx; GET RESPONSE fetches the rest; others forget it."""
    token, _ = echo
    data = bytes(range(256)) + bytes(range(50))
    for start in (0, 250):
        part = data[start : start + 250]
        last = start + 250 >= len(data)
        cla = 0x00 if last else 0x10
        answer = token.transmit(bytes([cla, 1, 0, 0, len(part)]) + part + (b"\0" if last else b""))
    assert answer == data[:256] + b"\x61\x32"
    assert token.transmit(bytes.fromhex("00c0000020")) == data[256:288] + b"\x61\x12"
    assert token.transmit(bytes.fromhex("00c0000000")) == data[288:] + b"\x90\x00"
    assert token.transmit(bytes.fromhex("00c0000000")) == b"\x69\x85"


def test_an_extended_command_gets_all(echo: tuple[VirtualToken, Echo]) -> None:
    """An extended command has its whole answer at once, or as much as it asked for."""
    token, _ = echo
    data = bytes(1000)
    head = bytes([0, 1, 0, 0, 0]) + len(data).to_bytes(2, "big") + data
    assert token.transmit(head) == data + b"\x90\x00"
    assert token.transmit(head + b"\x02\x00") == data[:512] + b"\x61\x00"


def test_a_refusal_carries_its_data(echo: tuple[VirtualToken, Echo]) -> None:
    """What an applet says with a refusal is given with its status word."""
    token, _ = echo
    assert token.transmit(bytes.fromhex("00ee0000")) == b"why\x6f\x42"


def test_the_trace_holds_no_data(echo: tuple[VirtualToken, Echo]) -> None:
    """Instruction and status word of each command are kept, and how many there were."""
    token, _ = echo
    token.transmit(bytes.fromhex("00ee0000 02 1234"))
    assert token.count == 2
    assert list(token.trace) == [(0xA4, 0x9000), (0xEE, 0x6F42)]


def test_a_reset_deselects() -> None:
    """After a reset of the contact nothing is selected; only plugging in moves the power-up."""
    now = [10.0]
    token = make_token("yubikey-5.7.4", 5, clock=lambda: now[0])
    token.transmit(select(OTP))
    now[0] = 20.0
    assert token.reset() == token.atr
    assert token.transmit(bytes.fromhex("0003000000")) == b"\x6d\x00"
    assert token.body.powered_at == 10.0
    token.plug()
    assert token.body.powered_at == 20.0


def test_state_survives_in_a_file(tmp_path: Path) -> None:
    """A token made from its file is the same token, and the file is readable by its owner only."""
    path = tmp_path / "token.json"
    token = make_token("yubikey-5.7.4", 5, state=path)
    token.transmit(select(MANAGEMENT))
    write = bytes.fromhex("001c0000 05 04 0302013b")
    assert token.transmit(write) == b"\x90\x00"
    again = make_token("yubikey-5.7.4", 5, state=path)
    assert again.dump() == token.dump()
    again.transmit(select(MANAGEMENT))
    assert bytes.fromhex("0302013b") in again.transmit(bytes.fromhex("001d000000"))
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("change", [{"format": "other"}, {"model": "yubikey-5.4.3"}, {"serial": 6}])
def test_a_foreign_state_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    """A state of another format, model or serial is not taken."""
    path = tmp_path / "token.json"
    state = {**make_token("yubikey-5.7.4", 5).dump(), **change}
    path.write_text(json.dumps(state))
    with pytest.raises(ValueError, match="not a state|another token"):
        make_token("yubikey-5.7.4", 5, state=path)


def test_every_model_keeps_its_state() -> None:
    """What any model dumps, a fresh one of it loads, and dumps again."""
    for name in MODELS:
        token = make_token(name, 5)
        state = json.loads(json.dumps(token.dump()))
        again = make_token(name, 5)
        again.load(state)
        assert json.loads(json.dumps(again.dump())) == state


def test_a_fresh_token_costs_little() -> None:
    """A fresh token is there in under 20 ms (issue: speed), once the bench has its authorities."""
    make_token("yubikey-5.7.4", 1)

    started = time.process_time()
    for serial in range(2, 12):
        make_token("yubikey-5.7.4", serial)
    assert (time.process_time() - started) / 10 < 0.020


def test_what_a_token_needs_is_counted() -> None:
    """Its latencies count as its own time, and so does what it computes; waiting does not."""
    token = make_token("yubikey-5.7.4", 5, latency={"apdu": 0.02})
    for _ in range(2):
        token.transmit(select(OTP))
    needed = token.seconds
    assert 0.04 <= needed < 0.08  # seconds
    time.sleep(0.05)
    assert token.seconds == needed


def test_latency_is_spent() -> None:
    """With a table each command takes its time, and a pulled token wastes none."""

    token = make_token("yubikey-5.7.4", 5, latency={"apdu": 0.05})
    started = time.monotonic()
    token.transmit(select(OTP))
    assert time.monotonic() - started >= 0.05
    token.latency["apdu"] = 30.0
    token.pull()
    token.transmit(select(OTP))
    assert time.monotonic() - started < 5


def test_the_table_is_a_real_keys() -> None:
    """With `--latency` each token has the table, in which a key pair costs more than its use."""
    slow, fast = (make_specs(1, (), 5, "auto", latency, None)[0] for latency in (True, False))
    assert slow.latency == REAL_KEY
    assert not fast.latency
    for algorithm in ("p256", "p384", "ed25519", "x25519", "rsa1024", "rsa2048", "rsa4096"):
        assert REAL_KEY[f"generate-{algorithm}"] > REAL_KEY[algorithm] > REAL_KEY["apdu"]
