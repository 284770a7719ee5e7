"""From a profile's [piv] to steps, in the order in which they must run.

Tries first (setting them puts PIN and PUK back to the factory's), then PIN, PUK and management
key, then objects, keys and certificates.
"""

from __future__ import annotations

from collections.abc import Iterator

from yubikit.piv import KEY_TYPE, MANAGEMENT_KEY_TYPE, PIN_POLICY, SLOT, TOUCH_POLICY

from tokenprov.issuer import CertificateSettings, Usage
from tokenprov.model import Order
from tokenprov.profile.piv import (
    Attestation,
    Certificate,
    ManagementKeyAlgorithm,
    PivKey,
    PivSection,
)
from tokenprov.step import Step
from tokenprov.steps.piv.certificate import CertificateStep
from tokenprov.steps.piv.key import KeyStep
from tokenprov.steps.piv.objects import CccStep, ChuidStep
from tokenprov.steps.piv.reference_data import ManagementKeyStep, PinStep, PukStep, TriesStep
from tokenprov.steps.services import Services

_MANAGEMENT_KEYS = {
    ManagementKeyAlgorithm.AUTO: None,
    ManagementKeyAlgorithm.TDES: MANAGEMENT_KEY_TYPE.TDES,
    ManagementKeyAlgorithm.AES128: MANAGEMENT_KEY_TYPE.AES128,
    ManagementKeyAlgorithm.AES192: MANAGEMENT_KEY_TYPE.AES192,
    ManagementKeyAlgorithm.AES256: MANAGEMENT_KEY_TYPE.AES256,
}


def piv_steps(section: PivSection, order: Order, services: Services) -> Iterator[Step]:
    """Reference data, objects, then each key with its certificate."""
    yield TriesStep(pin=section.pin.retries, puk=section.puk.retries)
    yield PinStep(length=section.pin.length)
    yield PukStep(length=section.puk.length)
    yield ManagementKeyStep(algorithm=_MANAGEMENT_KEYS[section.management_key.algorithm])
    if section.chuid:
        yield ChuidStep(today=lambda: services.clock().date())
    if section.ccc:
        yield CccStep()
    for wanted in section.keys:
        key = _key_step(wanted, services)
        yield key
        if wanted.certificate is not None:
            yield CertificateStep(
                key=key,
                order=order.id,
                holder=order.holder,
                settings=_settings(wanted.certificate, order),
                issuer=services.issuer(wanted.certificate.issuer),
                clock=services.clock,
            )


def _key_step(key: PivKey, services: Services) -> KeyStep:
    return KeyStep(
        slot=SLOT(int(key.slot, 16)),
        algorithm=KEY_TYPE[key.algorithm.upper()],
        pin_policy=PIN_POLICY[key.pin_policy.upper()],
        touch_policy=TOUCH_POLICY[key.touch_policy.upper()],
        attestation_required=key.attestation is Attestation.REQUIRED,
        anchors=services.anchors,
        clock=services.clock,
    )


def _settings(certificate: Certificate, order: Order) -> CertificateSettings:
    return CertificateSettings(
        days=certificate.days,
        subject=certificate.subject.render(order.holder),
        upn=certificate.upn,
        email=certificate.email,
        usages=tuple(Usage(usage) for usage in certificate.usages),
    )
