"""OATH, OpenPGP and YubiHSM Auth in one profile, over secure channels as without."""

from __future__ import annotations

from pathlib import Path

import pytest
from yubikit.hsmauth import HsmAuthSession
from yubikit.oath import OathSession
from yubikit.openpgp import OpenPgpSession

from tests.in_process import Desk

SECURED = 0x04  # bit of the class byte (GPC 11.1.4)
PROFILE = """
[oath]
password = {}
[[oath.accounts]]
issuer = "VPN"
[openpgp]
reset-code = {}
[[openpgp.keys]]
slot = "sig"
algorithm = "ed25519"
[hsmauth]
[[hsmauth.credentials]]
label = "operator"
algorithm = "aes128"
"""


@pytest.mark.parametrize("protocol", ["scp03", "scp11b"])
def test_over_a_channel(protocol: str, tmp_path: Path) -> None:
    """All is set, and no PIN, seed or key goes to the token in plain text."""
    desk = Desk(tmp_path, "yubikey-5.7.4")
    entry = desk.run(f'[secure-channel]\nprotocol = "{protocol}"\n{PROFILE}')
    assert {step["state"] for step in entry["steps"]} == {"match"}
    sealed = desk.sealed()
    assert len(sealed) == 8
    sent = b"".join(desk.commands)
    assert not [name for name, value in sealed.items() if value in sent]
    assert sum(bool(command[0] & SECURED) for command in desk.commands) > 50
    oath = OathSession(desk.connect())
    oath.validate(oath.derive_key(sealed["oath/password"].decode()))
    assert len(oath.list_credentials()) == 1
    openpgp = OpenPgpSession(desk.connect())
    openpgp.verify_admin(sealed["openpgp/admin-pin"].decode())
    assert len(HsmAuthSession(desk.connect()).list_credentials()) == 1


def test_without_a_channel_they_do(tmp_path: Path) -> None:
    """The test above can fail: in plain text the same secrets are seen on the wire."""
    desk = Desk(tmp_path, "yubikey-5.7.4")
    desk.run(PROFILE)
    sent = b"".join(desk.commands)
    seen = {name for name, value in desk.sealed().items() if value in sent}
    assert seen >= {"oath/account/1/seed", "openpgp/user-pin", "hsmauth/management-key"}
