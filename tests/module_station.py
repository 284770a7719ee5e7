"""A station that has issued one token behind a PKCS#11 module; made once, copied for each test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from tests.softhsm import SOFTHSM, SoftHsm, built_shim
from tests.stations import Station, make_station
from tokenprov.model import Purpose

PUBLISHED = "12345678"
PROFILE = """
name = "hsm"
[pkcs11]
module = "{module}"
{so_pin}
[[pkcs11.keys]]
id = "01"
label = "login"
algorithm = "eccp256"
certificate = {{ upn = true, usages = ["client-auth"] }}
[[pkcs11.keys]]
id = "02"
label = "signature"
algorithm = "eccp384"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleStation:
    """A station, the tokens that its module sees, and the serial of the one that was issued."""

    station: Station
    hsm: SoftHsm
    module: Path
    profile: Path
    serial: str = ""

    @property
    def environment(self) -> Mapping[str, str]:
        """What leads to the tokens."""
        return self.hsm.environment

    def key(self, purpose: Purpose) -> Path:
        """A custodian's private key."""
        return self.station.home / "custodians" / "private" / f"{purpose}.pem"

    def copied(self, folder: Path) -> ModuleStation:
        """The same, elsewhere: what is done to it leaves this one as it is."""
        shutil.copytree(self.station.home, folder / "station")
        hsm = SoftHsm.create(folder / "hsm")
        shutil.copytree(self.hsm.folder / "tokens", hsm.folder / "tokens", dirs_exist_ok=True)
        return ModuleStation(
            station=Station(home=folder / "station"),
            hsm=hsm,
            module=self.module,
            profile=self.profile,
            serial=self.serial,
        )


def profile_for(folder: Path, module: Path, published: str = PUBLISHED) -> Path:
    """A profile of two keys, one of which has a certificate."""
    so_pin = f'so-pin = {{ published = "{published}" }}' if published else ""
    path = folder / "hsm.toml"
    path.write_text(PROFILE.format(module=module, so_pin=so_pin), encoding="utf-8")
    return path


def issued_behind_a_module(folder: Path, how: str = "") -> ModuleStation:
    """Ada's token behind the module that can misbehave, `how` it does while it is issued.

    It was delivered initialised, or blank where `how` gives it a serial from the beginning.
    """
    module = built_shim(folder)
    hsm = SoftHsm.create(folder / "hsm")
    blank = how == "serial"
    if not blank:
        deliver(hsm)
    profile = profile_for(folder, module, "" if blank else PUBLISHED)
    station = make_station(folder, {})
    made = ModuleStation(station=station, hsm=hsm, module=module, profile=profile)
    with seeing(made, how):
        said = station.tell(*station.batch(profile=profile))
        assert said.code == 0, said.out + said.err
        (entry,) = station.entries()
    return ModuleStation(
        station=station, hsm=hsm, module=module, profile=profile, serial=entry["token"]["serial"]
    )


def deliver(hsm: SoftHsm) -> None:
    """A token as makers deliver them: initialised with an SO PIN that they published."""
    hsm.run(
        *("pkcs11-tool", "--module", str(SOFTHSM), "--init-token", "--slot-index", "0"),
        *("--label", "delivered", "--so-pin", PUBLISHED),
    )


@contextmanager
def seeing(made: ModuleStation, how: str = "") -> Iterator[None]:
    """Commands of this process find its tokens; the module misbehaves so."""
    with mock.patch.dict(os.environ, {**made.environment, "SHIM": how}):
        yield
