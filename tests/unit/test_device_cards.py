"""What an ATR and a CHUID say of a card, and how commands go to one over T=0 and T=1."""

from __future__ import annotations

import pytest
from yubikit.core import TRANSPORT, Tlv
from yubikit.core.smartcard import ApduError, SmartCardConnection
from yubikit.piv import KEY_TYPE, SLOT, FascN

from tokenprov.device.atr import historical_bytes, maker_of
from tokenprov.device.iso7816 import Exchange
from tokenprov.device.piv_card import PivCardApplet
from tokenprov.device.piv_card_identity import serial_of
from tokenprov.device.piv_card_keys import signature_input
from tokenprov.device.translate import translated
from tokenprov.errors import (
    AuthenticationBlocked,
    AuthenticationFailed,
    NotSupported,
    TokenRefused,
)

ATRS = {  # ISO/IEC 7816-3, 8.2: interface bytes by T0 and TDi, then the historical bytes
    "3bfd1300008131fe158073c021c057597562694b657940": "YubiKey",
    "3b09805756697274504956": "VirtPIV",
    "3bdb960080b1fe451f830031c064c3080100900096": "unknown",  # a name is not among these
    "3b6f00000041434d455f4341524400000000000000": "ACME_CARD",  # no category: the longest run
    "3b0580654143": "unknown",  # a length that lies
    "3b": "unknown",
    "": "unknown",
    "3bff": "unknown",
}


@pytest.mark.parametrize(("atr", "maker"), ATRS.items(), ids=list(ATRS))
def test_the_maker_is_what_the_historical_bytes_say(atr: str, maker: str) -> None:
    """A readable name there is taken as it is; whatever else comes is no error."""
    assert maker_of(bytes.fromhex(atr)) == maker


def test_historical_bytes_end_where_the_check_byte_begins() -> None:
    """TCK is none of them."""
    atr = bytes.fromhex("3bfd1300008131fe158073c021c057597562694b657940")
    assert historical_bytes(atr) == bytes.fromhex("8073c021c057597562694b6579")


GUID = bytes(range(16))
FEDERAL = bytes(FascN(32, 1, 92446, 0, 1, 1112223333, 1, 1223, 2))  # "TIG SCEPACS" 2.2, example
ANYBODY = bytes(FascN(9999, 9999, 999999, 0, 1, 0, 3, 0, 1))


def chuid(**fields: bytes) -> bytes:
    """A CHUID of a FASC-N and a GUID."""
    tags = {"fasc_n": 0x30, "guid": 0x34}
    return b"".join(Tlv(tags[name], value) for name, value in fields.items()) + Tlv(0xFE, b"")


@pytest.mark.parametrize(
    ("value", "serial"),
    [
        (chuid(fasc_n=FEDERAL, guid=GUID), GUID.hex()),
        (chuid(fasc_n=FEDERAL, guid=bytes(16)), "0032-0001-092446"),
        (chuid(fasc_n=ANYBODY, guid=bytes(16)), None),
        (chuid(fasc_n=ANYBODY), None),
        (chuid(fasc_n=bytes(25), guid=bytes(16)), None),
        (chuid(fasc_n=FEDERAL[:-1] + b"\0", guid=bytes(16)), None),  # its check sum is wrong
        (chuid(guid=GUID[:15]), None),
        (b"", None),
        (b"\x30\x82", None),
        (bytes(40), None),
    ],
)
def test_a_card_is_known_by_guid_then_by_fasc_n(value: bytes, serial: str | None) -> None:
    """What is nobody's, or makes no sense, names no card."""
    assert serial_of(value) == serial


class Script(SmartCardConnection):
    """A card that hears exactly these commands and gives these answers, all in hex."""

    def __init__(self, *exchanges: tuple[str, str]) -> None:
        self._left = list(exchanges)

    @property
    def transport(self) -> TRANSPORT:
        """As if on USB."""
        return TRANSPORT.USB

    def close(self) -> None:
        """Nothing to do."""

    def send_and_receive(self, apdu: bytes) -> tuple[bytes, int]:
        """The next one."""
        heard, answer = self._left.pop(0)
        assert apdu.hex() == heard
        raw = bytes.fromhex(answer)
        return raw[:-2], int.from_bytes(raw[-2:])

    def done(self) -> bool:
        """Whether all was heard."""
        return not self._left


LONG = bytes(300)
CASES = {
    "T=1, no data": (False, b"", False, [("00200080", "63c3")]),
    "T=0, no data": (True, b"", False, [("0020008000", "63c3")]),
    "T=1, data and answer": (False, b"\1", True, [("002000800101" + "00", "aabb9000")]),
    "T=0, data and answer": (
        True,
        b"\1",
        True,
        [("002000800101", "6102"), ("00c0000002", "aabb9000")],
    ),
    "T=0, another length": (
        True,
        b"\1",
        True,
        [("002000800101", "6100"), ("00c0000000", "6c02"), ("00c0000002", "aabb9000")],
    ),
    "answer in parts": (
        False,
        b"\1",
        True,
        [("00200080010100", "aa6101"), ("00c0000001", "bb9000")],
    ),
    "T=1, another length": (
        False,
        b"\1",
        True,
        [("00200080010100", "6c02"), ("00200080010102", "aabb9000")],
    ),
    "chained": (
        False,
        LONG,
        False,
        [("10200080ff" + LONG[:255].hex(), "9000"), ("002000802d" + LONG[255:].hex(), "9000")],
    ),
    "chain refused": (False, LONG, False, [("10200080ff" + LONG[:255].hex(), "6884")]),
}


@pytest.mark.parametrize("name", CASES)
def test_commands_as_the_protocol_wants_them(name: str) -> None:
    """Each goes out, and each answer comes in, byte by byte as ISO/IEC 7816 has it."""
    t0, data, answers, exchanges = CASES[name]
    card = Script(*exchanges)
    exchange = Exchange(card, t0=t0)
    sw = int(exchanges[-1][1][-4:], 16)
    if sw == 0x9000:
        answer = exchange.send(0x20, 0, 0x80, data, answers=answers)
        assert answer == (b"\xaa\xbb" if answers else b"")
    else:
        with pytest.raises(ApduError) as caught:
            exchange.send(0x20, 0, 0x80, data, answers=answers)
        assert caught.value.sw == sw
    assert card.done()


def test_an_answer_that_promises_more_and_gives_nothing() -> None:
    """It would be fetched for ever."""
    script = Script(("0020008000", "6110"), *[("00c0000010", "6110")] * 3)
    with pytest.raises(TokenRefused, match="has no end"):
        Exchange(script).send(0x20, 0, 0x80, answers=True)


@pytest.mark.parametrize(
    ("sw", "left"),
    [(0x63C2, 2), (0x63C0, 0), (0x6983, 0), (0x6300, None), (0x6303, 3), (0x63FF, 255)],
)
def test_tries_that_a_status_word_tells(sw: int, left: int | None) -> None:
    """In four bits, in eight as the maker's first firmware has it, or not at all."""
    with pytest.raises(AuthenticationFailed) as raised, translated("verifying the PIN"):
        raise ApduError(b"", sw)
    assert raised.value.retries_left == left
    assert isinstance(raised.value, AuthenticationBlocked) is (left == 0)


class Card(SmartCardConnection):
    """A card with PIV and nothing on it that answers every use of a key so, in hex."""

    transport = TRANSPORT.USB

    def __init__(self, answer: str) -> None:
        self._answer = bytes.fromhex(answer)

    def close(self) -> None:
        """Nothing to do."""

    def send_and_receive(self, apdu: bytes) -> tuple[bytes, int]:
        """SELECT works, a key is used, and nothing else is there."""
        if apdu[1] == 0x87:
            return self._answer[:-2], int.from_bytes(self._answer[-2:])
        return b"", 0x9000 if apdu[1] == 0xA4 else 0x6A82


@pytest.mark.parametrize("answer", ["9000", "7c009000", "ffff9000", "6982", "6983"])
def test_a_slot_is_empty_only_where_no_key_answers(answer: str) -> None:
    """Whatever comes with 9000 is by a key, nonsense too, and nothing is made over it."""
    applet = PivCardApplet(Exchange(Card(answer)))
    with pytest.raises(NotSupported, match="reading the key"):
        applet.key(SLOT.AUTHENTICATION)
    assert PivCardApplet(Exchange(Card("6a80"))).key(SLOT.AUTHENTICATION) is None


def test_rsa_blocks_are_padded_as_pkcs1_has_it() -> None:
    """RFC 8017, 9.2: 00 01, FF to the length, 00, and the DigestInfo of SHA-256."""
    block = signature_input(KEY_TYPE.RSA2048, b"abc")
    assert len(block) == 256
    info = "3031300d060960864801650304020105000420"  # RFC 8017, 9.2, note 1
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-4
    assert block.hex() == f"0001{'ff' * 202}00{info}{digest}"


class Other(Card):
    """A card with PIV whose answers, in hex, are by the first bytes of the command."""

    def __init__(self, **answers: list[str]) -> None:
        super().__init__("6a86")
        self._by = {head.removeprefix("to_"): left for head, left in answers.items()}

    def send_and_receive(self, apdu: bytes) -> tuple[bytes, int]:
        """The next answer for that command; the last one again and again."""
        for head, left in self._by.items():
            if apdu.hex().startswith(head):
                answer = bytes.fromhex(left.pop(0) if len(left) > 1 else left[0])
                return answer[:-2], int.from_bytes(answer[-2:])
        return super().send_and_receive(apdu)


@pytest.mark.parametrize("answers", [["6f00", "6982"], ["6581", "6982"], ["6400", "6983"]])
def test_an_accident_is_not_taken_for_an_empty_slot(answers: list[str]) -> None:
    """A probe that breaks off says nothing of the key: it is asked again, and there it is."""
    applet = PivCardApplet(Exchange(Other(to_0087119a=answers)))
    with pytest.raises(NotSupported, match="reading the key"):
        applet.key(SLOT.AUTHENTICATION)


def test_an_accident_that_stays_is_how_a_card_says_no() -> None:
    """Some answer so to every algorithm that they have no key of."""
    assert PivCardApplet(Exchange(Card("6f00"))).key(SLOT.AUTHENTICATION) is None


def test_a_key_of_an_old_algorithm_is_seen() -> None:
    """RSA of 1024 bits is never made, and is nobody's to overwrite."""
    applet = PivCardApplet(Exchange(Other(to_0087069a=["6982"])))
    with pytest.raises(NotSupported, match="reading the key"):
        applet.key(SLOT.AUTHENTICATION)
    assert applet.key(SLOT.SIGNATURE) is None


@pytest.mark.parametrize("answer", ["6982", "6900", "6f00", "6a80", "53009000", "7e009000"])
def test_a_discovery_object_that_is_not_shown_says_nothing(answer: str) -> None:
    """The card need not have one (part 1, 3.3.2), and is used as one without."""
    applet = PivCardApplet(Exchange(Other(to_00cb3fff035c017e=[answer])))
    assert applet.key(SLOT.AUTHENTICATION) is None


@pytest.mark.parametrize("content", ["", "7000", "7000710100fe00", "7100fe00"])
def test_an_emptied_certificate_is_none(content: str) -> None:
    """What middleware leaves of one that it deletes; other bytes are given as they are."""
    read = f"53{len(content) // 2:02x}{content}9000"
    found = PivCardApplet(Exchange(Other(to_00cb3fff055c035fc105=[read]))).certificate(0x9A)
    assert found == (bytes.fromhex(content) if content == "7100fe00" else None)
