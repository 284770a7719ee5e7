"""From a profile's certificate to what an authority is asked for, whatever holds the key."""

from __future__ import annotations

from tokenprov.issuer import CertificateSettings, Usage
from tokenprov.model import Order
from tokenprov.profile.piv_certificate import SID_COLUMN, AccountSid, Certificate


def certificate_settings(
    certificate: Certificate, order: Order, *, encryption: bool = False
) -> CertificateSettings:
    """For the order's holder; `encryption` where the key decrypts and signs nothing."""
    named = certificate.sid is not AccountSid.NO
    return CertificateSettings(
        days=certificate.days,
        subject=certificate.subject.render(order.holder),
        upn=certificate.upn,
        email=certificate.email,
        usages=tuple(Usage(usage) for usage in certificate.usages),
        encryption=encryption,
        policies=certificate.policies,
        sid=order.holder.extra.get(SID_COLUMN, "") if named else "",
    )
