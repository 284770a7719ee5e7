"""The batch on this token: used ones are refused, a pull in the middle, and what is recorded."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from hwtests.bench import ORDERS_LEFT, Bench
from hwtests.conditions import application, fips, numbered
from hwtests.record import drifted

pytestmark = [numbered(), application("piv")]
PROFILE = """
[piv]
[[piv.keys]]
slot = "9a"
algorithm = "eccp256"
[piv.keys.certificate]
usages = ["client-auth"]
"""


@application("oath")
@fips(False)  # such a token takes no account before it is in approved mode
def test_a_used_token_is_refused(nobodys: Bench) -> None:
    """What somebody put on it stays, until this serial is named."""
    accounts = ("oath", "accounts")
    nobodys.ykman(*accounts, "add", "theirs", "--force", input="JBSWY3DPEHPK3PXP\n")
    command = nobodys.batch("refused", PROFILE)
    said = nobodys.tell(*command, code=ORDERS_LEFT)
    assert "1 OATH account" in said.err
    assert "theirs" in nobodys.ykman(*accounts, "list")
    nobodys.tell("batch", "run", said.document["batch"], *nobodys.leave, "--json")
    assert nobodys.ykman(*accounts, "list") == ""
    nobodys.clear()


def test_a_plan_writes_nothing(nobodys: Bench) -> None:
    """What it foretells is what the batch does; until then the token is as it was."""
    command = nobodys.batch("planned", PROFILE)
    _, _, roster, *profile = command[:5]
    planned = nobodys.document("plan", roster, *profile, "--serial", nobodys.serial)
    assert planned["refused"] is False
    assert nobodys.used() == []
    made = nobodys.document("batch", "new", roster, *profile)
    nobodys.tell("batch", "run", made["batch"], *nobodys.leave, "--json")
    written = [one["step"] for one in planned["steps"] if one["verdict"] == "write"]
    assert written
    assert set(written) <= {one["id"] for one in nobodys.entry()["steps"]}
    nobodys.tell("replace", nobodys.serial, "--reason", "lost", "--dry-run")
    nobodys.clear()


@pytest.mark.parametrize("step", ["piv/puk", "piv/9a/key"])
def test_pulled_in_the_middle_it_goes_on(nobodys: Bench, step: str) -> None:
    """Taken out at a step and put in again, the same command finishes; the manifest holds."""
    name = f"pulled-{step.replace('/', '-')}"
    command = [*nobodys.batch(name, PROFILE), *nobodys.leave]
    pulls: list[threading.Thread] = []

    def at_the_step(event: dict[str, Any]) -> None:
        if event["event"] == "StepStarted" and event["step"] == step and not pulls:
            pulls.append(threading.Thread(target=nobodys.place.pull))
            pulls[0].start()

    said = nobodys.tell(*command, code=None, hook=at_the_step)
    for pull in pulls:
        pull.join()
    assert pulls
    nobodys.place.push()
    if said.code:  # it was out before the token was done
        nobodys.tell("batch", "run", said.document["batch"], *nobodys.leave, "--json")
    assert nobodys.entry()["order"]
    assert nobodys.document("manifest", "verify")["holds"] is True
    assert not drifted(nobodys)
    nobodys.clear()
