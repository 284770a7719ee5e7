"""A whole WebAuthn client and server on the virtual authenticator, attestation verified."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from fido2.attestation.base import AttestationResult, AttestationVerifier, UntrustedAttestation
from fido2.client import DefaultClientDataCollector, Fido2Client, UserInteraction
from fido2.ctap2.config import Config
from fido2.ctap2.extensions import (
    CredBlobExtension,
    CredProtectExtension,
    HmacSecretExtension,
    LargeBlobExtension,
    MinPinLengthExtension,
)
from fido2.ctap2.pin import ClientPin
from fido2.server import Fido2Server
from fido2.utils import websafe_encode
from fido2.webauthn import (
    AttestationConveyancePreference,
    AttestedCredentialData,
    AuthenticatorData,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialUserEntity,
    RegistrationResponse,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from tests.fido2_applet import PIN, SERIAL, AppletDevice, World
from tokenprov.sim.attestation import VirtualRoots, bench_roots
from tokenprov.sim.models import MODELS

ORIGIN = "https://login.example.com"
OID_AAGUID = x509.ObjectIdentifier("1.3.6.1.4.1.45724.1.1.4")
OID_SERIAL = x509.ObjectIdentifier("1.3.6.1.4.1.45724.1.1.2")
USER = PublicKeyCredentialUserEntity(id=b"alice", name="alice@example.com", display_name="Alice")


class Robot(UserInteraction):
    """Enters the PIN."""

    def prompt_up(self) -> None:
        """The finger is the world's."""

    def request_pin(self, permissions: Any, rp_id: str | None) -> str:
        """The PIN."""
        return PIN

    def request_uv(self, permissions: Any, rp_id: str | None) -> bool:
        """Agree."""
        return True


class Anchors(AttestationVerifier):
    """Trusts the authorities of one virtual bench."""

    def __init__(self, roots: VirtualRoots) -> None:
        super().__init__()
        self._by_subject = {
            authority.certificate.subject: authority.certificate
            for authority in (roots.root, roots.intermediate, roots.fido, roots.old_u2f_root)
        }

    def ca_lookup(
        self, attestation_result: AttestationResult, auth_data: AuthenticatorData
    ) -> bytes | None:
        """The authority that issued the last certificate of the path."""
        last = x509.load_der_x509_certificate(attestation_result.trust_path[-1])
        found = self._by_subject.get(last.issuer)
        return found.public_bytes(Encoding.DER) if found else None


def server(roots: VirtualRoots | None = None, attestation: str = "direct") -> Fido2Server:
    """A relying party that trusts the virtual authorities."""
    return Fido2Server(
        PublicKeyCredentialRpEntity(id="example.com", name="Example"),
        attestation=AttestationConveyancePreference(attestation),
        verify_attestation=Anchors(roots or bench_roots()),
    )


def client(world: World) -> Fido2Client:
    """A browser with the token plugged in."""
    prf: Any = HmacSecretExtension
    return Fido2Client(
        AppletDevice(world.applet),
        client_data_collector=DefaultClientDataCollector(ORIGIN),
        user_interaction=Robot(),
        extensions=[
            prf(),
            LargeBlobExtension(),
            CredBlobExtension(),
            CredProtectExtension(),
            MinPinLengthExtension(),
        ],
    )


def register(
    world: World,
    relying_party: Fido2Server,
    resident: str = "required",
    extensions: dict[str, Any] | None = None,
) -> tuple[AttestedCredentialData, RegistrationResponse]:
    """A registration from beginning to end: the verified credential and the client's answer."""
    options, state = relying_party.register_begin(
        USER,
        resident_key_requirement=ResidentKeyRequirement(resident),
        user_verification=UserVerificationRequirement.PREFERRED,
        extensions=extensions,
    )
    response = client(world).make_credential(options.public_key)
    verified = relying_party.register_complete(state, response)
    assert verified.credential_data is not None
    return verified.credential_data, response


@pytest.mark.parametrize("model", ["yubikey-5.2.7", "yubikey-5.4.3", "yubikey-5.7.4"])
@pytest.mark.parametrize("resident", ["required", "discouraged"])
def test_register_and_sign_in(model: str, resident: str) -> None:
    """A relying party registers a token, verifies its attestation, and lets its user in."""
    world = World(model)
    world.set_pin()
    relying_party = server()
    credential, _ = register(world, relying_party, resident)
    assert bytes(credential.aaguid) == MODELS[model].aaguid
    listed = [] if resident == "required" else [credential]
    options, state = relying_party.authenticate_begin(
        listed, user_verification=UserVerificationRequirement.REQUIRED
    )
    selection = client(world).get_assertion(options.public_key)
    answer = selection.get_response(0)
    relying_party.authenticate_complete(state, [credential], answer)
    assert answer.response.authenticator_data.is_user_verified()


def test_another_bench_is_not_trusted() -> None:
    """The attestation of a virtual token convinces nobody who trusts other authorities."""
    world = World()
    world.set_pin()
    with pytest.raises(UntrustedAttestation):
        register(world, server(VirtualRoots.create()))


def leaf(response: RegistrationResponse) -> x509.Certificate:
    """The attestation certificate."""
    return x509.load_der_x509_certificate(response.response.attestation_object.att_stmt["x5c"][0])


def extension(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> bytes:
    """The raw value of an extension."""
    value = certificate.extensions.get_extension_for_oid(oid).value
    assert isinstance(value, x509.UnrecognizedExtension)
    return value.value


def test_the_certificate_names_the_model_and_not_the_token() -> None:
    """The ordinary attestation has the AAGUID and no serial number, and tokens share it."""
    answers = []
    for serial in (1, 2):
        world = World(serial=serial)
        world.set_pin()
        answers.append(leaf(register(world, server())[1]))
    assert answers[0] == answers[1]
    assert extension(answers[0], OID_AAGUID) == b"\x04\x10" + MODELS["yubikey-5.7.4"].aaguid
    with pytest.raises(x509.ExtensionNotFound):
        extension(answers[0], OID_SERIAL)


def test_enterprise_attestation_names_the_token() -> None:
    """Once enabled and asked for, the certificate carries the serial number and still verifies."""
    world = World()
    world.set_pin()
    relying_party = server(attestation="enterprise")
    options, _ = relying_party.register_begin(USER)
    with pytest.raises(x509.ExtensionNotFound):
        extension(leaf(client(world).make_credential(options.public_key)), OID_SERIAL)
    config = Config(world.ctap, *world.token(ClientPin.PERMISSION.AUTHENTICATOR_CFG))
    config.enable_enterprise_attestation()
    options, state = relying_party.register_begin(USER)
    browser = client(world)
    browser._enterprise_rpid_list = ["example.com"]
    response = browser.make_credential(options.public_key)
    relying_party.register_complete(state, response)
    assert extension(leaf(response), OID_SERIAL) == b"\x04\x04" + SERIAL.to_bytes(4, "big")


def test_prf_and_large_blob_through_the_browser() -> None:
    """The extensions a web page sees: prf evaluates, largeBlob is written and read."""
    world = World()
    world.set_pin()
    relying_party = server()
    wanted = {"prf": {}, "largeBlob": {"support": "required"}, "credBlob": b"note"}
    credential, response = register(world, relying_party, extensions=wanted)
    results = dict(response.client_extension_results)
    assert results["prf"]["enabled"]
    assert results["largeBlob"]["supported"]

    def sign_in(extensions: dict[str, Any]) -> Any:
        options, state = relying_party.authenticate_begin([credential], extensions=extensions)
        answer = client(world).get_assertion(options.public_key).get_response(0)
        relying_party.authenticate_complete(state, [credential], answer)
        return answer.client_extension_results

    salts = {"prf": {"eval": {"first": b"one", "second": b"two"}}}
    first, again = sign_in(salts), sign_in(salts)
    assert first["prf"]["results"] == again["prf"]["results"]
    assert sign_in({"largeBlob": {"write": b"a certificate"}})["largeBlob"]["written"]
    assert sign_in({"largeBlob": {"read": True}})["largeBlob"]["blob"] == websafe_encode(
        b"a certificate"
    )
