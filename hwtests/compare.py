"""`python -m hwtests.compare A B`: what passes on the token of one report and fails on the other's.

Between a virtual token and a real one of the same model and firmware, what passes on the virtual
one and fails on the real one is a finding about the virtual one.

Exit code 1: there are differences; 2: the reports are not of the same model and firmware, or none.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hwtests.report import FORMAT, Result

DIFFERENT, UNUSABLE = 1, 2


class NotComparable(Exception):
    """The two are no reports, or not of the same kind of token."""


def read(path: Path) -> dict[str, Any]:
    """A report. Raises `NotComparable`."""
    try:
        report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NotComparable(f"{path} is no report: {error}") from error
    if not isinstance(report, dict) or report.get("format") != FORMAT:
        raise NotComparable(f"{path} is no report of format {FORMAT}")
    return report


def compare(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """A line for each test that ended otherwise. Raises `NotComparable`."""
    kinds = [(report["token"]["model"], report["token"]["firmware"]) for report in (one, other)]
    if kinds[0] != kinds[1]:
        raise NotComparable(f"{' '.join(kinds[0])} and {' '.join(kinds[1])} are not the same")
    results = [{test["test"]: test for test in report["tests"]} for report in (one, other)]
    names = [_kind(report) for report in (one, other)]
    found = []
    for test in sorted(results[0].keys() | results[1].keys()):
        ended = [result[test]["result"] if test in result else "not run" for result in results]
        if ended[0] != ended[1]:
            line = f"{test}: {ended[0]} on the {names[0]}, {ended[1]} on the {names[1]}"
            found.append(line + _about(dict(zip(names, ended, strict=True))))
    return found


def _kind(report: dict[str, Any]) -> str:
    kinds = {True: "virtual token", False: "real token"}
    return kinds.get(report["token"]["virtual"], "token of an unknown kind")


def _about(ended: dict[str, str]) -> str:
    """What such a difference says, where it is between the two kinds."""
    if ended.get("virtual token") == Result.PASSED and ended.get("real token") == Result.FAILED:
        return ": a finding about the virtual token"
    return ""


def main(arguments: Sequence[str]) -> int:
    """Print the findings; gives the exit code."""
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m hwtests.compare REPORT REPORT\n")
        return UNUSABLE
    try:
        found = compare(*(read(Path(name)) for name in arguments))
    except NotComparable as error:
        sys.stderr.write(f"{error}\n")
        return UNUSABLE
    sys.stdout.writelines(f"{line}\n" for line in found or ["no difference"])
    return DIFFERENT if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
