"""How a token's serial is known: by its maker for every application or some, or by its own word."""

from __future__ import annotations

import pytest

from tests.stations import Station
from tests.token_under_test import TokenUnderTest

PIV = """[piv]
pin = { length = 8 }
puk = { length = 8 }
management-key = { algorithm = "auto" }

[[piv.keys]]
slot = "9a"
algorithm = "eccp256"
attestation = "required"
"""
CREDENTIAL = """[fido2]
pin = { length = 8 }

[[fido2.credentials]]
rp-id = "login.example.test"
rp-name = "Example Login"
user-name = "{holder.upn}"
"""
ENTERPRISE = f"""{CREDENTIAL}enterprise = true
""".replace("[fido2]", '[fido2]\nenterprise-attestation = "required"')
OTP = """[otp.slot2]
kind = "hmac-sha1"
"""


@pytest.mark.parametrize(
    ("sections", "grade"),
    [
        (PIV, "attested"),
        (PIV + ENTERPRISE, "attested"),
        (PIV + CREDENTIAL, "partly"),
        (CREDENTIAL, "asserted"),
        (OTP, "asserted"),
    ],
    ids=["piv", "piv and enterprise", "piv and credential", "credential", "otp"],
)
def test_grade(station: Station, token: TokenUnderTest, sections: str, grade: str) -> None:
    """The entry grades the token by the attestations that name its serial."""
    path = station.home.with_name("graded.toml")
    path.write_text(f'name = "graded"\ndescription = "x"\n\n{sections}', encoding="utf-8")
    said = station.tell(*station.batch(profile=path))
    assert said.code == 0, said.err + said.out
    assert station.entry_of(token.serial)["token"]["grade"] == grade
    assert station.tell("manifest", "verify").code == 0
