"""`python -m tests.guest.modules`: the modules that tokenprov and its tests have from elsewhere.

In the guest those are loaded first, then ours, before it is told what to do (worker.py).
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Iterable
from types import ModuleType

import hwtests
import tests
import tokenprov
from tokenprov import sim

BESIDES = (
    "tests.guest.tests.bench",
    "tests.servers",
    "tests.stations",
    "tokenprov.sim.attestation",
    "tokenprov.sim.control",
    "ykman._cli.__main__",
)
OURS = {tokenprov.__name__, tests.__name__, hwtests.__name__, "__main__"}


def inside(package: ModuleType) -> list[str]:
    """The modules of a package that may be imported."""
    found = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    return [one.name for one in found if not one.name.endswith("__main__")]


def used() -> list[str]:
    """Ours that are used there: next to nothing of the simulator; pytest loads tests by itself."""
    ours = [*inside(tokenprov), *inside(hwtests)]
    apart = (f"{sim.__name__}.", "hwtests.test_", "hwtests.conftest")
    return [*(name for name in ours if not name.startswith(apart)), *BESIDES]


def load(names: Iterable[str]) -> None:
    """Import them."""
    for name in names:
        importlib.import_module(name)


def foreign() -> list[str]:
    """What is loaded of other people's, in the order in which it was imported."""
    return [name for name in sys.modules if name.partition(".")[0] not in OURS]


if __name__ == "__main__":
    load(["pytest", "_pytest.python", *used(), *inside(hwtests)])
    sys.stdout.write("".join(f"{name}\n" for name in foreign()))
