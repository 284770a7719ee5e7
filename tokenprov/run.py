"""The loop of one order on one token: observe, seal, journal, apply, observe again.

Rules:
- Before the first write to a token, every step looks at it; one conflict refuses the token whole.
- No write without a promise: secrets sealed and the intent journalled, durably.
- Nothing counts that was not read back as MATCH after the write.
- Resume is this loop run again: journalled intents come back, the token is looked at again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from tokenprov.errors import NotVerified, TokenConflict
from tokenprov.secret import RandomBytes
from tokenprov.step import Drawn, Finding, Intent, State, Step
from tokenprov.token import Token


class Journal(Protocol):
    """The durable side of one order (ledger and escrow)."""

    def intents(self) -> Mapping[str, Intent]:
        """What was promised before, by step."""
        ...

    def promise(self, step: str, drawn: Drawn) -> Intent:
        """Seal what was drawn and journal the intent; durable when it returns."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One step as it was read back, and whether this run wrote it."""

    step: Step
    finding: Finding
    written: bool


class Progress(Protocol):
    """What the loop tells while it works."""

    def step_started(self, step: Step, number: int, total: int) -> None:
        """A step is looked at, written if need be, and read back."""
        ...


def look(token: Token, steps: Sequence[Step]) -> dict[str, Finding]:
    """What each step finds on a token that nothing was promised for; changes nothing."""
    return {step.id: step.observe(token, None) for step in steps}


def conflicts(findings: Mapping[str, Finding]) -> tuple[str, ...]:
    """Why the token is not ours to write, in words; nothing if it is."""
    refusing = (State.CONFLICT, State.UNKNOWN)
    return tuple(found.reason for found in findings.values() if found.state in refusing)


def refuse_used(token: Token, reasons: Sequence[str]) -> None:
    """Raise `TokenConflict` with all reasons, if there are any."""
    if reasons:
        raise TokenConflict(
            f"token {token.id.label} is in use: {'; '.join(dict.fromkeys(reasons))}",
            remedy="Nothing was written. Take another token, or reset this one if you know that"
            " nobody needs what is on it.",
        )


def provision(
    token: Token,
    steps: Sequence[Step],
    journal: Journal,
    *,
    random: RandomBytes,
    progress: Progress,
    begin: Callable[[], Mapping[str, Finding]],
) -> tuple[Outcome, ...]:
    """Make the token what the steps say, from wherever it stands, and give what was read back.

    `begin` is called for a token that nothing was promised to: it looks, refuses the token or
    takes it, and gives what each step found. Raises `TokenConflict`, `NotVerified` and every
    `TokenError` that the token meets.
    """
    promised = dict(journal.intents())
    findings = {} if promised else begin()
    for known in promised.values():
        _remember(token, known)
    outcomes = []
    for number, step in enumerate(steps, start=1):
        progress.step_started(step, number, len(steps))
        intent = promised.get(step.id)
        finding = findings.get(step.id) or step.observe(token, intent)
        written = finding.state is State.ABSENT or (
            finding.state is State.UNKNOWN and intent is not None
        )
        if written:
            finding = _write(token, step, intent, journal, random)
        elif finding.state not in (State.MATCH, State.SKIPPED):
            raise TokenConflict(
                f"token {token.id.label}: {step.title}: {finding.reason}",
                remedy="The token changed since the work on it began. Set it aside.",
            )
        outcomes.append(Outcome(step=step, finding=finding, written=written))
    return tuple(outcomes)


def _write(
    token: Token, step: Step, intent: Intent | None, journal: Journal, random: RandomBytes
) -> Finding:
    """Promise (unless it was), apply, and give what is then read back: MATCH or an error."""
    if intent is None:
        intent = journal.promise(step.id, step.draw(random))
        _remember(token, intent)
    step.apply(token, intent)
    finding = step.observe(token, replace(intent, applied=True))
    if finding.state is not State.MATCH:
        because = f": {finding.reason}" if finding.reason else ""
        raise NotVerified(
            f"token {token.id.label}: {step.title} reads back as {finding.state}{because}",
            remedy="Run it again; if it stays so, set the token aside.",
        )
    return finding


def _remember(token: Token, intent: Intent) -> None:
    for name, drawn in intent.drawn.items():
        token.keyring.put(drawn.kind, name, drawn.value)
