"""A token on an exclusive connection: what it says it is, and its applets, one selected at a time.

Rules:
- The serial is read on the connection that will write, and the applets must agree on it.
- A reader's name says nothing about the token in it.
- One session per applet: selecting costs a round trip and forgets a verified PIN. All but OATH's,
  which has a new challenge each time, are kept with what they know, and selected again when they
  send a command (`kept`).
- Every applet is talked to through `SecuredConnection`: over a secure channel where one is set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress

from fido2.ctap import CtapDevice
from yubikit.core import TRANSPORT, USB_INTERFACE, ApplicationNotAvailableError
from yubikit.management import CAPABILITY, DeviceInfo
from yubikit.support import get_name

from tokenprov.device.atr import maker_of
from tokenprov.device.card import PivCard
from tokenprov.device.comeback import Link, moving
from tokenprov.device.fido2 import Fido2, Surroundings
from tokenprov.device.fido2_card import CardDevice
from tokenprov.device.fido_card import FidoCard
from tokenprov.device.hid import WatchedDevice, over_hid, plugged_in
from tokenprov.device.hid_token import HidToken
from tokenprov.device.hsmauth import HsmAuth
from tokenprov.device.kept import KeptConnection, Selection
from tokenprov.device.management import Management, NotAYubiKey, device_info
from tokenprov.device.oath import Oath
from tokenprov.device.openpgp import OpenPgp
from tokenprov.device.otp import Otp
from tokenprov.device.pcsc import PcscConnection, ReaderState
from tokenprov.device.piv import Piv
from tokenprov.device.pkcs11 import Pkcs11Token
from tokenprov.device.reset import Application, reset
from tokenprov.device.secured import SecuredConnection
from tokenprov.device.security_domain import SecurityDomain
from tokenprov.device.translate import translated
from tokenprov.device.watch import Watch
from tokenprov.errors import NotSupported, TokenRefused, WrongToken
from tokenprov.model import TokenId, TokenKind
from tokenprov.step import Operator
from tokenprov.token import Keyring, Pkcs11Applet, SecureChannel

YUBICO = "yubi"  # in the ATR of every YubiKey, "YubiKey" or "Yubikey"


class YubiKey:
    """Implements `token.Token` for a YubiKey."""

    def __init__(
        self, connection: PcscConnection, operator: Operator, link: Link | None = None
    ) -> None:
        """With `link` the token is found again after a restart; without, it stays where it is."""
        self._connection = SecuredConnection(connection)
        self._link = link
        self.restarting = False  # it left its reader and was not found again yet
        self._operator = operator
        self._selection = Selection()
        self._nodes = ExitStack()  # the HID node that FIDO2 is talked to by, while it is open
        self._forget_kept()
        self.keyring = Keyring()
        self.reader, self._watch = connection.reader, connection.watch
        self._management = Management(
            self._deselected, device_info(connection), connection.transport, self._restarting
        )
        self.id = TokenId(
            maker="yubico",
            model=get_name(self._info, None),
            firmware=str(self._info.version),
            serial=str(self._info.serial) if self._info.serial else None,
        )

    def close(self) -> None:
        """Let its HID node go; the connection is whose it was."""
        self._nodes.close()

    def _forget_kept(self) -> None:
        self._selected = None
        self._nodes.close()
        self._piv: Piv | None = None
        self._otp: Otp | None = None
        self._fido2: Fido2 | None = None
        self._openpgp: OpenPgp | None = None
        self._hsmauth: HsmAuth | None = None

    @property
    def _selected(self) -> object | None:
        """The applet that is selected, where its session is not one of those that are kept."""
        return self._selection.holder

    @_selected.setter
    def _selected(self, applet: object | None) -> None:
        self._selection.take(applet)

    def _kept(self) -> KeptConnection:
        return KeptConnection(self._connection, self._selection)

    @property
    def _info(self) -> DeviceInfo:
        return self._management.info

    @property
    def moved(self) -> ReaderState | None:
        """The reader and the insertion that it is in now, where it came back after a restart."""
        return None if self._link is None else self._link.moved

    @property
    def firmware(self) -> tuple[int, int, int]:
        """The firmware's version."""
        major, minor, patch = self._info.version
        return major, minor, patch

    @property
    def is_fips(self) -> bool:
        """Whether it is of the FIPS series."""
        return bool(self._info.is_fips)

    @property
    def kind(self) -> TokenKind:
        """A YubiKey, or a Security Key, which has FIDO and nothing else."""
        return TokenKind.SECURITY_KEY if self._info.is_sky else TokenKind.YUBIKEY

    def has(self, capability: CAPABILITY) -> bool:
        """Whether an application is enabled on this transport."""
        enabled = self._info.config.enabled_capabilities.get(self._connection.transport)
        return enabled is None or bool(enabled & capability)

    def _enabled_anywhere(self, capability: CAPABILITY) -> bool:
        """Whether an application is enabled on any transport, or may be."""
        enabled = self._info.config.enabled_capabilities
        return not enabled or any(switches & capability for switches in enabled.values())

    def management(self) -> Management:
        """The device configuration; selected only when it is written, or read again."""
        return self._management

    def security_domain(self) -> SecurityDomain:
        """The security domain, selected, on the plain connection. `NotSupported` without one."""
        return SecurityDomain(self._deselected().plain)

    def secure(self, channel: SecureChannel | None) -> None:
        """Send every command to an applet through such a channel; FIDO2 over HID has none."""
        self._deselected().secure(channel)

    def _deselected(self) -> SecuredConnection:
        """The connection, for another applet than the one that is selected."""
        self._selected = None
        return self._connection

    def _restarting(self, interfaces: USB_INTERFACE) -> Callable[[], None]:
        link, serial = self._link, self.id.serial
        if self._connection.transport is TRANSPORT.USB and USB_INTERFACE.CCID not in interfaces:
            if not any(one.has_ccid for one in plugged_in()):
                raise NotSupported(
                    f"token {self.id.label} would lose its smart-card interface, and without it"
                    " nothing reaches it here",
                    remedy="Leave one of piv, oath, openpgp and hsmauth on, or do it on a station"
                    " that has the token on its own USB.",
                )
            return moving(self.id)
        if link is not None:
            link.watch(serial)

        def come_back() -> None:
            self._forget_kept()
            if link is not None and serial is not None:
                self.restarting = True
                try:
                    connection = link.again(serial)
                    self._connection.moved(connection)
                    self.reader = connection.reader
                finally:
                    self.restarting = False

        return come_back

    def piv(self) -> Piv:
        """PIV; its serial must be the token's."""
        if self._piv is None:
            self._require(CAPABILITY.PIV, "PIV")
            connection = self._kept()
            piv = Piv(connection)
            connection.left = piv.left
            serial = piv.serial()
            if serial is not None and self.id.serial is not None and serial != self.id.serial:
                raise WrongToken(
                    f"token {self.id.label}: its PIV application says serial {serial}",
                    remedy="Set it aside: a token whose applications disagree is not issued.",
                )
            self._piv = piv
        return self._piv

    def otp(self) -> Otp:
        """OTP."""
        if self._otp is None:
            self._require(CAPABILITY.OTP, "OTP")
            self._otp = Otp(self._kept())
        return self._otp

    def fido2(self) -> Fido2:
        """FIDO2: over HID, where its serial is found there, else over this connection."""
        if self._fido2 is None:
            self._require(CAPABILITY.FIDO2, "FIDO2")
            connection = self._kept()
            self._fido2 = Fido2(
                self._fido_device(connection),
                self.touch,
                Surroundings(
                    u2f_enabled=lambda: self._enabled_anywhere(CAPABILITY.U2F),
                    enforces_complexity=lambda: self._info.pin_complexity,
                ),
            )
            connection.left = self._fido2.left
        return self._fido2

    def oath(self) -> Oath:
        """OATH, selected."""
        if not isinstance(self._selected, Oath):
            self._require(CAPABILITY.OATH, "OATH")
            self._selected = Oath(self._connection)
        return self._selected

    def openpgp(self) -> OpenPgp:
        """OpenPGP."""
        if self._openpgp is None:
            self._require(CAPABILITY.OPENPGP, "OpenPGP")
            connection = self._kept()
            self._openpgp = OpenPgp(connection)
            connection.left = self._openpgp.left
        return self._openpgp

    def hsmauth(self) -> HsmAuth:
        """YubiHSM Auth, which opens nothing for longer than a command."""
        if self._hsmauth is None:
            self._require(CAPABILITY.HSMAUTH, "YubiHSM Auth")
            self._hsmauth = HsmAuth(self._kept())
        return self._hsmauth

    def pkcs11(self) -> Pkcs11Applet:
        """Raises `NotSupported`: it is spoken to in the commands of its own applications."""
        raise NotSupported(
            f"token {self.id.label} was not opened through a PKCS#11 module",
            remedy="Use a profile with [piv].",
        )

    def _fido_device(self, connection: KeptConnection) -> CtapDevice:
        serial = self.id.serial
        if serial is not None and any(one.fido and one.has_ccid for one in plugged_in()):
            with suppress(NotSupported):
                return self._over_hid(serial)
        with translated("selecting FIDO2"):
            try:
                return CardDevice(connection)
            except (ApplicationNotAvailableError, ValueError):  # not over CCID
                if serial is None:
                    raise
        return self._over_hid(serial)

    def _over_hid(self, serial: str) -> CtapDevice:
        self._nodes.close()  # of a FIDO2 that did not come to be
        device = over_hid(serial)
        self._nodes.callback(device.close)
        return device if self._watch is None else WatchedDevice(device, self._watch)

    @property
    def applications(self) -> tuple[str, ...]:
        """Those that it has here and that can be put back to the factory's, FIDO2 the last."""
        supported = self._info.supported_capabilities.get(self._connection.transport)
        return tuple(
            str(one)
            for one in Application
            if self.has(one.capability) and (supported is None or supported & one.capability)
        )

    def reset(self, application: str) -> None:
        """Put one back to the factory's; not FIDO2, which is done after it was put in again."""
        self._forget_kept()
        reset(self._connection, Application(application))

    def touch(self, reason: str) -> AbstractContextManager[None]:
        """Ask the operator to touch this token."""
        return self._operator.touch(self.reader, self.id.label, reason)

    def _require(self, capability: CAPABILITY, name: str) -> None:
        self._selected = None  # whatever comes next deselects it
        if not self.has(capability):
            raise NotSupported(
                f"token {self.id.label}: {name} is missing or switched off",
                remedy=f"Enable {name} (ykman config usb --enable {name}), or use another profile.",
            )


AnyToken = YubiKey | PivCard | FidoCard | Pkcs11Token | HidToken


@contextmanager
def opened(
    reader: str,
    operator: Operator,
    expect: Callable[[AnyToken], None] | None = None,
    watch: Watch | None = None,
) -> Iterator[AnyToken]:
    """The token in a reader or on a USB port, exclusively. `expect` may refuse it by what it says
    it is, or proves, `watch` hears of each command.

    Raises `TokenError`; `NotSupported` for a card that no applet here knows.
    """
    with ExitStack() as held:
        token: AnyToken
        usb = next((one for one in plugged_in() if one.reader == reader), None)
        if usb is not None:
            token = held.enter_context(HidToken(usb, operator, watch))
        else:
            link = held.enter_context(Link(reader, watch=watch))
            token = recognised(link.connection, operator, link)
            if isinstance(token, YubiKey):
                held.callback(token.close)
        if expect is not None:
            expect(token)
        yield token


def recognised(
    connection: PcscConnection, operator: Operator, link: Link | None = None
) -> YubiKey | PivCard | FidoCard:
    """What is on a connection, by its answers. Raises `TokenError`."""
    try:
        return YubiKey(connection, operator, link)
    except NotAYubiKey:
        if YUBICO in maker_of(connection.atr).lower():
            raise  # one that is out of order is not to pass for a card
        try:
            return PivCard(connection, operator)
        except NotSupported as neither:
            try:
                return FidoCard(connection, operator)
            except (NotSupported, TokenRefused):
                raise neither from None
