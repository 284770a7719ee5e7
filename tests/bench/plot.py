"""The plot beside `build/bench.json`: what stands in it, drawn.

Left, tokens a minute by readers, and what they would be if each reader had the station for itself.
Right, the host's seconds for a token: the replay of its commands, the line, a batch, the script.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from tests.bench.figures import Figure, rounded
from tests.bench.line import READERS

INCHES, DOTS = (10.0, 4.2), 120
HOSTS = {
    "replay.host_time": "replay of the commands",
    "line.host_time": "tokenprov, one reader",
    "batch.host_time": "tokenprov, whole batch of ten",
    "script.host_time": "ykman script",
}
BLUE, GREY = "#2b6cb0", "#a0aec0"


def plot(path: Path, figures: Mapping[str, Figure]) -> bool:
    """Write the PNG; False where the figures for it were not measured."""
    if not {*HOSTS, *(f"line.rate_{readers}" for readers in READERS)} <= figures.keys():
        return False
    mpl.use("agg")
    canvas = Canvas(figsize=INCHES, layout="constrained")
    left, right = canvas.subplots(1, 2)
    _rates(left, [figures[f"line.rate_{readers}"].value * 60 for readers in READERS])
    _hosts(right, {label: figures[name].value for name, label in HOSTS.items()})
    canvas.savefig(path, dpi=DOTS, format="png")
    return True


def _rates(axes: Axes, rates: list[float]) -> None:
    ideal = [rates[0] * readers for readers in READERS]
    axes.plot(READERS, ideal, color=GREY, linestyle="--", label="one reader's, times readers")
    axes.plot(READERS, rates, color=BLUE, marker="o", label="measured")
    axes.set_xticks(READERS)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("readers")
    axes.set_ylabel("tokens a minute")
    axes.set_title("Throughput, tokens as slow as real ones")
    axes.grid(visible=True, color="#e2e8f0")
    axes.legend(frameon=False)


def _hosts(axes: Axes, seconds: Mapping[str, float]) -> None:
    bars = axes.barh(list(seconds), list(seconds.values()), color=BLUE)
    axes.bar_label(bars, [f" {rounded(float(f'{value:.2g}')):g} s" for value in seconds.values()])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(min(seconds.values()) / 5, max(seconds.values()) * 5)
    axes.set_xlabel("seconds of the host for each token")
    axes.set_title("Host time")
