"""A drill works on a copy of the home, and asks nobody outside for anything."""

from __future__ import annotations

import pytest

from tokenprov.errors import IssuerError
from tokenprov.lifecycle.drill.copy import _require_local
from tokenprov.profile import parse_profile

PIV = """
[[piv.keys]]
slot = "9a"
algorithm = "eccp256"
certificate = {{ issuer = "{issuer}", usages = ["client-auth"] }}
"""
PKCS11 = """
[pkcs11]
module = "softhsm2"
[[pkcs11.keys]]
id = "01"
label = "login"
algorithm = "eccp256"
certificate = {{ issuer = "{issuer}", usages = ["client-auth"] }}
"""


@pytest.mark.parametrize("keys", [PIV, PKCS11], ids=["piv", "pkcs11"])
@pytest.mark.parametrize("issuer", ["local", "local:desk", "cmp+http://ca.example.test/pkix/"])
def test_an_authority_elsewhere_is_not_asked(keys: str, issuer: str) -> None:
    """Else a rehearsal would issue and revoke in earnest."""
    profile = parse_profile(f'name = "test"\n{keys.format(issuer=issuer)}'.encode(), "test")
    if issuer.startswith("local"):
        _require_local(profile)
        return
    with pytest.raises(IssuerError, match="which a drill does not ask"):
        _require_local(profile)
