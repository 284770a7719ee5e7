"""A token that is lost, and the spare that is issued in its place, by a station of their own."""

from __future__ import annotations

from collections.abc import Iterator
from secrets import token_hex

import pytest

from hwtests.bench import WHO, Bench
from hwtests.conditions import application, card, numbered, with_spare
from hwtests.judges import fields

pytestmark = [numbered(), application("piv"), card(False), with_spare()]
PROFILE = """
[piv]
[[piv.keys]]
slot = "9a"
algorithm = "eccp256"
[piv.keys.certificate]
usages = ["client-auth"]
"""


@pytest.fixture
def anew(nobodys: Bench, spare: Bench) -> Iterator[Bench]:
    """The token at a station that is new and has no other in stock; nobody has it in the end."""
    spare.make_nobodys()
    yield nobodys.beside(f"replaced-{token_hex(4)}", nobodys.subject)
    nobodys.make_nobodys()
    spare.make_nobodys()


def test_a_lost_token_is_replaced(anew: Bench, spare: Bench) -> None:
    """The lost one is revoked; the spare is its holder's, linked with it, and as recorded."""
    anew.issue("lost", PROFILE)
    old = anew.entry()
    anew.stock(spare.serial)
    said = anew.document("replace", anew.serial, "--reason", "lost", "--operator", WHO)
    assert said["new"]["serial"] == spare.serial
    new = anew.station.entry_of(spare.serial)
    assert new["holder"] == old["holder"]
    (linked,) = anew.station.entries("replaced")
    assert (linked["token"]["serial"], linked["by"]["serial"]) == (anew.serial, spare.serial)
    (revoked,) = anew.station.entries("revoked")
    assert revoked["token"]["serial"] == anew.serial
    (written,) = [one for one in new["steps"] if one["id"] == "piv/9a/certificate"]
    assert fields(spare.ykman("piv", "info"))["Fingerprint"] == written["facts"]["sha256"]
    assert anew.document("manifest", "verify")["holds"] is True
    (audited,) = anew.document("token", "audit", spare.serial)["tokens"]
    assert audited["drift"] is False
    again = anew.tell("replace", anew.serial, "--reason", "lost", "--operator", WHO, code=None)
    assert "was replaced by entry" in again.err
