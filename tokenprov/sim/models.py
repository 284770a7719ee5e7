"""The kinds of token that the simulator makes, and what differs between them.

A model is plain data; applets read it (and `Body.version`) to decide what they know. Sources: the
ATRs, AAGUIDs and capability lists that the maker publishes for each series (YubiKey 5 Series
Technical Manual; "YubiKey hardware FIDO2 AAGUIDs"), and ISO/IEC 7816-3, 8.2 for ATRs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum, IntFlag
from functools import reduce

from tokenprov.sim.apdu import SW
from tokenprov.sim.applet import Version


class Kind(Enum):
    """What a token is at heart: it decides which applets there are."""

    YUBIKEY = "yubikey"
    SECURITY_KEY = "security-key"  # FIDO only, no serial
    PIV_CARD = "piv-card"  # SP 800-73 and nothing else, of another maker
    PLAIN_CARD = "plain-card"  # the same by another hand (applets/plain_piv.py)


class FormFactor(IntEnum):
    """Form factor codes of the device information (management TLV 0x04, low nibble)."""

    UNKNOWN = 0x00
    USB_A_KEYCHAIN = 0x01
    USB_A_NANO = 0x02
    USB_C_KEYCHAIN = 0x03
    USB_C_NANO = 0x04
    USB_C_LIGHTNING = 0x05


class Capability(IntFlag):
    """Capability bits of the device information (management TLVs 0x01, 0x03, 0x0D, 0x0E)."""

    OTP = 0x001
    U2F = 0x002
    CCID = 0x004  # the CCID interface at large; set on every key that has it
    OPENPGP = 0x008
    PIV = 0x010
    OATH = 0x020
    HSMAUTH = 0x100
    FIDO2 = 0x200


NOTHING = Capability(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One model of token.

    `aaguid` is 16 bytes (zeros where there is no FIDO2). `reader_name` is what libccid calls its
    reader, without the numbers that pcscd appends. `fips_capable` are the applets that can reach
    approved mode. `usb_supported` and `nfc_supported` are what the hardware has. `contactless` is
    whether it lies on a reader of somebody else's, by NFC.
    """

    name: str
    version: Version
    kind: Kind
    fips: bool = False
    form_factor: FormFactor = FormFactor.USB_A_KEYCHAIN
    has_serial: bool = True
    pin_complexity: bool = False
    usb_supported: Capability = NOTHING
    nfc_supported: Capability = NOTHING
    fips_capable: Capability = NOTHING
    atr: bytes
    reader_name: str
    contactless: bool = False
    aaguid: bytes = bytes(16)
    part_number: str = ""
    unknown_aid_sw: int = SW.FILE_NOT_FOUND
    t0: bool = False  # it speaks T=0, else T=1

    @property
    def has_fido2(self) -> bool:
        """Whether it speaks CTAP2 (and not only U2F)."""
        return Capability.FIDO2 in self.usb_supported


def _atr(*parts: bytes) -> bytes:
    """Join the parts of an ATR and append TCK (ISO/IEC 7816-3, 8.2.5: XOR from T0 on is zero)."""
    head = b"".join(parts)
    return head + bytes([reduce(lambda a, b: a ^ b, head[1:])])


# TS T0, TA1 TB1 TC1 TD1 (T=1), TD2 (T=1), TA3 = IFSC 254, TB3; then historical bytes. A second
# nibble of F tells clients that the token hangs on USB.
_INTERFACE = bytes.fromhex("1300008131fe15")
ATR_YUBIKEY_5 = _atr(b"\x3b\xfd", _INTERFACE, bytes.fromhex("8073c021c057"), b"YubiKey")
ATR_YUBIKEY_4 = _atr(b"\x3b\xf8", _INTERFACE, b"Yubikey4")
ATR_YUBIKEY_5_NFC = _atr(  # PC/SC part 3, 3.1.3.2.3.1: the historical bytes of a contactless card
    b"\x3b\x8d", bytes.fromhex("80018073c021c057"), b"YubiKey"
)
ATR_PIV_CARD = _atr(
    b"\x3b\xdd",
    bytes.fromhex("18008131fe45"),
    bytes.fromhex("8073c021c056"),
    b"IRTPIV1",
)

# No interface byte, so T=0; historical bytes as compact TLV 5: card issuer's data
ATR_PLAIN_CARD = bytes.fromhex("3b098057") + b"VirtPIV"

_YUBIKEY_READER = "Yubico YubiKey OTP+FIDO+CCID"
_FIDO = Capability.U2F | Capability.FIDO2
_ALL_4 = (
    Capability.OTP
    | Capability.U2F
    | Capability.CCID
    | Capability.OPENPGP
    | Capability.PIV
    | Capability.OATH
)
_ALL_52 = _ALL_4 | Capability.FIDO2
_ALL_54 = _ALL_52 | Capability.HSMAUTH
_FIPS = (
    Capability.FIDO2 | Capability.PIV | Capability.OPENPGP | Capability.OATH | Capability.HSMAUTH
)

_MODELS = (
    Model(
        name="yubikey-5.7.4",
        version=(5, 7, 4),
        kind=Kind.YUBIKEY,
        usb_supported=_ALL_54,
        nfc_supported=_ALL_54,
        atr=ATR_YUBIKEY_5,
        reader_name=_YUBIKEY_READER,
        aaguid=bytes.fromhex("a25342c03cdc44148e46f4807fca511c"),
    ),
    Model(  # the same key laid on a contactless reader: clients know both by the reader's name
        name="yubikey-5.7.4-nfc",
        version=(5, 7, 4),
        kind=Kind.YUBIKEY,
        usb_supported=_ALL_54,
        nfc_supported=_ALL_54,
        atr=ATR_YUBIKEY_5_NFC,
        reader_name="Virtual Contactless Reader",
        contactless=True,
        aaguid=bytes.fromhex("a25342c03cdc44148e46f4807fca511c"),
    ),
    Model(
        name="yubikey-5.7.4-fips",
        version=(5, 7, 4),
        kind=Kind.YUBIKEY,
        fips=True,
        pin_complexity=True,
        fips_capable=_FIPS,
        usb_supported=_ALL_54,
        nfc_supported=_ALL_54,
        atr=ATR_YUBIKEY_5,
        reader_name=_YUBIKEY_READER,
        aaguid=bytes.fromhex("fcc0118fcd45435b8da19782b2da0715"),
    ),
    Model(
        name="yubikey-5.4.3",
        version=(5, 4, 3),
        kind=Kind.YUBIKEY,
        usb_supported=_ALL_54,
        nfc_supported=_ALL_54,
        atr=ATR_YUBIKEY_5,
        reader_name=_YUBIKEY_READER,
        aaguid=bytes.fromhex("2fc0579f811347eab116bb5a8db9202a"),
    ),
    Model(
        name="yubikey-5.4.3-fips",
        version=(5, 4, 3),
        kind=Kind.YUBIKEY,
        fips=True,
        usb_supported=_ALL_54,
        nfc_supported=_ALL_54,
        atr=ATR_YUBIKEY_5,
        reader_name=_YUBIKEY_READER,
        aaguid=bytes.fromhex("c1f9a0bc1dd2404ab27f8e29047a43fd"),
    ),
    Model(
        name="yubikey-5.2.7",
        version=(5, 2, 7),
        kind=Kind.YUBIKEY,
        usb_supported=_ALL_52,
        nfc_supported=_ALL_52,
        atr=ATR_YUBIKEY_5,
        reader_name=_YUBIKEY_READER,
        aaguid=bytes.fromhex("2fc0579f811347eab116bb5a8db9202a"),
    ),
    Model(
        name="yubikey-4.3.7",
        version=(4, 3, 7),
        kind=Kind.YUBIKEY,
        usb_supported=_ALL_4,
        atr=ATR_YUBIKEY_4,
        reader_name=_YUBIKEY_READER,
    ),
    Model(  # one that tells no serial, in any application
        name="yubikey-5.7.4-no-serial",
        version=(5, 7, 4),
        kind=Kind.YUBIKEY,
        has_serial=False,
        usb_supported=_ALL_54,
        nfc_supported=_ALL_54,
        atr=ATR_YUBIKEY_5,
        reader_name=_YUBIKEY_READER,
        aaguid=bytes.fromhex("a25342c03cdc44148e46f4807fca511c"),
    ),
    Model(
        name="security-key-5.7",
        version=(5, 7, 4),
        kind=Kind.SECURITY_KEY,
        has_serial=False,
        usb_supported=_FIDO | Capability.CCID,
        nfc_supported=_FIDO,
        atr=ATR_YUBIKEY_5,
        reader_name="Yubico YubiKey FIDO+CCID",
        aaguid=bytes.fromhex("e77e3c6405e3428b88240cbeb04b829d"),
    ),
    Model(  # its FIDO interface alone: nothing for PC/SC to see
        name="security-key-5.7-hid",
        version=(5, 7, 4),
        kind=Kind.SECURITY_KEY,
        has_serial=False,
        usb_supported=_FIDO,
        nfc_supported=_FIDO,
        atr=ATR_YUBIKEY_5,
        reader_name="Yubico YubiKey FIDO",
        aaguid=bytes.fromhex("e77e3c6405e3428b88240cbeb04b829d"),
    ),
    Model(
        name="piv-card",
        version=(1, 0, 0),
        kind=Kind.PIV_CARD,
        has_serial=False,
        usb_supported=Capability.PIV | Capability.CCID,
        atr=ATR_PIV_CARD,
        reader_name="Virtual Smart Card Reader",
    ),
    Model(
        name="piv-card-t0",
        version=(1, 0, 0),
        kind=Kind.PLAIN_CARD,
        has_serial=False,
        usb_supported=Capability.PIV | Capability.CCID,
        atr=ATR_PLAIN_CARD,
        reader_name="Virtual Smart Card Reader",
        unknown_aid_sw=SW.FUNCTION_NOT_SUPPORTED,
        t0=True,
    ),
)

MODELS = {model.name: model for model in _MODELS}
DEFAULT_MODEL = "yubikey-5.7.4"
