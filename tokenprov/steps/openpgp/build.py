"""From a profile's [openpgp] to steps, in the order in which they must run.

Tries first, then the PINs: some tokens make no key before those are changed. Then the cardholder's
data, which an attestation names, and the keys.
"""

from __future__ import annotations

from collections.abc import Iterator

from yubikit.openpgp import KEY_REF, OID, PIN_POLICY, RSA_SIZE, UIF

from tokenprov.model import Order
from tokenprov.profile.openpgp import OpenPgpAlgorithm, OpenPgpKey, OpenPgpSection
from tokenprov.profile.piv import Attestation
from tokenprov.step import Step
from tokenprov.steps.openpgp.cardholder import CardholderStep
from tokenprov.steps.openpgp.key import KeyStep
from tokenprov.steps.openpgp.pins import (
    ADMIN,
    USER,
    PinStep,
    ResetCodeStep,
    SignaturePinStep,
    TriesStep,
)
from tokenprov.steps.services import Services
from tokenprov.token.openpgp import Cardholder

UNUSED_RESET_TRIES = 3  # the factory's: without a reset code there is nothing to try

_CURVES = {
    OpenPgpAlgorithm.ECCP256: OID.SECP256R1,
    OpenPgpAlgorithm.ECCP384: OID.SECP384R1,
    OpenPgpAlgorithm.ECCP521: OID.SECP521R1,
    OpenPgpAlgorithm.SECP256K1: OID.SECP256K1,
    OpenPgpAlgorithm.BRAINPOOLP256R1: OID.BrainpoolP256R1,
    OpenPgpAlgorithm.BRAINPOOLP384R1: OID.BrainpoolP384R1,
    OpenPgpAlgorithm.BRAINPOOLP512R1: OID.BrainpoolP512R1,
    OpenPgpAlgorithm.ED25519: OID.Ed25519,
    OpenPgpAlgorithm.X25519: OID.X25519,
}


def openpgp_steps(section: OpenPgpSection, order: Order, services: Services) -> Iterator[Step]:
    """Tries, PINs, cardholder, keys. Raises `ProfileError` for what this holder's row lacks."""
    code = section.reset_code
    yield TriesStep(
        user=section.user_pin.retries,
        reset=code.retries if code is not None else UNUSED_RESET_TRIES,
        admin=section.admin_pin.retries,
        with_reset_code=code is not None,
    )
    yield PinStep(ADMIN, length=section.admin_pin.length)
    yield PinStep(USER, length=section.user_pin.length)
    if code is not None:
        yield ResetCodeStep(length=code.length)
    if section.signature_pin is not None:
        yield SignaturePinStep(PIN_POLICY[section.signature_pin.upper()])
    for what, template in (
        (Cardholder.NAME, section.name),
        (Cardholder.LOGIN, section.login),
        (Cardholder.URL, section.url),
    ):
        if template is not None:
            text, public = template.render(order.holder), not template.fields
            yield CardholderStep(what, text, public=public)
    if section.language is not None:
        yield CardholderStep(Cardholder.LANGUAGE, section.language, public=True)
    for key in section.keys:
        yield _key(key, services)


def _key(key: OpenPgpKey, services: Services) -> KeyStep:
    algorithm = key.algorithm
    return KeyStep(
        slot=KEY_REF[key.slot.upper()],
        algorithm=RSA_SIZE[algorithm.upper()] if algorithm.is_rsa else _CURVES[algorithm],
        touch=UIF[key.touch_policy.upper().replace("-", "_")],
        attestation_required=key.attestation is Attestation.REQUIRED,
        anchors=services.anchors,
        clock=services.clock,
    )
