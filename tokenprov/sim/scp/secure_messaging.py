"""Secure messaging between the contact of a token and whatever applet is current.

Rules
- A channel is opened at any applet, by commands of the GlobalPlatform class, and holds until an
  applet is selected, the card is reset, or another one is opened (GPC 10.2.3).
- While it holds, each command is secured. One that is not, or not rightly, is refused with 6982
  and ends the channel (GPC 10.4; Amendment D 6.2.4). GET RESPONSE, which fetches the rest of an
  answer, is not a command of its own in this.
- Without a channel, a secured command is refused with 6985.
"""

from __future__ import annotations

from collections.abc import Callable

from tokenprov.sim.apdu import SW, Command, Refusal
from tokenprov.sim.applet import Body
from tokenprov.sim.attestation import VirtualRoots
from tokenprov.sim.scp import scp03, scp11
from tokenprov.sim.scp.channel import SecureChannel, is_protected
from tokenprov.sim.scp.keys import KeyStore
from tokenprov.sim.scp.wire import GLOBALPLATFORM_CLASS, SECURE_MESSAGING, Ins, KeyId

_INTERNAL = frozenset({KeyId.SCP11B})
_MUTUAL = frozenset({KeyId.SCP11A, KeyId.SCP11C})


class SecureMessaging:
    """The security domain's side of all channels to one token."""

    def __init__(self, body: Body, roots: VirtualRoots | None = None) -> None:
        self.keys = KeyStore(body, roots)
        self._channel: SecureChannel | None = None
        self._opening: scp03.Opening | None = None
        self._chain: scp11.HostChain | None = None

    @property
    def channel(self) -> SecureChannel | None:
        """The one that is open."""
        return self._channel

    def end(self) -> None:
        """Forget the channel, and whatever was to become one."""
        self._channel = None
        self._opening = None
        self._chain = None

    def process(self, command: Command, inner: Callable[[Command], bytes]) -> bytes:
        """Answer a whole command; `inner` is the applet, which sees the plain one.

        Raises `Refusal`, whose data is secured where the channel asks for it.
        """
        opening, self._opening = self._opening, None  # what answers it comes next, or never
        if command.cla & SECURE_MESSAGING:
            if opening is not None and command.ins == Ins.EXTERNAL_AUTHENTICATE:
                return self._external_authenticate(opening, command)
            return self._secured(command, inner)
        if command.cla == GLOBALPLATFORM_CLASS:
            opened = self._open(command)
            if opened is not None:
                return opened
        if self._channel is not None:
            self.end()
            raise Refusal(SW.SECURITY_NOT_SATISFIED)
        return inner(command)

    def _secured(self, command: Command, inner: Callable[[Command], bytes]) -> bytes:
        channel = self._channel
        if channel is None:
            self.end()
            raise Refusal(SW.CONDITIONS_NOT_SATISFIED)
        try:
            plain = channel.unwrap(command)
        except Refusal:
            self.end()
            raise
        try:
            answer = inner(plain)
        except Refusal as refusal:
            if is_protected(refusal.sw):
                raise Refusal(refusal.sw, channel.wrap(refusal.data, refusal.sw)) from None
            raise Refusal(refusal.sw) from None
        return channel.wrap(answer, SW.OK)

    def _open(self, command: Command) -> bytes | None:
        """Answer a command that is for opening a channel; None when it is another."""
        if command.ins == Ins.INITIALIZE_UPDATE:
            self.end()
            answer, self._opening = scp03.initialize_update(self.keys, command)
            return answer
        if not self.keys.has_scp11:
            return None
        chain = self._chain
        if command.ins == Ins.PERFORM_SECURITY_OPERATION:
            self.end()
            self._chain = scp11.perform_security_operation(self.keys, chain, command)
            return b""
        if command.ins == Ins.INTERNAL_AUTHENTICATE:
            kinds = _INTERNAL
        elif command.ins == Ins.EXTERNAL_AUTHENTICATE:
            kinds = _MUTUAL
        else:
            return None
        self.end()
        answer, self._channel = scp11.authenticate(self.keys, chain, command, kinds)
        return answer

    def _external_authenticate(self, opening: scp03.Opening, command: Command) -> bytes:
        self.end()
        if command.cla & ~SECURE_MESSAGING != GLOBALPLATFORM_CLASS:
            raise Refusal(SW.CLASS_NOT_SUPPORTED)
        self._channel = scp03.external_authenticate(self.keys, opening, command)
        return b""
