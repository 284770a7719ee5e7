"""tokenprov: a hardware-token provisioning toolkit.

Seal, write, read back, record: see docs/design.md for the way of the data.
"""

__version__ = "0.1.0"
