"""Two holders' tokens with a certificate for each use, for servers to judge.

9a logs in (client authentication and smart-card logon, by UPN), 9c signs mail, 9d decrypts it. The
first holder's certificates are in force; `after` is a list of revoked certificates that names the
second holder's, `before` is one from when nobody's was revoked.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.issued import Issued, issued_tokens

MODULE = "/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so"
IDS = {"9a": "01", "9c": "02", "9d": "03"}  # OpenSC's, of the keys in PIV slots
ENGINE = ("-engine", "pkcs11", "-keyform", "engine")
PROFILE = """
name = "proof-of-use"

[[piv.keys]]
slot = "9a"
algorithm = "rsa2048"
[piv.keys.certificate]
upn = true
usages = ["client-auth", "smartcard-logon"]

[[piv.keys]]
slot = "9c"
algorithm = "eccp256"
pin-policy = "once"
[piv.keys.certificate]
usages = ["email-protection"]

[[piv.keys]]
slot = "9d"
algorithm = "rsa2048"
[piv.keys.certificate]
usages = ["email-protection"]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One holder's token, as other programs are told of it."""

    issued: Issued
    serial: str

    @property
    def holder(self) -> dict[str, str]:
        """Whose it is, as in the manifest."""
        holder: dict[str, str] = self.issued.entry(self.serial)["holder"]
        return holder

    @property
    def pin(self) -> str:
        """Its PIN, from escrow."""
        return self.issued.station.secrets(self.serial)["piv/pin"]

    def pin_file(self) -> Path:
        """A file with its PIN, for programs that read one."""
        path = self.issued.station.home.parent / f"{self.serial}.pin"
        path.touch(0o600)
        path.write_text(self.pin)
        return path

    def certificate(self, slot: str) -> x509.Certificate:
        """The certificate that the manifest keeps for a slot."""
        (step,) = [
            one
            for one in self.issued.entry(self.serial)["steps"]
            if one["id"] == f"piv/{slot}/certificate"
        ]
        return x509.load_der_x509_certificate(
            self.issued.station.blob(step["evidence"][0]["sha256"])
        )

    def certificate_file(self, slot: str) -> str:
        """The same in a PEM file; gives its name."""
        pem = self.certificate(slot).public_bytes(Encoding.PEM)
        return self.issued.write(f"{self.serial}-{slot}.pem", pem)

    def key_uri(self, slot: str) -> str:
        """The key in a slot (RFC 7512), with where its PIN is read."""
        return (
            f"pkcs11:token={quote(self.holder['name'])};id=%{IDS[slot]};type=private"
            f"?pin-source=file:{self.pin_file()}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """The two tokens, and what servers trust."""

    good: Card
    revoked: Card  # by the list `after`
    folder: Path  # that programs run in
    authority: Path  # PEM
    before: Path  # lists of revoked certificates, PEM
    after: Path


@contextmanager
def tokens_in_use(folder: Path) -> Iterator[Proof]:
    """Issue the tokens in `folder`, and have the second one revoked, as stolen."""
    profile = folder / "proof.toml"
    profile.write_text(PROFILE)
    with issued_tokens(folder, profile) as issued:
        good, revoked = (Card(issued=issued, serial=serial) for serial in issued.serials)
        before = _revoked_list(issued, folder / "before.pem")
        said = issued.station.run("revoke", revoked.serial, "--reason", "stolen")
        assert said.code == 0, said.err
        yield Proof(
            good=good,
            revoked=revoked,
            folder=folder,
            authority=issued.station.home / "ca" / "ca.pem",
            before=before,
            after=_revoked_list(issued, folder / "after.pem"),
        )


def _revoked_list(issued: Issued, path: Path) -> Path:
    """What the authority publishes now, in PEM."""
    said = issued.station.run("ca", "crl", "--out", path.with_suffix(".der"))
    assert said.code == 0, said.err
    crl = x509.load_der_x509_crl(path.with_suffix(".der").read_bytes())
    path.write_bytes(crl.public_bytes(Encoding.PEM))
    return path
