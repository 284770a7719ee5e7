"""Where tokens are put in: PC/SC readers, or a PKCS#11 module that has tokens of its own.

A PKCS#11 slot is a reader. Its name is the serial of the token in it, because modules number their
slots anew as they like; a token without a serial is called after its slot. An insertion is a serial
that was not there at the last look.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from tokenprov.device.pcsc import Context, ReaderState
from tokenprov.device.pkcs11 import Pkcs11Token
from tokenprov.device.token import AnyToken, opened
from tokenprov.device.watch import Watch
from tokenprov.errors import TokenError, TokenGone
from tokenprov.pkcs11 import Module, TokenInfo
from tokenprov.pkcs11.find import find_module
from tokenprov.step import Operator

FAILURES = 3  # looks in a row that a module may fail at
LOOK = 0.5  # seconds between looks at a module's tokens, each of which asks the module


class Readers(Protocol):
    """The readers at one moment, and waiting until they change."""

    def states(self) -> tuple[ReaderState, ...]: ...
    def wait(self, seconds: float) -> None: ...
    def stop_waiting(self) -> None: ...
    def close(self) -> None: ...


class Source(Protocol):
    """Readers of one kind, and the way to the token in one."""

    def readers(self) -> Readers:
        """Anew. Raises `PcscUnavailable` where a service that they need is gone."""
        ...

    def opened(
        self,
        reader: str,
        operator: Operator,
        expect: Callable[[AnyToken], None] | None = None,
        watch: Watch | None = None,
    ) -> AbstractContextManager[AnyToken]:
        """The token in a reader, exclusively. Raises `TokenError`."""
        ...

    def close(self) -> None:
        """Everything that is held."""
        ...


class PcscSource:
    """The machine's smart-card readers."""

    def readers(self) -> Context:
        """A context of its own."""
        return Context()

    def opened(
        self,
        reader: str,
        operator: Operator,
        expect: Callable[[AnyToken], None] | None = None,
        watch: Watch | None = None,
    ) -> AbstractContextManager[AnyToken]:
        """By `device.token`."""
        return opened(reader, operator, expect, watch)

    def close(self) -> None:
        """Nothing is held."""


SMART_CARDS = PcscSource()


class ModuleSource:
    """The tokens that a PKCS#11 module sees."""

    def __init__(self, path: Path) -> None:
        self._module = Module(path)
        self._name = path.name.removesuffix(".so")
        self._held: set[str] = set()  # readers whose token is at work
        self._holding = threading.Lock()

    def readers(self) -> ModuleReaders:
        """Its slots with a token in them."""
        return ModuleReaders(self._tokens)

    def _tokens(self) -> dict[str, TokenInfo] | None:
        """By reader; None while the module makes a token, which may take minutes."""
        with self._holding:
            if self._held:
                return None
        return self._found()

    def _found(self) -> dict[str, TokenInfo]:
        return {self._reader(one): one for one in self._module.tokens()}

    def _reader(self, token: TokenInfo) -> str:
        return f"{self._name}: {token.serial or f'slot {token.slot}'}"

    @contextmanager
    def opened(
        self,
        reader: str,
        operator: Operator,
        expect: Callable[[AnyToken], None] | None = None,
        watch: Watch | None = None,
    ) -> Iterator[AnyToken]:
        """The token by its module, which serves one request at a time."""
        info = self._found().get(reader)
        if info is None:
            raise TokenGone(
                f"{reader}: there is no token any more",
                remedy="Insert the same token again; the work goes on where it was.",
            )
        with self._holding:
            self._held.add(reader)
        try:
            token = Pkcs11Token(self._module, info, reader, operator, watch)
            if expect is not None:
                expect(token)
            yield token
        finally:
            with self._holding:
                self._held.discard(reader)

    def close(self) -> None:
        """End the module's process."""
        self._module.close()


class ModuleReaders:
    """Implements `Readers` on a module; `tokens` gives them by reader, None for as before."""

    def __init__(self, tokens: Callable[[], dict[str, TokenInfo] | None]) -> None:
        self._tokens = tokens
        self._events: dict[str, int] = {}
        self._present: set[str] = set()
        self._stopped = threading.Event()
        self._looked = -LOOK
        # looks in a row at which the module crashed or hung; the first one must not
        self._failures = FAILURES - 1

    def states(self) -> tuple[ReaderState, ...]:
        """Every token that is there, or was; at most so often as `LOOK` says.

        Raises `TokenError` for a module that cannot be asked.
        """
        if time.monotonic() - self._looked >= LOOK:
            found = self._look()
            self._looked = time.monotonic()
            if found is not None:
                for reader in found.keys() - self._present:
                    self._events[reader] = self._events.get(reader, 0) + 1
                self._present = set(found)
        return tuple(
            ReaderState(name=name, present=name in self._present, in_use=False, events=events)
            for name, events in self._events.items()
        )

    def _look(self) -> dict[str, TokenInfo] | None:
        """As `tokens`. A module that fails is asked again next time, and given up in the end."""
        try:
            found = self._tokens()
        except TokenError:
            self._failures += 1
            if self._failures >= FAILURES:
                raise
            return None
        self._failures = 0
        return found

    def wait(self, seconds: float) -> None:
        """No module is waited on (it would serve nothing meanwhile): just the time."""
        self._stopped.wait(seconds)
        self._stopped.clear()

    def stop_waiting(self) -> None:
        """End a `wait` now."""
        self._stopped.set()

    def close(self) -> None:
        """Nothing is held."""


def source_of(module: str | None) -> Source:
    """The tokens of a module by its path or name, PC/SC readers where none is named."""
    return SMART_CARDS if module is None else ModuleSource(find_module(module))
