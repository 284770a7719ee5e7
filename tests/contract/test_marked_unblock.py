"""A forgotten FIDO2 PIN on a token without a serial: it is reset, marked and set up anew."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.contract.test_marked_life import Keys, keys, made
from tests.contract.test_marked_wipe import cut, fido2, is_blank, tell, verified
from tests.contract.test_standing import RP
from tests.stations import Said
from tokenprov.device.fido2 import Fido2
from tokenprov.directory import Marks
from tokenprov.errors import InputError, TokenGone
from tokenprov.home import Home
from tokenprov.lifecycle import fido_again

__all__ = ["keys", "made"]

WHY = ("--reason", "forgotten over the holidays", "--operator", "olga")


def again(keys: Keys, *options: str) -> Said:
    """The command, with somebody at the reader."""
    return tell(keys, "unblock", keys.primary, "--fido2", *WHY, *options)


def credential(keys: Keys) -> bytes:
    """What the relying party has of the token's passkey."""
    home = Home.open(keys.station.home)
    found = home.relying_party(RP, RP).find(keys.station.entry_of(keys.primary)["order"])
    assert found is not None
    return found.credential_id


def test_a_forgotten_pin(keys: Keys) -> None:
    """It keeps its name: another PIN, passkey and mark; the old ones are worth nothing."""
    keys.put_in(keys.primary)
    pin, old = keys.station.secrets(keys.primary)["fido2/pin"], credential(keys)
    planned = again(keys, "--dry-run")
    assert planned.code == 0, planned.err
    said = again(keys)
    assert said.code == 0, said.err
    assert keys.station.secrets(keys.primary)["fido2/pin"] != pin
    assert credential(keys) != old
    (entry,) = keys.station.entries("unblocked")
    assert (entry["token"]["mark"], "unseen" in entry) == (keys.primary, False)
    assert [one["outcome"] for one in entry["credentials"]] == ["done"]
    assert keys.station.tell("token", "audit", keys.primary).code == 0
    keys.put_in(keys.primary)  # as it was: what proved the mark then does no more
    assert keys.station.tell("token", "audit", keys.primary).code == TokenGone.exit_code
    assert verified(keys)


@pytest.mark.parametrize(
    ("owner", "name", "unseen"),
    [
        (Fido2, "reset", False),
        (fido_again, "mark", True),
        (Marks, "keep", True),
        (fido_again, "tell", False),
    ],
    ids=["before the reset", "behind it", "before its mark is kept", "before it is set up"],
)
def test_cut_off(
    keys: Keys, monkeypatch: pytest.MonkeyPatch, owner: object, name: str, unseen: bool
) -> None:
    """The same command finishes it; where nothing proved which key it was, the entry says so."""
    keys.put_in(keys.primary)
    cut(monkeypatch, owner, name, lambda: again(keys))
    assert is_blank(keys) is (owner is not Fido2)
    here = fido2(keys)
    if unseen:
        kept = keys.bench.control.snapshot(0)
        keys.put_in(keys.spare)
        assert again(keys).code == TokenGone.exit_code
        keys.blank()
        keys.bench.control.restore(0, kept)
    said = again(keys)
    assert said.code == 0, said.err
    assert fido2(keys) != here
    (entry,) = keys.station.entries("unblocked")
    assert entry.get("unseen", []) == (["fido2"] if unseen else [])
    assert keys.station.tell("token", "audit", keys.primary).code == 0
    assert verified(keys)


@pytest.mark.parametrize(
    "command",
    [
        lambda keys, key: ("unblock", keys.primary, "--key", key),
        lambda keys, key: ("rotate", keys.primary, "--key", key),
        lambda keys, key: ("renew", keys.primary, "--key", key),
    ],
    ids=["unblock", "rotate", "renew"],
)
def test_what_it_does_not_have(keys: Keys, command: Callable[[Keys, str], tuple[str, ...]]) -> None:
    """A key without PIV has no PUK, no code and no certificate: that is said, and it is left."""
    keys.put_in(keys.primary)
    before = fido2(keys)
    key = keys.station.home / "custodians" / "private" / "break-glass.pem"
    said = keys.station.tell(*command(keys, str(key)), *WHY)
    assert said.code in (InputError.exit_code, 7), said.err
    assert fido2(keys) == before
    assert verified(keys)
