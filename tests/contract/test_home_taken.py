"""Somebody takes the whole station home after a batch: what they hold, and what it opens.

The custodians' private keys were moved away, as `init` asks. Every file is looked at: each is of a
kind that is known here, none has a secret in any spelling, and no key that can be made of anything
in the home opens any envelope that is in it, the station's own copies among them. Each way to look
is tried on a home in which something was planted for it. What makers told of their cards
(`card-keys/`) is the station's to know; there is none of it here.
"""

from __future__ import annotations

import base64
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.conftest import restore_bench
from tests.contract.conftest import fresh_token
from tests.leaks import Needles
from tests.stations import Station
from tokenprov.errors import EscrowError
from tokenprov.model import Purpose
from tokenprov.record.escrow import (
    STATION,
    CustodianKey,
    generate_custodian,
    open_envelope,
    private_from_pem,
    read_context,
)
from tokenprov.record.resume import ResumeKeys
from tokenprov.sim.bench import VirtualBench

KINDS = (  # every file that a home has after a batch, and none besides
    r"station\.toml",
    r"lock|custody\.lock|manifest\.lock",
    r"ledger\.sqlite(-wal|-shm)?",
    r"manifest\.index(-wal|-shm)?",
    r"manifest/(checkpoint|manifest\.vkey)",
    r"manifest/tile/(\d+|entries)/[x\d/]+(\.p/\d+)?",
    r"manifest/blobs/sha256/[0-9a-f]{2}/[0-9a-f]{64}",
    r"manifest/openings/[0-9a-f]{64}\.json",
    r"keys/[0-9a-f]{8}\.pem",
    r"custodians/[a-z-]+\.pem",
    r"trust/\d\d-[a-z]+\.pem",
    r"ca/(ca\.(key|pem)|requests/[0-9a-f-]+%2F9a\.json)",
    r"relying-parties/[a-z.]+/[0-9a-f-]+\.json",
)
MUST_BE_THERE = ("ledger.sqlite", "manifest/checkpoint", "station.toml", "ca/ca.key")
P256_ORDER = int("FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551", 16)
_PRIVATE = re.compile(
    rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.+?-----END [A-Z ]*PRIVATE KEY-----", re.S
)
_ENVELOPE = re.compile(
    rb'\{"ciphertext":"[A-Za-z0-9+/=]+","context":\{[^{}]+\},"kid":"[0-9a-f]{16}",[^{}]+\}'
)
_HEX = re.compile(rb"(?<![0-9a-fA-F])[0-9a-fA-F]{64}(?![0-9a-fA-F])")
_BASE64 = re.compile(rb"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{43}=?(?![A-Za-z0-9+/=_-])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A home as it was taken, and what would be a secret in it."""

    home: Path
    needles: Needles
    custodians: Path  # where the private keys went
    order_key: bytes  # the station's own, as it was while the order was open

    def copy(self, folder: Path) -> Taken:
        """The same once more, to plant something in it."""
        shutil.copytree(self.home, folder)
        return Taken(
            home=folder,
            needles=self.needles,
            custodians=self.custodians,
            order_key=self.order_key,
        )

    def files(self) -> dict[str, bytes]:
        """Every file."""
        found = (path for path in sorted(self.home.rglob("*")) if path.is_file())
        return {str(path.relative_to(self.home)): path.read_bytes() for path in found}

    def envelopes(self) -> list[bytes]:
        """Every envelope: in the manifest, in the ledger's table and left over in any file."""
        found = {hit[0] for data in self.files().values() for hit in _ENVELOPE.finditer(data)}
        with closing(sqlite3.connect(self.home / "ledger.sqlite")) as ledger:
            found |= {bytes(blob) for (blob,) in ledger.execute("select blob from envelopes")}
        return sorted(found)

    def unknown(self) -> list[str]:
        """Files of no kind that is known here."""
        return [name for name in self.files() if not re.fullmatch("|".join(KINDS), name)]

    def private_keys(self) -> Iterator[tuple[str, ec.EllipticCurvePrivateKey]]:
        """Whatever in it may be a private key on P-256: as PEM, or its number in hex or base64."""
        for name, data in self.files().items():
            for hit in _PRIVATE.finditer(data):
                key = load_pem_private_key(hit[0], None)
                if isinstance(key, ec.EllipticCurvePrivateKey):
                    yield name, key
            numbers = {bytes.fromhex(hit[0].decode()) for hit in _HEX.finditer(data)}
            numbers |= {
                base64.urlsafe_b64decode(hit[0].rstrip(b"=").translate(_URL_SAFE) + b"=")
                for hit in _BASE64.finditer(data)
            }
            for number in map(int.from_bytes, numbers):
                if 0 < number < P256_ORDER:
                    yield name, ec.derive_private_key(number, ec.SECP256R1())

    def opens(self) -> list[str]:
        """Which file opens which envelope."""
        envelopes = {data: read_context(data) for data in self.envelopes()}
        kids = {kid for _, kid in envelopes.values()}
        found = []
        for name, key in self.private_keys():
            if CustodianKey(public=key.public_key()).kid not in kids:
                continue
            for data, (context, _) in envelopes.items():
                try:
                    open_envelope(data, key)
                except EscrowError:
                    continue
                found.append(f"{name} opens {context.name} for {context.purpose}")
        return found

    def secrets(self) -> dict[str, set[str]]:
        """Which file has which secret in it, in any spelling."""
        return self.needles.in_folder(self.home)


_URL_SAFE = bytes.maketrans(b"+/", b"-_")


@pytest.fixture(scope="module")
def taken(
    shared_bench: VirtualBench, home_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Taken:
    """A station that has issued a token, and closed the batch; its home, taken."""
    restore_bench(shared_bench)
    shared_bench.control.unplug_reader(1)
    folder = tmp_path_factory.mktemp("taken")
    shutil.copytree(home_template, folder / "station")
    station = Station(home=folder / "station", environment=shared_bench.environment)
    token = fresh_token(shared_bench, "yubikey-5.7.4")
    kept: list[bytes] = []
    with pytest.MonkeyPatch.context() as patch:
        destroy = ResumeKeys.destroy

        def keep_and_destroy(self: ResumeKeys, order: str) -> None:
            kept.extend(path.read_bytes() for path in (station.home / "open").glob("*.key"))
            destroy(self, order)

        patch.setattr(ResumeKeys, "destroy", keep_and_destroy)
        said = station.tell(*station.batch())
    assert said.code == 0, said.err
    needles = Needles()
    secrets = station.secrets(token.serial)
    assert len(secrets) > 6
    needles.add(token.serial, secrets)
    closed = station.tell("batch", "close", said.document["batch"])
    assert closed.code == 0, closed.err
    shutil.move(station.home / "custodians" / "private", folder / "custodians")
    restore_bench(shared_bench)
    return Taken(
        home=station.home, needles=needles, custodians=folder / "custodians", order_key=kept[0]
    )


def test_every_file_is_of_a_kind_that_is_looked_at(taken: Taken) -> None:
    """None is there that this test does not know, and those that matter are."""
    assert taken.unknown() == []
    assert set(MUST_BE_THERE) <= taken.files().keys()


def test_no_secret_is_in_any_file(taken: Taken) -> None:
    """Neither in names nor in contents, free pages and write-ahead logs included."""
    assert taken.secrets() == {}


def test_nothing_in_it_opens_anything_in_it(taken: Taken) -> None:
    """Each secret is there for its custodian, for break-glass and for the station itself."""
    purposes = {read_context(data)[0].purpose for data in taken.envelopes()}
    assert purposes == {*map(str, Purpose), STATION}
    assert len({name for name, _ in taken.private_keys()}) >= 1
    assert taken.opens() == []


@pytest.mark.parametrize("purpose", Purpose)
def test_only_a_custodian_opens(taken: Taken, purpose: Purpose) -> None:
    """The envelopes are whole: with their key each opens what is theirs."""
    key = private_from_pem((taken.custodians / f"{purpose}.pem").read_bytes())
    mine = [data for data in taken.envelopes() if read_context(data)[0].purpose == purpose]
    opened = [open_envelope(data, key)[1] for data in mine]
    assert all(map(len, opened))
    if purpose is Purpose.BREAK_GLASS:
        assert len(opened) > 6


def number_of(taken: Taken) -> bytes:
    """Break-glass's private number."""
    pem = (taken.custodians / f"{Purpose.BREAK_GLASS}.pem").read_bytes()
    return private_from_pem(pem).private_numbers().private_value.to_bytes(32)


PLANTS: dict[str, tuple[str, Callable[[Taken], bytes]]] = {
    "the station's own key to the order": ("open/o.key", lambda taken: taken.order_key),
    "a custodian's key": (
        "ca/notes.txt",
        lambda taken: (taken.custodians / "help-desk.pem").read_bytes(),
    ),
    "a custodian's key in hex": (
        "relying-parties/x",
        lambda taken: number_of(taken).hex().encode(),
    ),
    "a custodian's key in base64": (
        "manifest/openings/" + "0" * 64 + ".json",
        lambda taken: b'{"d":"' + base64.b64encode(number_of(taken)) + b'"}',
    ),
}


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_key_is_found(taken: Taken, tmp_path: Path, plant: str) -> None:
    """Put anywhere into the home, it opens something, and that is told."""
    copy = taken.copy(tmp_path / "home")
    name, made = PLANTS[plant]
    (copy.home / name).parent.mkdir(exist_ok=True)
    (copy.home / name).write_bytes(made(taken))
    found = copy.opens()
    assert found
    assert all(line.startswith(f"{name} opens ") for line in found)


def test_a_planted_secret_is_found(taken: Taken, tmp_path: Path) -> None:
    """In each of the files, and in a row of the ledger that was deleted again."""
    secret = next(iter(taken.needles.digits))
    copy = taken.copy(tmp_path / "all")
    for name in taken.files():
        with (copy.home / name).open("ab") as file:
            file.write(b"\n" + secret)
    assert copy.secrets().keys() == taken.files().keys()
    copy = taken.copy(tmp_path / "home")
    with closing(sqlite3.connect(copy.home / "ledger.sqlite")) as ledger:
        ledger.execute("pragma secure_delete = off")
        ledger.execute("create table planted (value text)")
        ledger.execute("insert into planted values (?)", (f"PIN {secret.decode()}",))
        ledger.commit()
        ledger.execute("drop table planted")
        ledger.commit()
    assert any(name.startswith("ledger.sqlite") for name in copy.secrets())
    (copy.home / "pin.txt").write_bytes(secret)
    assert copy.unknown() == ["pin.txt"]


def test_a_key_that_opens_nothing_is_none(taken: Taken, tmp_path: Path) -> None:
    """A key that nothing is sealed to may be there: the authority has one."""
    copy = taken.copy(tmp_path / "home")
    (copy.home / "ca" / "another.key").write_bytes(generate_custodian()[0])
    assert copy.opens() == []
