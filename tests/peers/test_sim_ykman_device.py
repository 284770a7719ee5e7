"""Stock `ykman` on virtual tokens: finding them, reading and changing their configuration."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tokenprov.sim.bench import VirtualBench

Run = Callable[..., object]


def test_list_finds_each_token_with_its_serial(bench: VirtualBench, run) -> None:
    """`ykman list` shows both tokens, with model, firmware, interfaces and serial."""
    assert run("ykman", "list").stdout.splitlines() == [
        "YubiKey 5 NFC (5.7.4) [OTP+FIDO+CCID] Serial: 30000001",
        "YubiKey 5 NFC (5.7.4) [OTP+FIDO+CCID] Serial: 30000002",
    ]
