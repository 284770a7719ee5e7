"""FIPS approved mode as one target of the profile language.

Source: Yubico's technical manual, "YubiKey 5 FIPS Series Specifics" (changes for FIPS 140-3) and
"FIPS 140-3 Configuration". An application is in approved mode when:

- PIV: PIN and PUK are changed and have eight characters, the management key is changed and AES; no
  key is X25519, and none is used without a PIN;
- FIDO2: a PIN of eight characters or more is set (alwaysUv is on and U2F off by themselves);
- OATH: an access code of fourteen bytes or more is set;
- OpenPGP: user PIN and admin PIN are changed and have eight characters or more, as has a reset
  code;
- YubiHSM Auth: the management key is changed.

OTP has no approved mode. What a profile must say for that is checked when it is read; whether the
token is in approved mode is read from the token at the end.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import StrictBool

from tokenprov.profile.faults import Fault
from tokenprov.profile.fido2 import Fido2Section
from tokenprov.profile.hsmauth import HsmAuthSection
from tokenprov.profile.oath import OathSection
from tokenprov.profile.openpgp import OpenPgpAlgorithm, OpenPgpSection
from tokenprov.profile.piv import Algorithm, ManagementKeyAlgorithm, PinPolicy, PivSection
from tokenprov.profile.section import Section

LEAST = 8  # characters of a PIN
LEAST_ACCESS_CODE = 14  # bytes
_NOT_APPROVED = frozenset((OpenPgpAlgorithm.SECP256K1, OpenPgpAlgorithm.X25519))

# Tables whose application has an approved mode
APPROVABLE = frozenset(("piv", "fido2", "oath", "openpgp", "hsmauth"))


class FipsSection(Section):
    """Whether every application that the profile sets must end in approved mode."""

    approved: StrictBool

    def rules(self) -> Iterator[Fault]:
        """It says so."""
        if not self.approved:
            yield Fault(
                at=("approved",),
                message="approved = false says nothing",
                remedy="Write approved = true, or delete [fips].",
            )


def check_approved(
    fips: FipsSection | None,
    *,
    piv: PivSection | None,
    fido2: Fido2Section | None,
    oath: OathSection | None,
    openpgp: OpenPgpSection | None,
    hsmauth: HsmAuthSection | None,
) -> Iterator[Fault]:
    """What of the profile would keep an application out of approved mode."""
    if fips is None:
        return
    if not any((piv, fido2, oath, openpgp, hsmauth)):
        yield Fault(
            at=("fips",),
            message="the profile sets no application that has an approved mode",
            remedy="Add one of [piv], [fido2], [oath], [openpgp] and [hsmauth].",
        )
    if piv is not None:
        yield from _piv(piv)
    if fido2 is not None:
        yield from _long_enough(("fido2", "pin", "length"), fido2.pin.length)
    if oath is not None:
        yield from _oath(oath)
    if openpgp is not None:
        yield from _openpgp(openpgp)
    if hsmauth is not None and not hsmauth.management_key:
        yield Fault(
            at=("hsmauth", "management-key"),
            message="approved mode asks for a management key that is not the factory's",
            remedy="Write management-key = true.",
        )


def _piv(piv: PivSection) -> Iterator[Fault]:
    yield from _long_enough(("piv", "pin", "length"), piv.pin.length)
    yield from _long_enough(("piv", "puk", "length"), piv.puk.length)
    if piv.management_key.algorithm is ManagementKeyAlgorithm.TDES:
        yield Fault(
            at=("piv", "management-key", "algorithm"),
            message="approved mode asks for a management key for AES",
            remedy='Write "auto", "aes192" or "aes256".',
        )
    for index, key in enumerate(piv.keys):
        if key.algorithm is Algorithm.X25519:
            yield Fault(
                at=("piv", "keys", index, "algorithm"),
                message="x25519 is not an algorithm of approved mode",
                remedy='Write "eccp256" or "eccp384".',
            )
        if key.pin_policy is PinPolicy.NEVER or (
            key.slot == "9e" and key.pin_policy is PinPolicy.DEFAULT
        ):
            yield Fault(
                at=("piv", "keys", index, "pin-policy"),
                message=f"the key in {key.slot} is used without a PIN: not in approved mode",
                remedy='Write pin-policy = "once" or "always".',
            )


def _oath(oath: OathSection) -> Iterator[Fault]:
    if oath.password is None:
        yield Fault(
            at=("oath",),
            message="approved mode asks for a password of the OATH application",
            remedy="Add password = { length = 16 } to [oath].",
        )
    elif oath.password.length < LEAST_ACCESS_CODE:
        yield Fault(
            at=("oath", "password", "length"),
            message=f"approved mode asks for {LEAST_ACCESS_CODE} bytes, this says "
            f"{oath.password.length}",
            remedy=f"Write {LEAST_ACCESS_CODE} or more.",
        )


def _openpgp(openpgp: OpenPgpSection) -> Iterator[Fault]:
    yield from _long_enough(("openpgp", "user-pin", "length"), openpgp.user_pin.length)
    yield from _long_enough(("openpgp", "admin-pin", "length"), openpgp.admin_pin.length)
    if openpgp.reset_code is not None:
        yield from _long_enough(("openpgp", "reset-code", "length"), openpgp.reset_code.length)
    for index, key in enumerate(openpgp.keys):
        if key.algorithm in _NOT_APPROVED:
            yield Fault(
                at=("openpgp", "keys", index, "algorithm"),
                message=f"{key.algorithm} is not an algorithm of approved mode",
                remedy='Write "eccp256" or "eccp384".',
            )


def _long_enough(at: tuple[str, ...], length: int) -> Iterator[Fault]:
    if length < LEAST:
        yield Fault(
            at=at,
            message=f"approved mode asks for {LEAST} characters, this says {length}",
            remedy=f"Write {LEAST}.",
        )
