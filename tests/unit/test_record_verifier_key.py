"""Keys that sign notes: each kind by the standard alone, and what cannot be one."""

from __future__ import annotations

import base64
import hashlib
import struct
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tokenprov.errors import ManifestError
from tokenprov.record.note import open_note, sign_note
from tokenprov.record.signer import Cosigner, KeyInMemory, PrivateKey, Signer
from tokenprov.record.verifier_key import SignatureType, VerifierKey

TEXT = "log.example\n3\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
AT = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
P256 = ec.generate_private_key(ec.SECP256R1())
ED25519 = ed25519.Ed25519PrivateKey.generate()
ML_DSA = mldsa.MLDSA44PrivateKey.generate()


def cosigner(key: PrivateKey, name: str = "w.example") -> Cosigner:
    """A witness with that key, at a time of the test's."""
    return Cosigner(name, KeyInMemory(private=key), lambda: AT)


@pytest.mark.parametrize(
    ("signer", "kind"),
    [
        (Signer("a", KeyInMemory(private=ED25519)), SignatureType.ED25519),
        (Signer("a", KeyInMemory(private=P256)), SignatureType.ECDSA),
        (cosigner(ED25519), SignatureType.COSIGNATURE),
        (cosigner(P256), SignatureType.ECDSA),
        (cosigner(ML_DSA), SignatureType.COSIGNATURE_ML_DSA),
    ],
)
def test_every_kind_signs(signer: Signer | Cosigner, kind: SignatureType) -> None:
    """The key reads back from its line; its signature holds, and not for another text or name."""
    key = VerifierKey.parse(str(signer.verifier))
    assert (key, key.type) == (signer.verifier, kind)
    note = sign_note(TEXT, [signer])
    assert len(open_note(note.to_bytes(), [key]).signatures) == 1
    with pytest.raises(ManifestError, match="does not verify"):
        open_note(note.to_bytes().replace(b"\n3\n", b"\n4\n"), [key])
    (line,) = note.signatures
    for cut in (line.signature[:-1], line.signature[1:], b"", line.signature[:8]):
        assert not key.verify(TEXT.encode(), cut)
    assert not key.verify(b"no checkpoint", line.signature)


def test_p256_by_openssl(tmp_path: Path) -> None:
    """OpenSSL takes the signature as it stands; the key id is of the key alone (signed-note)."""
    signer = Signer("station.example", KeyInMemory(private=P256))
    der = P256.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    (line,) = sign_note(TEXT, [signer]).signatures
    assert line.key_id == hashlib.sha256(der).digest()[:4]
    for name, data in (("body", TEXT.encode()), ("sig", line.signature), ("key.der", der)):
        (tmp_path / name).write_bytes(data)
    command = "openssl dgst -sha256 -verify key.der -keyform DER -signature sig body"
    done = subprocess.run(command.split(), cwd=tmp_path, capture_output=True, check=False)
    assert done.stdout == b"Verified OK\n", done


def test_ml_dsa_by_the_standard_alone() -> None:
    """The signature is over label, name, time, origin, range and root (tlog-cosignature)."""
    (line,) = sign_note(TEXT, [cosigner(ML_DSA)]).signatures
    time = int(AT.timestamp())
    assert line.signature[:8] == struct.pack(">Q", time)
    signed = b"subtree/v1\n\0" + b"\x09w.example" + struct.pack(">Q", time) + b"\x0blog.example"
    signed += struct.pack(">QQ", 0, 3) + base64.b64decode(TEXT.split("\n")[2])
    ML_DSA.public_key().verify(line.signature[8:], signed)
    raw = ML_DSA.public_key().public_bytes_raw()
    assert line.key_id == hashlib.sha256(b"w.example\n\x06" + raw).digest()[:4]


@pytest.mark.parametrize("key", [ec.generate_private_key(ec.SECP384R1()), ML_DSA])
def test_other_keys_do_not_sign(key: PrivateKey) -> None:
    """A curve that no verifier knows, and ML-DSA where no time is signed, are refused."""
    with pytest.raises(ManifestError, match="on P-256"):
        Signer("a", KeyInMemory(private=key))


@pytest.mark.parametrize("name", ["", "a b", "a+b"])
def test_names_that_no_key_can_have(name: str) -> None:
    """A name that would not stand in a signature line is refused before anything is signed."""
    with pytest.raises(ManifestError) as caught:
        Signer(name, KeyInMemory(private=ED25519))
    assert caught.value.rule == "key-name"


def test_other_spellings_of_p256() -> None:
    """A compressed point, another curve and trailing bytes are no verifier key."""
    public = P256.public_key()
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    other = ec.generate_private_key(ec.SECP384R1()).public_key()
    short = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200")
    for wrong in (
        der + b"\0",
        other.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        short + public.public_bytes(Encoding.X962, PublicFormat.CompressedPoint),
        bytes(91),
    ):
        text = str(VerifierKey(name="a", type=SignatureType.ECDSA, key=wrong))
        with pytest.raises(ManifestError, match="a key of type 2"):
            VerifierKey.parse(text)
