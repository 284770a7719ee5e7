"""People's keys as OpenSSL makes them: both kinds, judged by it, and what is refused."""

import subprocess
from pathlib import Path

import pytest

from tokenprov.errors import InputError, ManifestError
from tokenprov.people import load_public_key
from tokenprov.record.note import VerifierKey, open_note, sign_note
from tokenprov.record.signer import Signer
from tokenprov.record.verifier_key import SignatureType
from tokenprov.signing import opened_key

TEXT = "tokenprov/request/v1\n{}\n"


def openssl(*arguments: str | Path) -> None:
    """Run it; it must succeed."""
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def pair(folder: Path, algorithm: str) -> tuple[Path, Path]:
    """A private and a public key file, made by OpenSSL."""
    private, public = folder / "me.key", folder / "me.pem"
    options = ["-pkeyopt", f"ec_paramgen_curve:{algorithm}"] if algorithm != "ed25519" else []
    name = "EC" if options else algorithm
    openssl("genpkey", "-algorithm", name, *options, "-out", private)
    openssl("pkey", "-in", private, "-pubout", "-out", public)
    return private, public


@pytest.mark.parametrize("algorithm", ["ed25519", "P-256"])
def test_sign_and_verify(tmp_path: Path, algorithm: str) -> None:
    """A note by either kind of key verifies under the key as written down, and not when changed."""
    private, public = pair(tmp_path, algorithm)
    key = VerifierKey.parse(str(load_public_key("ada", public)))
    with opened_key(str(private)) as mine:
        note = sign_note(TEXT, [Signer("ada", mine)]).to_bytes()
    assert open_note(note, [key]).text == TEXT
    with pytest.raises(ManifestError, match="does not verify"):
        open_note(note.replace(b"{}", b"[]"), [key])


def test_openssl_verifies_p256(tmp_path: Path) -> None:
    """OpenSSL takes the signature of a P-256 key over the note's text, and the id is its SPKI's."""
    private, public = pair(tmp_path, "P-256")
    with opened_key(str(private)) as mine:
        (signature,) = sign_note(TEXT, [Signer("ada", mine)]).signatures
    (tmp_path / "sig").write_bytes(signature.signature)
    (tmp_path / "body").write_text(TEXT)
    verify = ["dgst", "-sha256", "-verify", public, "-signature", tmp_path / "sig"]
    openssl(*verify, tmp_path / "body")
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-in", public, "-outform", "DER"],
        check=True,
        capture_output=True,
    ).stdout
    digest = subprocess.run(
        ["openssl", "dgst", "-sha256", "-binary"], input=der, check=True, capture_output=True
    ).stdout
    assert signature.key_id == digest[:4]


@pytest.mark.parametrize("algorithm", ["P-384", "rsa"])
def test_other_algorithms(tmp_path: Path, algorithm: str) -> None:
    """A key that is neither Ed25519 nor on P-256 is nobody's."""
    if algorithm == "rsa":
        openssl("genpkey", "-algorithm", "RSA", "-out", tmp_path / "me.key")
        openssl("pkey", "-in", tmp_path / "me.key", "-pubout", "-out", tmp_path / "me.pem")
    else:
        pair(tmp_path, algorithm)
    with pytest.raises(InputError, match="neither Ed25519 nor on P-256"):
        load_public_key("ada", tmp_path / "me.pem")


def test_files_that_are_none(tmp_path: Path) -> None:
    """A missing file, the private half, and a name that no key can have are told apart."""
    private, public = pair(tmp_path, "ed25519")
    with pytest.raises(InputError, match="cannot be read"):
        load_public_key("ada", tmp_path / "none.pem")
    with pytest.raises(InputError, match="no public key"):
        load_public_key("ada", private)
    with pytest.raises(InputError, match="has a space or a plus sign"):
        load_public_key("ada okonkwo", public)


def test_key_on_another_curve_is_no_verifier_key(tmp_path: Path) -> None:
    """The one-line form of an ECDSA key holds a key on P-256 in its only spelling."""
    _, public = pair(tmp_path, "P-256")
    key = load_public_key("ada", public)
    assert key.type is SignatureType.ECDSA
    longer = VerifierKey(name="ada", type=key.type, key=key.key + b"\0")
    with pytest.raises(ManifestError, match="a key of type 2"):
        VerifierKey.parse(str(longer))
