"""`python -m hwtests.compare A B`: what ended otherwise on the token of one of two reports.

Between a virtual token and a real one of the same model and firmware, what passes on the virtual
one and fails on the real one is a finding about the virtual one. Between two firmwares of a model,
what applies to one of them alone is told beside the findings, and is none.

Exit code 1: there are findings; 2: the reports are not of the same model, or are none.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwtests.report import FORMAT, Result

DIFFERENT, UNUSABLE = 1, 2
UNJUDGED = frozenset({Result.NOT_RUN, Result.NOT_APPLICABLE})
FACTS = ("formFactor", "fips", "transports", "fidoOver", "keyboard", "applications")  # of the token


class NotComparable(Exception):
    """The two are no reports, or not of the same model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A line for each difference; `notes` are those that two firmwares of a model may have."""

    findings: Sequence[str]
    notes: Sequence[str]


def read(path: Path) -> dict[str, Any]:
    """A report. Raises `NotComparable`."""
    try:
        report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NotComparable(f"{path} is no report: {error}") from error
    if not isinstance(report, dict) or report.get("format") != FORMAT:
        raise NotComparable(f"{path} is no report of format {FORMAT}")
    if not isinstance(report.get("token"), dict) or not isinstance(report.get("tests"), list):
        raise NotComparable(f"{path} is a report without a token or tests")
    return report


def compare(one: dict[str, Any], other: dict[str, Any]) -> Comparison:
    """What ended otherwise. Raises `NotComparable`."""
    reports = (one, other)
    models = [report["token"]["model"] for report in reports]
    if models[0] != models[1]:
        raise NotComparable(f"{models[0]} and {models[1]} are not the same")
    another = one["token"]["firmware"] != other["token"]["firmware"]
    names = [_kind(report, by_firmware=another) for report in reports]
    results = [{test["test"]: test for test in report["tests"]} for report in reports]
    findings, notes = [], [*_facts(reports, names)] if another else []
    for test in sorted(results[0].keys() | results[1].keys()):
        ended = [result[test]["result"] if test in result else Result.NOT_RUN for result in results]
        if ended[0] != ended[1] and not UNJUDGED.issuperset(ended):
            line = f"{test}: {ended[0]} on the {names[0]}, {ended[1]} on the {names[1]}"
            if another and Result.NOT_APPLICABLE in ended:
                notes.append(line)
            else:
                findings.append(line + _about(dict(zip(names, ended, strict=True))))
    return Comparison(findings=findings, notes=notes)


def _facts(reports: Sequence[dict[str, Any]], names: Sequence[str]) -> list[str]:
    """What the tokens say of themselves in another way."""
    found = []
    for fact in FACTS:
        values = [json.dumps(report["token"].get(fact)) for report in reports]
        if values[0] != values[1]:
            found.append(f"{fact}: {values[0]} on the {names[0]}, {values[1]} on the {names[1]}")
    return found


def _kind(report: dict[str, Any], by_firmware: bool) -> str:
    kinds = {True: "virtual token", False: "real token"}
    kind = kinds.get(report["token"]["virtual"], "token of an unknown kind")
    return f"{kind} with {report['token']['firmware']}" if by_firmware else kind


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
    sys.stdout.writelines(f"{line}\n" for line in found.findings or ["no difference"])
    if found.notes:
        sys.stdout.writelines(f"{line}\n" for line in ("", "as the firmwares go:", *found.notes))
    return DIFFERENT if found.findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
