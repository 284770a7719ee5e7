"""A robot before the tokens of a simulator: `python -m tests.robot`, as hwtests/operators.py says.

Its hands are the simulator's control socket, which the environment names.
"""

from __future__ import annotations

import os
import sys

from tokenprov.sim.control import CONTROL_VARIABLE, SimControl
from tokenprov.sim.specs import BenchError

UNNUMBERED = "-"


def do(control: SimControl, line: str) -> None:
    """One line. Raises `BenchError` or `ValueError` when it cannot be done."""
    deed, name, *rest = line.split()
    tokens = [one for one in control.tokens() if str(one["serial"] or UNNUMBERED) == name]
    if len(tokens) != 1:
        raise ValueError(f"{len(tokens)} tokens are {name}")
    token = tokens[0]["number"] if name == UNNUMBERED else tokens[0]["serial"]
    match deed:
        case "touch":
            control.press(token)
        case "type":
            control.type_slot(token, int(rest[0]))
        case "remove":
            control.remove(token)
        case "insert":
            control.insert(token)
        case _:
            raise ValueError(f"{deed!r} is no deed")


def main() -> None:
    """Do what is asked for until nothing more is."""
    control = SimControl(os.environ[CONTROL_VARIABLE])
    for line in sys.stdin:
        try:
            do(control, line)
            said = "ok"
        except (BenchError, ValueError) as error:
            said = f"error {error}"
        sys.stdout.write(f"{said}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
