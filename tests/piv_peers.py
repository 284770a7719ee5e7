"""Programs from elsewhere in front of virtual PIV tokens, through a private pcscd."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from yubikit.core import TRANSPORT
from yubikit.core.smartcard import SmartCardConnection
from yubikit.piv import PivSession

from tests import forked
from tokenprov.sim.assembly import make_token
from tokenprov.sim.bench import VirtualBench
from tokenprov.sim.token import VirtualToken

PROGRAMS = Path(sys.executable).parent  # where the stock ykman of this environment is
COMMAND_SECONDS = 60.0
SERIAL = 30_000_001
PIN, PUK = "123456", "12345678"
MANAGEMENT_KEY = "010203040506070801020304050607080102030405060708"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One command, the exit code that it must give, and a pattern that its output must match."""

    command: str
    says: str = ""
    code: int = 0
    input: str | None = None


class InProcess(SmartCardConnection):
    """yubikit's connection to a token in this process, to prepare it without the bench."""

    def __init__(self, token: VirtualToken) -> None:
        self._token = token

    @property
    def transport(self) -> TRANSPORT:
        """As if on USB."""
        return TRANSPORT.USB

    def send_and_receive(self, apdu: bytes) -> tuple[bytes, int]:
        """One exchange."""
        answer = self._token.transmit(apdu)
        return answer[:-2], int.from_bytes(answer[-2:])

    def close(self) -> None:
        """Nothing to do."""


def prepare(model: str, serial: int) -> tuple[VirtualToken, PivSession]:
    """A fresh token in this process, and an authenticated session with it."""
    token = make_token(model, serial)
    session = PivSession(InProcess(token))
    session.authenticate(bytes.fromhex(MANAGEMENT_KEY))
    return token, session


@dataclass(frozen=True, slots=True, kw_only=True)
class Peers:
    """A bench, and a folder that the programs work in."""

    bench: VirtualBench
    folder: Path

    def run(self, *command: str, code: int | None = 0, input: str | None = None) -> str:
        """Run a program; gives what it said on both channels. None: any exit code."""
        path = os.pathsep.join([str(PROGRAMS), os.environ["PATH"]])
        done = forked.run(
            command,
            merged=True,
            errors="replace",
            input=input,
            timeout=COMMAND_SECONDS,
            env={**os.environ, **self.bench.environment, "PATH": path, "COLUMNS": "200"},
            cwd=self.folder,
        )
        if code is not None:
            assert done.returncode == code, f"{command} gave {done.returncode}:\n{done.stdout}"
        return done.stdout

    def play(self, cases: list[Case], **words: str) -> None:
        """Run commands in order; `{word}` in them stands for the value of `words`."""
        for case in cases:
            command = [part.format(**words) for part in case.command.split()]
            said = self.run(*command, code=case.code, input=case.input)
            assert re.search(case.says, said), f"{command} said:\n{said}"

    def put(self, token: VirtualToken) -> None:
        """Give the bench's token of that serial the state of one prepared in this process."""
        assert token.serial is not None
        self.bench.control.restore(token.serial, token.dump())

    def certify(self, public_key: str, name: str) -> str:
        """Have OpenSSL certify a PEM public key under a throwaway authority; gives the file."""
        if not (self.folder / "ca.key").exists():
            authority = "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=CA"
            self.run("openssl", *authority.split())
            self.run(
                "openssl", *["req", "-new", "-key", "ca.key", "-subj", "/CN=any", "-out", "any.csr"]
            )
        certify = f"x509 -req -in any.csr -force_pubkey {public_key} -CA ca.pem -CAkey ca.key"
        self.run(
            "openssl",
            *certify.split(),
            "-CAcreateserial",
            "-subj",
            f"/CN={name}",
            "-out",
            f"{name}.pem",
        )
        return f"{name}.pem"

    def verify_attestation(self, statement: str, f9: str) -> str:
        """What OpenSSL says of a statement under the bench's virtual roots."""
        roots = Path(self.bench.environment["TOKENPROV_SIM_ROOTS"])
        between = self.folder / "between.pem"
        between.write_bytes((roots / "chain.pem").read_bytes() + (self.folder / f9).read_bytes())
        return self.run(
            "openssl",
            "verify",
            "-CAfile",
            str(roots / "root.pem"),
            "-untrusted",
            str(between),
            statement,
        )
