"""What the token answers to single commands: the status words and numbers that drivers go by."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from cryptography import x509
from fido2.ctap import CtapError
from yubikit.core.smartcard import AID

from hwtests.bench import Bench
from hwtests.conditions import application, firmware, numbered, transport
from hwtests.judges import MAKER
from tokenprov.device.pcsc import connected

pytestmark = [numbered()]
PROFILE = """
[piv]
[[piv.keys]]
slot = "9a"
algorithm = "eccp256"
"""
FACTORY_PIN, WRONG_PIN = b"123456\xff\xff", b"000000\xff\xff"  # SP 800-73-4 part 2, 2.4.3
OK = 0x9000
RESET_WINDOW = 10.0  # seconds after power-up, CTAP 2.1, 6.6
FIRMWARE, SERIAL, FORM_FACTOR = 3, 7, 9
FIPS = 0x80  # in the form factor
INTEGER = 0x02  # of DER

Status = Callable[[str, bytes], int]


@pytest.fixture
def piv(nobodys: Bench) -> Iterator[Status]:
    """PIV selected on a factory-fresh token: the status word for a header in hex and its data."""
    with connected(nobodys.reader) as connection:

        def status(header: str, data: bytes = b"") -> int:
            body = bytes([len(data)]) + data if data else b""
            return connection.send_and_receive(bytes.fromhex(header) + body)[1]

        assert status("00a40400", AID.PIV) == OK
        yield status


@application("piv")
@transport("ccid", "nfc")
@pytest.mark.parametrize(
    ("header", "data", "wanted"),
    [
        ("00200080", b"", 0x63C3),  # how many tries: SP 800-73-4 part 2, 3.2.1
        ("00cb3fff", bytes.fromhex("5c035fc105"), 0x6A82),  # no certificate there
        ("00db3fff", bytes.fromhex("5c035fc1025300"), 0x6982),  # no management key was given
        ("00ee0000", b"", 0x6D00),  # no such instruction
        ("00a40400", bytes.fromhex("f000000000"), 0x6A82),  # no such application
    ],
    ids=["tries", "no object", "no right", "no instruction", "no application"],
)
def test_status_words(piv: Status, header: str, data: bytes, wanted: int) -> None:
    """Each refusal is the one that drivers go by."""
    assert f"{piv(header, data):04x}" == f"{wanted:04x}"


@application("piv")
@transport("ccid", "nfc")
def test_tries_are_counted_in_the_status_word(piv: Status) -> None:
    """63C2 after a wrong PIN, and three again after the right one."""
    assert piv("00200080", WRONG_PIN) == 0x63C2
    assert piv("00200080", b"") == 0x63C2
    assert piv("00200080", FACTORY_PIN) == OK


@application("piv")
@firmware(">=5.0")
def test_an_attestation_says_who_it_is_by(issued: Bench) -> None:
    """Firmware and form factor as raw bytes, the serial as an integer of DER."""
    pem = issued.ykman("piv", "keys", "attest", "9a", "-")
    said = {
        one.oid.dotted_string: one.value.public_bytes()
        for one in x509.load_pem_x509_certificate(pem.encode()).extensions
        if one.oid.dotted_string.startswith(MAKER)
    }
    assert said[f"{MAKER}.{FIRMWARE}"] == bytes(issued.subject.firmware)
    tag, length, *value = said[f"{MAKER}.{SERIAL}"]
    assert (tag, length) == (INTEGER, len(value))
    assert int.from_bytes(bytes(value)) == int(issued.serial)
    (form,) = said[f"{MAKER}.{FORM_FACTOR}"]
    assert bool(form & FIPS) is issued.subject.fips


@application("fido2")
@firmware(">=5.4")
def test_fido2_says_its_firmware(nobodys: Bench) -> None:
    """In getInfo, a byte for each number."""
    with nobodys.ctap2() as ctap:
        assert ctap.info.firmware_version == int.from_bytes(bytes(nobodys.subject.firmware))


@application("fido2")
@transport("ccid", "hid")
def test_a_late_reset_is_refused(nobodys: Bench) -> None:
    """After its first ten seconds with power a token takes no reset."""
    time.sleep(RESET_WINDOW)
    with nobodys.ctap2() as ctap, pytest.raises(CtapError) as caught:
        ctap.reset()
    assert caught.value.code is CtapError.ERR.NOT_ALLOWED
