"""Where certificates come from: the `Issuer` protocol, and authorities that implement it.

protocol     what is asked of an authority, and what it gives
possession   proof that a key is held where the request says
certificate  a holder's certificate, built (RFC 5280)
issued       the record of what was issued, on disk
local        an authority of the station's own, for tests and small sites
"""

from tokenprov.issuer.local import LocalCa
from tokenprov.issuer.protocol import (
    CertificateRequest,
    CertificateSettings,
    IssuedCertificate,
    Issuer,
    Usage,
)

__all__ = [
    "CertificateRequest",
    "CertificateSettings",
    "IssuedCertificate",
    "Issuer",
    "LocalCa",
    "Usage",
]
