"""`python -m tests.guest.foreign`: the modules that tokenprov and its tests have from elsewhere.

They are loaded in the guest before it is told what to do (worker.py).
"""

from __future__ import annotations

import importlib
import pkgutil
import sys

import hwtests
import tests
import tokenprov

BESIDES = ("tests.guest.tests.bench", "tests.servers", "tests.stations", "ykman._cli.__main__")
OURS = {tokenprov.__name__, tests.__name__, hwtests.__name__, "__main__"}


def foreign() -> list[str]:
    """Their names, in the order in which they were imported."""
    names = [
        one.name
        for package in (tokenprov, hwtests)
        for one in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    ]
    for name in ["pytest", "_pytest.python", *names, *BESIDES]:
        if name in BESIDES or not name.endswith("__main__"):
            importlib.import_module(name)
    return [name for name in sys.modules if name.partition(".")[0] not in OURS]


if __name__ == "__main__":
    sys.stdout.write("".join(f"{name}\n" for name in foreign()))
