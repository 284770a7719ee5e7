"""From a profile's [piv] to steps, in the order in which they must run.

Tries first (setting them puts PIN and PUK back to the factory's), then PIN, PUK and management
key (a FIPS token makes no key before all three are changed), then objects, keys and certificates,
and last the key history, which tells readers of what is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from functools import partial

from yubikit.piv import KEY_TYPE, MANAGEMENT_KEY_TYPE, PIN_POLICY, SLOT, TOUCH_POLICY

from tokenprov.model import Order
from tokenprov.profile.piv import (
    RETIRED_SLOTS,
    Attestation,
    ManagementKey,
    ManagementKeyAlgorithm,
    Origin,
    PivKey,
    PivSection,
)
from tokenprov.profile.piv_objects import PrintedInformation
from tokenprov.secret import Secret
from tokenprov.step import Step
from tokenprov.steps.certificate_settings import certificate_settings
from tokenprov.steps.piv.certificate import CertificateStep
from tokenprov.steps.piv.data_objects import PrintedInformationStep, TextObjectStep
from tokenprov.steps.piv.history import RETIRED_SLOTS as RETIRED
from tokenprov.steps.piv.history import KeyHistoryStep, RetiredKey, history_steps
from tokenprov.steps.piv.imported_key import ImportedKeyStep
from tokenprov.steps.piv.key import KeyStep
from tokenprov.steps.piv.management_key import ManagementKeyStep
from tokenprov.steps.piv.objects import CccStep, ChuidStep
from tokenprov.steps.piv.reference_data import PinStep, PukStep, TriesStep
from tokenprov.steps.services import Services

_MANAGEMENT_KEYS = {
    ManagementKeyAlgorithm.AUTO: None,
    ManagementKeyAlgorithm.TDES: MANAGEMENT_KEY_TYPE.TDES,
    ManagementKeyAlgorithm.AES128: MANAGEMENT_KEY_TYPE.AES128,
    ManagementKeyAlgorithm.AES192: MANAGEMENT_KEY_TYPE.AES192,
    ManagementKeyAlgorithm.AES256: MANAGEMENT_KEY_TYPE.AES256,
}


def piv_steps(
    section: PivSection, order: Order, services: Services, history: Sequence[RetiredKey] = ()
) -> Iterator[Step]:
    """Reference data, objects, then each key with its certificate, and those of `history`."""
    yield TriesStep(pin=section.pin.retries, puk=section.puk.retries)
    yield PinStep(length=section.pin.length, published=section.pin.published)
    yield PukStep(length=section.puk.length, published=section.puk.published)
    yield ManagementKeyStep(
        algorithm=management_key_algorithm(section.management_key),
        touch=section.management_key.touch,
        pin_protected=section.management_key.pin_protected,
        given=_given(section.management_key.given, services),
    )
    yield from _objects(section, order, services)
    for wanted in section.keys:
        key = _key_step(wanted, services)
        yield key
        if wanted.certificate is not None:
            yield CertificateStep(
                key=key,
                order=order.id,
                holder=order.holder,
                settings=certificate_settings(
                    wanted.certificate, order, encryption=wanted.encrypts
                ),
                issuer=services.issuer(wanted.certificate.issuer),
                clock=services.clock,
                compress=wanted.certificate.compress,
                card_names=wanted.certificate.card_names,
            )
    taken = [SLOT(int(key.slot, 16)) for key in section.keys if key.slot in RETIRED_SLOTS]
    free = [slot for slot in RETIRED if slot > max(taken, default=0)]
    if history and free:
        yield from history_steps(history, first=free[0])
    yield from _key_history(section, min(len(history), len(free)))


def _given(name: str | None, services: Services) -> Callable[[], Secret] | None:
    return None if name is None else partial(services.card_key, name)


def management_key_algorithm(wanted: ManagementKey) -> MANAGEMENT_KEY_TYPE | None:
    """What a profile asks for; None: the token's own default."""
    return _MANAGEMENT_KEYS[wanted.algorithm]


def _objects(section: PivSection, order: Order, services: Services) -> Iterator[Step]:
    def today() -> date:
        return services.clock().date()

    if section.chuid:
        yield ChuidStep(today=today)
    if section.ccc:
        yield CccStep()
    if section.printed_information is not None:
        yield _printed(section.printed_information, order, today)
    for one in section.objects:
        yield TextObjectStep(object_id=one.number, text=one.text.render(order.holder))


def _printed(
    wanted: PrintedInformation, order: Order, today: Callable[[], date]
) -> PrintedInformationStep:
    holder, texts = order.holder, dict.fromkeys(("affiliation", "organization"), "")
    texts |= {key: template.render(holder) for key, (template, _) in wanted.templates.items()}
    return PrintedInformationStep(
        **texts,
        issuer=wanted.issuer or "",
        days=wanted.days,
        last_day=holder.last_day,
        today=today,
    )


def _key_history(section: PivSection, restored: int) -> Iterator[Step]:
    """Where retired slots hold certificates, or where a URL tells of those that are elsewhere."""
    retired = [key for key in section.keys if key.slot in RETIRED_SLOTS]
    on_card = sum(key.certificate is not None for key in retired) + restored
    url = section.key_history_url or ""
    if (retired or restored) and (on_card or url):
        off_card = len(retired) + restored - on_card if url else 0
        yield KeyHistoryStep(on_card=on_card, off_card=off_card, url=url)


def _key_step(key: PivKey, services: Services) -> KeyStep | ImportedKeyStep:
    slot, algorithm = SLOT(int(key.slot, 16)), KEY_TYPE[key.algorithm.upper()]
    pin_policy = PIN_POLICY[key.pin_policy.upper().replace("-", "_")]
    touch_policy = TOUCH_POLICY[key.touch_policy.upper()]
    if key.origin is Origin.ESCROWED:
        return ImportedKeyStep(
            slot=slot, algorithm=algorithm, pin_policy=pin_policy, touch_policy=touch_policy
        )
    return KeyStep(
        slot=slot,
        algorithm=algorithm,
        pin_policy=pin_policy,
        touch_policy=touch_policy,
        attestation_required=key.attestation is Attestation.REQUIRED,
        anchors=services.anchors,
        clock=services.clock,
    )
