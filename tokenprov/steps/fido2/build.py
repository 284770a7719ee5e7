"""From a profile's [fido2] to steps.

Settings stand together before the credentials, so that one token by PIN serves them all; what may
demand a change of the PIN comes last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tokenprov.model import Order
from tokenprov.profile.fido2 import Demand, Fido2Section
from tokenprov.step import Step
from tokenprov.steps.fido2.credential import CredentialStep, Wanted
from tokenprov.steps.fido2.pin import PinStep
from tokenprov.steps.fido2.policy import Policy
from tokenprov.steps.fido2.settings import (
    AlwaysUvStep,
    EnterpriseAttestationStep,
    ForcePinChangeStep,
    MinimumPinLengthStep,
    PinComplexityStep,
)
from tokenprov.steps.services import Services


def fido2_steps(section: Fido2Section, order: Order, services: Services) -> Iterator[Step]:
    """PIN, settings, credentials, and the demand to change the PIN."""
    pin, minimum = section.pin, section.minimum_pin_length
    yield PinStep(length=pin.length, alphabet=pin.alphabet, policy=Policy(section=section))
    if minimum is not None:
        yield MinimumPinLengthStep(
            length=minimum.length,
            rp_ids=minimum.rp_ids,
            required=minimum.support is Demand.REQUIRED,
        )
    yield from _demanded(section.enterprise_attestation, EnterpriseAttestationStep)
    yield from _demanded(section.always_uv, AlwaysUvStep)
    readers = minimum.rp_ids if minimum is not None else ()
    for index, credential in enumerate(section.credentials):
        yield CredentialStep(
            relying_party=services.relying_party(credential.rp_id, credential.rp_name),
            order=order.id,
            wanted=Wanted(
                user_name=credential.user_name.render(order.holder),
                display_name=credential.display_name.render(order.holder),
                protection=credential.protection,
                hmac_secret=credential.hmac_secret,
                enterprise=credential.enterprise,
                tells_minimum=credential.rp_id in readers,
                still=len(section.credentials) - index,
            ),
            clock=services.clock,
        )
    yield from _demanded(pin.complexity, PinComplexityStep)
    yield from _demanded(pin.force_change, ForcePinChangeStep)


def _demanded(demand: Demand, step: Callable[..., Step]) -> Iterator[Step]:
    """The step, unless the profile leaves the setting as it is."""
    if demand is not Demand.NO:
        yield step(required=demand is Demand.REQUIRED)
