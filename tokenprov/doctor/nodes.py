"""Nodes of tokens: whether this user may open them, and whether the rules for that are there."""

from __future__ import annotations

import os
from collections.abc import Iterator

from tokenprov.device.usb import usb_tokens
from tokenprov.doctor.finding import Finding, as_root, bad, doubtful, good
from tokenprov.doctor.rules import INSTALL, UDEV_RULES, joining, up_to_date

ABOUT, RULES = "nodes of tokens", "udev rules"


def look() -> Iterator[Finding]:
    """Try each node's rights; nothing is opened."""
    nodes = [(token, node) for token in usb_tokens() for node in (*token.nodes, *token.keyboards)]
    closed = [
        f"{node} ({token.name or token.port})"
        for token, node in nodes
        if not os.access(node, os.R_OK | os.W_OK)
    ]
    if closed:
        yield bad(ABOUT, f"this user may not open {', '.join(closed)}", joining(UDEV_RULES))
    elif nodes:
        yield good(ABOUT, f"{len(nodes)}, and this user may open them")
    else:
        yield good(ABOUT, "no token with such a node is plugged in")
    if not UDEV_RULES.parent.is_dir():
        return
    if up_to_date(UDEV_RULES):
        yield good(RULES, f"{UDEV_RULES} is there")
    else:
        yield doubtful(RULES, f"{UDEV_RULES} is missing or of another version", as_root(INSTALL))
