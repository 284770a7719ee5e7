"""Files of seeds: what a server's importer could not store is refused before it is written."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tokenprov.errors import InputError
from tokenprov.model import SecretKind
from tokenprov.secret import Secret
from tokenprov.seeds import Seed, ksm_lines, log_lines


def seed(public_id: str) -> Seed:
    """One of a Yubico OTP."""
    return Seed(
        serial="12345678",
        slot="1",
        kind=SecretKind.OTP_SEED,
        value=Secret(bytes(range(22))),
        made=datetime(2026, 11, 24, 12, tzinfo=UTC),
        public_id=public_id,
    )


def test_a_public_id_that_a_ksm_cannot_store() -> None:
    """Sixteen characters are written as they are; more are refused, and Yubico's CSV has them."""
    (line,) = [
        one for one in ksm_lines([seed("c" * 16)]).reveal_text().splitlines() if one[0] != "#"
    ]
    assert line.split(",")[1] == "c" * 16
    longer = seed("c" * 18)
    with pytest.raises(InputError, match=r"token 12345678, slot 1, has 18 characters.*16"):
        ksm_lines([seed("c" * 16), longer])
    assert "c" * 18 in log_lines([longer]).reveal_text()
