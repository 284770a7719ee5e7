"""From a profile's [oath] to steps: the password first, which some tokens want before accounts."""

from __future__ import annotations

from collections.abc import Iterator

from yubikit.oath import HASH_ALGORITHM, OATH_TYPE

from tokenprov.errors import ProfileError
from tokenprov.model import Json, Order
from tokenprov.profile.oath import OathAccount, OathKind, OathSection
from tokenprov.step import Step
from tokenprov.steps.oath.account import AccountStep, Wanted
from tokenprov.steps.oath.password import PasswordStep


def oath_steps(section: OathSection, order: Order) -> Iterator[Step]:
    """Password, then accounts. Raises `ProfileError` for two accounts of one name."""
    if section.password is not None:
        yield PasswordStep(length=section.password.length)
    names: set[str] = set()
    for number, account in enumerate(section.accounts, start=1):
        name = account.identity.render(order.holder)
        if name in names:
            raise ProfileError(
                f"two OATH accounts of holder {order.holder.id!r} have the same name",
                remedy="Give them different issuers or names in the profile.",
            )
        names.add(name)
        still = len(section.accounts) - number + 1
        yield AccountStep(number=number, still=still, wanted=_wanted(account, order))


def _wanted(account: OathAccount, order: Order) -> Wanted:
    public: dict[str, Json] = {
        "kind": str(account.kind),
        "algorithm": str(account.algorithm),
        "digits": account.digits,
        "touch": account.touch,
    }
    if account.kind is OathKind.TOTP:
        public["period"] = account.period
    else:
        public["counter"] = account.counter
    for name, template in (("issuer", account.issuer), ("name", account.name)):
        if not template.fields:  # what names the holder stands in no entry
            public[name] = template.render(order.holder)
    return Wanted(
        kind=OATH_TYPE[account.kind.upper()],
        algorithm=HASH_ALGORITHM[account.algorithm.upper()],
        issuer=account.issuer.render(order.holder),
        name=account.name.render(order.holder),
        digits=account.digits,
        period=account.period,
        counter=account.counter,
        touch=account.touch,
        public=public,
    )
