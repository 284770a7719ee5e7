"""What came of a run on one token: JSON for programs and for comparing, text for people.

It names the token by model and firmware; its serial only where that is wanted. It holds no secret
and nothing that a test compared: of a failure it says which test, where, and what kind.
"""

from __future__ import annotations

import json
import platform
import plistlib
import re
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from hwtests.subject import Subject
from tokenprov import __version__

FORMAT = 1
FOLDER = Path("build/hwtests")
DRIVER = Path("/usr/lib/pcsc/drivers/ifd-ccid.bundle/Contents/Info.plist")
UNKNOWN = "unknown"


class Result(StrEnum):
    """How a test ended."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_APPLICABLE = "not applicable"
    NOT_RUN = "not run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One test: what it says, what it is for, and how it ended."""

    test: str
    says: str
    conditions: Sequence[str]
    result: Result
    seconds: float = 0.0
    reason: str = (
        ""  # a failure's kind and place, conditions that do not hold, or what was in the way
    )


def make_report(
    subject: Subject,
    outcomes: Sequence[Outcome],
    *,
    began: datetime,
    operator: str,
    virtual: bool | None,
    with_serial: bool,
) -> dict[str, Any]:
    """The report of a run. `virtual` is None where no test came so far as to know."""
    token = {
        "model": subject.model,
        "firmware": ".".join(map(str, subject.firmware)),
        "formFactor": subject.form_factor,
        "fips": subject.fips,
        "transports": sorted(subject.transports),
        "fidoOver": sorted(subject.fido_over),
        "keyboard": subject.has_keyboard,
        "applications": sorted(subject.applications),
        "virtual": virtual,
    }
    if with_serial:
        token["serial"] = subject.serial
    return {
        "format": FORMAT,
        "token": token,
        "station": versions(),
        "operator": operator,
        "began": began.isoformat(timespec="seconds"),
        "seconds": round((datetime.now(UTC) - began).total_seconds(), 1),
        "counts": {str(one): sum(o.result is one for o in outcomes) for one in Result},
        "tests": [asdict(one) for one in sorted(outcomes, key=lambda one: one.test)],
    }


def versions() -> dict[str, str]:
    """Of the programs between the tests and the token."""
    return {
        "tokenprov": __version__,
        "kernel": platform.release(),
        "pcscd": _said("pcscd", "--version"),
        "libccid": _driver(),
        "libfido2": _said("fido2-token", "-V"),
        "opensc": _said("opensc-tool", "--info"),
    }


def _said(*command: str) -> str:
    """The first number that a program says of its version."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except OSError:
        return UNKNOWN
    found = re.search(r"\d+(?:\.\d+)+", done.stdout + done.stderr)
    return found[0] if found else UNKNOWN


def _driver() -> str:
    try:
        version: str = plistlib.loads(DRIVER.read_bytes())["CFBundleShortVersionString"]
    except (OSError, ValueError, KeyError):
        return UNKNOWN
    return version


def file_name(subject: Subject, virtual: bool | None) -> str:
    """ "yubikey-5-nfc-5.7.4.json"; a virtual token's ends in "-virtual.json"."""
    return f"{subject.name}{'-virtual' if virtual else ''}.json"


def counterpart(path: Path) -> Path:
    """The report of the virtual token of the same model beside a real one's, or the reverse."""
    real = path.stem.removesuffix("-virtual")
    return path.with_name(f"{real}.json" if real != path.stem else f"{real}-virtual.json")


def write(report: dict[str, Any], path: Path) -> None:
    """The JSON, and beside it the text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    path.with_suffix(".txt").write_text(as_text(report), encoding="utf-8")


def as_text(report: dict[str, Any]) -> str:
    """For people, a line a test."""
    token, station = report["token"], report["station"]
    kind = {True: "virtual", False: "real", None: "virtual or real, not known"}[token["virtual"]]
    lines = [
        f"{token['model']}, firmware {token['firmware']} ({kind}), {token['formFactor']}",
        f"by {', '.join(token['transports'])}; with {', '.join(token['applications'])}",
        "; ".join(f"{name} {version}" for name, version in station.items()),
        f"operator: a {report['operator']}; {report['began']}, {report['seconds']} s",
        "; ".join(f"{number} {result}" for result, number in report["counts"].items()),
        "",
    ]
    for one in report["tests"]:
        note = f"  [{one['reason']}]" if one["reason"] else ""
        lines.append(f"{one['result']:<14}  {one['seconds']:6.1f} s  {one['test']}{note}")
        lines.append(f"{'':26}{one['says']}")
    findings = report.get("findings")
    if findings is not None:
        lines += ["", f"against {report['comparedWith']}:", *(findings or ["no difference"])]
    return "\n".join(lines) + "\n"
