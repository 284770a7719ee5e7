"""Where certificates come from: the `Issuer` protocol, and authorities that implement it.

protocol     what is asked of an authority, and what it gives
choose       the authority that a profile names by its URI
requested    what a PKCS#10 request asks for beside the key
possession   proof that a key is held where the request says
journalled   any authority that is reached over a protocol, with its requests on disk first
requests     that record, a file a request
published    an authority's lists of what is revoked, read back
listed       what another authority published, from where it says
asked        the answer of its OCSP responder, judged
settings     what a station's file says of an authority
web          the connection to one that is asked over HTTP
answers      which certificate is the answer, and which stand above it
est          Enrollment over Secure Transport (RFC 7030)
cmp          Certificate Management Protocol (RFC 9480), by OpenSSL's client
acme         ACME by device attestation (RFC 8555 and a draft); acme_session, jose: what it speaks
reasons      why a certificate is revoked, by number
command      a program of the station's owner
offline      files that somebody carries
told         what programs and people are told of a request
ca           an authority of the station's own
ssh          one for SSH certificates, in its folder
"""

from tokenprov.issuer.ca import LocalCa
from tokenprov.issuer.choose import choose_issuer
from tokenprov.issuer.journalled import Authority, Journalled, Mark
from tokenprov.issuer.protocol import (
    Abilities,
    CardIdentifiers,
    CertificateRequest,
    CertificateSettings,
    CertificateStatus,
    IssuedCertificate,
    Issuer,
    Sign,
    Standing,
    Usage,
)
from tokenprov.issuer.requests import Certified

__all__ = [
    "Abilities",
    "Authority",
    "CardIdentifiers",
    "CertificateRequest",
    "CertificateSettings",
    "CertificateStatus",
    "Certified",
    "IssuedCertificate",
    "Issuer",
    "Journalled",
    "LocalCa",
    "Mark",
    "Sign",
    "Standing",
    "Usage",
    "choose_issuer",
]
