"""What it takes to ask programs from elsewhere."""

from __future__ import annotations

# Of the maker's attestations: https://developers.yubico.com/PIV/Introduction/PIV_attestation.html
MAKER = "1.3.6.1.4.1.41482.3"
OPENSC = ("pkcs11-tool", "--module", "opensc-pkcs11.so")


def fields(text: str) -> dict[str, str]:
    """The lines "name: value" of a program's output, the last one of each name."""
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}
