"""The rules for nodes: who may open what, without them and with them."""

from __future__ import annotations

import grp
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.guest.tests.bench import (
    KEY,
    MEMBER,
    SEATED,
    SECURITY_KEY,
    USERS,
    Bench,
    shell,
    told,
    wait_for,
)
from tokenprov.cli import main
from tokenprov.doctor.rules import GROUP, UDEV_RULES

AsUser = Callable[[str, Callable[[], bool]], bool]
Rights = dict[str, set[str]]  # which users may open a node, by what the node is


def may_open(path: Path) -> bool:
    """Whether this process may read and write there."""
    return os.access(path, os.R_OK | os.W_OK)


def rights(bench: Bench, as_user: AsUser) -> Rights:
    """Who may open the nodes of the key, and the Security Key's."""
    key, security_key = bench.usb(KEY), bench.usb(SECURITY_KEY)
    assert key.fido is not None
    assert key.otp is not None
    assert security_key.fido is not None
    nodes = {
        "fido": key.fido,
        "otp": key.otp,
        "keyboard": key.keyboards[0],
        "security key": security_key.fido,
    }
    return {
        what: {who for who in USERS if as_user(who, partial(may_open, node))}
        for what, node in nodes.items()
    }


@pytest.fixture(scope="module")
def before(bench: Bench, users: dict[str, int]) -> None:
    """No rules of ours."""
    UDEV_RULES.unlink(missing_ok=True)
    shell("udevadm control --reload && udevadm settle")
    bench.pull(KEY, SECURITY_KEY)  # a node keeps the rights that it was given before
    bench.insert(KEY, SECURITY_KEY)


def test_without_the_rules_the_seat_has_fido_alone(
    bench: Bench, before: None, as_user: AsUser
) -> None:
    """The system's own rules give FIDO nodes to the seat, the others to nobody."""
    assert rights(bench, as_user) == {
        "fido": {SEATED},
        "otp": set(),
        "keyboard": set(),
        "security key": {SEATED},
    }


def test_with_the_rules_group_and_seat_have_all(bench: Bench, as_user: AsUser) -> None:
    """Installed by the program, they count at once, and for a token that is plugged in later."""
    told(main, "tokenprov", "doctor", "--install-udev")
    shell(f"usermod -aG {GROUP} {MEMBER}")
    everything = dict.fromkeys(("fido", "otp", "keyboard", "security key"), {MEMBER, SEATED})
    assert rights(bench, as_user) == everything
    bench.pull(KEY)
    bench.insert(KEY)
    wait_for(lambda: rights(bench, as_user) == everything)


def test_rights_are_of_the_mode_and_of_an_acl(bench: Bench) -> None:
    """The group has the node by its mode; the seat has it by an entry of its own."""
    node = bench.usb(KEY).otp
    assert node is not None
    status = node.stat()
    assert grp.getgrgid(status.st_gid).gr_name == GROUP
    assert status.st_mode & 0o777 == 0o660
    acl = shell(f"getfacl --omit-header --absolute-names {node}").split()
    assert f"user:{SEATED}:rw-" in acl
    assert "other::---" in acl


def test_readers_are_kept_awake(bench: Bench) -> None:
    """A token with a smart card is not put to sleep; one without is left as the kernel has it."""
    control = "/sys/bus/usb/devices/{}/power/control"
    assert Path(control.format(bench.usb(KEY).port)).read_text() == "on\n"
    other = Path(control.format(bench.usb(SECURITY_KEY).port))
    other.write_text("auto")
    shell("udevadm trigger --action=change --subsystem-match=usb && udevadm settle")
    assert other.read_text() == "auto\n"
