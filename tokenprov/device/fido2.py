"""A FIDO2 authenticator, by fido2's CTAP classes, over CCID or HID.

Over CCID some tokens fold every CTAP error into one code: whether a PIN was refused is then told by
the retry counter, read before and after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from fido2.ctap import CtapDevice, CtapError
from fido2.ctap2.base import AssertionResponse, AttestationResponse, Ctap2, Info
from fido2.ctap2.config import Config
from fido2.ctap2.credman import CredentialManagement
from fido2.ctap2.pin import ClientPin
from fido2.hid import CtapHidDevice, list_descriptors, open_connection
from fido2.utils import sha256
from yubikit.core import CommandError
from yubikit.core.fido import SmartCardCtapDevice
from yubikit.core.smartcard import AID
from yubikit.management import ManagementSession

from tokenprov.device.translate import refused, translated
from tokenprov.errors import NotSupported

Touch = Callable[[str], AbstractContextManager[None]]


class Fido2:
    """Implements `token.FidoApplet`."""

    def __init__(self, device: CtapDevice, touch: Touch) -> None:
        self._touch = touch
        self._device = device
        self._connect()

    def _connect(self) -> None:
        """Read getInfo, now and after each write that changes it."""
        with translated("reading the FIDO2 authenticator"):
            try:
                self._ctap = Ctap2(self._device, strict_cbor=False)
            except ValueError as error:
                raise NotSupported(
                    "this token has no FIDO2, only U2F", remedy="Use a token with FIDO2."
                ) from error

    def select_again(self) -> None:
        """Come back after another applet was selected on the same connection."""
        if isinstance(self._device, SmartCardCtapDevice):
            with translated("selecting FIDO2"):
                self._device.protocol.select(AID.FIDO)

    @property
    def info(self) -> Info:
        """What getInfo said after the last write."""
        return self._ctap.info

    def _pin(self) -> ClientPin:
        try:
            return ClientPin(self._ctap)
        except ValueError as error:
            raise NotSupported(
                "the FIDO2 authenticator takes no PIN", remedy="Use another token."
            ) from error

    def pin_retries(self) -> tuple[int, bool]:
        """Tries left and whether the token must be re-inserted before the next."""
        with translated("reading the FIDO2 PIN's tries"):
            retries, power_cycle = self._pin().get_pin_retries()
            return retries, bool(power_cycle)

    def set_pin(self, pin: str) -> None:
        """Set the first PIN."""
        with translated("setting the FIDO2 PIN"):
            self._pin().set_pin(pin)
        self._connect()

    def _token(self, pin: str, permission: ClientPin.PERMISSION, rp_id: str | None = None) -> bytes:
        return self._pin().get_pin_token(pin, permission, rp_id)

    def check_pin(self, pin: str) -> None:
        """Ask for a token by PIN; being told to change the PIN means that it was right.

        CTAP 2.1, 6.5.5.7: PIN_POLICY_VIOLATION comes after the PIN was found right.
        """
        doing = "checking the FIDO2 PIN"
        before, power_cycle = self.pin_retries()
        if power_cycle:
            with translated(doing):
                raise CtapError(CtapError.ERR.PIN_AUTH_BLOCKED)
        try:
            self._token(pin, ClientPin.PERMISSION.GET_ASSERTION, "tokenprov.invalid")
        except CtapError as error:
            after, _ = self.pin_retries()
            told_to_change = error.code == CtapError.ERR.PIN_POLICY_VIOLATION or (
                error.code == CtapError.ERR.PIN_INVALID and self.info.force_pin_change
            )
            if told_to_change and after >= before:
                return
            if error.code == CtapError.ERR.PIN_INVALID or after < before:
                raise refused(doing, after) from error
            with translated(doing):
                raise

    def can_force_pin_change(self) -> bool:
        """Whether it has setMinPINLength, which carries the demand (CTAP 2.1, 6.11.4)."""
        return Config.is_supported(self.info) and bool(self.info.options.get("setMinPINLength"))

    def force_pin_change(self, pin: str) -> None:
        """The PIN must be changed before its next use (CTAP 2.1, 6.11.4)."""
        with translated("forcing a change of the FIDO2 PIN"):
            if not self.can_force_pin_change():
                raise NotSupported(
                    "the FIDO2 authenticator cannot force a change of the PIN",
                    remedy='Say force-change = "if-supported" in the profile.',
                )
            token = self._token(pin, ClientPin.PERMISSION.AUTHENTICATOR_CFG)
            Config(self._ctap, self._pin().protocol, token).set_min_pin_length(
                force_change_pin=True
            )
        self._connect()

    def make_credential(
        self,
        client_data_hash: bytes,
        rp: Mapping[str, Any],
        user: Mapping[str, Any],
        parameters: list[Mapping[str, Any]],
        pin: str,
        reason: str,
    ) -> AttestationResponse:
        """Make a discoverable credential, with PIN and touch."""
        with translated(f"making a credential for {rp['id']}"):
            token = self._token(pin, ClientPin.PERMISSION.MAKE_CREDENTIAL, rp["id"])
            protocol = self._pin().protocol
            with self._touch(reason):
                return self._ctap.make_credential(
                    client_data_hash,
                    rp,
                    user,
                    parameters,
                    options={"rk": True},
                    pin_uv_param=protocol.authenticate(token, client_data_hash),
                    pin_uv_protocol=protocol.VERSION,
                )

    def get_assertion(
        self, rp_id: str, client_data_hash: bytes, credential_id: bytes, pin: str | None
    ) -> AssertionResponse | None:
        """Assert without a touch ("up": false; CTAP 2.1, 6.2.1), with a PIN where one is given."""
        doing = f"asserting for {rp_id}"
        parameter = version = None
        with translated(doing):
            if pin is not None:
                token = self._token(pin, ClientPin.PERMISSION.GET_ASSERTION, rp_id)
                protocol = self._pin().protocol
                parameter = protocol.authenticate(token, client_data_hash)
                version = protocol.VERSION
            try:
                return self._ctap.get_assertion(
                    rp_id,
                    client_data_hash,
                    [{"type": "public-key", "id": credential_id}],
                    options={"up": False},
                    pin_uv_param=parameter,
                    pin_uv_protocol=version,
                )
            except CtapError as error:
                if error.code == CtapError.ERR.NO_CREDENTIALS:
                    return None
                raise

    def discoverable(self, rp_id: str, pin: str) -> tuple[tuple[bytes, bytes], ...]:
        """What credential management lists for a relying party."""
        if not CredentialManagement.is_supported(self.info):
            raise NotSupported(
                "the FIDO2 authenticator cannot list its credentials", remedy="Use another token."
            )
        with translated("listing FIDO2 credentials"):
            token = self._token(pin, ClientPin.PERMISSION.CREDENTIAL_MGMT)
            manager = CredentialManagement(self._ctap, self._pin().protocol, token)
            fields = CredentialManagement.RESULT
            return tuple(
                (found[fields.USER]["id"], found[fields.CREDENTIAL_ID]["id"])
                for found in manager.enumerate_creds(sha256(rp_id.encode()))
            )


def over_hid(serial: str, devices: Iterable[CtapDevice] | None = None) -> CtapDevice:
    """The FIDO interface of the YubiKey with that serial, among the HID devices.

    A YubiKey gives its serial there by the maker's own command; others are passed over. Raises
    `NotSupported` when none has it.
    """
    for device in _hid_devices() if devices is None else devices:
        try:
            found = ManagementSession(device).read_device_info().serial
        except (CommandError, CtapError, OSError, ValueError):  # not a YubiKey, or taken away
            found = None
        if found is not None and str(found) == serial:
            return device
        device.close()
    raise NotSupported(
        f"no FIDO interface of token {serial}: not over CCID, and none of the HID devices has"
        " this serial",
        remedy="Check that the FIDO application is enabled over USB and that you may open its"
        " hidraw node.",
    )


def _hid_devices() -> Iterable[CtapDevice]:
    for descriptor in list_descriptors():  # type: ignore[no-untyped-call]  # fido2 has no types here
        try:
            connection = open_connection(descriptor)  # type: ignore[no-untyped-call]  # it has no types here either
            yield CtapHidDevice(descriptor, connection)
        except OSError:  # no right to open it, or gone: the error of `over_hid` says so
            continue
