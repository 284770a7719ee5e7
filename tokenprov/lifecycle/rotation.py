"""Secrets of a token made anew: PUK, management keys, admin PIN, SO PIN, access codes, lock code.

What can be made anew is what the custodian's key opens: the help desk's PUK, token administration's
keys and codes, all of them with break-glass's; the OpenPGP reset code by the admin PIN. Seeds and
keys that others know of, and PINs, which are the holder's, are not; nor is the OATH password, which
the holder types, unless it is asked for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import StrEnum

from tokenprov.errors import InputError
from tokenprov.home import Home
from tokenprov.lifecycle import work
from tokenprov.lifecycle.standing import issued_by
from tokenprov.lifecycle.subject import Issued, require
from tokenprov.lifecycle.telling import Bench, MakeSteps, tell
from tokenprov.lifecycle.work import Order, Work
from tokenprov.model import SecretKind
from tokenprov.plan import steps_on
from tokenprov.profile import Profile
from tokenprov.record.entry import Kind
from tokenprov.record.history import State
from tokenprov.record.works import WorkKind
from tokenprov.secret import Secret
from tokenprov.step import Step
from tokenprov.steps.device.new_lock_code import NewLockCodeStep
from tokenprov.steps.hsmauth.new_management_key import NewManagementKeyStep as NewHsmAuthKeyStep
from tokenprov.steps.oath.new_password import NewPasswordStep
from tokenprov.steps.openpgp.new_admin_pin import NewAdminPinStep
from tokenprov.steps.openpgp.new_reset_code import NewResetCodeStep
from tokenprov.steps.otp.access_code import NewAccessCodeStep
from tokenprov.steps.otp.slot import SlotStep, access_code_name
from tokenprov.steps.piv.build import management_key_algorithm
from tokenprov.steps.piv.made_anew import NewManagementKeyStep, NewPukStep
from tokenprov.steps.pkcs11.made_anew import NewSoPinStep
from tokenprov.token import Token


class What(StrEnum):
    """What can be made anew; the words are the command's."""

    PUK = "puk"
    MANAGEMENT_KEY = "management-key"
    ACCESS_CODES = "access-codes"
    LOCK_CODE = "lock-code"
    OPENPGP_ADMIN_PIN = "openpgp-admin-pin"
    OPENPGP_RESET_CODE = "openpgp-reset-code"
    HSMAUTH_MANAGEMENT_KEY = "hsmauth-management-key"
    SO_PIN = "so-pin"
    OATH_PASSWORD = "oath-password"

    @property
    def kind(self) -> SecretKind:
        """Of the secret that comes out of escrow for it."""
        return _KINDS[self]


_KINDS = {
    What.PUK: SecretKind.PIV_PUK,
    What.MANAGEMENT_KEY: SecretKind.PIV_MANAGEMENT_KEY,
    What.ACCESS_CODES: SecretKind.OTP_ACCESS_CODE,
    What.LOCK_CODE: SecretKind.LOCK_CODE,
    What.OPENPGP_ADMIN_PIN: SecretKind.OPENPGP_ADMIN_PIN,
    What.OPENPGP_RESET_CODE: SecretKind.OPENPGP_ADMIN_PIN,
    What.HSMAUTH_MANAGEMENT_KEY: SecretKind.HSMAUTH_MANAGEMENT_KEY,
    What.SO_PIN: SecretKind.PKCS11_SO_PIN,
    What.OATH_PASSWORD: SecretKind.OATH_PASSWORD,
}
UNASKED = tuple(what for what in What if what is not What.OATH_PASSWORD)  # which the holder types


def begin(home: Home, token: Issued, what: Sequence[What], order: Order) -> Work:
    """Promise it; one that was begun goes on with what it was begun for.

    Raises InputError where the OpenPGP reset code alone is wanted and the token has none.
    """
    require(token, State.HELD)
    if set(what) == {What.OPENPGP_RESET_CODE} and NewResetCodeStep.id not in token.steps:
        raise InputError(
            f"token {token.label} was issued without an OpenPGP reset code",
            remedy="Its profile sets none: there is nothing to make anew.",
        )
    order = order.with_(what=sorted(map(str, what)))
    return work.begin(home, WorkKind.ROTATE, token, order)


def wanted(begun: Work) -> list[What]:
    """What is to be made anew."""
    return [What(one) for one in begun.record.parameters["what"]]


def rotate(home: Home, begun: Work, bench: Bench, held: Mapping[str, Secret]) -> int:
    """Make anew what is wanted and `held`; the entry's index. Raises what the token does."""
    steps = make(home, begun.token, wanted(begun))
    return tell(home, begun, Kind.ROTATED, bench, held, steps)


def make(home: Home, issued: Issued, what: Collection[What]) -> MakeSteps:
    """A step for each that is wanted and held, in the order in which a token can take them."""
    return lambda token, held: list(_steps(home, issued, what, token, held))


def _steps(
    home: Home,
    issued: Issued,
    what: Collection[What],
    token: Token,
    held: Mapping[str, Secret],
) -> Iterator[Step]:
    profile = issued_by(home, issued)
    yield from _piv(profile, held)
    yield from _openpgp(profile, what, held)
    yield from _others(profile, held)
    order, day = issued.order.order, home.clock().date()
    for one in steps_on(token, profile, order, home, day=day):
        if isinstance(one, SlotStep) and access_code_name(one.slot) in held:
            yield NewAccessCodeStep(one, held[access_code_name(one.slot)])
    for name, value in held.items():
        if name == NewLockCodeStep.id:
            yield NewLockCodeStep(value)


def _piv(profile: Profile, held: Mapping[str, Secret]) -> Iterator[Step]:
    if profile.piv is None:
        return
    if NewPukStep.id in held:
        yield NewPukStep(length=profile.piv.puk.length, old=held[NewPukStep.id])
    if NewManagementKeyStep.id in held:
        wanted = profile.piv.management_key
        yield NewManagementKeyStep(
            algorithm=management_key_algorithm(wanted),
            touch=wanted.touch,
            pin_protected=wanted.pin_protected,
            old=held[NewManagementKeyStep.id],
        )


def _openpgp(
    profile: Profile, what: Collection[What], held: Mapping[str, Secret]
) -> Iterator[Step]:
    if profile.openpgp is None or NewAdminPinStep.id not in held:
        return
    admin_pin, code = held[NewAdminPinStep.id], profile.openpgp.reset_code
    if What.OPENPGP_ADMIN_PIN in what:
        yield NewAdminPinStep(length=profile.openpgp.admin_pin.length, old=admin_pin)
    if code is not None and What.OPENPGP_RESET_CODE in what:
        yield NewResetCodeStep(length=code.length, admin_pin=admin_pin)


def _others(profile: Profile, held: Mapping[str, Secret]) -> Iterator[Step]:
    oath = profile.oath
    password = oath.password if oath is not None else None
    if password is not None and NewPasswordStep.id in held:
        yield NewPasswordStep(length=password.length, old=held[NewPasswordStep.id])
    if profile.pkcs11 is not None and NewSoPinStep.id in held:
        length = profile.pkcs11.so_pin.length
        yield NewSoPinStep(length=length, old=held[NewSoPinStep.id])
    if NewHsmAuthKeyStep.id in held:
        yield NewHsmAuthKeyStep(old=held[NewHsmAuthKeyStep.id])
