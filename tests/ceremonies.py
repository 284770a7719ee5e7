"""WebAuthn ceremonies with virtual authenticators; no test is in this module."""

from __future__ import annotations

import hashlib
import struct
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2.cose import ES256
from fido2.ctap2.base import AssertionResponse
from fido2.ctap2.pin import ClientPin
from fido2.webauthn import (
    AttestationObject,
    AttestedCredentialData,
    AuthenticatorData,
)

from tests.fido2_applet import World
from tokenprov.directory import Assertion, CredentialRecord, Registration, RelyingParty

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
RP_ID = "login.example.test"
ORDER = "ab12cd34-0007"
FLAG = AuthenticatorData.FLAG


def begin(party: RelyingParty) -> Registration:
    """A registration for the order."""
    return party.registration(ORDER, user_name="zoe@example.test", display_name="Zoë Åkesson")


def make(world: World, registration: Registration, **changes: Any) -> bytes:
    """What the authenticator makes of a registration: an attestation object."""
    protocol, token = world.token(ClientPin.PERMISSION.MAKE_CREDENTIAL, registration.rp["id"])
    given: dict[str, Any] = {
        "client_data_hash": registration.client_data_hash,
        "rp": registration.rp,
        "user": registration.user,
        "key_params": registration.parameters,
        "options": {"rk": True},
        "pin_uv_param": protocol.authenticate(token, registration.client_data_hash),
        "pin_uv_protocol": protocol.VERSION,
    }
    made = world.ctap.make_credential(**given | changes)
    return bytes(AttestationObject.create(made.fmt, made.auth_data, made.att_stmt))


def register(party: RelyingParty, world: World) -> CredentialRecord:
    """A whole registration."""
    registration = begin(party)
    return party.complete_registration(registration, make(world, registration), now=NOW)


def use(world: World, assertion: Assertion) -> AssertionResponse:
    """What the authenticator answers to an assertion, with PIN and presence as asked for."""
    given: dict[str, Any] = {"options": {"up": assertion.presence}}
    if assertion.verification:
        protocol, token = world.token(ClientPin.PERMISSION.GET_ASSERTION, assertion.rp_id)
        given["pin_uv_param"] = protocol.authenticate(token, assertion.client_data_hash)
        given["pin_uv_protocol"] = protocol.VERSION
    return world.ctap.get_assertion(
        assertion.rp_id,
        assertion.client_data_hash,
        [{"type": "public-key", "id": assertion.credential_id}],
        **given,
    )


class Software:
    """An authenticator of a few lines, to make what a good one would not."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())

    def made(
        self,
        rp_id: str = RP_ID,
        flags: int = FLAG.UP | FLAG.UV,
        counter: int = 0,
        key: dict[int, Any] | None = None,
    ) -> bytes:
        """An attestation object of format none."""
        cose = ES256.from_cryptography_key(self.key.public_key()) if key is None else key
        data = AttestedCredentialData.create(bytes(16), b"id", cose)  # type: ignore[arg-type]  # also what is no CoseKey
        auth_data = AuthenticatorData.create(
            hashlib.sha256(rp_id.encode()).digest(), FLAG(flags | FLAG.AT), counter, data
        )
        return bytes(AttestationObject.create("none", auth_data, {}))

    def asserted(
        self, assertion: Assertion, rp_id: str = RP_ID, flags: int = 5, counter: int = 0
    ) -> tuple[bytes, bytes]:
        """Authenticator data and signature."""
        data = hashlib.sha256(rp_id.encode()).digest() + struct.pack(">BI", flags, counter)
        signed = data + assertion.client_data_hash
        return data, self.key.sign(signed, ec.ECDSA(hashes.SHA256()))
