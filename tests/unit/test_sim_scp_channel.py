"""Secure channels to virtual tokens: what is secured, how, and how a channel ends."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from yubikit.core import TRANSPORT, InvalidPinError
from yubikit.core.smartcard import AID, ApduError, ScpProcessor, SmartCardProtocol
from yubikit.core.smartcard.scp import Scp03KeyParams, ScpState
from yubikit.piv import PivSession

from tests.secure_channels import KINDS, Wire, channel_params, protocol, scp11b, wire
from tokenprov.sim.apdu import Command
from tokenprov.sim.applet import Body
from tokenprov.sim.assembly import make_token
from tokenprov.sim.scp import scp03
from tokenprov.sim.scp.keys import KeySet, KeyStore

SELECT_PIV = "00a4040005a000000308"
GET_SERIAL = (0x00, 0xF8, 0x00, 0x00)  # PIV: four bytes for everybody
OBJECT = "5fff10"
PIN_8 = b"123456\xff\xff"


@pytest.fixture
def on() -> Wire:
    """A fresh YubiKey of firmware 5.7.4."""
    return wire()


def open_scp03(on: Wire) -> SmartCardProtocol:
    """A channel to PIV with the default keys."""
    return protocol(on, AID.PIV, Scp03KeyParams())


def refusal(channel: SmartCardProtocol, cla: int, ins: int, p1: int, p2: int) -> int:
    """The status word with which a secured command is refused."""
    with pytest.raises(ApduError) as error:
        channel.send_apdu(cla, ins, p1, p2)
    return error.value.sw


def assert_ended(on: Wire, channel: SmartCardProtocol) -> None:
    """No secured command goes through, and plain ones do again."""
    assert refusal(channel, *GET_SERIAL) == 0x6985
    assert on.send("00f80000") == 0x9000


# A card's own trace: pySim, tests/unittests/test_globalplatform.py, SCP03_Test_AES128_33.
VECTOR_KEYS = KeySet(
    kvn=0x30,
    enc=bytes(range(0x00, 0x10)),
    mac=bytes(range(0x10, 0x20)),
    dek=bytes(range(0x20, 0x30)),
)
VECTOR_CHALLENGE = bytes.fromhex("3b1aca81e821f219")
VECTOR_COMMANDS = [
    # secured, and the data within: commands without data count too
    ("84f2200208ac6a59024bed84cc", ""),
    ("84ca006608409912ad8fb7aed000", ""),
    ("84f22002185f3dafc3ac14c381536a488bf44e06d056df9d74dbd21e5a", "4f0212345c054f9f70c5"),
    ("84f280021865165105be3373347d0424d4400af2ac393f569ec779389e00", "4f00"),
]


def vector_store() -> KeyStore:
    """A key store with the keys of the trace, which draws its card challenge."""
    body = Body(
        version=(5, 4, 3),
        serial=None,
        random=lambda size: VECTOR_CHALLENGE[:size],
        clock=lambda: 0.0,
        touch=lambda: True,
        spend=lambda _: None,
        save=lambda: None,
    )
    store = KeyStore(body)
    store.sets = {0x30: replace(VECTOR_KEYS)}
    return store


def test_a_real_cards_trace() -> None:
    """Cryptograms, MACs, encryption and answer are those that a real card gave."""
    store = vector_store()
    initialize = Command.parse(bytes.fromhex("8050300008fdf38259a1e0de4400"))
    answer, opening = scp03.initialize_update(store, initialize)
    assert answer[13:] == VECTOR_CHALLENGE + bytes.fromhex("081cdc01c26b372d")
    authenticate = bytes.fromhex("84823300108c36f96bcc00724a4e13ad591d7da3f0")
    channel = scp03.external_authenticate(store, opening, Command.parse(authenticate))
    secured = bytes.fromhex("84e2910018267a85dfe4a98fca6fb0527e0dfecce4914e40401433c87f00")
    plain = channel.unwrap(Command.parse(secured))
    assert (plain.cla, plain.ins, plain.data) == (0x80, 0xE2, bytes.fromhex("bf3e035c015a"))
    eid = bytes.fromhex("bf3e125a1089882119900000000000000000000005")
    expected = "f3ba2b1013aa6224f5e1c138d71805c569e5439b47576260b75fc021b25097cb2e68f8a0144975b9"
    assert channel.wrap(eid, 0x9000).hex() == expected
    for apdu, data in VECTOR_COMMANDS:
        assert channel.unwrap(Command.parse(bytes.fromhex(apdu))).data.hex() == data


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("transport", [TRANSPORT.USB, TRANSPORT.NFC])
def test_data_of_all_sizes(kind: str, transport: TRANSPORT) -> None:
    """Extended, or short and chained both ways: what is written over a channel is read back."""
    on = wire(transport=transport)
    session = PivSession(on, channel_params(on, kind))
    session.authenticate(bytes.fromhex("0102030405060708" * 3))
    for size in (1, 15, 16, 200, 231, 232, 233, 255, 256, 512, 2048, 2900):
        content = os.urandom(size)
        session.put_object(int(OBJECT, 16), content)
        assert session.get_object(int(OBJECT, 16)) == content


def test_nothing_of_it_is_seen(on: Wire) -> None:
    """A PIN given over a channel is in no command that goes over the wire."""
    PivSession(on, Scp03KeyParams()).verify_pin("123456")
    assert len(on.sent) > 3
    assert not [apdu for apdu in on.sent if b"123456" in apdu]


def test_a_warning_is_secured_and_an_error_is_bare(on: Wire) -> None:
    """63Cx comes with an R-MAC that the client checks; an error is its status word alone."""
    channel = open_scp03(on)
    with pytest.raises(ApduError) as error:
        channel.send_apdu(0, 0x20, 0, 0x80, b"999999\xff\xff")
    assert error.value.sw == 0x63C2
    assert len(on.got[-1]) == 8 + 2
    with pytest.raises(InvalidPinError) as wrong:
        PivSession(on, Scp03KeyParams()).verify_pin("999999")
    assert wrong.value.attempts_remaining == 1
    channel = open_scp03(on)
    with pytest.raises(ApduError) as error:
        channel.send_apdu(0, 0xCB, 0x3F, 0xFF, bytes.fromhex("5c03") + bytes.fromhex(OBJECT))
    assert (error.value.sw, error.value.data) == (0x6A82, b"")
    assert channel.send_apdu(*GET_SERIAL)  # an error of the applet ends nothing


def test_answers_without_data_carry_a_mac(on: Wire) -> None:
    """9000 without data is eight bytes of R-MAC over the wire."""
    channel = open_scp03(on)
    assert channel.send_apdu(0, 0x20, 0, 0x80, PIN_8) == b""
    assert (len(on.got[-1]), on.got[-1][-2:]) == (8 + 2, b"\x90\x00")


def test_a_command_without_data_may_be_sent_so(on: Wire) -> None:
    """A command with nothing but its C-MAC is taken, and counts like any other."""
    channel = open_scp03(on)
    processor = channel._processor
    assert isinstance(processor, ScpProcessor)
    mac = processor.state.mac(bytes.fromhex("04f8000008"))
    answer, sw = on.send_and_receive(bytes.fromhex("04f8000008") + mac)
    assert (len(answer), sw) == (16 + 8, 0x9000)
    processor.state._enc_counter += 1
    assert len(channel.send_apdu(*GET_SERIAL)) == 4


@pytest.mark.parametrize("place", [0, 1, 2, 3, 4, 5, 12, 20, 21, 28])
def test_one_changed_bit_ends_the_channel(on: Wire, place: int) -> None:
    """A secured command with one bit changed, wherever, is refused and the channel is gone."""
    channel = open_scp03(on)

    def change(apdu: bytes) -> bytes:
        changed = bytearray(apdu)
        changed[place] ^= 0x20 if place == 0 else 0x01
        return bytes(changed)

    on.alter = change
    expected = {0: 0x6E00, 4: 0x6700}.get(place, 0x6982)
    assert refusal(channel, *GET_SERIAL) == expected
    on.alter = bytes
    if expected == 0x6982:
        assert_ended(on, channel)


def test_a_replayed_command_ends_the_channel(on: Wire) -> None:
    """The same secured command twice is refused the second time."""
    channel = open_scp03(on)
    channel.send_apdu(*GET_SERIAL)
    assert on.send(on.sent[-1]) == 0x6982
    assert_ended(on, channel)


def test_a_dropped_command_ends_the_channel(on: Wire) -> None:
    """A command that never arrived is missed in the chaining value of the next."""
    channel = open_scp03(on)
    processor = channel._processor
    assert isinstance(processor, ScpProcessor)
    processor.state.mac(b"what the token never saw")
    assert refusal(channel, *GET_SERIAL) == 0x6982
    assert_ended(on, channel)


def test_a_wrong_counter_ends_the_channel() -> None:
    """A command encrypted under another counter, with a right MAC, deciphers to nothing."""
    on = Wire(make_token("yubikey-5.7.4", 5, random=bytes))
    channel = SmartCardProtocol(on)
    channel.select(AID.PIV)
    state, cryptogram = ScpState.scp03_init(
        channel.send_apdu, Scp03KeyParams(), host_challenge=bytes(8)
    )
    base = channel._processor
    channel._processor = ScpProcessor(base, base.delegate.formatter, state)  # type: ignore[attr-defined]  # an attribute of yubikit's own
    channel._processor.send_apdu(0x84, 0x82, 0x33, 0, cryptogram, 0, encrypt=False)
    assert len(channel.send_apdu(*GET_SERIAL)) == 4
    state._enc_counter += 1
    assert refusal(channel, *GET_SERIAL) == 0x6982
    assert_ended(on, channel)


def test_a_plain_command_ends_the_channel(on: Wire) -> None:
    """While a channel is open, whatever is not secured is refused."""
    channel = open_scp03(on)
    assert on.send("00f80000") == 0x6982
    assert_ended(on, channel)


def test_the_rest_of_an_answer_is_fetched_plainly() -> None:
    """GET RESPONSE is not secured: it belongs to the secured command before it."""
    on = wire(transport=TRANSPORT.NFC)
    session = PivSession(on, Scp03KeyParams())
    session.authenticate(bytes.fromhex("0102030405060708" * 3))
    session.put_object(int(OBJECT, 16), bytes(700))
    assert session.get_object(int(OBJECT, 16)) == bytes(700)
    assert on.sent[-1][:2] == b"\x00\xc0"


def test_select_and_reset_end_the_channel(on: Wire) -> None:
    """Selecting an applet, even the same, and a reset of the card end a channel."""
    channel = open_scp03(on)
    assert on.send("00a4040005a000000399") == 0x6A82  # a refused one changes nothing
    assert channel.send_apdu(*GET_SERIAL)
    assert on.send(SELECT_PIV) == 0x9000
    assert_ended(on, channel)
    channel = open_scp03(on)
    messaging = on.token.secure_messaging
    assert messaging is not None
    assert messaging.channel is not None
    on.token.reset()
    assert messaging.channel is None
    assert on.send(SELECT_PIV) == 0x9000
    assert_ended(on, channel)


def test_another_opening_ends_the_channel(on: Wire) -> None:
    """INITIALIZE UPDATE ends the channel that was, though it opens none yet."""
    channel = open_scp03(on)
    assert on.send("8050ff0008" + "00" * 8) == 0x9000
    assert refusal(channel, *GET_SERIAL) == 0x6985


def test_the_keys_of_two_channels_differ(on: Wire) -> None:
    """A command secured for one channel is not taken by another, of either protocol."""
    for params in (Scp03KeyParams(), scp11b(on)):
        first = protocol(on, AID.PIV, params)
        first.send_apdu(*GET_SERIAL)
        recorded = on.sent[-1]
        protocol(on, AID.PIV, params)
        assert on.send(recorded) == 0x6982


# --- opening SCP03 -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("apdu", "sw"),
    [
        ("8050000008" + "00" * 8, 0x9000),  # version 0: the first set
        ("8050ff0008" + "00" * 8, 0x9000),
        ("8050010008" + "00" * 8, 0x6A88),
        ("8050ff0108" + "00" * 8, 0x6A86),
        ("8050ff0007" + "00" * 7, 0x6700),
        ("8050ff00", 0x6700),
        ("8482330010" + "00" * 16, 0x6985),  # nothing was begun
    ],
)
def test_opening_scp03(on: Wire, apdu: str, sw: int) -> None:
    """INITIALIZE UPDATE wants a key set that is there and a challenge of eight bytes."""
    on.send(SELECT_PIV)
    assert on.send(apdu) == sw


@pytest.mark.parametrize(
    ("p1", "cryptogram", "mac", "sw"),
    [
        (0x33, 0, 0, 0x9000),
        (0x01, 0, 0, 0x6A86),  # C-MAC alone: the maker has but one level
        (0x13, 0, 0, 0x6A86),
        (0x33, 1, 0, 0x6300),
        (0x33, 0, 1, 0x6982),
    ],
)
def test_external_authenticate(on: Wire, p1: int, cryptogram: int, mac: int, sw: int) -> None:
    """The host's cryptogram, its C-MAC and the level are checked; one try and no second."""
    base = SmartCardProtocol(on)
    base.select(AID.PIV)
    state, right = ScpState.scp03_init(base.send_apdu, Scp03KeyParams())
    body = bytes([right[0] ^ cryptogram]) + right[1:]
    head = bytes([0x84, 0x82, p1, 0x00, 16])
    signature = state.mac(head + body)
    apdu = head + body + bytes([signature[0] ^ mac]) + signature[1:]
    assert on.send(apdu) == sw
    assert on.send(apdu) in (0x6985, 0x6982)


def test_nothing_comes_between(on: Wire) -> None:
    """EXTERNAL AUTHENTICATE comes right after INITIALIZE UPDATE, or too late."""
    base = SmartCardProtocol(on)
    base.select(AID.PIV)
    state, cryptogram = ScpState.scp03_init(base.send_apdu, Scp03KeyParams())
    assert on.send("00f80000") == 0x9000
    head = bytes.fromhex("8482330010")
    assert on.send(head + cryptogram + state.mac(head + cryptogram)) == 0x6985


# --- where there is none -------------------------------------------------------------------


@pytest.mark.parametrize("model", ["yubikey-5.2.7", "yubikey-4.3.7", "piv-card"])
def test_older_tokens_have_no_channels(model: str) -> None:
    """Before firmware 5.3, and on other makers' cards, there is nothing to secure."""
    on = wire(model)
    assert on.send("00a4040008a000000151000000") in (0x6A82, 0x6999)
    assert on.send(SELECT_PIV) == 0x9000
    assert on.send("8050ff0008" + "00" * 8) == 0x6D00
    assert on.send("04f8000008" + "00" * 8) == 0x6882


def test_scp11_is_younger_than_scp03() -> None:
    """Firmware 5.4.3 opens SCP03; commands of SCP11 are unknown to it."""
    on = wire("yubikey-5.4.3")
    assert open_scp03(on).send_apdu(*GET_SERIAL)
    on.send(SELECT_PIV)
    for head in ("80881301", "80821101", "802a0110"):
        assert on.send(head + "08" + "00" * 8) == 0x6D00
