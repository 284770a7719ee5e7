"""Attestation: what tokens say about themselves, checked against trusted roots without any I/O.

`piv` checks keys of the PIV applet, `fido` checks credentials, both through `chain` up to the
roots of `anchors`.
"""

from tokenprov.attestation.anchors import Anchor, AnchorKind, Anchors, Use
from tokenprov.attestation.chain import NoAnchor
from tokenprov.attestation.fido import FidoAttestation, FidoGrade, verify_fido_attestation
from tokenprov.attestation.piv import PivAttestation, verify_piv_attestation

__all__ = [
    "Anchor",
    "AnchorKind",
    "Anchors",
    "FidoAttestation",
    "FidoGrade",
    "NoAnchor",
    "PivAttestation",
    "Use",
    "verify_fido_attestation",
    "verify_piv_attestation",
]
