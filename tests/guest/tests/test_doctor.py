"""What doctor finds wrong on this machine, and that the command it prints mends it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.guest.tests.bench import OUTSIDER, SEATED, Bench, shell, wait_for
from tokenprov.doctor import Finding, State, examine, install
from tokenprov.doctor.rules import POLKIT_RULES, UDEV_RULES, up_to_date

HOME = Path("/tmp/no-station")
AsUser = Callable[[str, Callable[[], dict[str, Finding]]], dict[str, Finding]]
# The policy that pcscd of Debian 13 brings along; polkitd here is asked by it.
POLICY = """<?xml version="1.0"?>
<!DOCTYPE policyconfig PUBLIC "-//freedesktop//DTD PolicyKit Policy Configuration 1.0//EN"
  "http://www.freedesktop.org/standards/PolicyKit/1.0/policyconfig.dtd">
<policyconfig>
  <action id="org.debian.pcsc-lite.access_pcsc">
    <description>Access to the PC/SC daemon</description>
    <message>Authentication is required to access the PC/SC daemon</message>
    <defaults>
      <allow_any>no</allow_any><allow_inactive>no</allow_inactive><allow_active>yes</allow_active>
    </defaults>
  </action>
  <action id="org.debian.pcsc-lite.access_card">
    <description>Access to the smart card</description>
    <message>Authentication is required to access the smart card</message>
    <defaults>
      <allow_any>no</allow_any><allow_inactive>no</allow_inactive><allow_active>yes</allow_active>
    </defaults>
  </action>
</policyconfig>
"""


def look(home: Path = HOME) -> dict[str, Finding]:
    """What doctor finds, by what it is about."""
    return {finding.about: finding for finding in examine(home)}


def mended(command: str) -> None:
    """Do what doctor said, as root, who needs no sudo."""
    shell(command.replace("sudo ", ""))


@pytest.fixture(autouse=True)
def rules(bench: Bench) -> None:
    """The rules are there, and pcscd runs."""
    if not all(up_to_date(path) for path in (UDEV_RULES, POLKIT_RULES)):
        install()
    shell("systemctl start pcscd.socket")


def test_a_station_that_is_well(bench: Bench) -> None:
    """Nothing is bad: pcscd sees the keys, and their nodes may be opened."""
    found = look()
    assert not [one for one in found.values() if one.state is State.BAD]
    assert "with a token" in found["pcscd"].text
    assert found["readers that are gone"].state is State.GOOD


@pytest.mark.parametrize("how", ["stop", "mask --now"])
def test_pcscd_stopped(bench: Bench, how: str) -> None:
    """A service that does not run, or must not, is started."""
    shell(f"systemctl {how} pcscd.socket pcscd.service")
    found = look()["pcscd"]
    assert found.state is State.BAD
    mended(found.mend)
    assert look()["pcscd"].state is State.GOOD


@pytest.mark.parametrize("first", ["pcscd", "scdaemon"])
def test_a_reader_held_by_scdaemon(bench: Bench, first: str) -> None:
    """GnuPG's daemon that sits on a reader, or took it past pcscd, is named, and lets go."""
    shell("gpgconf --kill scdaemon; systemctl stop pcscd.service")
    if first == "pcscd":
        assert look()["readers in use"].state is State.GOOD
    shell("install -d -m 700 ~/.gnupg")
    ask = "gpg-connect-agent 'scd serialno' /bye"
    wait_for(lambda: "ERR" not in shell(ask))  # the agent may still talk to the one that ends
    found = look()["readers in use"]
    assert found.state is State.BAD
    assert "scdaemon" in found.text
    mended(found.mend)
    wait_for(lambda: look()["readers in use"].state is State.GOOD)


def test_nodes_that_may_not_be_opened(bench: Bench, users: dict[str, int], as_user: AsUser) -> None:
    """Who is neither in the group nor at the seat is told to join, and may then."""
    assert as_user(SEATED, look)["nodes of tokens"].state is State.GOOD
    found = as_user(OUTSIDER, look)["nodes of tokens"]
    assert found.state is State.BAD
    assert f"usermod -aG tokenprov {OUTSIDER}" in found.mend
    mended(found.mend)
    assert as_user(OUTSIDER, look)["nodes of tokens"].state is State.GOOD
    shell(f"gpasswd --delete {OUTSIDER} tokenprov")


def test_rules_that_are_missing(bench: Bench) -> None:
    """Missing rules are doubtful for root, and installed by doctor itself."""
    Path("/etc/udev/rules.d/70-tokenprov.rules").unlink()
    found = look()["udev rules"]
    assert found.state is State.DOUBTFUL
    assert found.mend == "tokenprov doctor --install-udev"
    install()
    assert look()["udev rules"].state is State.GOOD


def test_the_polkit_of_newer_debian(bench: Bench, users: dict[str, int], as_user: AsUser) -> None:
    """A real polkitd refuses whoever is away from the seat, until they are of the group."""
    policy = Path("/usr/share/polkit-1/actions/org.debian.pcsc-lite.policy")
    policy.write_text(POLICY)
    shell("systemctl restart polkit.service")
    try:
        assert look()["polkit"].state is State.GOOD
        found = as_user(OUTSIDER, look)["polkit"]
        assert found.state is State.BAD
        mended(found.mend)
        assert as_user(OUTSIDER, look)["polkit"].state is State.GOOD
    finally:
        policy.unlink()
        shell(f"gpasswd --delete {OUTSIDER} tokenprov")


def test_a_wrong_clock(bench: Bench) -> None:
    """A clock years away from the hardware's is set by it."""
    shell("date --set=2020-02-02")
    found = look()["clock"]
    assert found.state is State.BAD
    assert "2020-02-02" in found.text
    mended(found.mend)
    assert look()["clock"].state is not State.BAD


def test_a_disk_that_is_full_or_closed(bench: Bench, tmp_path: Path) -> None:
    """A home without room, on a disk that is read-only, or open to others is told."""
    home = tmp_path / "station"
    home.mkdir(0o755)
    found = look(home)["rights of the station home"]
    assert found.state is State.DOUBTFUL
    mended(found.mend)
    assert look(home)["rights of the station home"].state is State.GOOD
    shell(f"mount -t tmpfs -o size=1m,mode=700 tmpfs {home}")
    try:
        assert "MB are free" in look(home)["disk"].text
        assert look(home)["disk"].state is State.BAD
        shell(f"mount -o remount,ro,size=500m {home}")
        found = look(home)["disk"]
        assert found.state is State.BAD
        mended(found.mend)
        assert look(home)["disk"].state is State.GOOD
    finally:
        shell(f"umount {home}")
