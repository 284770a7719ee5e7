"""The tokens that are plugged in, for commands: what each says it is, and which one is meant."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import click

from tokenprov.device.sources import SMART_CARDS, Source
from tokenprov.device.token import AnyToken
from tokenprov.errors import InputError, TokenError, TokenGone
from tokenprov.model import TokenId

_POLL = 0.1  # seconds between looks at the readers, at most


class Nobody:
    """Implements `step.Operator` for commands that only look: nothing waits for a touch."""

    def touch(self, reader: str, label: str, reason: str) -> nullcontext[None]:
        """Nothing to do."""
        return nullcontext()

    def reinsert(self, reader: str, label: str, reason: str, seconds: float) -> nullcontext[None]:
        """Nothing to do."""
        return nullcontext()


def reader_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Which token is meant, where more than one is plugged in."""
    command = click.option("--reader", help="The token in this reader.")(command)
    return click.option("--serial", help="The token with this serial.")(command)


def module_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Tokens that are not in smart-card readers."""
    return click.option(
        "--module",
        metavar="MODULE",
        help="The tokens of this PKCS#11 module: its .so file, or its name in p11-kit's"
        " configuration.",
    )(command)


def as_it_says(token: AnyToken) -> None:
    """The token is known by its serial, and without one not at all."""


def known_here(home_path: Path) -> Callable[[AnyToken], None]:
    """What names those without a serial at the station of that folder, if it is one."""
    if not (home_path / "station.toml").exists():
        return as_it_says
    from tokenprov.home import Home  # and with it the ledger
    from tokenprov.unnumbered import recognise

    return partial(recognise, Home.open(home_path))


def choose_reader(
    reader: str | None,
    serial: str | None,
    source: Source = SMART_CARDS,
    recognise: Callable[[AnyToken], None] = as_it_says,
) -> str:
    """The one reader that is meant; `recognise` names those without a serial.

    Raises `InputError` where it is none or more than one.
    """
    found = [(name, token_id) for name, token_id, _ in seen(source, recognise)]
    if reader is not None:
        found = [one for one in found if reader.lower() in one[0].lower()]
    if serial is not None:
        found = [one for one in found if one[1] is not None and one[1].named == serial]
    if not found:
        raise TokenGone("no such token is plugged in", remedy="See: tokenprov token list")
    if len(found) > 1:
        labels = ", ".join(one[1].label if one[1] else one[0] for one in found)
        raise InputError(
            f"{len(found)} tokens are plugged in: {labels}", remedy="Choose one with --serial."
        )
    return found[0][0]


def seen(
    source: Source = SMART_CARDS, recognise: Callable[[AnyToken], None] = as_it_says
) -> list[tuple[str, TokenId | None, str]]:
    """Reader, token and trouble of each reader with a token in it."""
    with closing(source.readers()) as readers:
        names = [state.name for state in readers.states() if state.present]
    found: list[tuple[str, TokenId | None, str]] = []
    for name in names:
        try:
            with source.opened(name, Nobody()) as here:
                recognise(here)
                found.append((name, here.id, ""))
        except TokenError as error:
            found.append((name, None, error.message))
    return found


def come_by(patience: float, source: Source) -> Iterator[str]:
    """The readers of the tokens that are in, and of each that is put in after that.

    It ends when none came for `patience` seconds.
    """
    served: dict[str, int] = {}
    since = time.monotonic()
    with closing(source.readers()) as context:
        while True:
            here = {state.name: state.events for state in context.states() if state.present}
            served = {name: events for name, events in served.items() if name in here}
            fresh = [name for name, events in here.items() if served.get(name) != events]
            if fresh:
                yield fresh[0]
                since = time.monotonic()
                now = {state.name: state.events for state in context.states() if state.present}
                served[fresh[0]] = now.get(fresh[0], here[fresh[0]])
            elif time.monotonic() - since >= patience:
                return
            else:
                context.wait(_POLL)
