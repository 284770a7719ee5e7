"""PKCS#11 modules behind their worker process: SoftHSM, and one around it that misbehaves."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from tests.softhsm import SOFTHSM, SoftHsm, built_shim
from tokenprov.errors import (
    AuthenticationFailed,
    InputError,
    NotSupported,
    TokenError,
    TokenGone,
    TokenReset,
    WrongToken,
)
from tokenprov.pkcs11 import Module, Pkcs11Uri, TokenInfo, module_key
from tokenprov.pkcs11.values import Algorithm
from tokenprov.secret import Secret

SO_PIN, PIN = Secret("9182736450"), Secret("50463728")
MESSAGE = b"what is signed"
GET_TOKEN_INFO, LOGIN, FIND_OBJECTS_INIT, SIGN = 6, 18, 26, 43  # places in CK_FUNCTION_LIST


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The module that misbehaves, compiled."""
    return built_shim(tmp_path_factory.mktemp("shim"))


@pytest.fixture
def hsm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SoftHsm:
    """SoftHSM with a blank token."""
    made = SoftHsm.create(tmp_path / "hsm")
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("SHIM", raising=False)
    return made


@pytest.fixture
def softhsm(hsm: SoftHsm) -> Iterator[Module]:
    """Its own module."""
    with Module(SOFTHSM) as module:
        yield module


def made_token(module: Module, label: str = "T") -> TokenInfo:
    """Initialise the blank token and give it a user PIN."""
    (blank,) = [one for one in module.tokens() if not one.initialised]
    module.initialise(blank, label, SO_PIN)
    (token,) = [one for one in module.tokens() if one.label == label]
    module.set_user_pin(token.serial, SO_PIN, PIN)
    return token


def verify(spki: bytes, signature: bytes) -> None:
    """Check a signature as anybody does. Raises InvalidSignature."""
    match load_der_public_key(spki):
        case rsa.RSAPublicKey() as key:
            key.verify(signature, MESSAGE, padding.PKCS1v15(), hashes.SHA256())
        case ec.EllipticCurvePublicKey() as key:
            hashing = hashes.SHA384() if key.curve.key_size == 384 else hashes.SHA256()
            key.verify(signature, MESSAGE, ec.ECDSA(hashing))
        case ed25519.Ed25519PublicKey() as key:
            key.verify(signature, MESSAGE)
        case other:
            pytest.fail(f"{other} is no key that is made here")


def test_keys_of_each_algorithm(softhsm: Module, hsm: SoftHsm) -> None:
    """Each is made, never leaves the token, signs, and has its certificate beside it."""
    token = made_token(softhsm)
    for number, algorithm in enumerate(
        (Algorithm.RSA2048, Algorithm.ECCP256, Algorithm.ECCP384, Algorithm.ED25519), start=1
    ):
        id, label = bytes([number]), str(algorithm)
        pair = softhsm.generate(token.serial, PIN, algorithm, id=id, label=label)
        signature = softhsm.sign(token.serial, PIN, pair.public, MESSAGE, id=id)
        verify(pair.spki, signature)
        found = softhsm.objects(token, PIN)
        (private,) = found.of("PRIVATE_KEY", id)
        assert private.safe == {
            "sensitive": True,
            "extractable": False,
            "local": True,
            "always_sensitive": True,
            "never_extractable": True,
        }
        (public,) = found.of("PUBLIC_KEY", id)
        assert public.public == pair.public
    assert not softhsm.objects(token).of("PRIVATE_KEY")  # without the PIN
    listed = hsm.run(
        *("pkcs11-tool", "--module", str(SOFTHSM), "--token-label", "T", "--list-objects")
    )
    assert listed.count("Public Key Object") == 4


def test_no_pin_where_others_can_look(softhsm: Module, hsm: SoftHsm) -> None:
    """While it works, no process has a PIN in its arguments or environment."""
    token = made_token(softhsm)
    softhsm.generate(token.serial, PIN, Algorithm.ECCP256, id=b"\1", label="x")
    seen = b""
    for process in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            try:
                seen += (process / name).read_bytes()
            except OSError:  # another user's, or gone meanwhile
                continue
    assert b"tokenprov.pkcs11.worker" in seen
    assert SO_PIN.reveal() not in seen
    assert PIN.reveal() not in seen


def test_wrong_pins(softhsm: Module) -> None:
    """A wrong PIN is refused as one, and leaves the module usable and no session behind."""
    token = made_token(softhsm)
    for _ in range(3):
        with pytest.raises(AuthenticationFailed, match="the PIN was refused"):
            softhsm.log_in(token.serial, Secret("00000000"))
    softhsm.log_in(token.serial, PIN)
    with pytest.raises(AuthenticationFailed):
        softhsm.change_so_pin(token.serial, Secret("00000000"), PIN)
    softhsm.change_so_pin(token.serial, SO_PIN, Secret("1029384756"))
    softhsm.log_in_officer(token.serial, Secret("1029384756"))


def test_initialised_again_it_is_empty(softhsm: Module) -> None:
    """It takes the SO PIN that is in force, keeps its serial, and nothing else."""
    token = made_token(softhsm)
    softhsm.generate(token.serial, PIN, Algorithm.ECCP256, id=b"\1", label="x")
    with pytest.raises(AuthenticationFailed):
        softhsm.initialise(token, "U", Secret("00000000"))
    assert softhsm.objects(token, PIN).objects
    softhsm.initialise(token, "U", SO_PIN)
    (again,) = [one for one in softhsm.tokens() if one.label == "U"]
    assert again.serial == token.serial
    assert not again.has_pin
    assert not softhsm.objects(again).objects


def test_tokens_are_found_by_serial(softhsm: Module) -> None:
    """A token that is not there is said to be gone, whatever is in its slot."""
    token = made_token(softhsm)
    with pytest.raises(TokenGone):
        softhsm.log_in("0000000000000000", PIN)
    other = made_token(softhsm, "another")
    assert other.serial != token.serial
    assert {one.label for one in softhsm.tokens() if one.serial} == {"T", "another"}


@pytest.fixture
def wrong(shim: Path, hsm: SoftHsm, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Module]:
    """A module that misbehaves in one way; its time limits are short."""

    def made(how: str) -> Module:
        monkeypatch.setenv("SHIM", how)
        return Module(shim, short=2.0, long=20.0)

    return made


def test_a_module_that_crashes(wrong: Callable[[str], Module], softhsm: Module) -> None:
    """The program lives, says by what it died, and the next request has a new process."""
    token = made_token(softhsm)
    with wrong(f"crash {LOGIN} 0") as module:
        with pytest.raises(TokenError, match=r"crashed \(signal 11\)"):
            module.log_in(token.serial, PIN)
        assert token.serial in {one.serial for one in module.tokens()}
        with pytest.raises(TokenError, match="crashed"):
            module.log_in(token.serial, PIN)


def test_a_module_that_hangs(wrong: Callable[[str], Module], softhsm: Module) -> None:
    """It is ended after its time, and nothing of it is left running."""
    token = made_token(softhsm)
    with wrong(f"hang {LOGIN} 0") as module:
        with pytest.raises(TokenError, match="did not answer within 2 s"):
            module.log_in(token.serial, PIN)
        assert token.serial in {one.serial for one in module.tokens()}
    left = subprocess.run(["ps", "-o", "args=", "--ppid", str(os.getpid())], **_TEXT)  # type: ignore[call-overload]  # options of one call
    assert "shim.so" not in left.stdout


_TEXT = {"capture_output": True, "text": True, "check": False, "timeout": 60}


@pytest.mark.parametrize(
    ("code", "error"),
    [("32", TokenGone), ("b3", TokenGone), ("e0", TokenGone), ("101", TokenReset)],
    ids=["device removed", "session handle invalid", "token not present", "user not logged in"],
)
def test_a_session_that_is_lost_is_opened_again(
    wrong: Callable[[str], Module], softhsm: Module, code: str, error: type[TokenError]
) -> None:
    """A pull ends the sessions of a module: the error says so, and the same request works again."""
    token = made_token(softhsm)
    with wrong(f"pull {FIND_OBJECTS_INIT} {code}") as module:
        with pytest.raises(error):
            module.objects(token, PIN)
        assert module.objects(token, PIN).objects == ()


def test_an_interrupt_leaves_no_answer_behind(
    wrong: Callable[[str], Module], softhsm: Module
) -> None:
    """A request that a person breaks off ends its process: its answer is not the next one's."""
    token = made_token(softhsm)

    def interrupted(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    with wrong(f"hang {LOGIN} 0") as module:
        before = signal.signal(signal.SIGALRM, interrupted)
        try:
            signal.setitimer(signal.ITIMER_REAL, 1.0)
            with pytest.raises(KeyboardInterrupt):
                module.log_in(token.serial, PIN)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            signal.signal(signal.SIGALRM, before)
        assert token.serial in {one.serial for one in module.tokens()}


def test_a_module_that_crashes_at_once(wrong: Callable[[str], Module]) -> None:
    """One that cannot even be initialised is an error like any other."""
    with wrong("crash 0 0") as module, pytest.raises(TokenError, match="crashed"):
        module.tokens()


def test_a_module_that_says_it_can_do_nothing(
    wrong: Callable[[str], Module], softhsm: Module
) -> None:
    """What it says of its mechanisms is not believed either way: it is tried."""
    token = made_token(softhsm)
    with wrong("few") as module:
        assert module.mechanisms(token) == frozenset()
        pair = module.generate(token.serial, PIN, Algorithm.ECCP256, id=b"\1", label="x")
        verify(pair.spki, module.sign(token.serial, PIN, pair.public, MESSAGE, id=b"\1"))


def test_a_module_that_promises_what_it_cannot(
    wrong: Callable[[str], Module], softhsm: Module
) -> None:
    """A mechanism in its list that it then refuses is not supported, in words."""
    token = made_token(softhsm)
    with wrong("refuse 59 70") as module:  # C_GenerateKeyPair, CKR_MECHANISM_INVALID
        assert "EC_KEY_PAIR_GEN" in module.mechanisms(token)
        with pytest.raises(NotSupported, match="making a key for eccp256"):
            module.generate(token.serial, PIN, Algorithm.ECCP256, id=b"\1", label="x")


def test_a_module_that_talks(wrong: Callable[[str], Module], softhsm: Module) -> None:
    """What it prints is not taken for an answer."""
    token = made_token(softhsm)
    with wrong("noise") as module:
        assert token.serial in {one.serial for one in module.tokens()}


def test_a_module_that_makes_weak_keys(wrong: Callable[[str], Module], softhsm: Module) -> None:
    """That a key may leave its token is seen in its attributes."""
    token = made_token(softhsm)
    with wrong("weak") as module:
        module.generate(token.serial, PIN, Algorithm.ECCP256, id=b"\1", label="x")
        (private,) = module.objects(token, PIN).of("PRIVATE_KEY")
        assert (private.safe["extractable"], private.safe["never_extractable"]) == (True, False)


def test_two_tokens_with_one_serial(wrong: Callable[[str], Module], softhsm: Module) -> None:
    """Neither is worked on."""
    made_token(softhsm)
    with wrong("same") as module, pytest.raises(WrongToken, match="two tokens say one serial"):
        module.log_in("SAME-0001", PIN)


def test_a_key_by_its_uri(softhsm: Module) -> None:
    """RFC 7512 names it; it signs and agrees, and whoever errs in the URI is told."""
    token = made_token(softhsm)
    pair = softhsm.generate(token.serial, PIN, Algorithm.ECCP256, id=b"\xab", label="signer")
    asked: list[str] = []

    def ask() -> Secret:
        asked.append("PIN")
        return PIN

    base = f"pkcs11:serial={token.serial};object=signer;id=%ab?module-path={SOFTHSM}"
    with module_key(Pkcs11Uri.parse(base), ask) as key:
        verify(pair.spki, key.sign(MESSAGE))
    assert asked == ["PIN"]
    for uri, says in (
        (base.replace("signer", "other"), "names no private key"),
        (base.replace(token.serial, "ff"), "names no token"),
        (base.replace(str(SOFTHSM), "/nowhere.so"), "names no PKCS#11 module"),
    ):
        with pytest.raises(InputError, match=says), module_key(Pkcs11Uri.parse(uri), ask):
            pytest.fail("there is no such key")


def test_certificates_are_written_and_read(softhsm: Module, hsm: SoftHsm, tmp_path: Path) -> None:
    """Byte for byte, and other programs see them beside the key."""
    token = made_token(softhsm)
    softhsm.generate(token.serial, PIN, Algorithm.ECCP256, id=b"\1", label="x")
    hsm.run(
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=Ada"),
        *("-keyout", str(tmp_path / "key"), "-outform", "DER", "-out", str(tmp_path / "crt")),
    )
    der = (tmp_path / "crt").read_bytes()
    subject = x509.load_der_x509_certificate(der).subject.public_bytes()
    softhsm.put_certificate(token.serial, PIN, der, subject, id=b"\1", label="x")
    assert [one.value for one in softhsm.objects(token).of("CERTIFICATE", b"\1")] == [der]
    listed = hsm.run(
        *("pkcs11-tool", "--module", str(SOFTHSM), "--token-label", "T", "--list-objects")
    )
    assert "subject:    DN: CN=Ada" in listed
