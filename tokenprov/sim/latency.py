"""How long a real key takes, as a table: a model for benches, not a measurement of one key.

Seconds for each operation that applets name to `Body.spend`. Orders of magnitude are those of a
YubiKey 5 over USB CCID: a round trip of some milliseconds, elliptic curves in tenths of a second,
RSA key generation in seconds (with its great spread left out, so that benches repeat).
"""

from __future__ import annotations

from collections.abc import Mapping

REAL_KEY: Mapping[str, float] = {
    "apdu": 0.004,  # any command: USB round trip and parsing
    "pin": 0.020,
    "otp-write": 0.030,
    "hmac": 0.010,
    "write": 0.030,  # an object or a setting into flash
    "p256": 0.120,
    "p384": 0.250,
    "ed25519": 0.100,
    "x25519": 0.100,
    "rsa1024": 0.060,
    "rsa2048": 0.180,
    "rsa3072": 0.420,
    "rsa4096": 0.850,
    "generate-p256": 0.180,
    "generate-p384": 0.300,
    "generate-ed25519": 0.150,
    "generate-x25519": 0.150,
    "generate-rsa1024": 1.2,
    "generate-rsa2048": 6.0,
    "generate-rsa3072": 18.0,
    "generate-rsa4096": 45.0,
}
