"""Puts tokens together: which applets a model has, and where a token's state is kept."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from tokenprov.sim.applet import Applet, Body
from tokenprov.sim.applets.fido2 import Fido2Applet
from tokenprov.sim.applets.hsmauth import HsmAuthApplet
from tokenprov.sim.applets.management import ManagementApplet
from tokenprov.sim.applets.oath import OathApplet
from tokenprov.sim.applets.openpgp import OpenPgpApplet
from tokenprov.sim.applets.otp import OtpApplet
from tokenprov.sim.applets.piv import PivApplet
from tokenprov.sim.applets.plain_piv import PlainPivApplet
from tokenprov.sim.applets.security_domain import SecurityDomainApplet
from tokenprov.sim.device import Device
from tokenprov.sim.models import MODELS, NOTHING, Capability, Kind, Model
from tokenprov.sim.presence import TouchPolicy
from tokenprov.sim.scp.keys import FIRST_SCP03
from tokenprov.sim.scp.secure_messaging import SecureMessaging
from tokenprov.sim.token import SWITCHES, VirtualToken


class AppletMaker(Protocol):
    """How an applet that needs nothing but the body and the model is made."""

    def __call__(self, body: Body, model: Model) -> Applet:
        """Make one."""
        ...


# The applets beside management and OTP, by the capability that a model must have for each.
MAKERS: Mapping[Capability, AppletMaker] = {
    Capability.FIDO2 | Capability.U2F: Fido2Applet,
    Capability.PIV: PivApplet,
    Capability.OATH: OathApplet,
    Capability.HSMAUTH: HsmAuthApplet,
    Capability.OPENPGP: OpenPgpApplet,
}


@runtime_checkable
class Approvable(Protocol):
    """An applet that can tell whether it is in FIPS approved mode."""

    @property
    def fips_approved(self) -> bool:
        """Whether it is configured as the security policy asks."""
        ...


def make_applets(model: Model, body: Body, token: VirtualToken) -> list[Applet]:
    """The applets of one token, in the order in which a partial AID finds them."""
    if model.kind is Kind.PLAIN_CARD:
        return [PlainPivApplet(body, model)]
    applets: list[Applet] = []
    if model.kind is not Kind.PIV_CARD:
        device = Device(
            body=body,
            model=model,
            reboot=token.reboot,
            fips_approved=lambda: _fips_approved(applets),
        )
        applets.append(ManagementApplet(device))
        token.device = device
        if Capability.OTP in model.usb_supported:
            applets.append(OtpApplet(body, model, device))
    for capability, maker in MAKERS.items():
        if capability & model.usb_supported:
            applets.append(maker(body, model))
    if model.kind is Kind.YUBIKEY and model.version >= FIRST_SCP03:
        token.secure_messaging = SecureMessaging(body)
        applets.append(SecurityDomainApplet(token.secure_messaging))
    return applets


def _fips_approved(applets: list[Applet]) -> Capability:
    approved = NOTHING
    for applet in applets:
        if isinstance(applet, Approvable) and applet.fips_approved:
            approved |= SWITCHES[applet.name]
    return approved


def make_token(
    model: str | Model,
    serial: int | None,
    *,
    random: Callable[[int], bytes] = os.urandom,
    clock: Callable[[], float] = time.monotonic,
    touch: TouchPolicy | None = None,
    latency: Mapping[str, float] | None = None,
    state: Path | None = None,
) -> VirtualToken:
    """A token of that model; a fresh one, or the one whose state the file `state` holds.

    With `state`, every change is written there at once, by renaming. Models without a serial drop
    the one given. Raises `KeyError` for an unknown model and `ValueError` for a foreign state.
    """
    made = MODELS[model] if isinstance(model, str) else model
    token = VirtualToken(
        made,
        serial if made.has_serial else None,
        applets=lambda body, token: make_applets(made, body, token),
        random=random,
        clock=clock,
        touch=touch,
        latency=latency,
        store=(lambda content: write_state(state, content)) if state is not None else None,
    )
    if state is not None:
        if state.exists():
            token.load(read_state(state))
        else:
            write_state(state, token.dump())
    return token


def write_state(path: Path, content: Mapping[str, Any]) -> None:
    """Write a token's state so that a reader sees the old or the new one. It holds its secrets."""
    fresh = path.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file, separators=(",", ":"))
    fresh.replace(path)


def read_state(path: Path) -> dict[str, Any]:
    """Read a token's state. Raises `ValueError` when it is not one."""
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"{path} is not the state of a token")
    return content
