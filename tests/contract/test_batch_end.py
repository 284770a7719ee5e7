"""How a batch ends: closed by a statement in the manifest, and what goes out with its tokens.

The pages are read by other programs: poppler's text, and zbar's codes of a picture of the page.
"""

from __future__ import annotations

import csv
import io
import subprocess
from pathlib import Path

from tests.contract.conftest import fresh_token
from tests.stations import STANDARD, Station
from tests.token_under_test import TokenUnderTest
from tokenprov.sim.bench import VirtualBench


def run(*command: str | Path) -> str:
    """What another program prints."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
    return done.stdout


def test_a_batch_is_made_run_by_its_id_and_closed(
    station: Station, token: TokenUnderTest, one_reader: VirtualBench
) -> None:
    """Its counts are an entry; closed, it takes no more tokens, by its roster or by its id."""
    roster = station.roster(2)
    made = ("batch", "new", roster, "--profile", "standard-employee", "--json")
    told = station.tell(*made).document
    assert told["orders"] == 2
    batch = told["batch"]
    assert station.tell(*made).document == told
    said = station.tell("batch", "run", batch, "--json")
    assert said.code == 8, said.err
    assert said.document["batch"] == batch
    assert said.document["counts"]["issued"] == 1

    without = station.tell("batch", "close", batch)
    assert without.code == 2
    assert "1 orders" in without.err
    closed = station.tell("batch", "close", batch, "--reason", "she left", "--json").document
    counts = {"batch": batch, "ordered": 2, "issued": 1, "setAside": 0, "left": 1}
    assert closed == {**counts, "entry": closed["entry"]}
    (entry,) = station.entries("batch-closed")
    assert (entry["index"], entry["reason"]) == (closed["entry"], "she left")

    spare = fresh_token(one_reader, "yubikey-5.7.4")
    before = spare.state()
    for again in ((batch,), (roster, "--profile", "standard-employee")):
        refused = station.tell("batch", "run", *again)
        assert refused.code == 2
        assert f"closed by entry {closed['entry']}" in refused.err
    assert station.tell("batch", "close", batch).code == 2
    assert spare.state() == before
    assert station.tell("manifest", "verify").code == 0


def test_what_goes_out_with_the_tokens(station: Station, token: TokenUnderTest) -> None:
    """The list and the labels name tokens and hold no secret; the letters hold the PINs alone."""
    batch = station.tell(*station.batch(kit=2)).document["batch"]
    secrets = station.secrets(token.serial)
    out = station.home.with_name("out")
    told = station.tell("batch", "export", batch, out, "--json").document
    assert told["files"] == [str(out / "tokens.csv"), str(out / "labels.pdf")]
    (row,) = csv.DictReader(io.StringIO((out / "tokens.csv").read_text(encoding="utf-8")))
    kit = f"{batch}-K0001"
    assert (row["serial"], row["kit"], row["place"]) == (token.serial, kit, "primary")
    assert (row["name"], row["holder_id"]) == ("Ada Okonkwo", "E1")
    labels = run("pdftotext", out / "labels.pdf", "-")
    assert "Ada Okonkwo" in labels
    assert token.serial in labels
    run("pdftoppm", "-r", "200", "-png", out / "labels.pdf", out / "page")
    (page,) = out.glob("page*.png")
    assert run("zbarimg", "-q", "--raw", page).split("\n") == [f"{token.serial} {kit}", ""]
    texts = labels + (out / "tokens.csv").read_text(encoding="utf-8")
    assert not [name for name, value in secrets.items() if value in texts]

    key = station.home / "custodians" / "private" / "help-desk.pem"
    letters = ("batch", "export", batch, out, "--letters", "--key", key)
    assert station.tell(*letters).code == 2  # without a reason
    wrong = (*letters[:-1], key.with_name("authentication-server.pem"), "--reason", "letters")
    assert station.tell(*wrong).code == 7
    assert not (out / "pin-letters.pdf").exists()
    opened = len(station.entries("opened"))
    assert station.tell(*letters, "--reason", "letters").code == 0
    (entry,) = station.entries("opened")[opened:]
    assert (entry["form"], entry["reason"]) == ("pin-letter", "letters")
    assert {one["name"] for one in entry["secrets"]} == {"piv/pin", "fido2/pin"}
    assert (out / "pin-letters.pdf").stat().st_mode & 0o777 == 0o600
    text = run("pdftotext", out / "pin-letters.pdf", "-")
    assert "Ada Okonkwo" in text
    assert secrets["piv/pin"] in text
    assert secrets["fido2/pin"] in text
    assert secrets["piv/puk"] not in text
    assert station.tell(*letters, "--reason", "letters").code == 2  # never written over
    assert station.tell("batch", "export", batch, out).code == 2


def test_another_open_batch_for_the_same_holders_is_told(station: Station) -> None:
    """A slip in the kit size makes a second batch; who closes the first one hears no more of it."""
    new = ("batch", "new", station.roster(2), "--profile", STANDARD)
    first = station.tell(*new, "--json").document["batch"]
    assert station.tell(*new).err == ""
    said = station.tell(*new, "--kit", "2")
    assert f"tokenprov batch close {first}" in said.err
    assert station.tell("batch", "close", first, "--reason", "a slip").code == 0
    assert station.tell(*new, "--kit", "2").err == ""
