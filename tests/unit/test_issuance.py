"""Tokens that are ready at a moment are issued together, and one that cannot be is alone in it.

Each counts as issued, and is told as that, from the moment when its entry is durable.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.in_process import Desk
from tokenprov import issuance
from tokenprov.errors import DurabilityError, ManifestError, TokenprovError
from tokenprov.issuance import Issuing, catch_up
from tokenprov.model import OrderState
from tokenprov.record.ledger import Ledger

READY = ("good", "refused", "unwritten", "better")


def test_what_cannot_be_issued_keeps_nobody_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever was issued is told so, whatever became of the others; only their keys are gone."""
    lock, kept = threading.Lock(), list[str]()

    def append(_: object, works: Sequence[Any]) -> Sequence[int]:
        names = [work.order.id for work in works]
        if "refused" in names:
            raise ManifestError("it cannot follow", remedy="Ask.", rule="state")
        if "unwritten" in names:
            raise DurabilityError("the disk is full", remedy="Free some space.")
        kept.extend(names)
        return range(len(kept) - len(names), len(kept))

    monkeypatch.setattr(issuance, "_issue", append)
    destroyed: list[str] = []
    home: Any = SimpleNamespace(resume_keys=SimpleNamespace(destroy=destroyed.append))
    issuing = Issuing(home, lock)

    def issue(name: str) -> int | str:
        work: Any = SimpleNamespace(order=SimpleNamespace(id=name))
        try:
            return issuing(work)
        except TokenprovError as error:
            return type(error).__name__

    with ThreadPoolExecutor(len(READY)) as pool:
        with lock:
            told = [pool.submit(issue, name) for name in READY]
            while issuing.waiting < len(READY):
                threading.Event().wait(0.001)
        answers = dict(zip(READY, (one.result() for one in told), strict=True))
    assert answers["refused"] == "ManifestError"
    assert answers["unwritten"] == "DurabilityError"
    assert {kept[int(answers[name])] for name in ("good", "better")} == {"good", "better"}
    assert sorted(destroyed) == ["better", "good"]


def test_what_cannot_be_cleared_up_was_issued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full behind the entry: it was told, and the next command catches up with it."""
    desk, told = Desk(tmp_path, "yubikey-5.7.4"), list[int]()

    def full(*_: object) -> None:
        assert told, "the ledger follows the entry"
        raise DurabilityError("the disk is full", remedy="Free some space.")

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "complete_all", full)
        with pytest.raises(DurabilityError):
            desk.run("[piv]\npin = { length = 8 }\n", issued=told.append)
    home = desk.home
    (index,) = told
    entry = home.manifest.entry(index)
    order = home.ledger.order(entry["order"])
    assert entry["kind"] == "issued"
    assert order is not None
    assert order.state is OrderState.WORKING
    assert home.resume_keys.orders() == [entry["order"]]
    assert catch_up(home) == 1
    assert home.ledger.count_orders(entry["batch"])[OrderState.ISSUED] == 1
    assert home.resume_keys.orders() == []
    home.ledger.close()
