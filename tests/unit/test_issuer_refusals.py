"""Whom and what the local authority issues nothing for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519

from tests.certificate_requests import (
    HOLDER,
    NOW,
    SETTINGS,
    Key,
    attested,
    csr_of,
    p256,
    request_for,
)
from tokenprov.errors import IssuerError
from tokenprov.issuer import LocalCa


@pytest.fixture
def ca(tmp_path: Path) -> LocalCa:
    """A new authority."""
    return LocalCa.create(tmp_path / "ca", "Example Test CA", NOW)


def flipped(der: bytes) -> bytes:
    """The same with its last byte, in the signature, changed."""
    return der[:-1] + bytes([der[-1] ^ 1])


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A request that is refused, and words of the reason."""

    name: str
    reason: str
    change: Callable[[ec.EllipticCurvePrivateKey], dict[str, Any]]


REFUSALS = [
    Refusal(name="no proof", reason="proves possession", change=lambda k: {"attestation": None}),
    Refusal(
        name="attestation of another key",
        reason="another key",
        change=lambda k: {"attestation": attested(p256())},
    ),
    Refusal(
        name="attestation by another token",
        reason="by token 12345679, not 12345678",
        change=lambda k: {"attestation": attested(k, serial=12345679)},
    ),
    Refusal(
        name="request of another key",
        reason="signed for another key",
        change=lambda k: {"csr": csr_of(p256())},
    ),
    Refusal(
        name="request with a bad signature",
        reason="does not verify",
        change=lambda k: {"csr": flipped(csr_of(k))},
    ),
    Refusal(name="garbage request", reason="no readable", change=lambda k: {"csr": b"0"}),
    Refusal(
        name="last day over",
        reason="last day of e1001 was 2026-11-23",
        change=lambda k: {"holder": replace(HOLDER, last_day=date(2026, 11, 23))},
    ),
    Refusal(
        name="no UPN",
        reason="no user principal name",
        change=lambda k: {"holder": replace(HOLDER, upn="")},
    ),
    Refusal(
        name="mail beyond ASCII",
        reason="mail address 'zoë@example.test'",
        change=lambda k: {"holder": replace(HOLDER, email="zoë@example.test")},
    ),
    Refusal(
        name="long name",
        reason="common name",
        change=lambda k: {"settings": replace(SETTINGS, subject="n" * 65)},
    ),
    Refusal(
        name="control character",
        reason="common name",
        change=lambda k: {"settings": replace(SETTINGS, subject="a\nb")},
    ),
    Refusal(
        name="no name",
        reason="common name",
        change=lambda k: {"settings": replace(SETTINGS, subject=" ")},
    ),
    Refusal(
        name="no days",
        reason="for 0 days",
        change=lambda k: {"settings": replace(SETTINGS, days=0)},
    ),
    Refusal(
        name="no usage",
        reason="without usages",
        change=lambda k: {"settings": replace(SETTINGS, usages=())},
    ),
    Refusal(name="no request name", reason="name a request", change=lambda k: {"request_id": ""}),
    Refusal(
        name="hidden request name",
        reason="name a request",
        change=lambda k: {"request_id": "../up"},
    ),
    Refusal(
        name="long request name",
        reason="name a request",
        change=lambda k: {"request_id": "a" * 201},
    ),
]


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.name)
def test_refusals_issue_nothing(ca: LocalCa, tmp_path: Path, case: Refusal) -> None:
    """Each reason refuses the request, says so with a remedy, and leaves nothing on the disk."""
    key = p256()
    with pytest.raises(IssuerError, match=case.reason) as caught:
        ca.issue(request_for(key, **case.change(key)), NOW)
    assert caught.value.remedy
    assert list((tmp_path / "ca" / "requests").iterdir()) == []


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (rsa.generate_private_key(65537, 1024), "has 1024 bits only"),
        (x25519.X25519PrivateKey.generate(), "cannot sign"),
        (ec.generate_private_key(ec.SECP256K1()), "on the curve secp256k1"),
    ],
    ids=["rsa1024", "x25519", "secp256k1"],
)
def test_weak_and_mute_keys_are_refused(ca: LocalCa, key: Key, reason: str) -> None:
    """A key that is weak or cannot authenticate anybody gets no certificate."""
    with pytest.raises(IssuerError, match=reason):
        ca.issue(request_for(key), NOW)
