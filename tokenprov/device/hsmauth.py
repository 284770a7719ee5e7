"""YubiHSM Auth over CCID, through yubikit's session."""

from __future__ import annotations

import os

from cryptography.hazmat.primitives.asymmetric import ec
from yubikit.core import InvalidPinError
from yubikit.core.smartcard import ApduError, SmartCardConnection
from yubikit.hsmauth import HsmAuthSession

from tokenprov.device.translate import is_absent, translated
from tokenprov.token.hsmauth import HsmAuthCredential


class HsmAuth:
    """Implements `token.HsmAuthApplet`."""

    def __init__(self, connection: SmartCardConnection) -> None:
        with translated("selecting YubiHSM Auth"):
            self._session = HsmAuthSession(connection)

    @property
    def version(self) -> tuple[int, int, int]:
        """The applet's own version."""
        major, minor, patch = self._session.version
        return major, minor, patch

    def management_key_tries(self) -> int:
        """How many wrong ones it still takes."""
        with translated("reading the management key's tries"):
            return self._session.get_management_key_retries()

    def probe_management_key(self, key: bytes) -> None:
        """Delete what is not there: refused for the key, or for want of a credential."""
        nothing = os.urandom(16).hex()
        with translated("trying the YubiHSM Auth management key"):
            try:
                self._session.delete_credential(key, nothing)
            except InvalidPinError:
                raise
            except ApduError as error:
                if not is_absent(error.sw):
                    raise

    def change_management_key(self, old: bytes, new: bytes) -> None:
        """In one command."""
        with translated("changing the YubiHSM Auth management key"):
            self._session.put_management_key(old, new)

    def credentials(self) -> tuple[HsmAuthCredential, ...]:
        """What it lists."""
        with translated("listing the YubiHSM Auth credentials"):
            return tuple(
                HsmAuthCredential(
                    label=one.label,
                    algorithm=one.algorithm,
                    touch=bool(one.touch_required),
                    tries=one.counter,
                )
                for one in self._session.list_credentials()
            )

    def put_symmetric(
        self, management_key: bytes, label: str, keys: bytes, password: str, *, touch: bool
    ) -> None:
        """In one command."""
        with translated("writing a YubiHSM Auth credential"):
            self._session.put_credential_symmetric(
                management_key, label, keys[:16], keys[16:], password, touch
            )

    def generate(self, management_key: bytes, label: str, password: str, *, touch: bool) -> None:
        """In one command."""
        with translated("generating a YubiHSM Auth credential"):
            self._session.generate_credential_asymmetric(management_key, label, password, touch)

    def public_key(self, label: str) -> ec.EllipticCurvePublicKey:
        """That of a credential for P-256."""
        with translated("reading a YubiHSM Auth public key"):
            return self._session.get_public_key(label)

    def challenge(self, label: str, password: str) -> bytes:
        """The password goes along from firmware 5.7.1, which wants it."""
        with translated("asking for a YubiHSM Auth challenge"):
            return self._session.get_challenge(label, password)

    def session_keys(
        self,
        label: str,
        context: bytes,
        password: str,
        *,
        hsm: ec.EllipticCurvePublicKey | None = None,
        receipt: bytes | None = None,
    ) -> bytes:
        """The three keys, one after the other."""
        with translated("calculating YubiHSM Auth session keys"):
            if hsm is None or receipt is None:
                keys = self._session.calculate_session_keys_symmetric(label, context, password)
            else:
                keys = self._session.calculate_session_keys_asymmetric(
                    label, context, hsm, password, receipt
                )
        return keys.key_senc + keys.key_smac + keys.key_srmac
