"""The security domain of a YubiKey, through yubikit's session, always on the plain connection.

Source: GlobalPlatform Card Specification 2.3.1 with Amendments D and F, and the maker's pages on
"Security Domain key management": the first key set that is put takes the place of the factory's.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.serialization import Encoding
from yubikit.core import NotSupportedError
from yubikit.core.smartcard import SmartCardConnection
from yubikit.core.smartcard.scp import KeyRef, ScpKid
from yubikit.securitydomain import SecurityDomainSession

from tokenprov.device.secured import opening, parameters, static_keys
from tokenprov.device.translate import translated
from tokenprov.errors import AuthenticationFailed
from tokenprov.secret import Secret
from tokenprov.token import Scp03, SecureChannel
from tokenprov.token.security_domain import FACTORY_SET, DomainKey


class SecurityDomain:
    """Implements `token.SecurityDomainApplet`."""

    def __init__(self, connection: SmartCardConnection) -> None:
        self._connection = connection
        self._session = self._select()

    def _select(self) -> SecurityDomainSession:
        with translated("selecting the security domain"):
            return SecurityDomainSession(self._connection)

    def key_references(self) -> tuple[DomainKey, ...]:
        """GET DATA, which needs no channel."""
        with translated("reading which keys secure channels have"):
            found = self._session.get_key_information()
        return tuple(sorted(DomainKey(ref.kid, ref.kvn) for ref in found))

    def certificates(self, key: DomainKey) -> tuple[bytes, ...]:
        """GET DATA, which needs no channel."""
        with translated("reading the certificates of a key for secure channels"):
            try:
                found = self._session.get_certificate_bundle(KeyRef(key.id, key.version))
            except ValueError as error:
                raise NotSupportedError("certificates that are none") from error
        return tuple(one.public_bytes(Encoding.DER) for one in found)

    def opens(self, channel: SecureChannel) -> bool:
        """Open one, and end it by selecting again."""
        try:
            self._authenticate(channel)
        except AuthenticationFailed:
            return False
        finally:
            self._session = self._select()
        return True

    def put_key_set(self, version: int, keys: Secret) -> None:
        """PUT KEY over a channel by the factory's set; the check values must agree."""
        self._authenticate(Scp03(version=FACTORY_SET))
        with translated("setting the keys of secure channels"):
            self._session.put_key(KeyRef(ScpKid.SCP03, version), static_keys(keys.reveal()))
        self._session = self._select()

    def _authenticate(self, channel: SecureChannel) -> None:
        with opening():
            self._session.authenticate(parameters(channel))
