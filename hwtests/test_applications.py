"""OATH, OpenPGP and YubiHSM Auth as a profile sets them, with the maker's program as the judge."""

from __future__ import annotations

import re
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from hwtests.bench import Bench
from hwtests.conditions import application, firmware, numbered

pytestmark = [numbered(), application("oath", "openpgp"), firmware(">=5.2")]
PROFILE = """
if-supported = ["hsmauth"]
[oath]
password = {}
[[oath.accounts]]
issuer = "VPN"
digits = 8
[openpgp]
user-pin = { retries = 7 }
[[openpgp.keys]]
slot = "sig"
algorithm = "ed25519"
[hsmauth]
[[hsmauth.credentials]]
label = "operator"
algorithm = "aes128"
"""


def test_oath_gives_the_code_of_the_sealed_seed(issued: Bench) -> None:
    """Behind its password, the code is the one that a server expects."""
    secrets = issued.secrets()
    ask = ("oath", "accounts", "code", "-s", "VPN")
    code = issued.ykman(*ask, input=f"{secrets['oath/password']}\n").split()[-1]
    seed = bytes.fromhex(secrets["oath/account/1/seed"])
    codes = TOTP(seed, 8, hashes.SHA1(), 30, enforce_key_length=False)
    now = int(time.time())
    assert code.encode() in {codes.generate(now), codes.generate(now - 30)}


def test_openpgp_has_the_recorded_key(issued: Bench) -> None:
    """Fingerprint and tries are those of the manifest."""
    said = issued.ykman("openpgp", "keys", "info", "sig")
    fingerprint = issued.facts("openpgp/sig/key")["fingerprint"]
    assert fingerprint in said.replace(" ", "").lower()
    assert re.search(r"PIN tries remaining: +7", issued.ykman("openpgp", "info"))


@application("hsmauth")
@firmware(">=5.4.3")
def test_hsm_auth_has_the_credential(issued: Bench) -> None:
    """It is listed with its algorithm and all its tries."""
    said = issued.ykman("hsmauth", "credentials", "list")
    assert re.search(r"operator\s+Symmetric\s+Off\s+8", said)
