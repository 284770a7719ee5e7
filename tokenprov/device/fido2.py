"""A FIDO2 authenticator, by fido2's CTAP classes, over CCID or HID.

Over CCID some tokens fold every CTAP error into one code: whether a credential is there is then
told by the list of them, and what a PIN was worth by its counter (fido2_pin).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeVar

from fido2.ctap import CtapDevice, CtapError
from fido2.ctap2.base import AssertionResponse, AttestationResponse, Info
from fido2.ctap2.config import Config
from fido2.ctap2.credman import CredentialManagement
from fido2.ctap2.pin import PinProtocol
from fido2.utils import sha256
from fido2.webauthn import AttestationObject

from tokenprov.device.fido2_pin import Permission, PinAccess
from tokenprov.device.translate import translated
from tokenprov.errors import NotSupported, NotVerified

Touch = Callable[[str], AbstractContextManager[None]]
T = TypeVar("T")

U2F = "U2F_V2"  # in getInfo's versions (CTAP 2.1, 6.4)
_WANTS_PIN = (CtapError.ERR.PUAT_REQUIRED, CtapError.ERR.PIN_NOT_SET)
PLATFORM_MANAGED = 2  # enterprise attestation that this platform vouches for (CTAP 2.1, 7.1.3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the token's device information says of FIDO, asked at each use."""

    u2f_enabled: Callable[[], bool] = lambda: True  # on any transport
    enforces_complexity: Callable[[], bool] = lambda: False


class Fido2:
    """Implements `token.FidoApplet`."""

    def __init__(
        self, device: CtapDevice, touch: Touch, surroundings: Surroundings | None = None
    ) -> None:
        self._touch = touch
        self._device = device
        self._surroundings = surroundings or Surroundings()
        self._access = PinAccess(device)
        self._room: int | None = None  # for credentials, where it was read

    def refresh(self) -> None:
        """Read getInfo again."""
        self._room = None
        self._access.refresh()

    def left(self) -> None:
        """Another applet was selected on the same connection: the PIN's token is gone."""
        self._access.forget()

    @property
    def info(self) -> Info:
        """What getInfo said after the last write."""
        return self._access.ctap.info

    @property
    def u2f(self) -> bool:
        """Whether U2F works: alwaysUv takes it away (CTAP 2.1, 7.2.4), and so does the maker's
        switch for the application.
        """
        return U2F in self.info.versions and self._surroundings.u2f_enabled()

    @property
    def enforces_complexity(self) -> bool | None:
        """Whether weak PINs are refused; None where neither getInfo nor the device says so."""
        if self._surroundings.enforces_complexity():
            return True
        return self.info.pin_complexity_policy

    # --- the PIN ---------------------------------------------------------------------------

    def pin_retries(self) -> tuple[int, bool]:
        """Tries left and whether the token must be re-inserted before the next."""
        return self._access.retries()

    def set_pin(self, pin: str) -> None:
        """Set the first PIN."""
        self._access.set(pin)

    def check_pin(self, pin: str) -> None:
        """Raises `AuthenticationFailed`; a PIN that must be changed counts as right."""
        self._access.check(pin)

    # --- authenticatorConfig (CTAP 2.1, 6.11) ----------------------------------------------

    def can_set_pin_policy(self) -> bool:
        """Whether it has setMinPINLength: least length, forced change (CTAP 2.1, 6.11.4)."""
        return Config.is_supported(self.info) and bool(self.info.options.get("setMinPINLength"))

    def set_minimum_pin_length(self, length: int, rp_ids: tuple[str, ...], pin: str) -> None:
        """The least length in code points, and who may learn it, in one write."""
        readers = list(rp_ids) or None
        self._configure(
            "setting the minimum length of the FIDO2 PIN",
            pin,
            lambda config: config.set_min_pin_length(min_pin_length=length, rp_ids=readers),
        )

    def enforce_complexity(self, pin: str) -> None:
        """From now on weak PINs are refused (CTAP 2.3, 6.11.4)."""
        self._configure(
            "setting PIN complexity",
            pin,
            lambda config: config.set_min_pin_length(pin_complexity_policy=True),
        )

    def force_pin_change(self, pin: str) -> None:
        """The PIN must be changed before its next use (CTAP 2.1, 6.11.4)."""
        self._configure(
            "forcing a change of the FIDO2 PIN",
            pin,
            lambda config: config.set_min_pin_length(force_change_pin=True),
        )
        self._access.forget()

    def switch_always_uv_on(self, pin: str) -> None:
        """Toggle alwaysUv where getInfo, read now, says that it is off (CTAP 2.1, 6.11.2)."""
        self.refresh()
        if not self.info.options.get("alwaysUv"):
            self._configure("setting alwaysUv", pin, Config.toggle_always_uv)

    def enable_enterprise_attestation(self, pin: str) -> None:
        """Nothing happens where it is on already (CTAP 2.1, 6.11.1)."""
        self._configure(
            "enabling enterprise attestation", pin, Config.enable_enterprise_attestation
        )

    def _configure(self, doing: str, pin: str, command: Callable[[Config], None]) -> None:
        missing = NotSupported(
            f"{doing}: the FIDO2 authenticator cannot do it",
            remedy='Say "if-supported" in the profile, or use another token.',
        )
        if not Config.is_supported(self.info):
            raise missing

        def configure(protocol: PinProtocol, token: bytes) -> None:
            try:
                command(Config(self._access.ctap, protocol, token))
            except ValueError as error:  # not among the subcommands that getInfo lists
                raise missing from error

        with translated(doing):
            self._access.authorized(pin, Permission.AUTHENTICATOR_CFG, None, configure)
        self.refresh()

    # --- credentials -----------------------------------------------------------------------

    def make_credential(
        self,
        client_data_hash: bytes,
        rp: Mapping[str, Any],
        user: Mapping[str, Any],
        parameters: list[Mapping[str, Any]],
        pin: str,
        reason: str,
        *,
        extensions: Mapping[str, Any] | None = None,
        enterprise: bool = False,
    ) -> AttestationResponse:
        """Make a discoverable credential, with PIN and touch."""

        def make(protocol: PinProtocol, token: bytes) -> AttestationResponse:
            with self._touch(reason):
                return self._access.ctap.make_credential(
                    client_data_hash,
                    rp,
                    user,
                    parameters,
                    extensions=dict(extensions) if extensions else None,
                    options={"rk": True},
                    pin_uv_param=protocol.authenticate(token, client_data_hash),
                    pin_uv_protocol=protocol.VERSION,
                    enterprise_attestation=PLATFORM_MANAGED if enterprise else None,
                )

        with translated(f"making a credential for {rp['id']}"):
            made = self._access.authorized(pin, Permission.MAKE_CREDENTIAL, rp["id"], make)
        self._access.touched()
        if self._room is not None:
            self._room -= 1
        return made

    def make_mark(
        self,
        client_data_hash: bytes,
        rp: Mapping[str, Any],
        user: Mapping[str, Any],
        parameters: list[Mapping[str, Any]],
        reason: str,
    ) -> bytes:
        """Make a credential that is not discoverable on a token without a PIN, with a touch."""
        with translated("marking the token"), self._touch(reason):
            try:
                made = self._access.ctap.make_credential(client_data_hash, rp, user, parameters)
            except CtapError as error:
                if error.code not in _WANTS_PIN:
                    raise
                raise NotSupported(
                    "marking the token: it makes no credential without a PIN, and has none"
                    " (alwaysUv is on?)",
                    remedy="Switch alwaysUv off, or use a token whose serial can be read.",
                ) from error
        return bytes(AttestationObject.create(made.fmt, made.auth_data, made.att_stmt))

    def proof_of_mark(
        self, rp_id: str, client_data_hash: bytes, credential_ids: Sequence[bytes]
    ) -> AssertionResponse | None:
        """Assert with one of these, without touch and PIN; None where it has none of them."""
        allowed: list[Mapping[str, Any]] = [
            {"type": "public-key", "id": one} for one in credential_ids
        ]
        with translated("looking for a mark"):
            try:
                return self._access.ctap.get_assertion(
                    rp_id, client_data_hash, allowed, options={"up": False}
                )
            except CtapError as error:
                if error.code in (CtapError.ERR.NO_CREDENTIALS, CtapError.ERR.OTHER):
                    return None
                raise

    def get_assertion(
        self, rp_id: str, client_data_hash: bytes, credential_id: bytes, pin: str | None
    ) -> AssertionResponse | None:
        """Assert without a touch ("up": false; CTAP 2.1, 6.2.1), with a PIN where one is given."""

        def ask(**proof: Any) -> AssertionResponse:
            return self._access.ctap.get_assertion(
                rp_id,
                client_data_hash,
                [{"type": "public-key", "id": credential_id}],
                options={"up": False},
                **proof,
            )

        def ask_with(protocol: PinProtocol, token: bytes) -> AssertionResponse:
            parameter = protocol.authenticate(token, client_data_hash)
            return ask(pin_uv_param=parameter, pin_uv_protocol=protocol.VERSION)

        with translated(f"asserting for {rp_id}"):
            try:
                if pin is None:
                    return ask()
                return self._access.authorized(pin, Permission.GET_ASSERTION, rp_id, ask_with)
            except CtapError as error:
                if error.code == CtapError.ERR.NO_CREDENTIALS:
                    return None
                if error.code != CtapError.ERR.OTHER or pin is None or not self._can_list():
                    raise
                folded = error
        if any(known == credential_id for _, known in self.discoverable(rp_id, pin)):
            with translated(f"asserting for {rp_id}"):
                raise folded
        return None

    def _can_list(self) -> bool:
        return CredentialManagement.is_supported(self.info)

    def _manage(self, pin: str, command: Callable[[CredentialManagement], T]) -> T:
        return self._access.authorized(
            pin,
            Permission.CREDENTIAL_MGMT,
            None,
            lambda protocol, token: command(
                CredentialManagement(self._access.ctap, protocol, token)
            ),
        )

    def discoverable(self, rp_id: str, pin: str) -> tuple[tuple[bytes, bytes], ...]:
        """What credential management lists for a relying party."""
        if not self._can_list():
            raise NotSupported(
                "the FIDO2 authenticator cannot list its credentials", remedy="Use another token."
            )
        fields = CredentialManagement.RESULT
        with translated("listing FIDO2 credentials"):
            listed = self._manage(pin, lambda m: m.enumerate_creds(sha256(rp_id.encode())))
            return tuple(
                (found[fields.USER]["id"], found[fields.CREDENTIAL_ID]["id"]) for found in listed
            )

    def room(self, pin: str) -> int | None:
        """How many more discoverable credentials fit (CTAP 2.1, 6.4 and 6.8.2); None: unknown."""
        if self._room is None:
            self._room = self.info.remaining_disc_creds
        if self._room is None and self._can_list():
            with translated("reading the room for FIDO2 credentials"):
                metadata = self._manage(pin, CredentialManagement.get_metadata)
            self._room = metadata.get(CredentialManagement.RESULT.MAX_REMAINING_COUNT)
        return self._room

    # --- reset -----------------------------------------------------------------------------

    def reset(self, reason: str) -> None:
        """Back to the factory, with a touch, soon after it was put in (CTAP 2.1, 6.6).

        Raises `TokenRefused` with CTAP's NOT_ALLOWED when it is too late for that.
        """
        self._access.forget()
        with translated("resetting FIDO2"), self._touch(reason):
            self._access.ctap.reset()
        self.refresh()
        if self.info.options.get("clientPin"):
            raise NotVerified(
                "FIDO2 was reset and still has a PIN", remedy="Run it again; then set it aside."
            )
