"""What it takes to ask programs from elsewhere."""

from __future__ import annotations

OPENSC = ("pkcs11-tool", "--module", "opensc-pkcs11.so")


def fields(text: str) -> dict[str, str]:
    """The lines "name: value" of a program's output, the last one of each name."""
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}
