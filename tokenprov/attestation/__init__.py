"""Attestation: what tokens say about themselves, checked against trusted roots without any I/O.

`piv` checks keys of the PIV applet, `fido` checks credentials, `channel` checks keys for secure
channels, all through `chain` up to the roots of `anchors`.
"""

from tokenprov.attestation.anchors import Anchor, AnchorKind, Anchors, Use
from tokenprov.attestation.chain import NoAnchor
from tokenprov.attestation.channel import ChannelAttestation, verify_channel_attestation
from tokenprov.attestation.fido import FidoAttestation, FidoGrade, verify_fido_attestation
from tokenprov.attestation.piv import (
    PivAttestation,
    is_virtual_token,
    verify_piv_attestation,
)

__all__ = [
    "Anchor",
    "AnchorKind",
    "Anchors",
    "ChannelAttestation",
    "FidoAttestation",
    "FidoGrade",
    "NoAnchor",
    "PivAttestation",
    "Use",
    "is_virtual_token",
    "verify_channel_attestation",
    "verify_fido_attestation",
    "verify_piv_attestation",
]
