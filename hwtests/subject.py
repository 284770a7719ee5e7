"""The one token that these tests may wipe: named by its serial, and what it says it is.

Rules:
- Without a name there is no subject. The serial must be that of exactly one token that is plugged
  in, as it says itself; one that cannot be asked might be it too, and is told.
- A token without a serial is meant by a flag of its own, and only where no other is plugged in.
- Looking is all that is done here. What writes is told the serial again, and reads it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from yubikit.core import TRANSPORT, ApplicationNotAvailableError, CommandError
from yubikit.core.fido import SmartCardCtapDevice
from yubikit.management import CAPABILITY, DeviceInfo
from yubikit.yubiotp import YubiOtpSession

from hwtests.errors import NoSubject
from tokenprov.cli.readers import Nobody, seen
from tokenprov.device.hid import OtpNode, over_hid, plugged_in
from tokenprov.device.pcsc import connected
from tokenprov.device.sources import source_of
from tokenprov.device.token import opened
from tokenprov.errors import NotSupported, TokenError
from tokenprov.model import TokenId, TokenKind
from tokenprov.pkcs11.find import find_module

CARD = "piv-card"  # what a card of another maker has in place of applications
Seen = Sequence[tuple[str, TokenId | None, str]]  # reader, token, and why it could not be asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A token, by what it says of itself."""

    serial: str | None
    model: str
    firmware: tuple[int, ...]  # none of a card
    form_factor: str  # "usb-a-keychain"
    fips: bool
    transports: frozenset[str]  # "ccid", "hid", "nfc"
    fido_over: frozenset[str]  # of these, those that lead to FIDO2
    has_keyboard: bool  # whether it can type here
    applications: frozenset[str]  # those that are on: "otp", "piv"
    module: str | None = None  # the PKCS#11 module that it is reached through
    so_pin: str = field(default="", repr=False)  # that its maker published
    spare: Subject | None = None  # another token that may be wiped, too

    @property
    def is_card(self) -> bool:
        """Whether it is a PIV card of another maker."""
        return CARD in self.applications

    @property
    def name(self) -> str:
        """Model and firmware, for a file's name: "yubikey-5-nfc-5.7.4"."""
        version = ".".join(map(str, self.firmware))
        return "-".join([*self.model.lower().split(), *([version] if version else [])])


def named(found: Seen, serial: str | None, only: bool) -> tuple[str, TokenId]:
    """The reader and the token that are meant. Raises `NoSubject` for none or more than one."""
    here = [f"{token.label} in {reader}" if token else reader for reader, token, _ in found]
    if only:
        if len(found) != 1:
            raise NoSubject(f"--wipe-only-token wants one token and no other; there are {here}")
        reader, token, trouble = found[0]
        if token is None:
            raise NoSubject(f"the token in {reader} cannot be asked: {trouble}")
        if token.serial is not None:
            raise NoSubject(f"it has a serial: write --wipe {token.serial} if it is meant")
        return reader, token
    meant = [(reader, token) for reader, token, _ in found if token and token.serial == serial]
    if not meant:
        troubles = [f"{reader}: {trouble}" for reader, _, trouble in found if trouble]
        raise NoSubject(f"no token {serial} is plugged in; there are {[*here, *troubles]}")
    if len(meant) > 1:
        raise NoSubject(f"{len(meant)} tokens say that they are {serial}: {here}")
    return meant[0]


def find_subjects(serial: str | None, only: bool, spare: str | None) -> Subject:
    """The token that is meant, with its spare if there is one. Raises as `find_subject`."""
    found = find_subject(serial, only)
    if spare is None:
        return found
    if only or spare == serial:
        raise NoSubject(f"--spare {spare} wants another token than the one that --wipe names")
    return replace(found, spare=find_subject(spare, False))


def find_behind(module: str, serial: str | None, so_pin: str) -> Subject:
    """The token that is meant, among those of a PKCS#11 module. Raises `NoSubject`."""
    if serial is None:
        raise NoSubject("a token behind a module is meant by its serial: --wipe SERIAL")
    with closing(source_of(module)) as source:
        _, token = named(seen(source), serial, False)
    return Subject(
        serial=token.serial,
        model=f"{token.model} {token.maker}",
        firmware=(),
        form_factor="token",
        fips=False,
        transports=frozenset({"pkcs11"}),
        fido_over=frozenset(),
        has_keyboard=False,
        applications=frozenset({"pkcs11"}),
        module=str(find_module(module)),
        so_pin=so_pin,
    )


def find_subject(serial: str | None, only: bool) -> Subject:
    """The token that is meant, asked what it is. Raises `NoSubject`; `TokenError` when it fails."""
    if (serial is None) is not only:
        raise NoSubject("name the token that may be wiped: --wipe SERIAL, or --wipe-only-token")
    reader, token_id = named(seen(), serial, only)
    with opened(reader, Nobody()) as token:
        if token.id != token_id:
            raise NoSubject(f"another token came into {reader}: {token.id.described}")
        if token.kind is TokenKind.PIV_CARD:
            return _card(token_id)
        try:
            info = token.management().info
        except NotSupported as error:  # nothing of the maker's can be asked of it
            raise NoSubject(
                f"{token_id.described} is no YubiKey, and no PIV card: {error.message}"
            ) from error
        firmware = token.firmware
    on_hid = any(one.reader == reader for one in plugged_in())
    fido_over = _fido_over(reader, token_id, on_hid, info)
    return Subject(
        serial=token_id.serial,
        model=token_id.model,
        firmware=firmware,
        form_factor=info.form_factor.name.lower().replace("_", "-"),
        fips=bool(info.is_fips),
        transports=_transport(reader, on_hid) | fido_over,
        fido_over=fido_over,
        has_keyboard=bool(keyboards(token_id.serial)),
        applications=_enabled(info),
    )


def _card(token: TokenId) -> Subject:
    """A card of another maker: it says no version, and has PIV by the standard alone."""
    return Subject(
        serial=token.serial,
        model=f"{token.model} {token.maker}",
        firmware=(),
        form_factor="card",
        fips=False,
        transports=frozenset({"ccid"}),
        fido_over=frozenset(),
        has_keyboard=False,
        applications=frozenset({CARD}),
    )


def _transport(reader: str, on_hid: bool) -> frozenset[str]:
    if on_hid:
        return frozenset({"hid"})
    with connected(reader) as connection:
        return frozenset({"nfc" if connection.transport is TRANSPORT.NFC else "ccid"})


def _enabled(info: DeviceInfo) -> frozenset[str]:
    """The applications that are on over USB; what is supported, where the token does not say."""
    on = info.config.enabled_capabilities.get(
        TRANSPORT.USB, info.supported_capabilities.get(TRANSPORT.USB, CAPABILITY(0))
    )
    return frozenset(one.name.lower() for one in CAPABILITY if one.name and one & on)


def _fido_over(reader: str, token: TokenId, on_hid: bool, info: DeviceInfo) -> frozenset[str]:
    if "fido2" not in _enabled(info):
        return frozenset()
    if on_hid:
        return frozenset({"hid"})
    found = set()
    with connected(reader) as connection:
        try:
            SmartCardCtapDevice(connection)
            found.add("ccid")
        except (ApplicationNotAvailableError, ValueError):
            pass
    if token.serial is not None:
        try:
            over_hid(token.serial).close()
            found.add("hid")
        except NotSupported:
            pass
    return frozenset(found)


def keyboards(serial: str | None) -> tuple[Path, ...]:
    """The keyboards of the token with that serial on this machine's USB, by its slots' word."""
    for usb in plugged_in():
        if usb.otp is None or serial is None:
            continue
        try:
            with closing(OtpNode(usb)) as node:
                said = YubiOtpSession(node).get_serial()
        except (CommandError, TokenError, TimeoutError):  # in use, gone, or it hides its serial
            continue
        if str(said) == serial:
            return usb.keyboards
    return ()
