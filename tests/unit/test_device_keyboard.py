"""Which keyboards are kept, and which are told of; that a grab holds is shown in the guest."""

from __future__ import annotations

from pathlib import Path

from tokenprov.device.keyboard import RIGHTS_LOOKS, Keyboards, Typing
from tokenprov.device.usb import YUBICO, UsbToken


def key(number: int, node: Path) -> UsbToken:
    """A YubiKey whose keyboard has that event node, on its so-many-th insertion."""
    return UsbToken(
        port="1-1",
        number=number,
        vendor=YUBICO,
        product=0x0401,
        name="YubiKey OTP",
        fido=None,
        otp=None,
        keyboards=(node,),
        has_ccid=False,
    )


def test_one_that_cannot_be_taken_is_told_once_an_insertion(tmp_path: Path) -> None:
    """Not before udev had the time to give rights, once then, and again after a re-plug."""
    node = tmp_path / "event3"
    there = [key(1, node)]
    kept = Keyboards(lambda: tuple(there))
    for insertion in (1, 2):
        there[:] = [key(insertion, node)]
        told = [kept.hold() for _ in range(2 * RIGHTS_LOOKS)]
        (at,) = [index for index, one in enumerate(told) if one]
        assert at == RIGHTS_LOOKS - 1
        missing = Typing(place="USB 1-1 YubiKey OTP", node=node, reason="No such file or directory")
        assert told[at] == (missing,)
    kept.close()


def test_what_is_no_keyboard_is_told_and_not_kept_open(tmp_path: Path) -> None:
    """A node that opens and takes no grab is closed again."""
    node = tmp_path / "event3"
    node.write_bytes(b"")
    kept = Keyboards(lambda: (key(1, node),))
    told = [kept.hold() for _ in range(RIGHTS_LOOKS)][-1]
    assert [one.reason for one in told] == ["Inappropriate ioctl for device"]
    opened = [fd.resolve() for fd in Path("/proc/self/fd").iterdir()]
    assert node not in opened
