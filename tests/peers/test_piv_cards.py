"""A batch of a YubiKey and two PIV cards of other makers, and what other programs say of the cards.

All three are behind a private pcscd; one card speaks T=0. OpenSC, the standards' own reader of PIV
cards, and yubico-piv-tool, which knows cards of other makers too, are the judges.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from tests.piv_peers import Peers
from tests.stations import Said, Station, make_station
from tokenprov.pkcs11 import Module
from tokenprov.secret import Secret
from tokenprov.sim.bench import VirtualBench
from tokenprov.sim.faults import FaultKind

MODELS = ("yubikey-5.7.4", "piv-card", "piv-card-t0")
CARDS = (1, 2)  # their readers
GENERATE = 0x47  # SP 800-73-4 part 2, 3.3.2
PIV_AUTHENTICATION = b"\1"  # the id of 9a in both modules


@pytest.fixture(scope="module")
def bench() -> Iterator[VirtualBench]:
    """Three readers."""
    with VirtualBench(tokens=3, model=MODELS) as made:
        yield made


@pytest.fixture(scope="module")
def station(bench: VirtualBench, tmp_path_factory: pytest.TempPathFactory) -> Station:
    """A station that trusts the virtual YubiKey."""
    return make_station(tmp_path_factory.mktemp("cards"), bench.environment)


@pytest.fixture(scope="module")
def before(station: Station) -> Said:
    """What the batch says while one of the cards is blank."""
    return station.run(*station.batch(holders=3, profile="piv-card"))


@pytest.fixture(scope="module")
def named(station: Station, before: Said) -> Said:
    """The blank card gets a name, and the batch goes on."""
    assert before.code == 8, before.err
    named = station.run("token", "name", "--all", "--json")
    assert named.code == 0, named.err
    said = station.run(*station.batch(holders=3, profile="piv-card"))
    assert said.code == 0, said.err
    return named


@pytest.fixture(scope="module")
def entries(station: Station, named: Said) -> dict[str, Any]:
    """The entries by the maker of their token."""
    return {entry["token"]["maker"]: entry for entry in station.entries()}


def readers(bench: VirtualBench) -> dict[int, str]:
    """The names of the readers, by number."""
    return {line["number"]: line["reader"] for line in bench.control.tokens()}


def test_a_blank_card_is_told_how_it_gets_a_name(before: Said) -> None:
    """The others are made; the blank one is passed over with the command for it."""
    (passed,) = [event for event in before.events if event["event"] == "TokenPassedOver"]
    assert "the card is blank" in passed["reason"]
    assert "tokenprov token name --reader" in passed["remedy"]
    assert before.document["counts"]["issued"] == 2


def test_one_batch_one_manifest(
    station: Station,
    bench: VirtualBench,
    named: Said,
    entries: dict[str, Any],
) -> None:
    """Each token has its entry by its own serial; what is known of the serial is graded."""
    assert {maker: entry["token"]["grade"] for maker, entry in entries.items()} == {
        "yubico": "attested",
        "IRTPIV": "asserted",
        "VirtPIV": "asserted",
    }
    (card,) = named.document
    assert entries["VirtPIV"]["token"]["serial"] == card["serial"]
    assert station.run("manifest", "verify").code == 0
    listed = station.run("token", "list", "--json").document
    assert {one["serial"] for one in listed} == {e["token"]["serial"] for e in entries.values()}
    audited = station.run("token", "audit", "--all")
    assert audited.code == 0, audited.out


def test_no_vendor_command_reached_a_card(
    bench: VirtualBench,
    entries: dict[str, Any],
) -> None:
    """Of all commands that the two cards got since they were plugged in, all are the standard's."""
    standard = {0x20, 0x24, 0x2C, 0x47, 0x87, 0xA4, 0xC0, 0xCB, 0xDB}
    for number in CARDS:
        seen = {ins for ins, _ in bench.control.trace(number)}
        assert seen <= standard
        assert {0x24, 0x47, 0xDB} <= seen


@pytest.mark.parametrize(("number", "maker"), [(1, "IRTPIV"), (2, "VirtPIV")])
def test_opensc_uses_the_card(
    station: Station,
    bench: VirtualBench,
    entries: dict[str, Any],
    tmp_path: Path,
    number: int,
    maker: str,
) -> None:
    """OpenSC knows the card by the entry's serial, verifies its PIN, and signs with its key."""
    peers = Peers(bench=bench, folder=tmp_path)
    entry, reader = entries[maker], readers(bench)[number]
    serial = entry["token"]["serial"]
    pin = station.secrets(serial)["piv/pin"]
    module = ("pkcs11-tool", "--module", "opensc-pkcs11.so")
    dump = peers.run("pkcs15-tool", "--reader", reader, "--dump")
    assert f"Serial number  : {serial}" in dump
    assert "Private EC Key [PIV AUTH key]" in dump
    peers.run("pkcs15-tool", "--reader", reader, "--verify-pin", "--pin", pin)
    slots = peers.run(*module, "--list-slots")
    (slot,) = re.findall(rf"\(0x([0-9a-f]+)\): {re.escape(reader)}", slots)
    (tmp_path / "message").write_bytes(b"proof")
    peers.run(
        *module,
        *("--slot", f"0x{slot}", "--login", "--pin", pin, "--sign", "--id", "01"),
        *("--mechanism", "ECDSA-SHA256", "--signature-format", "openssl"),
        *("--input-file", "message", "--output-file", "signature"),
    )
    steps = {step["id"]: step for step in entry["steps"]}
    der = station.blob(steps["piv/9a/certificate"]["facts"]["sha256"])
    key = x509.load_der_x509_certificate(der).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify((tmp_path / "signature").read_bytes(), b"proof", ec.ECDSA(hashes.SHA256()))
    pem = peers.run("pkcs15-tool", "--reader", reader, "--read-certificate", "01")
    assert (
        x509.load_pem_x509_certificate(pem[pem.index("-----BEGIN") :].encode()).public_bytes(
            Encoding.DER
        )
        == der
    )


def test_yubico_piv_tool_reads_the_card(
    station: Station, bench: VirtualBench, entries: dict[str, Any], tmp_path: Path
) -> None:
    """YubiKeys' own client, which connects by T=1 alone, finds GUID and PIN on the other card."""
    peers = Peers(bench=bench, folder=tmp_path)
    serial = entries["IRTPIV"]["token"]["serial"]
    pin = station.secrets(serial)["piv/pin"]
    tool = ("yubico-piv-tool", "--reader", readers(bench)[1])
    assert serial in peers.run(*tool, "--action", "status", code=None)
    said = peers.run(*tool, "--action", "verify-pin", "--pin", pin, code=None)
    assert "Successfully verified PIN" in said


def test_each_key_proves_itself(station: Station, entries: dict[str, Any], tmp_path: Path) -> None:
    """`token prove` has a card's key sign, with the PIN out of escrow."""
    serial = entries["VirtPIV"]["token"]["serial"]
    key = station.home / "custodians" / "private" / "help-desk.pem"
    said = station.run(
        *("token", "prove", serial, "--key", key, "--reason", "the test asks", "--json")
    )
    assert said.code == 0, said.err
    assert [(one["slot"], one["proved"]) for one in said.document["keys"]] == [("9a", True)]


@pytest.mark.parametrize(
    ("name", "makers"),
    [("opensc-pkcs11.so", ("yubico", "IRTPIV", "VirtPIV")), ("libykcs11.so", ("yubico",))],
)
def test_modules_of_others_use_the_keys(
    station: Station,
    bench: VirtualBench,
    entries: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    makers: tuple[str, ...],
) -> None:
    """OpenSC's module and the maker's own find each token and key, and what they sign verifies."""
    for variable, value in bench.environment.items():
        monkeypatch.setenv(variable, value)
    with Module(Path("/usr/lib/x86_64-linux-gnu") / name) as module:
        by_reader = {token.reader: token for token in module.tokens()}
        for maker in makers:
            number = ("yubico", "IRTPIV", "VirtPIV").index(maker)
            token = by_reader[readers(bench)[number]]
            pin = Secret(station.secrets(entries[maker]["token"]["serial"])["piv/pin"])
            found = module.objects(token, pin)
            (public,) = found.of("PUBLIC_KEY", PIV_AUTHENTICATION)
            assert isinstance(public.public, ec.EllipticCurvePublicKey)
            signature = module.sign(
                token.serial, pin, public.public, b"proof", id=PIV_AUTHENTICATION
            )
            steps = {step["id"]: step for step in entries[maker]["steps"]}
            der = station.blob(steps["piv/9a/certificate"]["facts"]["sha256"])
            assert der in {one.value for one in found.of("CERTIFICATE", PIV_AUTHENTICATION)}
            key = x509.load_der_x509_certificate(der).public_key()
            assert isinstance(key, ec.EllipticCurvePublicKey)
            key.verify(signature, b"proof", ec.ECDSA(hashes.SHA256()))


def test_a_card_is_not_made_through_a_module_that_cannot(
    station: Station, bench: VirtualBench, entries: dict[str, Any], tmp_path: Path
) -> None:
    """To OpenSC's module every PIV card is one in use: it is refused, and stays as it is."""
    profile = tmp_path / "through.toml"
    profile.write_text('name = "through"\n[pkcs11]\nmodule = "opensc-pkcs11"\n')
    before = bench.control.snapshot(CARDS[0])
    said = station.run(*station.batch(profile=profile, holders=len(MODELS), name="another"))
    assert said.code == 8, said.err
    reasons = [one["reason"] for one in said.events if one["event"] == "OrderFailed"]
    assert len(reasons) == len(MODELS)
    assert all("it has a user PIN" in reason for reason in reasons)
    assert bench.control.snapshot(CARDS[0]) == before


@pytest.mark.parametrize("kind", [FaultKind.UNPLUG_DURING, FaultKind.UNPLUG_AFTER])
def test_a_card_that_is_pulled_goes_on(
    station: Station, bench: VirtualBench, entries: dict[str, Any], kind: FaultKind
) -> None:
    """Pulled while it makes its key, it fails with the reason; put in again it is finished."""
    bench.control.replace(CARDS[0], model="piv-card")
    bench.control.fault(CARDS[0], kind, ins=GENERATE)
    batch = station.batch(profile="piv-card", name=f"pulled-{kind.name.lower()}")
    # another roster, so another batch than the first one
    roster = Path(batch[2])
    roster.write_text(roster.read_text().replace("E1,", f"{kind.name},"))
    cut = station.run(*batch)
    assert cut.code == 8, cut.err
    (failed,) = [one for one in cut.events if one["event"] == "OrderFailed"]
    assert "Insert the same token again" in failed["remedy"]
    bench.control.insert(CARDS[0])
    said = station.run(*batch)
    assert said.code == 0, said.err
    assert {entry["token"]["serial"] for entry in station.entries()} > {
        entry["token"]["serial"] for entry in entries.values()
    }
