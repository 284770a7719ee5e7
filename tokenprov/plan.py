"""From a profile and an order to ordered steps, and what they would do to the token that is here.

The order of the steps is the order in which a token can take them: an applet's steps stand
together, because selecting another one forgets what was authenticated. First comes what the others
need: the secure channel that they run over, and the applications switched on. Of these OTP is the
first: that a slot is behind somebody's access code shows only when it is written. What closes the
token to further changes comes last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from tokenprov.inventory import Inventory, take_inventory
from tokenprov.model import Json, Order
from tokenprov.profile import Profile, check_firmware
from tokenprov.profile.firmware import fit_to
from tokenprov.profile.settle import settled
from tokenprov.run import conflicts, look
from tokenprov.step import Finding, State, Step
from tokenprov.steps.device import closing_device_steps, device_steps
from tokenprov.steps.fido2 import fido2_steps
from tokenprov.steps.fips import fips_steps
from tokenprov.steps.hsmauth import hsmauth_steps
from tokenprov.steps.left_out import LeftOutStep
from tokenprov.steps.oath import oath_steps
from tokenprov.steps.openpgp import openpgp_steps
from tokenprov.steps.otp import otp_steps
from tokenprov.steps.piv import piv_steps
from tokenprov.steps.piv.history import RetiredKey
from tokenprov.steps.pkcs11 import pkcs11_steps
from tokenprov.steps.secure_channel import secure_channel_steps
from tokenprov.steps.services import Services
from tokenprov.token import Token


def steps_for(
    profile: Profile, order: Order, services: Services, history: Sequence[RetiredKey] = ()
) -> tuple[Step, ...]:
    """The steps of a profile for one order, in the order in which they run."""
    steps: list[Step] = []
    if profile.secure_channel is not None:
        steps += secure_channel_steps(profile.secure_channel, services)
    if profile.device is not None:
        steps += device_steps(profile.device, profile.applets)
    if profile.otp is not None:
        steps += otp_steps(profile.otp, order)
    if profile.piv is not None:
        steps += piv_steps(profile.piv, order, services, history)
    if profile.fido2 is not None:
        steps += fido2_steps(profile.fido2, order, services)
    if profile.oath is not None:
        steps += oath_steps(profile.oath, order)
    if profile.openpgp is not None:
        steps += openpgp_steps(profile.openpgp, order, services)
    if profile.hsmauth is not None:
        steps += hsmauth_steps(profile.hsmauth)
    if profile.pkcs11 is not None:
        steps += pkcs11_steps(profile.pkcs11, order, services)
    if profile.fips is not None:
        steps += fips_steps(profile.applets)
    if profile.device is not None:
        steps += closing_device_steps(profile.device)
    return tuple(steps)


def steps_on(
    token: Token,
    profile: Profile,
    order: Order,
    services: Services,
    *,
    day: date,
    history: Sequence[RetiredKey] = (),
) -> tuple[Step, ...]:
    """The steps of as much of the profile as this token can take, and one for what is left out.

    `day` is the day of issue: the same again when the work on a token is taken up later. `history`
    are the holder's old encryption keys, newest first. Raises `ProfileError` where a text of the
    profile names the serial and the token has none.
    """
    fitted = fit_to(profile, token.firmware, token.kind, fips=token.is_fips)
    made = settled(fitted.profile, serial=token.id.serial, day=day)
    left_out = (LeftOutStep(one.setting, one.reason) for one in fitted.left_out)
    return (*steps_for(made, order, services, history), *left_out)


def check_token(profile: Profile, token: Token) -> list[str]:
    """What of the profile is left out on this token, in words.

    Raises `ProfileError` for what the token cannot do, with the firmware that can.
    """
    return check_firmware(profile, token.firmware, token.kind, fips=token.is_fips)


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
    reasons: tuple[str, ...]  # what would have to be overwritten, in words
    wiped: bool = False  # as if it were emptied first

    @property
    def refused(self) -> bool:
        """Whether the token holds something, and nobody said that it may go."""
        return bool(self.reasons) and not self.wiped


def plan_token(token: Token, steps: Sequence[Step], *, wiped: bool = False) -> Plan:
    """Look at a token that nothing was promised for; nothing is changed.

    The steps of a used token are not looked at: one may have to try what is somebody's PIN. With
    `wiped` they are shown as on an empty token instead.
    """
    inventory = take_inventory(token)
    findings = {} if inventory.used else look(token, steps)
    reasons = inventory.used or conflicts(findings)
    if reasons and wiped:
        findings = {step.id: Finding(state=State.ABSENT) for step in steps}
    return Plan(
        inventory=inventory,
        steps=tuple(
            Planned(step=step, finding=findings[step.id]) for step in steps if step.id in findings
        ),
        reasons=reasons,
        wiped=wiped,
    )
