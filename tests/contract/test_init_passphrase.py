"""`init --passphrase`: the custodians' keys that are made at the station open with it alone."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stations import tell
from tokenprov.errors import EscrowError
from tokenprov.model import Purpose
from tokenprov.record.escrow import CustodianKey, load_private, load_public
from tokenprov.secret import Secret

PHRASE = "correct horse battery staple"


def typed(monkeypatch: pytest.MonkeyPatch, *answers: str) -> None:
    """Let a person answer what is asked for unseen."""
    waiting: Iterator[str] = iter(answers)
    monkeypatch.setattr(getpass, "getpass", lambda prompt: next(waiting))


def test_keys_are_encrypted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pair's private half needs the passphrase, and fits the public one in the home."""
    typed(monkeypatch, PHRASE, PHRASE)
    said = tell("init", tmp_path / "home", "--name", "bench", "--passphrase")
    assert said.code == 0, said.err
    assert "and the passphrase" in said.err
    assert PHRASE not in said.err + said.out
    for purpose in Purpose:
        private = tmp_path / "home" / "custodians" / "private" / f"{purpose}.pem"
        with pytest.raises(EscrowError, match="is encrypted"):
            load_private(private)
        key = load_private(private, Secret(PHRASE))
        public = load_public(tmp_path / "home" / "custodians" / f"{purpose}.pem")
        assert CustodianKey(public=key.public_key()).kid == public.kid


@pytest.mark.parametrize(
    ("answers", "why"), [((PHRASE, "another"), "not the same"), (("", ""), "is empty")]
)
def test_a_passphrase_that_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: tuple[str, str], why: str
) -> None:
    """Typed in two ways, or none: no home is made."""
    typed(monkeypatch, *answers)
    said = tell("init", tmp_path / "home", "--name", "bench", "--passphrase")
    assert said.code == 2
    assert why in said.err
    assert not (tmp_path / "home").exists()
