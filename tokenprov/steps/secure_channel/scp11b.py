"""Every command from here on over SCP11b, to the token that its attestation names.

SCP11b authenticates the token and not the station; that it is this token is worth as much as the
certificates of its key, which are checked up to the maker's root.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from yubikit.core.smartcard.scp import ScpKid

from tokenprov.attestation import Anchors, verify_channel_attestation
from tokenprov.secret import RandomBytes
from tokenprov.step import Drawn, Evidence, Finding, Intent, State
from tokenprov.token import Scp11b, Token


class Scp11bStep:
    """Writes nothing: it says what the steps after it run over."""

    id = "secure-channel/scp11b"
    title = "secure channel (SCP11b)"

    def __init__(self, *, anchors: Anchors, clock: Callable[[], datetime]) -> None:
        self._anchors, self._clock = anchors, clock

    def draw(self, random: RandomBytes) -> Drawn:
        """Nothing."""
        return Drawn()

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """The token's key, by its certificates. Raises `AttestationError` for wrong ones."""
        domain = token.security_domain()
        key = next((one for one in domain.key_references() if one.id == ScpKid.SCP11b), None)
        if key is None:
            return Finding(state=State.CONFLICT, reason="it has no key for SCP11b")
        certificates = domain.certificates(key)
        if not certificates:
            return Finding(state=State.CONFLICT, reason="its key for SCP11b has no certificate")
        attestation = verify_channel_attestation(certificates, self._anchors, now=self._clock())
        attestation.require(serial=token.id.serial)
        token.secure(Scp11b(version=key.version, public_key=attestation.public_key))
        return Finding(
            state=State.MATCH,
            facts={
                "version": key.version,
                "attestation": attestation.to_json(),
                "virtual": attestation.virtual,
            },
            evidence=tuple(
                Evidence(type="channel-attestation", data=one) for one in reversed(certificates)
            ),
        )

    def apply(self, token: Token, intent: Intent) -> None:
        """Nothing."""
