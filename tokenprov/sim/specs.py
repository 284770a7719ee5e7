"""What to plug into a bench: one description a token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tokenprov.sim.assembly import make_token
from tokenprov.sim.latency import REAL_KEY
from tokenprov.sim.models import DEFAULT_MODEL, MODELS
from tokenprov.sim.presence import TouchPolicy
from tokenprov.sim.token import VirtualToken


class BenchError(Exception):
    """The bench cannot do that; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSpec:
    """One token to plug in. `latency` maps operations to seconds; `state` is its file."""

    model: str = DEFAULT_MODEL
    serial: int | None = None
    touch: TouchPolicy = field(default_factory=TouchPolicy)
    latency: Mapping[str, float] = field(default_factory=dict)
    state: Path | None = None

    def make(self) -> VirtualToken:
        """Make the token. Raises `BenchError` for an unknown model or a foreign state."""
        if self.model not in MODELS:
            raise BenchError(f"no model {self.model!r}; there are " + ", ".join(MODELS))
        try:
            return make_token(
                self.model,
                self.serial,
                touch=self.touch,
                latency=self.latency,
                state=self.state,
            )
        except ValueError as exc:
            raise BenchError(f"{self.state}: {exc}") from exc


def make_specs(
    tokens: int,
    models: tuple[str, ...],
    serial_base: int,
    touch: str,
    latency: bool,
    state: Path | None,
) -> list[TokenSpec]:
    """What to plug in; with fewer models than tokens they go round."""
    names = models or (DEFAULT_MODEL,)
    specs = []
    for number in range(tokens):
        name = names[number % len(names)]
        serial = serial_base + number
        specs.append(
            TokenSpec(
                model=name,
                serial=serial,
                touch=TouchPolicy.parse(touch),
                latency=REAL_KEY if latency else {},
                state=state / f"{name}-{serial}.json" if state is not None else None,
            )
        )
    return specs
