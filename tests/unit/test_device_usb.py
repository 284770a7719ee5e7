"""Tokens on USB as they are read from sysfs: which device is one, and which node is what."""

from __future__ import annotations

from pathlib import Path

import pytest

from tokenprov.device.hid import OTHER_SERVICE, plugged_in
from tokenprov.device.usb import first_usage, usb_tokens
from tokenprov.sim.usb.descriptors import FIDO_REPORTS, KEYBOARD_REPORTS

MOUSE = bytes.fromhex("05010902a1010901a100c0c0")


class Sysfs:
    """A part of /sys, written as the kernel has it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.devices = folder / "bus/usb/devices"
        self.devices.mkdir(parents=True)
        self._hidraw = 0

    def plug(self, port: str, vendor: int, *interfaces: bytes | None, number: int = 7) -> None:
        """A device with HID interfaces of these report descriptors; None is a smart card."""
        device = self.devices / port
        device.mkdir()
        for name, text in (
            ("idVendor", f"{vendor:04x}"),
            ("idProduct", "0407"),
            ("devnum", str(number)),
            ("product", "A token"),
            ("bNumInterfaces", f" {len(interfaces)}"),
        ):
            (device / name).write_text(text + "\n")
        for index, reports in enumerate(interfaces):
            interface = device / f"{port}:1.{index}"
            interface.mkdir()
            (interface / "bInterfaceClass").write_text("0b\n" if reports is None else "03\n")
            if reports is not None:
                hid = interface / f"0003:{vendor:04X}:0407.{index:04X}"
                (hid / "hidraw" / f"hidraw{self._hidraw}").mkdir(parents=True)
                (hid / "input/input4/event3").mkdir(parents=True)
                (hid / "report_descriptor").write_bytes(reports)
                self._hidraw += 1


def test_the_nodes_of_a_key_are_one_token(tmp_path: Path) -> None:
    """A keyboard, a FIDO node and a smart card of one device are one token, with its nodes."""
    sysfs = Sysfs(tmp_path)
    sysfs.plug("1-2", 0x1050, KEYBOARD_REPORTS, FIDO_REPORTS, None)
    (token,) = usb_tokens(tmp_path)
    assert (token.otp, token.fido) == (Path("/dev/hidraw0"), Path("/dev/hidraw1"))
    assert token.keyboards == (Path("/dev/input/event3"),)
    assert token.has_ccid
    assert (token.port, token.number, token.reader) == ("1-2", 7, "USB 1-2 A token")


def test_one_that_the_kernel_is_at_is_looked_at_again(tmp_path: Path) -> None:
    """With an interface that is not there yet it is no token; what it is once all are, it stays."""
    sysfs = Sysfs(tmp_path)
    sysfs.plug("1-2", 0x1050, FIDO_REPORTS, None)
    late = sysfs.devices / "1-2" / "1-2:1.1"
    late.rename(tmp_path / "late")
    assert usb_tokens(tmp_path) == ()
    (tmp_path / "late").rename(late)
    (token,) = usb_tokens(tmp_path)
    assert token.has_ccid
    assert usb_tokens(tmp_path) == (token,)


def test_another_one_in_the_same_place_is_another_token(tmp_path: Path) -> None:
    """What was read of the one before says nothing about it, though the number comes again."""
    sysfs = Sysfs(tmp_path)
    sysfs.plug("1-2", 0x1050, KEYBOARD_REPORTS, None)
    (before,) = usb_tokens(tmp_path)
    (sysfs.devices / "1-2").rename(tmp_path / "pulled")
    assert usb_tokens(tmp_path) == ()
    sysfs.plug("1-2", 0x1050, FIDO_REPORTS)
    (after,) = usb_tokens(tmp_path)
    assert (before.number, before.has_ccid) == (after.number, True)
    assert not after.has_ccid


def test_what_is_a_token(tmp_path: Path) -> None:
    """Any maker's FIDO node is one; a keyboard and a reader of another maker are not, nor is a
    YubiHSM, which is Yubico's and has neither smart card nor HID node.
    """
    sysfs = Sysfs(tmp_path)
    sysfs.plug("1-1", 0x1050, FIDO_REPORTS)
    sysfs.plug("1-2", 0x20A0, FIDO_REPORTS, None)
    sysfs.plug("1-3", 0x046D, KEYBOARD_REPORTS, MOUSE)
    sysfs.plug("1-4", 0x076B, None)
    sysfs.plug("1-5", 0x1050)
    one, other = usb_tokens(tmp_path)
    assert (one.port, one.has_ccid, one.otp) == ("1-1", False, None)
    assert (other.port, other.has_ccid, other.vendor) == ("1-2", True, 0x20A0)


def test_a_device_that_goes_while_it_is_read(tmp_path: Path) -> None:
    """Half a device, as it is seen at the moment of a pull, is passed over."""
    sysfs = Sysfs(tmp_path)
    sysfs.plug("1-1", 0x1050, FIDO_REPORTS)
    (sysfs.devices / "1-1/devnum").unlink()
    assert usb_tokens(tmp_path) == ()


@pytest.mark.parametrize(
    ("descriptor", "usage"),
    [
        (FIDO_REPORTS, (0xF1D0, 1)),
        (KEYBOARD_REPORTS, (1, 6)),
        (b"", None),
        (b"\x09\x06", None),
        (bytes.fromhex("07d0f100000901"), (0xF1D0, 1)),
    ],
)
def test_usages(descriptor: bytes, usage: tuple[int, int] | None) -> None:
    """The first usage, with its page in an item of any size."""
    assert first_usage(descriptor) == usage


def test_a_rehearsal_sees_no_token_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is led to a private pcscd does not look at the machine's USB."""
    monkeypatch.setenv(OTHER_SERVICE, "/nowhere")
    monkeypatch.setattr("tokenprov.device.hid.usb_tokens", lambda: pytest.fail("it looked"))
    assert plugged_in() == ()
