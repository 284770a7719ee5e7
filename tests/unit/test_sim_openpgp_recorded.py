"""The virtual OpenPGP application beside what real YubiKeys answered.

Exchanges with a key of firmware 5.4.3, serial number 23852774: the recordings of
github.com/cunicu/go-openpgp-card (mockdata, Apache-2.0). Application related data of other keys:
as published in tests of OpenPGP card clients; what a factory puts in is cut out of them.
"""

from __future__ import annotations

import re

import pytest

from tests.openpgp_contact import Contact

SELECT = "00a4040006d27600012401"
APPLICATION = "00ca006e000bfe"  # extended: up to 3070 bytes
NONE = "00" * 20

HEAD = (
    "6e8201374f10d2760001240103040006{serial}00005f520800730000e00590007f740381012073820110"
    "c00a7d000bfe080000ff0000c106010800001100c206010800001100c306010800001100da06010800001100"
    "c407{policy}7f7f7f030003c550"
)
TAIL = "de0801000200030081027f660802020bfe02020bfed6020020d7020020d8020020d9020020"
CURVES = (
    "c106010800001100c106010c00001100c106011000001100c109132a8648ce3d030107c106132b81040022"
    "c106132b81040023c106132b8104000ac10a132b2403030208010107c10a132b240303020801010b"
    "c10a132b240303020801010dc10a162b06010401da470f01c10b162b060104019755010501"
)


def application_data(serial: str, policy: str, fingerprint: str, time: str) -> str:
    """Application related data of firmware 5.2 and later without keys, as real ones have it."""
    return (
        HEAD.format(serial=serial, policy=policy)
        + NONE * 3
        + fingerprint
        + "c650"
        + NONE * 4
        + "cd10"
        + "00" * 12
        + time
        + TAIL
        + "9000"
    )


def selected(model: str, serial: int) -> Contact:
    """A fresh token with OpenPGP selected."""
    contact = Contact(model, serial=serial)
    assert contact.exchange(SELECT) == "9000"
    return contact


@pytest.mark.parametrize(
    ("model", "serial", "policy", "time"),
    [
        ("yubikey-5.2.7", 16019180, "ff", "00000000"),
        ("yubikey-5.4.3", 23852774, "01", "624d7083"),
        ("yubikey-5.7.4", 37806840, "01", "683741cd"),
    ],
)
def test_application_data_of_a_fresh_key(model: str, serial: int, policy: str, time: str) -> None:
    """DO 6E equals a real key's but for the fingerprint of its attestation key."""
    answer = selected(model, serial).exchange(APPLICATION)
    start = len(HEAD.format(serial=serial, policy=policy) + NONE * 3)
    fingerprint = answer[start : start + 40]
    assert answer == application_data(str(serial), policy, fingerprint, time)
    assert (fingerprint == NONE) == (model == "yubikey-5.2.7")


def test_application_data_of_firmware_4() -> None:
    """A key of firmware 4 is a card of version 2.1, without curves, KDF and key information."""
    answer = selected("yubikey-4.3.7", 4174304).exchange("00ca006e00")
    assert answer == (
        "6e81dd4f10d276000124010201000604174304" + "00005f5208007300008005" + "90007f740381012073"
        "81b7c00a3c00000004c000ff00ffc106010800001100c206010800001100c306010800001100"
        "c407ff7f7f7f030003c53c" + NONE * 3 + "c63c" + NONE * 3 + "cd0c" + "00" * 12 + "9000"
    )


def test_short_answers_are_fetched_in_pieces() -> None:
    """Without an extended length the same comes as 256 bytes and 61xx, then by GET RESPONSE."""
    contact = selected("yubikey-5.4.3", 23852774)
    first, rest = contact.exchange("00ca006e00"), contact.exchange("00c00000")
    assert first[-4:] == "613b"
    assert first[:-4] + rest == contact.exchange(APPLICATION)


def test_algorithm_information() -> None:
    """DO FA of a 5.4.3 has its faults: EdDSA for X25519, and a length two bytes too long."""
    expected = CURVES
    for tag, ecdsa in (("c2", "12"), ("c3", "13"), ("da", "13")):
        expected += re.sub(r"c1(..)13", rf"{tag}\g<1>{ecdsa}", CURVES).replace("c106", f"{tag}06")
    expected = re.sub(r"c1(0[ab]16)", r"XX\1", expected)
    for tag in ("c1", "c2", "c3", "da"):
        expected = expected.replace("XX", tag, 2)
    answer = selected("yubikey-5.4.3", 23852774).exchange("00ca00fa000bfe")
    assert answer == "fa8201e2" + expected + "9000"
    assert len(expected) == 2 * (0x1E2 - 2)


# Exchanges in the order of the recording, each table with a fresh key.
RECORDED: dict[str, list[tuple[str, str]]] = {
    "fresh objects": [
        ("00ca0065000bfe", "65095b005f2d005f3501399000"),
        ("00ca007a000bfe", "7a0593030000009000"),
        ("00ca00f9000bfe", "8101009000"),
        ("00ca00c4000bfe", "017f7f7f0300039000"),
    ],
    "certificates": [
        ("00ca7f21000bfe", "9000"),
        ("00cc7f21000bfe", "9000"),
        ("00cc7f21000bfe", "9000"),
        ("00cc7f21000bfe", "6a80"),
        ("00a50104070660045c027f2100", "9000"),
        ("00ca7f21000bfe", "9000"),
    ],
    "cardholder": [
        ("00200083083132333435363738", "9000"),
        ("00da005b0d5374656666656e20566f67656c", "9000"),
        ("00da5f2d026465", "9000"),
        ("00da5f350131", "9000"),
        ("00ca0065000bfe", "65185b0d5374656666656e20566f67656c5f2d0264655f3501319000"),
    ],
    "private use": [
        ("0020008206313233343536", "9000"),
        ("00da010304cafebabe", "9000"),
        ("00ca0103000bfe", "cafebabe9000"),
    ],
    "wrong password": [
        ("002000810577726f6e67", "6a80"),
        ("0020008106313233343536", "9000"),
    ],
    "resetting code": [
        ("00e60000", "6982"),
        ("00200083083132333435363738", "9000"),
        ("00e60000", "9000"),
        ("00440000", "9000"),
        ("00da00d30d6d7920726573657420636f6465", "9000"),
        ("0020008113736f6d652077726f6e672070617373776f7264", "6982"),
        ("00ca00c4000bfe", "017f7f7f0203039000"),
        ("002c0081136d7920726573657420636f6465313233343536", "9000"),
        ("00ca00c4000bfe", "017f7f7f0303039000"),
    ],
    "unblocked by PW3": [
        ("0020008113736f6d652077726f6e672070617373776f7264", "6982"),
        ("00ca00c4000bfe", "017f7f7f0200039000"),
        ("00200083083132333435363738", "9000"),
        ("002c028106313233343536", "9000"),
        ("00ca00c4000bfe", "017f7f7f0300039000"),
    ],
    "tries": [
        ("00200083083132333435363738", "9000"),
        ("00f20000030b0c0d", "9000"),
        ("00ca00c4000bfe", "017f7f7f0b000d9000"),
        ("00da00d30d6d7920726573657420636f6465", "9000"),
        ("00ca00c4000bfe", "017f7f7f0b0c0d9000"),
        ("0020008113736f6d652077726f6e672070617373776f7264", "6982"),
        ("0020008113736f6d652077726f6e672070617373776f7264", "6982"),
        ("00ca00c4000bfe", "017f7f7f090c0d9000"),
    ],
    "import of X25519": [
        ("00200083083132333435363738", "9000"),
        ("00da00c20b122b060104019755010501", "9000"),
        ("00db3fff2f4d2db8038401027f480292205f4820" + "ab" * 32, "9000"),
        ("00da00cf046563d4c4", "9000"),
    ],
}


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_exchanges(name: str) -> None:
    """Commands are answered byte for byte as the real key answered them."""
    contact = selected("yubikey-5.4.3", 23852774)
    assert [(sent, contact.exchange(sent)) for sent, _ in RECORDED[name]] == RECORDED[name]


def test_recorded_key_derivation() -> None:
    """The set-up of a KDF that the recording has, with its hashes, and the way back."""
    user = (
        "c6a8ae5ea8adf3cc733df4212bfd595098f4b9998b8c06ed38f5e281625d618b"
        "56ccd4dac0c91d287873caa38599c333a27eec3133b622719dcee8f18b2da073"
    )
    admin = (
        "4697ac90356e37c9e1f7097d3a5721b75986af308920304b110cb6a7775a8a85"
        "2de7d3b913a92f45afc1fc5ce87b9a4ae3227de8f4f1aa03c841fd32f10b000f"
    )
    salts = "".join(f"{tag}08" + "ab" * 8 for tag in ("84", "85", "86"))
    kdf = "81010382010a8304000186a0" + salts + f"8740{user}8840{admin}"
    exchanges = [
        ("00200083083132333435363738", "9000"),
        ("00240083483132333435363738" + admin, "9000"),
        ("0024008146313233343536" + user, "9000"),
        ("00da00f9ae" + kdf, "9000"),
        ("00ca00f9000bfe", kdf + "9000"),
        ("0020008140" + user, "9000"),
        ("0020008340" + admin, "9000"),
        ("0024008146" + user + "313233343536", "9000"),
        ("0024008348" + admin + "3132333435363738", "9000"),
        ("00da00f903810100", "9000"),
        ("0020008106313233343536", "9000"),
        ("00200083083132333435363738", "9000"),
    ]
    contact = selected("yubikey-5.4.3", 23852774)
    assert [(sent, contact.exchange(sent)) for sent, _ in exchanges] == exchanges
