"""An authority behind a program of the station's owner, command:NAME.

    uri = "command:corporate"
    program = ["/usr/local/lib/our-ca", "--profile", "smartcard"]
    revokes = true              # it also takes revocations
    repeatable = true           # the same request again gets the same certificate

The program is never named in a profile, and no shell sees it. It reads one JSON object on standard
input and ends in one of these:

    0    issued: certificates in PEM on standard output, the new one and those above it, in any
         order; or revoked
    69   it did not get through, and nothing was done (sysexits.h: EX_UNAVAILABLE)
    75   taken, and not decided yet: the same again later (EX_TEMPFAIL)
    else it refused; standard error says why
    cut off by a signal or the time limit (`timeout`): it may have been done

    {"v": 1, "action": "issue", "transaction": hex, "request": "ab12cd34-0007/9a", "holder": {…},
     "token": "12345678", "subject": …, "days": …, "usages": […], "encryption": …, "csr": PEM,
     "attestation": [PEM, …]}
    {"v": 1, "action": "revoke", "certificate": PEM, "reason": "keyCompromise"}

The transaction stays the same when a request is sent again.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from datetime import datetime
from pathlib import Path
from typing import NoReturn

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import Field

from tokenprov.errors import IssuerError, IssuerPending, IssuerUnanswered, StationError
from tokenprov.issuer.answers import certificates_above, certificates_in_pem, certified
from tokenprov.issuer.choose import IssuerSettings
from tokenprov.issuer.journalled import Mark
from tokenprov.issuer.listed import read_status
from tokenprov.issuer.protocol import Abilities, CertificateRequest, CertificateStatus
from tokenprov.issuer.requests import Certified
from tokenprov.issuer.settings import File, read
from tokenprov.issuer.told import environment, told
from tokenprov.issuer.web import WebSettings
from tokenprov.model import Json

_UNAVAILABLE, _TEMPORARY = 69, 75  # sysexits.h
_MAX_SAID = 300  # characters of what it said that are shown
_AGAIN = "Run the same command again: the station knows what it asked."


class CommandSettings(WebSettings):
    """What the station's file says of a program."""

    program: tuple[str, ...] = Field(min_length=1)
    revokes: bool = False
    repeatable: bool = False
    above: File | None = None  # PEM: what stands above the certificates, if the answers lack it


def connect(uri: str, settings: IssuerSettings) -> Program:
    """The program of that name. Raises `StationError` where the station has none."""
    if settings.file is None:
        raise StationError(
            f"the station does not know which program {uri} is",
            remedy=f'Write a file into {settings.folder}: uri = "{uri}", program = ["/path", …].',
        )
    found = read(CommandSettings, settings)
    if not Path(found.program[0]).is_absolute():
        raise StationError(
            f"{settings.file}: program: {found.program[0]!r} is not the path of a program",
            remedy="Write it from the root: /usr/local/….",
        )
    return Program(uri, found)


class Program:
    """Implements `Authority` by running a program."""

    def __init__(self, uri: str, settings: CommandSettings) -> None:
        self._uri, self._settings = uri, settings

    @property
    def abilities(self) -> Abilities:
        """What the settings say of it."""
        return Abilities(
            revokes=self._settings.revokes,
            holds=self._settings.revokes,
            tells_status=self._settings.publishes,
            takes_attestation=True,
            needs_csr=True,
            repeatable=self._settings.repeatable,
        )

    def enroll(self, request: CertificateRequest, mark: Mark, now: datetime) -> Certified:
        """Have it issue."""
        document = {"action": "issue", "transaction": mark.transaction, **told(request)}
        given = certificates_in_pem(self._run(document))
        return certified(request.public_key, [*given, *certificates_above(self._settings.above)])

    def revoke(self, issued: Certified, reason: x509.ReasonFlags, now: datetime) -> None:
        """Have it revoke."""
        certificate = x509.load_der_x509_certificate(issued.der).public_bytes(Encoding.PEM)
        self._run({"action": "revoke", "certificate": certificate.decode(), "reason": reason.value})

    def status(self, issued: Certified, now: datetime) -> CertificateStatus:
        """By the authority's list."""
        return read_status(self._settings, issued, now)

    def _run(self, document: dict[str, Json]) -> bytes:
        """What it says. Raises by the exit codes above."""
        try:
            process = subprocess.Popen(
                self._settings.program,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment(),
                cwd="/",
                start_new_session=True,  # it is ended with all that it started
            )
        except OSError as exc:
            raise IssuerError(
                f"{self._uri}: {self._settings.program[0]} does not run: {exc.strerror}",
                remedy="Mend program in the station's file for it; nothing was asked.",
            ) from exc
        with process:
            try:
                out, err = process.communicate(
                    json.dumps({"v": 1, **document}).encode(), timeout=self._settings.timeout
                )
            except subprocess.TimeoutExpired as exc:
                raise IssuerUnanswered(
                    f"{self._uri} did not end within {self._settings.timeout:.0f} s", remedy=_AGAIN
                ) from exc
            finally:
                with contextlib.suppress(ProcessLookupError):  # nothing of it is left
                    os.killpg(process.pid, signal.SIGKILL)
        if process.returncode != 0:
            self._failed(process.returncode, err)
        return out

    def _failed(self, code: int, err: bytes) -> NoReturn:
        words = " ".join(err.decode(errors="replace").split())[-_MAX_SAID:] or "it said nothing"
        if code < 0:
            name = _signal_name(-code)
            raise IssuerUnanswered(f"{self._uri} was ended by {name}: {words}", remedy=_AGAIN)
        if code == _TEMPORARY:
            raise IssuerPending(
                f"{self._uri} has not decided yet: {words}",
                remedy="Leave the token as it is, and run the same command again later.",
            )
        if code == _UNAVAILABLE:
            raise IssuerError(
                f"{self._uri} was not reached: {words}",
                remedy="Nothing was done. Mend that, then run the same command again.",
            )
        raise IssuerError(
            f"{self._uri} refused ({code}): {words}",
            remedy="Ask who runs the authority; then run the same command again.",
        )


def _signal_name(number: int) -> str:
    """As people call it; those for programs' own use have numbers alone."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
