"""The loop of one order on one token: observe, seal, journal, apply, observe again.

Rules:
- Before the first write to a token, every step looks at it; one conflict refuses the token whole.
- No write without a promise: secrets sealed and the intent journalled, durably. What the first look
  finds to be written is promised all at once, before the first write; what could not be told from
  somebody else's afterwards (`Finding.blind`) when its turn comes, which the first one's has then.
- Nothing counts that was not read back as MATCH after the write.
- Resume is this loop run again: journalled intents come back, the token is looked at again.
- A step is begun only when all before it were read back. So on resume all were begun up to the last
  that was promised in its turn, and none after the first that is ABSENT behind that: these are
  looked at as if nothing had been promised, and what is there now is not ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from tokenprov.errors import NotVerified, TokenConflict
from tokenprov.step import Finding, Intent, State, Step
from tokenprov.token import Token


class Journal(Protocol):
    """The durable side of one order (ledger and escrow)."""

    def intents(self) -> Mapping[str, Intent]:
        """What was promised before, by step."""
        ...

    def promise(
        self, *, ahead: Sequence[Step] = (), due: Sequence[Step] = ()
    ) -> Mapping[str, Intent]:
        """Draw for these steps, seal and journal it, all at once; durable when it returns.

        The turn of those that are `due` has come; `ahead` is before the first write of the order.
        """
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
    progress: Progress,
    begin: Callable[[], Mapping[str, Finding]],
) -> tuple[Outcome, ...]:
    """Make the token what the steps say, from wherever it stands, and give what was read back.

    `begin` is called for a token that nothing was promised to: it looks, refuses the token or
    takes it, and gives what each step found. Raises `TokenConflict`, `NotVerified` and every
    `TokenError` that the token meets.
    """
    findings: Mapping[str, Finding] = {}
    promised = journal.intents()
    reached = bool(promised)  # whether an earlier run may have begun the step
    for known in promised.values():
        _remember(token, known)
    if not reached:
        findings = begin()
        absent = [step for step in steps if findings[step.id].state is State.ABSENT]
        promised = journal.promise(
            ahead=[step for step in absent if not findings[step.id].blind],
            due=[step for step in absent[:1] if findings[step.id].blind],
        )
    certain = _surely_begun(steps, promised)
    outcomes = []
    for number, step in enumerate(steps, start=1):
        progress.step_started(step, number, len(steps))
        intent = promised.get(step.id)
        begun = intent if reached else None
        finding = findings.get(step.id) or step.observe(token, begun)
        written = finding.state is State.ABSENT or (
            finding.state is State.UNKNOWN and begun is not None
        )
        if finding.state is State.ABSENT and number >= certain:
            reached = False
        if written:
            finding = _write(token, step, intent, journal)
        elif finding.state not in (State.MATCH, State.SKIPPED) or _is_anothers(intent, begun):
            reason = finding.reason or "it was not written here"
            raise TokenConflict(
                f"token {token.id.label}: {step.title}: {reason}",
                remedy="The token changed since the work on it began. Set it aside.",
            )
        outcomes.append(Outcome(step=step, finding=finding, written=written))
    return tuple(outcomes)


def _surely_begun(steps: Sequence[Step], promised: Mapping[str, Intent]) -> int:
    """How many steps, from the first on: up to the last that was promised when its turn came."""
    in_turn = {intent.step for intent in promised.values() if not intent.ahead}
    return max((n for n, step in enumerate(steps, start=1) if step.id in in_turn), default=0)


def _is_anothers(promised: Intent | None, begun: Intent | None) -> bool:
    """Whether what is found where a sealed secret was to be written cannot be that secret."""
    return promised is not None and bool(promised.drawn) and begun is None


def _write(token: Token, step: Step, intent: Intent | None, journal: Journal) -> Finding:
    """Promise (unless it was), apply, and give what is then read back: MATCH or an error."""
    if intent is None:
        intent = journal.promise(due=[step])[step.id]
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
