"""`manifest verify` judges the attestations that entries name, and what entries say of them."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import rfc8785
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.record_samples import SIGNER
from tests.record_samples import station as station_entry
from tests.stations import Station, tell
from tests.token_under_test import TokenUnderTest
from tests.unit.test_record_verify import write_log
from tokenprov.attestation import Anchors
from tokenprov.record.head import Held
from tokenprov.record.manifest import verify_manifest

Entry = dict[str, Any]
KEY, CERTIFICATE = "piv/9a/key", "piv/9a/certificate"


def certificate_of_another_key() -> bytes:
    """What a station could put in the place of the one on the token."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Ada")])
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now).not_valid_after(now + timedelta(days=1))
    return made.sign(key, SHA256()).public_bytes(Encoding.DER)


class Claim:
    """An entry with its blobs, as a dishonest station could change them before it signs."""

    def __init__(self, entry: Entry, blobs: dict[str, bytes]) -> None:
        self.entry, self.blobs = copy.deepcopy(entry), dict(blobs)

    def step(self, name: str) -> dict[str, Any]:
        """A step by the end of its id."""
        (found,) = [step for step in self.entry["steps"] if step["id"].startswith(name)]
        step: dict[str, Any] = found
        return step

    def put(self, step: str, kind: str, data: bytes) -> None:
        """Other evidence in the place of what was there."""
        digest = hashlib.sha256(data).hexdigest()
        self.blobs[digest] = data
        for one in self.step(step)["evidence"]:
            if one["type"] == kind:
                one["sha256"] = digest

    def get(self, step: str, kind: str) -> bytes:
        """The evidence of that type."""
        (digest,) = [one["sha256"] for one in self.step(step)["evidence"] if one["type"] == kind]
        return self.blobs[digest]

    def write(self, folder: Path) -> Path:
        """The log that has it, whole and signed."""
        first = station_entry() | {"station": self.entry["station"]}
        write_log(folder, [rfc8785.dumps(first), rfc8785.dumps(self.entry)])
        named = {item["sha256"] for item in self.entry["secrets"]}
        named |= {one["sha256"] for s in self.entry["steps"] for one in s.get("evidence", ())}
        for digest in named:
            path = folder / f"blobs/sha256/{digest[:2]}/{digest}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.blobs[digest])
        return folder


def of_another_serial(claim: Claim) -> None:
    """Of another serial."""
    claim.entry["token"]["serial"] = "10000001"


def better_grade(claim: Claim) -> None:
    """Better grade."""
    claim.entry["token"]["grade"] = "attested"


def said_to_be_real(claim: Claim) -> None:
    """Said to be real."""
    claim.entry["token"]["virtual"] = False


def another_policy(claim: Claim) -> None:
    """Another policy."""
    claim.step(KEY)["facts"]["attestation"]["touchPolicy"] = "always"


def another_key(claim: Claim) -> None:
    """Another key."""
    claim.step(KEY)["facts"]["publicKey"] = "00" * 32


def another_statement(claim: Claim) -> None:
    """Another statement."""
    claim.put(KEY, "piv-attestation", claim.get(KEY, "piv-attestation-device"))


def no_statement(claim: Claim) -> None:
    """No statement."""
    claim.step(KEY)["evidence"] = []


def half_a_statement(claim: Claim) -> None:
    """Half a statement."""
    step = claim.step(KEY)
    step["evidence"] = [one for one in step["evidence"] if one["type"] == "piv-attestation"]


def another_certificate(claim: Claim) -> None:
    """Another certificate."""
    claim.put(CERTIFICATE, "certificate", certificate_of_another_key())


def another_challenge(claim: Claim) -> None:
    """Another challenge."""
    data = claim.get("fido2/credential", "fido2-client-data")
    claim.put("fido2/credential", "fido2-client-data", data.replace(b"webauthn", b"webauthm"))


LIES: dict[Callable[[Claim], None], str] = {
    of_another_serial: "the attestation is by token",
    better_grade: "said to be attested, and by its attestations it is partly",
    said_to_be_real: "a virtual token attested",
    another_policy: "says something else",
    another_key: "for another key than the entry says",
    another_statement: KEY,
    no_statement: "names none",
    half_a_statement: "belong together",
    another_certificate: "another key than the attested one",
    another_challenge: "fido2/credential",
}


def test_lies(station: Station, token: TokenUnderTest, tmp_path: Path) -> None:
    """Each is found with the entry, the step and what to do; what was recorded holds."""
    said = station.tell(*station.batch())
    assert said.code == 0, said.err
    shown = station.tell("manifest", "show", "--json").document
    (index,) = [number for number, entry in enumerate(shown) if entry["kind"] == "issued"]
    exported = station.tell("manifest", "export", "--format", "json").document
    entry = exported[index]["entry"]
    files = (path for path in (station.home / "manifest/blobs").rglob("*") if path.is_file())
    blobs = {path.name: path.read_bytes() for path in files}
    anchors = Anchors.load(station.home / "trust")

    def found(claim: Claim, known: Anchors) -> list[str]:
        folder = claim.write(tmp_path / "m")
        report = verify_manifest(folder, held=Held(anchors=known))
        return [str(one) for one in report.findings if one.rule != "stray"]

    honest = Claim(entry, blobs)
    assert found(honest, anchors) == found(honest, Anchors.vendor()) == []
    assert station.tell("manifest", "verify").code == 0
    for lie, what in LIES.items():
        claim = Claim(entry, blobs)
        lie(claim)
        (finding,) = found(claim, anchors)
        assert finding.startswith("attestation: entry 1, "), lie.__name__
        assert what in finding, lie.__name__
    claim = Claim(entry, blobs)
    said_to_be_real(claim)
    (finding,) = found(claim, Anchors.vendor())
    assert "attestation: entry 1" in finding  # no real root vouches for it
    key = ("--key", str(SIGNER.verifier))
    roots = sorted((station.home / "trust").glob("*.pem"))
    trust = [word for pem in roots for word in ("--trust", pem)]
    told = tell("manifest", "verify", tmp_path / "m", *key, *trust, "--json")
    assert (told.code, "a virtual token attested" in told.out) == (6, True), told.out + told.err
    missing = Claim(entry, blobs)
    folder = missing.write(tmp_path / "gone")
    digest = hashlib.sha256(missing.get(CERTIFICATE, "certificate")).hexdigest()
    (folder / f"blobs/sha256/{digest[:2]}/{digest}").unlink()
    report = verify_manifest(folder, held=Held(anchors=anchors))
    assert [one.rule for one in report.findings] == ["missing"]  # once, and not as a lie
