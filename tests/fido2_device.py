"""The product's FIDO2 device code on a virtual applet, and applets that differ; no test is here.

`Differing` stands between both as a token of another make would: what getInfo says, how errors come
over CCID, what an attestation holds.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

from fido2 import cbor
from fido2.ctap import STATUS, CtapError
from fido2.ctap2.base import Ctap2
from fido2.hid import CTAPHID

from tests.fido2_applet import AppletDevice, World
from tests.promised import promises
from tokenprov.attestation import Anchors
from tokenprov.device.fido2 import Fido2, Surroundings
from tokenprov.directory import RelyingParty
from tokenprov.model import TokenId
from tokenprov.secret import Secret
from tokenprov.sim.attestation import bench_roots
from tokenprov.step import Intent, Step
from tokenprov.token import Keyring

AAGUID_AT = slice(37, 53)  # in authenticator data (WebAuthn Level 2, 6.1 and 6.5.1)


class Differing(AppletDevice):
    """An authenticator that differs in what is named here, and counts the commands it gets."""

    def __init__(
        self,
        world: World,
        *,
        folds: bool = False,
        options: Mapping[str, bool | None] | None = None,
        members: Mapping[int, Any] | None = None,
        unattested: bool = False,
        no_aaguid: bool = False,
    ) -> None:
        """`folds`: every error is one code. None in `options` and `members` takes one out."""
        super().__init__(world.applet)
        self.folds, self.options, self.members = folds, dict(options or {}), dict(members or {})
        self.unattested, self.no_aaguid = unattested, no_aaguid
        self.commands: Counter[int] = Counter()
        self.messages: list[bytes] = []

    def call(
        self,
        cmd: int,
        data: bytes = b"",
        event: Event | None = None,
        on_keepalive: Callable[[STATUS], None] | None = None,
    ) -> bytes:
        """One message, and what this token makes of the answer."""
        if cmd != CTAPHID.CBOR:
            return super().call(cmd, data, event, on_keepalive)
        self.commands[data[0]] += 1
        self.messages.append(data)
        answer = super().call(cmd, data, event, on_keepalive)
        if answer[0]:
            if self.folds:
                raise CtapError(CtapError.ERR.OTHER)
            return answer
        if data[0] == Ctap2.CMD.GET_INFO:
            return self._edited(answer, self._info)
        if data[0] == Ctap2.CMD.MAKE_CREDENTIAL:
            return self._edited(answer, self._made)
        self.answered(data)
        return answer

    def answered(self, message: bytes) -> None:
        """A command that went well."""

    def _edited(self, answer: bytes, edit: Callable[[dict[Any, Any]], None]) -> bytes:
        body: Any = cbor.decode(answer[1:])
        edit(body)
        return answer[:1] + cbor.encode(body)

    def _info(self, info: dict[Any, Any]) -> None:
        _change(info[4], self.options)
        _change(info, self.members)
        if self.no_aaguid:
            info[3] = bytes(16)

    def _made(self, made: dict[Any, Any]) -> None:
        data = bytearray(made[2])
        if self.no_aaguid:
            data[AAGUID_AT] = bytes(16)
        if self.no_aaguid or self.unattested:  # what was signed has changed
            made |= {1: "none", 2: bytes(data), 3: {}}


def _change(values: dict[Any, Any], changes: Mapping[Any, Any]) -> None:
    for key, value in changes.items():
        if value is None:
            values.pop(key, None)
        else:
            values[key] = value


@dataclass
class Held:
    """A token with FIDO2 alone, as steps see one."""

    device: AppletDevice
    surroundings: Surroundings = field(default_factory=Surroundings)
    serial: str | None = "31415926"
    touches: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.keyring = Keyring()
        self.reader = "reader"
        self.id = TokenId(maker="yubico", model="YubiKey", firmware="", serial=self.serial)
        self._fido = Fido2(self.device, self.touch, self.surroundings)

    def fido2(self) -> Fido2:
        """The authenticator."""
        return self._fido

    @contextlib.contextmanager
    def touch(self, reason: str) -> Iterator[None]:
        """Note what a touch is for."""
        self.touches.append(reason)
        yield


class Notes:
    """Implements `run.Journal` in memory, and `run.Progress`."""

    def __init__(self) -> None:
        self.kept: dict[str, Intent] = {}

    def intents(self) -> Mapping[str, Intent]:
        """What was promised."""
        return self.kept

    def promise(
        self, *, ahead: Sequence[Step] = (), due: Sequence[Step] = ()
    ) -> Mapping[str, Intent]:
        """Draw and keep it."""
        made = promises(ahead, due)
        self.kept |= made
        return made

    def pin(self) -> Secret:
        """The PIN that was drawn."""
        return self.kept["fido2/pin"].secret("fido2/pin")

    def step_started(self, *_: object) -> None:
        """Nothing to tell."""


def party(folder: Path) -> RelyingParty:
    """A relying party that trusts the virtual tokens."""
    (folder / "trust").mkdir(parents=True, exist_ok=True)
    (folder / "trust" / "root.pem").write_bytes(bench_roots().root_pem)
    (folder / "trust" / "chain.pem").write_bytes(bench_roots().chain_pem)
    anchors = Anchors.load(folder / "trust")
    return RelyingParty(folder / "parties", "login.example.test", "Login", anchors=anchors)
