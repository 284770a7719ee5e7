"""From a profile's [fido2] to steps; a forced change of the PIN comes last."""

from __future__ import annotations

from collections.abc import Iterator

from tokenprov.model import Order
from tokenprov.profile.fido2 import Fido2Section, ForceChange
from tokenprov.step import Step
from tokenprov.steps.fido2.credential import CredentialStep
from tokenprov.steps.fido2.pin import ForcePinChangeStep, PinStep
from tokenprov.steps.services import Services


def fido2_steps(section: Fido2Section, order: Order, services: Services) -> Iterator[Step]:
    """PIN, credentials, and the demand to change the PIN."""
    yield PinStep(length=section.pin.length)
    for credential in section.credentials:
        yield CredentialStep(
            relying_party=services.relying_party(credential.rp_id, credential.rp_name),
            order=order.id,
            user_name=credential.user_name.render(order.holder),
            display_name=credential.display_name.render(order.holder),
            clock=services.clock,
        )
    if section.pin.force_change is not ForceChange.NO:
        yield ForcePinChangeStep(required=section.pin.force_change is ForceChange.REQUIRED)
