"""What tokenprov says of the token under test: that its key signs, and is as recorded."""

from __future__ import annotations

from typing import Any

from hwtests.bench import REASON, WHO, Bench

DRIFT = 4  # exit code of an audit that finds some


def proved(bench: Bench) -> dict[str, Any]:
    """What `token prove` tells of the only key, which has signed."""
    opening = ("--key", bench.key("help-desk"), "--reason", REASON, "--operator", WHO)
    said = bench.document("token", "prove", bench.serial, *bench.behind, *opening)
    (key,) = said["keys"]
    assert key["proved"] is True
    found: dict[str, Any] = key
    return found


def drifted(bench: Bench) -> bool:
    """Whether an audit of this token alone finds something else than the manifest has."""
    command = ("token", "audit", bench.serial, *bench.behind, "--json")
    said = bench.tell(*command, code=None)
    (audited,) = said.document["tokens"]
    assert said.code == (DRIFT if audited["drift"] else 0)
    return bool(audited["drift"])
