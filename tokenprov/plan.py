"""From a profile and an order to ordered steps, and what they would do to the token that is here.

The order of the steps is the order in which a token can take them: an applet's steps stand
together, because selecting another one forgets what was authenticated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from yubikit.piv import KEY_TYPE, MANAGEMENT_KEY_TYPE, PIN_POLICY, SLOT, TOUCH_POLICY

from tokenprov.attestation import Anchors
from tokenprov.directory import RelyingParty
from tokenprov.inventory import Inventory, take_inventory
from tokenprov.issuer import CertificateSettings, Issuer, Usage
from tokenprov.model import Json, Order
from tokenprov.profile import Profile
from tokenprov.profile.fido2 import Fido2Section, ForceChange
from tokenprov.profile.otp import HmacSha1Slot, OtpSection
from tokenprov.profile.piv import (
    Attestation,
    Certificate,
    ManagementKeyAlgorithm,
    PivKey,
    PivSection,
)
from tokenprov.run import look
from tokenprov.step import Finding, State, Step
from tokenprov.steps import fido2, otp, piv
from tokenprov.token import Token


class Services(Protocol):
    """What steps need of the station."""

    @property
    def anchors(self) -> Anchors:
        """Whose attestations count."""
        ...

    @property
    def clock(self) -> Callable[[], datetime]:
        """The time, aware of its zone."""
        ...

    def issuer(self, name: str) -> Issuer:
        """The authority of that name. Raises `IssuerError`."""
        ...

    def relying_party(self, rp_id: str, rp_name: str) -> RelyingParty:
        """The relying party that credentials are registered at."""
        ...


def steps_for(profile: Profile, order: Order, services: Services) -> tuple[Step, ...]:
    """The steps of a profile for one order, in the order in which they run."""
    steps: list[Step] = []
    if profile.piv is not None:
        steps += _piv_steps(profile.piv, order, services)
    if profile.otp is not None:
        steps += _otp_steps(profile.otp)
    if profile.fido2 is not None:
        steps += _fido2_steps(profile.fido2, order, services)
    return tuple(steps)


_MANAGEMENT_KEYS = {
    ManagementKeyAlgorithm.AUTO: None,
    ManagementKeyAlgorithm.TDES: MANAGEMENT_KEY_TYPE.TDES,
    ManagementKeyAlgorithm.AES128: MANAGEMENT_KEY_TYPE.AES128,
    ManagementKeyAlgorithm.AES192: MANAGEMENT_KEY_TYPE.AES192,
    ManagementKeyAlgorithm.AES256: MANAGEMENT_KEY_TYPE.AES256,
}


def _piv_steps(section: PivSection, order: Order, services: Services) -> Iterator[Step]:
    yield piv.TriesStep(pin=section.pin.retries, puk=section.puk.retries)
    yield piv.PinStep(length=section.pin.length)
    yield piv.PukStep(length=section.puk.length)
    yield piv.ManagementKeyStep(algorithm=_MANAGEMENT_KEYS[section.management_key.algorithm])
    if section.chuid:
        yield piv.ChuidStep(today=lambda: services.clock().date())
    if section.ccc:
        yield piv.CccStep()
    for wanted in section.keys:
        key = _key_step(wanted, services)
        yield key
        if wanted.certificate is not None:
            yield piv.CertificateStep(
                key=key,
                order=order.id,
                holder=order.holder,
                settings=_settings(wanted.certificate, order),
                issuer=services.issuer(wanted.certificate.issuer),
                clock=services.clock,
            )


def _key_step(key: PivKey, services: Services) -> piv.KeyStep:
    return piv.KeyStep(
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


def _otp_steps(section: OtpSection) -> Iterator[Step]:
    for number, slot in ((1, section.slot1), (2, section.slot2)):
        if slot is None:
            continue
        if isinstance(slot, HmacSha1Slot):
            yield otp.HmacSha1Step(
                number,
                access_code=slot.access_code,
                replace_factory=slot.replace_factory,
                touch=slot.touch,
            )
        else:
            yield otp.YubicoOtpStep(
                number,
                access_code=slot.access_code,
                replace_factory=slot.replace_factory,
                append_enter=slot.append_enter,
            )


def _fido2_steps(section: Fido2Section, order: Order, services: Services) -> Iterator[Step]:
    yield fido2.PinStep(length=section.pin.length)
    for credential in section.credentials:
        yield fido2.CredentialStep(
            relying_party=services.relying_party(credential.rp_id, credential.rp_name),
            order=order.id,
            user_name=credential.user_name.render(order.holder),
            display_name=credential.display_name.render(order.holder),
            clock=services.clock,
        )
    if section.pin.force_change is not ForceChange.NO:
        yield fido2.ForcePinChangeStep(required=section.pin.force_change is ForceChange.REQUIRED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One step on the token that is here."""

    step: Step
    finding: Finding

    @property
    def verdict(self) -> str:
        """What would happen: "write", "leave", "skip" or "refuse"."""
        match self.finding.state:
            case State.ABSENT:
                return "write"
            case State.MATCH:
                return "leave"
            case State.SKIPPED:
                return "skip"
        return "refuse"

    def to_json(self) -> dict[str, Json]:
        """For programs."""
        document: dict[str, Json] = {
            "step": self.step.id,
            "title": self.step.title,
            "verdict": self.verdict,
        }
        if self.finding.reason:
            document["reason"] = self.finding.reason
        if self.finding.facts:
            document["now"] = dict(self.finding.facts)
        return document


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is on a token, and what a profile would make of it."""

    inventory: Inventory
    steps: tuple[Planned, ...]

    @property
    def refused(self) -> bool:
        """Whether the token holds something that would have to be overwritten."""
        return bool(self.inventory.used) or any(one.verdict == "refuse" for one in self.steps)


def plan_token(token: Token, steps: Sequence[Step]) -> Plan:
    """Look at a token that nothing was promised for; nothing is changed.

    The steps of a used token are not looked at: one may have to try what is somebody's PIN.
    """
    inventory = take_inventory(token)
    findings = {} if inventory.used else look(token, steps)
    return Plan(
        inventory=inventory,
        steps=tuple(
            Planned(step=step, finding=findings[step.id]) for step in steps if step.id in findings
        ),
    )
