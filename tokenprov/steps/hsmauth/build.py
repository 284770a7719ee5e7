"""From a profile's [hsmauth] to steps: the management key, then what it guards."""

from __future__ import annotations

from collections.abc import Iterator

from yubikit.hsmauth import ALGORITHM

from tokenprov.profile.hsmauth import HsmAuthAlgorithm, HsmAuthSection
from tokenprov.step import Step
from tokenprov.steps.hsmauth.credential import CredentialStep
from tokenprov.steps.hsmauth.management_key import ManagementKeyStep

_ALGORITHMS = {
    HsmAuthAlgorithm.AES128: ALGORITHM.AES128_YUBICO_AUTHENTICATION,
    HsmAuthAlgorithm.ECCP256: ALGORITHM.EC_P256_YUBICO_AUTHENTICATION,
}


def hsmauth_steps(section: HsmAuthSection) -> Iterator[Step]:
    """Management key, then credentials."""
    if section.management_key:
        yield ManagementKeyStep()
    for index, credential in enumerate(section.credentials):
        yield CredentialStep(
            label=credential.label,
            algorithm=_ALGORITHMS[credential.algorithm],
            password_length=credential.password.length,
            touch=credential.touch,
            still=len(section.credentials) - index,
        )
