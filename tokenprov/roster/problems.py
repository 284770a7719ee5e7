"""What is wrong with a roster, collected: a person mends a file once, not once a mistake."""

from __future__ import annotations

from tokenprov.errors import Problem, RosterError

LIMIT = 20  # problems kept and shown; beyond it they are only counted


class Problems:
    """The problems of one file."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.total = 0
        self._kept: list[Problem] = []

    def add(self, line: int, field: str, message: str, remedy: str) -> None:
        """Note one problem."""
        self.total += 1
        if len(self._kept) < LIMIT:
            self._kept.append(Problem(line=line, field=field, message=message, remedy=remedy))

    def stop(self, line: int, field: str, message: str, remedy: str) -> RosterError:
        """The error to raise where nothing further can be read."""
        self.add(line, field, message, remedy)
        return self.error()

    def error(self) -> RosterError:
        """All of them as one error, by line."""
        kept = tuple(sorted(self._kept, key=lambda problem: problem.line))
        return RosterError.of_file(self.name, kept, self.total)


def shown(value: str) -> str:
    """A cell for a message: quoted, clipped, with nothing in it that a terminal would act on."""
    clipped = value if len(value) <= 40 else value[:39] + "…"
    return repr(clipped)
