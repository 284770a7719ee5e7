"""The tree of errors. Each carries its data and ends in what the operator does next.

    TokenprovError                    exit code
    ├── InputError                    2   a file or an argument from a person is wrong
    │   ├── RosterError
    │   └── ProfileError
    ├── StationError                  3   the station home, its ledger or its keys
    │   ├── StationBusy
    │   └── DurabilityError
    ├── TokenError                    4   something about one token
    │   ├── TokenGone                     pulled, or lost its power
    │   │   └── TokenMoved                    by itself: it comes back in another place
    │   ├── TokenReset                    another program reset it
    │   ├── ReaderBusy                    another program holds the reader
    │   ├── PcscUnavailable               pcscd stopped
    │   ├── WrongToken                    not the serial that was meant
    │   ├── NotSupported                  the token cannot do it
    │   ├── TokenRefused                  a status word or CTAP code nobody expected
    │   ├── AuthenticationFailed          PIN, PUK, management key or access code refused
    │   │   └── AuthenticationBlocked
    │   ├── TokenConflict                 holds something that is not ours
    │   ├── NotVerified                   what was read back is not what was written
    │   └── TouchTimeout
    ├── IssuerError                   5   the authority refused, or has no such certificate
    │   ├── IssuerUnanswered              no answer: it may have been carried out, or not
    │   └── IssuerPending                 taken, and not decided yet: ask again later
    ├── EvidenceError                 6   an attestation, manifest or signature does not hold
    │   ├── AttestationError
    │   ├── ManifestError
    │   └── ApprovalError                 a request that does not allow what is to be done
    ├── EscrowError                   7   an envelope cannot be sealed or opened
    └── PolicyError                   9   a rule of the station does not allow it

Secrets never stand in a message or in an attribute.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self


class TokenprovError(Exception):
    """Base of all errors: `message` says what happened, `remedy` what to do next."""

    exit_code = 1

    def __init__(self, message: str, *, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n  {self.remedy}" if self.remedy else self.message


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong in a file from a person; `line` counts from 1, 0 where there is no line."""

    line: int
    field: str  # a column of a roster, the path of a profile's key, "" for the file as a whole
    message: str
    remedy: str
    file: str = ""  # where it stands in another file than the one that was asked for

    @property
    def where(self) -> str:
        """File, line and field, as people say them."""
        line = f"line {self.line}" if self.line else ""
        return ", ".join(filter(None, [self.file, line, self.field]))


class InputError(TokenprovError):
    """A file or an argument from a person is wrong; `where` is file, line and field or key.

    `problems` holds each thing wrong, where a file was read to its end before it was refused.
    """

    exit_code = 2

    def __init__(
        self, message: str, *, remedy: str, where: str = "", problems: tuple[Problem, ...] = ()
    ) -> None:
        super().__init__(f"{where}: {message}" if where else message, remedy=remedy)
        self.where = where
        self.problems = problems

    @classmethod
    def of_file(cls, name: str, problems: tuple[Problem, ...], total: int) -> Self:
        """All that is wrong in one file, of `total` problems those that were kept."""
        if total == 1:
            (only,) = problems
            where = ", ".join(filter(None, ["" if only.file else name, only.where]))
            return cls(only.message, remedy=only.remedy, where=where, problems=problems)
        lines = [f"{total} problems, and nothing was read from it"]
        for problem in problems:
            place = f"{problem.where}: " if problem.where else ""
            lines.append(f"  {place}{problem.message}\n    {problem.remedy}")
        if total > len(problems):
            lines.append(f"  … and {total - len(problems)} more")
        remedy = f"Mend {name} and run the same command again; no token was touched."
        return cls("\n".join(lines), remedy=remedy, where=name, problems=problems)


class RosterError(InputError):
    """The roster cannot be read as one."""


class ProfileError(InputError):
    """The profile is wrong, or asks what the token's firmware cannot do."""


class StationError(TokenprovError):
    """The station home cannot be used."""

    exit_code = 3


class StationBusy(StationError):
    """Another process holds the station home; `pid` is its process id."""

    def __init__(self, message: str, *, remedy: str, pid: int | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.pid = pid


class DurabilityError(StationError):
    """Something could not be made durable: the disk is full, read-only or failing."""


class TokenError(TokenprovError):
    """Something about one token or its reader."""

    exit_code = 4


class TokenGone(TokenError):
    """The token was pulled or lost its power."""


class TokenMoved(TokenGone):
    """It restarts and comes back on other interfaces, to be taken up as an insertion."""


class TokenReset(TokenError):
    """Another program reset the token; verified PINs and sessions are lost."""


class ReaderBusy(TokenError):
    """Another program holds the reader; `holders` names those that could be found."""

    def __init__(self, message: str, *, remedy: str, holders: tuple[str, ...] = ()) -> None:
        super().__init__(message, remedy=remedy)
        self.holders = holders


class PcscUnavailable(TokenError):
    """The PC/SC service is not running or stopped."""


class WrongToken(TokenError):
    """The token in the reader is not the one that was meant."""


class NotSupported(TokenError):
    """This token cannot do what is asked."""


class TokenRefused(TokenError):
    """The token answered with a code that nobody expected; `code` is the SW or CTAP code."""

    def __init__(self, message: str, *, remedy: str, code: int) -> None:
        super().__init__(message, remedy=remedy)
        self.code = code


class AuthenticationFailed(TokenError):
    """A PIN, PUK, management key or access code was refused; `retries_left` where it is known."""

    def __init__(self, message: str, *, remedy: str, retries_left: int | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.retries_left = retries_left


class AuthenticationBlocked(AuthenticationFailed):
    """No tries are left, or the token must be re-inserted first."""


class TokenConflict(TokenError):
    """The token holds something that is not ours; nothing was overwritten."""


class NotVerified(TokenError):
    """What was read back is not what was written."""


class TouchTimeout(TokenError):
    """Nobody touched the token in time."""


class IssuerError(TokenprovError):
    """The authority refused, cannot be used, or has no such certificate: asking again is no use."""

    exit_code = 5


class IssuerUnanswered(IssuerError):
    """No answer came, or none that counts: what was asked may have been carried out, or not."""


class IssuerPending(IssuerError):
    """The authority took the request and has not decided; `retry_after` in seconds if it said."""

    def __init__(self, message: str, *, remedy: str, retry_after: int | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.retry_after = retry_after


class EvidenceError(TokenprovError):
    """Evidence does not hold."""

    exit_code = 6


class AttestationError(EvidenceError):
    """An attestation does not verify or does not match the token."""


class ManifestError(EvidenceError):
    """The manifest does not verify; `index` is the entry where there is one, `rule` the rule."""

    def __init__(
        self, message: str, *, remedy: str, rule: str = "", index: int | None = None
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.rule = rule
        self.index = index


class ApprovalError(EvidenceError):
    """A request or its approval does not allow the act; `rule` says in which respect."""

    def __init__(self, message: str, *, remedy: str, rule: str) -> None:
        super().__init__(message, remedy=remedy)
        self.rule = rule


class EscrowError(TokenprovError):
    """An envelope cannot be sealed or opened."""

    exit_code = 7


class PolicyError(TokenprovError):
    """The station's policy does not allow it; `rule` names the rule, `source` where it is from."""

    exit_code = 9

    def __init__(self, message: str, *, remedy: str, rule: str, source: str) -> None:
        super().__init__(message, remedy=remedy)
        self.rule = rule
        self.source = source
