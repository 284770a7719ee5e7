"""PIV steps, in the order in which they must run.

Tries first (setting them puts PIN and PUK back to the factory's), then PIN, PUK and management
key, then keys, certificates and objects.
"""

from tokenprov.steps.piv.certificate import CertificateStep
from tokenprov.steps.piv.key import KeyStep
from tokenprov.steps.piv.objects import CccStep, ChuidStep
from tokenprov.steps.piv.reference_data import ManagementKeyStep, PinStep, PukStep, TriesStep

__all__ = [
    "CccStep",
    "CertificateStep",
    "ChuidStep",
    "KeyStep",
    "ManagementKeyStep",
    "PinStep",
    "PukStep",
    "TriesStep",
]
