"""The figures of `make bench`: their written form, and what their targets mean."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench.figures import Figure, print_figures, write_figures


def test_the_file_is_an_object_of_figures(tmp_path: Path) -> None:
    """Each figure has value, unit, target and whether it holds; an old file is replaced."""
    path = tmp_path / "build" / "bench.json"
    figures = {
        "batch.peak_memory": Figure(value=86.123456, unit="MB", at_most=150),
        "sim.apdu_rate": Figure(value=4999.0, unit="APDUs/s", at_least=5000),
        "batch.apdus": Figure(value=121, unit="APDUs/token"),
    }
    write_figures(path, {"older": figures["batch.apdus"]})
    write_figures(path, figures)
    assert json.loads(path.read_text(encoding="utf-8")) == {
        "batch.peak_memory": {"value": 86.12, "unit": "MB", "target": 150, "holds": True},
        "sim.apdu_rate": {"value": 4999, "unit": "APDUs/s", "target": 5000, "holds": False},
        "batch.apdus": {"value": 121, "unit": "APDUs/token", "target": None, "holds": True},
    }
    assert [file.name for file in path.parent.iterdir()] == ["bench.json"]


@pytest.mark.parametrize(
    ("figure", "holds"),
    [
        (Figure(value=5, unit="s", at_most=5), True),
        (Figure(value=5.001, unit="s", at_most=5), False),
        (Figure(value=5, unit="/s", at_least=5), True),
        (Figure(value=4.999, unit="/s", at_least=5), False),
        (Figure(value=1e9, unit="s"), True),
    ],
)
def test_a_target_is_a_bound_of_one_kind(figure: Figure, holds: bool) -> None:
    """What must not be more may be just as much, and the reverse; without a target all is well."""
    assert figure.holds is holds


def test_a_value_is_judged_before_it_is_rounded() -> None:
    """A target that was missed by less than the digits shown is still missed."""
    missed = Figure(value=150.0001, unit="MB", at_most=150)
    assert missed.to_json() == {"value": 150.0, "unit": "MB", "target": 150, "holds": False}


def test_a_figure_has_one_target() -> None:
    """Both bounds at once are refused."""
    with pytest.raises(ValueError, match="one target"):
        Figure(value=1, unit="s", at_most=2, at_least=0)


def test_the_table_names_what_is_missed(capsys: pytest.CaptureFixture[str]) -> None:
    """A person sees each figure with its target and its sense, and a missed one in capitals."""
    print_figures(
        {
            "a.memory": Figure(value=151, unit="MB", at_most=150),
            "a.rate": Figure(value=12.3456, unit="/s", at_least=10),
            "a.count": Figure(value=7, unit="things"),
        }
    )
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[1:] == [
        ["a.memory", "151", "MB", "≤", "150", "NO"],
        ["a.rate", "12.35", "/s", "≥", "10", "yes"],
        ["a.count", "7", "things"],
    ]
