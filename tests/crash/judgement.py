"""Whether everything is as it must be, after a kill and at the end: each fault in words.

After a kill:   what a token holds, its custodians can open.
At the end:     every order is issued, by one entry of a manifest that holds; what the entry says,
                the token holds; the custodians can open it from the ledger and from the manifest
                alone; the station cannot; one certificate is in force, one credential registered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cryptography import x509
from yubikit.core import Tlv

from tests.crash.held import certificate_on, credentials_on, held, not_openable
from tests.crash.station import Station
from tokenprov.attestation import Anchors
from tokenprov.directory import RelyingParty
from tokenprov.issuer.ca.issued import IssuedFolder
from tokenprov.model import OrderState
from tokenprov.record.entry import Entry, Kind
from tokenprov.record.manifest import Manifest, verify_manifest
from tokenprov.step import PROBE_RESERVE

RP_ID = "login.example.test"  # of the standard profile
TRIES = {"pin": 8, "puk": 5}  # of the standard profile, too
SECRETS = 8  # that it has on each token
TAG_CERTIFICATE = 0x70  # SP 800-73-4 part 1, table 10

State = Mapping[str, Any]  # a token's whole lasting state


def after_kill(station: Station, factory: Mapping[int, State]) -> list[str]:
    """What is wrong with tokens if the station burned now: only the custodians' keys are left."""
    faults = []
    for token, before in factory.items():
        state = station.control.snapshot(token)
        lost = not_openable(held(state, before), station.sealed(token))
        faults += [f"token {token} holds {what}, which is lost" for what in lost]
        for name in ("pin", "puk"):
            counter = state["applets"]["piv"][name]
            if counter["left"] <= min(PROBE_RESERVE, counter["tries"] - 1):
                faults.append(f"token {token} has {counter['left']} tries of its {name} left")
    return faults


def at_end(station: Station, factory: Mapping[int, State]) -> list[str]:
    """Everything that is wrong with a batch that says that it is done."""
    return [
        *_orders(station),
        *_station_knows(station),
        *_manifest(station),
        *(fault for token, state in factory.items() for fault in _token(station, token, state)),
    ]


def _orders(station: Station) -> Iterator[str]:
    orders = station.rows("SELECT id, state, token_label FROM orders")
    for order in orders:
        if order["state"] != OrderState.ISSUED:
            yield f"order {order['id']} is {order['state']}"
    if sorted(str(o["token_label"]) for o in orders) != sorted(map(str, station.serials)):
        yield f"orders and tokens do not pair up: {orders}"
    if len(station.rows("SELECT id FROM batches")) != 1:
        yield "there is more than one batch"


def _station_knows(station: Station) -> Iterator[str]:
    """What the station could still open, and what cut-off writes left behind."""
    for path in (station.home / "open").iterdir():
        yield f"open/{path.name} is still there"
    if station.rows("SELECT id FROM envelopes WHERE purpose = 'station'"):
        yield "the station still holds envelopes of its own"
    for path in station.home.rglob(".*.new"):
        whole = path.with_name(path.name.removeprefix(".").removesuffix(".new"))
        if not (whole.exists() and whole.samefile(path)):  # a second name is no second content
            yield f"{path.relative_to(station.home)} was left behind"


def _manifest(station: Station) -> Iterator[str]:
    report = verify_manifest(station.home / "manifest")
    yield from (f"manifest: {finding}" for finding in report.findings)
    kinds = [entry["kind"] for entry in _entries(station)]
    if kinds != [Kind.STATION] + [Kind.ISSUED] * len(station.serials):
        yield f"the manifest holds {kinds}"


def _entries(station: Station) -> list[Entry]:
    return list(Manifest.open(station.home / "manifest").entries())


def _token(station: Station, token: int, factory: State) -> Iterator[str]:
    state = station.control.snapshot(token)
    kept = held(state, factory)
    if len(kept) != SECRETS:
        yield f"token {token} holds {sorted(kept)}"
    for name, tries in TRIES.items():
        counter = state["applets"]["piv"][name]
        if (counter["tries"], counter["left"]) != (tries, tries):
            yield f"token {token} has {counter['left']} of {counter['tries']} tries of its {name}"
    sealed = station.sealed(token)
    yield from (f"ledger: {what} is lost" for what in not_openable(kept, sealed))
    if {one.state for one in sealed} != {"active"} or len(sealed) != 2 * len(kept):
        yield f"token {token} has {len(sealed)} envelopes, {sorted({o.state for o in sealed})}"
    entries = [e for e in _entries(station) if e.get("token", {}).get("serial") == str(token)]
    if len(entries) != 1:
        yield f"token {token} was issued {len(entries)} times"
        return
    (entry,) = entries
    log = Manifest.open(station.home / "manifest")
    blobs = [station.open_blob(log.blob(s["sha256"]), s["purpose"]) for s in entry["secrets"]]
    yield from (f"manifest: {what} is lost" for what in not_openable(kept, blobs))
    yield from _certificate(station, entry, state)
    yield from credential_faults(station, entry, state)


def _certificate(station: Station, entry: Entry, state: State) -> Iterator[str]:
    step = _step(entry, "piv/9a/certificate")
    recorded = Manifest.open(station.home / "manifest").blob(step["evidence"][0]["sha256"])
    if bytes(Tlv.parse_dict(certificate_on(state)).get(TAG_CERTIFICATE, b"")) != recorded:
        yield "the certificate on the token is not the one in the manifest"
    requests = IssuedFolder(station.home / "ca" / "requests")
    issued = requests.of(f"{entry['order']}/9a")
    if [one.certificate for one in issued if one.revocation is None] != [recorded]:
        yield "the authority has another certificate in force, or more than one"
    if len(issued) != 1:
        yield f"the authority issued {len(issued)} certificates for one order"
    attested = x509.load_der_x509_certificate(
        Manifest.open(station.home / "manifest").blob(
            _step(entry, "piv/9a/key")["evidence"][0]["sha256"]
        )
    )
    if attested.public_key() != x509.load_der_x509_certificate(recorded).public_key():
        yield "the certificate is for another key than the attested one"


def credential_faults(station: Station, entry: Entry, state: State) -> Iterator[str]:
    """Where the relying party and a token in this state do not know the same passkey."""
    folder: Path = station.home / "relying-parties"
    party = RelyingParty(folder, RP_ID, "", anchors=Anchors.load(station.home / "trust"))
    registered = [one for one in party.credentials() if one.order_id == entry["order"]]
    if len(registered) != 1 or registered[0].asserted is None:
        yield f"{len(registered)} credentials are registered for the order, or it was not asserted"
    elif list(credentials_on(state)) != [registered[0].credential_id]:
        yield "the token holds other credentials than the one that is registered"
    if len(list(party.credentials())) != len(station.serials):
        yield "the relying party knows credentials of nobody"


def _step(entry: Entry, name: str) -> Mapping[str, Any]:
    step: Mapping[str, Any]
    (step,) = [step for step in entry["steps"] if step["id"] == name]
    return step
