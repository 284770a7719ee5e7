"""A token as somebody sees it who has none of its secrets and changes nothing.

Steps observe through it: what reads is passed on; what would need a PIN, a key or a touch, cost a
try or write raises `NeedsSecret` instead of being sent. What is passed on is listed here by name,
so that a command that nobody thought of is not sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn, cast

from tokenprov.errors import TokenprovError
from tokenprov.model import SecretKind
from tokenprov.secret import Secret
from tokenprov.step import Intent
from tokenprov.token import Keyring, Token

_READS: Mapping[str, frozenset[str]] = {
    "management": frozenset({"transport", "info", "refresh"}),
    "security_domain": frozenset({"key_references", "certificates"}),
    "piv": frozenset(
        {
            *("version", "has_extensions", "serial", "pin_tries", "puk_tries"),
            *("management_key_is_default", "management_key_touch", "management_key_type"),
            "has_fingerprints",
            *("authenticated", "pin_verified", "key", "attest", "object", "certificate"),
        }
    ),
    "otp": frozenset({"version", "configured", "touch_triggered"}),
    "fido2": frozenset({"info", "u2f", "enforces_complexity", "pin_retries", "can_set_pin_policy"}),
    "oath": frozenset({"version", "has_password", "locked", "reconnect", "accounts"}),
    "openpgp": frozenset(
        {
            *("version", "state", "admin_verified", "user_verified", "cardholder"),
            *("public_key", "attestation"),
        }
    ),
    "pkcs11": frozenset({"info", "pin_lengths", "objects"}),
    "hsmauth": frozenset({"version", "management_key_tries", "credentials", "public_key"}),
}
_ABOUT = frozenset({"id", "reader", "firmware", "is_fips", "kind", "has", "applications"})


class NeedsSecret(TokenprovError):
    """It cannot be seen without a secret of the token, a touch or a write."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"cannot be compared without the token's secrets ({what})",
            remedy="Nothing is wrong: the secrets are with their custodians.",
        )


class SealedIntent(Intent):
    """What was promised, of which only the public part is known any more."""

    __slots__ = ()

    def secret(self, name: str) -> Secret:
        """Raises `NeedsSecret`."""
        raise NeedsSecret(name)


class _SealedKeyring(Keyring):
    def get(self, kind: SecretKind) -> NoReturn:
        raise NeedsSecret(str(kind))

    def named(self, kind: SecretKind, name: str) -> NoReturn:
        raise NeedsSecret(name)


class _Reads:
    """An applet of which only reads are passed on."""

    def __init__(self, applet: Any, name: str) -> None:
        self._applet, self._name = applet, name

    def __getattr__(self, attribute: str) -> Any:
        if attribute not in _READS[self._name]:
            raise NeedsSecret(f"{self._name}: {attribute.replace('_', ' ')}")
        return getattr(self._applet, attribute)


class _Sealed:
    """The token around them."""

    def __init__(self, token: Token) -> None:
        self._token, self.keyring = token, _SealedKeyring()

    def __getattr__(self, attribute: str) -> Any:
        if attribute in _ABOUT:
            return getattr(self._token, attribute)
        if attribute in _READS:
            applet = getattr(self._token, attribute)
            return lambda: _Reads(applet(), attribute)
        raise NeedsSecret(attribute.replace("_", " "))


def sealed_view(token: Token) -> Token:
    """The token without its secrets."""
    return cast(Token, _Sealed(token))
