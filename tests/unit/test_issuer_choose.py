"""Which authority a profile names, and what the station knows of it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from tests.certificate_requests import NOW
from tokenprov.errors import IssuerError, StationError
from tokenprov.issuer import LocalCa, choose_issuer
from tokenprov.issuer.choose import SCHEMES, read_settings
from tokenprov.profile.piv_certificate import ISSUER_SCHEMES

URI = "est+https://ca.example.test/.well-known/est"


def test_local_is_the_homes_own(tmp_path: Path) -> None:
    """`local` needs no settings."""
    made = LocalCa.create(tmp_path / "ca", "Example Test CA", NOW)
    chosen = choose_issuer("local", tmp_path)
    assert isinstance(chosen, LocalCa)
    assert chosen.certificate == made.certificate


def test_profiles_name_exactly_what_can_be_reached() -> None:
    """A scheme is in the profile language where it has a module, and each module connects."""
    assert set(SCHEMES) == ISSUER_SCHEMES
    for module in SCHEMES.values():
        assert callable(import_module(f"tokenprov.issuer.{module}").connect)


def test_what_is_no_authority_is_refused(tmp_path: Path) -> None:
    """The error says what there is."""
    with pytest.raises(IssuerError, match="no authority is called 'carrier-pigeon:x'") as raised:
        choose_issuer("carrier-pigeon:x", tmp_path)
    assert "local" in raised.value.remedy


def test_settings_are_found_by_uri(tmp_path: Path) -> None:
    """By what stands in the file, whatever its name; without one there are none."""
    (tmp_path / "a.toml").write_text('uri = "cmp+http://other"\n')
    (tmp_path / "b.toml").write_text(f'uri = "{URI}"\nuser = "station"\n')
    found = read_settings(URI, tmp_path)
    assert (found.table, found.file) == ({"user": "station"}, tmp_path / "b.toml")
    assert read_settings("file:out", tmp_path).table == {}


def test_settings_that_cannot_be_meant_are_named(tmp_path: Path) -> None:
    """Two for one URI, one for none, and what is no TOML."""
    for text, said in (
        (f'uri = "{URI}"\n', "are both for"),
        ("user = 1\n", "names no authority"),
        ("uri =\n", "cannot be read"),
    ):
        (tmp_path / "a.toml").write_text(f'uri = "{URI}"\n')
        (tmp_path / "b.toml").write_text(text)
        with pytest.raises(StationError, match=said) as raised:
            read_settings(URI, tmp_path)
        assert "b.toml" in raised.value.message
