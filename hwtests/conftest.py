"""Options, the choice of tests by what the token is, and the report."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hwtests import report
from hwtests.bench import Bench
from hwtests.compare import NotComparable, compare, read
from hwtests.conditions import MARK, conditions_of
from hwtests.errors import Abandoned, BenchError
from hwtests.operators import Operator, Person, Robot
from hwtests.report import FOLDER, Outcome, Result
from hwtests.subject import Subject, find_behind, find_subjects
from tokenprov.errors import TokenprovError

NOT_RUN = "not_run"  # set on pytest's report of a test whose fixture failed before
SERIALS = re.compile(r"\b\d{6,}\b")  # in what the report says of a failure


def pytest_addoption(parser: pytest.Parser) -> None:
    """Which token, who moves it, and where things are kept."""
    group = parser.getgroup("hwtests", "tests on a token that is named")
    add = group.addoption
    add("--wipe", metavar="SERIAL", help="the token that may be wiped; without it, none is touched")
    add("--wipe-only-token", action="store_true", help="the one that is there and has no serial")
    add("--spare", metavar="SERIAL", help="another that may be wiped, to replace the first")
    add("--module", metavar="MODULE", help="the PKCS#11 module that the token is reached through")
    add("--so-pin", default="", metavar="PIN", help="that its maker published; with --module")
    add("--operator-command", metavar="COMMAND", help="a robot (hwtests/operators.py)")
    add("--trust", action="append", default=[], metavar="PEM", help="a root besides the maker's")
    add("--bench-home", metavar="FOLDER", help=f"the station's home [{FOLDER}/SERIAL/station]")
    add("--patience", type=float, default=60.0, metavar="SECONDS", help="for a re-plug [60]")
    add("--report", metavar="FILE", help=f"[{FOLDER}/MODEL-FIRMWARE.json]")
    add("--report-serial", action="store_true", help="name the serial in the report")


def pytest_configure(config: pytest.Config) -> None:
    """Begin a run, of one process: two would be at the same token."""
    if config.getoption("numprocesses", None) or hasattr(config, "workerinput"):
        raise pytest.UsageError("hwtests run in one process: leave out -n. Nothing was touched.")
    config.pluginmanager.register(Run(config), "hwtests-run")


class Run:
    """One run: the token, the outcomes, and the report at its end."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.subject: Subject | None = None
        self.operator = ""
        self.virtual: bool | None = None
        self._began = datetime.now(UTC)
        self._outcomes: dict[str, Outcome] = {}
        self._items: dict[str, pytest.Item] = {}
        self._first: dict[BaseException, str] = {}  # the test that each was raised in first
        self._told: list[str] = []

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Find the token, and leave out the tests that do not apply to it."""
        here = Path(__file__).parent
        ours = [item for item in items if item.path.is_relative_to(here)]
        if not ours:
            return
        option = self.config.getoption
        try:
            if option("module"):
                self.subject = find_behind(option("module"), option("wipe"), option("so_pin"))
            else:
                names = (option("wipe"), option("wipe_only_token"), option("spare"))
                self.subject = find_subjects(*names)
        except (BenchError, TokenprovError) as error:
            raise pytest.UsageError(f"{error}\nNothing was touched.") from error
        left_out = [item for item in ours if self._unmet(item)]
        for item in left_out:
            reason = f"wants {'; '.join(self._unmet(item))}"
            self._note(item, Result.NOT_APPLICABLE, reason=reason)
        self._items = {item.nodeid: item for item in ours}
        items[:] = [item for item in items if item not in left_out]
        self.config.hook.pytest_deselected(items=left_out)

    def _unmet(self, item: pytest.Item) -> list[str]:
        assert self.subject is not None
        wanted = conditions_of(item.iter_markers(MARK))
        return [one.text for one in wanted if not one.holds(self.subject)]

    def _note(
        self, item: pytest.Item, result: Result, seconds: float = 0, reason: str = ""
    ) -> None:
        says = (getattr(item, "obj", item).__doc__ or "").strip().splitlines()
        self._outcomes[item.nodeid] = Outcome(
            test=item.nodeid,
            says=says[0] if says else "",
            conditions=[one.text for one in conditions_of(item.iter_markers(MARK))],
            result=result,
            seconds=round(seconds, 1),
            reason=reason,
        )

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Note how it ended: it failed when any of its phases did."""
        made = yield
        if item.nodeid in self._items:
            before = self._outcomes.get(item.nodeid)
            seconds = made.duration + (before.seconds if before else 0)
            if call.excinfo is not None and call.when == "teardown" and self._was_said(item, call):
                made.outcome, made.longrepr = "passed", None  # left to the next run
            elif call.excinfo is not None and call.excinfo.value in self._first:
                reason = f"what it needs failed in {self._first[call.excinfo.value]}"
                self._note(item, Result.NOT_RUN, seconds, reason)
                made.outcome = "skipped"
                made.longrepr = (str(item.path), item.location[1] or 0, reason)
                setattr(made, NOT_RUN, True)
            elif call.excinfo is not None:
                reason = _kind(call.excinfo)
                if not self.config.getoption("report_serial"):
                    reason = SERIALS.sub("…", reason)
                self._note(item, Result.FAILED, seconds, reason)
                self._first[call.excinfo.value] = item.nodeid
                if isinstance(call.excinfo.value, Abandoned):
                    item.session.shouldfail = reason
            elif before is None or before.result is Result.PASSED:
                self._note(item, Result.PASSED, seconds)
        return made

    def _was_said(self, item: pytest.Item, call: pytest.CallInfo[None]) -> bool:
        """Whether what is in the way of emptying the token is a finding already."""
        first = self._first.get(call.excinfo.value) if call.excinfo else None
        if first:
            self._told.append(f"The token is not empty: what is in the way failed in {first}.")
        return bool(first or item.session.shouldfail)

    def pytest_report_teststatus(
        self, report: pytest.CollectReport | pytest.TestReport
    ) -> tuple[str, str, str] | None:
        """What is in the way of a test is one finding: the others are told to be not run."""
        return (Result.NOT_RUN, "-", "NOT RUN") if hasattr(report, NOT_RUN) else None

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the report, where there is a token."""
        if self.subject is None or not self._items or self.config.option.collectonly:
            return
        for item in session.items:
            if item.nodeid in self._items and item.nodeid not in self._outcomes:
                self._note(item, Result.NOT_RUN, reason="the run ended before it")
        made = report.make_report(
            self.subject,
            list(self._outcomes.values()),
            began=self._began,
            operator=self.operator,
            virtual=self.virtual,
            with_serial=self.config.getoption("report_serial"),
        )
        name = report.file_name(self.subject, self.virtual)
        path = Path(self.config.getoption("report") or FOLDER / name)
        other = report.counterpart(path)
        if other.exists():
            try:
                made |= {
                    "comparedWith": other.name,
                    "findings": compare(made, read(other)).findings,
                }
            except NotComparable as error:
                self._told.append(f"not compared: {error}")
        report.write(made, path)
        self._told += [f"report: {path} and {path.with_suffix('.txt').name}"]
        self._told += made.get("findings", [])

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """What does not apply or was not run and why, and where the report is."""
        if not self._told:
            return
        terminalreporter.section("the token, and what was not run on it")
        for one in self._outcomes.values():
            if one.result in (Result.NOT_APPLICABLE, Result.NOT_RUN):
                terminalreporter.write_line(f"{one.test}: {one.reason}")
        for line in self._told:
            terminalreporter.write_line(line)


def _kind(found: pytest.ExceptionInfo[BaseException]) -> str:
    """The kind of a failure and its place; in words only where they are ours."""
    here = Path(__file__).parent
    ours = [one for one in found.traceback if Path(one.path).is_relative_to(here)]
    at = f" at {Path(ours[-1].path).name}:{ours[-1].lineno + 1}" if ours else ""
    if isinstance(found.value, BenchError | TokenprovError):
        return f"{found.typename}{at}: {found.value}"
    return f"{found.typename}{at}"


@pytest.fixture(scope="session")
def run(request: pytest.FixtureRequest) -> Run:
    """This run."""
    found = request.config.pluginmanager.get_plugin("hwtests-run")
    assert isinstance(found, Run)
    return found


@pytest.fixture(scope="session")
def operator(run: Run) -> Iterator[Operator]:
    """A robot where one is named, else a person at the terminal."""
    command = run.config.getoption("operator_command")
    made: Operator = Robot(command) if command else Person()
    run.operator = made.kind
    yield made
    made.close()


@pytest.fixture(scope="session")
def bench(run: Run, operator: Operator) -> Iterator[Bench]:
    """The bench; the token is emptied when the tests are done."""
    assert run.subject is not None
    option = run.config.getoption
    folder = FOLDER / (run.subject.serial or run.subject.name)
    home = Path(option("bench_home") or folder / "station")
    trust = [Path(path) for path in option("trust")]
    made = Bench(run.subject, operator, home, trust, option("patience"))
    yield made
    made.clear()


@pytest.fixture(scope="session")
def spare(bench: Bench) -> Iterator[Bench]:
    """The other token that may be wiped, at a station of its own; emptied in the end."""
    made = bench.beside("spare", bench.subject.spare)
    yield made
    made.clear()


@pytest.fixture(scope="module")
def issued(bench: Bench, run: Run, request: pytest.FixtureRequest) -> Iterator[Bench]:
    """The token, issued by the profile that the module has as PROFILE; given back afterwards."""
    name = request.module.__name__.rpartition(".")[2].removeprefix("test_").replace("_", "-")
    profile = request.module.PROFILE
    bench.issue(name, profile(bench.subject) if callable(profile) else profile)
    run.virtual = bench.entry()["token"].get("virtual")
    yield bench
    bench.clear()


@pytest.fixture
def nobodys(bench: Bench) -> Bench:
    """The token as it left the factory: what is on it is wiped."""
    bench.make_nobodys()
    return bench
