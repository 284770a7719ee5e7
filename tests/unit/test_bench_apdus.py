"""How many commands each ready profile takes, against the least: the figure of the bench, held."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.apdus import AT_MOST, count, names, whole


@pytest.mark.parametrize("name", tuple(names()))
def test_no_profile_takes_many_more_commands_than_it_must(name: str, tmp_path: Path) -> None:
    """At most a quarter more than one SELECT, one look, one authentication, one write, one read."""
    counted = count(name, tmp_path)
    assert counted.used >= counted.least, "the least is not the least"
    assert counted.ratio <= AT_MOST, f"{counted.used} commands, {counted.least} are the least"


def test_what_continues_a_command_is_no_other_one() -> None:
    """Chained parts and GET RESPONSE count with what they continue, a SELECT after them alone."""
    heads = ("00a40400", "10db3fff", "10db3fff", "00db3fff", "00c00000", "00a40400", "00a50000")
    kept = [apdu.hex() for apdu in whole([bytes.fromhex(head) for head in heads])]
    assert kept == ["00a40400", "10db3fff", "00a40400"]
