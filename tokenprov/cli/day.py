"""A day as an option: year-month-day, as rosters have it, since other orders can be misread."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click


class _Day(click.DateTime):
    name = "day"

    def __init__(self) -> None:
        super().__init__(["%Y-%m-%d"])

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return "YYYY-MM-DD"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        try:
            found: datetime = super().convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"{value!r} is no day: write it as year-month-day, 2031-12-31", param, ctx)
        return found


DAY = _Day()
