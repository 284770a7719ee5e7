"""A key that types: what a touched slot says, and that nobody hears it while a batch is at work."""

from __future__ import annotations

from typing import Any

from hwtests.bench import ORDERS_LEFT, REASON, WHO, Bench
from hwtests.conditions import application, keyboard, numbered
from hwtests.errors import BenchError
from hwtests.keystrokes import Code, Listener, opened_otp

pytestmark = [numbered(), application("otp"), keyboard()]
PROFILE = """
[otp.slot1]
kind = "yubico-otp"
replace-factory = true
"""
SLOT = 1


def typed(bench: Bench) -> Code:
    """What slot 1 types, heard by nobody else."""
    seed = bytes.fromhex(bench.secrets()["otp/1/seed"])
    with Listener(bench.keyboards, alone=True) as listener:
        for _ in range(2):
            bench.operator.type(bench.serial, SLOT, listener.has_a_line)
            if listener.has_a_line():
                return opened_otp(listener.heard().strip(), seed)
    raise BenchError(f"slot {SLOT} typed nothing, asked twice for a touch")


def test_a_touched_slot_types_its_code(issued: Bench) -> None:
    """The recorded public id, and a code that the sealed key opens; the next one is another."""
    first, second = typed(issued), typed(issued)
    assert first.public_id == second.public_id == issued.facts("otp/1")["publicId"]
    assert first != second
    assert first.between(second) == 0


def test_nobody_hears_it_during_a_batch(issued: Bench) -> None:
    """Touched while a batch looks at it, the key types, and it comes to nobody who listens."""
    heard: list[str] = []

    def touched(event: dict[str, Any]) -> None:
        if event["event"] in ("TokenReady", "TokenPassedOver") and not heard:
            with Listener(issued.keyboards, alone=False) as listener:
                issued.operator.type(issued.serial, SLOT, listener.has_a_line)
                heard.append(listener.heard())

    before = typed(issued)
    said = issued.tell(*issued.batch("typing", PROFILE), code=ORDERS_LEFT, hook=touched)
    why = ("--reason", REASON, "--operator", WHO)
    issued.tell("batch", "close", said.document["batch"], *why, "--json")
    after = typed(issued)
    assert heard == [""]
    assert before.between(after) >= 1, "nobody touched it during the batch"
