"""A key that no one holds alone: split into words, tried, and used from several people's shares."""

from __future__ import annotations

import getpass
import itertools
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.stations import Station
from tests.token_under_test import TokenUnderTest
from tokenprov.custodians.words import join, needed, split
from tokenprov.errors import EscrowError
from tokenprov.secret import Secret

PRIVATE = ec.generate_private_key(ec.SECP256R1())
NUMBER = PRIVATE.private_numbers()
WHY = ("--reason", "a drill")


def test_any_two_of_three_give_the_key() -> None:
    """Every pair does, in any order and spelling; each share says that two are needed."""
    shares = split(PRIVATE, 2, 3)
    for pair in itertools.permutations(shares, 2):
        assert join(pair).private.private_numbers() == NUMBER
    shouted = [Secret(share.reveal_text().upper().replace(" ", "\n ")) for share in shares]
    assert join(shouted[1:]).private.private_numbers() == NUMBER
    assert {needed(share) for share in shares} == {2}
    assert {len(share.reveal_text().split()) for share in shares} == {33}


def test_small_numbers_keep_their_zeros() -> None:
    """A key whose number begins with zeros comes back as it was."""
    small = ec.derive_private_key(5, ec.SECP256R1())
    assert join(split(small, 2, 2)).private.private_numbers().private_value == 5


def test_shares_that_give_nothing() -> None:
    """Too few, a wrong word, a word that is none, of two splittings: said without a word of it."""
    shares = split(PRIVATE, 3, 4)
    others = split(PRIVATE, 3, 4)
    words = shares[0].reveal_text().split()
    wrong = Secret(" ".join([*words[:-1], "academic" if words[-1] != "academic" else "acid"]))
    none = Secret(" ".join([*words[:-1], "tokenprov"]))
    for given, why in (
        (shares[:2], "more are needed"),
        ([shares[0], shares[0], shares[1]], "more are needed"),
        ([wrong, *shares[1:3]], "a word is wrong"),
        ([none, *shares[1:3]], "not on the list"),
        ([Secret("academic acid"), *shares[1:3]], "too few words"),
        ([shares[0], *others[1:3]], "are not of one set"),
    ):
        with pytest.raises(EscrowError, match=why) as caught:
            join(given)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__
        for word in words[4:-1]:
            assert f" {word} " not in str(caught.value)


def test_break_glass_by_three_people(
    station: Station, token: TokenUnderTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Split, tried and removed; then three of five open from files and from what they type."""
    assert station.tell(*station.batch()).code == 0
    before = station.secrets(token.serial)
    key = station.home / "custodians" / "private" / "break-glass.pem"
    out = tmp_path / "shares"
    command = ("escrow", "split", "--key", key, "--shares", "5", "--threshold", "3", "--out", out)
    command += ("--reason", "for the safe")
    said = station.tell(*command)
    assert said.code == 0, said.err
    files = sorted(out.iterdir())
    assert [file.name for file in files] == [f"share-{n}.txt" for n in range(1, 6)]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    shares = [file.read_text(encoding="utf-8").splitlines()[1] for file in files]
    assert not any(share in said.out + said.err for share in shares)
    assert station.tell(*command).code == 2
    key.unlink()

    tried = station.tell("escrow", "join", *files[2:])
    assert tried.code == 0, tried.err
    assert "that of break-glass" in tried.out
    assert station.tell("escrow", "join", *files[:2]).code == 7
    options = ("escrow", "open", token.serial, "--purpose", "break-glass", *WHY, "--json", "--key")
    chosen = ",".join(str(file) for file in (files[4], files[0], files[3]))
    said = station.tell(*options, f"words:{chosen}")
    assert {one["name"]: one["value"] for one in said.document} == before

    waiting = iter(shares[1:4])
    monkeypatch.setattr(getpass, "getpass", lambda prompt: next(waiting))
    said = station.tell(*options, "words:")
    assert {one["name"]: one["value"] for one in said.document} == before
    assert list(waiting) == []
    (split_up,) = station.entries("custodian-split")
    (tried_out,) = station.entries("drill")
    assert (split_up["threshold"], split_up["shares"]) == (3, 5)
    assert tried_out["facts"] == {"kid": split_up["kid"], "shares": 3}
    left = [path for path in station.home.rglob("*") if path.is_file()]
    assert not any(share.encode() in path.read_bytes() for path in left for share in shares)


@pytest.mark.parametrize(("shares", "threshold"), [(1, 1), (5, 1), (2, 3), (17, 3), (3, -1)])
def test_ways_in_which_no_key_is_split(
    station: Station, tmp_path: Path, shares: int, threshold: int
) -> None:
    """To one person, from one share, from more than there are: nothing is written."""
    key = station.home / "custodians" / "private" / "break-glass.pem"
    said = station.tell(
        *("escrow", "split", "--key", key, "--out", tmp_path / "out", "--reason", "for the safe"),
        *("--shares", str(shares), "--threshold", str(threshold)),
    )
    assert said.code == 2
    assert "no way to split" in said.err
    assert not (tmp_path / "out").exists()
