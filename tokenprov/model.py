"""The words of the field as frozen values: who, which token, what is to be made."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any

Json = Any  # what rfc8785 can write: dict, list, str, int, bool, None

# The identifier of a Windows account, as people write it: S-1-5-21-… ([MS-DTYP], 2.4.2.1)
SECURITY_IDENTIFIER = re.compile(r"S-1-[0-9]{1,15}(-[0-9]{1,10}){1,15}", re.ASCII)


class Purpose(StrEnum):
    """What a custodian may open (SP 800-57 part 1, 6.2: separation of duties)."""

    HELP_DESK = "help-desk"  # PUK and initial PIN
    TOKEN_ADMINISTRATION = "token-administration"  # management key, access codes, lock code
    AUTHENTICATION_SERVER = "authentication-server"  # OTP and OATH seeds
    BREAK_GLASS = "break-glass"  # all


class SecretKind(StrEnum):
    """Kinds of secret that a token is told; the value stands in envelopes and in the manifest."""

    PIV_PIN = "piv-pin"
    PIV_PUK = "piv-puk"
    PIV_MANAGEMENT_KEY = "piv-management-key"
    FIDO_PIN = "fido-pin"
    OTP_ACCESS_CODE = "otp-access-code"
    OTP_SEED = "otp-seed"  # Yubico OTP: private id and AES key
    HMAC_SEED = "hmac-seed"
    HOTP_SEED = "hotp-seed"
    STATIC_PASSWORD = "static-password"
    LOCK_CODE = "lock-code"
    SCP_KEY = "scp-key"  # an SCP03 set: K-ENC, K-MAC, K-DEK
    OATH_SEED = "oath-seed"
    OATH_PASSWORD = "oath-password"
    OPENPGP_USER_PIN = "openpgp-user-pin"
    OPENPGP_ADMIN_PIN = "openpgp-admin-pin"
    OPENPGP_RESET_CODE = "openpgp-reset-code"
    PKCS11_USER_PIN = "pkcs11-user-pin"
    PKCS11_SO_PIN = "pkcs11-so-pin"
    HSMAUTH_MANAGEMENT_KEY = "hsmauth-management-key"
    HSMAUTH_CREDENTIAL = "hsmauth-credential"  # its keys, or the password they derive from
    HSMAUTH_PASSWORD = "hsmauth-password"  # unlocks a credential
    ENCRYPTION_KEY = "encryption-key"  # a private key that is imported, to read old messages

    @property
    def purpose(self) -> Purpose:
        """The custodian who opens this kind, beside break-glass."""
        return _PURPOSES[self]


HOLDER_PINS = frozenset(  # what a holder is told, and types
    {
        *(SecretKind.PIV_PIN, SecretKind.FIDO_PIN),
        *(SecretKind.OPENPGP_USER_PIN, SecretKind.PKCS11_USER_PIN),
    }
)
_PURPOSES = {
    SecretKind.PIV_PIN: Purpose.HELP_DESK,
    SecretKind.PIV_PUK: Purpose.HELP_DESK,
    SecretKind.FIDO_PIN: Purpose.HELP_DESK,
    SecretKind.PIV_MANAGEMENT_KEY: Purpose.TOKEN_ADMINISTRATION,
    SecretKind.OTP_ACCESS_CODE: Purpose.TOKEN_ADMINISTRATION,
    SecretKind.LOCK_CODE: Purpose.TOKEN_ADMINISTRATION,
    SecretKind.OTP_SEED: Purpose.AUTHENTICATION_SERVER,
    SecretKind.HMAC_SEED: Purpose.AUTHENTICATION_SERVER,
    SecretKind.HOTP_SEED: Purpose.AUTHENTICATION_SERVER,
    SecretKind.STATIC_PASSWORD: Purpose.HELP_DESK,
    SecretKind.SCP_KEY: Purpose.TOKEN_ADMINISTRATION,
    SecretKind.OATH_SEED: Purpose.AUTHENTICATION_SERVER,
    SecretKind.OATH_PASSWORD: Purpose.HELP_DESK,
    SecretKind.OPENPGP_USER_PIN: Purpose.HELP_DESK,
    SecretKind.OPENPGP_ADMIN_PIN: Purpose.TOKEN_ADMINISTRATION,
    SecretKind.OPENPGP_RESET_CODE: Purpose.HELP_DESK,
    SecretKind.PKCS11_USER_PIN: Purpose.HELP_DESK,
    SecretKind.PKCS11_SO_PIN: Purpose.TOKEN_ADMINISTRATION,
    SecretKind.HSMAUTH_MANAGEMENT_KEY: Purpose.TOKEN_ADMINISTRATION,
    SecretKind.HSMAUTH_CREDENTIAL: Purpose.TOKEN_ADMINISTRATION,
    SecretKind.HSMAUTH_PASSWORD: Purpose.HELP_DESK,
    SecretKind.ENCRYPTION_KEY: Purpose.BREAK_GLASS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """The person a token is bound to (SP 800-63B: subscriber; FIPS 201: cardholder)."""

    id: str  # the organisation's own, unique: a personnel number or account name
    name: str  # display name, becomes the certificate's common name
    email: str
    upn: str = ""  # user principal name, for Windows logon
    groups: tuple[str, ...] = ()
    last_day: date | None = None  # nothing issued outlives it
    extra: dict[str, str] = field(default_factory=dict)  # further columns, for templates

    def to_json(self) -> dict[str, Json]:
        """As it stands behind the commitment in the manifest; empty fields are left out."""
        document: dict[str, Json] = {"id": self.id, "name": self.name, "email": self.email}
        if self.upn:
            document["upn"] = self.upn
        if self.groups:
            document["groups"] = list(self.groups)
        if self.last_day:
            document["lastDay"] = self.last_day.isoformat()
        if self.extra:
            document["extra"] = dict(self.extra)
        return document

    @classmethod
    def from_json(cls, document: dict[str, Json]) -> Holder:
        """The inverse of `to_json`."""
        last_day = document.get("lastDay")
        return cls(
            id=document["id"],
            name=document["name"],
            email=document["email"],
            upn=document.get("upn", ""),
            groups=tuple(document.get("groups", ())),
            last_day=date.fromisoformat(last_day) if last_day else None,
            extra=dict(document.get("extra", {})),
        )


class TokenKind(StrEnum):
    """What is in front of the station."""

    YUBIKEY = "yubikey"
    SECURITY_KEY = "security-key"  # FIDO and no more, of any maker
    PIV_CARD = "piv-card"  # SP 800-73, of another maker
    PKCS11 = "pkcs11"  # whatever its maker's module makes of it


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenId:
    """What is known of one token's identity, as it said itself on this connection.

    `serial` is None where the token has none that can be read; then one such token at a time is
    worked on, and `mark` names it (a CHUID GUID, an AAGUID) as far as it can be named.
    """

    maker: str  # "yubico", or what the card says
    model: str  # "YubiKey 5 NFC"
    firmware: str  # "5.7.4", "" where unknown
    serial: str | None
    mark: str = ""

    @property
    def named(self) -> str:
        """What it is on the record by: its serial, or its mark; empty without either."""
        return self.serial or self.mark

    @property
    def label(self) -> str:
        """One word for tables and messages."""
        return self.named or "without serial"

    @property
    def described(self) -> str:
        """Model, serial, and the firmware where it is known, for people."""
        firmware = f", firmware {self.firmware}" if self.firmware else ""
        return f"{self.model}, serial {self.label}{firmware}"

    def to_json(self) -> dict[str, Json]:
        """As it stands in an entry; a mark only where there is one."""
        document: dict[str, Json] = {
            "maker": self.maker,
            "model": self.model,
            "firmware": self.firmware,
            "serial": self.serial,
        }
        return document | {"mark": self.mark} if self.mark else document


class Cause(StrEnum):
    """Why a token ends, or is held; the words are those of commands, profiles and entries."""

    LOST = "lost"
    STOLEN = "stolen"
    DAMAGED = "damaged"
    EXPIRED = "expired"
    UPGRADE = "upgrade"
    FORGOTTEN = "forgotten"  # left elsewhere for a day or two
    LEFT = "left"  # its holder is gone
    RETURNED = "returned"  # its holder gave it back


class OrderState(StrEnum):
    """Where an order stands."""

    OPEN = "open"
    WORKING = "working"  # bound to a token, intents may be journalled
    ISSUED = "issued"  # its entry is durable
    FAILED = "failed"  # stopped with a reason; the next run looks at the token again


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One token to be made."""

    id: str  # "ab12cd34-0007"
    batch: str
    holder: Holder
    position: int  # in the kit: 0 is the primary, 1 the first spare
    profile: str  # name of the profile
    profile_digest: str  # SHA-256 of the profile's canonical form, hex
