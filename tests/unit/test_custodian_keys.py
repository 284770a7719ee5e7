"""Custodians' keys outside of files: HPKE by an exchange alone, and the URIs that name a key."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import ec

from tokenprov.errors import EscrowError, InputError
from tokenprov.pkcs11.uri import Pkcs11Uri
from tokenprov.record.custodian_key import generate_custodian, private_from_pem
from tokenprov.record.hpke import open_by_exchange

SUITE = hpke.Suite(hpke.KEM.P256, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
PRIVATE = ec.generate_private_key(ec.SECP256R1())


def exchange(point: bytes) -> bytes:
    """What a device does: the Diffie-Hellman and nothing else."""
    peer = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    return PRIVATE.exchange(ec.ECDH(), peer)


def test_what_the_library_seals_is_opened_by_an_exchange() -> None:
    """Messages of every length up to some blocks, under contexts of some lengths."""
    for length in (0, 1, 15, 16, 17, 65):
        for info in (b"", b"i" * 300):
            message = bytes(range(length))
            sealed = SUITE.encrypt(message, PRIVATE.public_key(), info=info)
            assert open_by_exchange(sealed, info, PRIVATE.public_key(), exchange) == message


def test_a_changed_message_does_not_open() -> None:
    """Nor one under another context, nor one to another key, nor one whose point is none."""
    sealed = SUITE.encrypt(b"48151623", PRIVATE.public_key(), info=b"a")
    own = PRIVATE.public_key()
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    with pytest.raises(InvalidTag):
        open_by_exchange(sealed, b"b", own, exchange)
    with pytest.raises(InvalidTag):
        open_by_exchange(sealed[:-1] + bytes([sealed[-1] ^ 1]), b"a", own, exchange)
    with pytest.raises(InvalidTag):
        open_by_exchange(sealed, b"a", other, exchange)
    with pytest.raises(InvalidTag):
        open_by_exchange(b"\4" + bytes(64) + sealed[65:], b"a", own, exchange)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "pkcs11:token=My%20HSM;object=help-desk?module-path=/usr/lib/a.so&pin-source=file:/p",
            {
                "token": "My HSM",
                "object": "help-desk",
                "module_path": Path("/usr/lib/a.so"),
                "pin_source": Path("/p"),
            },
        ),
        ("pkcs11:id=%01%ff;serial=12ab;type=private", {"id": b"\x01\xff", "serial": "12ab"}),
        (
            "pkcs11:model=SoftHSM%20v2;manufacturer=SoftHSM;token=a;object=b?pin-source=/run/pin",
            {
                "model": "SoftHSM v2",
                "manufacturer": "SoftHSM",
                "token": "a",
                "object": "b",
                "pin_source": Path("/run/pin"),
            },
        ),
    ],
)
def test_uris(text: str, expected: dict[str, object]) -> None:
    """Each attribute comes out decoded (RFC 7512, 2.3), and what was not named is None."""
    found = dataclasses.asdict(Pkcs11Uri.parse(text))
    assert {name: value for name, value in found.items() if value is not None} == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("help-desk.pem", "begin with pkcs11:"),
        ("pkcs11:token=a", "names no key"),
        ("pkcs11:object=a", "names no token"),
        ("pkcs11:token=a;object=b;type=cert", "type is not private"),
        ("pkcs11:token=a;object=b;token=c", "token stands twice"),
        ("pkcs11:token=a;object=b;slot-id=1", "'slot-id' is no attribute"),
        ("pkcs11:token=a;object", "'object' is no attribute"),
        ("pkcs11:token=a;object=b?pin-value=1234", "pin-value is not taken"),
        ("pkcs11:token=a;object=b?module-name=x", "module-name is not taken"),
    ],
)
def test_uris_that_are_refused(text: str, why: str) -> None:
    """What could name another key, or would put a PIN on the command line, is refused."""
    with pytest.raises(InputError, match=why):
        Pkcs11Uri.parse(text)


def test_the_public_half_in_the_place_of_the_private_one_is_told() -> None:
    """It is no wrong passphrase."""
    private, public = generate_custodian()
    assert private_from_pem(private)
    with pytest.raises(EscrowError, match="public half") as refused:
        private_from_pem(public)
    assert "private half" in refused.value.remedy
