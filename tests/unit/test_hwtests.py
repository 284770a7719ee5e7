"""Of the tests for real tokens: which is meant, what applies, who moves it, and two reports."""

from __future__ import annotations

import copy
import io
import json
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hwtests import compare, conditions, report
from hwtests.ears import Ears
from hwtests.errors import BenchError, NoSubject
from hwtests.operators import LONG, SHORT, Person, Robot
from hwtests.report import Outcome, Result
from hwtests.subject import Seen, Subject, named
from tokenprov.model import TokenId

KEY = TokenId(maker="yubico", model="YubiKey 5 NFC", firmware="5.4.3", serial="1001")
OTHER = replace(KEY, serial="1002")
UNNUMBERED = TokenId(maker="yubico", model="Security Key NFC", firmware="5.7.4", serial=None)
SUBJECT = Subject(
    serial="1001",
    model="YubiKey 5 NFC",
    firmware=(5, 4, 3),
    form_factor="usb-c-nano",
    fips=False,
    transports=frozenset({"ccid", "hid"}),
    has_keyboard=False,
    fido_over=frozenset({"hid"}),
    applications=frozenset({"piv", "fido2"}),
)
# A robot that notes what it is told in the file that it is given, and answers from its arguments.
ROBOT = """
import sys
for line in sys.stdin:
    open(sys.argv[1], "a").write(line)
    print(sys.argv[2], flush=True)
"""


@pytest.mark.parametrize(
    ("found", "serial", "says"),
    [
        ([], "1001", "no token 1001"),
        ([("a", OTHER, "")], "1001", "no token 1001.*1002 in a"),
        ([("a", KEY, ""), ("b", KEY, "")], "1001", "2 tokens say that they are 1001"),
        ([("a", UNNUMBERED, "")], "1001", "no token 1001"),
        ([("a", None, "it is held")], "1001", "a: it is held"),
        ([("a", replace(KEY, serial="10011"), "")], "1001", "no token 1001"),
        ([("a", UNNUMBERED, ""), ("b", KEY, "")], None, "one token and no other"),
        ([], None, "one token and no other"),
        ([("a", KEY, "")], None, "write --wipe 1001"),
        ([("a", None, "it is held")], None, "cannot be asked: it is held"),
    ],
)
def test_no_other_token_is_meant(found: Seen, serial: str | None, says: str) -> None:
    """An exact match of one token, or nothing."""
    with pytest.raises(NoSubject, match=says):
        named(found, serial, only=serial is None)


def test_the_token_that_is_meant() -> None:
    """By its serial among others; without one, alone."""
    assert named([("a", OTHER, ""), ("b", KEY, "")], "1001", only=False) == ("b", KEY)
    assert named([("a", UNNUMBERED, "")], None, only=True) == ("a", UNNUMBERED)


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        (conditions.firmware(">=5.4.3"), True),
        (conditions.firmware(">=5.4"), True),
        (conditions.firmware(">5.4"), False),
        (conditions.firmware(">=5.2, <5.7"), True),
        (conditions.firmware("<5.4.3"), False),
        (conditions.firmware("==5"), True),
        (conditions.transport("hid"), True),
        (conditions.transport("nfc"), False),
        (conditions.fido_over("ccid"), False),
        (conditions.form_factor("usb-a-nano", "usb-c-nano"), True),
        (conditions.form_factor("usb-a-nano"), False),
        (conditions.application("piv", "fido2"), True),
        (conditions.application("piv", "otp"), False),
        (conditions.numbered(), True),
        (conditions.numbered(False), False),
        (conditions.card(), False),
        (conditions.card(False), True),
        (conditions.fips(), False),
        (conditions.fips(False), True),
    ],
    ids=lambda value: value.args[0].text if isinstance(value, pytest.MarkDecorator) else None,
)
def test_a_condition_holds_or_not(condition: pytest.MarkDecorator, holds: bool) -> None:
    """Each is about the token and nothing else."""
    (one,) = conditions.conditions_of([condition.mark])
    assert one.holds(SUBJECT) is holds


@pytest.mark.parametrize("bounds", ["5.7", ">=", "=>5.7", ">=5.7.4.1", "~=5"])
def test_a_bound_that_is_none(bounds: str) -> None:
    """It is an error when the tests are read, not a test that never runs."""
    with pytest.raises(ValueError, match="no bound of a version"):
        conditions.firmware(bounds)


def robot(log: Path, answer: str = "ok") -> Robot:
    """A robot that notes its orders."""
    log.with_name("robot.py").write_text(ROBOT)
    return Robot(f"{sys.executable} {log.with_name('robot.py')} {log} '{answer}'")


def test_a_robot_is_told_by_lines(tmp_path: Path) -> None:
    """It hears each deed once, and a touch again until it is over."""
    log = tmp_path / "log"
    hands = robot(log)
    hands.remove("1001")
    hands.insert("1001")
    hands.type("1001", 2, lambda: True)
    with hands.touching("1001", "to log in", SHORT):
        while log.read_text().count("touch 1001 1\n") < 2:
            pass
    hands.close()
    heard = log.read_text().splitlines()
    assert heard[:3] == ["remove 1001", "insert 1001", "type 1001 2"]
    assert set(heard[3:]) == {"touch 1001 1"}


@pytest.mark.parametrize("answer", ["error the arm is stuck", "yes"])
def test_a_robot_that_cannot(tmp_path: Path, answer: str) -> None:
    """What it says stops the test, also at a touch."""
    hands = robot(tmp_path / "log", answer)
    with pytest.raises(BenchError, match=answer):
        hands.remove("1001")
    with pytest.raises(BenchError, match=answer), hands.touching("1001", "why", SHORT):
        pass
    hands.close()


@pytest.mark.parametrize("command", ["true", "/nowhere/robot"])
def test_a_robot_that_is_not_there(command: str) -> None:
    """One that ended, or cannot be started, is told."""
    with pytest.raises(BenchError, match="robot"):
        Robot(command).remove("1001")


def test_a_person_is_asked_on_the_terminal() -> None:
    """Which token, what to do, how long and why."""
    terminal = io.StringIO()
    person = Person(terminal)
    person.remove("1001")
    person.insert("1001")
    with person.touching("1001", "to reset", LONG):
        pass
    person.type("1001", 1, lambda: True)
    said = terminal.getvalue()
    for words in (
        "touch 1001 briefly, once",
        "take 1001 out",
        "put 1001 in again",
        "touch 1001 for 11 seconds now (to reset)",
    ):
        assert words in said


def test_what_a_command_asks_for_is_done(tmp_path: Path) -> None:
    """Touches and re-plugs out of its events; a robot's failure is raised when it has ended."""
    log = tmp_path / "log"
    placed: list[str] = []
    ears = Ears(robot(log), "1001", placed.append)
    for event in (
        {"event": "TouchWanted", "reader": "r", "reason": "touch it, ten seconds long, now"},
        {"event": "TouchDone", "reader": "r"},
        {"event": "ReinsertWanted", "reader": "r", "reason": "reset FIDO2"},
        {"event": "TokenIssued", "reader": "r"},
    ):
        ears.write(json.dumps(event) + "\n")
    ears.ended()
    assert placed == ["r"]
    assert f"touch 1001 {LONG}\n" in log.read_text()
    failing = Ears(robot(log, "error no"), "1001", placed.append)
    failing.write('{"event": "TouchWanted", "reader": "r", "reason": "why"}\n')
    with pytest.raises(BenchError, match="error no"):
        failing.ended()


@pytest.mark.parametrize(
    ("events", "in_vain"),
    [
        (["TouchWanted", "TouchDone", "OrderFailed", "BatchPaused"], True),
        (["TouchWanted", "TouchDone", "StepStarted", "OrderFailed"], False),
        (["StepStarted", "OrderFailed"], False),
    ],
    ids=["nobody touched", "it failed later", "none was wanted"],
)
def test_ears_know_a_touch_in_vain(tmp_path: Path, events: list[str], in_vain: bool) -> None:
    """Where nothing was done between the touch and the failure, the touch did not come."""
    ears = Ears(robot(tmp_path / "log"), "1001", lambda reader: None)
    for event in events:
        ears.write(json.dumps({"event": event, "reader": "r", "reason": "why"}) + "\n")
    ears.ended()
    assert ears.in_vain is in_vain


def made_report(virtual: bool | None, **results: Result) -> dict[str, Any]:
    """A report of tests that ended so."""
    outcomes = [
        Outcome(test=name, says=f"{name}.", conditions=[], result=result)
        for name, result in results.items()
    ]
    began = datetime(2026, 1, 1, tzinfo=UTC)
    return report.make_report(
        SUBJECT, outcomes, began=began, operator="robot", virtual=virtual, with_serial=False
    )


def test_green_on_the_virtual_and_red_on_the_real_is_a_finding() -> None:
    """It is told as one about the virtual token; the reverse is a difference and no more."""
    virtual = made_report(True, a=Result.PASSED, b=Result.FAILED, c=Result.PASSED)
    real = made_report(False, a=Result.FAILED, b=Result.PASSED, c=Result.PASSED)
    for pair in ((virtual, real), (real, virtual)):
        first, second = compare.compare(*pair).findings
        assert first.startswith("a:")
        assert first.endswith("a finding about the virtual token")
        assert second.startswith("b:")
        assert "finding" not in second
    same = compare.compare(virtual, copy.deepcopy(virtual))
    assert (same.findings, same.notes) == ([], [])


def test_two_firmwares_are_compared() -> None:
    """What applies to one alone is told beside what ended otherwise on both, which alone counts."""
    older = made_report(False, a=Result.PASSED, b=Result.NOT_APPLICABLE, c=Result.PASSED)
    newer = made_report(False, a=Result.PASSED, b=Result.PASSED, c=Result.PASSED)
    newer["token"] |= {"firmware": "5.7.4", "applications": ["piv"]}
    found = compare.compare(older, newer)
    assert found.findings == []
    said, test = found.notes
    assert said.startswith("applications: ")
    assert said.endswith('["piv"] on the real token with 5.7.4')
    assert (
        test
        == "b: not applicable on the real token with 5.4.3, passed on the real token with 5.7.4"
    )
    newer["tests"][2]["result"] = Result.FAILED
    newer["tests"].append({"test": "d", "result": Result.NOT_APPLICABLE})  # of a later release
    assert compare.compare(older, newer).findings == [
        "c: passed on the real token with 5.4.3, failed on the real token with 5.7.4"
    ]


def test_reports_of_different_tokens_are_not_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another model, or a file that is no report, is exit code 2; findings are 1, none is 0."""
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    report.write(made_report(True, a=Result.PASSED), one)
    report.write(made_report(False, a=Result.FAILED), other)
    assert compare.main([str(one), str(other)]) == 1
    assert "a finding about the virtual token" in capsys.readouterr().out
    assert compare.main([str(one), str(one)]) == 0
    made = made_report(False, a=Result.PASSED)
    made["token"]["model"] = "YubiKey 5 Nano"
    report.write(made, other)
    assert compare.main([str(one), str(other)]) == 2
    other.write_text("[]")
    assert compare.main([str(one), str(other)]) == 2


def test_a_report_is_found_by_its_counterpart() -> None:
    """A virtual token's stands beside the real one's, under the model and the firmware."""
    real = Path(report.file_name(SUBJECT, False))
    virtual = Path(report.file_name(SUBJECT, True))
    assert str(real) == "yubikey-5-nfc-5.4.3.json"
    assert report.counterpart(real) == virtual
    assert report.counterpart(virtual) == real


def test_a_report_has_the_versions_between_test_and_token() -> None:
    """Kernel, PC/SC service, reader driver and FIDO library, and no serial unless it is wanted."""
    made = made_report(None, a=Result.PASSED)
    for name in ("kernel", "pcscd", "libccid", "libfido2", "opensc"):
        assert made["station"][name] != report.UNKNOWN, name
    assert "serial" not in made["token"]
    assert "not known" in report.as_text(made)
