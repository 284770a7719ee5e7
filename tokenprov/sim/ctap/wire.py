"""The values of CTAP 2.1 that travel: commands, subcommands, status codes, permissions, flags."""

from __future__ import annotations

from enum import IntEnum, IntFlag


class Command(IntEnum):
    """Command bytes (CTAP 2.1, 6; the last one from the CTAP 2.1 review drafts)."""

    MAKE_CREDENTIAL = 0x01
    GET_ASSERTION = 0x02
    GET_INFO = 0x04
    CLIENT_PIN = 0x06
    RESET = 0x07
    GET_NEXT_ASSERTION = 0x08
    CREDENTIAL_MANAGEMENT = 0x0A
    SELECTION = 0x0B
    LARGE_BLOBS = 0x0C
    CONFIG = 0x0D
    CREDENTIAL_MANAGEMENT_PREVIEW = 0x41


class Status(IntEnum):
    """Status codes (CTAP 2.1, 8.2)."""

    OK = 0x00
    INVALID_COMMAND = 0x01
    INVALID_PARAMETER = 0x02
    INVALID_LENGTH = 0x03
    INVALID_SEQ = 0x04
    CBOR_UNEXPECTED_TYPE = 0x11
    INVALID_CBOR = 0x12
    MISSING_PARAMETER = 0x14
    LIMIT_EXCEEDED = 0x15
    CREDENTIAL_EXCLUDED = 0x19
    UNSUPPORTED_ALGORITHM = 0x26
    OPERATION_DENIED = 0x27
    KEY_STORE_FULL = 0x28
    UNSUPPORTED_OPTION = 0x2B
    INVALID_OPTION = 0x2C
    NO_CREDENTIALS = 0x2E
    KEEPALIVE_CANCEL = 0x2D
    USER_ACTION_TIMEOUT = 0x2F
    NOT_ALLOWED = 0x30
    PIN_INVALID = 0x31
    PIN_BLOCKED = 0x32
    PIN_AUTH_INVALID = 0x33
    PIN_AUTH_BLOCKED = 0x34
    PIN_NOT_SET = 0x35
    PUAT_REQUIRED = 0x36
    PIN_POLICY_VIOLATION = 0x37
    REQUEST_TOO_LARGE = 0x39
    INTEGRITY_FAILURE = 0x3D
    INVALID_SUBCOMMAND = 0x3E
    UNAUTHORIZED_PERMISSION = 0x40
    LARGE_BLOB_STORAGE_FULL = 0x42


class CtapError(Exception):
    """A command ends with this status and nothing else."""

    def __init__(self, status: Status) -> None:
        super().__init__(status.name)
        self.status = status


class ClientPinSubcommand(IntEnum):
    """Subcommands of authenticatorClientPIN (CTAP 2.1, 6.5.5)."""

    GET_PIN_RETRIES = 0x01
    GET_KEY_AGREEMENT = 0x02
    SET_PIN = 0x03
    CHANGE_PIN = 0x04
    GET_PIN_TOKEN = 0x05
    GET_TOKEN_USING_UV = 0x06
    GET_UV_RETRIES = 0x07
    GET_TOKEN_USING_PIN = 0x09


class CredentialManagementSubcommand(IntEnum):
    """Subcommands of authenticatorCredentialManagement (CTAP 2.1, 6.8)."""

    GET_CREDS_METADATA = 0x01
    ENUMERATE_RPS_BEGIN = 0x02
    ENUMERATE_RPS_NEXT = 0x03
    ENUMERATE_CREDENTIALS_BEGIN = 0x04
    ENUMERATE_CREDENTIALS_NEXT = 0x05
    DELETE_CREDENTIAL = 0x06
    UPDATE_USER_INFORMATION = 0x07


class ConfigSubcommand(IntEnum):
    """Subcommands of authenticatorConfig (CTAP 2.1, 6.11)."""

    ENABLE_ENTERPRISE_ATTESTATION = 0x01
    TOGGLE_ALWAYS_UV = 0x02
    SET_MIN_PIN_LENGTH = 0x03


class Permission(IntFlag):
    """Permissions of a pinUvAuthToken (CTAP 2.1, 6.5.5.7)."""

    NONE = 0x00
    MAKE_CREDENTIAL = 0x01
    GET_ASSERTION = 0x02
    CREDENTIAL_MANAGEMENT = 0x04
    BIO_ENROLLMENT = 0x08
    LARGE_BLOB_WRITE = 0x10
    AUTHENTICATOR_CONFIGURATION = 0x20


class AuthDataFlag(IntFlag):
    """Flags of the authenticator data (WebAuthn Level 2, 6.1)."""

    USER_PRESENT = 0x01
    USER_VERIFIED = 0x04
    ATTESTED_CREDENTIAL = 0x40
    EXTENSIONS = 0x80


class CredentialProtection(IntEnum):
    """Levels of credProtect (CTAP 2.1, 12.1)."""

    UV_OPTIONAL = 0x01
    UV_OPTIONAL_WITH_LIST = 0x02
    UV_REQUIRED = 0x03
