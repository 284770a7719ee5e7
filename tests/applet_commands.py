"""Which commands of a run were for one applet: those between its selection and the next one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

SELECT = b"\x00\xa4\x04"  # ISO/IEC 7816-4, 11.2.2: by name; OATH has another command 00A4
OATH = bytes.fromhex("a0000005272101")
HSMAUTH = bytes.fromhex("a000000527210701")
OPENPGP = bytes.fromhex("d27600012401")


def sent_to(aid: bytes, commands: Sequence[bytes]) -> Iterator[tuple[int, bytes]]:
    """The number of each command for the applet with that AID, and the command; no selections."""
    selected = False
    for number, command in enumerate(commands):
        if command.startswith(SELECT):
            selected = aid in command
        elif selected:
            yield number, command
