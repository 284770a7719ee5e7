"""From a profile's [pkcs11] to steps: the token is made new first, which empties it."""

from __future__ import annotations

from collections.abc import Iterator

from tokenprov.model import Order
from tokenprov.pkcs11.values import Algorithm
from tokenprov.profile.pkcs11 import Pkcs11Section
from tokenprov.step import Step
from tokenprov.steps.certificate_settings import certificate_settings
from tokenprov.steps.pkcs11.certificate import CertificateStep
from tokenprov.steps.pkcs11.key import KeyStep
from tokenprov.steps.pkcs11.token import TokenStep
from tokenprov.steps.pkcs11.user_pin import UserPinStep
from tokenprov.steps.services import Services


def pkcs11_steps(section: Pkcs11Section, order: Order, services: Services) -> Iterator[Step]:
    """Token, PIN, then each key with its certificate. Raises `ProfileError` for a row's lack."""
    yield TokenStep(
        label=section.label.render(order.holder),
        length=section.so_pin.length,
        published=section.so_pin.published,
    )
    yield UserPinStep(length=section.user_pin.length)
    for wanted in section.keys:
        key = KeyStep(
            key_id=bytes.fromhex(wanted.id),
            label=wanted.label,
            algorithm=Algorithm(wanted.algorithm),
        )
        yield key
        if wanted.certificate is not None:
            yield CertificateStep(
                key=key,
                order=order.id,
                holder=order.holder,
                settings=certificate_settings(wanted.certificate, order),
                issuer=services.issuer(wanted.certificate.issuer),
                clock=services.clock,
            )
