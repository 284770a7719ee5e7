"""Signed notes and checkpoints, against published notes, refusals one by one."""

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, x25519

from tokenprov.errors import ManifestError, StationError
from tokenprov.record.checkpoint import Checkpoint
from tokenprov.record.note import open_note, parse_note, sign_note
from tokenprov.record.signer import KeyInMemory, Signer
from tokenprov.record.verifier_key import VerifierKey

# The example in the documentation of golang.org/x/mod/sumdb/note.
PETER_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb"
    "6KE6RyyBwJnAM=\n"
)
# The example of https://c2sp.org/tlog-checkpoint.
SOFA = (
    "example.com/behind-the-sofa\n"
    "20852163\n"
    "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    "\n"
    "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2"
    "q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
)


@pytest.fixture
def signer() -> Signer:
    """A station's signing key, never stored."""
    return Signer("station.example/a", KeyInMemory(private=ed25519.Ed25519PrivateKey.generate()))


def test_published_note() -> None:
    """Go's own example verifies under its key."""
    note = open_note(PETER_NOTE.encode(), [VerifierKey.parse(PETER_KEY)])
    assert note.text.startswith("If you think")
    assert note.to_bytes() == PETER_NOTE.encode()


def test_published_note_changed() -> None:
    """One letter changed, and the known key's signature refuses the note."""
    changed = PETER_NOTE.replace("answer", "Answer").encode()
    with pytest.raises(ManifestError, match="does not verify") as caught:
        open_note(changed, [VerifierKey.parse(PETER_KEY)])
    assert caught.value.rule == "signature"


def test_verifier_key_text() -> None:
    """A verifier key is written as it was read."""
    assert str(VerifierKey.parse(PETER_KEY)) == PETER_KEY


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PeterNeumann",
        PETER_KEY.replace("c74f20a3", "c74f20a4"),
        PETER_KEY.replace("c74f20a3", "C74F20A3"),
        PETER_KEY.replace("Peter", "Pater"),
        PETER_KEY + "\n",
        PETER_KEY.replace("+ARpc", "+AhRc"),  # another type byte
        "a b+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ],
)
def test_verifier_key_refusals(text: str) -> None:
    """A verifier key with another spelling, id or type is refused."""
    with pytest.raises(ManifestError):
        VerifierKey.parse(text)


def test_unknown_signatures_are_ignored(signer: Signer) -> None:
    """A stranger's signature neither helps nor harms, even under the same name."""
    stranger = Signer(
        signer.verifier.name, KeyInMemory(private=ed25519.Ed25519PrivateKey.generate())
    )
    data = sign_note("text\n", [stranger, signer]).to_bytes()
    note = open_note(data, [signer.verifier])
    assert [s.key_id for s in note.signatures] == [signer.verifier.key_id]
    with pytest.raises(ManifestError, match="no signature by a known key"):
        open_note(sign_note("text\n", [stranger]).to_bytes(), [signer.verifier])


def test_bad_known_signature_refuses(signer: Signer) -> None:
    """One good signature does not make up for a known key's bad one."""
    other = Signer("other", KeyInMemory(private=ed25519.Ed25519PrivateKey.generate()))
    good = sign_note("text\n", [signer, other]).to_bytes()
    bad_line = str(sign_note("texT\n", [other]).signatures[0])
    good_line = str(parse_note(good).signatures[1])
    bad = good.replace(good_line.encode(), bad_line.encode())
    assert len(open_note(good, [signer.verifier, other.verifier]).signatures) == 2
    with pytest.raises(ManifestError, match="by other does not verify"):
        open_note(bad, [signer.verifier, other.verifier])


def test_text_may_hold_blank_lines(signer: Signer) -> None:
    """The last blank line ends the text."""
    data = sign_note("a\n\nb\n", [signer]).to_bytes()
    assert open_note(data, [signer.verifier]).text == "a\n\nb\n"


@pytest.mark.parametrize("text", ["no newline", "tab\there\n", "cr\r\n"])
def test_texts_that_cannot_be_signed(signer: Signer, text: str) -> None:
    """What no reader would accept is not signed."""
    with pytest.raises(ManifestError):
        sign_note(text, [signer])


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("\n\n", "\n", "no blank line"),
        ("AJnAM=\n", "", "no newline at the end"),
        ("— ", "- ", "em dash"),
        ("PeterNeumann x08", "Peter+Neumann x08", "name base64"),
        ("PeterNeumann x08", " x08", "name base64"),
        ("nAM=", "nAM", "name base64"),
        ("nAM=", "nAN=", "name base64"),  # an unused bit set
        ("problem", "prob\x07lem", "control character"),
    ],
)
def test_note_refusals(old: str, new: str, why: str) -> None:
    """Each departure from the form is refused by its reason."""
    data = PETER_NOTE.replace(old, new) if new or old != "AJnAM=\n" else PETER_NOTE[:-1]
    with pytest.raises(ManifestError, match=why):
        parse_note(data.encode())


def test_note_limits(signer: Signer) -> None:
    """No more than a hundred signatures, a megabyte, and UTF-8."""
    line = str(sign_note("t\n", [signer]).signatures[0])
    parse_note(("t\n\n" + line * 100).encode())
    for data in (("t\n\n" + line * 101).encode(), bytes(1_000_001), b"\xff\n\n"):
        with pytest.raises(ManifestError):
            parse_note(data)


def test_key_file(tmp_path: Path) -> None:
    """A signing key is stored 0600, once, and gives the same public key when loaded."""
    path = tmp_path / "signing.pem"
    key = KeyInMemory.generate(path)
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert KeyInMemory.load(path).public == key.public
    with pytest.raises(FileExistsError):
        KeyInMemory.generate(path)


def test_key_file_refusals(tmp_path: Path) -> None:
    """A key that others can read, that is none, of another kind or missing is refused."""
    path = tmp_path / "signing.pem"
    with pytest.raises(StationError, match="cannot be read"):
        KeyInMemory.load(path)
    KeyInMemory.generate(path)
    path.chmod(0o640)
    with pytest.raises(StationError, match="0640"):
        KeyInMemory.load(path)
    path.chmod(0o600)
    path.write_bytes(b"no key")
    with pytest.raises(StationError, match="PKCS#8"):
        KeyInMemory.load(path)
    path.write_bytes(
        x25519.X25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    with pytest.raises(StationError, match="no key that signs"):
        KeyInMemory.load(path)


def test_published_checkpoint() -> None:
    """The example of tlog-checkpoint is read and written back."""
    checkpoint = Checkpoint.parse(parse_note(SOFA.encode()).text)
    assert checkpoint.origin == "example.com/behind-the-sofa"
    assert checkpoint.size == 20_852_163
    assert checkpoint.root.hex().startswith("0ac5186a")
    assert SOFA.startswith(checkpoint.text() + "\n")


def test_checkpoint_extensions() -> None:
    """Extension lines are kept as they are."""
    text = "o\n0\n" + "A" * 43 + "=\nmore\n"
    checkpoint = Checkpoint.parse(text)
    assert checkpoint.extensions == ("more",)
    assert checkpoint.text() == text


@pytest.mark.parametrize(
    "text",
    [
        "o\n1\n",
        "\n1\n" + "A" * 43 + "=\n",
        "o\n01\n" + "A" * 43 + "=\n",
        "o\n-1\n" + "A" * 43 + "=\n",
        "o\n\u0661\n" + "A" * 43 + "=\n",
        "o\n9223372036854775808\n" + "A" * 43 + "=\n",
        "o\n1\n" + "A" * 40 + "\n",
        "o\n1\n" + "A" * 42 + "B=\n",
        "o\n1\n" + "A" * 43 + "=\n\n",
        "o\n1\n" + "A" * 43 + "=",
    ],
)
def test_checkpoint_refusals(text: str) -> None:
    """A checkpoint with a missing line, another spelling of the size or the root is refused."""
    with pytest.raises(ManifestError):
        Checkpoint.parse(text)
