"""Certificate Management Protocol (RFC 9480, 9483), spoken by OpenSSL's own client.

    uri = "cmp+http://ra.example.test/pkix/"    # or cmp+https
    reference = "station"                       # and a shared secret (RFC 9481, 6.1) …
    secret-file = "cmp.secret"
    signer-certificate = "station.pem"          # … or a certificate that signs the messages
    signer-key = "station.key"
    signer-trust = "ca.pem"                     # and whom the answers' signatures may be from
    command = "p10cr"                           # or ir, cr: with the station as the one who
                                                # checked possession (RFC 4211, 4: raVerified)

Rules:
- No secret is on a command line or in the environment: OpenSSL reads the station's own files. It
  sees no proxy of the environment, nor a configuration.
- An answer counts when its protection holds, which OpenSSL checks. What was not sent was not
  carried out, what the authority rejected was not either; all else may have been.
- A request that waits is polled for as long as `wait` says. After that it cannot be taken up again:
  the transaction ended with the client.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import assert_never

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tokenprov.errors import IssuerError, IssuerUnanswered, StationError
from tokenprov.issuer.answers import certificates_above, certificates_in_pem, certified
from tokenprov.issuer.choose import IssuerSettings
from tokenprov.issuer.journalled import Mark
from tokenprov.issuer.listed import read_status
from tokenprov.issuer.protocol import Abilities, CertificateRequest, CertificateStatus
from tokenprov.issuer.reasons import REASON_CODES
from tokenprov.issuer.requests import Certified
from tokenprov.issuer.settings import File, read, read_secret
from tokenprov.issuer.told import environment
from tokenprov.issuer.web import WebSettings

_OUTPUTS = {"-certout": "new.pem", "-chainout": "chain.pem"}
_OUTPUTS |= {"-extracertsout": "extra.pem", "-cacertsout": "authorities.pem"}
_SLACK = 10.0  # seconds that the program may take beside waiting for the authority
_ERROR = re.compile(r"CMP error: (.*)")
_UNREACHED = ("connect timeout", "connect error", "certificate verify failed")
_REFUSED = ("request rejected by server", "received error")


class Command(StrEnum):
    """How a certificate is asked for (RFC 9483, 4.1)."""

    P10CR = "p10cr"  # the PKCS#10 as it is
    IR = "ir"  # first certificate, in CMP's own form
    CR = "cr"  # further certificate


class CmpSettings(WebSettings):
    """What the station's file says of a CMP server."""

    command: Command = Command.P10CR
    recipient: str = ""  # the authority's name, as OpenSSL writes it: /CN=Issuing CA
    reference: str = ""
    secret_file: File | None = None
    signer_certificate: File | None = None
    signer_key: File | None = None
    signer_trust: File | None = None
    above: File | None = None  # PEM: what stands above the certificates, if the answers lack it


def connect(uri: str, settings: IssuerSettings) -> Cmp:
    """The server of that URI. Raises `StationError` for settings that cannot be used."""
    found, where = read(CmpSettings, settings), settings.file or settings.folder
    if found.secret_file is not None:
        read_secret(found.secret_file)  # refused where others may read it
    elif not (found.signer_certificate and found.signer_key and found.signer_trust):
        raise StationError(
            f"{where}: nothing protects the messages to {uri}",
            remedy="Write reference and secret-file, or signer-certificate, signer-key and"
            " signer-trust.",
        )
    if uri.startswith("cmp+https:") and found.trust is None:
        raise StationError(
            f"{where}: nobody says whom {uri} is trusted for",
            remedy='Write trust = "…": the authority of the server\'s TLS certificate (PEM).',
        )
    return Cmp(uri.removeprefix("cmp+"), found)


class Cmp:
    """Implements `Authority` over CMP."""

    def __init__(self, url: str, settings: CmpSettings) -> None:
        self._url, self._settings = url, settings

    @property
    def abilities(self) -> Abilities:
        """Certificates and revocation; status where the station knows the list."""
        return Abilities(
            revokes=True,
            holds=True,
            tells_status=self._settings.publishes,
            takes_attestation=False,
            needs_csr=True,
            repeatable=False,
        )

    def enroll(self, request: CertificateRequest, mark: Mark, now: datetime) -> Certified:
        """Send the request, as the settings' command."""
        with tempfile.TemporaryDirectory(prefix="tokenprov-cmp-") as name:
            folder = Path(name)
            (folder / "request.der").write_bytes(request.csr or b"")
            outputs = [part for option in _OUTPUTS.items() for part in option]
            self._run(folder, *self._how(), "-csr", "request.der", *outputs)
            return certified(request.public_key, self._answered(folder))

    def revoke(self, issued: Certified, reason: x509.ReasonFlags, now: datetime) -> None:
        """Send a revocation request (RFC 9483, 4.2)."""
        with tempfile.TemporaryDirectory(prefix="tokenprov-cmp-") as name:
            folder = Path(name)
            pem = x509.load_der_x509_certificate(issued.der).public_bytes(Encoding.PEM)
            (folder / "old.pem").write_bytes(pem)
            what = ("-cmd", "rr", "-oldcert", "old.pem", "-revreason", str(REASON_CODES[reason]))
            self._run(folder, *what)

    def status(self, issued: Certified, now: datetime) -> CertificateStatus:
        """By the authority's list."""
        return read_status(self._settings, issued, now)

    def _how(self) -> Sequence[str]:
        match self._settings.command:
            case Command.P10CR:
                return ("-cmd", "p10cr")
            case Command.IR | Command.CR as command:
                return ("-cmd", command, "-popo", "0")  # raVerified
        assert_never(self._settings.command)

    def _answered(self, folder: Path) -> list[x509.Certificate]:
        files = [folder / name for name in _OUTPUTS.values()]
        texts = [file.read_bytes() for file in files if file.exists()]
        given = [one for text in texts if text.strip() for one in certificates_in_pem(text)]
        return [*given, *certificates_above(self._settings.above)]

    def _run(self, folder: Path, *what: str) -> None:
        """Run OpenSSL's client. Raises by the rules above."""
        wait, timeout = self._settings.wait, self._settings.timeout
        command = ["openssl", "cmp", "-config", "", "-batch", "-server", self._url, *what]
        command += ["-msg_timeout", f"{timeout:.0f}", "-total_timeout", f"{timeout + wait:.0f}"]
        try:
            done = subprocess.run(
                [*command, *self._protection(), *self._transport()],
                cwd=folder,
                env=environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=timeout + wait + _SLACK,
                check=False,
            )
        except FileNotFoundError as exc:
            raise StationError(
                "the program openssl was not found", remedy="Install OpenSSL 3.0 or newer."
            ) from exc
        except subprocess.TimeoutExpired as exc:
            raise _unanswered(self._url, "it did not end in time") from exc
        if done.returncode != 0:
            said = (done.stdout + done.stderr).decode(errors="replace")
            raise _failure(self._url, _ERROR.findall(said))

    def _protection(self) -> list[str]:
        settings = self._settings
        given = {
            "-ref": settings.reference,
            "-recipient": settings.recipient,
            "-secret": f"file:{settings.secret_file}" if settings.secret_file else "",
            "-cert": settings.signer_certificate,
            "-key": settings.signer_key,
            "-trusted": settings.signer_trust,
        }
        if settings.secret_file is not None:
            given["-mac"] = "hmacWithSHA256"  # OpenSSL's own default is SHA-1
        return [part for name, value in given.items() if value for part in (name, str(value))]

    def _transport(self) -> list[str]:
        if not self._url.startswith("https:"):
            return []
        settings = self._settings
        given = {
            "-tls_trusted": settings.trust,
            "-tls_cert": settings.certificate,
            "-tls_key": settings.key,
        }
        return [
            "-tls_used",
            *(part for name, value in given.items() if value for part in (name, str(value))),
        ]


def _failure(url: str, errors: Sequence[str]) -> IssuerError:
    """What OpenSSL's words mean."""
    words = "; ".join(errors) or "it said nothing"
    if any(part in error for error in errors for part in _UNREACHED):
        return IssuerError(
            f"{url} was not reached: {words}",
            remedy="Nothing was sent. Mend that, then run the same command again.",
        )
    if any(part in error for error in errors for part in _REFUSED):
        return IssuerError(
            f"{url} refused: {words}",
            remedy="Ask who runs the authority; then run the same command again.",
        )
    return _unanswered(url, words)


def _unanswered(url: str, words: str) -> IssuerUnanswered:
    return IssuerUnanswered(
        f"{url} gave no answer that counts: {words}",
        remedy="Run the same command again: the station knows what it sent.",
    )
