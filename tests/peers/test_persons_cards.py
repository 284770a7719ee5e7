"""Cards of other makers as people's own keys: they sign, cosign and open as a YubiKey does.

A station made the cards, one by T=1 and one by T=0; their certificates show the keys, OpenSSL
takes the public halves out of them, and the commands that a card got are the standard's.
"""

from __future__ import annotations

import getpass
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import restore_bench
from tests.people import Somebody, added, agreed, requested
from tests.record_samples import SIGNER, small_manifest
from tests.stations import Station, make_station, tell
from tokenprov.record.escrow import generate_custodian
from tokenprov.sim.bench import VirtualBench

MODELS = {"piv-card": "VirtPIV", "piv-card-t0": "IRTPIV"}  # and who made them
STANDARD = {0x20, 0x24, 0x2C, 0x47, 0x87, 0xA4, 0xC0, 0xCB, 0xDB}  # SP 800-73-4 part 2, table 2
WHY = ("--reason", "a test")
PROFILE = """name = "person"
extends = "piv-card"
""" + "".join(
    f"""
[[piv.keys]]
slot = "{slot}"
algorithm = "eccp256"
attestation = "if-supported"
certificate = {{ issuer = "local", subject = "{{holder.name}}", usages = ["email-protection"] }}
"""
    for slot in ("9c", "9d")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A person's card, and the public halves of its keys in files."""

    number: int
    serial: str
    pin: str
    signs: Path
    opens: Path

    @property
    def key(self) -> str:
        """As commands have it."""
        return f"piv:{self.serial}"


@pytest.fixture(scope="module")
def bench(shared_bench: VirtualBench) -> Iterator[VirtualBench]:
    """Both readers of the shared bench, with a card in each."""
    restore_bench(shared_bench)
    for number, model in enumerate(MODELS):
        shared_bench.control.replace(number, model=model)
    yield shared_bench
    restore_bench(shared_bench)


@pytest.fixture(scope="module")
def station(bench: VirtualBench, tmp_path_factory: pytest.TempPathFactory) -> Station:
    """A station that has issued both to people of its own."""
    made = make_station(tmp_path_factory.mktemp("cards"), bench.environment)
    profile = made.home.with_name("person.toml")
    profile.write_text(PROFILE)
    named = made.tell("token", "name", "--all", "--json")
    assert named.code == 0, named.err
    said = made.tell(*made.batch(holders=len(MODELS), profile=profile))
    assert said.code == 0, said.err
    return made


@pytest.fixture(params=range(len(MODELS)), ids=list(MODELS))
def card(
    request: pytest.FixtureRequest, station: Station, bench: VirtualBench, tmp_path: Path
) -> Card:
    """Each of them."""
    issued = {entry["token"]["maker"]: entry for entry in station.entries()}
    entry = issued[list(MODELS.values())[request.param]]
    ids = {step["id"]: step for step in entry["steps"]}
    files = []
    for slot in ("9c", "9d"):
        (tmp_path / slot).write_bytes(
            station.blob(ids[f"piv/{slot}/certificate"]["facts"]["sha256"])
        )
        command = ("openssl", "x509", "-inform", "DER", "-in", slot, "-noout", "-pubkey")
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
        (tmp_path / f"{slot}.pem").write_bytes(done.stdout)
        files.append(tmp_path / f"{slot}.pem")
    serial = entry["token"]["serial"]
    return Card(
        number=request.param,
        serial=serial,
        pin=station.secrets(serial)["piv/pin"],
        signs=files[0],
        opens=files[1],
    )


@pytest.fixture
def asked(card: Card, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The prompts of which each is answered with the card's PIN."""
    prompts: list[str] = []

    def typed(prompt: str) -> str:
        prompts.append(prompt)
        return card.pin

    monkeypatch.setattr(getpass, "getpass", typed)
    return prompts


def test_an_approver_signs(station: Station, card: Card, asked: list[str], tmp_path: Path) -> None:
    """What they agree to with their card counts at the station."""
    name = f"paula-{card.number}"
    said = station.tell("people", "add", name, "--key", card.signs, "--role", "approver", *WHY)
    assert said.code == 0, said.err
    asks = added(station, f"rita-{card.number}", "requester")
    about = ("token=10000000", "purpose=help-desk")
    file = requested(station, asks, "open", *about, name=f"asked-{card.number}")
    paula = Somebody(name=name, private=Path(card.key), public=card.signs)
    said = agreed(station, file, paula)
    assert said.code == 0, said.err
    assert asked == [f"PIN of {card.serial}: "]
    shown = station.tell("approve", "show", file, "--json")
    assert shown.document["approvers"] == [name]


def test_a_supervisor_cosigns(
    station: Station, card: Card, asked: list[str], tmp_path: Path
) -> None:
    """Their line counts as a witness'."""
    small_manifest(tmp_path / "m").close()
    made = tell("witness", "init", tmp_path / "w", "--name", "w.example", "--key", card.key)
    assert made.code == 0, made.err
    said = tell("witness", "cosign", tmp_path / "w", tmp_path / "m", "--key", str(SIGNER.verifier))
    assert said.code == 0, said.err
    assert asked == [f"PIN of {card.serial}: "]
    verify = ("manifest", "verify", tmp_path / "m", "--key", str(SIGNER.verifier))
    assert tell(*verify, "--witness", made.out.strip()).code == 0


def test_a_custodian_opens(
    station: Station, card: Card, bench: VirtualBench, asked: list[str], tmp_path: Path
) -> None:
    """What is sealed to the key in 9d is opened by the card, and moved on from it."""
    home = tmp_path / "station"
    shutil.copytree(station.home, home)
    copy = Station(home=home, environment=station.environment)
    move = ("escrow", "reseal", *WHY, "--from-key")
    file = home / "custodians" / "private" / "help-desk.pem"
    said = copy.tell(*move, file, "--to", f"help-desk={card.opens}")
    assert said.code == 0, said.err
    options = ("escrow", "open", card.serial, "--purpose", "help-desk", *WHY, "--json")
    said = copy.tell(*options, "--key", card.key)
    assert said.code == 0, said.err
    values = {one["name"]: one["value"] for one in said.document}
    assert values
    assert values.items() <= copy.secrets(card.serial).items()
    private, public = generate_custodian()
    (tmp_path / "next.key").write_bytes(private)
    (tmp_path / "next.pem").write_bytes(public)
    said = copy.tell(*move, card.key, "--to", f"help-desk={tmp_path / 'next.pem'}")
    assert said.code == 0, said.err
    said = copy.tell(*options, "--key", tmp_path / "next.key")
    assert {one["name"]: one["value"] for one in said.document} == values
    assert asked == [f"PIN of {card.serial}: "] * 2
    assert {ins for ins, _ in bench.control.trace(card.number)} <= STANDARD
