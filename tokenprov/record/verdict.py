"""What judging a manifest finds: each finding names the rule, the place and what to do."""

from __future__ import annotations

from dataclasses import dataclass

from tokenprov.errors import ManifestError

RESTORE = "Restore it from a copy of the folder, and keep this one as evidence."
FINISH = "Run `tokenprov holder erase` again where this is the station's; delete it in a copy."
STRAY = "Find out who put it there; the manifest itself does not need it."


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyFinding:
    """One thing that does not hold: `index` is the entry, `file` is below the folder."""

    rule: str
    what: str
    remedy: str
    index: int | None = None
    file: str = ""

    def __str__(self) -> str:
        place = [f"entry {self.index}"] if self.index is not None else []
        place += [self.file] if self.file else []
        return f"{self.rule}: {', '.join([*place, self.what])}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """That the log had `size` entries by that time, says a time-stamp authority."""

    size: int
    time: str  # RFC 3339, UTC
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """What was found: no finding, and everything holds."""

    origin: str
    size: int
    root: str  # hex
    station: str
    issued: int  # entries that issue a token
    virtual: int  # of these, by virtual tokens
    identities: int  # different holders
    openings: int  # of these, whose identity is held here
    findings: tuple[VerifyFinding, ...]
    stamps: tuple[Stamp, ...] = ()  # that hold, the smallest first; judged where roots are held

    @property
    def holds(self) -> bool:
        """Whether everything does."""
        return not self.findings


class Findings:
    """Collects them, in the order in which they are found."""

    def __init__(self) -> None:
        self.all: list[VerifyFinding] = []

    def add(
        self,
        rule: str,
        what: str,
        *,
        index: int | None = None,
        file: str = "",
        remedy: str = RESTORE,
    ) -> None:
        """Something does not hold."""
        self.all.append(VerifyFinding(rule=rule, what=what, remedy=remedy, index=index, file=file))

    def caught(self, exc: ManifestError, *, index: int | None = None, file: str = "") -> None:
        """The same, as it was raised."""
        self.add(exc.rule, exc.message, index=index, file=file, remedy=exc.remedy)
