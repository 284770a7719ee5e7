"""OATH over CCID, through yubikit's session where it gives what is needed.

Its listing leaves the algorithm and its calculation the number of digits: those are read here.
"""

from __future__ import annotations

from yubikit.core import BadResponseError, Tlv
from yubikit.core.smartcard import ApduError, SmartCardConnection
from yubikit.oath import (
    HASH_ALGORITHM,
    INS_CALCULATE,
    INS_CALCULATE_ALL,
    INS_LIST,
    MASK_ALGO,
    MASK_TYPE,
    OATH_TYPE,
    TAG_CHALLENGE,
    TAG_NAME,
    TAG_NAME_LIST,
    TAG_RESPONSE,
    TAG_TOUCH,
    TAG_TRUNCATED,
    CredentialData,
    OathSession,
)

from tokenprov.device.translate import is_missing, translated
from tokenprov.errors import AuthenticationFailed
from tokenprov.token.oath import OathAccount, OathResponse

TRUNCATED = 0x01  # P2 of CALCULATE and CALCULATE ALL: four bytes instead of the whole HMAC
NO_TIME = bytes(8)  # a challenge whose answers nobody looks at


class Oath:
    """Implements `token.OathApplet`."""

    def __init__(self, connection: SmartCardConnection) -> None:
        self._connection = connection
        self._session = self._select()
        self._accounts: tuple[OathAccount, ...] | None = None  # until the next write

    def _select(self) -> OathSession:
        with translated("selecting OATH"):
            return OathSession(self._connection)

    @property
    def version(self) -> tuple[int, int, int]:
        """The firmware's version."""
        major, minor, patch = self._session.version
        return major, minor, patch

    @property
    def has_password(self) -> bool:
        """Whether a password is set."""
        return self._session.has_key

    @property
    def locked(self) -> bool:
        """Whether the password has to be given first."""
        return self._session.locked

    def reconnect(self) -> None:
        """Select it anew."""
        self._session = self._select()

    def unlock(self, password: str) -> None:
        """Prove the password, and have the token prove that it knows it too."""
        session = self._session
        with translated("unlocking OATH"):
            try:
                session.validate(session.derive_key(password))
            except (ApduError, BadResponseError) as error:
                if isinstance(error, ApduError) and is_missing(error.sw):
                    raise
                raise AuthenticationFailed(
                    "unlocking OATH: the password was refused",
                    remedy="The token holds a value that is not ours; use another token.",
                ) from error

    def set_password(self, password: str) -> None:
        """Set it, or replace it."""
        with translated("setting the OATH password"):
            self._session.set_key(self._session.derive_key(password))

    def accounts(self) -> tuple[OathAccount, ...]:
        """What it lists, and which of them wait for a touch."""
        if self._accounts is None:
            with translated("listing the OATH accounts"):
                self._accounts = self._read_accounts()
        return self._accounts

    def _read_accounts(self) -> tuple[OathAccount, ...]:
        send = self._session.protocol.send_apdu
        listed = [
            Tlv.unpack(TAG_NAME_LIST, entry) for entry in Tlv.parse_list(send(0, INS_LIST, 0, 0))
        ]
        touched: dict[bytes, int] = {}
        if listed:
            challenge = Tlv(TAG_CHALLENGE, NO_TIME)
            answers = Tlv.parse_list(send(0, INS_CALCULATE_ALL, 0, TRUNCATED, challenge))
            for name, answer in zip(answers[::2], answers[1::2], strict=True):
                touched[Tlv.unpack(TAG_NAME, name)] = answer.tag
        says = {TAG_TOUCH: True, TAG_TRUNCATED: False}
        return tuple(
            OathAccount(
                id=entry[1:],
                kind=OATH_TYPE(entry[0] & MASK_TYPE),
                algorithm=HASH_ALGORITHM(entry[0] & MASK_ALGO),
                touch=says.get(touched.get(entry[1:], 0)),
            )
            for entry in listed
        )

    def put(self, account: CredentialData, *, touch: bool) -> None:
        """Write an account."""
        self._accounts = None
        with translated("writing an OATH account"):
            self._session.put_credential(account, touch)

    def delete(self, account: bytes) -> None:
        """Delete an account."""
        self._accounts = None
        with translated("deleting an OATH account"):
            self._session.delete_credential(account)

    def calculate(self, account: bytes, challenge: bytes) -> OathResponse:
        """The whole HMAC, and the number of digits before it."""
        with translated("calculating an OATH response"):
            answer = self._session.protocol.send_apdu(
                0, INS_CALCULATE, 0, 0, Tlv(TAG_NAME, account) + Tlv(TAG_CHALLENGE, challenge)
            )
            response = Tlv.unpack(TAG_RESPONSE, answer)
        return OathResponse(digits=response[0], hmac=response[1:])
