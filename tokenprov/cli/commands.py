"""Groups of commands whose modules are loaded when one of them is called.

All modules together take a second to import, and each command needs a part of them: who lists the
tokens that are plugged in opens no ledger, and who verifies a manifest has no station.
"""

from __future__ import annotations

import gc
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click
from click.exceptions import NoSuchCommand


class Commands(click.Group):
    """Those of its own, and `elsewhere` others: name -> `module:attribute` of tokenprov.cli."""

    def __init__(self, *arguments: Any, elsewhere: Mapping[str, str], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._elsewhere = elsewhere

    def list_commands(self, context: click.Context) -> list[str]:
        """All names: its own by the alphabet, and then the others as they stand there."""
        return [*super().list_commands(context), *self._elsewhere]

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """The command of that name."""
        if name not in self._elsewhere:
            return super().get_command(context, name)
        module, _, attribute = self._elsewhere[name].partition(":")
        gc.disable()  # modules are no garbage, and looking through them takes a fifth of the start
        try:
            found: click.Command = getattr(import_module(f"tokenprov.cli.{module}"), attribute)
            gc.freeze()  # nor are they later, above all at the end
        finally:
            gc.enable()
        return found

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it; a name that is misspelt is compared with those elsewhere, too."""
        try:
            return super().resolve_command(context, arguments)
        except NoSuchCommand as error:
            known = self.list_commands(context)
            raise NoSuchCommand(error.command_name, possibilities=known, ctx=context) from None
