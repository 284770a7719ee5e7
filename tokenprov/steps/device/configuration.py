"""Which applications are on over USB and NFC, and the timeouts and flags beside them: one write.

Rules:
- Everything that the profile sets goes in one command; nothing else of the configuration changes,
  nor do bits that nobody here knows. The smart-card interface goes with its last application.
- A token restarts only when its USB interfaces change, and is then waited for by its serial.
- What the hardware does not have cannot be switched on, and the last USB interface never off.
"""

from __future__ import annotations

from collections.abc import Sequence

from yubikit.core import TRANSPORT, USB_INTERFACE
from yubikit.management import CAPABILITY, DEVICE_FLAG, DeviceConfig, DeviceInfo

from tokenprov.model import Json
from tokenprov.profile.device import Application, DeviceSection, capabilities
from tokenprov.secret import RandomBytes
from tokenprov.step import Drawn, Finding, Intent, State
from tokenprov.steps.device.access import LOCKED, held_lock_code
from tokenprov.token import Token

_SWITCHED = capabilities(tuple(Application))
# The smart-card interface at large, and the management application there: bits without a name in
# `yubikit.management`, which keep the interface on when its last application is off.
_SMART_CARD = CAPABILITY(0x404)


class ConfigurationStep:
    """The device configuration, but for what closes the token at the end."""

    id = "device/configuration"
    title = "device configuration"

    def __init__(self, section: DeviceSection, applets: Sequence[Application]) -> None:
        """`applets` are those that the profile sets up: they stay on where the station works."""
        self._section, self._applets = section, applets
        self._lists = {
            transport: listed
            for transport, listed in ((TRANSPORT.USB, section.usb), (TRANSPORT.NFC, section.nfc))
            if listed is not None
        }

    def draw(self, random: RandomBytes) -> Drawn:
        """Nothing."""
        return Drawn()

    def observe(self, token: Token, intent: Intent | None) -> Finding:
        """By what the token said of itself when it was connected, or after the last write."""
        management = token.management()
        info = management.info
        impossible = self._impossible(info, management.transport)
        if impossible:
            return Finding(state=State.CONFLICT, reason=impossible)
        facts = self._facts(info)
        if self._wanted(info) == _settings(info.config):
            return Finding(state=State.MATCH, facts=facts)
        if intent is None and info.is_locked:
            return LOCKED
        return Finding(state=State.ABSENT, reason="it is configured otherwise", facts=facts)

    def apply(self, token: Token, intent: Intent) -> None:
        """One write."""
        management = token.management()
        info = management.info
        wanted, now = self._wanted(info), _settings(info.config)
        usb = wanted.enabled_capabilities.get(TRANSPORT.USB)
        before = now.enabled_capabilities.get(TRANSPORT.USB)
        restarts = (
            usb is not None and before is not None and usb.usb_interfaces != before.usb_interfaces
        )
        management.write(_changes(wanted, now), reboot=restarts, lock_code=held_lock_code(token))

    def _impossible(self, info: DeviceInfo, transport: TRANSPORT) -> str:
        """Why this token cannot be configured so, in words; "" where it can."""
        for one, listed in self._lists.items():
            name = one.name or ""
            has = info.supported_capabilities.get(one, CAPABILITY(0))
            lacking = [application for application in listed if not application.capability & has]
            if lacking:
                return f"it has no {', '.join(lacking)} over {name}"
            off = [applet for applet in self._applets if applet not in listed]
            if one is transport and off:
                return f"the station works over {name}, where {', '.join(off)} would be off"
            if one is TRANSPORT.USB and not (capabilities(listed) & has).usb_interfaces:
                return "its last USB interface would be switched off"
        return ""

    def _wanted(self, info: DeviceInfo) -> DeviceConfig:
        """The whole configuration as it should be: as it is, with what the profile sets."""
        section, now = self._section, _settings(info.config)
        enabled = dict(now.enabled_capabilities)
        for transport, listed in self._lists.items():
            if transport in enabled:  # a token without NFC has nothing to switch off there
                switched = capabilities(listed)
                kept = enabled[transport] & ~_SWITCHED
                if transport is TRANSPORT.USB and not switched.usb_interfaces & USB_INTERFACE.CCID:
                    kept &= ~_SMART_CARD
                enabled[transport] = kept | switched
        flags = now.device_flags or DEVICE_FLAG(0)
        for flag, on in (
            (DEVICE_FLAG.EJECT, section.touch_eject),
            (DEVICE_FLAG.REMOTE_WAKEUP, section.remote_wakeup),
        ):
            if on is not None:
                flags = flags | flag if on else flags & ~flag
        return DeviceConfig(
            enabled_capabilities=enabled,
            auto_eject_timeout=_or(section.auto_eject_timeout, now.auto_eject_timeout),
            challenge_response_timeout=_or(
                section.challenge_response_timeout, now.challenge_response_timeout
            ),
            device_flags=flags,
        )

    def _facts(self, info: DeviceInfo) -> dict[str, Json]:
        """What the token says of everything that the profile sets."""
        section, config = self._section, info.config
        facts: dict[str, Json] = {
            transport.value: applications_on(info, transport) for transport in self._lists
        }
        flags = config.device_flags or DEVICE_FLAG(0)
        for name, wanted, now in (
            ("touchEject", section.touch_eject, bool(flags & DEVICE_FLAG.EJECT)),
            ("remoteWakeup", section.remote_wakeup, bool(flags & DEVICE_FLAG.REMOTE_WAKEUP)),
            ("autoEjectTimeout", section.auto_eject_timeout, config.auto_eject_timeout),
            (
                "challengeResponseTimeout",
                section.challenge_response_timeout,
                config.challenge_response_timeout,
            ),
        ):
            if wanted is not None:
                facts[name] = now
        return facts


def applications_on(info: DeviceInfo, transport: TRANSPORT) -> list[str]:
    """The names of the applications that are on over a transport."""
    enabled = info.config.enabled_capabilities.get(transport, CAPABILITY(0))
    return [str(one) for one in Application if one.capability & enabled]


def _or(wanted: int | None, now: int | None) -> int | None:
    return now if wanted is None else wanted


def _settings(config: DeviceConfig) -> DeviceConfig:
    """What this step sets of a configuration, to be compared."""
    return DeviceConfig(
        enabled_capabilities=dict(config.enabled_capabilities),
        auto_eject_timeout=config.auto_eject_timeout,
        challenge_response_timeout=config.challenge_response_timeout,
        device_flags=config.device_flags or DEVICE_FLAG(0),
    )


def _changes(wanted: DeviceConfig, now: DeviceConfig) -> DeviceConfig:
    """What has to be written: a value that is as it should be is left out."""
    changed = {
        transport: value
        for transport, value in wanted.enabled_capabilities.items()
        if value != now.enabled_capabilities.get(transport)
    }

    def other(new: int | None, old: int | None) -> int | None:
        return None if new == old else new

    flags = other(wanted.device_flags, now.device_flags)
    return DeviceConfig(
        enabled_capabilities=changed,
        auto_eject_timeout=other(wanted.auto_eject_timeout, now.auto_eject_timeout),
        challenge_response_timeout=other(
            wanted.challenge_response_timeout, now.challenge_response_timeout
        ),
        device_flags=None if flags is None else DEVICE_FLAG(flags),
    )
